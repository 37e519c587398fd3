"""Every row lock of the product, in the one order in which they may be taken:

idempotency key, telephone call, agent, order, case, promise, count of automatic refunds, payment balance, benefit, stock by SKU; an alert, which is no part of any decision, after everything.

A transaction takes them from left to right and never goes back, so two of them can never wait for each other.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from unwind.storage.database import Connection

LEASE = timedelta(seconds=60)
"""Longer than the longest outside call (10 s); renewed before each leg."""


class LeaseLost(Exception):
    """Somebody else holds the case now; whatever was about to be written is dropped."""


async def lock_agent(conn: Connection, principal_id: str) -> None:
    """How many cases somebody holds, and whether they are on duty, changes one thing at a time."""
    await conn.execute("SELECT FROM agents WHERE principal_id = %s FOR NO KEY UPDATE", (principal_id,), prepare=True)


async def lock_order(conn: Connection, order_id: str) -> None:
    await conn.execute("SELECT FROM orders WHERE order_id = %s FOR NO KEY UPDATE", (order_id,), prepare=True)


async def lock_case(conn: Connection, case_id: str, *, lease_token: int | None = None) -> None:
    """With a token: only its holder gets through (the fence behind every outside call)."""
    cursor = await conn.execute(
        "SELECT lease_token FROM cases WHERE case_id = %s FOR NO KEY UPDATE", (case_id,), prepare=True
    )
    row = await cursor.fetchone()
    if lease_token is not None and (row is None or row["lease_token"] != lease_token):
        raise LeaseLost(case_id)


async def be_impatient(conn: Connection) -> None:
    """For this transaction: a lock that somebody holds for longer than a second is not waited for."""
    await conn.execute("SET LOCAL lock_timeout = '1s'")


async def lock_payments(conn: Connection, payment_ids: Sequence[str]) -> None:
    await conn.execute(
        "SELECT FROM payments WHERE payment_id = ANY(%s) ORDER BY payment_id FOR NO KEY UPDATE",
        (sorted(payment_ids),),
        prepare=True,
    )


async def lease_due_cases(conn: Connection, *, cases_max: int) -> list[tuple[str, int]]:
    """Takes due cases nobody holds, most overdue first: (case, token). Each lease has a token of its own."""
    cursor = await conn.execute(
        """
        UPDATE cases SET lease_token = nextval('lease_tokens'), lease_until = unwind_now() + %s
        WHERE case_id IN (
            SELECT case_id FROM cases
            WHERE next_check_at <= unwind_now() AND (lease_until IS NULL OR lease_until < unwind_now())
            ORDER BY next_check_at LIMIT %s FOR UPDATE SKIP LOCKED)
        RETURNING case_id, lease_token
        """,
        (LEASE, cases_max),
        prepare=True,
    )
    return [(row["case_id"], row["lease_token"]) for row in await cursor.fetchall()]


async def renew_lease(conn: Connection, case_id: str, token: int) -> None:
    cursor = await conn.execute(
        "UPDATE cases SET lease_until = unwind_now() + %s WHERE case_id = %s AND lease_token = %s",
        (LEASE, case_id, token),
    )
    if cursor.rowcount != 1:
        raise LeaseLost(case_id)


async def release_lease(conn: Connection, case_id: str, token: int, *, next_check_at: datetime | None) -> None:
    """Gives the case back; an earlier wake-up that arrived meanwhile stays."""
    await conn.execute(
        """
        UPDATE cases SET lease_token = NULL, lease_until = NULL,
            next_check_at = CASE WHEN state = 'archived' THEN NULL WHEN was_woken THEN unwind_now() ELSE %s END,
            was_woken = false
        WHERE case_id = %s AND lease_token = %s
        """,
        (next_check_at, case_id, token),
    )


async def wake_case(conn: Connection, case_id: str) -> None:
    """Makes an open case due now. While somebody works on it, it becomes due again as soon as it is given back."""
    await conn.execute(
        "UPDATE cases SET next_check_at = unwind_now(), was_woken = lease_token IS NOT NULL WHERE case_id = %s AND state <> 'archived'",
        (case_id,),
    )
