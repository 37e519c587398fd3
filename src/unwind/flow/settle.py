"""Step 6: accepted is not refunded. A case leaves here only when every leg of every part that runs is final."""

from unwind.domain.case import CaseOutcome, PartState
from unwind.domain.transitions import Event
from unwind.flow.chronicle import record
from unwind.flow.execute import Lease, lock_both
from unwind.flow.services import Services
from unwind.storage import cases


async def move_on(services: Services, event: Event, lease: Lease) -> None:
    """`performed`: everything is sent. `settled`: everything is final, and the outcome of the case is known."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, lease.case_id, token=lease.token)
        outcome = None
        if event is Event.SETTLED:
            for part in locked.case.parts:
                if part.state is PartState.EXECUTING:
                    await cases.set_part(conn, lease.case_id, part.part_no, state=PartState.DONE)
            is_complete = locked.order.is_cancelled
            outcome = CaseOutcome.CANCELLED if is_complete else CaseOutcome.PARTLY_CANCELLED
        await record(conn, lease.case_id, event, at=locked.now, data={}, outcome=outcome)
