"""What has been kept long enough, by kind; deleted in batches, oldest first. Nothing that a seal or an invariant of money, stock or history reads is among it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from unwind.domain.retention import Kind, Period, Unit
from unwind.storage.database import Connection
from unwind.storage.erasures import LAST, destroy

DUE_SHOWN_MAX = 10_000
LOOK_AGAIN_DAYS = 30
"""An order with an open case is looked at again after this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """`only`: a condition on the table `t`; `%(before)s` is the moment before which the period has run out."""

    table: str
    age: str
    only: str = "true"


OF_CLOSED_CASE = "EXISTS (SELECT FROM cases c WHERE c.case_id = t.case_id AND c.closed_at < %(before)s)"
ROWS: Mapping[Kind, Rows] = {
    Kind.PRIVATE_DATA: Rows(table="order_keys", age="kept_from"),
    Kind.ATTACHMENTS: Rows(table="attachments", age="added_at", only=OF_CLOSED_CASE),
    Kind.CALLS: Rows(table="phone_calls", age="rang_at", only=f"t.case_id IS NOT NULL AND {OF_CLOSED_CASE}"),
    Kind.OTHER_CALLS: Rows(table="phone_calls", age="rang_at", only="t.case_id IS NULL"),
    Kind.REVEALS: Rows(table="reveals", age="at"),
    Kind.LOOKUPS: Rows(table="lookups", age="at"),
    Kind.SIGN_IN_EVENTS: Rows(table="sign_in_events", age="at"),
    Kind.IDENTITY_CHECKS: Rows(table="identity_checks", age="at"),
    Kind.IDENTITY_CODES: Rows(table="identity_codes", age="made_at"),
    Kind.CALLBACKS: Rows(table="callback_inbox", age="received_at"),
    Kind.IDEMPOTENCY_KEYS: Rows(table="idempotency_keys", age="created_at"),
    Kind.ATTEMPTS: Rows(table="attempts", age="window_from"),
}


async def periods(conn: Connection) -> list[dict[str, Any]]:
    """The newest version of each kind that has one."""
    cursor = await conn.execute(
        """
        SELECT DISTINCT ON (kind) kind, version, n, set_by, set_at, why FROM retention_periods
        ORDER BY kind, version DESC
        """
    )
    return await cursor.fetchall()


async def set_period(conn: Connection, period: Period, *, by: str, at: datetime, why: str) -> None:
    await conn.execute(
        """
        INSERT INTO retention_periods (kind, version, n, set_by, set_at, why)
        SELECT %(kind)s, coalesce(max(version), 0) + 1, %(n)s, %(by)s, %(at)s, %(why)s
        FROM retention_periods WHERE kind = %(kind)s
        """,
        {"kind": period.kind.value, "n": period.n, "by": by, "at": at, "why": why},
    )


async def before(conn: Connection, period: Period) -> datetime:
    """The moment before which the period has run out."""
    cursor = await conn.execute(
        "SELECT unwind_now() - make_interval(days => %s, years => %s) AS at",
        (period.n if period.unit is Unit.DAYS else 0, period.n if period.unit is Unit.YEARS else 0),
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    at: datetime = row["at"]
    return at


async def standing(conn: Connection, kind: Kind, *, before: datetime) -> dict[str, Any]:
    """The oldest row there is, and how many are due; counted up to `DUE_SHOWN_MAX`."""
    rows = ROWS[kind]
    cursor = await conn.execute(
        f"""
        SELECT (SELECT min(t.{rows.age}) FROM {rows.table} t) AS oldest_at, (
            SELECT count(*) FROM (SELECT FROM {rows.table} t WHERE t.{rows.age} < %(before)s AND {rows.only} LIMIT %(n)s) AS due) AS due
        """,  # noqa: S608 - our own names
        {"before": before, "n": DUE_SHOWN_MAX},
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return row


async def forget(conn: Connection, kind: Kind, *, before: datetime, rows_max: int) -> int:
    """Returns how many rows went, or were looked at and kept. Nothing that somebody has locked is waited for."""
    match kind:
        case Kind.PRIVATE_DATA:
            return await _forget_people(conn, before=before, rows_max=rows_max)
        case Kind.CALLS | Kind.OTHER_CALLS:
            return await _forget_calls(conn, ROWS[kind], before=before, rows_max=rows_max)
        case _:
            return await _forget_rows(conn, ROWS[kind], before=before, rows_max=rows_max)


async def _forget_rows(conn: Connection, rows: Rows, *, before: datetime, rows_max: int) -> int:
    cursor = await conn.execute(
        f"""
        DELETE FROM {rows.table} WHERE ctid = ANY(ARRAY(
            SELECT t.ctid FROM {rows.table} t WHERE t.{rows.age} < %(before)s AND {rows.only}
            ORDER BY t.{rows.age} LIMIT %(n)s))
        """,  # noqa: S608 - our own names
        {"before": before, "n": rows_max},
    )
    return cursor.rowcount


async def _forget_calls(conn: Connection, rows: Rows, *, before: datetime, rows_max: int) -> int:
    """With what was heard of them. A promise on a case stays with the case; one that is still to be kept keeps its call."""
    cursor = await conn.execute(
        f"""
        WITH due AS (
            SELECT t.system_id, t.call_id FROM phone_calls t WHERE t.rang_at < %(before)s AND {rows.only}
              AND NOT EXISTS (SELECT FROM promises p
                  WHERE (p.system_id, p.call_id) = (t.system_id, t.call_id) AND p.state = 'open')
            ORDER BY t.rang_at LIMIT %(n)s FOR UPDATE SKIP LOCKED
        ), heard AS (
            DELETE FROM phone_call_events WHERE (system_id, call_id) IN (SELECT system_id, call_id FROM due)
        ), promised AS (
            DELETE FROM promises WHERE (system_id, call_id) IN (SELECT system_id, call_id FROM due) AND case_id IS NULL
        ), stays AS (
            UPDATE promises SET system_id = NULL, call_id = NULL
            WHERE (system_id, call_id) IN (SELECT system_id, call_id FROM due) AND case_id IS NOT NULL
        )
        DELETE FROM phone_calls WHERE (system_id, call_id) IN (SELECT system_id, call_id FROM due)
        """,  # noqa: S608 - our own names
        {"before": before, "n": rows_max},
    )
    return cursor.rowcount


async def _forget_people(conn: Connection, *, before: datetime, rows_max: int) -> int:
    """Destroys the keys of orders to which nothing has happened since; of the others, notes when the last thing did."""
    cursor = await conn.execute(
        f"""
        WITH looked AS (
            SELECT k.order_id, {LAST} AS last, EXISTS (
                SELECT FROM cases c WHERE c.order_id = k.order_id AND c.state <> 'archived') AS is_open
            FROM order_keys k JOIN orders o USING (order_id) WHERE k.kept_from < %(before)s
            ORDER BY k.kept_from LIMIT %(n)s FOR UPDATE OF o SKIP LOCKED
        ), kept AS (
            UPDATE order_keys k SET kept_from = CASE WHEN l.is_open THEN %(before)s + make_interval(days => {LOOK_AGAIN_DAYS}) ELSE l.last END
            FROM looked l WHERE l.order_id = k.order_id AND (l.is_open OR l.last >= %(before)s)
        )
        SELECT order_id, NOT is_open AND last < %(before)s AS is_due FROM looked
        """,  # noqa: S608 - our own names
        {"before": before, "n": rows_max},
    )
    looked = await cursor.fetchall()
    await destroy(conn, [row["order_id"] for row in looked if row["is_due"]])
    return len(looked)
