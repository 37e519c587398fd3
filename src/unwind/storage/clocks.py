"""The rows of the two clocks: their coming strokes, and the intervals in which the buyer was asked."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from unwind.domain.clocks import Pause
from unwind.storage.database import Connection

COLUMNS = (
    "case_id",
    "is_urgent",
    "respond_from",
    "respond_half_at",
    "respond_again_at",
    "respond_rung",
    "respond_latest",
    "resolve_from",
    "resolve_half_at",
    "resolve_again_at",
    "resolve_due_at",
    "resolve_rung",
    "timetable_version",
    "strike_at",
)
_VALUES = ", ".join(f"%({name})s" for name in COLUMNS)
_CHANGES = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
PUT_CLOCKS = f"""
    INSERT INTO case_clocks ({", ".join(COLUMNS)}) VALUES ({_VALUES}) ON CONFLICT (case_id) DO UPDATE SET {_CHANGES}
"""  # noqa: S608 - names from code


async def put_clocks(conn: Connection, row: Mapping[str, Any]) -> None:
    """Every column. The case row is locked by the caller."""
    await conn.execute(PUT_CLOCKS, dict(row))


async def set_latest(conn: Connection, order_id: str, at: datetime | None) -> list[str]:
    """When a platform decides by itself, of every case of the order that has clocks. The cases for which that is news; their order is locked."""
    cursor = await conn.execute(
        """
        UPDATE case_clocks k SET respond_latest = %(at)s FROM cases c
        WHERE c.case_id = k.case_id AND c.order_id = %(order)s AND c.state <> 'archived'
          AND k.respond_latest IS DISTINCT FROM %(at)s
        RETURNING k.case_id
        """,
        {"at": at, "order": order_id},
    )
    return [row["case_id"] for row in await cursor.fetchall()]


async def set_rung(conn: Connection, case_id: str, *, clock: str, rung: int) -> None:
    await conn.execute(
        """
        UPDATE case_clocks SET respond_rung = CASE WHEN %(clock)s = 'respond' THEN %(rung)s ELSE respond_rung END,
            resolve_rung = CASE WHEN %(clock)s = 'resolve' THEN %(rung)s ELSE resolve_rung END
        WHERE case_id = %(case)s
        """,
        {"case": case_id, "clock": clock, "rung": rung},
    )


async def set_strike_at(conn: Connection, case_id: str, at: datetime | None) -> None:
    await conn.execute("UPDATE case_clocks SET strike_at = %s WHERE case_id = %s", (at, case_id))


async def due_clocks(conn: Connection, *, cases_max: int) -> list[str]:
    """Cases whose clocks want to be looked at, the longest waiting first."""
    cursor = await conn.execute(
        "SELECT case_id FROM case_clocks WHERE strike_at <= unwind_now() ORDER BY strike_at, case_id LIMIT %s",
        (cases_max,),
        prepare=True,
    )
    return [row["case_id"] for row in await cursor.fetchall()]


async def clocks_behind(conn: Connection, *, version: int, cases_max: int) -> list[str]:
    """Cases that wait for a person by times of another timetable than this."""
    cursor = await conn.execute(
        """
        SELECT k.case_id FROM cases c JOIN case_clocks k USING (case_id)
        WHERE c.state = 'review' AND k.timetable_version <> %s ORDER BY k.case_id LIMIT %s
        """,
        (version, cases_max),
        prepare=True,
    )
    return [row["case_id"] for row in await cursor.fetchall()]


async def begin_pause(conn: Connection, case_id: str, *, at: datetime, until: datetime, reason: str, by: str) -> None:
    await conn.execute(
        """
        INSERT INTO case_pauses (case_id, n, began_at, until_at, reason, asked_by)
        SELECT %(case)s, coalesce(max(n), 0) + 1, %(at)s, %(until)s, %(reason)s, %(by)s FROM case_pauses WHERE case_id = %(case)s
        """,
        {"case": case_id, "at": at, "until": until, "reason": reason, "by": by},
    )


async def end_pause(conn: Connection, case_id: str, at: datetime) -> bool:
    """False when there was none."""
    cursor = await conn.execute(
        "UPDATE case_pauses SET ended_at = greatest(began_at, %s) WHERE case_id = %s AND ended_at IS NULL RETURNING n",
        (at, case_id),
    )
    return await cursor.fetchone() is not None


async def pauses_of(conn: Connection, case_id: str) -> list[Pause]:
    cursor = await conn.execute("SELECT began_at, ended_at FROM case_pauses WHERE case_id = %s ORDER BY n", (case_id,))
    return [Pause(began_at=row["began_at"], ended_at=row["ended_at"]) for row in await cursor.fetchall()]
