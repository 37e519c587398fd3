"""Working time against an oracle that walks minute by minute and asks the wall clock of each."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unwind.domain.calendar import ALWAYS, Calendar, Windows, add_working_time, require_sound, working_time
from unwind.domain.errors import Refusal

MINUTE = timedelta(minutes=1)
DAY: Windows = ((9 * 60, 12 * 60), (13 * 60 + 30, 18 * 60))
"""With a lunch break."""
WEEK = (DAY,) * 5 + ((), ())
NATIONAL_DAY = frozenset(date(2026, 10, day) for day in range(1, 8))
"""An example for these tests, not the official table."""
MAKE_UP = frozenset({date(2026, 9, 27), date(2026, 10, 10)})
OFFICE = Calendar(week=WEEK, days_off=NATIONAL_DAY, days_on=MAKE_UP)
ZONES = (
    "Asia/Shanghai",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/Havana",
    "Asia/Kathmandu",
)
CHANGES = {
    "America/New_York": (date(2026, 3, 8), date(2026, 11, 1)),
    "Europe/Berlin": (date(2026, 3, 29), date(2026, 10, 25)),
    "Australia/Lord_Howe": (date(2026, 4, 5), date(2026, 10, 4)),
    "America/Havana": (date(2026, 3, 8), date(2026, 11, 1)),
}


def is_worked(calendar: Calendar, moment: datetime) -> bool:
    """The oracle's whole knowledge: one minute, asked by itself."""
    local = moment.astimezone(ZoneInfo(calendar.time_zone))
    if local.date() in calendar.days_on:
        windows = calendar.make_up or next(w for w in calendar.week if w)
    elif local.date() in calendar.days_off:
        windows = ()
    else:
        windows = calendar.week[local.weekday()]
    minute = local.hour * 60 + local.minute
    return any(opens <= minute < closes for opens, closes in windows)


def minutes_worked(calendar: Calendar, start: datetime, end: datetime) -> int:
    return sum(is_worked(calendar, start + n * MINUTE) for n in range(int((end - start) / MINUTE)))


def at(month: int, day: int, hour: int = 0, minute: int = 0, *, zone: str = "Asia/Shanghai") -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=ZoneInfo(zone)).astimezone(UTC)


windows = st.lists(st.integers(0, 96), min_size=2, max_size=6, unique=True).map(
    lambda marks: tuple((15 * a, 15 * b) for a, b in zip(sorted(marks)[::2], sorted(marks)[1::2], strict=False))
)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Calendar, datetime]:
    """A calendar and a moment near the days on which something is odd: a change of the clock, a holiday, a make-up day."""
    zone = draw(st.sampled_from(ZONES))
    odd = draw(st.sampled_from(CHANGES.get(zone, (date(2026, 10, 1), date(2026, 10, 10)))))
    near = [odd + timedelta(days=n) for n in range(-1, 4)]
    calendar = Calendar(
        time_zone=zone,
        week=(*tuple(draw(st.one_of(st.just(()), windows)) for _ in range(6)), draw(windows)),
        make_up=draw(st.one_of(st.just(()), windows)),
        days_off=frozenset(draw(st.lists(st.sampled_from(near), max_size=3))),
        days_on=frozenset(draw(st.lists(st.sampled_from(near), max_size=2))),
    )
    start = datetime(odd.year, odd.month, odd.day, tzinfo=UTC) + draw(st.integers(-36 * 60, 36 * 60)) * MINUTE
    return calendar, start


@given(situations(), st.integers(0, 4 * 1440))
@settings(max_examples=300, deadline=None)
def test_working_time_is_what_the_minutes_add_up_to(situation: tuple[Calendar, datetime], minutes: int) -> None:
    calendar, start = situation
    require_sound(calendar)
    end = start + minutes * MINUTE
    assert working_time(calendar, start, end) == minutes_worked(calendar, start, end) * MINUTE
    assert working_time(calendar, end, start) == timedelta(0) or minutes == 0


@given(situations(), st.integers(1, 1200))
@settings(max_examples=300, deadline=None)
def test_adding_is_the_first_moment_by_which_it_has_passed(situation: tuple[Calendar, datetime], minutes: int) -> None:
    calendar, start = situation
    end = add_working_time(calendar, start, minutes * MINUTE)
    assert working_time(calendar, start, end) == minutes * MINUTE
    assert is_worked(calendar, end - MINUTE), "it ends in a worked minute"
    if end - start < timedelta(days=10):
        assert minutes_worked(calendar, start, end) == minutes


