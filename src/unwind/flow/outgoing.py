"""What is true of a case when somebody writes to its buyer. Offers, declines and answers are read against this before they go out."""

from unwind.storage import money, shipments
from unwind.storage.database import Connection
from unwind.tagging.outgoing import OutgoingFacts, check_outgoing

__all__ = ["check_outgoing", "outgoing_facts"]


async def outgoing_facts(conn: Connection, *, case_id: str, order_id: str) -> OutgoingFacts:
    """Final means what the gateway has said (I12): every refund of the case, and at least one."""
    refunds = await money.refunds_of_case(conn, case_id)
    parcels = await shipments.parcels_of(conn, order_id)
    numbers = {order_id, case_id, *(row["refund_no"] for row in refunds)}
    numbers |= {parcel[name] for parcel in parcels for name in ("waybill_no", "return_waybill_no")}
    return OutgoingFacts(
        is_refund_final=bool(refunds) and all(row["state"] == "final" for row in refunds),
        numbers=frozenset(numbers - {""}),
    )
