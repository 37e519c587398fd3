"""What an open breaker stopped, and who let it go on."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from unwind.storage.database import Connection, to_json


async def read_breaker(conn: Connection, breaker_id: int) -> dict[str, Any] | None:
    """With what one person of its merchant may return."""
    cursor = await conn.execute(
        """
        SELECT b.breaker_id, b.merchant_id, m.agent_limit_minor
        FROM breakers b JOIN merchants m USING (merchant_id) WHERE breaker_id = %s
        """,
        (breaker_id,),
    )
    return await cursor.fetchone()


async def note_stopped(conn: Connection, case_id: str, *, merchant_id: str, sku: str) -> None:
    """By the breaker that is open now; the merchant's count is locked, so it still is. `sku`: the item it is of, or empty."""
    await conn.execute(
        """
        INSERT INTO breaker_cases (breaker_id, case_id)
        SELECT breaker_id, %s FROM breakers WHERE merchant_id = %s AND sku = %s AND closed_at IS NULL
        """,
        (case_id, merchant_id, sku),
    )


async def waiting_of(conn: Connection, breaker: Mapping[str, Any], *, cases_max: int) -> list[dict[str, Any]]:
    """Cases that this breaker stopped and nobody has decided yet, the oldest first, with the versions they have now."""
    cursor = await conn.execute(
        """
        SELECT c.case_id, c.order_id, c.version AS case_version, o.version AS order_version, c.money_minor AS minor
        FROM breaker_cases b JOIN cases c USING (case_id) JOIN orders o USING (order_id)
        WHERE b.breaker_id = %s AND c.state = 'review' AND c.rule = 'breaker_open' ORDER BY c.opened_at, c.case_id LIMIT %s
        """,
        (breaker["breaker_id"], cases_max),
    )
    return await cursor.fetchall()


async def add_run(
    conn: Connection,
    breaker: Mapping[str, Any],
    cases: Sequence[Mapping[str, Any]],
    *,
    minor: int,
    by: str,
    at: datetime,
    why: str,
    needs_second: bool,
) -> int:
    cursor = await conn.execute(
        """
        INSERT INTO breaker_runs (breaker_id, merchant_id, cases, minor, started_by, started_at, why, needs_second)
        VALUES (%s, %s, %s::jsonb, %s, %s, %s, %s, %s) RETURNING run_id
        """,
        (breaker["breaker_id"], breaker["merchant_id"], to_json(list(cases)), minor, by, at, why, needs_second),
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an INSERT of one row returns one
    return int(row["run_id"])


async def read_run(conn: Connection, breaker_id: int, run_id: int) -> dict[str, Any] | None:
    cursor = await conn.execute(
        "SELECT * FROM breaker_runs WHERE breaker_id = %s AND run_id = %s", (breaker_id, run_id)
    )
    return await cursor.fetchone()


async def agree(conn: Connection, run_id: int, *, by: str, at: datetime) -> bool:
    """False when somebody else has. Whoever agreed may carry on with what was interrupted."""
    cursor = await conn.execute(
        """
        UPDATE breaker_runs SET agreed_by = %(by)s, agreed_at = coalesce(agreed_at, %(at)s)
        WHERE run_id = %(run)s AND needs_second AND result IS NULL AND coalesce(agreed_by, %(by)s) = %(by)s
        """,
        {"run": run_id, "by": by, "at": at},
    )
    return cursor.rowcount == 1


async def set_result(conn: Connection, run_id: int, result: Sequence[Mapping[str, Any]]) -> None:
    await conn.execute("UPDATE breaker_runs SET result = %s::jsonb WHERE run_id = %s", (to_json(list(result)), run_id))


async def runs_of(conn: Connection, breaker_id: int, *, runs_max: int) -> list[dict[str, Any]]:
    """Newest first."""
    cursor = await conn.execute(
        """
        SELECT run_id, jsonb_array_length(cases) AS cases, minor, started_by, started_at, why, needs_second, agreed_by, agreed_at, result
        FROM breaker_runs WHERE breaker_id = %s ORDER BY run_id DESC LIMIT %s
        """,
        (breaker_id, runs_max),
    )
    return await cursor.fetchall()
