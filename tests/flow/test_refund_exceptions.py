"""Refunds that need a person: listed with age and next step, and brought to their end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.world import World
from unwind.storage.embedded import EmbeddedPostgres
from unwind.worker.bills import take_bill


async def exceptions(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await world.ok("GET", "/api/v1/desk/refund-exceptions", role="agent"))["refunds"]
    return found


@pytest.mark.rule("money.exceptions")
async def test_a_short_account_is_a_work_item_and_a_retry_keeps_the_number(world: World) -> None:
    await world.ask_sandbox("connections/wxpay", {"balance_minor": 500})
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    await world.pass_time(timedelta(hours=3))
    (shown,) = await exceptions(world)
    assert (shown["kind"], shown["case_id"], shown["amount_minor"]) == ("needs_funds", case_id, 1000)
    assert shown["provider_code"] == "NOT_ENOUGH"
    assert shown["age_s"] >= 3 * 3600
    assert "充值" in shown["next_step"]["zh"]
    number = shown["refund_no"]
    assert (await world.decide(case_id, "retry")).is_success
    await world.run()
    (again,) = await exceptions(world)
    assert again["age_s"] < 60, "it waits anew"
    await world.ask_sandbox("connections/wxpay", {"balance_minor": None})
    assert (await world.decide(case_id, "retry")).is_success
    await world.run(until="archived", case_id=case_id)
    assert await exceptions(world) == []
    assert [(r["refund_no"], r["money_moved_times"]) for r in await world.refunds(order_id)] == [(number, 1)]


async def test_only_an_abnormal_refund_may_go_elsewhere_and_only_where_the_gateway_can(world: World) -> None:
    await world.ask_sandbox("connections/wxpay", {"refund_final": "ABNORMAL"})
    case_id = (await world.cancel(await world.order()))["case_id"]
    await world.run()
    (shown,) = await exceptions(world)
    assert shown["kind"] == "abnormal"
    path = f"/api/v1/desk/cases/{case_id}/legs/{shown['leg_no']}/other-account"
    card = {"bank_type": "CMB_DEBIT", "account_no": "6225000011112222", "account_name": "演示买家"}
    body = {"kind": "user_bank_card", "case_version": shown["case_version"], **card}
    refused = await world.call("POST", path, role="agent", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "no_other_account"), (
        "the generic contract has no such call"
    )
    for wrong in (
        {**body, "account_no": ""},
        {**body, "kind": "merchant_bank_card"},
        {"kind": "user_bank_card", "case_version": 1},
    ):
        assert (await world.call("POST", path, role="agent", json=wrong)).status_code == 422
    stale = await world.call("POST", path, role="agent", json={**body, "case_version": 1})
    assert stale.json()["code"] == "stale"
    assert (await world.call("POST", path, role="integrator", json=body)).status_code == 403
    assert "6225000011112222" not in str(await world.sql("SELECT * FROM case_events"))


async def test_the_list_is_of_ones_own_merchant(world: World) -> None:
    assert (await world.call("GET", "/api/v1/desk/refund-exceptions", role="integrator")).status_code == 403


@pytest.fixture
async def wechat_shop(postgres: EmbeddedPostgres, database_name: str, tmp_path: Path) -> AsyncIterator[World]:
    """The usual world; WeChat Pay speaks its own format."""
    async with AsyncExitStack() as stack:
        speaking = {"wxpay": "wechat_pay"}
        yield await World.open(stack, postgres=postgres, database=database_name, folder=tmp_path, speaking=speaking)


async def abnormal(world: World) -> tuple[str, str, dict[str, Any]]:
    await world.ask_sandbox("connections/wxpay", {"refund_final": "ABNORMAL"})
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    for _ in range(5):
        await world.run()
        await world.pass_time(timedelta(seconds=5))
    await world.ask_sandbox("connections/wxpay", {"refund_final": "SUCCESS"})
    (shown,) = await exceptions(world)
    return order_id, case_id, shown


CARD = {"bank_type": "CMB_DEBIT", "account_no": "6225000011112222", "account_name": "演示买家"}


@pytest.mark.parametrize("card", [{"kind": "user_bank_card", **CARD}, {"kind": "merchant_bank_card"}])
async def test_an_abnormal_refund_goes_to_another_account_once(wechat_shop: World, card: dict[str, str]) -> None:
    world = wechat_shop
    order_id, case_id, shown = await abnormal(world)
    path = f"/api/v1/desk/cases/{case_id}/legs/{shown['leg_no']}/other-account"
    body = {"case_version": shown["case_version"], **card}
    answers = await asyncio.gather(*(world.call("POST", path, role="agent", json=body) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 409], "two people at once"
    await world.pass_time(timedelta(minutes=1))
    await world.run(until="archived", case_id=case_id)
    assert [(r["status"], r["money_moved_times"]) for r in await world.refunds(order_id)] == [("SUCCESS", 1)]
    assert await exceptions(world) == []
    dumped = [
        await world.sql(f"SELECT * FROM {table}")
        for table in ("case_events", "legs", "refunds", "callback_inbox", "alerts")
    ]
    assert "6225000011112222" not in str(dumped)
    assert (await world.violations())["violations"] == []


async def test_who_does_not_hold_the_case_sends_its_money_nowhere(wechat_shop: World) -> None:
    world = wechat_shop
    order_id, case_id, shown = await abnormal(world)
    await world.hire("wang")
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/claim", role="uk_wang", json={})
    path = f"/api/v1/desk/cases/{case_id}/legs/{shown['leg_no']}/other-account"
    body = {"case_version": shown["case_version"], "kind": "user_bank_card", **CARD}
    refused = await world.call("POST", path, role="agent", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "claimed_by_other")
    await world.ok("POST", path, role="uk_wang", json=body)
    await world.pass_time(timedelta(minutes=1))
    await world.run(until="archived", case_id=case_id)
    assert [(r["status"], r["money_moved_times"]) for r in await world.refunds(order_id)] == [("SUCCESS", 1)]


async def test_an_answer_that_never_came_is_asked_for(wechat_shop: World) -> None:
    """The gateway took the other account and we never heard: the query by the refund's own number tells."""
    world = wechat_shop
    order_id, case_id, shown = await abnormal(world)
    fault = {
        "connection": "wxpay",
        "operation": "payment.refund_elsewhere",
        "fault": "timeout_after_effect",
        "seconds": 0,
    }
    await world.ask_sandbox("faults", fault)
    path = f"/api/v1/desk/cases/{case_id}/legs/{shown['leg_no']}/other-account"
    await world.ok(
        "POST", path, role="agent", json={"case_version": shown["case_version"], "kind": "user_bank_card", **CARD}
    )
    await world.pass_time(timedelta(minutes=1))
    await world.run(until="archived", case_id=case_id)
    assert [(r["status"], r["money_moved_times"]) for r in await world.refunds(order_id)] == [("SUCCESS", 1)]


async def test_the_days_bill_of_the_provider_itself_agrees(wechat_shop: World) -> None:
    world = wechat_shop
    for _ in range(2):
        case_id = (await world.cancel(await world.order()))["case_id"]
        await world.run(until="archived", case_id=case_id)
    day = (await world.now() + timedelta(hours=8)).date()
    bill = await world.control.get("/control/bills/wxpay", params={"day": day.isoformat()})
    report = await take_bill(world.services, "wxpay", bill.content, day=day)
    assert (report.refunds, report.refunds_minor, report.differences) == (2, 2000, ())
