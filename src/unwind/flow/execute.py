"""Step 4: carry out legs. Every outside leg makes the same five moves:

    claim the intent row (fixed number, fixed amount) - commit - call - record what came of it - commit.

A leg that has left is never sent again before the other side was asked for it by its own number. Only the holder of the case's lease
gets to write, so a worker that slept past its lease cannot undo what another has done.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from unwind.domain.case import Case, Leg, Part
from unwind.domain.errors import Refusal, ensure
from unwind.domain.legs import FINAL, LegKind, LegState
from unwind.domain.next_step import CASH_AT_COUNTER, SWITCHED_OFF
from unwind.domain.order import Order, ReturnsAs
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.domain.terms import Settler
from unwind.domain.transitions import Event
from unwind.flow import aftermath, calls, goods
from unwind.flow.chronicle import record
from unwind.flow.health import is_answer
from unwind.flow.services import Services
from unwind.storage import alerts, benefits, cases, locks, money, orders, returns, tasks
from unwind.storage.database import Connection

CALL_TIMEOUT_S = 10
CAN_WAIT = frozenset({LegKind.REFUND, LegKind.CLOSE_PAYMENT, LegKind.CANCEL_ORDER, LegKind.AMEND_ORDER})
"""Money and the shop wait for a connection that is down; goods do not."""
AFTER_BAD_NEWS = timedelta(minutes=1)
NUMBERS_MAX = 5
"""Dead numbers in a row before a person looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    case_id: str
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """A case and its order, both locked by the transaction that reads them."""

    case: Case
    row: orders.OrderRow
    now: datetime

    @property
    def order(self) -> Order:
        return self.row.order

    def part_of(self, leg: Leg) -> Part:
        return next(part for part in self.case.parts if part.part_no == leg.part_no)


async def lock_both(conn: Connection, case_id: str, *, token: int | None) -> Locked:
    """Order before case (`locks.py`), then a reading of both as they are now."""
    head = await cases.read_head(conn, case_id)
    if head is None:
        raise Refusal("not_found")
    order_id = head["order_id"]
    await locks.lock_order(conn, order_id)
    await locks.lock_case(conn, case_id, lease_token=token)
    case = await cases.read_case(conn, case_id)
    row = await orders.read_order(conn, order_id)
    if case is None or row is None:
        raise locks.LeaseLost(case_id)
    return Locked(case=case, row=row, now=row.now)


async def note(conn: Connection, locked: Locked, event: Event, data: Mapping[str, object]) -> None:
    """Appends one fact to the history of a locked case."""
    await record(conn, locked.case.case_id, event, at=locked.now, data=data)


async def perform(services: Services, legs: Sequence[Leg], lease: Lease) -> None:
    """Legs of one rank: ours in one transaction, the others side by side, each by its own five moves."""
    local = [leg for leg in legs if leg.is_local]
    if local:
        await _perform_local(services, local, lease)
    await asyncio.gather(*(_carry_out(services, leg, lease) for leg in legs if not leg.is_local))


async def ask(services: Services, legs: Sequence[Leg], lease: Lease) -> None:
    """Legs that have left: ask, and only where the other side never heard of the number, send again."""
    await asyncio.gather(*(_carry_out(services, leg, lease) for leg in legs))


async def _perform_local(services: Services, legs: Sequence[Leg], lease: Lease) -> None:
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, lease.case_id, token=lease.token)
        for leg in legs:
            if locked.case.is_off(leg.kind, ""):
                await _park(conn, locked, leg, **_until_switched_on(services, locked, leg))
                continue
            found = await _local_effect(conn, locked, leg)
            evidence = {**leg.evidence, **found}
            await cases.set_leg(
                conn, lease.case_id, leg.leg_no, state=LegState.SUCCEEDED, next_try_at=None, evidence=evidence
            )
            said = {"leg": leg.leg_no, "kind": leg.kind, "state": "succeeded", **found}
            await note(conn, locked, Event.LEG_RECORDED, said)


