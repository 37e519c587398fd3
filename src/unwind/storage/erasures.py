"""Requests to erase what is known of the people of an order, and the end of what is known of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from unwind.storage.database import Connection

LAST = "greatest(o.placed_at, (SELECT max(c.closed_at) FROM cases c WHERE c.order_id = o.order_id))"
"""The last thing that happened to an order `o`, as far as keeping its records goes."""


async def ask_erasure(conn: Connection, order_id: str, *, by: str, at: datetime, years: int) -> dict[str, Any]:
    """Restricts at once: nobody finds the order by name or phone any more. The day of erasure counts from the last thing that happened to it.

    The order row is locked by the caller. A repeated request gets the first one's answer, or a later day where a case has ended since.
    """
    await conn.execute(
        """
        INSERT INTO erasures (order_id, asked_by, asked_at, erase_at)
        SELECT o.order_id, %(by)s, %(at)s, greatest(o.placed_at, (
            SELECT max(coalesce(c.closed_at, %(at)s)) FROM cases c WHERE c.order_id = o.order_id)) + make_interval(years => %(years)s)
        FROM orders o WHERE o.order_id = %(order)s ON CONFLICT (order_id) DO NOTHING
        """,
        {"order": order_id, "by": by, "at": at, "years": years},
    )
    await conn.execute("DELETE FROM blind_index WHERE order_id = %s", (order_id,))
    row = await read_erasure(conn, order_id)
    assert row is not None  # noqa: S101 - just written, or there before
    return row


async def read_erasure(conn: Connection, order_id: str) -> dict[str, Any] | None:
    cursor = await conn.execute(
        "SELECT order_id, asked_at, erase_at, erased_at FROM erasures WHERE order_id = %s", (order_id,)
    )
    return await cursor.fetchone()


async def keep_longer(conn: Connection, order_id: str, *, closed_at: datetime, years: int) -> None:
    """A case of the order has ended: its records are kept from now on."""
    await conn.execute(
        """
        UPDATE erasures SET erase_at = greatest(erase_at, %s + make_interval(years => %s))
        WHERE order_id = %s AND erased_at IS NULL
        """,
        (closed_at, years, order_id),
    )


async def erase_due(conn: Connection, *, orders_max: int, years: int) -> int:
    """Destroys the keys of orders whose records need not be kept any longer. Returns how many were looked at.

    One with an open case waits for its end; one whose last case ended later than was known when it was asked waits for its own day.
    """
    cursor = await conn.execute(
        f"""
        WITH looked AS (
            SELECT e.order_id, {LAST} + make_interval(years => %(years)s) AS day FROM erasures e JOIN orders o USING (order_id)
            WHERE erased_at IS NULL AND erase_at <= unwind_now()
              AND NOT EXISTS (SELECT FROM cases c WHERE c.order_id = e.order_id AND c.state <> 'archived')
            ORDER BY erase_at, e.order_id LIMIT %(n)s FOR UPDATE OF o SKIP LOCKED
        ), later AS (
            UPDATE erasures e SET erase_at = l.day FROM looked l WHERE l.order_id = e.order_id AND l.day > unwind_now()
        )
        SELECT order_id, day <= unwind_now() AS is_due FROM looked
        """,  # noqa: S608 - our own names
        {"n": orders_max, "years": years},
    )
    looked = await cursor.fetchall()
    await destroy(conn, [row["order_id"] for row in looked if row["is_due"]])
    return len(looked)


async def destroy(conn: Connection, order_ids: Sequence[str]) -> None:
    """The keys, and with them everything about these orders' people for ever; no new key is made for them. The order rows are locked."""
    if not order_ids:
        return
    await conn.execute(
        """
        WITH keys AS (DELETE FROM order_keys WHERE order_id = ANY(%(ids)s)),
        words AS (DELETE FROM private_data WHERE order_id = ANY(%(ids)s)),
        files AS (DELETE FROM attachments WHERE order_id = ANY(%(ids)s)),
        found AS (DELETE FROM blind_index WHERE order_id = ANY(%(ids)s))
        INSERT INTO erasures AS e (order_id, asked_by, asked_at, erase_at, erased_at)
        SELECT order_id, 'system:unwind', now, now, now FROM unnest(%(ids)s::text[]) AS order_id, (SELECT unwind_now() AS now) AS clock
        ON CONFLICT (order_id) DO UPDATE SET erased_at = coalesce(e.erased_at, excluded.erased_at)
        """,
        {"ids": list(order_ids)},
    )
