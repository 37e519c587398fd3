"""Several parcels of one order line, over HTTP: each moves its own units, once, whatever is reported again or comes back."""

from typing import Any

from tests.flow.test_parcels_back import come_back, inspect
from tests.flow.test_situations import assert_nothing_broken, units
from tests.world import World, line, shipment


async def parcel_moved(world: World, order_id: str, parcel: dict[str, Any]) -> None:
    n = (await world.sql("SELECT count(*) AS n FROM order_events WHERE order_id = %s", order_id))[0]["n"]
    body = {"event_id": f"m{n}", "kind": "parcel_moved", "at": (await world.now()).isoformat(), "shipment": parcel}
    await world.ok("POST", f"/api/v1/orders/{order_id}/events", json=body)


async def incidents(world: World) -> list[dict[str, Any]]:
    return await world.sql("SELECT rule FROM cases WHERE kind = 'aftermath' ORDER BY rule")


async def on_the_way_back(world: World, order_id: str) -> tuple[str, str]:
    """All of the order is cancelled and S1, on the road with one unit, is recalled and scanned in. Returns (case, return)."""
    await world.ask_sandbox(
        "waybills",
        {"connection": "sf", "no": "W-S1", "order_no": order_id, "behaviour": "recall_ok", "delay_s": 10**6},
    )
    case_id: str = (await world.cancel(order_id))["case_id"]
    await world.run()
    [part] = await world.sql("SELECT part_no FROM case_parts WHERE case_id = %s AND shipment_id = 'S1'", case_id)
    decided = await world.decide(case_id, "recall", refund_on="goods_back", **part)
    assert decided.status_code == 200, decided.text
    await world.run()
    return case_id, (await come_back(world, "W-S1"))["return"]["return_id"]


async def restock(world: World, return_id: str) -> None:
    inspected = await inspect(world, return_id, {"line_id": "L1", "good": 1})
    assert inspected.status_code == 200, inspected.text
    await world.run()


async def test_every_parcel_of_a_line_leaves_with_its_own_units(world: World) -> None:
    order_id = await world.order(lines=[line(quantity=3)], shipments=[shipment("S1", quantities={"L1": 1})])
    assert await units(world, order_id) == {"shipped": 1, "reserved": 2}
    await parcel_moved(world, order_id, shipment("S2", quantities={"L1": 2}))
    assert await units(world, order_id) == {"shipped": 3}
    await assert_nothing_broken(world)


async def test_what_one_parcel_reports_again_delivers_no_other(world: World) -> None:
    order_id = await world.order(lines=[line(quantity=3)], shipments=[shipment("S1", quantities={"L1": 1})])
    delivered = shipment("S1", stage="delivered", quantities={"L1": 1})
    await parcel_moved(world, order_id, delivered)
    await parcel_moved(world, order_id, shipment("S2", quantities={"L1": 1}))
    await parcel_moved(world, order_id, delivered)
    await parcel_moved(world, order_id, shipment("S2", quantities={"L1": 1}))
    assert await units(world, order_id) == {"delivered": 1, "shipped": 1, "reserved": 1}
    await parcel_moved(world, order_id, shipment("S2", stage="lost", quantities={"L1": 1}))
    await parcel_moved(world, order_id, shipment("S3", quantities={"L1": 1}))
    await parcel_moved(world, order_id, shipment("S2", stage="lost", quantities={"L1": 1}))
    assert await units(world, order_id) == {"delivered": 1, "lost": 1, "shipped": 1}
    await assert_nothing_broken(world)


async def test_a_parcel_that_came_back_does_not_leave_again(world: World) -> None:
    """Its unit is on the shelf; the other one still waits in the house to be held, whatever is said of the first again."""
    await world.put_merchant("small", warehouse="manual")
    order_id = await world.order(
        merchant_id="small",
        lines=[line(quantity=2)],
        shipments=[shipment("S1", quantities={"L1": 1})],
        released_stage="picking",
        wms=None,
    )
    case_id, return_id = await on_the_way_back(world, order_id)
    await restock(world, return_id)
    assert await units(world, order_id) == {"restocked": 1, "reserved": 1}
    for stage in ("returned", "in_transit", "delivered"):
        await parcel_moved(world, order_id, shipment("S1", stage=stage, quantities={"L1": 1}))
        assert await units(world, order_id) == {"restocked": 1, "reserved": 1}
    assert await incidents(world) == []
    [hold] = await world.sql("SELECT leg_no FROM legs WHERE kind = 'hold_shipment'")
    stopped = {"outcome": "accept"}
    await world.ok("POST", f"/api/v1/warehouse/holds/{case_id}/{hold['leg_no']}", role="warehouse", json=stopped)
    assert await units(world, order_id) == {"restocked": 1, "held": 1}
    await parcel_moved(world, order_id, shipment("S1", quantities={"L1": 1}))
    assert await units(world, order_id) == {"restocked": 1, "held": 1}
    assert await world.sql("SELECT leg_no FROM legs WHERE state = 'blocked'") == []
    await world.run(until="archived", case_id=case_id)
    assert await units(world, order_id) == {"restocked": 2}
    await assert_nothing_broken(world)


