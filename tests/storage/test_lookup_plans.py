"""No look-up scans: the plans of its statements on a filled table, as the planner chooses them by itself."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from benchmarks.lookup import fill
from tests.world import World
from unwind.storage import lookup
from unwind.storage.privacy import tail_kind

ORDERS = 20_000
BIG = "orders|order_lines|cases|shipments|blind_index|private_data|order_keys"


@pytest.fixture
async def filled(world: World) -> World:
    await asyncio.to_thread(fill, world.owner_url, world.services.vault, orders=ORDERS)
    return world


def statements(world: World) -> dict[str, tuple[str, dict[str, Any]]]:
    vault, now = world.services.vault, datetime.now(UTC)
    phone = {"kind": "phone", "digest": vault.blind("phone", "13800000042"), "limit": 20}
    kind = tail_kind("bench")
    return {
        "order": (lookup.BY_ORDER, {"value": "K42", "limit": 20}),
        "case": (lookup.BY_CASE, {"value": "UW261101-0000000042", "limit": 20}),
        "waybill": (lookup.BY_WAYBILL, {"value": "SF42", "limit": 20}),
        "phone": (lookup.BY_PERSON, phone),
        "phone of a merchant": (lookup.BY_PERSON_OF_MERCHANT, {**phone, "merchant": "bench"}),
        "name": (lookup.BY_PERSON, {"kind": "name", "digest": vault.blind("name", "买家42"), "limit": 20}),
        "tail": (
            lookup.BY_TAIL,
            {"kind": kind, "digest": vault.blind(kind, "0042"), "since": now - timedelta(days=90), "limit": 20},
        ),
        "order tail": (
            lookup.BY_ORDER_TAIL,
            {"merchant": "bench", "value": "K10042", "since": now - timedelta(days=90), "limit": 20},
        ),
        "hits": (lookup.READ_HITS, {"ids": [f"K{n}" for n in range(20)], "merchant": None, "now": now}),
    }


async def test_no_lookup_scans_a_big_table(filled: World) -> None:
    async with await psycopg.AsyncConnection.connect(filled.url, autocommit=True) as conn:
        for name, (statement, given) in statements(filled).items():
            rows = await (await conn.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {statement}", given)).fetchall()
            plan = "\n".join(row[0] for row in rows)
            assert not re.search(rf"Seq Scan on ({BIG})\b", plan), f"{name}:\n{plan}"
            assert "Index" in plan, f"{name}:\n{plan}"
        rows = await (await conn.execute("EXPLAIN SELECT 1 FROM orders WHERE risk = 'none'")).fetchall()
        assert "Seq Scan on orders" in rows[0][0], "the table is large enough for the planner to show what it would do"


async def test_every_lookup_finds_what_was_filled(filled: World) -> None:
    async with filled.services.database.connection() as conn:
        for name, (statement, given) in statements(filled).items():
            if name != "hits":
                assert await lookup.find_ids(conn, statement, **given), name
