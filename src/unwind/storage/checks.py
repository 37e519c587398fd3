"""The invariants as read-only queries (docs/reliability.md). Each returns one row per finding: what, where, whose."""

from collections.abc import AsyncIterator
from typing import Any

from unwind.storage.database import Connection

CHECKS: dict[str, tuple[str, str]] = {
    "I1": (
        "the balance of a payment is what its refunds say, and never more than was captured",
        """
        SELECT p.payment_id AS subject, o.merchant_id
        FROM payments p
        LEFT JOIN LATERAL (
            SELECT coalesce(sum(amount_minor) FILTER (WHERE state = 'reserved'), 0) AS reserved,
                coalesce(sum(amount_minor) FILTER (WHERE state = 'sent'), 0) AS sent,
                coalesce(sum(amount_minor) FILTER (WHERE state = 'final'), 0) AS final,
                coalesce(sum(adopted_minor) FILTER (WHERE state = 'adopted'), 0) AS adopted
            FROM refunds r WHERE r.payment_id = p.payment_id) r ON true
        LEFT JOIN LATERAL (
            SELECT merchant_id FROM order_payments op JOIN orders USING (order_id)
            WHERE op.payment_id = p.payment_id LIMIT 1) o ON true
        WHERE p.reserved_minor <> r.reserved OR p.sent_minor <> r.sent OR p.final_minor <> r.final
           OR p.elsewhere_minor < r.adopted
           OR p.reserved_minor + p.sent_minor + p.final_minor + p.elsewhere_minor > p.captured_minor
        """,
    ),
    "I2": (
        "one live refund per payment and part, and a final one behind every finished refund leg",
        """
        SELECT g.case_id || '/' || g.leg_no AS subject, c.merchant_id
        FROM legs g JOIN cases c USING (case_id)
        WHERE g.kind = 'refund' AND g.state = 'succeeded' AND g.code <> 'adopted' AND g.number <> '' AND NOT EXISTS (
            SELECT FROM refunds r WHERE r.case_id = g.case_id AND r.part_no = g.part_no AND r.payment_id = g.target
              AND r.state = 'final' AND r.refund_no = g.number AND r.amount_minor = g.amount_minor)
        UNION ALL
        SELECT r.payment_id || '#' || r.n, o.merchant_id FROM refunds r JOIN orders o USING (order_id)
        WHERE r.n > (SELECT last_n FROM payments p WHERE p.payment_id = r.payment_id)
        """,
    ),
    "I4": (
        "units add up: buckets of a line and units of a pool are the sums of the ledger",
        """
        WITH moved AS (
            SELECT order_id, line_id, bucket, sum(units) AS units FROM (
                SELECT order_id, line_id, target AS bucket, units FROM stock_moves
                UNION ALL SELECT order_id, line_id, source, -units FROM stock_moves) m
            GROUP BY order_id, line_id, bucket
        ), held AS (
            SELECT l.order_id, l.line_id, b.bucket, b.units FROM order_lines l, LATERAL (VALUES
                ('reserved', l.reserved), ('held', l.held), ('shipped', l.shipped), ('recalled', l.recalled),
                ('quarantine', l.quarantine), ('restocked', l.restocked), ('lost', l.lost), ('delivered', l.delivered)
            ) AS b(bucket, units)
        )
        SELECT h.order_id || '/' || h.line_id || ' ' || h.bucket AS subject, o.merchant_id
        FROM held h JOIN orders o USING (order_id) LEFT JOIN moved m USING (order_id, line_id, bucket)
        WHERE h.units <> coalesce(m.units, 0)
        UNION ALL
        SELECT s.sku || '/' || s.location || '/' || s.pool, NULL FROM stock s
        WHERE s.available <> (
            SELECT coalesce(sum(CASE WHEN m.target IN ('restocked', 'free') THEN m.units WHEN m.source = 'free' THEN -m.units
                ELSE 0 END), 0)
            FROM stock_moves m WHERE (m.sku, m.location, m.pool) = (s.sku, s.location, s.pool))
        """,
    ),
    "I5": (
        "no unit is both delivered and refunded without a named person or an aftermath case",
        """
        SELECT l.order_id || '/' || l.line_id AS subject, o.merchant_id
        FROM order_lines l JOIN orders o USING (order_id)
        WHERE l.delivered > l.quantity - l.taken_units
          AND EXISTS (SELECT FROM refunds r WHERE r.order_id = l.order_id AND r.state IN ('sent', 'final'))
          AND NOT EXISTS (SELECT FROM cases c WHERE c.order_id = l.order_id
              AND (c.kind = 'aftermath' OR c.first_human_at IS NOT NULL OR c.state = 'review'))
        """,
    ),
    "I6": (
        "every open case has a wake-up that is not overdue",
        """
        SELECT case_id AS subject, merchant_id FROM cases
        WHERE state <> 'archived' AND (next_check_at IS NULL OR (next_check_at < unwind_now() - interval '60 s'
            AND (lease_until IS NULL OR lease_until < unwind_now() - interval '60 s')))
        """,
    ),
    "I7": (
        "a line that a case takes back is held by that case alone, and by no closed one",
        """
        SELECT o.order_id || '/' || o.line_id AS subject, c.merchant_id FROM open_lines o JOIN cases c USING (case_id)
        WHERE c.state = 'archived'
        UNION ALL
        SELECT l.order_id || '/' || l.line_id, c.merchant_id
        FROM case_lines l JOIN case_parts p USING (case_id, part_no) JOIN cases c USING (case_id)
        WHERE c.state <> 'archived' AND p.state IN ('executing', 'review') AND NOT EXISTS (
            SELECT FROM open_lines o WHERE o.order_id = l.order_id AND o.line_id = l.line_id AND o.case_id = l.case_id)
        """,
    ),
    "I8": (
        "a case stands where its last event put it",
        """
        SELECT c.case_id AS subject, c.merchant_id FROM cases c
        LEFT JOIN case_events e ON e.case_id = c.case_id AND e.seq = c.event_seq
        WHERE e.to_state IS DISTINCT FROM c.state OR e.hash IS DISTINCT FROM c.head
        """,
    ),
    "I12": (
        "nobody was told of a refund that is not final",
        """
        SELECT m.message_id AS subject, c.merchant_id FROM messages m JOIN cases c USING (case_id)
        WHERE m.fact LIKE 'refund_done%' AND EXISTS (
            SELECT FROM legs g WHERE g.case_id = m.case_id AND g.kind = 'refund' AND g.state NOT IN ('succeeded', 'released')
              AND g.part_no = split_part(m.fact, ':', 2)::integer)
        """,
    ),
    "I13": (
        "a number that was sent is never given up without an answer",
        """
        SELECT r.refund_no AS subject, o.merchant_id FROM refunds r JOIN orders o USING (order_id)
        WHERE r.state = 'released' AND r.n IS NOT NULL
        """,
    ),
    "I14": (
        "a refund has the currency of its payment",
        """
        SELECT r.refund_id::text AS subject, o.merchant_id
        FROM refunds r JOIN payments p USING (payment_id) JOIN orders o USING (order_id)
        WHERE r.currency <> p.currency
        """,
    ),
    "parcels": (
        "units on the road are those that parcels have on the road",
        """
        SELECT l.order_id || '/' || l.line_id AS subject, o.merchant_id
        FROM order_lines l JOIN orders o USING (order_id)
        WHERE l.shipped + l.recalled <> (
            SELECT coalesce(sum(s.quantity - s.landed_units), 0) FROM shipment_lines s
            WHERE (s.order_id, s.line_id) = (l.order_id, l.line_id) AND s.left_units > 0)
        """,
    ),
    "consent": (
        "nobody gets back less than they paid without having agreed to exactly that, and nothing kept is forgotten",
        """
        SELECT p.case_id || '/' || p.part_no AS subject, c.merchant_id FROM case_parts p JOIN cases c USING (case_id)
        WHERE p.kept_minor + p.lost_minor > 0 AND NOT (c.channel = 'timeout' AND p.verdict = 'auto') AND NOT EXISTS (
            SELECT FROM questions q WHERE q.case_id = p.case_id AND q.kind = 'consent' AND q.state = 'agreed'
              AND (q.subject->>'kept_minor')::bigint = p.kept_minor + p.lost_minor)
        UNION ALL
        SELECT o.order_id, o.merchant_id FROM orders o
        WHERE o.kept_minor > 0 AND o.kept_minor <> (
            SELECT coalesce(sum(p.kept_minor), 0) FROM case_parts p JOIN cases c USING (case_id) WHERE c.order_id = o.order_id)
        UNION ALL
        SELECT p.case_id || '/' || p.part_no, c.merchant_id
        FROM case_parts p JOIN cases c USING (case_id) JOIN orders o USING (order_id)
        WHERE p.kept_minor > o.kept_minor
        """,
    ),
    "payouts": (
        "money by another way was agreed by two people, and no account outlives its proposal",
        """
        SELECT q.proposal_id AS subject, q.merchant_id FROM payout_proposals q
        WHERE q.state = 'agreed' AND q.closed_by = q.proposed_by
        UNION ALL
        SELECT r.refund_id::text, o.merchant_id FROM refunds r JOIN orders o USING (order_id)
        WHERE r.state = 'final' AND r.n IS NOT NULL AND r.how IN ('off_line', 'other_account', 'merchant_account') AND NOT EXISTS (
            SELECT FROM payout_proposals q JOIN legs g USING (case_id, leg_no)
            WHERE q.case_id = r.case_id AND q.way = CASE r.how WHEN 'off_line' THEN 'off_line' ELSE 'other_account' END AND q.state = 'agreed' AND g.part_no = r.part_no AND g.target = r.payment_id)
        UNION ALL
        SELECT d.field, o.merchant_id FROM private_data d JOIN orders o USING (order_id)
        WHERE d.field LIKE 'payee.%' AND NOT EXISTS (
            SELECT FROM payout_proposals q WHERE 'payee.' || q.proposal_id = d.field AND q.state = 'open')
        """,
    ),
    "erasure": (
        "of an order whose key has been destroyed there is no key",
        """
        SELECT e.order_id AS subject, o.merchant_id FROM erasures e JOIN orders o USING (order_id)
        WHERE e.erased_at IS NOT NULL AND EXISTS (SELECT FROM order_keys k WHERE k.order_id = e.order_id)
        """,
    ),
    "archive": (
        "a sealed case has nothing unfinished",
        """
        SELECT g.case_id || '/' || g.leg_no AS subject, c.merchant_id FROM legs g JOIN cases c USING (case_id)
        WHERE c.state = 'archived' AND g.state NOT IN ('succeeded', 'released', 'waived')
        """,
    ),
}
FINDINGS_MAX = 100


