"""Step 6: accepted is not refunded. A case leaves here only when every leg of every part that runs is final."""

from unwind.domain.case import CaseOutcome, Kind, PartState, RefundOn, Way
from unwind.domain.plan import build_legs, closing_part
from unwind.domain.transitions import Event
from unwind.flow import ratings
from unwind.flow.chronicle import record
from unwind.flow.execute import Lease, Locked, lock_both
from unwind.flow.services import Services
from unwind.storage import cases, locks, money
from unwind.storage.database import Connection


async def move_on(services: Services, event: Event, lease: Lease) -> None:
    """`performed`: everything is sent. `settled`: everything is final, and the outcome of the case is known."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, lease.case_id, token=lease.token)
        if event is Event.SETTLED and await _add_closing_part(conn, locked):
            return
        outcome = None
        if event is Event.SETTLED:
            for part in locked.case.parts:
                if part.state is PartState.EXECUTING:
                    ended = PartState.RETAINED if part.way is Way.KEEP else PartState.DONE
                    await cases.set_part(conn, lease.case_id, part.part_no, state=ended)
            outcome = _outcome(locked)
        await record(conn, lease.case_id, event, at=locked.now, data={}, outcome=outcome)
        if event is Event.SETTLED:
            await ratings.ask_if_due(conn, services, locked, outcome)


def _outcome(locked: Locked) -> CaseOutcome:
    """Kept where nothing at all was taken back."""
    running = [part for part in locked.case.parts if part.state is PartState.EXECUTING]
    if running and all(part.way is Way.KEEP for part in running):
        taken = any(part.state is PartState.DONE for part in locked.case.parts)
        return CaseOutcome.PARTLY_CANCELLED if taken else CaseOutcome.RETAINED
    return CaseOutcome.CANCELLED if locked.order.is_cancelled else CaseOutcome.PARTLY_CANCELLED


async def _add_closing_part(conn: Connection, locked: Locked) -> bool:
    """The case whose parts end last also returns what comes back only with the whole order. True when there was such a thing."""
    if locked.case.kind is not Kind.CANCELLATION:
        return False
    order, case_id = locked.order, locked.case.case_id
    plan = closing_part(order)
    if plan is None:
        return False
    part_no = max(part.part_no for part in locked.case.parts) + 1
    await locks.lock_payments(conn, [share.payment_id for share in plan.amounts.shares])
    await cases.add_closing_part(conn, case_id, part_no, returned_minor=plan.amounts.returned_minor)
    await money.reserve_refunds(
        conn,
        order_id=order.order_id,
        case_id=case_id,
        part_no=part_no,
        currency=order.currency,
        shares=plan.amounts.shares,
    )
    await cases.add_legs(conn, case_id, part_no, build_legs(order, plan, refund_on=RefundOn.RECALL_CONFIRMED))
    return True
