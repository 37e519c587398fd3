"""What a case needs now, read from its rows alone. The loop does what this says and asks again.

Level-triggered: the answer depends on what is true, never on what woke the case.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from unwind.domain.case import Case, CaseOutcome, Leg, Part, PartState, Way
from unwind.domain.legs import FINAL, SPECS, LegKind, LegState
from unwind.domain.strokes import due_stroke, next_stroke_at
from unwind.domain.transitions import Event, State

IDLE_CHECK = timedelta(hours=1)
"""An open case is looked at at least this often, whatever else it waits for (I6)."""


GOODS_AND_MONEY = frozenset(
    {
        LegKind.HOLD_SHIPMENT,
        LegKind.VOID_WAYBILL,
        LegKind.RECALL_PARCEL,
        LegKind.REVOKE_ENTITLEMENT,
        LegKind.REVERSE_SETTLEMENT,
        LegKind.REFUND,
    }
)
"""Once these are performed the buyer hears about it; the shop's own bookkeeping may still run."""


ASKED_OF_THE_BUYER = {Way.REFUSE: "refuse_at_door", Way.RETURN: "send_back"}
"""What only the buyer can do is said to them when it is decided."""
ENDS_WITHOUT_MONEY = frozenset(
    {
        CaseOutcome.DECLINED,
        CaseOutcome.WITHDRAWN,
        CaseOutcome.ANSWERED,
        CaseOutcome.RETAINED,
        CaseOutcome.HANDED_ON,
    }
)


class Need(StrEnum):
    PERFORM = "perform"
    """`legs` are to be claimed and carried out."""
    ASK = "ask"
    """`legs` have left; ask the other side by their own numbers."""
    MOVE = "move"
    """`event` moves the case."""
    HAND_OVER = "hand_over"
    """`part` goes to a person."""
    CLOCK = "clock"
    """`event` is a clock that has struck."""
    TELL = "tell"
    """Messages are due."""
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    need: Need
    legs: tuple[Leg, ...] = ()
    part: Part | None = None
    event: Event | None = None
    until: datetime | None = None


CASH_AT_COUNTER = "cash_at_counter"
"""Code of a refund leg that a counter pays out: the money is set aside, the buyer fetches it when they like."""


SWITCHED_OFF = "switched_off"
"""Code of a leg whose kind an administrator has switched off: it waits, and goes to a person when that takes too long."""


def waits_at_counter(leg: Leg) -> bool:
    return leg.kind is LegKind.REFUND and leg.state is LegState.TASK and leg.code == CASH_AT_COUNTER


def returns_tender(leg: Leg) -> bool:
    """It gives back what was paid with: money, or balance, points, an entitlement."""
    restores = leg.kind is LegKind.RESTORE_BENEFIT and not leg.target.startswith("benefit:")
    return restores or leg.kind is LegKind.REFUND


def is_performed(leg: Leg) -> bool:
    if waits_at_counter(leg):
        return True
    return leg.state in FINAL or (leg.state is LegState.ACCEPTED and SPECS[leg.kind].acceptance_is_enough)


def is_final(leg: Leg) -> bool:
    return leg.state in FINAL


def frontier(part: Part) -> tuple[Leg, ...]:
    """The legs of the lowest rank that is not performed: what may run now."""
    waiting = [leg for leg in part.legs if not is_performed(leg)]
    if not waiting:
        return ()
    rank = min(leg.rank for leg in waiting)
    return tuple(leg for leg in waiting if leg.rank == rank)


def next_step(case: Case, now: datetime) -> Step:
    """One step at a time, the most urgent first; WAIT names the moment to look again."""
    executing = [part for part in case.parts if part.state is PartState.EXECUTING]
    for part in executing:
        blocked = _blocked(part, now) or (_halted_refund(part) if case.is_halted else None)
        if blocked is not None:
            return Step(need=Need.HAND_OVER, part=part, legs=(blocked,))
    due = tuple(
        leg for part in executing for leg in frontier(part) if leg.state is LegState.PLANNED and _is_due(leg, now)
    )
    if due:
        return Step(need=Need.PERFORM, legs=due)
    asked = tuple(leg for part in executing for leg in part.legs if _may_ask(leg) and _is_due(leg, now))
    if asked:
        return Step(need=Need.ASK, legs=asked)
    if case.state is State.REVIEW:
        stroke = due_stroke(case, now)
        if stroke is not None:
            return Step(need=Need.CLOCK, event=stroke.event)
    if news_of(case) - case.told or (
        case.unsent_messages and (case.next_message_at is None or case.next_message_at <= now)
    ):
        return Step(need=Need.TELL)
    event = _move(case, executing)
    if event is not None:
        return Step(need=Need.MOVE, event=event)
    return Step(need=Need.WAIT, until=_next_look(case, executing, now))


