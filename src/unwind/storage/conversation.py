"""Who wrote to whom when, and who has read it. The words are in `private_data`."""

from datetime import datetime
from typing import Any

from unwind.storage.database import Connection


async def add(
    conn: Connection,
    case_id: str,
    *,
    is_from_buyer: bool,
    actor: str,
    channel: str,
    at: datetime,
    client_key: str | None,
    script: tuple[str, int, bool] | None = None,
) -> int:
    """Its number in the case. The case row is locked. `script`: (id, version, whether it was edited)."""
    script_id, version, is_edited = script or (None, None, None)
    cursor = await conn.execute(
        """
        INSERT INTO conversation (case_id, n, is_from_buyer, actor, channel, at, client_key, script_id, script_version, is_edited)
        SELECT %(case)s, coalesce(max(n), 0) + 1, %(buyer)s, %(actor)s, %(channel)s, %(at)s, %(key)s, %(script)s, %(version)s, %(edited)s
        FROM conversation WHERE case_id = %(case)s RETURNING n
        """,
        {
            "case": case_id,
            "buyer": is_from_buyer,
            "actor": actor,
            "channel": channel,
            "at": at,
            "key": client_key,
            "script": script_id,
            "version": version,
            "edited": is_edited,
        },
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an INSERT of one row returns one
    return int(row["n"])


async def written_before(conn: Connection, case_id: str, actor: str, client_key: str) -> int | None:
    """The number of the same message, sent again."""
    cursor = await conn.execute(
        "SELECT n FROM conversation WHERE case_id = %s AND actor = %s AND client_key = %s", (case_id, actor, client_key)
    )
    row = await cursor.fetchone()
    return row["n"] if row else None


async def messages_of(conn: Connection, case_id: str) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        """
        SELECT c.n, c.is_from_buyer, c.actor, c.channel, c.at, c.script_id, c.script_version, c.is_edited, c.notice, c.read_at, c.read_by,
            m.state AS notice_state, m.channel AS notice_channel
        FROM conversation c LEFT JOIN messages m ON m.case_id = c.case_id AND m.audience = 'buyer' AND m.fact = c.notice
        WHERE c.case_id = %s ORDER BY c.n
        """,
        (case_id,),
    )
    return await cursor.fetchall()


async def mark_read(conn: Connection, case_id: str, *, is_from_buyer: bool, by: str) -> int:
    """What the other side had written is read; the first reader stays on record."""
    cursor = await conn.execute(
        """
        UPDATE conversation SET read_at = unwind_now(), read_by = %s WHERE case_id = %s AND is_from_buyer = %s AND read_at IS NULL
        """,
        (by, case_id, is_from_buyer),
    )
    return cursor.rowcount


async def has_unread_notice(conn: Connection, case_id: str) -> bool:
    """The buyer has been told that an answer is there, and has not looked yet."""
    cursor = await conn.execute(
        "SELECT FROM conversation WHERE case_id = %s AND notice IS NOT NULL AND read_at IS NULL LIMIT 1", (case_id,)
    )
    return await cursor.fetchone() is not None


async def set_notice(conn: Connection, case_id: str, n: int, fact: str) -> None:
    await conn.execute("UPDATE conversation SET notice = %s WHERE case_id = %s AND n = %s", (fact, case_id, n))


async def unanswered(conn: Connection, case_id: str) -> int:
    """How many messages of the buyer have come in a row since anybody answered."""
    cursor = await conn.execute(
        """
        SELECT count(*) AS n FROM conversation WHERE case_id = %(case)s AND is_from_buyer
          AND n > coalesce((SELECT max(n) FROM conversation WHERE case_id = %(case)s AND NOT is_from_buyer), 0)
        """,
        {"case": case_id},
    )
    row = await cursor.fetchone()
    return int(row["n"]) if row else 0


async def waiting_buyers(conn: Connection, *, merchant_id: str | None, cases_max: int) -> list[dict[str, Any]]:
    """Open cases, in review or not, whose last word is the buyer's and has not been read; the longest waiting first."""
    cursor = await conn.execute(
        """
        SELECT u.case_id, c.order_id, c.merchant_id, c.state, c.priority, c.claimed_by, min(u.at) AS waiting_since, count(*) AS messages
        FROM conversation u JOIN cases c USING (case_id)
        WHERE u.is_from_buyer AND u.read_at IS NULL AND c.state <> 'archived' AND (%(m)s::text IS NULL OR c.merchant_id = %(m)s)
        GROUP BY u.case_id, c.case_id ORDER BY waiting_since LIMIT %(n)s
        """,
        {"m": merchant_id, "n": cases_max},
    )
    return await cursor.fetchall()
