"""Step 5: what the system cannot decide goes to a person, on a clock, and comes back as a decision.

A decision is bound to the versions of case and order that the person saw; anything newer refuses it with `stale` (I10). Parts are planned
at that moment, from the order as it is then: the amounts shown for a version are the amounts paid for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.case import Case, CaseOutcome, Kind, Leg, Part, PartState, RefundOn
from unwind.domain.errors import Refusal, require
from unwind.domain.legs import HAS_LEFT, LegKind, LegState
from unwind.domain.merchant_cancel import needs_agreement
from unwind.domain.order import LineId, Order
from unwind.domain.plan import PartPlan, build_legs, partition
from unwind.domain.stage import ON_THE_WAY
from unwind.domain.transitions import Event, State
from unwind.flow import goods
from unwind.flow.chronicle import record
from unwind.flow.clocks import settle_stroke, start_round
from unwind.flow.execute import Lease, Locked, lock_both
from unwind.flow.identity import require_identity
from unwind.flow.queue import require_hold
from unwind.flow.services import Services
from unwind.storage import cases, locks, money, privacy, tasks
from unwind.storage.database import Connection

STOPS_GOODS = frozenset({LegKind.HOLD_SHIPMENT, LegKind.RECALL_PARCEL})
"""A refusal of these has changed nothing: the part can be planned anew."""


class Choice(StrEnum):
    APPROVE = "approve"
    APPROVE_PART = "approve_part"
    DECLINE = "decline"
    RECALL = "recall"
    RETRY = "retry"
    """Blocked legs are asked for again by their own numbers (after a top-up, a corrected account, a cleared doubt)."""
    ANSWER = "answer"
    """An inquiry or an aftermath is dealt with; nothing is taken back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One human decision. `lines` only with APPROVE_PART; `part_no` None means every part that waits."""

    choice: Choice
    case_version: int
    order_version: int
    part_no: int | None = None
    lines: Mapping[LineId, int] = field(default_factory=dict)
    refund_on: RefundOn | None = None
    reason_code: str = ""
    note: str = ""


async def hand_over(services: Services, part: Part, leg: Leg, lease: Lease) -> None:
    """A part cannot go on by itself. Before anything has left it is laid back as if untouched, so that a person can plan it anew."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, lease.case_id, token=lease.token)
        rule = _why(leg)
        stuck = next(p for p in locked.case.parts if p.part_no == part.part_no)
        if leg.kind in STOPS_GOODS and leg.code.startswith("refused"):
            await _lay_back(conn, locked, stuck)
        elif leg.state not in {LegState.BLOCKED, LegState.PLANNED}:
            await cases.set_leg(
                conn,
                lease.case_id,
                leg.leg_no,
                state=LegState.BLOCKED,
                next_try_at=None,
                code=leg.code or rule,
                evidence={**leg.evidence, "blocked_at": locked.now.isoformat()},
            )
        await cases.set_part(conn, lease.case_id, part.part_no, state=PartState.REVIEW, rule=rule)
        clock = await start_round(conn, services, locked.case, locked.now)
        await record(
            conn,
            lease.case_id,
            Event.NEEDS_PERSON,
            at=locked.now,
            data={"part": part.part_no, "leg": leg.leg_no, "kind": leg.kind, "rule": rule, "code": leg.code},
            rule=rule,
            respond_warn_at=clock.warn_at,
            respond_due_at=clock.due_at,
            is_new_round=True,
        )
        await settle_stroke(conn, lease.case_id)


def _why(leg: Leg) -> str:
    """The rule a person reads."""
    if leg.state is LegState.PLANNED:
        return "merchant_halted"
    if leg.kind is LegKind.HOLD_SHIPMENT:
        return "hold_refused" if leg.code.startswith("refused") else "hold_unanswered"
    if leg.kind is LegKind.RECALL_PARCEL:
        return "recall_failed"
    for code in ("needs_funds", "abnormal", "refused"):
        if leg.code.startswith(code):
            return f"{leg.kind}_{code}"
    return f"{leg.kind}_unfinished"


