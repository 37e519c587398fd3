"""Two people, a clerk who retries, and a clock: whoever is first, the money of a blocked refund leaves by one way."""

import asyncio
from datetime import timedelta

import pytest

from tests.flow.test_payouts import answer, assert_sound, pay_off_line, propose, refused_refund, sealed_accounts, stuck
from tests.world import World
from unwind.flow.payouts import drop_lapsed


@pytest.mark.parametrize("turn", range(5))
async def test_a_second_persons_yes_and_a_retry_at_once(world: World, turn: int) -> None:
    """The one that comes second is told so; what was paid off-line is never asked of the gateway again."""
    await world.ask_sandbox("connections/wxpay", {"balance_minor": 0})
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    one = await stuck(world, order_id, case_id)
    proposal_id = (await pay_off_line(world, one)).json()["proposal_id"]
    await world.ask_sandbox("connections/wxpay", {"balance_minor": None})
    retries = "/api/v1/finance/connections/wxpay/retries"
    contenders = [
        answer(world, proposal_id, role="lead"),
        world.call("POST", retries, role="finance", json={"kind": "needs_funds"}),
    ]
    answers = await asyncio.gather(*(contenders if turn % 2 else reversed(contenders)))
    yes, retried = answers if turn % 2 else reversed(answers)
    is_off_line = yes.status_code == 200
    outcomes = [row["outcome"] for row in retried.json()["cases"]]
    assert (outcomes == ["retried"]) is not is_off_line
    await world.run(until="archived", case_id=case_id)
    [refund] = await world.sql("SELECT how, state FROM refunds")
    assert refund == {"how": "off_line" if is_off_line else "gateway", "state": "final"}
    moved = [r["money_moved_times"] for r in await world.refunds(order_id)]
    assert moved == ([] if is_off_line else [1])
    await assert_sound(world)


async def test_yes_no_withdrawal_and_the_end_of_its_day_at_once(world: World) -> None:
    one = await refused_refund(world)
    proposal_id = (await pay_off_line(world, one, role="agent")).json()["proposal_id"]
    await asyncio.gather(
        answer(world, proposal_id, role="lead"),
        answer(world, proposal_id, role="finance", agree=False),
        world.call("DELETE", f"/api/v1/finance/payouts/{proposal_id}", role="agent"),
        drop_lapsed(world.services),
    )
    [row] = await world.sql("SELECT state FROM payout_proposals")
    [refund] = await world.sql("SELECT state FROM refunds")
    assert (row["state"] == "agreed") is (refund["state"] == "final")
    assert row["state"] in {"agreed", "declined", "withdrawn"}
    await world.run()
    await assert_sound(world)


async def test_a_proposal_that_lapses_while_somebody_agrees(world: World) -> None:
    one = await refused_refund(world)
    proposal_id = (await pay_off_line(world, one, role="agent")).json()["proposal_id"]
    await world.pass_time(timedelta(hours=24))
    late, _ = await asyncio.gather(answer(world, proposal_id), drop_lapsed(world.services))
    assert late.json()["code"] in {"payout_expired", "payout_closed"}
    assert await world.sql("SELECT state FROM payout_proposals") == [{"state": "expired"}]
    assert await sealed_accounts(world) == 0
    assert (await propose(world, one)).json()["code"] == "not_abnormal"
