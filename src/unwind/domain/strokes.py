"""Which stroke of which clock a case is due for, and when the next one comes. Read from its rows alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from unwind.domain.case import Case
from unwind.domain.clocks import EVENT_OF, Clock, Rung
from unwind.domain.transitions import Event, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    event: Event
    clock: Clock
    rung: Rung
    """NONE where a question to the buyer has run out."""
    due_at: datetime | None
    """When its clock is, or was, due."""


def due_stroke(case: Case, now: datetime) -> Stroke | None:
    """Of each clock the highest rung whose time has come; the respond clock first. A question that has run out comes before both."""
    if case.state is not State.REVIEW:
        return None
    clocks = case.clocks
    if clocks is not None and clocks.asked_until is not None and clocks.asked_until <= now:
        return Stroke(event=Event.BUYER_SILENT, clock=Clock.RESOLVE, rung=Rung.NONE, due_at=clocks.resolve_due_at)
    for clock, ladder in _ladders(case):
        rungs = dict(ladder)
        come = [rung for rung, at in ladder if at <= now]
        if come:
            return Stroke(event=EVENT_OF[max(come)], clock=clock, rung=max(come), due_at=rungs.get(Rung.DUE))
    return None


def next_stroke_at(case: Case) -> datetime | None:
    """The earliest moment at which `due_stroke` has something to say; None while nothing can come."""
    if case.state is not State.REVIEW:
        return None
    moments = [at for _, ladder in _ladders(case) for _, at in ladder]
    if case.clocks is not None and case.clocks.asked_until is not None:
        moments.append(case.clocks.asked_until)
    return min(moments, default=None)


def _ladders(case: Case) -> Iterator[tuple[Clock, list[tuple[Rung, datetime]]]]:
    """The rungs that have not been struck, with their times."""
    clocks = case.clocks
    if case.answered_at is None:
        struck = max(
            clocks.respond_rung if clocks else Rung.NONE,
            Rung.DUE if case.is_overdue else Rung.WARNED if case.is_warned else Rung.NONE,
        )
        respond = (
            (Rung.HALF, clocks.respond_half_at if clocks else None),
            (Rung.WARNED, case.respond_warn_at),
            (Rung.AGAIN, clocks.respond_again_at if clocks else None),
            (Rung.DUE, case.respond_due_at),
        )
        yield Clock.RESPOND, [(rung, at) for rung, at in respond if at is not None and rung > struck]
    if clocks is not None:
        resolve = (
            (Rung.HALF, clocks.resolve_half_at),
            (Rung.AGAIN, clocks.resolve_again_at),
            (Rung.DUE, clocks.resolve_due_at),
        )
        yield Clock.RESOLVE, [(rung, at) for rung, at in resolve if at is not None and rung > clocks.resolve_rung]
