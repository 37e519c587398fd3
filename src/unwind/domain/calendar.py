"""Working time: several windows a day, holidays, make-up workdays, any time zone.

Windows are minutes of the local wall clock; what is counted is time that really passes. On the day a zone changes its clock a window of
01:00-03:00 therefore holds one, two or three hours, as somebody who sits there would find.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from unwind.domain.errors import require

MINUTES_PER_DAY = 24 * 60
DAYS_PER_WEEK = 7
DAYS_MAX = 1100
"""So far ahead an opening is looked for; the longest public holiday is a few weeks."""

Window = tuple[int, int]
"""From this minute of the local day until before that one; 1440 is midnight."""
Windows = tuple[Window, ...]
ALL_DAY: Windows = ((0, MINUTES_PER_DAY),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """When a queue is worked on. Without anything said: always."""

    time_zone: str = "Asia/Shanghai"
    week: tuple[Windows, ...] = (ALL_DAY,) * DAYS_PER_WEEK
    """Monday first."""
    make_up: Windows = ()
    """Windows of a day that is worked although its weekday is free (调休); none: those of the first working weekday."""
    days_off: frozenset[date] = field(default_factory=frozenset)
    days_on: frozenset[date] = field(default_factory=frozenset)
    """Make-up workdays. A date that is in both is worked."""

    @property
    def is_always(self) -> bool:
        return not self.days_off and not self.days_on and all(windows == ALL_DAY for windows in self.week)

    def windows_of(self, day: date) -> Windows:
        if day in self.days_on:
            return self.make_up or next((windows for windows in self.week if windows), ())
        return () if day in self.days_off else self.week[day.weekday()]


ALWAYS = Calendar()


def require_sound(calendar: Calendar) -> None:
    """Refuses what nobody could work by."""
    require(len(calendar.week) == DAYS_PER_WEEK, "calendar_unsound", problem="seven_days")
    require(any(calendar.week), "calendar_unsound", problem="never_open")
    try:
        ZoneInfo(calendar.time_zone)
    except (KeyError, ValueError, OSError):
        require(condition=False, code="calendar_unsound", problem="time_zone")
    for windows in (*calendar.week, calendar.make_up):
        for opens, closes in windows:
            require(0 <= opens < closes <= MINUTES_PER_DAY, "calendar_unsound", problem="window")
        ordered = sorted(windows)
        for (_, closes), (opens, _) in itertools.pairwise(ordered):
            require(closes <= opens, "calendar_unsound", problem="windows_overlap")


def add_working_time(calendar: Calendar, start: datetime, duration: timedelta) -> datetime:
    """The first moment, in UTC, by which so much working time has passed since `start`.

    A calendar that does not open for three years gives plain time: a clock that never strikes would forget its case.
    """
    start = start.astimezone(UTC)
    if duration <= timedelta(0) or calendar.is_always:
        return start + max(duration, timedelta(0))
    left = duration
    for opens, closes in _stretches(calendar, start, days=DAYS_MAX):
        length = closes - opens
        if length >= left:
            return opens + left
        left -= length
    return start + duration


def working_time(calendar: Calendar, start: datetime, end: datetime) -> timedelta:
    """The working time between two moments; none when they are the wrong way round."""
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    if end <= start:
        return timedelta(0)
    if calendar.is_always:
        return end - start
    days = (end - start).days + 2
    return sum(
        (min(closes, end) - opens for opens, closes in _stretches(calendar, start, days=days) if opens < end),
        timedelta(0),
    )


def _stretches(calendar: Calendar, start: datetime, *, days: int) -> Iterator[tuple[datetime, datetime]]:
    """Working stretches from `start` on, in order, for at least so many days."""
    first = start.astimezone(ZoneInfo(calendar.time_zone)).date()
    for n in range(days + 1):
        day = first + timedelta(days=n)
        for opens, closes in _moments(calendar.time_zone, day, calendar.windows_of(day)):
            if closes > start:
                yield max(opens, start), closes


@lru_cache(maxsize=4096)
def _moments(time_zone: str, day: date, windows: Windows) -> tuple[tuple[datetime, datetime], ...]:
    """The windows of a local day in UTC. A clock that is put back passes through a window twice, one put forward skips part of it."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    found = []
    for begins, ends, offset in _offsets(time_zone, day):
        for opens, closes in windows:
            lo = max(begins, midnight + timedelta(minutes=opens) - offset)
            hi = min(ends, midnight + timedelta(minutes=closes) - offset)
            if lo < hi:
                found.append((lo, hi))
    return tuple(sorted(found))


def _offsets(time_zone: str, day: date) -> list[tuple[datetime, datetime, timedelta]]:
    """Stretches of one offset each that cover the local day with room on both sides."""
    zone = ZoneInfo(time_zone)

    def offset_at(moment: datetime) -> timedelta:
        return moment.astimezone(zone).utcoffset() or timedelta(0)

    begins = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=15)
    end = begins + timedelta(hours=54)
    stretches = []
    moment = begins
    while moment < end:
        following = moment + timedelta(hours=1)
        if offset_at(following) != offset_at(moment):
            change = _change_between(moment, following, offset_at(moment), zone)
            stretches.append((begins, change, offset_at(moment)))
            begins = change
        moment = following
    stretches.append((begins, end, offset_at(end)))
    return stretches


def _change_between(before: datetime, after: datetime, offset: timedelta, zone: ZoneInfo) -> datetime:
    """The second at which the offset stops being what it was."""
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
