"""Parcels that were called shipped although no carrier has them."""

from typing import Any

from unwind.storage.database import Connection

DUE = """
SELECT order_id, shipment_id FROM shipments
WHERE pickup_due_at <= unwind_now() AND pickup_due_at IS NOT NULL AND picked_up_at IS NULL
ORDER BY pickup_due_at LIMIT %(max)s
"""


async def due_parcels(conn: Connection, *, parcels_max: int) -> list[dict[str, Any]]:
    """The longest overdue first, by a partial index: parcels that were picked up, or found before, are not in it."""
    cursor = await conn.execute(DUE, {"max": parcels_max}, prepare=True)
    return await cursor.fetchall()


async def find(conn: Connection, order_id: str, shipment_id: str, *, case_id: str | None) -> dict[str, Any] | None:
    """Books it, once. The order is locked by the caller. None where it has been picked up meanwhile, or is no longer called shipped."""
    cursor = await conn.execute(
        """
        WITH due AS (
            SELECT s.order_id, s.shipment_id, s.carrier, s.pickup_due_at, s.reported_stage, o.merchant_id
            FROM shipments s JOIN orders o USING (order_id)
            WHERE s.order_id = %(order)s AND s.shipment_id = %(parcel)s AND s.picked_up_at IS NULL AND s.pickup_due_at <= unwind_now()
            FOR NO KEY UPDATE OF s
        ), done AS (
            UPDATE shipments s SET pickup_due_at = NULL FROM due
            WHERE s.order_id = due.order_id AND s.shipment_id = due.shipment_id
        ), booked AS (
            INSERT INTO false_dispatches (order_id, shipment_id, merchant_id, due_at, found_at, case_id)
            SELECT order_id, shipment_id, merchant_id, pickup_due_at, unwind_now(), %(case)s FROM due
            WHERE reported_stage IN ('handed_over', 'in_transit', 'at_pickup_point', 'out_for_delivery')
            ON CONFLICT DO NOTHING RETURNING order_id, shipment_id, found_at)
        SELECT due.carrier, due.merchant_id, due.pickup_due_at AS due_at, booked.found_at FROM due JOIN booked USING (order_id, shipment_id)
        """,
        {"order": order_id, "parcel": shipment_id, "case": case_id},
    )
    return await cursor.fetchone()


async def newest(conn: Connection, *, merchant_id: str | None, rows_max: int) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        """
        SELECT f.order_id, f.shipment_id, f.merchant_id, f.due_at, f.found_at, f.case_id, s.carrier, s.waybill_no, s.reported_stage,
            s.handed_over_at, s.picked_up_at
        FROM false_dispatches f JOIN shipments s USING (order_id, shipment_id)
        WHERE %(m)s::text IS NULL OR f.merchant_id = %(m)s ORDER BY f.found_at DESC, f.order_id, f.shipment_id LIMIT %(n)s
        """,
        {"m": merchant_id, "n": rows_max},
    )
    return await cursor.fetchall()


async def blame_merchant(conn: Connection, case_id: str) -> None:
    """A case at the merchant's fault is never counted against the buyer."""
    await conn.execute("UPDATE cases SET fault = 'merchant' WHERE case_id = %s", (case_id,))
