"""The money of each payment: one guarded balance row (I1), one refund row per payment and plan part (I2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from unwind.domain.refund_number import refund_number
from unwind.domain.refund_split import RefundShare
from unwind.storage.database import Connection, to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRow:
    refund_id: int
    payment_id: str
    refund_no: str
    n: int
    amount_minor: int
    currency: str
    state: str
    connection: str
    trade_no: str
    captured_minor: int
    numbered_at: datetime | None


async def reserve_refunds(
    conn: Connection, *, order_id: str, case_id: str, part_no: int, currency: str, shares: Sequence[RefundShare]
) -> None:
    """Sets money aside for a part. The CHECK on the balance row refuses a sum above what was captured (I1).

    Where the gateway already holds a refund of exactly this amount that no case has asked for (after the restore of an older copy),
    that one becomes the refund of the part, final as it is: a repeated request never pays twice.
    """
    fresh = [share for share in shares if not await _assign_adopted(conn, share)]
    adopted = [share for share in shares if share not in fresh]
    await _set_aside(conn, fresh)
    for state, chosen in (("reserved", fresh), ("final", adopted)):
        if chosen:
            await conn.execute(
                """
                INSERT INTO refunds (payment_id, order_id, case_id, part_no, amount_minor, currency, state, how, final_at)
                SELECT payment_id, %(order)s, %(case)s, %(part)s, amount_minor, %(currency)s, %(state)s,
                    CASE WHEN %(state)s = 'final' THEN 'adopted' ELSE 'gateway' END,
                    CASE WHEN %(state)s = 'final' THEN unwind_now() END
                FROM jsonb_to_recordset(%(shares)s) AS s(payment_id text, amount_minor bigint)
                """,
                {
                    "order": order_id,
                    "case": case_id,
                    "part": part_no,
                    "currency": currency,
                    "state": state,
                    "shares": _shares_json(chosen),
                },
                prepare=True,
            )


async def _set_aside(conn: Connection, shares: Sequence[RefundShare]) -> None:
    if shares:
        await conn.execute(
            """
            WITH s AS (SELECT * FROM jsonb_to_recordset(%s) AS s(payment_id text, amount_minor bigint)),
            locked AS (
                SELECT p.payment_id FROM payments p JOIN s USING (payment_id) ORDER BY p.payment_id FOR NO KEY UPDATE OF p)
            UPDATE payments p SET reserved_minor = p.reserved_minor + s.amount_minor
            FROM s JOIN locked USING (payment_id) WHERE p.payment_id = s.payment_id
            """,
            (_shares_json(shares),),
            prepare=True,
        )


def _shares_json(shares: Sequence[RefundShare]) -> str:
    return to_json([{"payment_id": s.payment_id, "amount_minor": s.amount_minor} for s in shares])


async def _assign_adopted(conn: Connection, share: RefundShare) -> bool:
    """True when an adopted refund of this amount was there to take. The payment row is locked by the caller."""
    cursor = await conn.execute(
        """
        WITH found AS (
            UPDATE refunds SET state = 'assigned' WHERE refund_id = (
                SELECT refund_id FROM refunds WHERE payment_id = %(payment)s AND state = 'adopted'
                  AND adopted_minor = %(amount)s ORDER BY n LIMIT 1)
            RETURNING refund_id)
        UPDATE payments SET elsewhere_minor = elsewhere_minor - %(amount)s, final_minor = final_minor + %(amount)s
        WHERE payment_id = %(payment)s AND EXISTS (SELECT FROM found) RETURNING payment_id
        """,
        {"payment": share.payment_id, "amount": share.amount_minor},
        prepare=True,
    )
    return await cursor.fetchone() is not None


async def release_refunds(conn: Connection, case_id: str, part_no: int) -> None:
    """Gives up money that was set aside and never sent."""
    await conn.execute(
        """
        WITH given_up AS (
            UPDATE refunds SET state = 'released' WHERE case_id = %s AND part_no = %s AND state = 'reserved' AND n IS NULL
            RETURNING payment_id, amount_minor)
        UPDATE payments p SET reserved_minor = p.reserved_minor - g.amount_minor FROM given_up g
        WHERE p.payment_id = g.payment_id
        """,
        (case_id, part_no),
    )


async def live_refund(conn: Connection, *, case_id: str, part_no: int, payment_id: str) -> RefundRow | None:
    """The refund of this part on this payment, its payment row locked."""
    cursor = await conn.execute(
        """
        SELECT r.refund_id, r.payment_id, coalesce(r.refund_no, '') AS refund_no, coalesce(r.n, 0) AS n, r.amount_minor,
            r.currency, r.state, r.numbered_at, p.connection, p.trade_no, p.captured_minor
        FROM refunds r JOIN payments p USING (payment_id)
        WHERE r.case_id = %s AND r.part_no = %s AND r.payment_id = %s AND r.state IN ('reserved', 'sent', 'final')
        FOR NO KEY UPDATE OF p
        """,
        (case_id, part_no, payment_id),
        prepare=True,
    )
    row = await cursor.fetchone()
    return None if row is None else RefundRow(**row)


async def number_refund(conn: Connection, refund: RefundRow) -> tuple[str, datetime]:
    """Gives the refund the next number of its payment, for ever (I2, I3), and books it as sent. The number, and when it was given."""
    cursor = await conn.execute(
        """
        UPDATE payments SET last_n = last_n + 1, reserved_minor = reserved_minor - %s, sent_minor = sent_minor + %s
        WHERE payment_id = %s RETURNING last_n
        """,
        (refund.amount_minor, refund.amount_minor, refund.payment_id),
    )
    row = await cursor.fetchone()
    n = row["last_n"] if row else 0
    number = refund_number(connection=refund.connection, trade_no=refund.trade_no, n=n)
    cursor = await conn.execute(
        """
        UPDATE refunds SET n = %s, refund_no = %s, state = 'sent', numbered_at = date_trunc('second', unwind_now())
        WHERE refund_id = %s RETURNING numbered_at
        """,
        (n, number, refund.refund_id),
    )
    given = await cursor.fetchone()
    assert given is not None  # noqa: S101 - the row is locked by its payment
    return number, given["numbered_at"]


async def mark_sent(conn: Connection, refund_no: str) -> None:
    await conn.execute("UPDATE refunds SET sent_at = unwind_now() WHERE refund_no = %s", (refund_no,))


async def last_sent_at(conn: Connection, payment_id: str) -> datetime | None:
    """When a refund of this payment last left, for whichever case. Locks the payment, so that two cannot leave at once."""
    await conn.execute("SELECT FROM payments WHERE payment_id = %s FOR NO KEY UPDATE", (payment_id,))
    cursor = await conn.execute(
        "SELECT max(sent_at) AS at FROM refunds WHERE payment_id = %s AND sent_at IS NOT NULL", (payment_id,)
    )
    row = await cursor.fetchone()
    return row["at"] if row else None


async def set_way(conn: Connection, refund_id: int, how: str) -> None:
    """It is to reach the payer by another way than it was sent; which, stays known when it is final."""
    await conn.execute("UPDATE refunds SET how = %s WHERE refund_id = %s", (how, refund_id))


async def finish_refund(conn: Connection, refund_id: int) -> None:
    """The gateway's final word, or that of two people: the money is with the buyer."""
    await conn.execute(
        """
        WITH done AS (
            UPDATE refunds SET state = 'final', final_at = unwind_now() WHERE refund_id = %s AND state = 'sent'
            RETURNING payment_id, amount_minor)
        UPDATE payments p SET sent_minor = p.sent_minor - d.amount_minor, final_minor = p.final_minor + d.amount_minor
        FROM done d WHERE p.payment_id = d.payment_id
        """,
        (refund_id,),
    )