async def _local_effect(conn: Connection, locked: Locked, leg: Leg) -> Mapping[str, int]:
    """Makes it true in our own books. Returns what is worth keeping of it."""
    part = locked.part_of(leg)
    case_id = locked.case.case_id
    match leg.kind:
        case LegKind.HOLD_SHIPMENT:
            await goods.hold(conn, locked.order, case_id, part, locked.now)
        case LegKind.RELEASE_STOCK:
            await goods.put_back(conn, locked.order, case_id, part, locked.now)
        case LegKind.RESTORE_BENEFIT if leg.target.startswith("benefit:"):
            await goods.restore_benefit(conn, locked.order, leg.target.removeprefix("benefit:"), locked.now)
        case LegKind.CLAW_BACK_BENEFIT:
            return await goods.claw_back(conn, locked.order, leg.target.removeprefix("benefit:"), leg.amount_minor)
        case LegKind.RESTORE_BENEFIT:
            await _restore_payment(conn, locked, leg)
        case LegKind.CANCEL_ORDER | LegKind.AMEND_ORDER:
            await goods.close_order(conn, locked.order, is_complete=leg.kind is LegKind.CANCEL_ORDER, now=locked.now)
        case _:
            ensure(False, f"{leg.kind} is never done in our own transaction")  # noqa: FBT003
    return {}


async def _restore_payment(conn: Connection, locked: Locked, leg: Leg) -> None:
    """A share paid from the shop's own books goes back there: to the buyer's account, or to that of whoever gave it."""
    payment = next(p for p in locked.order.payments if p.payment_id == leg.target)
    refund = await money.live_refund(
        conn, case_id=locked.case.case_id, part_no=leg.part_no, payment_id=payment.payment_id
    )
    if refund is not None and refund.state == "reserved":
        await money.book_without_gateway(conn, refund.refund_id, how="own_books")
        if payment.returns_as is ReturnsAs.VOID:
            return  # it was worth something for this order only
        holder = locked.order.buyer_ref if payment.returns_as is not ReturnsAs.TO_FUNDER else payment.funder
        account = f"{payment.method}:{holder}"
        await benefits.credit(conn, account=account, kind=payment.method, amount=leg.amount_minor)


async def _carry_out(services: Services, leg: Leg, lease: Lease) -> None:
    call = await _claim(services, leg, lease)
    if call is None:
        return
    party = calls.party_of(services, call)
    try:
        async with asyncio.timeout(CALL_TIMEOUT_S):
            outcome = await _ask_then_send(party, call)
    except TimeoutError:
        outcome = Outcome(kind=OutcomeKind.UNKNOWN, code="timeout")
    now = await _record(services, call, outcome, lease)
    await services.health.note(services.database, calls.connection_of(call), outcome, subject=lease.case_id, now=now)


async def _ask_then_send(party: object, call: calls.Call) -> Outcome:
    """A refund is asked for before its first sending too: after a restore the gateway may know more than we do."""
    if call.has_left or call.leg.kind is LegKind.REFUND:
        known = await calls.query(party, call)
        if known.kind is not OutcomeKind.NOT_FOUND:
            return known
    if not call.may_send:
        return Outcome(kind=OutcomeKind.UNKNOWN, code=SWITCHED_OFF)
    return await calls.send(party, call)


