"""Kinds of steps that are switched off, and the legs that wait for it."""

from typing import Any

from unwind.domain.legs import LegKind
from unwind.storage.database import Connection


async def switch_off(
    conn: Connection, kind: LegKind, *, connection: str, merchant_id: str, by: str, why: str
) -> int | None:
    """None: it is off already."""
    cursor = await conn.execute(
        """
        INSERT INTO leg_switches (kind, connection, merchant_id, off_at, off_by, why)
        VALUES (%s, %s, %s, unwind_now(), %s, %s)
        ON CONFLICT (kind, connection, merchant_id) WHERE on_at IS NULL DO NOTHING RETURNING switch_id
        """,
        (kind.value, connection, merchant_id, by, why),
    )
    row = await cursor.fetchone()
    return row["switch_id"] if row else None


async def read_switch(conn: Connection, switch_id: int) -> dict[str, Any] | None:
    cursor = await conn.execute("SELECT * FROM leg_switches WHERE switch_id = %s", (switch_id,))
    return await cursor.fetchone()


async def switch_on(conn: Connection, switch_id: int, *, by: str) -> bool:
    """False: it is on already."""
    cursor = await conn.execute(
        "UPDATE leg_switches SET on_at = unwind_now(), on_by = %s WHERE switch_id = %s AND on_at IS NULL",
        (by, switch_id),
    )
    return cursor.rowcount == 1


async def switches_of(conn: Connection, merchant_id: str | None, *, rows_max: int = 100) -> list[dict[str, Any]]:
    """What is off first, with the steps that wait for it; then the newest. With those of everybody."""
    cursor = await conn.execute(
        """
        SELECT w.*, (SELECT count(*) FROM legs g JOIN cases c USING (case_id)
                WHERE c.state <> 'archived' AND g.state = 'planned' AND g.code = 'switched_off' AND g.kind = w.kind
                  AND w.on_at IS NULL AND w.merchant_id IN ('', c.merchant_id)) AS waiting
        FROM leg_switches w WHERE (%(m)s::text IS NULL OR merchant_id IN ('', %(m)s))
        ORDER BY (on_at IS NULL) DESC, switch_id DESC LIMIT %(n)s
        """,
        {"m": merchant_id, "n": rows_max},
    )
    return await cursor.fetchall()


async def waiting_cases(conn: Connection, kind: str, *, cases_max: int) -> list[str]:
    cursor = await conn.execute(
        """
        SELECT DISTINCT case_id FROM legs JOIN cases USING (case_id)
        WHERE cases.state <> 'archived' AND legs.kind = %s AND legs.state = 'planned' AND legs.code = 'switched_off'
        ORDER BY case_id LIMIT %s
        """,
        (kind, cases_max),
    )
    return [row["case_id"] for row in await cursor.fetchall()]


async def resume_legs(conn: Connection, case_id: str, kind: str) -> None:
    """Of a locked case: due now, and patience begins anew should it be switched off again."""
    await conn.execute(
        """
        UPDATE legs SET next_try_at = NULL, due_at = NULL, evidence = evidence - 'parked_at'
        WHERE case_id = %s AND kind = %s AND state = 'planned' AND code = 'switched_off'
        """,
        (case_id, kind),
    )
