"""Who took the books out, and who said what a connection holds. Append-only."""

from collections.abc import Mapping
from typing import Any

from unwind.storage.database import Connection, to_json


async def add_entry(
    conn: Connection, *, by: str, action: str, subject: str, merchant_id: str | None, data: Mapping[str, Any]
) -> None:
    await conn.execute(
        "INSERT INTO finance_log (at, by, action, subject, merchant_id, data) VALUES (unwind_now(), %s, %s, %s, %s, %s::jsonb)",
        (by, action, subject, merchant_id, to_json(data)),
    )


async def entries(conn: Connection, *, entries_max: int) -> list[dict[str, Any]]:
    """The newest first."""
    cursor = await conn.execute(
        "SELECT at, by, action, subject, merchant_id, data FROM finance_log ORDER BY at DESC, entry_id DESC LIMIT %s",
        (entries_max,),
    )
    return await cursor.fetchall()
