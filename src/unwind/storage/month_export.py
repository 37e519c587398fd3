"""The rows of a month's export, read through a cursor so that however many there are they are never all in memory.

A month is that of each row's own shop: from its first midnight there to the next month's. Differences of bills belong to a provider; theirs is
the month of Beijing.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from unwind.storage.database import Connection

BATCH_ROWS = 1000
ZONES_SPAN = timedelta(hours=14)
"""No time zone is further from UTC: what lies outside belongs to the month nowhere."""

OF_SHOP = "(%(merchant)s::text IS NULL OR m.merchant_id = %(merchant)s)"


def _within(column: str) -> str:
    """In the month of the row's shop; the first two conditions are for the index."""
    return f"""
    {column} >= %(low)s AND {column} < %(high)s
    AND {column} >= %(first)s::timestamp AT TIME ZONE m.time_zone AND {column} < %(next)s::timestamp AT TIME ZONE m.time_zone
    """


_IN_BEIJING = """
{column} >= %(first)s::timestamp AT TIME ZONE 'Asia/Shanghai' AND {column} < %(next)s::timestamp AT TIME ZONE 'Asia/Shanghai'
"""
_VOUCHER = """
coalesce((SELECT g.evidence->>'reference' FROM legs g WHERE g.case_id = r.case_id AND g.part_no = r.part_no
    AND g.target = r.payment_id AND g.kind = 'refund' LIMIT 1), '')
"""

