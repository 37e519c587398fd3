"""Messages as due rows: one per case, audience and fact, whatever wakes us."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from unwind.storage.database import Connection, to_json


async def add_message(
    conn: Connection, *, case_id: str, order_id: str, audience: str, channel: str, fact: str, params: Mapping[str, Any]
) -> bool:
    """False when this fact has been told, or is about to be."""
    cursor = await conn.execute(
        """
        INSERT INTO messages (message_id, case_id, order_id, audience, channel, fact, params, state)
        VALUES (%s, %s, %s, %s, %s, %s, %s::jsonb, 'due') ON CONFLICT DO NOTHING
        """,
        (f"{case_id}-{audience}-{fact}", case_id, order_id, audience, channel, fact, to_json(params)),
    )
    return cursor.rowcount == 1


async def due_messages(conn: Connection, case_id: str) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        """
        SELECT * FROM messages WHERE case_id = %s AND state IN ('due', 'claimed')
          AND (next_try_at IS NULL OR next_try_at <= unwind_now()) ORDER BY message_id
        """,
        (case_id,),
    )
    return await cursor.fetchall()


async def next_message_at(conn: Connection, case_id: str) -> datetime | None:
    cursor = await conn.execute(
        "SELECT min(next_try_at) AS at FROM messages WHERE case_id = %s AND state IN ('due', 'claimed')", (case_id,)
    )
    row = await cursor.fetchone()
    return row["at"] if row else None


async def set_message(
    conn: Connection, message_id: str, *, state: str, code: str, next_try_at: datetime | None, sent_at: datetime | None
) -> None:
    await conn.execute(
        """
        UPDATE messages SET state = %s, code = %s, next_try_at = %s, sent_at = %s,
            attempts = attempts + CASE WHEN %s = 'claimed' THEN 1 ELSE 0 END
        WHERE message_id = %s
        """,
        (state, code, next_try_at, sent_at, state, message_id),
    )


async def messages_of(conn: Connection, case_id: str) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        """
        SELECT message_id, audience, channel, fact, params, state, attempts, sent_at, code FROM messages WHERE case_id = %s
        ORDER BY coalesce(sent_at, 'infinity'), message_id
        """,
        (case_id,),
    )
    return await cursor.fetchall()
