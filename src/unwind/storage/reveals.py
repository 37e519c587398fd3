"""Who has seen whose data unmasked, and the number of orders above which that is unusual. Never a value."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from unwind.storage.database import Connection

DAY = timedelta(days=1)


async def add_reveal(
    conn: Connection,
    *,
    at: datetime,
    principal_id: str,
    actor: str,
    merchant_id: str,
    order_id: str,
    case_id: str,
    fields: Sequence[str],
    why: str,
) -> int:
    cursor = await conn.execute(
        """
        INSERT INTO reveals (at, principal_id, actor, merchant_id, order_id, case_id, fields, why)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING reveal_id
        """,
        (at, principal_id, actor, merchant_id, order_id, case_id, list(fields), why),
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an INSERT of one row returns one
    return int(row["reveal_id"])


async def orders_lately(conn: Connection, principal_id: str, *, at: datetime) -> int:
    """Whose people this one has seen unmasked within the last 24 hours."""
    cursor = await conn.execute(
        "SELECT count(DISTINCT order_id) AS n FROM reveals WHERE principal_id = %s AND at > %s",
        (principal_id, at - DAY),
    )
    row = await cursor.fetchone()
    return int(row["n"]) if row else 0


async def list_reveals(
    conn: Connection,
    *,
    merchant_id: str | None,
    principal_id: str | None,
    order_id: str | None,
    before: int | None,
    reveals_max: int,
) -> list[dict[str, Any]]:
    """Newest first; `before`: the number of the last one seen."""
    cursor = await conn.execute(
        """
        SELECT reveal_id, at, principal_id, actor, merchant_id, order_id, case_id, fields, why FROM reveals
        WHERE (%(before)s::bigint IS NULL OR reveal_id < %(before)s) AND (%(m)s::text IS NULL OR merchant_id = %(m)s)
          AND (%(who)s::text IS NULL OR principal_id = %(who)s) AND (%(order)s::text IS NULL OR order_id = %(order)s)
        ORDER BY reveal_id DESC LIMIT %(n)s
        """,
        {"before": before, "m": merchant_id, "who": principal_id, "order": order_id, "n": reveals_max},
    )
    return await cursor.fetchall()


async def read_threshold(conn: Connection) -> dict[str, Any] | None:
    """None: nobody has set one."""
    cursor = await conn.execute(
        "SELECT version, orders_per_day, set_by, set_at, why FROM reveal_thresholds ORDER BY version DESC LIMIT 1"
    )
    return await cursor.fetchone()


async def set_threshold(conn: Connection, orders_per_day: int, *, by: str, at: datetime, why: str) -> None:
    await conn.execute(
        """
        INSERT INTO reveal_thresholds (version, orders_per_day, set_by, set_at, why)
        SELECT coalesce(max(version), 0) + 1, %s, %s, %s, %s FROM reveal_thresholds
        """,
        (orders_per_day, by, at, why),
    )