async def _claim(services: Services, leg: Leg, lease: Lease) -> calls.Call | None:
    """Stores number, amount and intent. None when there is nothing to call: a task was opened, or an adopted refund found."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, lease.case_id, token=lease.token)
        await locks.renew_lease(conn, lease.case_id, lease.token)
        fresh = next(g for part in locked.case.parts for g in part.legs if g.leg_no == leg.leg_no)
        if fresh.state in FINAL:
            return None  # a person was faster
        number, amount = fresh.number, fresh.amount_minor
        call = calls.Call(case=locked.case, leg=fresh, order=locked.order, number=number, amount_minor=amount)
        call = replace(call, may_send=not locked.case.is_off(fresh.kind, calls.connection_of(call)))
        if not call.may_send and fresh.state is LegState.PLANNED:
            await _park(conn, locked, fresh, **_until_switched_on(services, locked, fresh))
            return None
        if calls.party_of(services, call) is None:
            await _open_task(conn, services, locked, call)
            return None
        later = await _not_before(conn, services, locked, call)
        if later is not None:
            await _park(conn, locked, fresh, **later)
            return None
        numbered = await _give_number(conn, locked, fresh)
        if numbered is None:
            return None
        number, numbered_at = numbered
        if fresh.state is LegState.PLANNED:
            if fresh.kind is LegKind.REFUND:
                await money.mark_sent(conn, number)
            due_at = None if fresh.code == SWITCHED_OFF else fresh.due_at
            await cases.set_leg(
                conn,
                lease.case_id,
                leg.leg_no,
                state=LegState.CLAIMED,
                number=number,
                due_at=due_at or locked.now + _patience(services, locked.order, fresh, LegState.CLAIMED),
            )
            await note(
                conn,
                locked,
                Event.LEG_CLAIMED,
                {"leg": leg.leg_no, "kind": leg.kind, "number": number, "amount_minor": amount},
            )
        return replace(call, number=number, numbered_at=numbered_at)


async def _not_before(conn: Connection, services: Services, locked: Locked, call: calls.Call) -> dict[str, Any] | None:
    """When the call may go, and why not now: its connection is down, or a refund of the same payment has just left.

    Goods do not wait for a connection: their clocks are short, and a person is asked when they strike.
    """
    leg = call.leg
    if leg.kind in CAN_WAIT and not _has_waited_long(services, locked, leg):
        until = services.health.waits_until(calls.connection_of(call), locked.now)
        if until is not None:
            return {"until": until, "code": "connection_down"}
    if leg.kind is LegKind.REFUND and leg.state is LegState.PLANNED:
        gateway = services.gateways[call.payment.connection]
        last = await money.last_sent_at(conn, leg.target)
        until = None if last is None else last + timedelta(seconds=gateway.spacing_s)
        if until is not None and until > locked.now:
            return {"until": until, "code": "spaced"}
    return None


def _has_waited_long(services: Services, locked: Locked, leg: Leg) -> bool:
    since = leg.evidence.get("parked_at")
    return since is not None and locked.now - datetime.fromisoformat(str(since)) > services.pace.parked


def _until_switched_on(services: Services, locked: Locked, leg: Leg) -> dict[str, Any]:
    """It is looked at now and then; after the usual patience a person hears of it."""
    since = datetime.fromisoformat(str(leg.evidence.get("parked_at") or locked.now.isoformat()))
    return {
        "until": locked.now + services.pace.longest_retry,
        "code": SWITCHED_OFF,
        "due_at": since + services.pace.parked,
    }


async def _park(
    conn: Connection, locked: Locked, leg: Leg, *, until: datetime, code: str, due_at: datetime | None = None
) -> None:
    """The leg stays as it is and is looked at later; patience with a doubt begins anew once it can be asked again."""
    parked_at = leg.evidence.get("parked_at") or locked.now.isoformat()
    await cases.set_leg(
        conn,
        locked.case.case_id,
        leg.leg_no,
        next_try_at=until,
        due_at=due_at,
        code=code,
        evidence=dict(leg.evidence) if code == "spaced" else {**leg.evidence, "parked_at": parked_at},
    )
    if leg.code != code:
        await note(
            conn, locked, Event.LEG_RECORDED, {"leg": leg.leg_no, "kind": leg.kind, "state": leg.state, "code": code}
        )


async def _give_number(conn: Connection, locked: Locked, leg: Leg) -> tuple[str, datetime | None] | None:
    """The fixed number of the call, and of a refund when it was given. None when the gateway's own earlier refund has settled the leg."""
    if leg.kind is not LegKind.REFUND:
        return leg.number or calls.fixed_number(locked.case, leg), None
    refund = await money.live_refund(conn, case_id=locked.case.case_id, part_no=leg.part_no, payment_id=leg.target)
    ensure(refund is not None, "a refund leg has its money set aside")
    assert refund is not None  # noqa: S101 - for the type checker; ensured above
    if refund.refund_no:
        return refund.refund_no, refund.numbered_at
    if refund.state == "reserved":
        return await money.number_refund(conn, refund)
    await cases.set_leg(conn, locked.case.case_id, leg.leg_no, state=LegState.SUCCEEDED, code="adopted")
    data = {"leg": leg.leg_no, "kind": leg.kind, "state": "succeeded", "code": "adopted"}
    await note(conn, locked, Event.LEG_RECORDED, data)
    return None


