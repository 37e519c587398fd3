"""Versions of scripts over those the program brings, and how often each was used."""

from collections.abc import Mapping, Sequence
from typing import Any

from unwind.storage.database import Connection

COUNTED = ("shown", "inserted", "sent", "sent_edited")


async def newest_scripts(conn: Connection) -> list[dict[str, Any]]:
    cursor = await conn.execute("SELECT DISTINCT ON (script_id) * FROM scripts ORDER BY script_id, version DESC")
    return await cursor.fetchall()


async def versions_of(conn: Connection, script_id: str) -> list[dict[str, Any]]:
    cursor = await conn.execute("SELECT * FROM scripts WHERE script_id = %s ORDER BY version DESC", (script_id,))
    return await cursor.fetchall()


async def add_version(conn: Connection, row: Mapping[str, Any]) -> int:
    """The next version of its script. Two at once: the second waits for the first and comes after it."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('script' || %s, 0))", (row["script_id"],))
    cursor = await conn.execute(
        """
        INSERT INTO scripts (script_id, version, reasons, stages, channels, emotions, title, zh, en, is_active, set_by, set_at)
        SELECT %(script_id)s, coalesce(max(version), 0) + 1, %(reasons)s, %(stages)s, %(channels)s, %(emotions)s, %(title)s, %(zh)s, %(en)s,
            %(is_active)s, %(set_by)s, unwind_now()
        FROM scripts WHERE script_id = %(script_id)s RETURNING version
        """,
        row,
    )
    made = await cursor.fetchone()
    assert made is not None  # noqa: S101 - an INSERT of one row returns one
    return int(made["version"])


async def count_use(conn: Connection, script_ids: Sequence[str], what: str) -> None:
    """`what`: one of COUNTED. Rows are taken in order, so that two counts never wait for each other."""
    column = COUNTED[COUNTED.index(what)]
    await conn.execute(
        f"""
        INSERT INTO script_usage AS u (script_id, {column}) SELECT id, 1 FROM unnest(%s::text[]) AS id
        ON CONFLICT (script_id) DO UPDATE SET {column} = u.{column} + 1
        """,  # noqa: S608 - one of our own column names
        (sorted(set(script_ids)),),
    )


async def usage(conn: Connection) -> dict[str, dict[str, int]]:
    cursor = await conn.execute("SELECT * FROM script_usage")
    return {row["script_id"]: {name: row[name] for name in COUNTED} for row in await cursor.fetchall()}