async def run_check(conn: Connection, name: str) -> list[dict[str, Any]]:
    cursor = await conn.execute(f"{CHECKS[name][1]} LIMIT {FINDINGS_MAX}")
    return await cursor.fetchall()


async def histories(conn: Connection, *, batch: int = 2000) -> AsyncIterator[dict[str, Any]]:
    """Every case with its events in order, a batch at a time."""
    after = ""
    while True:
        cursor = await conn.execute(
            """
            SELECT c.case_id, c.merchant_id, c.head, (
                SELECT jsonb_agg(jsonb_build_array(e.seq, e.at, e.from_state, e.event, e.to_state, e.actor, e.data,
                    encode(e.hash, 'hex')) ORDER BY e.seq) FROM case_events e WHERE e.case_id = c.case_id) AS events
            FROM cases c WHERE c.case_id > %s ORDER BY c.case_id LIMIT %s
            """,
            (after, batch),
        )
        rows = await cursor.fetchall()
        for row in rows:
            yield row
        if len(rows) < batch:
            return
        after = rows[-1]["case_id"]


async def halt_merchant(conn: Connection, merchant_id: str) -> None:
    """No new refund of this merchant starts by itself; requests are still taken and go to a person."""
    await conn.execute(
        "UPDATE merchants SET halted_at = coalesce(halted_at, unwind_now()) WHERE merchant_id = %s", (merchant_id,)
    )