async def _open_task(conn: Connection, services: Services, locked: Locked, call: calls.Call) -> None:
    """No connector: a person outside carries the leg out and brings evidence."""
    leg, audience = call.leg, calls.audience_of(call)
    is_cash = leg.kind is LegKind.REFUND and audience == "store"
    due = locked.now + (services.pace.counter if is_cash else services.pace.task)
    if leg.kind is LegKind.HOLD_SHIPMENT and audience == "store":
        due = locked.now + services.pace.hand_back
    elif leg.kind is LegKind.HOLD_SHIPMENT:
        due = locked.now + timedelta(seconds=locked.order.merchant.hold_timeout_s)
    at_hand = calls.at_hand_of(call)
    if at_hand:
        due = locked.now + services.pace.at_hand
    elif leg.kind is LegKind.REVERSE_INVOICE:
        due = locked.now + services.pace.invoice
    elif audience == "platform":
        due = max(locked.now, min(due, locked.order.terms.platform_deadline_at or due))
    code = {"code": CASH_AT_COUNTER} if is_cash else {"code": at_hand} if at_hand else {}
    task_id = await tasks.open_task(
        conn, case_id=locked.case.case_id, leg_no=leg.leg_no, audience=audience, opened_at=locked.now, due_at=due
    )
    await cases.set_leg(
        conn, locked.case.case_id, leg.leg_no, state=LegState.TASK, due_at=due, next_try_at=None, **code
    )
    await note(
        conn, locked, Event.LEG_CLAIMED, {"leg": leg.leg_no, "kind": leg.kind, "task": task_id, "audience": audience}
    )


async def _record(services: Services, call: calls.Call, outcome: Outcome, lease: Lease) -> datetime:
    """Writes what came of a call, with everything that follows from it, in one fenced transaction. Returns when."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, lease.case_id, token=lease.token)
        fresh = next(leg for part in locked.case.parts for leg in part.legs if leg.leg_no == call.leg.leg_no)
        if fresh.state in FINAL or (fresh.state is LegState.BLOCKED and "by" in fresh.evidence):
            return locked.now  # while we asked, a person has brought the answer
        await record_outcome(conn, services, locked, replace(call, leg=fresh), outcome)
        if outcome.alert:
            await alerts.raise_alert(
                conn,
                connection=calls.connection_of(call),
                kind=outcome.alert,
                code=outcome.code,
                case_id=lease.case_id,
            )
        return locked.now


async def record_outcome(
    conn: Connection, services: Services, locked: Locked, call: calls.Call, outcome: Outcome
) -> None:
    """The leg's new state and its effects. Also used for the answers people bring to tasks."""
    leg = call.leg
    if leg.kind is LegKind.REFUND and _is_another(call, outcome):
        await _adopt(conn, locked, call, outcome.amount_minor or 0)
        return
    if leg.kind is LegKind.REFUND and outcome.kind is OutcomeKind.NEEDS_NEW_NUMBER and leg.attempts < NUMBERS_MAX:
        await _renumber(conn, locked, call, state="dead", adopted_minor=0)
        return
    state, code = _state_after(outcome)
    if state is LegState.SUCCEEDED:
        await _effects(conn, services, locked, call, outcome)
    waits = state in {LegState.ACCEPTED, LegState.UNKNOWN}
    delay = services.pace.after(leg.attempts)
    if outcome.retry_after_s is not None:
        delay = max(delay, timedelta(seconds=outcome.retry_after_s))
    due_at = leg.due_at
    if waits and (state is not leg.state or due_at is None):
        due_at = locked.now + _patience(services, locked.order, leg, state)
    is_answered = is_answer(outcome)
    evidence = {name: value for name, value in leg.evidence.items() if name != "parked_at" or not is_answered}
    await cases.set_leg(
        conn,
        locked.case.case_id,
        leg.leg_no,
        state=state,
        attempts=leg.attempts + 1,
        next_try_at=locked.now + delay if waits else None,
        due_at=due_at if waits else None,
        code=code,
        evidence={
            **evidence,
            **outcome.evidence,
            **({"reference": outcome.reference} if outcome.reference else {}),
            **({"blocked_at": locked.now.isoformat()} if state is LegState.BLOCKED else {}),
        },
    )
    if state is not leg.state or code != leg.code:
        await note(
            conn,
            locked,
            Event.LEG_RECORDED,
            {"leg": leg.leg_no, "kind": leg.kind, "state": state, "code": code, "amount_minor": call.amount_minor},
        )


def _state_after(outcome: Outcome) -> tuple[LegState, str]:
    match outcome.kind:
        case OutcomeKind.SUCCEEDED:
            return LegState.SUCCEEDED, outcome.code
        case OutcomeKind.PROCESSING:
            return LegState.ACCEPTED, outcome.code
        case OutcomeKind.UNKNOWN | OutcomeKind.RETRY_SAME_NUMBER | OutcomeKind.NOT_FOUND:
            return LegState.UNKNOWN, outcome.code or outcome.kind.value
        case _:
            return LegState.BLOCKED, outcome.kind.value + (f":{outcome.code}" if outcome.code else "")


