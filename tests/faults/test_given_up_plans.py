"""A hold that fails, money that is short: what other parts and cases of the same order make of a plan that was given up."""

from datetime import timedelta
from typing import Any

from tests.world import World, line, shipment


async def unanswered_hold(world: World, **given: Any) -> tuple[str, str]:
    """(order, case): the warehouse never says a word, and a person has the case."""
    order_id = await world.order(released_stage="picking", wms={"behaviour": "silent"}, **given)
    case_id = (await world.cancel(order_id, lines={"L1": 1}))["case_id"]
    await world.run()
    return order_id, case_id


async def answer_task(world: World, case_id: str) -> None:
    tasks = (await world.ok("GET", "/api/v1/desk/tasks", role="warehouse"))["tasks"]
    [task] = [task for task in tasks if task["case_id"] == case_id]
    path = f"/api/v1/desk/tasks/{task['task_id']}/result"
    await world.ok("POST", path, role="warehouse", json={"outcome": "done"})
    await world.run()


async def test_a_buyer_is_told_of_a_refund_that_took_two_plans(world: World) -> None:
    order_id, case_id = await unanswered_hold(world)
    await world.pass_time(timedelta(minutes=3))
    await world.run(until="review", case_id=case_id)
    await world.put_merchant("shop", warehouse="manual")
    assert (await world.decide(case_id, "approve")).status_code == 200
    await world.run()
    await answer_task(world, case_id)
    await world.run(until="archived", case_id=case_id)
    assert [r["status"] for r in await world.refunds(order_id)] == ["SUCCESS"]
    rows = await world.sql("SELECT fact FROM messages WHERE case_id = %s AND audience = 'buyer'", case_id)
    assert "refund_done:1" in [row["fact"] for row in rows]


async def test_a_parcel_is_recalled_also_while_units_of_its_line_are_held(world: World) -> None:
    """Two units wait in the house for money; the third is on the road and must not be paid for where it is."""
    await world.ask_sandbox("connections/wxpay", {"balance_minor": 0})
    parcel = shipment("S1", quantities={"L1": 1})
    order_id = await world.order(lines=[line(quantity=3)], shipments=[parcel])
    await world.ask_sandbox("waybills", {"connection": "sf", "no": "W-S1", "order_no": order_id})
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    decided = await world.decide(case_id, "recall", part_no=2)
    assert decided.status_code == 200, decided.text
    legs = await world.sql("SELECT kind FROM legs WHERE case_id = %s AND part_no = 2 ORDER BY rank", case_id)
    assert legs[0] == {"kind": "recall_parcel"}


async def test_an_order_is_not_complete_while_an_earlier_part_may_still_stay(world: World) -> None:
    """L1 waits for its hold, L2 is taken back; then L1 is declined. L1 stays sold, and so do its shipping costs."""
    order_id, first = await unanswered_hold(world, lines=[line("L1"), line("L2")], shipping_minor=500)
    await world.put_merchant("shop", warehouse="manual")
    second = (await world.cancel(order_id, lines={"L2": 1}))["case_id"]
    await world.run()
    await answer_task(world, second)
    await world.pass_time(timedelta(minutes=3))
    await world.run(until="review", case_id=first)
    assert (await world.decide(first, "decline")).status_code == 200
    await world.run()
    assert not (await world.ok("GET", f"/api/v1/orders/{order_id}"))["is_cancelled"]
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]
