"""Legs that a person outside the system carries out, and the evidence they bring."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from unwind.storage.database import Connection, to_json


def task_of(case_id: str, leg_no: int) -> str:
    return f"{case_id}-T{leg_no}"


async def open_task(
    conn: Connection, *, case_id: str, leg_no: int, audience: str, opened_at: datetime, due_at: datetime
) -> str:
    task_id = task_of(case_id, leg_no)
    await conn.execute(
        """
        INSERT INTO tasks (task_id, case_id, leg_no, audience, state, opened_at, due_at)
        VALUES (%s, %s, %s, %s, 'open', %s, %s) ON CONFLICT DO NOTHING
        """,
        (task_id, case_id, leg_no, audience, opened_at, due_at),
    )
    return task_id


async def read_task(conn: Connection, task_id: str) -> dict[str, Any] | None:
    cursor = await conn.execute(
        """
        SELECT t.*, c.merchant_id, c.order_id, g.kind, g.target, g.amount_minor FROM tasks t JOIN cases c USING (case_id)
        JOIN legs g USING (case_id, leg_no) WHERE task_id = %s
        """,
        (task_id,),
    )
    return await cursor.fetchone()


async def answer_task(
    conn: Connection, task_id: str, *, state: str, by: str, at: datetime, evidence: Mapping[str, str | int]
) -> bool:
    """False when somebody was faster."""
    cursor = await conn.execute(
        """
        UPDATE tasks SET state = %s, answered_by = %s, answered_at = %s, evidence = %s::jsonb
        WHERE task_id = %s AND state = 'open'
        """,
        (state, by, at, to_json(evidence), task_id),
    )
    return cursor.rowcount == 1


async def withdraw_tasks(conn: Connection, case_id: str, part_no: int) -> None:
    await conn.execute(
        """
        UPDATE tasks t SET state = 'withdrawn' FROM legs g
        WHERE t.case_id = %s AND t.state = 'open' AND g.case_id = t.case_id AND g.leg_no = t.leg_no AND g.part_no = %s
        """,
        (case_id, part_no),
    )


async def withdraw_task_of(conn: Connection, case_id: str, leg_no: int) -> None:
    """Its outcome has become known another way."""
    await conn.execute(
        "UPDATE tasks SET state = 'withdrawn' WHERE case_id = %s AND leg_no = %s AND state = 'open'", (case_id, leg_no)
    )


async def list_tasks(
    conn: Connection, *, merchant_id: str | None, tasks_max: int, audience: str | None = None
) -> list[dict[str, Any]]:
    """Open tasks, most urgent first."""
    cursor = await conn.execute(
        """
        SELECT t.task_id, t.case_id, t.audience, t.state, t.opened_at, t.due_at, g.kind, g.target, g.code, g.amount_minor,
            (SELECT o.store_id FROM orders o WHERE o.order_id = c.order_id) AS store_id, c.order_id, c.merchant_id, c.priority
        FROM tasks t JOIN cases c USING (case_id) JOIN legs g USING (case_id, leg_no)
        WHERE t.state = 'open' AND (%(m)s::text IS NULL OR c.merchant_id = %(m)s) AND (%(a)s::text IS NULL OR t.audience = %(a)s)
        ORDER BY t.due_at LIMIT %(n)s
        """,
        {"m": merchant_id, "n": tasks_max, "a": audience},
    )
    return await cursor.fetchall()
