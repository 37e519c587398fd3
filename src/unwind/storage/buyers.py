"""A buyer's record at one merchant, counted when somebody looks."""

from unwind.domain.buyer_record import NOT_THE_BUYERS_FAULT, BuyerRecord
from unwind.storage.database import Connection


async def read_record(conn: Connection, order_id: str) -> BuyerRecord | None:
    """Of the buyer of this order. Only cases whose reason is the buyer's own count."""
    cursor = await conn.execute(
        """
        WITH me AS (SELECT order_id, merchant_id, buyer_ref FROM orders WHERE order_id = %(order)s),
        theirs AS (
            SELECT o.order_id, o.placed_at, o.is_paid FROM orders o JOIN me USING (merchant_id, buyer_ref)
            WHERE o.placed_at > unwind_now() - interval '90 days'),
        counted AS (
            SELECT c.case_id, t.order_id, t.is_paid, t.placed_at FROM theirs t JOIN cases c USING (order_id)
            WHERE c.kind = 'cancellation' AND c.fault = ''
              AND NOT coalesce(nullif(c.true_reason, ''), c.reason) = ANY(%(not_theirs)s)),
        ended AS (SELECT n.* FROM counted n JOIN cases c USING (case_id) WHERE c.outcome IN ('cancelled', 'partly_cancelled'))
        SELECT
            (SELECT count(*) FROM theirs WHERE is_paid AND placed_at > unwind_now() - interval '30 days') AS paid_orders_30,
            (SELECT count(DISTINCT order_id) FROM ended WHERE is_paid AND placed_at > unwind_now() - interval '30 days')
                AS paid_cancelled_30,
            (SELECT count(*) FROM theirs WHERE is_paid) AS paid_orders_90,
            (SELECT count(DISTINCT order_id) FROM ended WHERE is_paid) AS paid_cancelled_90,
            (SELECT count(DISTINCT n.order_id) FROM ended n JOIN order_lines l USING (order_id)
                WHERE NOT n.is_paid AND l.pool <> 'normal') AS unpaid_limited,
            (SELECT count(*) FROM counted n JOIN shipments s USING (order_id) WHERE s.reported_stage = 'refused') AS refusals,
            (SELECT count(*) FROM counted n JOIN legs g USING (case_id) WHERE g.kind = 'recall_parcel' AND g.number <> '')
                AS recalls,
            (SELECT count(DISTINCT o.buyer_ref) FROM blind_index mine JOIN blind_index b USING (kind, digest)
                JOIN orders o ON o.order_id = b.order_id JOIN me ON me.merchant_id = o.merchant_id
                WHERE mine.order_id = me.order_id AND mine.kind = 'phone' AND o.buyer_ref <> me.buyer_ref)
                AS other_buyers_same_phone
        FROM me
        """,
        {"order": order_id, "not_theirs": sorted(NOT_THE_BUYERS_FAULT)},
    )
    row = await cursor.fetchone()
    return None if row is None else BuyerRecord(**row)
