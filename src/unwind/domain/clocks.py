"""The two clocks of a case that waits for a person, and the ladder each climbs.

*respond* runs until the first human answer and never pauses. *resolve* runs until the case is decided and pauses only while the buyer is
asked; what is paused is kept as intervals, and every total is derived from them here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from unwind.domain.calendar import ALWAYS, Calendar, add_working_time, working_time
from unwind.domain.timetable import Targets
from unwind.domain.transitions import Event

HALF_PERCENT, AGAIN_PERCENT = 50, 80


class Clock(StrEnum):
    RESPOND = "respond"
    RESOLVE = "resolve"


class Rung(IntEnum):
    """How far up a clock has called for help. Each is struck once; of several that are due only the highest."""

    NONE = 0
    HALF = 1
    """Half of the time is gone: whoever holds the case, else the group."""
    WARNED = 2
    """The promised warning; of the respond clock only."""
    AGAIN = 3
    """80 %: the group again."""
    DUE = 4
    """The lead."""


EVENT_OF = {
    Rung.HALF: Event.CLOCK_HALF,
    Rung.WARNED: Event.CLOCK_WARNED,
    Rung.AGAIN: Event.CLOCK_AGAIN,
    Rung.DUE: Event.CLOCK_DUE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RespondClock:
    half_at: datetime
    warn_at: datetime
    again_at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveClock:
    """All None while it is paused: nothing comes nearer then."""

    half_at: datetime | None
    again_at: datetime | None
    due_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """The buyer was asked; `ended_at` None: still is."""

    began_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """What is kept of both clocks besides the respond clock's warn and due times, which the case itself carries."""

    is_urgent: bool
    respond_from: datetime
    respond_half_at: datetime | None
    respond_again_at: datetime | None
    respond_rung: Rung
    resolve_from: datetime
    resolve_half_at: datetime | None
    resolve_again_at: datetime | None
    resolve_due_at: datetime | None
    resolve_rung: Rung
    timetable_version: int
    """By which the times were worked out."""
    asked_until: datetime | None
    """The buyer is being asked, and this long."""
    respond_latest: datetime | None = None
    """A platform decides by itself then: the respond clock is never later."""


def respond_clock(
    *,
    opened_at: datetime,
    is_urgent: bool,
    calendar: Calendar = ALWAYS,
    targets: Targets | None = None,
    latest: datetime | None = None,
) -> RespondClock:
    """Warn at 10 and due at 15 working minutes; 3 minutes for perishables, riders and stolen accounts, warned at 2. Nothing of it is later
    than `latest`, nor earlier than `opened_at`."""
    minutes = targets or Targets()
    warn, due = (minutes.urgent_warn, minutes.urgent_due) if is_urgent else (minutes.respond_warn, minutes.respond_due)
    warn_s, due_s = warn * 60, due * 60

    def after(seconds: int) -> datetime:
        moment = add_working_time(calendar, opened_at, timedelta(seconds=seconds))
        return moment if latest is None else min(moment, max(latest, opened_at))

    return RespondClock(
        half_at=after(min(warn_s, due_s * HALF_PERCENT // 100)),
        warn_at=after(warn_s),
        again_at=after(max(warn_s, due_s * AGAIN_PERCENT // 100)),
        due_at=after(due_s),
    )


def resolve_clock(
    *, started_at: datetime, pauses: Sequence[Pause], calendar: Calendar = ALWAYS, targets: Targets | None = None
) -> ResolveClock:
    due_s = (targets or Targets()).resolve_due * 60

    def after(percent: int) -> datetime | None:
        return add_unpaused_time(calendar, started_at, timedelta(seconds=due_s * percent // 100), pauses)

    return ResolveClock(half_at=after(HALF_PERCENT), again_at=after(AGAIN_PERCENT), due_at=after(100))


def add_unpaused_time(
    calendar: Calendar, started_at: datetime, duration: timedelta, pauses: Sequence[Pause]
) -> datetime | None:
    """The first moment by which so much working time has passed outside of every pause; None when a pause that is still open comes first."""
    moment, left = started_at, duration
    for began_at, ended_at in _merged(started_at, pauses):
        passed = working_time(calendar, moment, began_at)
        if passed >= left:
            break
        if ended_at is None:
            return None
        left -= passed
        moment = ended_at
    return add_working_time(calendar, moment, left)


def unpaused_time(calendar: Calendar, started_at: datetime, until: datetime, pauses: Sequence[Pause]) -> timedelta:
    """The working time that counts: between the two moments, outside of every pause."""
    total, moment = timedelta(0), started_at
    for began_at, ended_at in _merged(started_at, pauses):
        if began_at >= until:
            break
        total += working_time(calendar, moment, began_at)
        moment = until if ended_at is None else ended_at
    return total + working_time(calendar, moment, until)


def _merged(started_at: datetime, pauses: Sequence[Pause]) -> Iterator[tuple[datetime, datetime | None]]:
    """Pauses in order, none before the start, none touching another; only the last may be open."""
    held: tuple[datetime, datetime | None] | None = None
    for pause in sorted(pauses, key=lambda one: one.began_at):
        if pause.ended_at is not None and pause.ended_at <= max(pause.began_at, started_at):
            continue
        began_at = max(pause.began_at, started_at)
        if held is None:
            held = (began_at, pause.ended_at)
        elif held[1] is None:
            break
        elif began_at <= held[1]:
            held = (held[0], None if pause.ended_at is None else max(held[1], pause.ended_at))
        else:
            yield held
            held = (began_at, pause.ended_at)
    if held is not None:
        yield held