# Adopted refunds count when they were found; the row that a later case makes of one is the same money.
STATEMENTS: Final[Mapping[str, str]] = {
    "refunds": f"""
        SELECT r.case_id, r.order_id, m.merchant_id, r.payment_id, p.connection, p.trade_no, r.refund_no,
            coalesce(r.adopted_minor, r.amount_minor) AS amount_minor, r.currency, r.state, r.how, r.sent_at, r.final_at,
            CASE WHEN r.how = 'off_line' THEN {_VOUCHER} ELSE '' END AS reference, m.time_zone
        FROM refunds r JOIN payments p USING (payment_id) JOIN orders o ON o.order_id = r.order_id
            JOIN merchants m ON m.merchant_id = o.merchant_id
        WHERE {OF_SHOP} AND {_within("r.final_at")}
          AND ((r.state = 'final' AND r.how <> 'adopted') OR r.state IN ('adopted', 'assigned'))
        UNION ALL
        SELECT r.case_id, r.order_id, m.merchant_id, r.payment_id, p.connection, p.trade_no, r.refund_no, r.amount_minor, r.currency,
            'sent', 'pending', r.sent_at, NULL, '', m.time_zone
        FROM refunds r JOIN payments p USING (payment_id) JOIN orders o ON o.order_id = r.order_id
            JOIN merchants m ON m.merchant_id = o.merchant_id
        WHERE {OF_SHOP} AND {_within("r.sent_at")} AND r.state = 'sent'
        UNION ALL
        SELECT NULL, o.order_id, m.merchant_id, p.payment_id, d.connection, d.trade_no, d.refund_no, d.theirs_minor, p.currency,
            'final', 'elsewhere', NULL, d.closed_at, d.reference, m.time_zone
        FROM bill_differences d JOIN payments p ON (p.connection, p.trade_no) = (d.connection, d.trade_no)
            JOIN orders o ON o.order_id = (SELECT min(op.order_id) FROM order_payments op WHERE op.payment_id = p.payment_id)
            JOIN merchants m ON m.merchant_id = o.merchant_id
        WHERE {OF_SHOP} AND {_within("d.closed_at")} AND d.resolution = 'book_elsewhere'
    """,  # noqa: S608 - conditions from code
    "costs": f"""
        SELECT t.case_id, c.order_id, m.merchant_id, t.fee, t.amount_minor, t.currency, t.bearer,
            CASE WHEN t.settled_at IS NOT NULL THEN 'settled' WHEN k.state = 'written_off' THEN 'written_off' ELSE 'open' END AS standing,
            t.noted_at, t.noted_by, t.reference, t.proof, t.settled_at, t.settled_by, t.settlement_reference, k.claim_id, m.time_zone
        FROM case_costs t JOIN cases c USING (case_id) JOIN merchants m ON m.merchant_id = c.merchant_id
            LEFT JOIN carrier_claims k ON (k.case_id, k.cost_n) = (t.case_id, t.n)
        WHERE {OF_SHOP} AND {_within("t.noted_at")} AND t.withdrawn_at IS NULL
    """,  # noqa: S608 - conditions from code
    "claims": f"""
        SELECT k.claim_id, k.case_id, c.order_id, m.merchant_id, k.carrier, k.waybill_no, k.reason, k.amount_minor, k.paid_minor,
            k.currency, k.state, k.opened_at, l.at AS moved_at, k.due_at, coalesce(l.reference, '') AS reference, m.time_zone
        FROM carrier_claims k JOIN cases c USING (case_id) JOIN merchants m ON m.merchant_id = k.merchant_id
            LEFT JOIN LATERAL (SELECT at, reference FROM carrier_claim_moves v WHERE v.claim_id = k.claim_id ORDER BY v.n DESC LIMIT 1) l
                ON true
        WHERE {OF_SHOP} AND (({_within("k.opened_at")}) OR EXISTS (
            SELECT FROM carrier_claim_moves v WHERE v.claim_id = k.claim_id AND {_within("v.at")}))
    """,  # noqa: S608 - conditions from code
    "differences": f"""
        SELECT d.difference_id, d.connection, d.day, d.kind, d.trade_no, d.refund_no, d.ours_minor, d.theirs_minor,
            coalesce(p.currency, 'CNY') AS currency, d.case_id, o.order_id, d.opened_at, d.closed_at, d.closed_by, d.resolution,
            d.reference, coalesce(m.time_zone, 'Asia/Shanghai') AS time_zone
        FROM bill_differences d LEFT JOIN payments p ON (p.connection, p.trade_no) = (d.connection, d.trade_no)
            LEFT JOIN orders o ON o.order_id = (SELECT min(op.order_id) FROM order_payments op WHERE op.payment_id = p.payment_id)
            LEFT JOIN merchants m ON m.merchant_id = o.merchant_id
        WHERE {OF_SHOP} AND ((d.day >= %(first)s AND d.day < %(next)s) OR ({_IN_BEIJING.format(column="d.closed_at")}))
    """,  # noqa: S608 - conditions from code
    "compensations": f"""
        SELECT g.case_id, c.order_id, m.merchant_id, g.amount_minor, o.currency, g.ended_at, coalesce(g.evidence->>'by', t.answered_by) AS by,
            coalesce(g.evidence->>'reference', '') AS reference, m.time_zone
        FROM legs g JOIN cases c USING (case_id) JOIN orders o ON o.order_id = c.order_id
            JOIN merchants m ON m.merchant_id = c.merchant_id LEFT JOIN tasks t USING (case_id, leg_no)
        WHERE {OF_SHOP} AND g.kind = 'compensate' AND g.state = 'succeeded' AND {_within("g.ended_at")}
    """,  # noqa: S608 - conditions from code
    "red_letters": f"""
        SELECT g.case_id, c.order_id, m.merchant_id, g.state, g.amount_minor, o.currency, coalesce(t.opened_at, c.opened_at) AS opened_at,
            t.due_at, g.ended_at, coalesce(g.evidence->>'by', t.answered_by) AS by, coalesce(g.evidence->>'reference', '') AS reference,
            m.time_zone
        FROM legs g JOIN cases c USING (case_id) JOIN orders o ON o.order_id = c.order_id
            JOIN merchants m ON m.merchant_id = c.merchant_id LEFT JOIN tasks t USING (case_id, leg_no)
        WHERE {OF_SHOP} AND g.kind = 'reverse_invoice' AND g.state <> 'released'
          AND c.opened_at < %(next)s::timestamp AT TIME ZONE m.time_zone
          AND (g.ended_at IS NULL OR g.ended_at >= %(first)s::timestamp AT TIME ZONE m.time_zone)
    """,  # noqa: S608 - conditions from code
}


async def rows_of(
    conn: Connection, name: str, *, first: date, following: date, merchant_id: str | None
) -> AsyncIterator[list[dict[str, Any]]]:
    """Batches of at most `BATCH_ROWS`, in the order in which the database finds them. Within a transaction."""
    given = {
        "first": first,
        "next": following,
        "low": _utc(first) - ZONES_SPAN,
        "high": _utc(following) + ZONES_SPAN,
        "merchant": merchant_id,
    }
    async with conn.cursor(name=f"export_{name}") as cursor:
        await cursor.execute(STATEMENTS[name], given)
        while batch := await cursor.fetchmany(BATCH_ROWS):
            yield batch


def _utc(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


async def has_begun(conn: Connection, first: date, merchant_id: str | None) -> bool | None:
    """Whether the month has begun, for the shop or for any of them. None: there is no such shop."""
    cursor = await conn.execute(
        """
        SELECT bool_or(unwind_now() >= %(first)s::timestamp AT TIME ZONE m.time_zone) AS begun
        FROM merchants m WHERE %(merchant)s::text IS NULL OR m.merchant_id = %(merchant)s
        """,
        {"first": first, "merchant": merchant_id},
    )
    row = await cursor.fetchone()
    return row["begun"] if row else None
