"""Providers' bills, their rows, and the differences that people close."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from unwind.domain.bill import BillRow, Difference, OurPayment, OurRefund
from unwind.storage.database import Connection, to_json


async def replace_bill(conn: Connection, connection: str, day: date, rows: Sequence[BillRow]) -> None:
    """The rows of that day, instead of those it had. One loader at a time per connection."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", (connection,))
    await conn.execute("DELETE FROM bill_rows WHERE connection = %s AND day = %s", (connection, day))
    await conn.execute(
        """
        INSERT INTO bills (connection, day, loaded_at) VALUES (%s, %s, unwind_now())
        ON CONFLICT (connection, day) DO UPDATE SET loaded_at = excluded.loaded_at
        """,
        (connection, day),
    )
    document = [
        {"kind": r.kind, "trade_no": r.trade_no, "refund_no": r.refund_no, "amount_minor": r.amount_minor, "at": r.at}
        for r in rows
    ]
    await conn.execute(
        """
        INSERT INTO bill_rows (connection, day, kind, trade_no, refund_no, amount_minor, at)
        SELECT %s, %s, kind, trade_no, refund_no, amount_minor, at
        FROM jsonb_to_recordset(%s) AS r(kind text, trade_no text, refund_no text, amount_minor bigint, at timestamptz)
        """,
        (connection, day, to_json(document)),
    )


async def has_bill(conn: Connection, connection: str, day: date) -> bool:
    cursor = await conn.execute("SELECT FROM bills WHERE connection = %s AND day = %s", (connection, day))
    return await cursor.fetchone() is not None


async def our_refunds(conn: Connection, connection: str, refund_nos: Sequence[str]) -> dict[str, OurRefund]:
    cursor = await conn.execute(
        """
        SELECT r.refund_no, p.trade_no, coalesce(r.adopted_minor, r.amount_minor) AS amount_minor, r.state, r.case_id, r.how
        FROM refunds r JOIN payments p USING (payment_id) WHERE p.connection = %s AND r.refund_no = ANY(%s)
        """,
        (connection, list(refund_nos)),
    )
    return {row["refund_no"]: OurRefund(**row) for row in await cursor.fetchall()}


async def our_payments(conn: Connection, connection: str, trade_nos: Sequence[str]) -> dict[str, OurPayment]:
    cursor = await conn.execute(
        "SELECT trade_no, captured_minor, state FROM payments WHERE connection = %s AND trade_no = ANY(%s)",
        (connection, list(trade_nos)),
    )
    return {row["trade_no"]: OurPayment(**row) for row in await cursor.fetchall()}


async def refunds_not_on_bills(
    conn: Connection, connection: str, *, begins: datetime, ends: datetime, days: Sequence[date]
) -> list[OurRefund]:
    """Final refunds sent in that time that stand on none of these days' bills, though they should: what was paid off-line is on no bill."""
    cursor = await conn.execute(
        """
        SELECT r.refund_no, p.trade_no, r.amount_minor, r.state, r.case_id, r.how
        FROM refunds r JOIN payments p USING (payment_id)
        WHERE p.connection = %(connection)s AND r.state = 'final' AND r.how <> 'off_line' AND r.sent_at >= %(begins)s AND r.sent_at < %(ends)s
          AND NOT EXISTS (SELECT FROM bill_rows b WHERE b.connection = %(connection)s AND b.refund_no = r.refund_no
              AND b.day = ANY(%(days)s))
        ORDER BY r.refund_no
        """,
        {"connection": connection, "begins": begins, "ends": ends, "days": list(days)},
    )
    return [OurRefund(**row) for row in await cursor.fetchall()]


async def keep_differences(conn: Connection, connection: str, day: date, found: Sequence[Difference]) -> None:
    """Open differences of that bill that are no longer found are closed by it; new ones open; those that last stay as they are."""
    document = [
        {
            "kind": d.kind,
            "trade_no": d.trade_no,
            "refund_no": d.refund_no,
            "ours_minor": d.ours_minor,
            "theirs_minor": d.theirs_minor,
            "case_id": d.case_id,
        }
        for d in found
    ]
    await conn.execute(
        """
        UPDATE bill_differences d SET closed_at = unwind_now(), closed_by = 'system:unwind', resolution = 'no_longer_found'
        WHERE connection = %(connection)s AND day = %(day)s AND closed_at IS NULL AND NOT EXISTS (
            SELECT FROM jsonb_to_recordset(%(found)s) AS f(kind text, trade_no text, refund_no text)
            WHERE (f.kind, f.trade_no, f.refund_no) = (d.kind, d.trade_no, d.refund_no))
        """,
        {"connection": connection, "day": day, "found": to_json(document)},
    )
    await conn.execute(
        """
        INSERT INTO bill_differences (connection, day, kind, trade_no, refund_no, ours_minor, theirs_minor, case_id, opened_at)
        SELECT %(connection)s, %(day)s, kind, trade_no, refund_no, ours_minor, theirs_minor, case_id, unwind_now()
        FROM jsonb_to_recordset(%(found)s) AS f(kind text, trade_no text, refund_no text, ours_minor bigint,
            theirs_minor bigint, case_id text)
        ON CONFLICT (connection, day, kind, trade_no, refund_no) DO NOTHING
        """,
        {"connection": connection, "day": day, "found": to_json(document)},
    )


