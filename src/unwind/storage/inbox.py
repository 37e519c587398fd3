"""Callbacks as they arrived, each event once (I11)."""

from collections.abc import Mapping
from typing import Any

from unwind.storage.database import Connection, to_json


async def keep_callback(
    conn: Connection, *, connection: str, event_id: str, kind: str, data: Mapping[str, Any]
) -> bool:
    """False when this event has been stored before."""
    cursor = await conn.execute(
        """
        INSERT INTO callback_inbox (connection, event_id, kind, received_at, data)
        VALUES (%s, %s, %s, unwind_now(), %s::jsonb) ON CONFLICT DO NOTHING
        """,
        (connection, event_id, kind, to_json(dict(data))),
    )
    return cursor.rowcount == 1
