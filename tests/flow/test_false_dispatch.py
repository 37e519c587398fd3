"""Called shipped, and nobody has picked it up: found by itself, once, and laid at the merchant's door."""

from datetime import timedelta

import pytest

from tests.flow.test_situations import assert_nothing_broken, case_row
from tests.flow.test_stories import events_of, parcel_moves
from tests.world import World, shipment
from unwind.flow.false_dispatch import find_false_dispatches
from unwind.worker import loop

LIST = "/api/v1/warehouse/false-dispatches"


def clicked(parcel: str) -> list[dict[str, object]]:
    return [shipment(parcel, stage="in_transit", picked_up=False)]


@pytest.mark.rule("goods.false_dispatch")
async def test_found_after_a_day_on_the_open_case(world: World) -> None:
    order_id = await world.order(risk="suspected", shipments=clicked("S1"))
    case_id = (await world.cancel(order_id))["case_id"]
    before = await case_row(world, case_id)
    await world.pass_time(timedelta(hours=23, minutes=59))
    assert await find_false_dispatches(world.services) is False
    assert (await world.ok("GET", LIST, role="warehouse"))["false_dispatches"] == []
    await world.pass_time(timedelta(minutes=2))
    await find_false_dispatches(world.services)
    await find_false_dispatches(world.services)
    row = await case_row(world, case_id)
    assert (row["fault"], row["priority"]) == ("merchant", max(80, before["priority"]))
    assert (await events_of(world, case_id)).count("false_dispatch") == 1
    [found] = (await world.ok("GET", LIST, role="warehouse"))["false_dispatches"]
    assert (found["order_id"], found["case_id"], found["picked_up_at"]) == (order_id, case_id, None)
    assert await world.sql("SELECT FROM alerts WHERE kind = 'false_dispatch'") == []
    await assert_nothing_broken(world)


@pytest.mark.rule("goods.false_dispatch")
async def test_without_a_case_it_is_an_alert_and_a_row_of_the_shops_own_list(world: World) -> None:
    await world.put_merchant("quick", warehouse="manual", false_dispatch_h=2)
    order_id = await world.order(merchant_id="quick", shipments=clicked("S1"))
    await world.order(shipments=clicked("S2"))
    await world.pass_time(timedelta(hours=2, minutes=1))
    await find_false_dispatches(world.services)
    assert await world.sql("SELECT connection, code, times FROM alerts WHERE kind = 'false_dispatch'") == [
        {"connection": "sf", "code": "quick", "times": 1}
    ]
    [own] = await world.hire("own", role="warehouse", merchant_id="quick")
    [other] = await world.hire("other", role="warehouse", merchant_id="shop")
    assert [f["order_id"] for f in (await world.ok("GET", LIST, role=own))["false_dispatches"]] == [order_id]
    assert (await world.ok("GET", LIST, role=other))["false_dispatches"] == []


async def test_a_pick_up_scan_in_time_is_no_false_dispatch_and_the_dock_is_no_carrier(world: World) -> None:
    fine = await world.order(shipments=clicked("S1"))
    docked = await world.order(shipments=clicked("S2"))
    body = {"code": "W-S2", "kind": "dispatch", "event_id": "e"}
    await world.ok("POST", "/api/v1/warehouse/scans", role="warehouse", json=body)
    await world.pass_time(timedelta(hours=20))
    await parcel_moves(world, fine, "S1", "in_transit")
    await world.pass_time(timedelta(hours=5))
    await find_false_dispatches(world.services)
    found = (await world.ok("GET", LIST, role="warehouse"))["false_dispatches"]
    assert [(f["order_id"], f["handed_over_at"] is not None) for f in found] == [(docked, True)]


async def test_in_bounded_batches(world: World) -> None:
    for n in range(3):
        await world.order(shipments=clicked(f"S{n}"))
    await world.pass_time(timedelta(hours=25))
    assert await find_false_dispatches(world.services, parcels_max=2) is True
    assert await find_false_dispatches(world.services, parcels_max=2) is False
    assert await world.sql("SELECT count(*)::int AS n FROM false_dispatches") == [{"n": 3}]


def test_the_worker_looks_for_them() -> None:
    assert loop.find_false_dispatches is find_false_dispatches