async def decide(services: Services, principal: Principal, case_id: str, verdict: Verdict) -> None:
    """Carries a person's decision into the plan. Raises Refusal; nothing is written then."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, case_id, token=None)
        authorise(principal, Scope.CASES_DECIDE, merchant_id=locked.case.merchant_id, order_id=locked.order.order_id)
        require_hold(locked.case, principal, locked.now)
        _require_fresh(locked, verdict)
        require(locked.case.state is State.REVIEW, "not_in_review", state=locked.case.state)
        data: dict[str, object] = {"choice": verdict.choice, "reason": verdict.reason_code}
        if verdict.note:
            key = await privacy.keep_private(
                conn,
                services.vault,
                locked.order.order_id,
                {"note": verdict.note},
                wrapped_key=locked.row.wrapped_key,
                case_id=case_id,
            )
            data["note"] = privacy.commit_to(verdict.note, key=key)
        if verdict.choice is Choice.ANSWER:
            await _answer(conn, locked, principal, data)
            return
        if verdict.choice is not Choice.DECLINE and needs_agreement(locked.case.channel, locked.order):
            require(locked.case.has_buyer_agreed, "buyer_must_agree")
        parts = _chosen_parts(locked.case, verdict)
        for part in parts:
            await decide_part(conn, locked, part, verdict)
        data["parts"] = [part.part_no for part in parts]
        await conclude(conn, locked, principal, verdict, data, decided={part.part_no for part in parts})


def _require_fresh(locked: Locked, verdict: Verdict) -> None:
    require(
        locked.case.version == verdict.case_version and locked.order.version == verdict.order_version,
        "stale",
        case_version=locked.case.version,
        order_version=locked.order.version,
        state=locked.case.state,
        rule=locked.case.rule,
    )


def _chosen_parts(case: Case, verdict: Verdict) -> list[Part]:
    waiting = [part for part in case.parts if part.state is PartState.REVIEW]
    if verdict.part_no is not None:
        waiting = [part for part in waiting if part.part_no == verdict.part_no]
    require(bool(waiting), "nothing_to_decide")
    if verdict.choice is Choice.APPROVE_PART:
        require(len(waiting) == 1 and bool(verdict.lines), "name_one_part_and_its_lines")
    return waiting


async def _answer(conn: Connection, locked: Locked, principal: Principal, data: Mapping[str, object]) -> None:
    require(
        locked.case.kind is not Kind.CANCELLATION and not any(p.state is PartState.REVIEW for p in locked.case.parts),
        "only_for_questions",
    )
    await record(
        conn,
        locked.case.case_id,
        Event.ANSWERED,
        at=locked.now,
        actor=principal.actor,
        data=data,
        outcome=CaseOutcome.ANSWERED,
        first_human_at=locked.now,
        answered_at=locked.now,
        decided_at=locked.now,
        is_due_now=True,
    )


async def decide_part(conn: Connection, locked: Locked, part: Part, verdict: Verdict) -> None:
    """Carries the verdict into one part of a locked case."""
    has_left = any(leg.state in HAS_LEFT for leg in part.legs)
    match verdict.choice:
        case Choice.RETRY:
            await _retry(conn, locked, part)
        case Choice.DECLINE:
            require(not has_left or _only_unanswered_hold(part), "past_no_return", part=part.part_no)
            await _lay_back(conn, locked, part)
            await cases.set_part(conn, locked.case.case_id, part.part_no, state=PartState.DECLINED)
            await cases.close_lines(conn, locked.case.case_id, part_no=part.part_no)
        case Choice.APPROVE | Choice.RECALL | Choice.APPROVE_PART:
            require(not has_left or _only_unanswered_hold(part), "legs_unfinished", part=part.part_no)
            if _may_resume(part) and verdict.choice is Choice.APPROVE:
                await cases.set_part(
                    conn, locked.case.case_id, part.part_no, state=PartState.EXECUTING, is_decided=True
                )
                return
            if part.legs:
                await _lay_back(conn, locked, part)
                locked = await lock_both(conn, locked.case.case_id, token=None)
            if verdict.choice is Choice.APPROVE_PART:
                part = await _narrow(conn, locked, part, verdict.lines)
            await _start(conn, locked, part, verdict)
        case Choice.ANSWER:
            raise Refusal("only_for_questions")


def _only_unanswered_hold(part: Part) -> bool:
    """A hold that nobody answered is the one leg a person may give up: it has changed nothing that is known."""
    return all(leg.kind is LegKind.HOLD_SHIPMENT for leg in part.legs if leg.state in HAS_LEFT)


def _may_resume(part: Part) -> bool:
    """The hold came through after all, or only money is to go back: the plan goes on where it stood."""
    states = {leg.state for leg in part.legs}
    if not part.quantities:
        return LegState.PLANNED in states and not states & HAS_LEFT
    return LegState.SUCCEEDED in states and LegState.PLANNED in states and not states & HAS_LEFT


async def _retry(conn: Connection, locked: Locked, part: Part) -> None:
    blocked = [leg for leg in part.legs if leg.state is LegState.BLOCKED]
    require(bool(blocked), "nothing_to_retry", part=part.part_no)
    for leg in blocked:
        await cases.set_leg(
            conn,
            locked.case.case_id,
            leg.leg_no,
            state=LegState.UNKNOWN,
            next_try_at=locked.now,
            attempts=1,
            due_at=None,
            code="retried",
        )
    await cases.set_part(conn, locked.case.case_id, part.part_no, state=PartState.EXECUTING, is_decided=True)


async def _lay_back(conn: Connection, locked: Locked, part: Part) -> None:
    """Gives up legs that had no effect, the money set aside, the units spoken for."""
    case_id = locked.case.case_id
    if not part.legs or all(leg.state is LegState.RELEASED for leg in part.legs):
        return
    if any(leg.kind is LegKind.HOLD_SHIPMENT and leg.state is LegState.SUCCEEDED for leg in part.legs):
        await goods.unhold(conn, locked.order, case_id, part, locked.now)
    for leg in part.legs:
        if leg.state is not LegState.SUCCEEDED:
            await cases.set_leg(conn, case_id, leg.leg_no, state=LegState.RELEASED, next_try_at=None)
    await tasks.withdraw_tasks(conn, case_id, part.part_no)
    await locks.lock_payments(conn, [leg.target for leg in part.legs if leg.amount_minor > 0])
    await money.release_refunds(conn, case_id, part.part_no)
    await cases.give_back_units(conn, locked.order.order_id, part.quantities)
    await goods.untake_from_parcel(conn, locked.order, part)


async def _narrow(conn: Connection, locked: Locked, part: Part, lines: Mapping[LineId, int]) -> Part:
    """Keeps the named units in the part and declines the rest of it."""
    for line_id, units in lines.items():
        require(0 < units <= part.quantities.get(line_id, 0), "quantity_too_large", line=line_id)
    rest = {line_id: units - lines.get(line_id, 0) for line_id, units in part.quantities.items()}
    rest = {line_id: units for line_id, units in rest.items() if units > 0}
    require(bool(rest), "name_one_part_and_its_lines")
    await cases.split_part(conn, locked.case.case_id, part.part_no, keep=lines, rest=rest)
    return replace(part, quantities=dict(lines))


def plan_of_part(order: Order, quantities: Mapping[LineId, int]) -> PartPlan:
    """The part as it would be planned now. Refuses when meanwhile it is no longer one part."""
    plans = partition(order, quantities)
    require(len(plans) == 1, "order_changed", parts=len(plans))
    return plans[0]


async def _start(conn: Connection, locked: Locked, part: Part, verdict: Verdict) -> None:
    """Plans the part as the order is now, sets its money aside and lets the loop carry it out."""
    case_id, order = locked.case.case_id, locked.order
    plan = plan_of_part(order, part.quantities)
    is_recall = plan.stage in ON_THE_WAY
    if verdict.choice is Choice.RECALL:
        require(is_recall and plan.shipment is not None, "no_parcel_to_recall", stage=plan.stage)
    refund_on = verdict.refund_on or part.refund_on
    shipment_id = plan.shipment.shipment_id if plan.shipment else ""
    await locks.lock_payments(conn, [share.payment_id for share in plan.amounts.shares])
    await cases.plan_part(
        conn,
        case_id,
        part.part_no,
        kind=plan.kind,
        shipment_id=shipment_id,
        stage=plan.stage,
        refund_on=refund_on,
        returned_minor=plan.amounts.returned_minor,
        completes_order=plan.completes_order,
    )
    await cases.take_units(conn, order.order_id, part.quantities)
    await goods.take_from_parcel(conn, order, replace(part, shipment_id=shipment_id))
    await money.reserve_refunds(
        conn,
        order_id=order.order_id,
        case_id=case_id,
        part_no=part.part_no,
        currency=order.currency,
        shares=plan.amounts.shares,
    )
    await cases.add_legs(conn, case_id, part.part_no, build_legs(order, plan, refund_on=refund_on))


async def conclude(
    conn: Connection,
    locked: Locked,
    principal: Principal,
    verdict: Verdict,
    data: Mapping[str, object],
    *,
    decided: set[int],
) -> None:
    """The event of the decision. Other parts may still wait; a pure decline ends the case."""
    others = [part for part in locked.case.parts if part.part_no not in decided]
    still_waiting = any(part.state is PartState.REVIEW for part in others)
    running = any(part.state in {PartState.EXECUTING, PartState.DONE} for part in others)
    outcome = None
    if still_waiting:
        event = Event.PART_DECIDED
    elif verdict.choice is Choice.DECLINE and running:
        event = Event.REST_CONTINUES
    elif verdict.choice is Choice.DECLINE:
        event, outcome = Event.DECLINED, CaseOutcome.DECLINED
    else:
        event = Event.APPROVED
    await record(
        conn,
        locked.case.case_id,
        event,
        at=locked.now,
        actor=principal.actor,
        data=data,
        outcome=outcome,
        first_human_at=locked.now,
        answered_at=None if still_waiting else locked.now,
        decided_at=locked.now,
        is_due_now=True,
    )


async def withdraw(services: Services, principal: Principal, case_id: str) -> None:
    """The buyer changes their mind, as long as nothing has left."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, case_id, token=None)
        authorise(principal, Scope.CASES_REQUEST, merchant_id=locked.case.merchant_id, order_id=locked.order.order_id)
        await require_identity(conn, principal, locked.order.order_id)
        await withdraw_locked(conn, locked, principal)


async def withdraw_locked(conn: Connection, locked: Locked, principal: Principal) -> None:
    """The same for a case that the caller has locked."""
    case_id = locked.case.case_id
    require(locked.case.state is State.REVIEW, "past_no_return", state=locked.case.state)
    require(
        all(part.state is PartState.REVIEW and not _has_effect(part) for part in locked.case.parts),
        "past_no_return",
        state=locked.case.state,
    )
    for part in locked.case.parts:
        await _lay_back(conn, locked, part)
        await cases.set_part(conn, case_id, part.part_no, state=PartState.WITHDRAWN)
    await cases.close_lines(conn, case_id)
    await record(
        conn,
        case_id,
        Event.WITHDRAWN,
        at=locked.now,
        actor=principal.actor,
        data={},
        outcome=CaseOutcome.WITHDRAWN,
        decided_at=locked.now,
        is_due_now=True,
    )


def _has_effect(part: Part) -> bool:
    return any(leg.state in HAS_LEFT or leg.state is LegState.SUCCEEDED for leg in part.legs)
