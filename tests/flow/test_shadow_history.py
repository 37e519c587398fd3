"""The demo's own history in shadow: what the report says is what was counted here, order by order, by other means."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.world import World
from unwind.demo.catalog import DEMO_KEYS, MERCHANTS
from unwind.demo.seed import ORDERS, Seeder
from unwind.domain.access import SCOPES_OF, Role
from unwind.storage.embedded import EmbeddedPostgres
from unwind.storage.principals import upsert_principal

PATIENT_S = 30
CHOICES = ("approve", "approve", "decline", "approve", "withdraw", "approve", "wait")


class FromThread(httpx.BaseTransport):
    """Lets the seeder, which waits for every answer, speak to the application in this loop."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers = {name: value for name, value in request.headers.items() if name not in {"host", "content-length"}}
        asked = self._client.request(request.method, request.url.path, content=request.read(), headers=headers)
        given = asyncio.run_coroutine_threadsafe(asked, self._loop).result(PATIENT_S)
        return httpx.Response(given.status_code, content=given.content, headers={"content-type": "application/json"})


@pytest.fixture
async def shop(postgres: EmbeddedPostgres, database_name: str, tmp_path: Path) -> AsyncIterator[World]:
    """A world filled as the demo is."""
    carriers = dict.fromkeys(("zto", "yto"), "generic_carrier")
    async with AsyncExitStack() as stack:
        world = await World.open(stack, postgres=postgres, database=database_name, folder=tmp_path, speaking=carriers)
        async with world.services.database.connection() as conn:
            for role, key in DEMO_KEYS.items():
                scopes = sorted(SCOPES_OF[Role(role)])
                row = {"principal_id": f"demo-{role}", "role": role, "scopes": scopes, "merchant_id": None}
                await upsert_principal(conn, {**row, "display_name": role}, key)
        inside = httpx.Client(transport=FromThread(world.client), base_url="http://unwind.test")
        outside = httpx.Client(transport=FromThread(world.control), base_url="http://sandbox.test")
        seeder = Seeder(inside, outside, await world.now())
        await asyncio.to_thread(seeder.seed, lambda _: None)
        yield world


async def what_the_policy_would_do(world: World) -> list[tuple[str, str, str]]:
    """(shop, order, rule) of every order that may still be cancelled; the rule is empty where a person would decide anyway."""
    found = []
    for n in range(1, ORDERS + 1):
        order_id = f"D{n:04d}"
        [row] = await world.sql("SELECT merchant_id FROM orders WHERE order_id = %s", order_id)
        parts = (await world.ok("GET", f"/api/v1/orders/{order_id}/cancellability"))["parts"]
        if len(parts) == 1:
            rule = parts[0]["rule"] if parts[0]["verdict"] == "auto" else ""
            found.append((row["merchant_id"], order_id, rule))
    return found


async def decide(world: World, case_id: str, choice: str) -> None:
    if choice == "withdraw":
        await world.ok("POST", f"/api/v1/cancellations/{case_id}/withdraw")
    elif choice != "wait":
        decided = await world.decide(case_id, choice)
        assert decided.status_code == 200, "nobody else has to look at it"


@pytest.mark.rule("operations.trust")
async def test_the_seeded_history_in_shadow_yields_the_agreement_that_was_counted(shop: World) -> None:
    asked = await what_the_policy_would_do(shop)
    assert sum(bool(rule) for _, _, rule in asked) > 100
    for merchant in MERCHANTS:
        path = f"/api/v1/admin/automation/{merchant.merchant_id}"
        await shop.ok("POST", path, role="lead", json={"level": "shadow", "why": "first week"})
    counted: dict[tuple[str, str], Counter[str]] = {}
    disagreed: dict[str, set[str]] = {merchant.merchant_id: set() for merchant in MERCHANTS}
    for turn, (merchant_id, order_id, rule) in enumerate(asked):
        answer = await shop.cancel(order_id, reason="CHANGED_MIND")
        if not rule:
            assert answer["rule"] != "automation_shadow", order_id
            continue
        assert (answer["outcome"], answer["rule"]) == ("in_review", "automation_shadow"), (order_id, rule)
        choice = CHOICES[turn % len(CHOICES)]
        await decide(shop, answer["case_id"], choice)
        count = counted.setdefault((merchant_id, rule), Counter())
        count.update(["cases", {"withdraw": "withdrawn", "wait": "waiting"}.get(choice, "decided")])
        count.update(["agreed"] if choice == "approve" else [])
        disagreed[merchant_id] |= {answer["case_id"]} if choice == "decline" else set()
    assert (
        await shop.sql(
            "SELECT FROM refunds WHERE case_id NOT IN (SELECT case_id FROM cases WHERE first_human_at IS NOT NULL)"
        )
        == []
    )
    reported: dict[tuple[str, str], Counter[str]] = {}
    for merchant in MERCHANTS:
        report = await report_of(shop, merchant.merchant_id)
        assert set(report["all"]["disagreed"]) == disagreed[merchant.merchant_id]
        for rule in report["rules"]:
            names = ("cases", "decided", "agreed", "withdrawn", "waiting")
            count = Counter({name: rule[name] for name in names if rule[name]})
            reported[merchant.merchant_id, rule["rule"]] = count
            if count["decided"]:
                assert rule["agreement"] == pytest.approx(count["agreed"] / count["decided"], abs=0.001)
    assert reported == counted


async def report_of(world: World, merchant_id: str) -> dict[str, Any]:
    now = await world.now()
    period = {"from": (now - timedelta(hours=1)).isoformat(), "to": (now + timedelta(minutes=1)).isoformat()}
    return await world.ok("GET", f"/api/v1/admin/automation/{merchant_id}/report", role="lead", params=period)
