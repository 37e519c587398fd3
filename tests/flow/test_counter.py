"""Store (DESK, channels): picked goods are handed back in the store, cash goes back over the counter."""

from datetime import timedelta
from typing import Any

import pytest

from tests.world import World, payment

COUNTER = {"store_id": "S12", "operator_id": "op7"}


async def picked(world: World, **given: Any) -> str:
    """Packed, and to be fetched this evening: well before its time, so that the policy lets it go by itself."""
    at = (await world.now() + timedelta(hours=5)).isoformat()
    return await world.order(released_stage="packed", planned_dispatch_at=at, **given)


async def tasks(world: World, audience: str = "store") -> list[dict[str, Any]]:
    listed = await world.ok("GET", f"/api/v1/desk/tasks?audience={audience}", role="warehouse")
    rows: list[dict[str, Any]] = listed["tasks"]
    return rows


async def answer(world: World, task_id: str, outcome: str = "done", **given: Any) -> Any:
    body = {"outcome": outcome, **given}
    return await world.call("POST", f"/api/v1/desk/tasks/{task_id}/result", role="warehouse", json=body)


async def told(world: World, case_id: str) -> list[tuple[str, dict[str, Any]]]:
    rows = await world.sql("SELECT fact, params FROM messages WHERE case_id = %s AND audience = 'buyer'", case_id)
    return [(row["fact"].split(":")[0], row["params"]) for row in rows]


async def test_a_store_names_itself_and_whoever_stands_behind_the_counter(world: World) -> None:
    order_id = await world.order()
    for given in ({}, {"store_id": "S12"}, {"operator_id": "op7"}):
        body = {"order_id": order_id, "channel": "store", **given}
        refused = await world.call("POST", "/api/v1/cancellations", json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, "store_missing")
    case_id = (await world.cancel(order_id, channel="store", **COUNTER))["case_id"]
    [event] = await world.sql("SELECT data FROM case_events WHERE case_id = %s AND event = 'received'", case_id)
    assert (event["data"]["store_id"], event["data"]["operator_id"]) == ("S12", "op7")


async def test_unpicked_goods_of_a_store_are_cancelled_at_once(world: World) -> None:
    order_id = await world.order(store_id="S12")
    case_id = (await world.cancel(order_id, channel="store", **COUNTER))["case_id"]
    await world.run(until="archived", case_id=case_id)
    assert await tasks(world) == []


@pytest.mark.rule("goods.riders")
async def test_picked_goods_are_handed_back_within_ten_minutes(world: World) -> None:
    order_id = await picked(world, store_id="S12")
    case_id = (await world.cancel(order_id, channel="store", **COUNTER))["case_id"]
    await world.run()
    [task] = await tasks(world)
    assert (task["kind"], task["store_id"]) == ("hold_shipment", "S12")
    assert await world.refunds(order_id) == [], "no money before the goods are back"
    now = await world.now()
    [row] = await world.sql("SELECT due_at FROM tasks")
    assert timedelta(minutes=9) < row["due_at"] - now <= timedelta(minutes=10)
    assert await tasks(world, "warehouse") == []
    assert (await answer(world, task["task_id"])).status_code == 200
    await world.run(until="archived", case_id=case_id)
    assert [refund["amount_minor"] for refund in await world.refunds(order_id)] == [1000]


async def test_goods_that_are_not_handed_back_go_to_a_person(world: World) -> None:
    order_id = await picked(world, store_id="S12")
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    await world.pass_time(timedelta(minutes=10, seconds=1))
    await world.run(until="review", case_id=case_id)
    assert await world.refunds(order_id) == []


async def test_goods_of_a_warehouse_are_not_the_stores_to_hand_back(world: World) -> None:
    """Ordered online, cancelled in the store: the warehouse is asked as ever."""
    order_id = await picked(world)
    case_id = (await world.cancel(order_id, channel="store", **COUNTER))["case_id"]
    await world.run(until="archived", case_id=case_id)
    assert await tasks(world) == []


def cash(order_id: str, amount: int = 1000, **given: Any) -> dict[str, Any]:
    return payment(order_id, amount, connection="till", method="cash", **given)


