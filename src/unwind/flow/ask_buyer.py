"""The buyer is asked: that is an answer, so the respond clock stops; and the resolve clock stands still until they say something.

Whatever the buyer does on any channel ends the question (`contact.py`), and so does the end of the time they were given (`strike.py`).
"""

from datetime import datetime, timedelta

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.errors import require
from unwind.domain.transitions import Event, State
from unwind.flow.chronicle import record
from unwind.flow.clocks import settle_stroke, work_out_again
from unwind.flow.execute import lock_both
from unwind.flow.identity import require_identity
from unwind.flow.queue import require_hold
from unwind.flow.services import Services
from unwind.storage import cases, clocks
from unwind.storage.database import Connection


async def ask_buyer(services: Services, principal: Principal, case_id: str, *, reason_code: str, minutes: int) -> None:
    """`minutes`: how long the buyer has, by the plain clock. What is asked goes over the agent's own channel."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, case_id, token=None)
        authorise(principal, Scope.CASES_DECIDE, merchant_id=locked.case.merchant_id, order_id=locked.order.order_id)
        require(locked.case.state is State.REVIEW, "not_in_review", state=locked.case.state)
        require_hold(locked.case, principal, locked.now)
        require(locked.case.clocks is not None and locked.case.clocks.asked_until is None, "buyer_asked_already")
        now, until = locked.now, locked.now + timedelta(minutes=minutes)
        await clocks.begin_pause(conn, case_id, at=now, until=until, reason=reason_code, by=principal.actor)
        await work_out_again(conn, services, locked.case, now)
        await record(
            conn,
            case_id,
            Event.BUYER_ASKED,
            at=now,
            actor=principal.actor,
            data={"reason": reason_code, "until": until.isoformat()},
            first_human_at=now,
            answered_at=now,
            is_due_now=True,
        )
        await settle_stroke(conn, case_id)


async def note_answer(services: Services, principal: Principal, case_id: str) -> None:
    """The agent has the buyer's answer by telephone or chat, from somebody they have checked."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, case_id, token=None)
        authorise(principal, Scope.CASES_DECIDE, merchant_id=locked.case.merchant_id, order_id=locked.order.order_id)
        is_asked = locked.case.clocks is not None and locked.case.clocks.asked_until is not None
        require(locked.case.state is State.REVIEW and is_asked, "nobody_asked")
        await require_identity(conn, principal, locked.order.order_id)
        await end_question(conn, services, case_id, actor=principal.actor, at=locked.now)


async def end_question(conn: Connection, services: Services, case_id: str, *, actor: str, at: datetime) -> bool:
    """The buyer has said something; the resolve clock runs on. False when nothing was asked. The case row is locked."""
    if not await clocks.end_pause(conn, case_id, at):
        return False
    case = await cases.read_case(conn, case_id)
    if case is not None:
        await work_out_again(conn, services, case, at)
    await record(conn, case_id, Event.BUYER_ANSWERED, at=at, actor=actor, data={}, is_due_now=True)
    await settle_stroke(conn, case_id)
    return True
