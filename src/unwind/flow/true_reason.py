"""The reason an agent finds out stands beside the one that was stated; neither overwrites the other."""

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.errors import Refusal, require
from unwind.domain.transitions import Event, State
from unwind.flow.chronicle import clock, record
from unwind.flow.services import Services
from unwind.storage import cases, locks


async def set_true_reason(services: Services, principal: Principal, case_id: str, reason: str) -> None:
    """May be corrected while the case is open; every word of it stays in the history."""
    async with services.database.transaction() as conn:
        await locks.lock_case(conn, case_id)
        row = await cases.read_case_row(conn, case_id)
        if row is None:
            raise Refusal("not_found")
        authorise(principal, Scope.CASES_DECIDE, merchant_id=row["merchant_id"], order_id=row["order_id"])
        require(row["state"] != State.ARCHIVED, "case_sealed")
        if row["true_reason"] == reason:
            return
        await cases.set_true_reason(conn, case_id, reason)
        data = {"reason": reason, "stated": row["stated_reason"], "was": row["true_reason"] or ""}
        await record(conn, case_id, Event.TRUE_REASON_SET, at=await clock(conn), actor=principal.actor, data=data)