async def order_paid_in_cash(world: World, order_id: str, *payments: dict[str, Any], **given: Any) -> str:
    """Cash leaves no trade at any gateway, so the order is put without the sandbox."""
    from tests.world import order_body

    body = order_body(order_id, now=await world.now(), payments=[cash(order_id), *payments], **given)
    await world.ok("PUT", f"/api/v1/orders/{order_id}", json=body)
    return order_id


async def test_cash_goes_back_over_the_counter_with_evidence(world: World) -> None:
    order_id = await order_paid_in_cash(world, "C1")
    case_id = (await world.cancel(order_id, channel="store", **COUNTER))["case_id"]
    await world.run()
    [task] = await tasks(world)
    assert (task["kind"], task["amount_minor"]) == ("refund", 1000)
    [(fact, params)] = await told(world, case_id)
    assert (fact, params["amount_minor"]) == ("cash_at_counter", 1000)
    [text] = await world.texts(to="13800001234")
    assert "到柜台领取现金" in text
    assert "10.00" in text
    [row] = await world.sql("SELECT cancelled_at, state FROM orders JOIN cases USING (order_id)")
    assert row["cancelled_at"] is not None, "the order does not wait for the buyer to come by"
    assert row["state"] == "settling", "but nothing is settled"
    refused = await answer(world, task["task_id"])
    assert (refused.status_code, refused.json()["code"]) == (422, "evidence_needed")
    assert (await answer(world, task["task_id"], reference="R-2026-17")).status_code == 200
    await world.run(until="archived", case_id=case_id)
    assert [fact for fact, _ in await told(world, case_id)] == ["cash_at_counter", "refund_done"]
    [row] = await world.sql("SELECT final_minor, reserved_minor FROM payments")
    assert (row["final_minor"], row["reserved_minor"]) == (1000, 0)
    from unwind.doctor import examine

    async with world.services.database.survey() as conn:
        assert await examine(conn, world.services.vault) == []


async def test_cash_never_leaves_by_a_gateway(world: World) -> None:
    """Even where the shop names a connection that exists: the method decides."""
    order_id = await world.order(payments=[payment("O1", 1000, method="cash")], order_id="O1")
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    assert await world.refunds(order_id) == []
    assert [task["kind"] for task in await tasks(world)] == ["refund"]
    assert [fact for fact, _ in await told(world, case_id)] == ["cash_at_counter"]


async def test_cash_that_nobody_fetches_goes_to_a_person(world: World) -> None:
    order_id = await order_paid_in_cash(world, "C1")
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    await world.pass_time(timedelta(days=7, seconds=1))
    await world.run(until="review", case_id=case_id)
    [task] = await world.sql("SELECT task_id FROM tasks")
    assert (await answer(world, task["task_id"], reference="R-9")).status_code == 200, "and may still come"


async def test_of_a_mixed_payment_each_part_is_told_by_its_own_way(world: World) -> None:
    order_id = "C1"
    trade = payment(order_id, 400)
    await world.ask_sandbox(
        "trades",
        {
            "connection": "wxpay",
            "trade_no": trade["trade_no"],
            "amount_minor": 400,
            "currency": "CNY",
            "state": "PAID",
            "order_no": order_id,
        },
    )
    from tests.world import order_body

    body = order_body(order_id, now=await world.now(), payments=[cash(order_id, 600), trade])
    await world.ok("PUT", f"/api/v1/orders/{order_id}", json=body)
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run(until="settling", case_id=case_id)
    await world.run()
    amounts = {fact: params["amount_minor"] for fact, params in await told(world, case_id)}
    assert amounts == {"cash_at_counter": 600, "refund_on_its_way": 400}


@pytest.mark.parametrize("role", ["integrator", "auditor"])
async def test_strangers_answer_no_task(world: World, role: str) -> None:
    await order_paid_in_cash(world, "C1")
    case_id = (await world.cancel("C1"))["case_id"]
    await world.run()
    [task] = await world.sql("SELECT task_id FROM tasks WHERE case_id = %s", case_id)
    path = f"/api/v1/desk/tasks/{task['task_id']}/result"
    refused = await world.call("POST", path, role=role, json={"outcome": "done", "reference": "R-1"})
    assert refused.status_code == 403
