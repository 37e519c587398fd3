from tests.world import World


async def test_unpaid(world: World) -> None:
    await world.ok("PUT", "/api/v1/stock", role="admin", json=[{"sku": "SKU-L1", "available": 5}])
    order_id = await world.order(paid=False)
    got = await world.cancel(order_id, reason="CHANGED_MIND")
    assert got["outcome"] == "cancelled", got
    print(await world.timeline(got["case_id"]))


async def test_paid(world: World) -> None:
    order_id = await world.order()
    got = await world.cancel(order_id, reason="CHANGED_MIND")
    print(got)
    await world.run(until="archived", case_id=got["case_id"])
    print(await world.timeline(got["case_id"]), await world.refunds(order_id), await world.violations())
