"""What one shift leaves to the next."""

from datetime import datetime
from typing import Any

from unwind.storage.database import Connection

MINE = "c.claimed_by = %(me)s AND c.claimed_until > unwind_now()"


async def give(conn: Connection, *, case_id: str, given_by: str, given_to: str, at: datetime, has_note: bool) -> bool:
    """False while an earlier one has not been taken. The case row is locked by the caller."""
    cursor = await conn.execute(
        """
        INSERT INTO handovers (case_id, given_by, given_to, given_at, has_note) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (case_id) WHERE taken_at IS NULL DO NOTHING
        """,
        (case_id, given_by, given_to, at, has_note),
    )
    return cursor.rowcount == 1


async def take(conn: Connection, *, case_id: str, given_to: str, at: datetime) -> str | None:
    """Who gave it; None where there is nothing to take."""
    cursor = await conn.execute(
        "UPDATE handovers SET taken_at = %s WHERE case_id = %s AND given_to = %s AND taken_at IS NULL RETURNING given_by",
        (at, case_id, given_to),
    )
    row = await cursor.fetchone()
    return row["given_by"] if row else None


async def open_handovers(conn: Connection, principal_id: str) -> list[dict[str, Any]]:
    """Given by this agent, or to them, and not confirmed yet."""
    cursor = await conn.execute(
        """
        SELECT h.case_id, h.given_by, h.given_to, h.given_at, h.has_note, c.order_id, c.state, c.priority, c.respond_due_at
        FROM handovers h JOIN cases c USING (case_id)
        WHERE h.taken_at IS NULL AND (h.given_to = %(me)s OR h.given_by = %(me)s) ORDER BY h.given_at, h.case_id
        """,
        {"me": principal_id},
    )
    return await cursor.fetchall()


async def cases_of(conn: Connection, principal_id: str) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        f"""
        SELECT c.case_id, c.order_id, c.reason, c.rule, c.priority, c.contacts, c.respond_due_at, c.is_overdue, c.claimed_until
        FROM cases c WHERE {MINE} AND c.state = 'review' ORDER BY c.respond_due_at, c.case_id
        """,  # noqa: S608 - our own text
        {"me": principal_id},
    )
    return await cursor.fetchall()


async def questions_of(conn: Connection, principal_id: str, actor: str) -> list[dict[str, Any]]:
    """What waits for a buyer: asked by this agent, or on a case they hold."""
    cursor = await conn.execute(
        f"""
        SELECT w.case_id, c.order_id, w.reason, w.began_at, w.until_at, w.asked_by FROM case_pauses w JOIN cases c USING (case_id)
        WHERE w.ended_at IS NULL AND (w.asked_by = %(actor)s OR ({MINE})) ORDER BY w.until_at, w.case_id
        """,  # noqa: S608 - our own text
        {"me": principal_id, "actor": actor},
    )
    return await cursor.fetchall()


async def recalls_of(conn: Connection, principal_id: str, actor: str) -> list[dict[str, Any]]:
    """Parcels being called back on cases this agent has acted on or holds."""
    cursor = await conn.execute(
        f"""
        SELECT g.case_id, c.order_id, g.leg_no, g.target AS shipment_id, g.state, g.code, g.due_at
        FROM legs g JOIN cases c USING (case_id)
        WHERE g.kind = 'recall_parcel' AND g.state IN ('planned', 'claimed', 'unknown', 'accepted', 'task', 'blocked')
          AND c.state <> 'archived'
          AND (({MINE}) OR EXISTS (SELECT FROM case_events e WHERE e.case_id = g.case_id AND e.actor = %(actor)s))
        ORDER BY g.due_at, g.case_id
        """,  # noqa: S608 - our own text
        {"me": principal_id, "actor": actor},
    )
    return await cursor.fetchall()
