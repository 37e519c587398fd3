"""No statement of the bench or the dock scans: their plans on a filled table, as the planner chooses them by itself."""

import asyncio
import re
from typing import Any

import psycopg
import pytest

from benchmarks.scan import fill
from tests.world import World
from unwind.storage import false_dispatches, returns, warehouse

ORDERS = 20_000
BIG = "orders|order_lines|cases|case_lines|case_parts|shipments|shipment_lines|legs"
STATEMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "waybill": (warehouse.RESOLVE, {"code": "SF42"}),
    "order": (warehouse.RESOLVE, {"code": "K42"}),
    "unknown": (warehouse.RESOLVE, {"code": "nothing"}),
    "known event": (warehouse.READ_SCAN, {"principal": "p", "event": "e"}),
    "return": (returns.FIND, {"code": "SF42"}),
    "false dispatch": (false_dispatches.DUE, {"max": 50}),
}


@pytest.fixture
async def filled(world: World) -> World:
    await asyncio.to_thread(fill, world.owner_url, orders=ORDERS)
    return world


async def test_no_scan_scans_a_big_table(filled: World) -> None:
    async with await psycopg.AsyncConnection.connect(filled.url, autocommit=True) as conn:
        for name, (statement, given) in STATEMENTS.items():
            rows = await (await conn.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {statement}", given)).fetchall()
            plan = "\n".join(row[0] for row in rows)
            assert not re.search(rf"Seq Scan on ({BIG})\b", plan), f"{name}:\n{plan}"
            assert "Index" in plan or name == "known event", f"{name}:\n{plan}"
        rows = await (await conn.execute("EXPLAIN SELECT 1 FROM orders WHERE risk = 'none'")).fetchall()
        assert "Seq Scan on orders" in rows[0][0], "the table is large enough for the planner to show what it would do"


async def test_the_list_reads_what_waits_and_not_what_is_done(filled: World) -> None:
    given = {"merchant": None, "wave": None, "location": None, "max": 100}
    await filled.sql("UPDATE legs SET state = 'succeeded' WHERE case_id NOT LIKE '%7'")
    await filled.sql("ANALYZE legs")
    async with filled.services.database.connection() as conn:
        rows = await (await conn.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {warehouse.STOPS}", given)).fetchall()
        plan = "\n".join(str(row["QUERY PLAN"]) for row in rows)
        assert "legs_at_warehouse" in plan, plan
        assert not re.search(rf"Seq Scan on ({BIG})\b", plan), plan