async def book_without_gateway(conn: Connection, refund_id: int, *, how: str) -> None:
    """A share that returns as points, balance or an entitlement (`own_books`), or by a person's hand (`off_line`): booked without a number."""
    await conn.execute(
        """
        WITH done AS (
            UPDATE refunds SET state = 'final', how = %s, final_at = unwind_now() WHERE refund_id = %s AND state = 'reserved'
            RETURNING payment_id, amount_minor)
        UPDATE payments p SET reserved_minor = p.reserved_minor - d.amount_minor, final_minor = p.final_minor + d.amount_minor
        FROM done d WHERE p.payment_id = d.payment_id
        """,
        (how, refund_id),
    )


async def replace_refund(conn: Connection, refund: RefundRow, *, state: str, adopted_minor: int) -> int:
    """Retires a number and sets the money aside again under the next one. Returns the amount of the new refund.

    `state` is `dead` (closed at the gateway, nothing moved) or `adopted` (the gateway moved `adopted_minor` under it, before
    a restore). The new refund never asks for more than the payment still holds; 0 means that nothing is left to send.
    """
    cursor = await conn.execute(
        """
        UPDATE payments SET sent_minor = sent_minor - %(amount)s,
            elsewhere_minor = elsewhere_minor + %(adopted)s
        WHERE payment_id = %(payment)s
        RETURNING captured_minor - reserved_minor - sent_minor - final_minor - elsewhere_minor AS left_minor
        """,
        {"amount": refund.amount_minor, "adopted": adopted_minor, "payment": refund.payment_id},
    )
    row = await cursor.fetchone()
    amount = min(refund.amount_minor, row["left_minor"] if row else 0)
    await conn.execute(
        """
        UPDATE refunds SET state = %(state)s, adopted_minor = %(adopted)s,
            how = CASE WHEN %(state)s = 'adopted' THEN 'adopted' ELSE how END,
            final_at = CASE WHEN %(state)s = 'adopted' THEN unwind_now() END
        WHERE refund_id = %(refund)s
        """,
        {
            "state": state,
            "adopted": adopted_minor if state == "adopted" else None,
            "refund": refund.refund_id,
        },
    )
    if amount > 0:
        await conn.execute(
            """
            INSERT INTO refunds (payment_id, order_id, case_id, part_no, amount_minor, currency, state)
            SELECT payment_id, order_id, case_id, part_no, %s, currency, 'reserved' FROM refunds WHERE refund_id = %s
            """,
            (amount, refund.refund_id),
        )
        await conn.execute(
            "UPDATE payments SET reserved_minor = reserved_minor + %s WHERE payment_id = %s",
            (amount, refund.payment_id),
        )
    return amount


