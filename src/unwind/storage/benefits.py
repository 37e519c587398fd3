"""Coupons, points and quotas: what an order used comes back to the account it came from, once; what it earned goes back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from unwind.storage.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class ClawedBack:
    taken: int
    short: int
    """Spent before; not taken from anybody here."""


async def restore(
    conn: Connection, order_id: str, benefit_id: str, now: datetime, *, reissue_until: datetime | None = None
) -> None:
    """A coupon past its validity comes back as it is, worth nothing; or, with `reissue_until`, valid until then."""
    await conn.execute(
        """
        WITH back AS (
            UPDATE benefits SET restored_at = %(now)s, returned_as = returned_as(valid_until, %(now)s, %(reissue)s),
                reissued_until = CASE WHEN valid_until <= %(now)s THEN %(reissue)s::timestamptz END
            WHERE order_id = %(order)s AND benefit_id = %(benefit)s AND restored_at IS NULL
            RETURNING account, kind, amount, returned_as)
        SELECT credit_account(account, kind, amount) FROM back WHERE returned_as <> 'expired'
        """,
        {"now": now, "order": order_id, "benefit": benefit_id, "reissue": reissue_until},
    )


async def credit(conn: Connection, *, account: str, kind: str, amount: int) -> None:
    """Money that returns as balance, points or a gift card of the built-in shop."""
    await conn.execute("SELECT credit_account(%s, %s, %s)", (account, kind, amount))


async def claw_back(conn: Connection, account: str, amount: int, *, is_owed: bool) -> ClawedBack:
    """Takes what is there. What was spent stays spent; `is_owed`: the account owes it."""
    cursor = await conn.execute(
        """
        WITH found AS (SELECT account, balance FROM benefit_accounts WHERE account = %(account)s FOR NO KEY UPDATE)
        UPDATE benefit_accounts a SET balance = a.balance - least(f.balance, %(amount)s),
            owed = a.owed + CASE WHEN %(owed)s THEN greatest(0, %(amount)s - f.balance) ELSE 0 END
        FROM found f WHERE a.account = f.account RETURNING least(f.balance, %(amount)s) AS taken
        """,
        {"account": account, "amount": amount, "owed": is_owed},
    )
    row = await cursor.fetchone()
    taken = row["taken"] if row else 0
    return ClawedBack(taken=taken, short=amount - taken)


async def credit_earned(conn: Connection, order_ids: Sequence[str]) -> None:
    """What new orders of the built-in shop have earned is in their accounts from now on."""
    await conn.execute(
        """
        SELECT credit_account(account, kind, amount) FROM (
            SELECT account, kind, sum(amount)::bigint AS amount FROM benefits WHERE order_id = ANY(%s) AND is_earned
            GROUP BY account, kind ORDER BY account) e
        """,
        (list(order_ids),),
    )


async def set_accounts(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """What accounts of the built-in shop hold now."""
    async with conn.cursor() as many:
        await many.executemany(
            """
            INSERT INTO benefit_accounts (account, kind, balance) VALUES (%(account)s, %(kind)s, %(balance)s)
            ON CONFLICT (account) DO UPDATE SET balance = excluded.balance
            """,
            [dict(row) for row in sorted(rows, key=lambda row: str(row["account"]))],
        )


async def balance(conn: Connection, account: str) -> int | None:
    cursor = await conn.execute("SELECT balance FROM benefit_accounts WHERE account = %s", (account,))
    row = await cursor.fetchone()
    return row["balance"] if row else None
