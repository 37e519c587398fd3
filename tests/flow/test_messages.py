"""What people are told, over which channel, and when: ladders, quiet hours, staff."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.world import World
from unwind.flow.notify import tell_alerts
from unwind.storage.embedded import EmbeddedPostgres


@pytest.fixture
async def talkative(postgres: EmbeddedPostgres, database_name: str, tmp_path: Path) -> AsyncIterator[World]:
    """Besides text messages: e-mail, and a group chat of the staff."""
    async with AsyncExitStack() as stack:
        speaking = {"email": "generic_messages", "dingtalk": "generic_messages"}
        yield await World.open(stack, postgres=postgres, database=database_name, folder=tmp_path, speaking=speaking)


async def told(world: World, case_id: str, audience: str = "buyer") -> list[dict[str, Any]]:
    return await world.sql(
        "SELECT fact, channel, state, code, tried FROM messages WHERE case_id = %s AND audience = %s ORDER BY sent_at, message_id",
        case_id,
        audience,
    )


async def test_a_channel_that_refuses_hands_over_to_the_next(talkative: World) -> None:
    world = talkative
    await world.ask_sandbox("connections/sms", {"message_result": "FAILED"})
    buyer = {"phone": "13800001234", "email": "buyer@example.test"}
    case_id = (await world.cancel(await world.order(buyer=buyer), channel="hotline"))["case_id"]
    await world.run(until="archived", case_id=case_id)
    rows = await told(world, case_id)
    assert rows
    assert {(row["channel"], row["state"]) for row in rows} == {("email", "sent")}
    assert all(row["tried"] == ["sms"] for row in rows)
    assert {m["connection"] for m in (await world.ledger())["messages"] if m["result"] == "SENT"} == {"email"}


async def test_when_every_channel_refuses_the_case_says_so(talkative: World) -> None:
    world = talkative
    for connection in ("sms", "email"):
        await world.ask_sandbox(f"connections/{connection}", {"message_result": "FAILED"})
    buyer = {"phone": "13800001234", "email": "buyer@example.test"}
    case_id = (await world.cancel(await world.order(buyer=buyer), channel="hotline"))["case_id"]
    await world.run(until="archived", case_id=case_id)
    rows = await told(world, case_id)
    assert {(row["state"], row["code"]) for row in rows} == {("undelivered", "FAILED")}


async def news_of_refund(world: World, case_id: str) -> dict[str, Any]:
    """The gateway's own call may hold the case for the moment in which the worker looks; so it looks again."""
    for _ in range(100):
        await world.run()
        found = [row for row in await told(world, case_id) if row["fact"].startswith("refund_done")]
        if found:
            return found[0]
        await asyncio.sleep(0.02)
    raise AssertionError(await world.timeline(case_id))


async def test_no_telephone_rings_at_night_and_the_message_goes_in_the_morning(world: World) -> None:
    now = await world.now()
    local = now + timedelta(hours=8)
    minute = local.hour * 60 + local.minute
    await world.put_merchant("shop", quiet_from=(minute + 31) % 1440, quiet_to=(minute + 31 + 480) % 1440)
    await world.ask_sandbox("connections/wxpay", {"refund_mode": "stuck"})
    order_id = await world.order()
    case_id = (await world.cancel(order_id, channel="hotline"))["case_id"]
    await world.run()
    assert [row["fact"].split(":")[0] for row in await told(world, case_id)] == ["refund_on_its_way"], (
        "awake: told at once"
    )
    await world.pass_time(timedelta(minutes=60))
    (refund,) = await world.refunds(order_id)
    await world.ask_sandbox(f"refunds/wxpay/{refund['refund_no']}/state", {"state": "SUCCESS"})
    await world.pass_time(timedelta(minutes=10))
    row = await news_of_refund(world, case_id)
    assert (row["state"], row["code"]) == ("due", "quiet_hours")
    assert len((await world.ledger())["messages"]) == 1
    await world.pass_time(timedelta(hours=8))
    await world.run(until="archived", case_id=case_id)
    assert len((await world.ledger())["messages"]) == 2


async def test_staff_hear_of_cases_that_run_out_of_time_and_of_alerts(talkative: World) -> None:
    world = talkative
    order_id = await world.order(risk="suspected")
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    await world.pass_time(timedelta(minutes=11))
    await world.run()
    await world.pass_time(timedelta(minutes=5))
    await world.run()
    rows = await told(world, case_id, "agent")
    assert [(row["fact"].split(":")[0], row["state"]) for row in rows] == [
        ("staff_warned", "sent"),
        ("staff_overdue", "sent"),
    ]
    said = [m for m in (await world.ledger())["messages"] if m["connection"] == "dingtalk"]
    assert said
    assert all(case_id in m["text"] for m in said)
    assert "13800001234" not in str(said)
    assert not any("138*" in m["text"] or "测试买家" in m["text"] for m in said), "neither masked nor by name"

    await world.client.post("/callbacks/wxpay", content=b"{}")
    await tell_alerts(world.services)
    await tell_alerts(world.services)
    said = [m for m in (await world.ledger())["messages"] if m["template"] == "staff_alert"]
    assert len(said) == 1, "once"
    assert "callback_unverified" in said[0]["text"]
