"""Trust, caps, breakers: what the policy would have done, who changed what, and the guarded count of automatic refunds."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from unwind.domain.case import Verdict
from unwind.domain.trust import Judged
from unwind.storage.database import Connection, to_json

CASES_MAX = 100_000


async def take_allowance(
    conn: Connection,
    *,
    merchant_id: str,
    case_id: str,
    minor: int,
    skus: Sequence[str],
    caps: Mapping[str, int],
    time_zone: str,
) -> dict[str, Any] | None:
    """One more automatic refund is counted; or the rule that refuses it. Locks the merchant's count until the commit (`locks.py`)."""
    cursor = await conn.execute(
        "SELECT * FROM take_allowance(%s, %s, %s, %s, %s::jsonb, %s)",
        (merchant_id, case_id, minor, list(skus), to_json(dict(caps)), time_zone),
        prepare=True,
    )
    return await cursor.fetchone()


async def judged_parts(
    conn: Connection, merchant_id: str, *, since: datetime, until: datetime
) -> tuple[list[Judged], bool]:
    """Parts that waited for a person although a policy had spoken, with the first choice made on each; and whether that is all of them."""
    cursor = await conn.execute(
        """
        SELECT p.case_id, p.policy_rule, p.policy_verdict, p.state, p.returned_minor, c.outcome,
            CASE WHEN d.choice = 'approve' AND p.kept_minor > 0 THEN 'approve_with_deduction' ELSE d.choice END AS choice
        FROM cases c JOIN case_parts p USING (case_id)
        LEFT JOIN LATERAL (
            SELECT e.data->>'choice' AS choice FROM case_events e
            WHERE e.case_id = c.case_id AND e.data ? 'choice' AND e.data->'parts' @> to_jsonb(p.part_no)
            ORDER BY e.seq LIMIT 1) d ON true
        WHERE c.merchant_id = %s AND c.opened_at >= %s AND c.opened_at < %s AND p.policy_rule <> '' AND p.verdict = 'review'
        ORDER BY c.opened_at, p.case_id, p.part_no LIMIT %s
        """,
        (merchant_id, since, until, CASES_MAX + 1),
    )
    rows = await cursor.fetchall()
    judged = [
        Judged(
            case_id=row["case_id"],
            rule=row["policy_rule"],
            would=Verdict(row["policy_verdict"]),
            did=row["choice"] or "",
            is_withdrawn=row["state"] == "withdrawn" or row["outcome"] == "withdrawn",
            minor=row["returned_minor"],
        )
        for row in rows[:CASES_MAX]
    ]
    return judged, len(rows) <= CASES_MAX


async def keep_report(
    conn: Connection,
    report_id: str,
    *,
    merchant_id: str,
    at: datetime,
    by: str,
    is_ready: bool,
    body: Mapping[str, Any],
) -> None:
    await conn.execute(
        "INSERT INTO automation_reports (report_id, merchant_id, made_at, made_by, is_ready, body) VALUES (%s, %s, %s, %s, %s, %s::jsonb)",
        (report_id, merchant_id, at, by, is_ready, to_json(body)),
    )


async def newest_report(conn: Connection, merchant_id: str) -> dict[str, Any] | None:
    cursor = await conn.execute(
        "SELECT report_id, made_at, is_ready FROM automation_reports WHERE merchant_id = %s ORDER BY made_at DESC LIMIT 1",
        (merchant_id,),
    )
    return await cursor.fetchone()


async def lock_merchant(conn: Connection, merchant_id: str) -> dict[str, Any] | None:
    """Its degree of trust and its limits change one thing at a time."""
    cursor = await conn.execute(
        "SELECT merchant_id, automation, limits, breaker_at, shop, time_zone, unwind_now() AS now FROM merchants WHERE merchant_id = %s FOR NO KEY UPDATE",
        (merchant_id,),
    )
    return await cursor.fetchone()


async def set_automation(conn: Connection, merchant_id: str, level: str) -> None:
    await conn.execute("UPDATE merchants SET automation = %s WHERE merchant_id = %s", (level, merchant_id))


async def set_limits(conn: Connection, merchant_id: str, limits: Mapping[str, int]) -> None:
    await conn.execute(
        "UPDATE merchants SET limits = %s::jsonb WHERE merchant_id = %s", (to_json(dict(limits)), merchant_id)
    )


