"""Merchants: hours, authority, trust."""

from collections.abc import Mapping
from typing import Any

from unwind.storage.database import Connection, to_json


async def read_merchant(conn: Connection, merchant_id: str) -> dict[str, Any] | None:
    cursor = await conn.execute("SELECT * FROM merchants WHERE merchant_id = %s", (merchant_id,))
    return await cursor.fetchone()


async def upsert_merchant(conn: Connection, merchant: Mapping[str, Any]) -> None:
    await conn.execute(
        """
        INSERT INTO merchants (merchant_id, name, authority, has_settlement, warehouse, shop, time_zone, hours, automation,
            hold_timeout_s)
        VALUES (%(merchant_id)s, %(name)s, %(authority)s, %(has_settlement)s, %(warehouse)s, %(shop)s, %(time_zone)s,
            %(hours)s::jsonb, %(automation)s, %(hold_timeout_s)s)
        ON CONFLICT (merchant_id) DO UPDATE SET name = excluded.name, authority = excluded.authority,
            has_settlement = excluded.has_settlement, warehouse = excluded.warehouse, shop = excluded.shop,
            time_zone = excluded.time_zone, hours = excluded.hours, automation = excluded.automation,
            hold_timeout_s = excluded.hold_timeout_s
        """,
        {**merchant, "hours": to_json(merchant["hours"])},
    )


async def lift_halt(conn: Connection, merchant_id: str) -> bool:
    """False when there was none."""
    cursor = await conn.execute(
        "UPDATE merchants SET halted_at = NULL WHERE merchant_id = %s AND halted_at IS NOT NULL", (merchant_id,)
    )
    return cursor.rowcount == 1
