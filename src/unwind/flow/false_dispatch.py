"""Called shipped, and no carrier has picked it up in time: the merchant's fault, found by itself (RULES: goods)."""

from unwind.domain.transitions import Event
from unwind.flow.chronicle import record
from unwind.flow.services import Services
from unwind.storage import alerts, cases, false_dispatches, locks
from unwind.storage.database import Connection

PARCELS_MAX = 50
PRIORITY = 80
ALERT = "false_dispatch"


async def find_false_dispatches(services: Services, *, parcels_max: int = PARCELS_MAX) -> bool:
    """One bounded batch, a transaction per parcel. True when there may be more."""
    async with services.database.connection() as conn:
        due = await false_dispatches.due_parcels(conn, parcels_max=parcels_max)
    for parcel in due:
        async with services.database.transaction() as conn:
            await _find(conn, parcel["order_id"], parcel["shipment_id"])
    return len(due) == parcels_max


async def _find(conn: Connection, order_id: str, shipment_id: str) -> None:
    """On the open cases of the order, whose priority it raises; where there is none, an alert for the operators."""
    await locks.lock_order(conn, order_id)
    open_cases = await cases.open_cases_of(conn, order_id)
    for case_id in open_cases:
        await locks.lock_case(conn, case_id)
    found = await false_dispatches.find(conn, order_id, shipment_id, case_id=open_cases[0] if open_cases else None)
    if found is None:
        return
    for case_id in open_cases:
        head = await cases.read_head(conn, case_id)
        if head is None or head["state"] == "archived":
            continue
        await false_dispatches.blame_merchant(conn, case_id)
        data = {"parcel": shipment_id, "due_at": found["due_at"].isoformat(), "fault": "merchant"}
        await record(
            conn, case_id, Event.FALSE_DISPATCH, at=found["found_at"], data=data, priority=PRIORITY, is_due_now=True
        )
    if not open_cases:
        await alerts.raise_alert(conn, connection=found["carrier"], kind=ALERT, code=found["merchant_id"])
