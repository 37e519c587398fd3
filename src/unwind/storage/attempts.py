"""How often something was tried in a window of time. One upsert, so that requests at the same moment cannot all be the first."""

from datetime import timedelta

from unwind.storage.database import Connection


async def count_attempt(conn: Connection, kind: str, subject: bytes, *, per: timedelta) -> int:
    """This one included. Windows begin at fixed moments: at the border of two, twice as many fit."""
    cursor = await conn.execute(
        """
        INSERT INTO attempts AS a (kind, subject, window_from, n)
        VALUES (%s, %s, date_bin(%s, unwind_now(), 'epoch'), 1)
        ON CONFLICT (kind, subject, window_from) DO UPDATE SET n = a.n + 1 RETURNING n
        """,
        (kind, subject, per),
        prepare=True,
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an upsert returns its row
    n: int = row["n"]
    return n


async def attempts_so_far(conn: Connection, kind: str, subject: bytes, *, per: timedelta) -> int:
    cursor = await conn.execute(
        "SELECT n FROM attempts WHERE kind = %s AND subject = %s AND window_from = (SELECT date_bin(%s, unwind_now(), 'epoch'))",
        (kind, subject, per),
    )
    row = await cursor.fetchone()
    return row["n"] if row else 0


async def forget_attempts(conn: Connection, *, after: timedelta, rows_max: int) -> None:
    await conn.execute(
        """
        DELETE FROM attempts WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM attempts WHERE window_from < (SELECT unwind_now() - %s) ORDER BY window_from LIMIT %s))
        """,
        (after, rows_max),
    )
