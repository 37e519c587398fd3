"""The queue of cases that wait for a person, who holds which, and who is on duty. One order of work for the list, the claim and the push."""

from datetime import timedelta
from typing import Any

from unwind.storage.database import Connection

CLAIM_S = 300
"""A claim that nobody renews is free after this."""
HEARTBEAT_S = 60
"""A screen that has been silent for longer is closed."""
ACTIVE_S = 1800
"""An agent without a screen is there for so long after the last thing they did."""

URGENCY = "(c.priority >= 90) DESC, c.is_overdue DESC, c.priority DESC, c.respond_due_at, c.money_minor DESC, c.case_id"
"""The top rules and third calls, then what is late, then by priority, due time and money at risk. As in the index `cases_queue`."""
OLDEST_DUE = "c.respond_due_at, c.priority DESC, c.money_minor DESC, c.case_id"

FREE = """
    c.state = 'review' AND (c.claimed_by IS NULL OR c.claimed_until <= unwind_now())
    AND NOT EXISTS (SELECT FROM case_pauses w WHERE w.case_id = c.case_id AND w.ended_at IS NULL)
"""
"""Nobody works on it and the buyer is not being asked."""

IS_THERE = f"""
    a.state = 'on' AND coalesce(greatest(a.heartbeat_at + interval '{HEARTBEAT_S} s', a.active_at + interval '{ACTIVE_S} s') > unwind_now(),
        false)
"""
"""On duty by their own word, and either a screen or something they did lately says so too: people on the telephone have no screen."""

HELD = "(SELECT count(*) FROM cases h WHERE h.claimed_by = a.principal_id AND h.claimed_until > unwind_now() AND h.state = 'review')"


async def cases_in_review(conn: Connection, *, merchant_id: str | None, cases_max: int) -> list[dict[str, Any]]:
    """Waiting for a decision, in the order of work."""
    cursor = await conn.execute(
        f"""
        SELECT c.case_id, kind, order_id, merchant_id, channel, version, event_seq AS seq, reason, rule, priority, contacts, money_minor,
            opened_at, respond_warn_at, respond_due_at, is_warned, is_overdue, answered_at, escalated_at, tags->>'emotion' AS emotion,
            tags->>'urgency' AS urgency, k.is_urgent, k.resolve_due_at,
            CASE WHEN claimed_until > unwind_now() THEN claimed_by END AS claimed_by,
            CASE WHEN claimed_until > unwind_now() THEN claimed_until END AS claimed_until,
            (SELECT until_at FROM case_pauses w WHERE w.case_id = c.case_id AND w.ended_at IS NULL) AS asked_until,
            (SELECT min(p.due_at) FROM promises p WHERE p.case_id = c.case_id AND p.state IN ('open', 'broken')) AS promise_due_at
        FROM cases c LEFT JOIN case_clocks k USING (case_id)
        WHERE state = 'review' AND (%(m)s::text IS NULL OR merchant_id = %(m)s)
        ORDER BY {URGENCY} LIMIT %(n)s
        """,  # noqa: S608 - our own text
        {"m": merchant_id, "n": cases_max},
    )
    return await cursor.fetchall()


async def place_of(conn: Connection, case_id: str) -> int | None:
    """How many cases come before this one in the order of work, and itself. None: it waits for nobody (any more)."""
    cursor = await conn.execute(
        """
        SELECT 1 + (SELECT count(*) FROM cases c
            WHERE c.state = 'review' AND c.answered_at IS NULL
              AND (c.priority < 90, NOT c.is_overdue, -c.priority, c.respond_due_at, -c.money_minor, c.case_id)
                < (me.priority < 90, NOT me.is_overdue, -me.priority, me.respond_due_at, -me.money_minor, me.case_id)) AS place
        FROM cases me WHERE me.case_id = %s AND me.state = 'review' AND me.answered_at IS NULL
        """,
        (case_id,),
        prepare=True,
    )
    row = await cursor.fetchone()
    return row["place"] if row else None


async def open_versions(conn: Connection) -> list[dict[str, Any]]:
    """Of every case that waits for a person: how far its versions and events have come."""
    cursor = await conn.execute(
        "SELECT case_id, merchant_id, version, event_seq AS seq FROM cases WHERE state = 'review'", prepare=True
    )
    return await cursor.fetchall()


async def claim(conn: Connection, case_id: str, principal_id: str, *, may_take_over: bool, is_lead: bool) -> bool:
    """One conditional write: ours, when nobody else holds it at this moment. Locks the case row where it succeeds."""
    cursor = await conn.execute(
        """
        UPDATE cases SET claimed_by = %(me)s, claimed_until = unwind_now() + %(lease)s
        WHERE case_id = %(case)s AND state = 'review' AND (escalated_at IS NULL OR %(lead)s) AND NOT %(me)s = ANY(barred)
          AND (claimed_by IS NULL OR claimed_by = %(me)s OR claimed_until <= unwind_now() OR %(over)s)
        """,
        {
            "me": principal_id,
            "case": case_id,
            "lease": timedelta(seconds=CLAIM_S),
            "over": may_take_over,
            "lead": is_lead,
        },
    )
    return cursor.rowcount == 1


