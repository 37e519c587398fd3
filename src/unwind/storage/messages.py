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
    conn: Connection,
    message_id: str,
    *,
    state: str,
    code: str,
    next_try_at: datetime | None,
    sent_at: datetime | None,
    channel: str | None = None,
) -> None:
    """`channel`: the one it is being sent over; None leaves it as it is."""
    await conn.execute(
        """
        UPDATE messages SET state = %s, code = %s, next_try_at = %s, sent_at = %s, channel = coalesce(%s, channel),
            attempts = attempts + CASE WHEN %s = 'claimed' THEN 1 ELSE 0 END
        WHERE message_id = %s
        """,
        (state, code, next_try_at, sent_at, channel, state, message_id),
    )


async def try_next_channel(conn: Connection, message_id: str, *, refused_by: str, code: str) -> None:
    """This channel would not take it; the message is due again over the next one."""
    await conn.execute(
        """
        UPDATE messages SET state = 'due', code = %s, tried = array_append(tried, %s), attempts = 0, next_try_at = NULL
        WHERE message_id = %s
        """,
        (code, refused_by, message_id),
    )


async def hold_until(conn: Connection, message_id: str, at: datetime, *, code: str) -> None:
    await conn.execute("UPDATE messages SET next_try_at = %s, code = %s WHERE message_id = %s", (at, code, message_id))


async def last_contact_at(conn: Connection, case_id: str) -> datetime | None:
    cursor = await conn.execute(
        "SELECT max(at) AS at FROM case_events WHERE case_id = %s AND event IN ('received', 'contacted_again', 'buyer_wrote')",
        (case_id,),
    )
    row = await cursor.fetchone()
    return row["at"] if row else None


async def messages_of(conn: Connection, case_id: str) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        """
        SELECT message_id, audience, channel, fact, params, state, attempts, sent_at, code FROM messages WHERE case_id = %s
        ORDER BY coalesce(sent_at, 'infinity'), message_id
        """,
        (case_id,),
    )
    return await cursor.fetchall()
