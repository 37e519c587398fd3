"""Parcels that a telephone call stops faster than a system: a same-city rider, a pick-up point. A clock of minutes, and then a person."""

from datetime import timedelta

import pytest

from tests.flow.test_parcels_back import come_back, inspect
from tests.flow.test_situations import assert_nothing_broken, case_row, units
from tests.world import World, shipment

WAYS = pytest.mark.parametrize(
    ("carrier", "stage", "audience", "code"),
    [
        ("rider", "out_for_delivery", "carrier", "call_rider"),
        ("sf", "at_pickup_point", "store", "hold_at_pickup_point"),
    ],
)


async def called(world: World, carrier: str, stage: str) -> tuple[str, str, dict[str, object]]:
    """Returns (order, case, the task)."""
    order_id = await world.order(shipments=[{**shipment("S1", stage=stage), "carrier": carrier}])
    case_id = (await world.cancel(order_id))["case_id"]
    assert (await world.decide(case_id, "recall")).status_code == 200
    await world.run()
    [task] = (await world.ok("GET", "/api/v1/desk/tasks", role="agent"))["tasks"]
    return order_id, case_id, task


@pytest.mark.rule("goods.riders")
@WAYS
async def test_reached_in_time(world: World, carrier: str, stage: str, audience: str, code: str) -> None:
    order_id, case_id, task = await called(world, carrier, stage)
    assert (task["kind"], task["audience"], task["code"]) == ("recall_parcel", audience, code)
    [row] = await world.sql("SELECT due_at - opened_at AS clock FROM tasks")
    assert timedelta(0) < row["clock"] <= timedelta(minutes=10)
    assert await world.refunds(order_id) == []
    path = f"/api/v1/desk/tasks/{task['task_id']}/result"
    await world.ok("POST", path, role="agent", json={"outcome": "done", "reference": "call-1"})
    await world.run()
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]
    assert await units(world, order_id) == {"recalled": 1}
    back = await come_back(world, "W-S1")
    await inspect(world, back["return"]["return_id"], {"line_id": "L1", "good": 1})
    await world.run(until="archived", case_id=case_id)
    assert await units(world, order_id) == {"restocked": 1}


@pytest.mark.rule("goods.riders")
@WAYS
@pytest.mark.parametrize("answer", ["refused", None])
async def test_refused_or_not_reached_in_time(
    world: World, carrier: str, stage: str, audience: str, code: str, answer: str | None
) -> None:
    order_id, case_id, task = await called(world, carrier, stage)
    if answer is None:
        await world.pass_time(timedelta(minutes=10, seconds=1))
    else:
        path = f"/api/v1/desk/tasks/{task['task_id']}/result"
        await world.ok("POST", path, role="agent", json={"outcome": answer})
    await world.run(until="review", case_id=case_id)
    assert (await case_row(world, case_id))["rule"] == "recall_failed"
    assert await world.refunds(order_id) == []
    await assert_nothing_broken(world)
