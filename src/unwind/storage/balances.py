"""What connections hold, as far as we were told, and what has left and still has to leave through them."""

from datetime import datetime
from typing import Any

from unwind.storage.database import Connection


async def put_balance(
    conn: Connection, connection: str, currency: str, balance_minor: int, *, at: datetime, told_by: str
) -> None:
    """The newer word counts."""
    await conn.execute(
        """
        INSERT INTO channel_balances AS b (connection, currency, balance_minor, known_at, told_by) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (connection, currency) DO UPDATE SET balance_minor = excluded.balance_minor, known_at = excluded.known_at,
            told_by = excluded.told_by
        WHERE b.known_at <= excluded.known_at
        """,
        (connection, currency, balance_minor, at, told_by),
    )


async def known_balances(conn: Connection) -> list[dict[str, Any]]:
    """`left_since_minor`: what the connection has paid, or taken to pay, since that was said."""
    cursor = await conn.execute(
        """
        SELECT b.connection, b.currency, b.balance_minor, b.known_at, b.told_by,
            (SELECT coalesce(sum(r.amount_minor), 0)::bigint FROM refunds r JOIN payments p USING (payment_id)
                WHERE r.final_at > b.known_at AND r.state = 'final' AND r.how IN ('gateway', 'other_account', 'merchant_account')
                  AND (p.connection, r.currency) = (b.connection, b.currency))
            + (SELECT coalesce(sum(r.amount_minor), 0)::bigint FROM refunds r JOIN payments p USING (payment_id)
                JOIN legs g ON g.number = r.refund_no AND g.number <> ''
                WHERE r.sent_at > b.known_at AND r.state = 'sent' AND g.state = 'accepted'
                  AND (p.connection, r.currency) = (b.connection, b.currency)) AS left_since_minor
        FROM channel_balances b ORDER BY b.connection, b.currency
        """
    )
    return await cursor.fetchall()


async def owed(conn: Connection) -> list[dict[str, Any]]:
    """Per connection and currency: set aside, sent and not taken, taken by the gateway and not final."""
    cursor = await conn.execute(
        """
        SELECT p.connection, r.currency,
            coalesce(sum(r.amount_minor) FILTER (WHERE r.state = 'reserved'), 0)::bigint AS reserved_minor,
            coalesce(sum(r.amount_minor) FILTER (WHERE r.state = 'sent' AND g.state IS DISTINCT FROM 'accepted'), 0)::bigint AS sent_minor,
            coalesce(sum(r.amount_minor) FILTER (WHERE r.state = 'sent' AND g.state = 'accepted'), 0)::bigint AS accepted_minor
        FROM refunds r JOIN payments p USING (payment_id) LEFT JOIN legs g ON g.number = r.refund_no AND g.number <> ''
        WHERE r.state IN ('reserved', 'sent') GROUP BY p.connection, r.currency
        """
    )
    return await cursor.fetchall()


async def outflow_by_hour(conn: Connection, *, days: int) -> list[dict[str, Any]]:
    """What left, by whole hours ago: connection, currency, hours_ago, amount_minor."""
    cursor = await conn.execute(
        """
        SELECT p.connection, r.currency, floor(extract(epoch FROM clock.now - r.sent_at) / 3600)::integer AS hours_ago,
            sum(r.amount_minor)::bigint AS amount_minor
        FROM (SELECT unwind_now() AS now) clock, refunds r JOIN payments p USING (payment_id)
        WHERE r.sent_at > (SELECT unwind_now() - make_interval(days => %s)) AND r.sent_at <= clock.now AND r.state IN ('sent', 'final')
        GROUP BY 1, 2, 3
        """,
        (days,),
    )
    return await cursor.fetchall()