def _patience(services: Services, order: Order, leg: Leg, state: LegState) -> timedelta:
    """How long a leg may stay undecided before a person is asked. Not long once word has come that nothing will come of it."""
    if "told_failed_at" in leg.evidence:
        return AFTER_BAD_NEWS
    if leg.kind is LegKind.HOLD_SHIPMENT:
        return timedelta(seconds=order.merchant.hold_timeout_s)
    if state is not LegState.ACCEPTED:
        return services.pace.doubt
    return services.pace.carrier if leg.kind is LegKind.RECALL_PARCEL else services.pace.gateway


def _is_another(call: calls.Call, outcome: Outcome) -> bool:
    """The gateway holds this number with another amount: a refund from before a restore."""
    moved = {OutcomeKind.SUCCEEDED, OutcomeKind.PROCESSING, OutcomeKind.ABNORMAL}
    return outcome.kind in moved and outcome.amount_minor is not None and outcome.amount_minor != call.amount_minor


async def _adopt(conn: Connection, locked: Locked, call: calls.Call, found_minor: int) -> None:
    await _renumber(conn, locked, call, state="adopted", adopted_minor=found_minor)


async def _renumber(conn: Connection, locked: Locked, call: calls.Call, *, state: str, adopted_minor: int) -> None:
    """Books what the gateway holds under this number and plans the leg again under the next one."""
    leg = call.leg
    refund = await money.live_refund(conn, case_id=locked.case.case_id, part_no=leg.part_no, payment_id=leg.target)
    if refund is None:
        return
    amount = await money.replace_refund(conn, refund, state=state, adopted_minor=adopted_minor)
    columns: dict[str, object] = {"number": "", "attempts": leg.attempts + 1, "code": state, "due_at": None}
    if amount > 0:
        columns |= {"state": LegState.PLANNED, "amount_minor": amount, "next_try_at": None}
    else:
        columns |= {"state": LegState.SUCCEEDED, "next_try_at": None}
    await cases.set_leg(conn, locked.case.case_id, leg.leg_no, **columns)
    await note(
        conn,
        locked,
        Event.LEG_RECORDED,
        {"leg": leg.leg_no, "kind": leg.kind, "state": state, "number": call.number, "adopted_minor": adopted_minor},
    )


async def _effects(conn: Connection, services: Services, locked: Locked, call: calls.Call, outcome: Outcome) -> None:
    """What a finished leg makes true in our own books."""
    leg, order, case_id = call.leg, locked.order, locked.case.case_id
    part = locked.part_of(leg)
    match leg.kind:
        case LegKind.HOLD_SHIPMENT:
            await goods.hold(conn, order, case_id, part, locked.now)
        case LegKind.RECALL_PARCEL:
            await goods.recall(conn, order, case_id, part, locked.now)
        case LegKind.RECEIVE_RETURN:
            by = str(outcome.evidence.get("by", ""))
            if not await returns.finish(conn, case_id, leg.leg_no, at=locked.now, by=by):
                await goods.take_in(conn, order, case_id, part, locked.now)
        case LegKind.REFUND | LegKind.RESTORE_BENEFIT:
            await _book_refund(conn, locked, leg)
        case LegKind.CANCEL_ORDER | LegKind.AMEND_ORDER:
            await goods.close_order(conn, order, is_complete=leg.kind is LegKind.CANCEL_ORDER, now=locked.now)
        case LegKind.CLOSE_PAYMENT if outcome.code == "paid_meanwhile":
            await money.set_payment_state(conn, leg.target, state="captured", captured_minor=outcome.amount_minor)
            await aftermath.open_late_payment(conn, services, order.order_id, parent_case_id=case_id)
        case LegKind.CLOSE_PAYMENT:
            await money.set_payment_state(conn, leg.target, state="closed")
        case _:
            pass


async def _book_refund(conn: Connection, locked: Locked, leg: Leg) -> None:
    """The money is with the buyer; or, where no gateway is behind it, the entitlement is."""
    refund = await money.live_refund(conn, case_id=locked.case.case_id, part_no=leg.part_no, payment_id=leg.target)
    if refund is None:
        return
    if leg.kind is LegKind.REFUND and refund.refund_no:
        await money.finish_refund(conn, refund.refund_id)
    else:
        by_hand = "platform" if locked.order.terms.settled_by is Settler.PLATFORM else "off_line"
        how = by_hand if leg.kind is LegKind.REFUND else "own_books"
        await money.book_without_gateway(conn, refund.refund_id, how=how)
