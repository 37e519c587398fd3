"""Proposals to pay a blocked refund by another way. The account itself stands sealed in `private_data`, and only while one is open."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from unwind.storage.database import Connection


async def add_proposal(conn: Connection, row: Mapping[str, Any]) -> bool:
    """False when one waits for that leg already. The case row is locked by the caller."""
    cursor = await conn.execute(
        """
        INSERT INTO payout_proposals (proposal_id, case_id, leg_no, order_id, merchant_id, way, case_version, amount_minor, currency,
            account_kind, account_tail, paid_by, reference, paid_on, proposed_by, proposed_at, expires_at)
        VALUES (%(proposal_id)s, %(case_id)s, %(leg_no)s, %(order_id)s, %(merchant_id)s, %(way)s, %(case_version)s, %(amount_minor)s,
            %(currency)s, %(account_kind)s, %(account_tail)s, %(paid_by)s, %(reference)s, %(paid_on)s, %(proposed_by)s,
            %(proposed_at)s, %(expires_at)s)
        ON CONFLICT (case_id, leg_no) WHERE state = 'open' DO NOTHING
        """,
        row,
    )
    return cursor.rowcount == 1


async def next_n(conn: Connection, case_id: str) -> int:
    """The case row is locked by the caller."""
    cursor = await conn.execute("SELECT count(*) + 1 AS n FROM payout_proposals WHERE case_id = %s", (case_id,))
    row = await cursor.fetchone()
    return row["n"] if row else 1


async def read_proposal(conn: Connection, proposal_id: str) -> dict[str, Any] | None:
    cursor = await conn.execute("SELECT * FROM payout_proposals WHERE proposal_id = %s", (proposal_id,))
    return await cursor.fetchone()


async def close_proposal(conn: Connection, proposal_id: str, *, state: str, by: str, at: datetime) -> bool:
    """False when somebody was faster."""
    cursor = await conn.execute(
        "UPDATE payout_proposals SET state = %s, closed_by = %s, closed_at = %s WHERE proposal_id = %s AND state = 'open'",
        (state, by, at, proposal_id),
    )
    return cursor.rowcount == 1


async def open_proposals(conn: Connection, *, merchant_id: str | None, proposals_max: int) -> list[dict[str, Any]]:
    """What waits for a second person, the longest waiting first."""
    cursor = await conn.execute(
        """
        SELECT q.proposal_id, q.case_id, q.leg_no, q.order_id, q.merchant_id, q.way, q.amount_minor, q.currency, q.account_kind,
            q.account_tail, q.paid_by, q.reference, q.paid_on, q.proposed_by, q.proposed_at, q.expires_at,
            c.version = q.case_version AS is_fresh
        FROM payout_proposals q JOIN cases c USING (case_id)
        WHERE q.state = 'open' AND (%(m)s::text IS NULL OR q.merchant_id = %(m)s)
        ORDER BY q.proposed_at, q.proposal_id LIMIT %(n)s
        """,
        {"m": merchant_id, "n": proposals_max},
    )
    return await cursor.fetchall()


async def lapsed_proposals(conn: Connection, *, proposals_max: int) -> list[dict[str, Any]]:
    """Open ones that are over: their time, or their case has moved on."""
    cursor = await conn.execute(
        """
        SELECT q.proposal_id, q.case_id FROM payout_proposals q JOIN cases c USING (case_id)
        WHERE q.state = 'open' AND (q.expires_at <= unwind_now() OR c.version <> q.case_version)
        ORDER BY q.proposed_at, q.proposal_id LIMIT %s
        """,
        (proposals_max,),
    )
    return await cursor.fetchall()