@given(situations(), st.integers(0, 900), st.integers(0, 900))
@settings(max_examples=150, deadline=None)
def test_in_two_steps_is_in_one(situation: tuple[Calendar, datetime], first: int, then: int) -> None:
    calendar, start = situation
    halfway = add_working_time(calendar, start, first * MINUTE)
    assert add_working_time(calendar, halfway, then * MINUTE) == add_working_time(
        calendar, start, (first + then) * MINUTE
    )


@pytest.mark.parametrize(
    ("start", "minutes", "end"),
    [
        (at(9, 29, 11, 50), 15, at(9, 29, 13, 35)),
        (at(9, 29, 11, 45), 15, at(9, 29, 12)),
        (at(9, 29, 12, 30), 15, at(9, 29, 13, 45)),
        (at(9, 30, 17, 50), 15, at(10, 8, 9, 5)),
        (at(10, 3, 14), 15, at(10, 8, 9, 15)),
        (at(10, 9, 17, 50), 15, at(10, 10, 9, 5)),
        (at(10, 10, 17, 50), 15, at(10, 12, 9, 5)),
        (at(9, 26, 12), 15, at(9, 27, 9, 15)),
    ],
    ids=[
        "over lunch",
        "until lunch exactly",
        "within lunch",
        "into the holiday",
        "within the holiday",
        "to the make-up Saturday",
        "over the free Sunday",
        "to the make-up Sunday",
    ],
)
def test_the_days_around_national_day(start: datetime, minutes: int, end: datetime) -> None:
    assert add_working_time(OFFICE, start, minutes * MINUTE) == end
    assert working_time(OFFICE, start, end) == minutes * MINUTE


def test_a_window_on_the_day_the_clock_changes_is_as_long_as_it_really_is() -> None:
    night = Calendar(time_zone="America/New_York", week=(((60, 180),),) * 7)
    spring, autumn, plain = at(3, 8, zone="UTC"), at(11, 1, zone="UTC"), at(6, 1, zone="UTC")
    day = timedelta(days=1)
    assert working_time(night, plain, plain + day) == timedelta(hours=2)
    assert working_time(night, spring, spring + day) == timedelta(hours=1), "02:00-03:00 does not exist"
    assert working_time(night, autumn, autumn + day) == timedelta(hours=3), "01:00-02:00 passes twice"


def test_a_make_up_day_may_have_hours_of_its_own() -> None:
    short = Calendar(week=WEEK, days_off=NATIONAL_DAY, days_on=MAKE_UP, make_up=((10 * 60, 16 * 60),))
    assert working_time(short, at(10, 10), at(10, 11)) == timedelta(hours=6)


def test_without_a_calendar_time_simply_passes() -> None:
    assert add_working_time(ALWAYS, at(10, 1, 3), 15 * MINUTE) == at(10, 1, 3, 15)
    assert working_time(ALWAYS, at(10, 1), at(10, 3)) == timedelta(days=2)


def test_a_calendar_that_never_opens_does_not_swallow_its_cases() -> None:
    years = frozenset(date(2026, 1, 1) + timedelta(days=n) for n in range(1200))
    never = Calendar(week=WEEK, days_off=years)
    assert add_working_time(never, at(1, 5, 3), 15 * MINUTE) == at(1, 5, 3, 15)


@pytest.mark.parametrize(
    ("calendar", "problem"),
    [
        (Calendar(week=WEEK[:6]), "seven_days"),
        (Calendar(week=((),) * 7), "never_open"),
        (Calendar(time_zone="Mars/Olympus"), "time_zone"),
        (Calendar(time_zone="../etc/passwd"), "time_zone"),
        (Calendar(week=(((600, 540),), *WEEK[1:])), "window"),
        (Calendar(week=(((0, 1441),), *WEEK[1:])), "window"),
        (Calendar(week=(((540, 720), (700, 800)), *WEEK[1:])), "windows_overlap"),
        (Calendar(week=WEEK, make_up=((0, 10), (5, 6))), "windows_overlap"),
    ],
)
def test_nonsense_is_refused(calendar: Calendar, problem: str) -> None:
    with pytest.raises(Refusal) as refusal:
        require_sound(calendar)
    assert (refusal.value.code, refusal.value.facts["problem"]) == ("calendar_unsound", problem)
