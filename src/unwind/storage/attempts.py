"""How often something was tried lately. One upsert, so that requests at the same moment cannot all be the first.

Counted in bins of a sixth of the time that is looked at, and the bins of that time are summed: there is no border at which twice as many fit.
"""

from datetime import timedelta

from unwind.storage.database import Connection

BINS = 6


async def count_attempt(conn: Connection, kind: str, subject: bytes, *, per: timedelta) -> int:
    """This one included."""
    cursor = await conn.execute(
        """
        WITH clock AS (SELECT unwind_now() AS now)
        INSERT INTO attempts AS a (kind, subject, window_from, n)
        SELECT %(kind)s, %(subject)s, date_bin(%(bin)s, now, 'epoch'), 1 FROM clock
        ON CONFLICT (kind, subject, window_from) DO UPDATE SET n = a.n + 1
        RETURNING n + (
            SELECT coalesce(sum(b.n), 0) FROM attempts b, clock
            WHERE b.kind = %(kind)s AND b.subject = %(subject)s AND b.window_from > clock.now - %(per)s
              AND b.window_from < date_bin(%(bin)s, clock.now, 'epoch')) AS so_far
        """,
        {"kind": kind, "subject": subject, "per": per, "bin": per / BINS},
        prepare=True,
    )
    row = await cursor.fetchone()
    return int(row["so_far"]) if row else 0


async def attempts_so_far(conn: Connection, kind: str, subject: bytes, *, per: timedelta) -> int:
    cursor = await conn.execute(
        """
        SELECT coalesce(sum(n), 0) AS so_far FROM attempts
        WHERE kind = %s AND subject = %s AND window_from > (SELECT unwind_now() - %s)
        """,
        (kind, subject, per),
    )
    row = await cursor.fetchone()
    return int(row["so_far"]) if row else 0
