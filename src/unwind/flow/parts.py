"""What a ruling does to the parts it is about: laid back, planned anew from the order as it is now, and set going.

    locked case and order -> chosen parts -> each laid back and planned -> legs, money and units set aside -> the plan that was written

The plan that is shown before anybody clicks is this one, carried out in a transaction that is given up (`review.rehearse`): there is no
second way to work it out, so what is shown, agreed to, approved and done cannot differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from unwind.domain.access import Principal
from unwind.domain.case import Case, Leg, Part, PartState, RefundOn, Way
from unwind.domain.decisions import TAKES_BACK, Choice, PlannedPart, Ruling
from unwind.domain.errors import Refusal, require
from unwind.domain.legs import HAS_LEFT, SPECS, LegKind, LegState
from unwind.domain.order import LineId, Order
from unwind.domain.plan import LegDraft, PartPlan, build_legs, compensation_legs, keep_legs, partition, reprice
from unwind.domain.stage import ON_THE_WAY, Stage
from unwind.domain.transitions import Event
from unwind.flow import carrier_claims, goods
from unwind.flow.chronicle import record
from unwind.flow.execute import Locked, lock_both
from unwind.flow.note_costs import book_costs
from unwind.storage import cases, costs, locks, money, tasks
from unwind.storage.database import Connection

WAY_OF = {
    Choice.REFUSE_AT_DOOR: Way.REFUSE,
    Choice.RETURN: Way.RETURN,
    Choice.REDIRECT: Way.KEEP,
    Choice.KEEP: Way.KEEP,
}
"""Everything else stops the goods."""
PLANS_ANEW = TAKES_BACK - {Choice.RETRY}
CAN_COMPENSATE = PLANS_ANEW | {Choice.KEEP, Choice.REDIRECT}
CAN_BE_REFUSED = ON_THE_WAY
COMES_BACK_BY_THE_BUYER = frozenset({Way.REFUSE, Way.RETURN})
CAN_BE_SENT_BACK = frozenset({Stage.DELIVERED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What a ruling has written."""

    parts: tuple[PlannedPart, ...]
    chosen: tuple[Part, ...]
    """As they were before."""


async def carry_out(conn: Connection, locked: Locked, ruling: Ruling, *, by: str) -> Carried:
    """Writes the ruling into the parts it is about. Raises Refusal; the caller's transaction is then given up."""
    chosen = _chosen_parts(locked.case, ruling)
    require(len(chosen) == 1 or not (ruling.costs or ruling.compensation_minor), "name_one_part")
    require(ruling.kept_minor == 0 or ruling.choice in PLANS_ANEW, "nothing_to_keep_from")
    require(ruling.compensation_minor == 0 or ruling.choice in CAN_COMPENSATE, "nothing_to_compensate_with")
    planned = []
    for part in chosen:
        planned.append(await _rule_part(conn, locked, part, ruling))
        await book_costs(conn, locked, ruling.costs, part_no=part.part_no, reference=ruling.reason_code, by=by)
        if len(chosen) > 1:
            locked = await lock_both(conn, locked.case.case_id, token=None)
    return Carried(parts=tuple(planned), chosen=tuple(chosen))


def _chosen_parts(case: Case, ruling: Ruling) -> list[Part]:
    waiting = [part for part in case.parts if part.state is PartState.REVIEW]
    if ruling.part_no is not None:
        waiting = [part for part in waiting if part.part_no == ruling.part_no]
    require(bool(waiting), "nothing_to_decide")
    if ruling.choice is Choice.APPROVE_PART:
        require(len(waiting) == 1 and bool(ruling.lines), "name_one_part_and_its_lines")
    return waiting