async def add_change(conn: Connection, change: Mapping[str, Any]) -> int:
    cursor = await conn.execute(
        """
        INSERT INTO automation_changes (merchant_id, kind, from_level, to_level, at, by, why, report_id, proposal_id)
        VALUES (%(merchant_id)s, %(kind)s, %(from_level)s, %(to_level)s, %(at)s, %(by)s, %(why)s, %(report_id)s, %(proposal_id)s)
        RETURNING change_id
        """,
        change,
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an INSERT that did not fail has a row
    return int(row["change_id"])


async def changes_of(conn: Connection, merchant_id: str, *, changes_max: int = 50) -> list[dict[str, Any]]:
    """Newest first."""
    cursor = await conn.execute(
        "SELECT * FROM automation_changes WHERE merchant_id = %s ORDER BY change_id DESC LIMIT %s",
        (merchant_id, changes_max),
    )
    return await cursor.fetchall()


async def read_proposal(conn: Connection, change_id: int) -> dict[str, Any] | None:
    """With `is_done` once it has been agreed to."""
    cursor = await conn.execute(
        """
        SELECT p.*, EXISTS (SELECT FROM automation_changes m WHERE m.proposal_id = p.change_id) AS is_done
        FROM automation_changes p WHERE p.change_id = %s AND p.kind = 'proposed'
        """,
        (change_id,),
    )
    return await cursor.fetchone()


async def note(
    conn: Connection,
    what: str,
    *,
    actor: str,
    merchant_id: str = "",
    why: str = "",
    data: Mapping[str, Any] | None = None,
) -> None:
    await conn.execute(
        "INSERT INTO trust_events (at, merchant_id, what, actor, why, data) VALUES (unwind_now(), %s, %s, %s, %s, %s::jsonb)",
        (merchant_id, what, actor, why, to_json(dict(data or {}))),
    )


async def breakers_of(conn: Connection, merchant_id: str | None, *, rows_max: int = 100) -> list[dict[str, Any]]:
    """Open ones first, then the newest."""
    cursor = await conn.execute(
        """
        SELECT * FROM breakers WHERE (%(m)s::text IS NULL OR merchant_id = %(m)s)
        ORDER BY (closed_at IS NULL) DESC, breaker_id DESC LIMIT %(n)s
        """,
        {"m": merchant_id, "n": rows_max},
    )
    return await cursor.fetchall()


async def merchant_of_breaker(conn: Connection, breaker_id: int) -> str | None:
    cursor = await conn.execute("SELECT merchant_id FROM breakers WHERE breaker_id = %s", (breaker_id,))
    row = await cursor.fetchone()
    return row["merchant_id"] if row else None


async def close_breaker(conn: Connection, breaker_id: int, *, merchant_id: str, by: str, why: str) -> str | None:
    """The item it was of, or an empty string; None when it was closed already. Waits for whoever is just being counted."""
    await conn.execute("SELECT FROM automatic_totals WHERE merchant_id = %s FOR NO KEY UPDATE", (merchant_id,))
    cursor = await conn.execute(
        """
        UPDATE breakers SET closed_at = unwind_now(), closed_by = %s, why = %s
        WHERE breaker_id = %s AND closed_at IS NULL RETURNING sku
        """,
        (by, why, breaker_id),
    )
    row = await cursor.fetchone()
    await conn.execute(
        """
        UPDATE merchants m SET breaker_at = NULL WHERE merchant_id = %s
          AND NOT EXISTS (SELECT FROM breakers b WHERE b.merchant_id = m.merchant_id AND b.closed_at IS NULL)
        """,
        (merchant_id,),
    )
    return row["sku"] if row else None


async def counted_today(conn: Connection, merchant_id: str, time_zone: str) -> list[dict[str, Any]]:
    """Of the merchant (`sku` empty) and of the items most often returned."""
    cursor = await conn.execute(
        """
        SELECT sku, refunds, minor FROM automatic_days
        WHERE merchant_id = %s AND day = (unwind_now() AT TIME ZONE %s)::date ORDER BY (sku = '') DESC, refunds DESC, sku LIMIT 21
        """,
        (merchant_id, time_zone),
    )
    return await cursor.fetchall()


async def forget_old_counts(conn: Connection, *, rows_max: int) -> None:
    """What no breaker can look back on any more."""
    await conn.execute(
        """
        DELETE FROM automatic_refunds WHERE case_id IN (
            SELECT case_id FROM automatic_refunds WHERE at < unwind_now() - interval '8 days' LIMIT %s)
        """,
        (rows_max,),
    )
