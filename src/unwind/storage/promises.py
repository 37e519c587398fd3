"""Promises as due rows: struck by the worker from an index of their own."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from unwind.storage.database import Connection

SHOWN = "promise_id, case_id, system_id, call_id, kind, promised_by, made_at, due_at, state, is_warned, closed_at"


async def add_promise(conn: Connection, promise: Mapping[str, Any]) -> int:
    cursor = await conn.execute(
        """
        INSERT INTO promises (case_id, system_id, call_id, merchant_id, kind, promised_by, made_at, warn_at, due_at, strike_at)
        VALUES (%(case_id)s, %(system_id)s, %(call_id)s, %(merchant_id)s, %(kind)s, %(by)s, %(at)s, %(warn_at)s, %(due_at)s, %(warn_at)s)
        RETURNING promise_id
        """,
        promise,
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an insert returns its row
    promise_id: int = row["promise_id"]
    return promise_id


async def read_promise(conn: Connection, promise_id: int) -> dict[str, Any] | None:
    cursor = await conn.execute("SELECT * FROM promises WHERE promise_id = %s", (promise_id,))
    return await cursor.fetchone()


async def due_promises(conn: Connection, *, promises_max: int) -> list[int]:
    """Those that somebody is told of now, the longest waiting first."""
    cursor = await conn.execute(
        "SELECT promise_id FROM promises WHERE strike_at <= unwind_now() ORDER BY strike_at, promise_id LIMIT %s",
        (promises_max,),
        prepare=True,
    )
    return [row["promise_id"] for row in await cursor.fetchall()]


async def warn_promise(conn: Connection, promise_id: int) -> bool:
    """False when somebody was faster. What it is about is locked by the caller."""
    cursor = await conn.execute(
        """
        UPDATE promises SET is_warned = true, strike_at = due_at
        WHERE promise_id = %s AND state = 'open' AND NOT is_warned AND warn_at <= unwind_now() AND due_at > unwind_now()
        """,
        (promise_id,),
    )
    return cursor.rowcount == 1


async def close_promise(conn: Connection, promise_id: int, *, state: str, among: tuple[str, ...], at: datetime) -> bool:
    """From one of these states into another, once. A broken one stays owed."""
    cursor = await conn.execute(
        """
        UPDATE promises SET state = %(state)s, strike_at = NULL,
            closed_at = CASE WHEN %(state)s = 'broken' THEN NULL ELSE %(at)s END
        WHERE promise_id = %(id)s AND state = ANY(%(among)s)
        """,
        {"state": state, "id": promise_id, "among": list(among), "at": at},
    )
    return cursor.rowcount == 1


async def promises_of_case(conn: Connection, case_id: str) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        f"SELECT {SHOWN} FROM promises WHERE case_id = %s ORDER BY due_at, promise_id",  # noqa: S608 - names from code
        (case_id,),
    )
    return await cursor.fetchall()


async def promises_owed(conn: Connection, principal_id: str) -> list[dict[str, Any]]:
    """By this agent, or on a case they hold now, whoever promised it."""
    cursor = await conn.execute(
        f"""
        SELECT {SHOWN} FROM promises WHERE state IN ('open', 'broken') AND (promised_by = %(me)s OR case_id IN (
            SELECT case_id FROM cases WHERE claimed_by = %(me)s AND claimed_until > unwind_now()))
        ORDER BY due_at, promise_id
        """,  # noqa: S608 - names from code
        {"me": principal_id},
    )
    return await cursor.fetchall()


async def give_to_case(conn: Connection, *, system_id: str, call_id: str, case_id: str) -> None:
    """What was promised on a call belongs to the case that the call turned out to be about."""
    await conn.execute(
        "UPDATE promises SET case_id = %s WHERE system_id = %s AND call_id = %s AND case_id IS NULL",
        (case_id, system_id, call_id),
    )
