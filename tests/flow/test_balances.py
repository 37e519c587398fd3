"""Whether a payment connection holds enough: asked or entered, against what has to leave; said while it is so, and no longer."""

from datetime import timedelta
from typing import Any

import pytest

from tests.world import World, line
from unwind.flow.balances import watch_balances


async def channel(world: World, connection: str = "wxpay") -> dict[str, Any]:
    found = await world.ok("GET", "/api/v1/finance/balances", role="finance")
    [one] = [row for row in found["channels"] if row["connection"] == connection]
    return dict(one)


async def open_alerts(world: World) -> list[tuple[str, str, str]]:
    rows = await world.sql("SELECT connection, kind, code FROM alerts WHERE closed_at IS NULL AND kind LIKE 'balance%'")
    return [(row["connection"], row["kind"], row["code"]) for row in rows]


@pytest.mark.rule("money.coverage")
async def test_a_short_connection_is_said_until_it_is_covered(world: World) -> None:
    await world.ask_sandbox("connections/wxpay", {"balance_minor": 600})
    await world.cancel(await world.order())
    await watch_balances(world.services)
    seen = await channel(world)
    assert (seen["balance_minor"], seen["told_by"], seen["reserved_minor"], seen["shortfall_minor"]) == (
        600,
        "system:unwind",
        1000,
        400,
    )
    assert await open_alerts(world) == [("wxpay", "balance_short", "CNY")]
    await world.run()
    seen = await channel(world)
    assert (seen["reserved_minor"], seen["sent_minor"], seen["shortfall_minor"]) == (0, 1000, 400), "sent, and refused"
    await world.ask_sandbox("connections/wxpay", {"balance_minor": 1000})
    await watch_balances(world.services)
    assert await open_alerts(world) == [("wxpay", "balance_runs_short", "CNY")], "enough for it, not for another day"
    await world.ask_sandbox("connections/wxpay", {"balance_minor": 1143})
    await watch_balances(world.services)
    assert await open_alerts(world) == []
    [alert] = await world.sql("SELECT closed_by FROM alerts WHERE kind = 'balance_short'")
    assert alert["closed_by"] == "system:unwind"


async def test_what_the_gateway_has_taken_is_not_asked_for_twice(world: World) -> None:
    await world.ask_sandbox("connections/wxpay", {"balance_minor": 1000, "refund_mode": "stuck"})
    await world.cancel(await world.order())
    await world.run()
    await watch_balances(world.services)
    seen = await channel(world)
    assert (seen["balance_minor"], seen["accepted_minor"], seen["sent_minor"]) == (0, 1000, 0)
    assert (seen["shortfall_minor"], seen["left_since_minor"]) == (0, 0)
    assert ("wxpay", "balance_short", "CNY") not in await open_alerts(world)


async def test_where_no_gateway_tells_somebody_says_it(world: World) -> None:
    """Never short in the sandbox: it keeps no account to ask about."""
    await world.cancel(await world.order(lines=[line(price=5000)]))
    await watch_balances(world.services)
    seen = await channel(world)
    assert (seen["balance_minor"], seen["shortfall_minor"]) == (None, 0)
    assert await open_alerts(world) == [], "of what nobody knows nothing is said"
    path = "/api/v1/finance/balances/wxpay"
    body = {"currency": "CNY", "balance_minor": 4000}
    assert (await world.call("PUT", path, role="finance", json=body)).status_code == 204
    seen = await channel(world)
    assert (seen["balance_minor"], seen["told_by"], seen["shortfall_minor"]) == (4000, "finance:test-finance", 1000)
    assert await open_alerts(world) == [("wxpay", "balance_short", "CNY")]
    [entry] = (await world.ok("GET", "/api/v1/finance/log", role="auditor"))["entries"]
    assert (entry["by"], entry["action"], entry["data"]["balance_minor"]) == (
        "finance:test-finance",
        "balance_entered",
        4000,
    )
    for wrong, code in (("nowhere", "unknown_connection"), ("sf", "unknown_connection")):
        refused = await world.call("PUT", f"/api/v1/finance/balances/{wrong}", role="finance", json=body)
        assert refused.json()["code"] == code
    assert (await world.call("PUT", path, role="auditor", json=body)).status_code == 403
    for wrong_body in ({**body, "balance_minor": -1}, {**body, "currency": "yuan"}):
        assert (await world.call("PUT", path, role="finance", json=wrong_body)).status_code == 422


async def test_what_has_left_since_it_was_said_is_no_longer_there(world: World) -> None:
    await world.ok(
        "PUT", "/api/v1/finance/balances/wxpay", role="finance", json={"currency": "CNY", "balance_minor": 10_000}
    )
    case_id = (await world.cancel(await world.order(lines=[line(price=3000)])))["case_id"]
    await world.run(until="archived", case_id=case_id)
    seen = await channel(world)
    assert (seen["balance_minor"], seen["left_since_minor"], seen["available_minor"]) == (10_000, 3000, 7000)


@pytest.mark.rule("money.coverage")
async def test_a_day_that_would_not_be_covered_is_said_before(world: World) -> None:
    """Seven days with one refund of 1000 at this hour: another is expected in the 24th hour from now, at the latest."""
    for _ in range(7):
        case_id = (await world.cancel(await world.order()))["case_id"]
        await world.run(until="archived", case_id=case_id)
        await world.pass_time(timedelta(hours=24))
    body = {"currency": "CNY", "balance_minor": 999}
    await world.ok("PUT", "/api/v1/finance/balances/wxpay", role="finance", json=body)
    seen = await channel(world)
    day, three_days = seen["forecasts"]
    assert (day["hours"], day["expected_minor"], day["shortfall_minor"]) == (24, 858, 0), (
        "one of the seven is over a week old"
    )
    assert (three_days["hours"], three_days["expected_minor"], three_days["shortfall_minor"]) == (
        72,
        3 * 858,
        3 * 858 - 999,
    )
    assert three_days["short_at"] is not None
    assert await open_alerts(world) == [], "within a day it lasts"
    await world.ok("PUT", "/api/v1/finance/balances/wxpay", role="finance", json={**body, "balance_minor": 857})
    assert await open_alerts(world) == [("wxpay", "balance_runs_short", "CNY")]
    await world.ok("PUT", "/api/v1/finance/balances/wxpay", role="finance", json={**body, "balance_minor": 858})
    assert await open_alerts(world) == []


async def test_a_gateway_that_does_not_answer_leaves_what_was_known(world: World) -> None:
    await world.ask_sandbox("connections/wxpay", {"balance_minor": 600})
    await world.cancel(await world.order())
    await watch_balances(world.services)
    await world.ask_sandbox("connections/wxpay", {"balance_minor": 5})
    fault = {"connection": "wxpay", "operation": "payment.balance", "fault": "bad_signature", "times": 1}
    await world.ask_sandbox("faults", fault)
    await watch_balances(world.services)
    assert (await channel(world))["balance_minor"] == 600
    await world.services.health.store(world.services.database)
    assert await world.sql("SELECT FROM connection_minutes WHERE failed > 0") == [], "held against no connection"
