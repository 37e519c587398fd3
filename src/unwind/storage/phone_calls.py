"""Telephone systems and calls. No number stands here: a keyed digest, and the call's own id."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from unwind.domain.personal import mask_numbers
from unwind.storage.database import Connection, to_json

CALLS_SHOWN_MAX = 50


async def read_system(conn: Connection, system_id: str) -> dict[str, Any] | None:
    cursor = await conn.execute("SELECT * FROM phone_systems WHERE system_id = %s", (system_id,), prepare=True)
    return await cursor.fetchone()


async def list_systems(conn: Connection, *, merchant_id: str | None) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        """
        SELECT system_id, merchant_id, vendor, aliases, agents, secret_digest IS NOT NULL AS has_secret FROM phone_systems
        WHERE %(m)s::text IS NULL OR merchant_id = %(m)s ORDER BY system_id
        """,
        {"m": merchant_id},
    )
    return await cursor.fetchall()


async def put_system(conn: Connection, system: Mapping[str, Any]) -> None:
    """`secret_digest` None leaves the secret as it is."""
    await conn.execute(
        """
        INSERT INTO phone_systems AS s (system_id, merchant_id, vendor, aliases, agents, secret_digest)
        VALUES (%(system_id)s, %(merchant_id)s, %(vendor)s, %(aliases)s::jsonb, %(agents)s::jsonb, %(secret_digest)s)
        ON CONFLICT (system_id) DO UPDATE SET merchant_id = excluded.merchant_id, vendor = excluded.vendor,
            aliases = excluded.aliases, agents = excluded.agents,
            secret_digest = coalesce(excluded.secret_digest, s.secret_digest)
        """,
        {**system, "aliases": to_json(system["aliases"]), "agents": to_json(system["agents"])},
    )


async def note_event(conn: Connection, call: Mapping[str, Any], event: str, *, at: datetime) -> bool:
    """The call's row, made by whichever event comes first, and this event of it. False when it was known."""
    await conn.execute(
        """
        INSERT INTO phone_calls (system_id, call_id, direction, agent_ids, queue, caller_digest, is_virtual, rang_at)
        VALUES (%(system_id)s, %(call_id)s, %(direction)s, %(agent_ids)s, %(queue)s, %(caller_digest)s, %(is_virtual)s, %(at)s)
        ON CONFLICT (system_id, call_id) DO NOTHING
        """,
        {**call, "at": at},
    )
    cursor = await conn.execute(
        """
        INSERT INTO phone_call_events (system_id, call_id, event, at) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING
        """,
        (call["system_id"], call["call_id"], event, at),
    )
    return cursor.rowcount == 1


async def read_call(conn: Connection, system_id: str, call_id: str) -> dict[str, Any] | None:
    """With the merchant of its system."""
    cursor = await conn.execute(
        """
        SELECT c.*, s.merchant_id FROM phone_calls c JOIN phone_systems s USING (system_id)
        WHERE system_id = %s AND call_id = %s
        """,
        (system_id, call_id),
    )
    return await cursor.fetchone()


async def set_call(conn: Connection, system_id: str, call_id: str, **columns: Any) -> None:
    """Only what is named, and never back to nothing."""
    names = (
        "agent_ids",
        "caller_digest",
        "order_id",
        "case_id",
        "answered_at",
        "hung_up_at",
        "duration_s",
        "recording_ref",
    )
    await conn.execute(
        """
        UPDATE phone_calls SET agent_ids = coalesce(%(agent_ids)s, agent_ids), caller_digest = coalesce(caller_digest, %(caller_digest)s),
            order_id = coalesce(%(order_id)s, order_id), case_id = coalesce(%(case_id)s, case_id),
            answered_at = coalesce(answered_at, %(answered_at)s), hung_up_at = coalesce(hung_up_at, %(hung_up_at)s),
            duration_s = coalesce(%(duration_s)s, duration_s), recording_ref = coalesce(%(recording_ref)s, recording_ref)
        WHERE system_id = %(system_id)s AND call_id = %(call_id)s
        """,
        {**dict.fromkeys(names), **columns, "system_id": system_id, "call_id": call_id},
    )


async def set_outcome(conn: Connection, system_id: str, call_id: str, *, outcome: str, by: str, at: datetime) -> bool:
    """False when there is one."""
    cursor = await conn.execute(
        """
        UPDATE phone_calls SET outcome = %s, outcome_by = %s, outcome_at = %s
        WHERE system_id = %s AND call_id = %s AND outcome IS NULL
        """,
        (outcome, by, at, system_id, call_id),
    )
    return cursor.rowcount == 1


async def open_calls(conn: Connection, principal_id: str, *, merchant_id: str | None) -> list[dict[str, Any]]:
    """Of the last day, without an outcome, that name this agent or nobody; the newest first."""
    cursor = await conn.execute(
        """
        SELECT c.system_id, c.call_id, c.direction, c.queue, c.order_id, c.case_id, c.is_virtual, c.rang_at, c.answered_at, c.hung_up_at
        FROM phone_calls c JOIN phone_systems s USING (system_id)
        WHERE c.outcome IS NULL AND c.rang_at > (SELECT unwind_now() - interval '1 day')
          AND (c.agent_ids = '{}' OR %(me)s = ANY(c.agent_ids)) AND (%(m)s::text IS NULL OR s.merchant_id = %(m)s)
        ORDER BY c.rang_at DESC, c.call_id LIMIT %(n)s
        """,
        {"me": principal_id, "m": merchant_id, "n": CALLS_SHOWN_MAX},
    )
    return await cursor.fetchall()


async def calls_of_case(conn: Connection, case_id: str) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        """
        SELECT system_id, call_id, direction, queue, rang_at, answered_at, hung_up_at, duration_s, recording_ref, outcome, outcome_by
        FROM phone_calls WHERE case_id = %s ORDER BY rang_at, call_id
        """,
        (case_id,),
    )
    return await cursor.fetchall()


def agents_named(agents: Mapping[str, str], work_numbers: Sequence[str]) -> list[str]:
    """A work number that nobody has said anything about names itself, so that the call lands on nobody else; a telephone is masked."""
    return sorted({agents.get(number) or mask_numbers(number) for number in work_numbers})
