"""When somebody must have answered, when a shop is open, how old a parcel's news is."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.domain.building import NOW
from unwind.domain.clocks import respond_clock
from unwind.domain.deadlines import is_open, next_opening
from unwind.domain.tracking import FEED_LATE_AFTER, LOST_AFTER, STUCK_AFTER, Verdict, judge

DAY = ((9 * 60, 12 * 60), (14 * 60, 18 * 60))
"""09-12 and 14-18."""
SHANGHAI = "Asia/Shanghai"


def at(hour: int, minute: int = 0, *, zone: str = SHANGHAI, day: int = 2) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=ZoneInfo(zone))


def test_the_response_clock_has_two_speeds() -> None:
    calm, urgent = (respond_clock(opened_at=NOW, is_urgent=urgent) for urgent in (False, True))
    assert (calm.warn_at - NOW, calm.due_at - NOW) == (timedelta(minutes=10), timedelta(minutes=15))
    assert (urgent.warn_at - NOW, urgent.due_at - NOW) == (timedelta(minutes=2), timedelta(minutes=3))


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (at(8, 59), False),
        (at(9), True),
        (at(11, 59), True),
        (at(12), False),
        (at(13, 59), False),
        (at(14), True),
        (at(17, 59), True),
        (at(18), False),
        (at(0), False),
    ],
)
def test_windows_open_on_the_minute_and_close_before_it(moment: datetime, *, expected: bool) -> None:
    assert is_open(moment, time_zone=SHANGHAI, hours=DAY) is expected
    assert is_open(moment.astimezone(UTC), time_zone=SHANGHAI, hours=DAY) is expected


def test_a_shop_without_hours_is_always_open() -> None:
    assert is_open(at(3), time_zone=SHANGHAI, hours=())
    assert next_opening(at(3), time_zone=SHANGHAI, hours=()) == at(3)


def test_the_same_moment_is_another_hour_elsewhere() -> None:
    """04:00 UTC is 12:00 in Shanghai (closed), 05:00 in Berlin (closed), 13:00 in Tokyo and 23:00 in New York."""
    hours = ((12 * 60 + 30, 13 * 60 + 30),)
    assert [is_open(NOW, time_zone=zone, hours=hours) for zone in (SHANGHAI, "Asia/Tokyo", "Europe/Berlin")] == [
        False,
        True,
        False,
    ]
    assert is_open(NOW, time_zone="America/New_York", hours=((23 * 60, 24 * 60),))


@pytest.mark.parametrize(
    ("moment", "opening"),
    [
        (at(10), at(10)),
        (at(7), at(9)),
        (at(12), at(14)),
        (at(13, 30), at(14)),
        (at(18), at(9, day=3)),
        (at(23, 59), at(9, day=3)),
        (at(0), at(9)),
    ],
)
def test_the_next_opening_is_the_next_window_across_midnight_too(moment: datetime, opening: datetime) -> None:
    assert next_opening(moment, time_zone=SHANGHAI, hours=DAY) == opening
    seen = next_opening(moment.astimezone(UTC), time_zone=SHANGHAI, hours=DAY)
    assert seen == opening
    assert seen.utcoffset() == timedelta(0), "the zone that was asked in"


def test_hours_need_not_be_in_order() -> None:
    assert next_opening(at(8), time_zone=SHANGHAI, hours=tuple(reversed(DAY))) == at(9)
    assert next_opening(at(19), time_zone=SHANGHAI, hours=tuple(reversed(DAY))) == at(9, day=3)


def test_ordered_at_twenty_opens_at_nine() -> None:
    """The tableware shop: thirteen hours until somebody works."""
    evening = at(20)
    opens = next_opening(evening, time_zone=SHANGHAI, hours=((9 * 60, 18 * 60),))
    assert opens - evening == timedelta(hours=13)


def news(silent: timedelta) -> list[tuple[datetime, str]]:
    return [(NOW - silent - timedelta(days=1), "handed_over"), (NOW - silent, "in_transit")]


MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("silent", "expected"),
    [
        (timedelta(0), Verdict.MOVING),
        (STUCK_AFTER - MINUTE, Verdict.MOVING),
        (STUCK_AFTER, Verdict.STUCK),
        (LOST_AFTER - MINUTE, Verdict.STUCK),
        (LOST_AFTER, Verdict.LOST),
    ],
)
def test_silence_is_judged_by_its_length(silent: timedelta, expected: Verdict) -> None:
    assert judge(news(silent), fed_at=None, now=NOW) is expected
    assert judge(news(silent), fed_at=NOW - silent + FEED_LATE_AFTER - MINUTE, now=NOW) is expected


def test_a_late_feed_is_not_a_lost_parcel() -> None:
    """ "第5天还没物流信息": scanned ten days ago, passed on half a day late."""
    events = news(LOST_AFTER)
    assert judge(events, fed_at=events[-1][0] + FEED_LATE_AFTER, now=NOW) is Verdict.FEED_LATE
    assert judge([], fed_at=NOW, now=NOW) is Verdict.NO_NEWS
