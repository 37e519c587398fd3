"""Questions to people outside the desk, each with its own clock."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from unwind.domain.questions import Audience, Kind, OnSilence, Question, QuestionState
from unwind.storage.database import Connection, to_json


async def add_question(conn: Connection, question: Question) -> None:
    await conn.execute(
        """
        INSERT INTO questions (question_id, case_id, n, kind, audience, subject, digest, asked_by, asked_at, remind_at, due_at, on_silence)
        VALUES (%(question_id)s, %(case_id)s, %(n)s, %(kind)s, %(audience)s, %(subject)s::jsonb, %(digest)s, %(asked_by)s, %(asked_at)s,
            %(remind_at)s, %(due_at)s, %(on_silence)s)
        """,
        {
            "question_id": question.question_id,
            "case_id": question.case_id,
            "n": question.n,
            "kind": question.kind.value,
            "audience": question.audience.value,
            "subject": to_json(question.subject),
            "digest": question.digest,
            "asked_by": question.asked_by,
            "asked_at": question.asked_at,
            "remind_at": question.remind_at,
            "due_at": question.due_at,
            "on_silence": question.on_silence.value,
        },
    )


async def next_n(conn: Connection, case_id: str) -> int:
    """The case row is locked by the caller."""
    cursor = await conn.execute("SELECT coalesce(max(n), 0) + 1 AS n FROM questions WHERE case_id = %s", (case_id,))
    row = await cursor.fetchone()
    return row["n"] if row else 1


async def read_question(conn: Connection, question_id: str) -> Question | None:
    cursor = await conn.execute("SELECT * FROM questions WHERE question_id = %s", (question_id,))
    row = await cursor.fetchone()
    return None if row is None else _question(row)


async def questions_of(conn: Connection, case_id: str) -> list[Question]:
    cursor = await conn.execute("SELECT * FROM questions WHERE case_id = %s ORDER BY n", (case_id,))
    return [_question(row) for row in await cursor.fetchall()]


async def close_question(
    conn: Connection,
    question_id: str,
    *,
    state: QuestionState,
    by: str,
    at: datetime,
    evidence: Mapping[str, Any],
) -> bool:
    """False when somebody was faster."""
    cursor = await conn.execute(
        """
        UPDATE questions SET state = %s, answered_by = %s, answered_at = %s, evidence = %s::jsonb, remind_at = NULL
        WHERE question_id = %s AND state = 'open'
        """,
        (state.value, by, at, to_json(evidence), question_id),
    )
    return cursor.rowcount == 1


async def set_reminded(conn: Connection, question_id: str) -> None:
    await conn.execute("UPDATE questions SET remind_at = NULL WHERE question_id = %s", (question_id,))


async def withdraw_questions(conn: Connection, case_id: str, at: datetime, *, kind: Kind | None = None) -> None:
    """The case was decided without them; or, of one kind, the newest takes the place of those before."""
    await conn.execute(
        """
        UPDATE questions SET state = 'withdrawn', answered_at = %(at)s, remind_at = NULL
        WHERE case_id = %(case)s AND state = 'open' AND (%(kind)s::text IS NULL OR kind = %(kind)s)
        """,
        {"case": case_id, "at": at, "kind": kind.value if kind else None},
    )


async def due_questions(conn: Connection, *, questions_max: int) -> list[dict[str, Any]]:
    """Those to be reminded of, or given up, by now: (question, case), the longest waiting first."""
    cursor = await conn.execute(
        """
        SELECT question_id, case_id FROM questions WHERE state = 'open' AND least(remind_at, due_at) <= unwind_now()
        ORDER BY least(remind_at, due_at), question_id LIMIT %s
        """,
        (questions_max,),
        prepare=True,
    )
    return await cursor.fetchall()


async def agreed_to(conn: Connection, case_id: str, kind: Kind, digest: str) -> Question | None:
    """The newest agreement to exactly this plan."""
    cursor = await conn.execute(
        """
        SELECT * FROM questions WHERE case_id = %s AND kind = %s AND digest = %s AND state = 'agreed' ORDER BY n DESC LIMIT 1
        """,
        (case_id, kind.value, digest),
    )
    row = await cursor.fetchone()
    return None if row is None else _question(row)


async def open_approvals(conn: Connection, *, merchant_id: str | None, questions_max: int) -> list[dict[str, Any]]:
    """Decisions that wait for a second person, the longest waiting first."""
    cursor = await conn.execute(
        """
        SELECT q.question_id, q.case_id, c.order_id, c.merchant_id, q.subject, q.digest, q.asked_by, q.asked_at, q.due_at
        FROM questions q JOIN cases c USING (case_id)
        WHERE q.kind = 'approval' AND q.state = 'open' AND (%(m)s::text IS NULL OR c.merchant_id = %(m)s)
        ORDER BY q.asked_at, q.question_id LIMIT %(n)s
        """,
        {"m": merchant_id, "n": questions_max},
    )
    return await cursor.fetchall()


def _question(row: Mapping[str, Any]) -> Question:
    return Question(
        question_id=row["question_id"],
        case_id=row["case_id"],
        n=row["n"],
        kind=Kind(row["kind"]),
        audience=Audience(row["audience"]),
        subject=row["subject"],
        digest=row["digest"],
        asked_by=row["asked_by"],
        asked_at=row["asked_at"],
        remind_at=row["remind_at"],
        due_at=row["due_at"],
        on_silence=OnSilence(row["on_silence"]),
        state=QuestionState(row["state"]),
        answered_by=row["answered_by"],
        answered_at=row["answered_at"],
        evidence=row["evidence"],
    )
