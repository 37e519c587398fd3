"""What a person at a desk reads."""

from collections.abc import Sequence
from typing import Any

from unwind.storage.database import Connection


async def recent_cases(conn: Connection, *, merchant_id: str | None, cases_max: int) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        """
        SELECT c.case_id, c.kind, c.order_id, c.merchant_id, c.channel, c.state, c.reason, c.rule, c.verdict, c.outcome,
            c.priority, c.money_minor, c.opened_at, c.closed_at, c.respond_due_at, c.is_overdue, o.currency, m.name AS merchant
        FROM cases c JOIN orders o USING (order_id) JOIN merchants m ON m.merchant_id = c.merchant_id
        WHERE (%(m)s::text IS NULL OR c.merchant_id = %(m)s) ORDER BY c.opened_at DESC, c.case_id DESC LIMIT %(n)s
        """,
        {"m": merchant_id, "n": cases_max},
    )
    return await cursor.fetchall()


async def counts(conn: Connection) -> dict[str, Any]:
    """Today's figures for the plain page."""
    cursor = await conn.execute(
        """
        SELECT count(*) AS cases,
            count(*) FILTER (WHERE state = 'review') AS in_review,
            count(*) FILTER (WHERE state = 'review' AND is_overdue) AS overdue,
            count(*) FILTER (WHERE state NOT IN ('review', 'archived')) AS running,
            count(*) FILTER (WHERE state = 'archived') AS archived,
            count(*) FILTER (WHERE verdict = 'auto') AS automatic,
            (SELECT count(*) FROM orders) AS orders,
            (SELECT count(*) FROM orders WHERE cancelled_at IS NOT NULL) AS orders_cancelled,
            (SELECT count(*) FROM tasks WHERE state = 'open') AS tasks_open,
            unwind_now() AS now
        FROM cases
        """
    )
    row = await cursor.fetchone()
    return row or {}


async def tasks_of_case(conn: Connection, case_id: str) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        "SELECT task_id, leg_no, audience, state, opened_at, due_at, answered_at, answered_by, evidence FROM tasks WHERE case_id = %s"
        " ORDER BY task_id",
        (case_id,),
    )
    return await cursor.fetchall()


async def order_row(conn: Connection, order_id: str) -> dict[str, Any] | None:
    cursor = await conn.execute("SELECT * FROM orders WHERE order_id = %s", (order_id,))
    return await cursor.fetchone()


async def refund_exceptions(
    conn: Connection,
    *,
    merchant_id: str | None,
    connection: str | None = None,
    kind: str | None = None,
    kinds: Sequence[str] = (),
    case_ids: Sequence[str] | None = None,
    refunds_max: int,
) -> list[dict[str, Any]]:
    """Refund legs that cannot go on without a person, the longest waiting first; who holds their case, and what waits for a second person.

    `kind`: the word before the provider's code; one that is none of `kinds` is shown, and found, as `unfinished`.
    """
    cursor = await conn.execute(
        """
        SELECT c.case_id, c.order_id, c.merchant_id, c.version AS case_version, o.version AS order_version, o.currency, g.leg_no,
            g.part_no, g.target AS payment_id, p.connection, p.method, g.number AS refund_no, g.amount_minor, g.code,
            c.state AS case_state, c.escalated_at IS NOT NULL AS is_escalated,
            CASE WHEN c.claimed_until > unwind_now() THEN c.claimed_by END AS held_by, q.proposal,
            coalesce((g.evidence->>'blocked_at')::timestamptz, c.opened_at) AS blocked_at, unwind_now() AS now
        FROM legs g JOIN cases c USING (case_id) JOIN orders o USING (order_id) JOIN payments p ON p.payment_id = g.target
        LEFT JOIN LATERAL (
            SELECT jsonb_build_object('proposal_id', q.proposal_id, 'way', q.way, 'account_kind', q.account_kind,
                'account_tail', q.account_tail, 'reference', q.reference, 'paid_on', q.paid_on, 'proposed_by', q.proposed_by,
                'proposed_at', q.proposed_at, 'expires_at', q.expires_at) AS proposal
            FROM payout_proposals q WHERE q.case_id = g.case_id AND q.leg_no = g.leg_no AND q.state = 'open') q ON true
        WHERE g.kind = 'refund' AND g.state = 'blocked' AND (%(m)s::text IS NULL OR c.merchant_id = %(m)s)
          AND (%(connection)s::text IS NULL OR p.connection = %(connection)s)
          AND (%(cases)s::text[] IS NULL OR g.case_id = ANY(%(cases)s))
          AND (%(kind)s::text IS NULL OR %(kind)s = CASE WHEN split_part(g.code, ':', 1) = ANY(%(kinds)s)
              THEN split_part(g.code, ':', 1) ELSE 'unfinished' END)
        ORDER BY blocked_at, c.case_id, g.leg_no LIMIT %(n)s
        """,
        {
            "m": merchant_id,
            "connection": connection,
            "kind": kind,
            "kinds": list(kinds),
            "cases": None if case_ids is None else list(case_ids),
            "n": refunds_max,
        },
    )
    return await cursor.fetchall()


async def recalls(conn: Connection, *, merchant_id: str | None, recalls_max: int) -> list[dict[str, Any]]:
    """Legs about parcels on the road that are not final, the longest waiting first."""
    cursor = await conn.execute(
        """
        SELECT c.case_id, c.order_id, c.merchant_id, c.state AS case_state, g.leg_no, g.part_no, g.kind, g.state, g.target AS shipment_id,
            g.number AS request_no, g.attempts, g.next_try_at, g.due_at, g.code, s.carrier, s.waybill_no, s.return_waybill_no,
            s.reported_stage AS stage, s.moved_at, s.fed_at, s.tracked_at,
            (SELECT min(e.at) FROM case_events e WHERE e.case_id = g.case_id AND e.event = 'leg_claimed'
                AND e.data->>'leg' = g.leg_no::text) AS asked_at
        FROM cases c JOIN legs g USING (case_id)
            LEFT JOIN shipments s ON s.order_id = c.order_id AND s.shipment_id = g.target
        WHERE c.state <> 'archived' AND g.kind IN ('recall_parcel', 'redirect_parcel', 'receive_return')
          AND g.state NOT IN ('succeeded', 'released', 'waived') AND (%(m)s::text IS NULL OR c.merchant_id = %(m)s)
        ORDER BY asked_at NULLS LAST, c.case_id, g.leg_no LIMIT %(n)s
        """,
        {"m": merchant_id, "n": recalls_max},
    )
    return await cursor.fetchall()