async def _rule_part(conn: Connection, locked: Locked, part: Part, ruling: Ruling) -> PlannedPart:
    case_id = locked.case.case_id
    has_left = any(leg.state in HAS_LEFT for leg in part.legs)
    match ruling.choice:
        case Choice.RETRY:
            await _retry(conn, locked, part)
            return _as_it_stands(part)
        case Choice.DECLINE | Choice.HAND_ON:
            require(_may_be_given_up(part), "past_no_return", part=part.part_no)
            await lay_back(conn, locked, part)
            await cases.set_part(conn, case_id, part.part_no, state=PartState.DECLINED)
            await cases.close_lines(conn, case_id, part_no=part.part_no)
            return _nothing_back(part)
        case Choice.KEEP | Choice.REDIRECT:
            require(_may_be_given_up(part), "past_no_return", part=part.part_no)
            await lay_back(conn, locked, part)
            return await _keep(conn, locked, part, ruling)
        case Choice.ANSWER:
            raise Refusal("only_for_questions")
        case _:
            require(not has_left or _has_changed_nothing(part), "legs_unfinished", part=part.part_no)
            has_terms = bool(ruling.costs or ruling.compensation_minor)
            if _may_resume(part) and ruling.choice is Choice.APPROVE and not has_terms:
                await cases.set_part(conn, case_id, part.part_no, state=PartState.EXECUTING, is_decided=True)
                return _as_it_stands(part)
            if part.legs:
                await lay_back(conn, locked, part)
                locked = await lock_both(conn, case_id, token=None)
            if ruling.choice is Choice.APPROVE_PART:
                part = await _narrow(conn, locked, part, ruling.lines)
            return await _start(conn, locked, part, ruling)


def _as_it_stands(part: Part) -> PlannedPart:
    """The plan that was made before goes on."""
    return PlannedPart(
        part_no=part.part_no,
        way=part.way,
        stage=part.stage,
        refund_on=part.refund_on,
        lines=part.quantities,
        paid_minor=part.returned_minor + part.kept_minor + part.lost_minor,
        kept_minor=part.kept_minor,
        returned_minor=part.returned_minor,
        lost_minor=part.lost_minor,
        legs=tuple((leg.kind.value, leg.target, leg.amount_minor) for leg in _live(part.legs)),
    )


def _live(legs: Sequence[Leg]) -> list[Leg]:
    return [leg for leg in legs if leg.state is not LegState.RELEASED]


def _nothing_back(part: Part, legs: Sequence[LegDraft] = (), way: Way = Way.STOP) -> PlannedPart:
    return PlannedPart(
        part_no=part.part_no,
        way=way,
        stage=part.stage,
        refund_on=part.refund_on,
        lines=part.quantities,
        paid_minor=0,
        kept_minor=0,
        returned_minor=0,
        legs=tuple((leg.kind.value, leg.target, leg.amount_minor) for leg in legs),
    )


async def _keep(conn: Connection, locked: Locked, part: Part, ruling: Ruling) -> PlannedPart:
    """The order stays. Where something is to be done for it, the part runs; else it is finished."""
    redirect = part.shipment_id if ruling.choice is Choice.REDIRECT else None
    legs = keep_legs(redirect=redirect, compensation_minor=ruling.compensation_minor)
    if not legs:
        await cases.set_part(conn, locked.case.case_id, part.part_no, state=PartState.RETAINED, is_decided=True)
        await cases.close_lines(conn, locked.case.case_id, part_no=part.part_no)
        return _nothing_back(part, way=Way.KEEP)
    await cases.plan_part(
        conn,
        locked.case.case_id,
        part.part_no,
        kind=part.kind,
        shipment_id=part.shipment_id,
        stage=part.stage,
        refund_on=part.refund_on,
        returned_minor=0,
        completes_order=False,
        way=Way.KEEP,
    )
    await cases.add_legs(conn, locked.case.case_id, part.part_no, legs)
    return _nothing_back(part, legs, way=Way.KEEP)


def _has_changed_nothing(part: Part) -> bool:
    """What has left may be given up: a hold that nobody answered, or goods that were to come back and did not."""
    return all(
        leg.kind is LegKind.HOLD_SHIPMENT
        or (
            leg.kind is LegKind.RECEIVE_RETURN and part.way in COMES_BACK_BY_THE_BUYER and leg.state is LegState.BLOCKED
        )
        for leg in part.legs
        if leg.state in HAS_LEFT
    )


