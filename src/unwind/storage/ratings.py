"""What buyers were asked and answered. The comment is in `private_data`."""

from datetime import datetime
from typing import Any

from unwind.storage.database import Connection


async def ask(conn: Connection, rating: dict[str, Any]) -> None:
    await conn.execute(
        """
        INSERT INTO ratings (case_id, order_id, merchant_id, channel, decided_by, rule, asked_at, until)
        VALUES (%(case_id)s, %(order_id)s, %(merchant_id)s, %(channel)s, %(decided_by)s, %(rule)s, %(asked_at)s, %(until)s)
        ON CONFLICT (case_id) DO NOTHING
        """,
        rating,
    )


async def read_rating(conn: Connection, case_id: str) -> dict[str, Any] | None:
    cursor = await conn.execute("SELECT * FROM ratings WHERE case_id = %s", (case_id,))
    return await cursor.fetchone()


async def set_score(conn: Connection, case_id: str, score: int, *, at: datetime) -> None:
    """The row is locked. The first answer's moment stays; the same score again changes nothing."""
    await conn.execute(
        """
        UPDATE ratings SET score = %(score)s, answered_at = coalesce(answered_at, %(at)s),
            changed_at = CASE WHEN answered_at IS NULL THEN NULL ELSE %(at)s END,
            changes = changes + CASE WHEN answered_at IS NULL THEN 0 ELSE 1 END
        WHERE case_id = %(case)s AND score IS DISTINCT FROM %(score)s
        """,
        {"case": case_id, "score": score, "at": at},
    )


async def note_comment(conn: Connection, case_id: str) -> None:
    await conn.execute("UPDATE ratings SET has_comment = true WHERE case_id = %s", (case_id,))


async def note_follow_up(conn: Connection, case_id: str, by_case: str) -> None:
    await conn.execute("UPDATE ratings SET followed_up_by = %s WHERE case_id = %s", (by_case, case_id))


async def counts(
    conn: Connection, *, merchant_id: str | None, since: datetime, until: datetime
) -> list[dict[str, Any]]:
    """Of those whom the question reached in the period: how many, by channel, who decided, rule and score (null: no answer)."""
    cursor = await conn.execute(
        """
        SELECT channel, decided_by, rule, score, count(*) AS n FROM ratings
        WHERE asked_at >= %(since)s AND asked_at < %(until)s AND (%(m)s::text IS NULL OR merchant_id = %(m)s)
          AND NOT EXISTS (SELECT FROM messages m
              WHERE (m.case_id, m.audience, m.fact, m.state) = (ratings.case_id, 'buyer', 'satisfaction', 'undelivered'))
        GROUP BY channel, decided_by, rule, score
        """,
        {"since": since, "until": until, "m": merchant_id},
    )
    return await cursor.fetchall()
