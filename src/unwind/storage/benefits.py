"""Coupons, points and quotas: what an order used comes back to the account it came from, once."""

from datetime import datetime

from unwind.storage.database import Connection


async def restore(conn: Connection, order_id: str, benefit_id: str, now: datetime) -> None:
    await conn.execute(
        """
        WITH back AS (
            UPDATE benefits SET restored_at = %s WHERE order_id = %s AND benefit_id = %s AND restored_at IS NULL
            RETURNING account, amount)
        UPDATE benefit_accounts a SET balance = a.balance + b.amount FROM back b WHERE a.account = b.account
        """,
        (now, order_id, benefit_id),
    )


async def credit(conn: Connection, *, account: str, kind: str, amount: int) -> None:
    """Money that returns as balance, points or a gift card of the built-in shop."""
    await conn.execute(
        """
        INSERT INTO benefit_accounts AS a (account, kind, balance) VALUES (%s, %s, %s)
        ON CONFLICT (account) DO UPDATE SET balance = a.balance + excluded.balance
        """,
        (account, kind, amount),
    )


async def balance(conn: Connection, account: str) -> int | None:
    cursor = await conn.execute("SELECT balance FROM benefit_accounts WHERE account = %s", (account,))
    row = await cursor.fetchone()
    return row["balance"] if row else None
