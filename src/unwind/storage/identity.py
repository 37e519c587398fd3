"""Checks of who asks, and the codes they were made with. A code stands here as a keyed digest only."""

from datetime import datetime, timedelta
from typing import Any

from unwind.storage.database import Connection


async def valid_methods(conn: Connection, order_id: str, principal_id: str) -> list[str]:
    """How the one who asks has been checked, for this order and by this principal, and still holds."""
    cursor = await conn.execute(
        """
        SELECT DISTINCT method FROM identity_checks
        WHERE order_id = %s AND principal_id = %s AND until > (SELECT unwind_now())
        """,
        (order_id, principal_id),
        prepare=True,
    )
    return [row["method"] for row in await cursor.fetchall()]


async def add_check(
    conn: Connection, *, order_id: str, principal_id: str, method: str, at: datetime, until: datetime
) -> None:
    await conn.execute(
        "INSERT INTO identity_checks (order_id, principal_id, method, at, until) VALUES (%s, %s, %s, %s, %s)",
        (order_id, principal_id, method, at, until),
    )


async def codes_since(conn: Connection, order_id: str, since: datetime) -> int:
    """Of every purpose: what the telephone receives is what counts. The order row is locked by the caller."""
    cursor = await conn.execute(
        "SELECT count(*) AS n FROM identity_codes WHERE order_id = %s AND made_at > %s", (order_id, since)
    )
    row = await cursor.fetchone()
    return row["n"] if row else 0


async def add_code(
    conn: Connection,
    *,
    code_id: str,
    order_id: str,
    purpose: str,
    principal_id: str,
    digest: bytes,
    at: datetime,
    life: timedelta,
) -> None:
    await conn.execute(
        """
        INSERT INTO identity_codes (code_id, order_id, purpose, principal_id, digest, made_at, until)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        """,
        (code_id, order_id, purpose, principal_id, digest, at, at + life),
    )


async def set_code_state(conn: Connection, code_id: str, state: str, *, channel: str | None = None) -> None:
    await conn.execute(
        "UPDATE identity_codes SET state = %s, channel = coalesce(%s, channel) WHERE code_id = %s AND state <> 'used'",
        (state, channel, code_id),
    )


async def try_code(
    conn: Connection, *, order_id: str, purpose: str, principal_id: str, attempts_max: int
) -> dict[str, Any] | None:
    """Counts one attempt at the newest code and locks it; None where there is none left to try."""
    cursor = await conn.execute(
        """
        UPDATE identity_codes SET attempts = attempts + 1
        WHERE code_id = (
            SELECT code_id FROM identity_codes WHERE order_id = %(order)s AND purpose = %(purpose)s AND principal_id = %(principal)s
            ORDER BY made_at DESC, code_id DESC LIMIT 1)
          AND state IN ('made', 'sent') AND until > unwind_now() AND attempts < %(max)s
        RETURNING code_id, digest
        """,
        {"order": order_id, "purpose": purpose, "principal": principal_id, "max": attempts_max},
    )
    return await cursor.fetchone()


async def forget_codes(conn: Connection, *, after: timedelta, rows_max: int) -> None:
    """They are void after minutes; a day serves whoever looks into a complaint."""
    await conn.execute(
        """
        UPDATE identity_codes SET digest = ''::bytea WHERE code_id = ANY(ARRAY(
            SELECT code_id FROM identity_codes WHERE made_at < (SELECT unwind_now() - %s) AND digest <> ''::bytea LIMIT %s))
        """,
        (after, rows_max),
    )
