"""A provider that is down, refunds that follow each other too closely, connections that belong to one merchant."""

from datetime import timedelta
from typing import Any

from tests.world import World, line, payment
from unwind.domain.breaker import PAUSE_LONGEST


async def dial(world: World, fault: str, operation: str = "*", *, times: int = 10_000) -> None:
    await world.ask_sandbox(
        "faults", {"connection": "wxpay", "operation": operation, "fault": fault, "times": times, "seconds": 0}
    )


async def legs(world: World, case_id: str) -> list[dict[str, Any]]:
    return await world.sql(
        "SELECT state, code, number, next_try_at, due_at FROM legs WHERE case_id = %s AND kind = 'refund' ORDER BY leg_no",
        case_id,
    )


async def test_a_dead_gateway_parks_refunds_and_none_is_lost(world: World) -> None:
    await dial(world, "error_502_before_effect")
    first = [(await world.cancel(await world.order()))["case_id"] for _ in range(3)]
    for _ in range(4):
        await world.run()
        await world.pass_time(timedelta(seconds=2))
    alerts = await world.sql("SELECT kind FROM alerts WHERE closed_at IS NULL AND connection = 'wxpay'")
    assert {"kind": "connection_down"} in alerts
    later = (await world.cancel(await world.order()))["case_id"]
    await world.run()
    leg = (await legs(world, later))[0]
    assert (leg["state"], leg["code"], leg["number"]) == ("planned", "connection_down", ""), "nothing was claimed"
    listed = await world.ok("GET", "/api/v1/admin/connections", role="admin")
    shown = next(one for one in listed["connections"] if one["connection_id"] == "wxpay")
    assert shown["is_down"]

    await world.pass_time(timedelta(minutes=30))
    await world.run()
    for case_id in [*first, later]:
        states = await world.sql("SELECT state FROM cases WHERE case_id = %s", case_id)
        assert states == [{"state": "executing"}], "parked, not failed: longer than the patience with doubt"

    await world.control.delete("/control/faults")
    for _ in range(6):
        await world.pass_time(PAUSE_LONGEST)
        await world.run()
    for case_id in [*first, later]:
        await world.run(until="archived", case_id=case_id)
    refunds = (await world.ledger())["trades"]
    assert [r["money_moved_times"] for trade in refunds for r in trade["refunds"]] == [1, 1, 1, 1]
    assert await world.sql("SELECT kind FROM alerts WHERE kind = 'connection_down' AND closed_at IS NULL") == []
    assert (await world.violations())["violations"] == []


async def test_a_gateway_that_stays_dead_ends_with_people(world: World) -> None:
    await dial(world, "error_502_before_effect")
    case_ids = [(await world.cancel(await world.order()))["case_id"] for _ in range(3)]
    for _ in range(60):
        await world.run()
        await world.pass_time(timedelta(minutes=5))
    for case_id in case_ids:
        rows = await world.sql("SELECT state, rule FROM cases WHERE case_id = %s", case_id)
        assert rows == [{"state": "review", "rule": "refund_unfinished"}]


async def test_refunds_of_one_payment_keep_their_distance(world: World) -> None:
    world.services.gateways["wxpay"].spacing_s = 60.0
    order_id = await world.order(lines=[line("L1"), line("L2", price=700)])
    one = (await world.cancel(order_id, lines={"L1": 1}))["case_id"]
    await world.run(until="archived", case_id=one)
    two = (await world.cancel(order_id, lines={"L2": 1}))["case_id"]
    await world.run()
    leg = (await legs(world, two))[0]
    assert (leg["state"], leg["code"]) == ("planned", "spaced")
    assert 0 < (leg["next_try_at"] - await world.now()).total_seconds() <= 60
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]
    await world.pass_time(timedelta(seconds=61))
    await world.run(until="archived", case_id=two)
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000, 700]


async def test_a_connection_of_one_merchant_serves_no_other(world: World) -> None:
    from dataclasses import replace

    links = dict(world.services.links)
    links["wxpay"] = replace(links["wxpay"], merchant_id="somebody-else")
    object.__setattr__(world.services, "links", links)
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    assert (await legs(world, case_id))[0]["state"] == "task", "a person does it"
    assert await world.refunds(order_id) == []


async def test_other_payments_go_on_while_one_gateway_is_down(world: World) -> None:
    await dial(world, "error_502_before_effect")
    for _ in range(3):
        await world.cancel(await world.order())
    for _ in range(4):
        await world.run()
        await world.pass_time(timedelta(seconds=2))
    order_id = await world.order(order_id="ALI", payments=[payment("ALI", 1000, connection="alipay", method="alipay")])
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run(until="archived", case_id=case_id)
    assert [r["money_moved_times"] for r in await world.refunds(order_id)] == [1]