async def list_differences(
    conn: Connection,
    *,
    is_closed: bool = False,
    connection: str | None = None,
    kind: str | None = None,
    begins: date | None = None,
    ends: date | None = None,
    differences_max: int,
) -> list[dict[str, Any]]:
    """The oldest first, each with its order where we know one. `begins`, `ends`: days in Beijing, both included, on which a closed one was
    closed, and of whose bill an open one is."""
    cursor = await conn.execute(
        f"""
        SELECT d.difference_id, d.connection, d.day, d.kind, d.trade_no, d.refund_no, d.ours_minor, d.theirs_minor, d.case_id,
            d.opened_at, extract(epoch FROM coalesce(d.closed_at, unwind_now()) - d.opened_at)::integer AS age_s, p.payment_id,
            p.currency, d.closed_at, d.closed_by, d.resolution, d.reference,
            (SELECT min(order_id) FROM order_payments op WHERE op.payment_id = p.payment_id) AS order_id
        FROM bill_differences d LEFT JOIN payments p ON (p.connection, p.trade_no) = (d.connection, d.trade_no)
        WHERE {CLOSED_BETWEEN if is_closed else OPEN_OF_DAYS}
          AND (%(connection)s::text IS NULL OR d.connection = %(connection)s) AND (%(kind)s::text IS NULL OR d.kind = %(kind)s)
        ORDER BY {"d.closed_at" if is_closed else "d.opened_at"}, d.difference_id LIMIT %(n)s
        """,  # noqa: S608 - conditions from code
        {"connection": connection, "kind": kind, "begins": begins, "ends": ends, "n": differences_max},
    )
    return await cursor.fetchall()


OPEN_OF_DAYS = """
d.closed_at IS NULL AND d.day >= coalesce(%(begins)s::date, '-infinity') AND d.day <= coalesce(%(ends)s::date, 'infinity')
"""
CLOSED_BETWEEN = """
d.closed_at IS NOT NULL AND d.closed_at >= coalesce(%(begins)s::date::timestamp AT TIME ZONE 'Asia/Shanghai', '-infinity')
AND d.closed_at < coalesce((%(ends)s::date + 1)::timestamp AT TIME ZONE 'Asia/Shanghai', 'infinity')
"""


async def read_difference(conn: Connection, difference_id: int) -> dict[str, Any] | None:
    cursor = await conn.execute(
        """
        SELECT d.*, p.payment_id, (SELECT array_agg(order_id ORDER BY order_id) FROM order_payments op
            WHERE op.payment_id = p.payment_id) AS order_ids
        FROM bill_differences d LEFT JOIN payments p ON (p.connection, p.trade_no) = (d.connection, d.trade_no)
        WHERE d.difference_id = %s AND d.closed_at IS NULL FOR NO KEY UPDATE OF d
        """,
        (difference_id,),
    )
    return await cursor.fetchone()


async def close_difference(conn: Connection, difference_id: int, *, by: str, resolution: str, reference: str) -> None:
    await conn.execute(
        """
        UPDATE bill_differences SET closed_at = unwind_now(), closed_by = %s, resolution = %s, reference = %s
        WHERE difference_id = %s
        """,
        (by, resolution, reference, difference_id),
    )


async def book_elsewhere(conn: Connection, payment_id: str, amount_minor: int) -> bool:
    """Money that went back without us counts against what may still go back (I1). False where there is not so much left."""
    cursor = await conn.execute(
        """
        UPDATE payments SET elsewhere_minor = elsewhere_minor + %(amount)s
        WHERE payment_id = %(payment)s
          AND reserved_minor + sent_minor + final_minor + elsewhere_minor + %(amount)s <= captured_minor
        """,
        {"payment": payment_id, "amount": amount_minor},
    )
    return cursor.rowcount == 1
