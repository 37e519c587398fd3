"""Merchants: hours, authority, trust."""

from collections.abc import Mapping
from typing import Any

from unwind.storage.database import Connection, to_json

UNLESS_TOLD = {
    "quiet_from": 22 * 60,
    "quiet_to": 8 * 60,
    "agent_limit_minor": 500_000,
    "goodwill_limit_minor": 5_000,
    "may_only_tell": False,
    "false_dispatch_h": 24,
    "money_terms": {},
    "asks_rating": False,
}


async def read_merchant(conn: Connection, merchant_id: str) -> dict[str, Any] | None:
    cursor = await conn.execute("SELECT * FROM merchants WHERE merchant_id = %s", (merchant_id,))
    return await cursor.fetchone()


async def merchant_of_order(conn: Connection, order_id: str) -> dict[str, Any]:
    cursor = await conn.execute(
        "SELECT m.* FROM merchants m JOIN orders o USING (merchant_id) WHERE o.order_id = %s", (order_id,)
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an order's merchant is a foreign key
    return row


async def upsert_merchant(conn: Connection, merchant: Mapping[str, Any]) -> None:
    told = {**UNLESS_TOLD, **merchant}
    await conn.execute(
        """
        INSERT INTO merchants (merchant_id, name, authority, has_settlement, warehouse, shop, time_zone, hours, automation,
            hold_timeout_s, agent_limit_minor, goodwill_limit_minor, quiet_from, quiet_to, may_only_tell,
            false_dispatch_h, money_terms, asks_rating)
        VALUES (%(merchant_id)s, %(name)s, %(authority)s, %(has_settlement)s, %(warehouse)s, %(shop)s, %(time_zone)s,
            %(hours)s::jsonb, %(automation)s, %(hold_timeout_s)s, %(agent_limit_minor)s, %(goodwill_limit_minor)s, %(quiet_from)s, %(quiet_to)s,
            %(may_only_tell)s, %(false_dispatch_h)s, %(money_terms)s::jsonb, %(asks_rating)s)
        ON CONFLICT (merchant_id) DO UPDATE SET name = excluded.name, authority = excluded.authority,
            has_settlement = excluded.has_settlement, warehouse = excluded.warehouse, shop = excluded.shop,
            time_zone = excluded.time_zone, hours = excluded.hours,
            hold_timeout_s = excluded.hold_timeout_s,
            agent_limit_minor = excluded.agent_limit_minor, goodwill_limit_minor = excluded.goodwill_limit_minor, quiet_from = excluded.quiet_from, quiet_to = excluded.quiet_to,
            may_only_tell = excluded.may_only_tell, false_dispatch_h = excluded.false_dispatch_h,
            money_terms = excluded.money_terms,
            asks_rating = excluded.asks_rating
        """,
        {**told, "hours": to_json(told["hours"]), "money_terms": to_json(told["money_terms"])},
    )


async def lift_halt(conn: Connection, merchant_id: str) -> bool:
    """False when there was none."""
    cursor = await conn.execute(
        "UPDATE merchants SET halted_at = NULL WHERE merchant_id = %s AND halted_at IS NOT NULL", (merchant_id,)
    )
    return cursor.rowcount == 1
