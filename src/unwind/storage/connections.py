"""How connections fare, by minute, over all processes."""

from collections.abc import Mapping, Sequence
from typing import Any

from unwind.storage.database import Connection, to_json

WINDOW_MINUTES = 15


async def add_counts(conn: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    await conn.execute(
        """
        INSERT INTO connection_minutes AS m (connection, minute, calls, failed)
        SELECT connection, date_trunc('minute', unwind_now()), calls, failed
        FROM jsonb_to_recordset(%s) AS r(connection text, calls integer, failed integer) ORDER BY connection
        ON CONFLICT (connection, minute) DO UPDATE SET calls = m.calls + excluded.calls, failed = m.failed + excluded.failed
        """,
        (to_json(list(rows)),),
    )


async def health(conn: Connection) -> dict[str, dict[str, Any]]:
    """Connection -> calls and failed ones of the last 15 minutes, and its open alerts."""
    cursor = await conn.execute(
        """
        SELECT connection, coalesce(sum(calls), 0)::integer AS calls, coalesce(sum(failed), 0)::integer AS failed,
            (SELECT count(*) FROM alerts a WHERE a.connection = u.connection AND a.closed_at IS NULL) AS alerts,
            (SELECT count(*) > 0 FROM alerts a
                WHERE a.connection = u.connection AND a.kind = 'connection_down' AND a.closed_at IS NULL) AS is_down
        FROM (
            SELECT connection, calls, failed FROM connection_minutes
            WHERE minute > unwind_now() - make_interval(mins => %s)
            UNION ALL SELECT connection, 0, 0 FROM alerts WHERE closed_at IS NULL) u
        GROUP BY connection
        """,
        (WINDOW_MINUTES,),
    )
    return {row["connection"]: row for row in await cursor.fetchall()}


async def forget_old_minutes(conn: Connection) -> int:
    cursor = await conn.execute("DELETE FROM connection_minutes WHERE minute < unwind_now() - interval '1 day'")
    return cursor.rowcount
