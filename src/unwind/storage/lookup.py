"""Finding orders. Every statement goes by an index; a test reads their plans on a filled table."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from unwind.storage.database import Connection

BY_ORDER = "SELECT order_id FROM orders WHERE order_id = %(value)s AND %(limit)s > 0"
BY_CASE = "SELECT order_id FROM cases WHERE case_id = %(value)s AND %(limit)s > 0"
BY_WAYBILL = """
    SELECT order_id FROM shipments WHERE waybill_no = %(value)s
    UNION SELECT order_id FROM shipments WHERE return_waybill_no = %(value)s AND return_waybill_no <> '' LIMIT %(limit)s
"""
BY_PERSON = """
    SELECT order_id FROM blind_index WHERE kind = %(kind)s AND digest = %(digest)s
    ORDER BY at DESC, order_id LIMIT %(limit)s
"""
BY_PERSON_OF_MERCHANT = """
    SELECT i.order_id FROM blind_index i JOIN orders o USING (order_id)
    WHERE i.kind = %(kind)s AND i.digest = %(digest)s AND o.merchant_id = %(merchant)s
    ORDER BY i.at DESC, i.order_id LIMIT %(limit)s
"""
BY_TAIL = """
    SELECT order_id FROM blind_index WHERE kind = %(kind)s AND digest = %(digest)s AND at >= %(since)s
    ORDER BY at DESC, order_id LIMIT %(limit)s
"""
BY_ORDER_TAIL = """
    SELECT order_id FROM orders
    WHERE merchant_id = %(merchant)s AND right(order_id, 6) = %(value)s AND placed_at >= %(since)s
    ORDER BY placed_at DESC, order_id LIMIT %(limit)s
"""

READ_HITS = """
SELECT o.order_id, o.merchant_id, m.name AS merchant, o.placed_at, o.released_stage, o.is_paid,
    o.cancelled_at IS NOT NULL AS is_cancelled,
    (SELECT coalesce(sum(l.quantity - l.taken_units), 0)::integer FROM order_lines l WHERE l.order_id = o.order_id) AS free_units,
    (SELECT jsonb_agg(jsonb_build_object('case_id', c.case_id, 'kind', c.kind, 'state', c.state, 'opened_at', c.opened_at,
            'contacts', c.contacts, 'respond_due_at', c.respond_due_at) ORDER BY c.opened_at DESC, c.case_id)
        FROM cases c WHERE c.order_id = o.order_id AND c.state <> 'archived') AS open_cases,
    (SELECT jsonb_agg(jsonb_build_object('stage', s.reported_stage, 'is_picked_up', s.picked_up_at IS NOT NULL,
            'moved_at', s.moved_at, 'feed_age_s', extract(epoch FROM %(now)s - s.fed_at)::bigint) ORDER BY s.shipment_id)
        FROM shipments s WHERE s.order_id = o.order_id) AS parcels,
    (SELECT d.ciphertext FROM private_data d WHERE d.order_id = o.order_id AND d.field = 'phone'
        AND NOT EXISTS (SELECT FROM erasures e WHERE e.order_id = o.order_id)
        ORDER BY d.private_id DESC LIMIT 1) AS phone,
    k.wrapped_key
FROM unnest(%(ids)s::text[]) WITH ORDINALITY AS w(order_id, place) JOIN orders o USING (order_id)
    JOIN merchants m ON m.merchant_id = o.merchant_id LEFT JOIN order_keys k ON k.order_id = o.order_id
WHERE %(merchant)s::text IS NULL OR o.merchant_id = %(merchant)s
ORDER BY w.place
"""


async def find_ids(conn: Connection, statement: str, **given: Any) -> list[str]:
    cursor = await conn.execute(statement, given, prepare=True)
    return [row["order_id"] for row in await cursor.fetchall()]


async def read_hits(
    conn: Connection, order_ids: Sequence[str], *, merchant_id: str | None, now: datetime
) -> list[dict[str, Any]]:
    """What may be shown before anybody's identity is checked; `phone` is still sealed."""
    cursor = await conn.execute(READ_HITS, {"ids": list(order_ids), "merchant": merchant_id, "now": now}, prepare=True)
    return await cursor.fetchall()


async def log_lookup(
    conn: Connection, *, at: datetime, principal_id: str, kind: str, merchant_id: str | None, hits: int
) -> None:
    await conn.execute(
        "INSERT INTO lookups (at, principal_id, kind, merchant_id, hits) VALUES (%s, %s, %s, %s, %s)",
        (at, principal_id, kind, merchant_id, hits),
        prepare=True,
    )


async def orders_behind(conn: Connection, *, orders_max: int) -> list[dict[str, Any]]:
    """Orders whose people were indexed before there were tails."""
    cursor = await conn.execute(
        """
        SELECT o.order_id, o.merchant_id FROM orders o WHERE o.order_id IN (
            SELECT DISTINCT order_id FROM (SELECT order_id FROM blind_index WHERE at IS NULL ORDER BY order_id LIMIT %s) AS b)
        ORDER BY o.order_id
        """,
        (orders_max,),
    )
    return await cursor.fetchall()