async def claim_next(
    conn: Connection, principal_id: str, *, merchant_id: str | None, is_lead: bool, oldest_first: bool = False
) -> str | None:
    """The first free case in the order of work that nobody else is just taking."""
    cursor = await conn.execute(
        f"""
        UPDATE cases SET claimed_by = %(me)s, claimed_until = unwind_now() + %(lease)s
        WHERE case_id = (
            SELECT c.case_id FROM cases c WHERE {FREE}
              AND (%(m)s::text IS NULL OR c.merchant_id = %(m)s) AND (c.escalated_at IS NULL OR %(lead)s)
              AND NOT %(me)s = ANY(c.barred)
            ORDER BY {OLDEST_DUE if oldest_first else URGENCY} LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
        RETURNING case_id
        """,  # noqa: S608 - our own text
        {"me": principal_id, "lease": timedelta(seconds=CLAIM_S), "m": merchant_id, "lead": is_lead},
    )
    row = await cursor.fetchone()
    return row["case_id"] if row else None


async def hand_to(conn: Connection, case_id: str, principal_id: str | None, *, is_escalated: bool = False) -> None:
    """To somebody, or to nobody. The case row is locked by the caller."""
    await conn.execute(
        """
        UPDATE cases SET claimed_by = %(to)s, claimed_until = CASE WHEN %(to)s::text IS NULL THEN NULL ELSE unwind_now() + %(lease)s END,
            escalated_at = CASE WHEN %(up)s THEN coalesce(escalated_at, unwind_now()) ELSE escalated_at END
        WHERE case_id = %(case)s
        """,
        {"to": principal_id, "case": case_id, "lease": timedelta(seconds=CLAIM_S), "up": is_escalated},
    )


async def renew_claims(conn: Connection, principal_id: str, case_ids: list[str]) -> int:
    """Silently, while they are still ours."""
    cursor = await conn.execute(
        """
        UPDATE cases SET claimed_until = unwind_now() + %s
        WHERE case_id IN (SELECT case_id FROM cases WHERE case_id = ANY(%s) AND claimed_by = %s AND claimed_until > unwind_now()
            ORDER BY case_id FOR NO KEY UPDATE SKIP LOCKED)
        """,
        (timedelta(seconds=CLAIM_S), case_ids, principal_id),
    )
    return cursor.rowcount


async def cases_held(conn: Connection, principal_id: str) -> list[str]:
    """Whether or not the claim has run out meanwhile."""
    cursor = await conn.execute(
        "SELECT case_id FROM cases WHERE claimed_by = %s AND state = 'review' ORDER BY case_id", (principal_id,)
    )
    return [row["case_id"] for row in await cursor.fetchall()]


async def expired_claims(conn: Connection, *, cases_max: int) -> list[str]:
    cursor = await conn.execute(
        """
        SELECT case_id FROM cases WHERE claimed_by IS NOT NULL AND claimed_until <= unwind_now() AND state = 'review'
        ORDER BY case_id LIMIT %s
        """,
        (cases_max,),
    )
    return [row["case_id"] for row in await cursor.fetchall()]


async def set_presence(
    conn: Connection, principal_id: str, *, state: str, cases_max: int | None, takes_push: bool | None
) -> None:
    await conn.execute(
        """
        INSERT INTO agents AS a (principal_id, state, state_since, heartbeat_at, active_at, cases_max, takes_push)
        VALUES (%(me)s, %(state)s, unwind_now(), NULL, unwind_now(), coalesce(%(max)s, 8), coalesce(%(push)s, false))
        ON CONFLICT (principal_id) DO UPDATE SET state = excluded.state, active_at = excluded.active_at,
            state_since = CASE WHEN a.state = excluded.state THEN a.state_since ELSE excluded.state_since END,
            cases_max = coalesce(%(max)s, a.cases_max), takes_push = coalesce(%(push)s, a.takes_push)
        """,
        {"me": principal_id, "state": state, "max": cases_max, "push": takes_push},
    )


async def note_presence(conn: Connection, principal_id: str, *, has_screen: bool) -> bool:
    """A heartbeat of a screen, or something somebody did. False for people who never said that they are on duty."""
    cursor = await conn.execute(
        """
        UPDATE agents SET heartbeat_at = CASE WHEN %(screen)s THEN unwind_now() ELSE heartbeat_at END,
            active_at = CASE WHEN %(screen)s THEN active_at ELSE unwind_now() END
        WHERE principal_id = %(me)s
        """,
        {"me": principal_id, "screen": has_screen},
    )
    return cursor.rowcount == 1


async def read_agents(conn: Connection, principal_id: str | None = None) -> list[dict[str, Any]]:
    """Everybody who ever came on duty, or one of them; `has_room` for another case."""
    cursor = await conn.execute(
        f"""
        SELECT a.*, p.role, p.merchant_id, p.revoked_at IS NULL AND ({IS_THERE}) AS is_there, {HELD} AS held,
            {HELD} < a.cases_max AS has_room
        FROM agents a JOIN principals p USING (principal_id)
        WHERE (%(one)s::text IS NULL OR principal_id = %(one)s) ORDER BY principal_id
        """,  # noqa: S608 - our own text
        {"one": principal_id},
    )
    return await cursor.fetchall()


async def least_loaded(conn: Connection) -> list[dict[str, Any]]:
    """Who may be given a case: there, willing, with room; the emptiest hands first."""
    cursor = await conn.execute(
        f"""
        SELECT a.principal_id, p.role, p.merchant_id FROM agents a JOIN principals p USING (principal_id)
        WHERE a.takes_push AND p.revoked_at IS NULL AND {IS_THERE} AND {HELD} < a.cases_max
        ORDER BY {HELD}, a.principal_id
        """  # noqa: S608 - our own text
    )
    return await cursor.fetchall()