def _may_be_given_up(part: Part) -> bool:
    """Nothing is on its way, and nothing has been done that cannot be undone: a parcel recalled, a label voided, money returned."""
    is_undone = all(SPECS[leg.kind].is_reversible for leg in part.legs if leg.state is LegState.SUCCEEDED)
    return is_undone and _has_changed_nothing(part)


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


async def lay_back(conn: Connection, locked: Locked, part: Part) -> None:
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
    await carrier_claims.give_up_of_part(conn, case_id, part.part_no, locked.now)
    await costs.withdraw_costs(conn, case_id, part.part_no, locked.now)
    if part.way is Way.KEEP:
        return
    await cases.unkeep(conn, case_id, part.part_no)
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


def plan_of_part(order: Order, part: Part, *, keep_minor: int = 0, by_merchant: bool = False) -> PartPlan:
    """The part as it would be planned now. Refuses when meanwhile it is no longer one part."""
    plans = partition(order, part.quantities, parcel_first=part.shipment_id, by_merchant=by_merchant)
    require(len(plans) == 1, "order_changed", parts=len(plans))
    return reprice(order, [replace(plans[0], keep_minor=keep_minor)])[0] if keep_minor else plans[0]


async def _start(conn: Connection, locked: Locked, part: Part, ruling: Ruling) -> PlannedPart:
    """Plans the part as the order is now, sets its money aside and lets the loop carry it out."""
    case_id, order = locked.case.case_id, locked.order
    plan = plan_of_part(order, part, keep_minor=ruling.kept_minor, by_merchant=locked.case.by_merchant)
    way = WAY_OF.get(ruling.choice, Way.STOP)
    _require_possible(ruling.choice, plan)
    refund_on = RefundOn.GOODS_BACK if way is not Way.STOP else ruling.refund_on or part.refund_on
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
        way=way,
        kept_minor=ruling.kept_minor,
        lost_minor=plan.amounts.lost_minor,
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
    legs = (
        *build_legs(order, plan, refund_on=refund_on, way=way),
        *compensation_legs(ruling.compensation_minor),
    )
    await cases.add_legs(conn, case_id, part.part_no, legs)
    return PlannedPart(
        part_no=part.part_no,
        way=way,
        stage=plan.stage,
        refund_on=refund_on,
        lines=part.quantities,
        paid_minor=plan.amounts.paid_minor,
        kept_minor=ruling.kept_minor,
        returned_minor=plan.amounts.returned_minor,
        lost_minor=plan.amounts.lost_minor,
        legs=tuple((leg.kind.value, leg.target, leg.amount_minor) for leg in legs),
    )


async def continue_case(
    conn: Connection,
    locked: Locked,
    leg: Leg,
    principal: Principal,
    said: Mapping[str, object],
    *,
    is_due_now: bool = False,
) -> None:
    """The part of a leg that kept it waiting goes on; the case with it, unless other parts still wait for a person."""
    case_id = locked.case.case_id
    await cases.set_part(conn, case_id, leg.part_no, state=PartState.EXECUTING, is_decided=True)
    others_wait = any(part.state is PartState.REVIEW for part in locked.case.parts if part.part_no != leg.part_no)
    await record(
        conn,
        case_id,
        Event.PART_DECIDED if others_wait else Event.APPROVED,
        at=locked.now,
        actor=principal.actor,
        data=said,
        first_human_at=locked.now,
        answered_at=None if others_wait else locked.now,
        decided_at=locked.now,
        is_due_now=is_due_now,
    )


def _require_possible(choice: Choice, plan: PartPlan) -> None:
    """What the goods allow where they are."""
    if choice is Choice.RECALL:
        require(plan.stage in ON_THE_WAY and plan.shipment is not None, "no_parcel_to_recall", stage=plan.stage)
    if choice is Choice.REFUSE_AT_DOOR:
        require(plan.stage in CAN_BE_REFUSED, "nothing_to_refuse", stage=plan.stage)
    if choice is Choice.RETURN:
        require(plan.stage in CAN_BE_SENT_BACK, "nothing_to_send_back", stage=plan.stage)
