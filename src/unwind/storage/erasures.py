"""Requests to erase what is known of the people of an order."""

from datetime import datetime
from typing import Any

from unwind.storage.database import Connection


async def ask_erasure(conn: Connection, order_id: str, *, by: str, at: datetime, years: int) -> dict[str, Any]:
    """Restricts at once: nobody finds the order by name or phone any more. The day of erasure counts from the last thing that happened to it.

    The order row is locked by the caller. A repeated request gets the first one's answer.
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


async def erase_due(conn: Connection, *, orders_max: int) -> int:
    """Destroys the keys of orders whose records need not be kept any longer; one with an open case waits for its end. Returns how many."""
    cursor = await conn.execute(
        """
        WITH due AS (
            SELECT order_id FROM erasures e WHERE erased_at IS NULL AND erase_at <= unwind_now()
              AND NOT EXISTS (SELECT FROM cases c WHERE c.order_id = e.order_id AND c.state <> 'archived')
            ORDER BY erase_at, order_id LIMIT %s FOR UPDATE SKIP LOCKED
        ), keys AS (DELETE FROM order_keys WHERE order_id IN (SELECT order_id FROM due)),
        words AS (DELETE FROM private_data WHERE order_id IN (SELECT order_id FROM due)),
        found AS (DELETE FROM blind_index WHERE order_id IN (SELECT order_id FROM due))
        UPDATE erasures SET erased_at = unwind_now() WHERE order_id IN (SELECT order_id FROM due)
        """,
        (orders_max,),
    )
    return cursor.rowcount
