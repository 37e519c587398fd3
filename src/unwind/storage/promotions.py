"""Promotions: what was set stays on record. They are read with the timetable and counted on under its version."""

from collections.abc import Mapping
from typing import Any

from unwind.domain.promotion import Changes, Level, Promotion
from unwind.domain.timetable import Targets
from unwind.storage.database import Connection, to_json
from unwind.storage.timetables import calendar_of, newest_years

REMEMBERED = "30 days"
"""After its end: what it promised to orders that were placed while it held is still to be kept."""


async def read_promotions(conn: Connection) -> tuple[Promotion, ...]:
    """Those that hold, will hold, or held lately."""
    cursor = await conn.execute(
        f"""
        SELECT p.*, CASE p.level WHEN 'merchant' THEN ARRAY[p.scope_id]
                WHEN 'shop' THEN (SELECT coalesce(array_agg(m.merchant_id), '{{}}') FROM merchants m WHERE m.shop = p.scope_id)
            END AS merchants
        FROM promotions p WHERE p.to_at > unwind_now() - interval '{REMEMBERED}' AND (p.has_begun OR NOT p.has_ended)
        ORDER BY p.from_at, p.promotion_id
        """  # noqa: S608 - our own text
    )
    rows = await cursor.fetchall()
    years = {row["year"]: row["days"] for row in await newest_years(conn)} if rows else {}
    return tuple(to_promotion(row, years) for row in rows)


def to_promotion(row: Mapping[str, Any], years: Mapping[int, Mapping[str, str]]) -> Promotion:
    """`row`: of the table, with the ids of its `merchants` (None: all)."""
    told = row["changes"]
    return Promotion(
        promotion_id=row["promotion_id"],
        level=Level(row["level"]),
        from_at=row["from_at"],
        to_at=row["to_at"],
        changes=Changes(
            window_minutes=told.get("window_minutes"),
            automatic_limit_minor=told.get("automatic_limit_minor"),
            limits=told.get("limits") or {},
            targets=Targets(**told["targets"]) if told.get("targets") else None,
            calendar=calendar_of(told["calendar"], years) if told.get("calendar") else None,
            arrival=(told["arrival"]["zh"], told["arrival"]["en"]) if told.get("arrival") else None,
            dispatch_hours=told.get("dispatch_hours"),
        ),
        merchants=None if row["merchants"] is None else frozenset(row["merchants"]),
    )


async def list_promotions(conn: Connection, merchant_id: str | None, *, rows_max: int = 100) -> list[dict[str, Any]]:
    """The newest first; for somebody of one merchant those that may concern it."""
    cursor = await conn.execute(
        """
        SELECT promotion_id, level, scope_id, from_at, to_at, changes, set_by, set_at, has_begun, has_ended FROM promotions
        WHERE %(m)s::text IS NULL OR level <> 'merchant' OR scope_id = %(m)s ORDER BY from_at DESC, promotion_id LIMIT %(n)s
        """,
        {"m": merchant_id, "n": rows_max},
    )
    return await cursor.fetchall()


async def read_promotion(conn: Connection, promotion_id: str) -> dict[str, Any] | None:
    cursor = await conn.execute("SELECT * FROM promotions WHERE promotion_id = %s FOR UPDATE", (promotion_id,))
    return await cursor.fetchone()


async def put_promotion(conn: Connection, promotion: Mapping[str, Any]) -> None:
    """New, or in place of one that has not begun."""
    await conn.execute(
        """
        INSERT INTO promotions (promotion_id, level, scope_id, from_at, to_at, changes, set_by, set_at)
        VALUES (%(promotion_id)s, %(level)s, %(scope_id)s, %(from_at)s, %(to_at)s, %(changes)s::jsonb, %(by)s, unwind_now())
        ON CONFLICT (promotion_id) DO UPDATE SET level = excluded.level, scope_id = excluded.scope_id, from_at = excluded.from_at,
            to_at = excluded.to_at, changes = excluded.changes, set_by = excluded.set_by, set_at = excluded.set_at, has_ended = false
        """,
        {**promotion, "changes": to_json(promotion["changes"])},
    )


async def end_promotion(conn: Connection, promotion_id: str) -> None:
    """Now, or before it has begun."""
    await conn.execute(
        """
        UPDATE promotions SET has_ended = true, has_begun = from_at < unwind_now(),
            to_at = CASE WHEN from_at < unwind_now() THEN least(to_at, unwind_now()) ELSE to_at END
        WHERE promotion_id = %s
        """,
        (promotion_id,),
    )


async def turn(conn: Connection) -> list[dict[str, Any]]:
    """Marks what has begun or ended by now; each once, whoever looks first."""
    cursor = await conn.execute(
        """
        UPDATE promotions SET has_begun = true, has_ended = to_at <= unwind_now()
        WHERE promotion_id IN (SELECT promotion_id FROM promotions
            WHERE NOT has_ended AND ((NOT has_begun AND from_at <= unwind_now()) OR to_at <= unwind_now())
            ORDER BY promotion_id FOR UPDATE SKIP LOCKED)
        RETURNING promotion_id, has_ended
        """,
        prepare=True,
    )
    return await cursor.fetchall()


async def concerned(conn: Connection, level: Level, scope_id: str, *, merchants_max: int) -> list[dict[str, Any]]:
    """Merchants for whom it would hold, with how many of their cases wait for a person."""
    cursor = await conn.execute(
        """
        SELECT m.merchant_id, m.limits, (SELECT count(*) FROM cases c WHERE c.state = 'review' AND c.merchant_id = m.merchant_id) AS waiting
        FROM merchants m WHERE CASE %(level)s WHEN 'platform' THEN true WHEN 'shop' THEN m.shop = %(scope)s ELSE m.merchant_id = %(scope)s END
        ORDER BY m.merchant_id LIMIT %(n)s
        """,
        {"level": level.value, "scope": scope_id, "n": merchants_max},
    )
    return await cursor.fetchall()