def news_of(case: Case) -> frozenset[str]:
    """The facts about a case that the buyer is owed now, each told once. "Refunded" only when the gateway has said so (I12)."""
    facts: set[str] = set()
    for part in case.parts:
        if part.state not in {PartState.EXECUTING, PartState.DONE} or not part.legs or part.way is Way.KEEP:
            continue
        if part.way in ASKED_OF_THE_BUYER and part.state is PartState.EXECUTING:
            facts.add(f"{ASKED_OF_THE_BUYER[part.way]}:{part.part_no}")
        awaited = GOODS_AND_MONEY | ({LegKind.RECEIVE_RETURN} if part.way in ASKED_OF_THE_BUYER else frozenset())
        tenders = [leg for leg in part.legs if returns_tender(leg) and leg.state is not LegState.RELEASED]
        refunds = [leg for leg in tenders if leg.kind is LegKind.REFUND]
        if tenders and all(leg.state is LegState.SUCCEEDED for leg in refunds or tenders):
            facts.add(f"refund_done:{part.part_no}" if refunds else f"restored:{part.part_no}")
        elif all(is_performed(leg) for leg in part.legs if leg.kind in awaited):
            at_counter = [leg for leg in refunds if waits_at_counter(leg)]
            if at_counter:
                facts.add(f"{CASH_AT_COUNTER}:{part.part_no}")
            if len(at_counter) < len(refunds) or not tenders:
                facts.add(f"refund_on_its_way:{part.part_no}" if refunds else f"cancelled:{part.part_no}")
    if case.state is State.WATCHING:
        facts.add(f"waiting:{case.watch.until:%Y%m%d%H%M}" if case.watch else "waiting")
    if case.outcome in ENDS_WITHOUT_MONEY:
        facts.add(case.outcome.value)
    return frozenset(facts)


def _is_due(leg: Leg, now: datetime) -> bool:
    return leg.next_try_at is None or leg.next_try_at <= now


def _may_ask(leg: Leg) -> bool:
    return leg.state in {LegState.CLAIMED, LegState.UNKNOWN, LegState.ACCEPTED}


def _blocked(part: Part, now: datetime) -> Leg | None:
    """The first leg that cannot go on without a person, or that has kept everybody waiting past its time."""
    for leg in part.legs:
        if leg.state is LegState.BLOCKED:
            return leg
        waits = _may_ask(leg) or leg.state is LegState.TASK or _is_off(leg)
        if waits and leg.due_at is not None and leg.due_at <= now:
            return leg
    return None


def _is_off(leg: Leg) -> bool:
    return leg.state is LegState.PLANNED and leg.code == SWITCHED_OFF


def _halted_refund(part: Part) -> Leg | None:
    """A refund that nobody has decided on by name may not leave while its merchant is halted."""
    if part.is_decided:
        return None
    return next((leg for leg in frontier(part) if leg.kind is LegKind.REFUND and leg.state is LegState.PLANNED), None)


def _move(case: Case, executing: list[Part]) -> Event | None:
    legs = [leg for part in executing for leg in part.legs]
    if case.state is State.EXECUTING and all(is_performed(leg) for leg in legs):
        return Event.PERFORMED
    if case.state is State.SETTLING and all(is_final(leg) for leg in legs):
        return Event.SETTLED
    if case.state is State.NOTIFYING and case.unsent_messages == 0:
        return Event.TOLD
    return None


def _next_look(case: Case, executing: list[Part], now: datetime) -> datetime:
    moments = [now + IDLE_CHECK]
    for part in executing:
        at_work = {leg.leg_no for leg in frontier(part)}
        for leg in part.legs:
            if leg.state in FINAL:
                continue
            if leg.next_try_at is not None and (leg.leg_no in at_work or _may_ask(leg)):
                moments.append(leg.next_try_at)
            if leg.due_at is not None and (_may_ask(leg) or leg.state is LegState.TASK or _is_off(leg)):
                moments.append(leg.due_at)
    if case.unsent_messages and case.next_message_at is not None:
        moments.append(case.next_message_at)
    if case.state is State.WATCHING and case.watch is not None:
        moments.append(case.watch.until)
    stroke_at = next_stroke_at(case)
    if stroke_at is not None:
        moments.append(stroke_at)
    return max(now, min(moments))
