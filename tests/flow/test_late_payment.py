"""The late-payment guard: money that arrives for a cancelled order goes back, whoever reports it and however often."""

import asyncio

import pytest

from tests.world import World, payment


async def unpaid_and_cancelled(world: World, order_id: str) -> str:
    """Cancelled while the trade was never created at the gateway: it may still be paid later."""
    await world.order(
        order_id=order_id, payments=[payment(order_id, 1000, state="created")], trades={f"P-{order_id}-wxpay": "none"}
    )
    answer = await world.cancel(order_id)
    await world.run(until="archived", case_id=answer["case_id"])
    return str(answer["case_id"])


async def pay_late(world: World, order_id: str) -> None:
    await world.control.post(f"/control/trades/wxpay/T-{order_id}-wxpay/pay")


async def aftermath_of(world: World) -> str:
    for _ in range(300):
        rows = await world.sql("SELECT case_id FROM cases WHERE kind = 'aftermath'")
        if rows:
            return str(rows[0]["case_id"])
        await world.ask_sandbox("callbacks/hurry", {})
        await asyncio.sleep(0.02)
    raise AssertionError("nobody noticed the payment")


async def test_a_callback_is_enough(world: World) -> None:
    await unpaid_and_cancelled(world, "LP1")
    await pay_late(world, "LP1")
    case_id = await aftermath_of(world)
    await world.run(until="archived", case_id=case_id)
    assert [r["amount_minor"] for r in await world.refunds("LP1")] == [1000]


async def test_a_gateway_that_cannot_confirm_is_asked_again_by_its_own_repeat(world: World) -> None:
    await unpaid_and_cancelled(world, "LP2")
    fault = {"connection": "wxpay", "operation": "payment.trade_query", "fault": "error_503_before_effect", "times": 2}
    await world.ask_sandbox("faults", fault)
    await pay_late(world, "LP2")
    case_id = await aftermath_of(world)
    await world.run(until="archived", case_id=case_id)
    assert [r["amount_minor"] for r in await world.refunds("LP2")] == [1000]
    assert (await world.sql("SELECT count(*) AS n FROM cases WHERE kind = 'aftermath'")) == [{"n": 1}]


async def test_a_callback_the_gateway_does_not_confirm_moves_nothing(world: World) -> None:
    from unwind.flow.listen import take_news
    from unwind.ports.callback import News

    await unpaid_and_cancelled(world, "LP3")
    news = News(event_id="forged", kind="trade.paid", data={"trade_no": "T-LP3-wxpay", "amount_minor": 1000})
    assert await take_news(world.services, "wxpay", news)
    assert not await take_news(world.services, "wxpay", news)
    assert await world.sql("SELECT FROM cases WHERE kind = 'aftermath'") == []
    assert await world.sql("SELECT captured_minor FROM payments") == [{"captured_minor": 0}]


@pytest.mark.parametrize("choice", ["approve", "decline"])
async def test_at_a_halted_merchant_a_person_returns_it(world: World, choice: str) -> None:
    await unpaid_and_cancelled(world, "LP4")
    await world.sql("UPDATE merchants SET halted_at = now()")
    await pay_late(world, "LP4")
    case_id = await aftermath_of(world)
    await world.run()
    assert await world.refunds("LP4") == []
    response = await world.decide(case_id, choice)
    assert response.status_code == 200, response.text
    await world.run(until="archived", case_id=case_id)
    assert [r["amount_minor"] for r in await world.refunds("LP4")] == ([1000] if choice == "approve" else [])