async def payment_of(conn: Connection, payment_id: str) -> dict[str, Any] | None:
    cursor = await conn.execute("SELECT * FROM payments WHERE payment_id = %s", (payment_id,))
    return await cursor.fetchone()


async def payment_of_trade(conn: Connection, connection: str, trade_no: str) -> dict[str, Any] | None:
    cursor = await conn.execute(
        """
        SELECT p.*, (SELECT array_agg(order_id ORDER BY order_id) FROM order_payments op WHERE op.payment_id = p.payment_id)
            AS order_ids
        FROM payments p WHERE connection = %s AND trade_no = %s
        """,
        (connection, trade_no),
    )
    return await cursor.fetchone()


async def set_payment_state(
    conn: Connection, payment_id: str, *, state: str, captured_minor: int | None = None
) -> None:
    """Forward only: a captured payment stays captured."""
    await conn.execute(
        """
        UPDATE payments SET state = CASE WHEN state = 'captured' THEN state ELSE %s END,
            captured_minor = greatest(captured_minor, coalesce(%s, captured_minor)) WHERE payment_id = %s
        """,
        (state, captured_minor, payment_id),
    )


async def refunds_of_case(conn: Connection, case_id: str) -> list[dict[str, Any]]:
    """What a person sees of the money of a case, per payment."""
    cursor = await conn.execute(
        """
        SELECT r.part_no, r.payment_id, r.amount_minor, r.currency, r.state, coalesce(r.refund_no, '') AS refund_no,
            p.method, p.payer, p.returns_as, p.connection, r.how
        FROM refunds r JOIN payments p USING (payment_id)
        WHERE r.case_id = %s AND r.state IN ('reserved', 'sent', 'final') ORDER BY r.part_no, r.payment_id
        """,
        (case_id,),
    )
    return await cursor.fetchall()