async def test_a_return_that_is_reported_late_is_no_escape(world: World) -> None:
    order_id = await world.order(shipments=[shipment("S1")])
    _, return_id = await on_the_way_back(world, order_id)
    await restock(world, return_id)
    await parcel_moved(world, order_id, shipment("S1", stage="returned"))
    assert await incidents(world) == []
    assert await units(world, order_id) == {"restocked": 1}
    await assert_nothing_broken(world)


async def test_news_of_another_parcel_does_not_break_a_hold(world: World) -> None:
    """One unit is on the road, the other one is held: that the first moves on says nothing about the second."""
    on_road = shipment("S1", quantities={"L1": 1})
    order_id = await world.order(lines=[line(quantity=2)], shipments=[on_road], released_stage="none")
    case_id = (await world.cancel(order_id, lines={"L1": 1}))["case_id"]
    held = await units(world, order_id)
    await parcel_moved(world, order_id, on_road)
    await parcel_moved(world, order_id, {**on_road, "stage": "delivered"})
    now = await units(world, order_id)
    assert now == {("delivered" if bucket == "shipped" else bucket): n for bucket, n in held.items()}
    assert await world.sql("SELECT leg_no FROM legs WHERE state = 'blocked'") == []
    await world.run(until="archived", case_id=case_id)
    assert await units(world, order_id) == {"delivered": 1, "restocked": 1}
    assert await incidents(world) == []
    await assert_nothing_broken(world)


async def test_held_units_that_leave_in_a_new_parcel_are_noticed(world: World) -> None:
    """Packed after all: there are not enough others in the house."""
    order_id = await world.order(lines=[line(quantity=2)], released_stage="none")
    case_id = (await world.cancel(order_id, lines={"L1": 1}))["case_id"]
    assert await units(world, order_id) == {"held": 1, "reserved": 1}
    await parcel_moved(world, order_id, shipment("S1", quantities={"L1": 1}))
    assert await units(world, order_id) == {"held": 1, "shipped": 1}, "the other one"
    await parcel_moved(world, order_id, shipment("S2", quantities={"L1": 1}))
    assert await units(world, order_id) == {"shipped": 2}
    assert (await world.sql("SELECT code FROM legs WHERE state = 'blocked'")) == [
        {"code": "refused:shipped_after_hold"}
    ]
    await world.run(until="review", case_id=case_id)
    assert await world.refunds(order_id) == []
    await assert_nothing_broken(world)


async def test_what_waits_for_its_inspection_is_not_put_back_for_another_parcel(world: World) -> None:
    order_id = await world.order(
        lines=[line(quantity=2)],
        shipments=[shipment("S1", quantities={"L1": 1}), shipment("S2", stage="picking", picked_up=False)],
    )
    case_id, return_id = await on_the_way_back(world, order_id)
    await world.run()
    for _ in range(2):
        await parcel_moved(world, order_id, shipment("S1", stage="returned", quantities={"L1": 1}))
        assert await units(world, order_id) == {"quarantine": 1, "restocked": 1}
    await restock(world, return_id)
    await world.run(until="archived", case_id=case_id)
    assert await units(world, order_id) == {"restocked": 2}
    await assert_nothing_broken(world)


async def test_what_is_decided_of_one_parcel_is_carried_out_on_that_one(world: World) -> None:
    """Both wait for a person, who begins with the one on the road."""
    order_id = await world.order(
        lines=[line(quantity=2)],
        shipments=[shipment("S1", quantities={"L1": 1}), shipment("S2", stage="packed", picked_up=False)],
    )
    case_id, _ = await on_the_way_back(world, order_id)
    parts = await world.sql("SELECT shipment_id, stage, state FROM case_parts WHERE case_id = %s ORDER BY 1", case_id)
    assert [tuple(part.values()) for part in parts] == [
        ("S1", "in_transit", "executing"),
        ("S2", "packed", "review"),
    ]
    assert await units(world, order_id) == {"quarantine": 1, "reserved": 1}
    await assert_nothing_broken(world)
