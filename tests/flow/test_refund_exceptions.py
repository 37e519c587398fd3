"""Refunds that need a person: listed with age and next step, and brought to their end."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.world import World, line, payment
from unwind.domain.access import SYSTEM
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


async def test_the_list_is_filtered_by_kind_connection_and_merchant(world: World) -> None:
    await world.put_merchant("other")
    await world.hire("shopkeeper", role="merchant", merchant_id="other")
    await world.ask_sandbox("connections/wxpay", {"balance_minor": 500})
    await world.ask_sandbox("connections/alipay", {"refund_final": "ABNORMAL"})
    short = (await world.cancel(await world.order()))["case_id"]
    order_id = await world.order(
        order_id="A1", merchant_id="other", payments=[payment("A1", 1000, connection="alipay", method="alipay")]
    )
    abnormal = (await world.cancel(order_id))["case_id"]
    await world.run()
    await world.hire("wang")
    await world.ok("POST", f"/api/v1/desk/cases/{abnormal}/claim", role="uk_wang", json={})

    async def shown(role: str = "finance", **query: str) -> list[str]:
        body = await world.ok("GET", "/api/v1/desk/refund-exceptions", role=role, params=query)
        return [row["case_id"] for row in body["refunds"]]

    assert sorted(await shown()) == sorted([short, abnormal])
    assert await shown(kind="needs_funds") == [short]
    assert await shown(kind="unfinished") == []
    assert await shown(connection="alipay") == [abnormal]
    assert await shown(merchant_id="other") == [abnormal]
    assert await shown(role="uk_shopkeeper") == [abnormal]
    path = "/api/v1/desk/refund-exceptions"
    others = await world.call("GET", path, role="uk_shopkeeper", params={"merchant_id": "shop"})
    assert others.status_code == 404
    assert (await world.call("GET", path, role="finance", params={"kind": "lost"})).status_code == 422
    assert (await world.call("GET", path, role="integrator")).status_code == 403
    [row] = (await world.ok("GET", path, role="finance", params={"connection": "alipay"}))["refunds"]
    assert (row["held_by"], row["is_escalated"], row["proposal"], row["currency"]) == ("wang", False, None, "CNY")


async def test_a_top_up_lets_every_refund_of_the_connection_go_on(world: World) -> None:
    """Each by the number it has; what somebody else holds, or what asks for a second person, is left and named."""
    await world.ask_sandbox("connections/wxpay", {"balance_minor": 0})
    await world.ask_sandbox("connections/alipay", {"balance_minor": 0})
    await world.sql("UPDATE merchants SET agent_limit_minor = 5000")
    orders = [await world.order() for _ in range(3)]
    cases = [(await world.cancel(order_id))["case_id"] for order_id in orders]
    big = await world.order(lines=[line(price=6000)])
    cases.append((await world.cancel(big))["case_id"])
    elsewhere = await world.order(order_id="A1", payments=[payment("A1", 1000, connection="alipay", method="alipay")])
    other = (await world.cancel(elsewhere))["case_id"]
    await world.run()
    numbers = {row["case_id"]: row["refund_no"] for row in await exceptions(world)}
    assert set(numbers) == {*cases, other}
    await world.hire("wang")
    await world.ok("POST", f"/api/v1/desk/cases/{cases[1]}/claim", role="uk_wang", json={})
    await world.ask_sandbox("connections/wxpay", {"balance_minor": None})
    path = "/api/v1/finance/connections/wxpay/retries"
    assert (await world.call("POST", path, role="agent", json={"kind": "needs_funds"})).status_code == 403
    done = (await world.ok("POST", path, role="finance", json={"kind": "needs_funds"}))["cases"]
    outcomes = {row["case_id"]: (row["outcome"], row["code"]) for row in done}
    assert outcomes == {
        cases[0]: ("retried", ""),
        cases[1]: ("left", "claimed_by_other"),
        cases[2]: ("retried", ""),
        cases[3]: ("waits_for_second", ""),
    }
    [left] = [row for row in done if row["outcome"] == "left"]
    assert left["facts"]["holder"] == "wang"
    for case_id in (cases[0], cases[2]):
        await world.run(until="archived", case_id=case_id)
    assert {row["case_id"] for row in await exceptions(world)} == {cases[1], cases[3], other}
    for order_id, case_id in zip(orders, cases, strict=False):
        moved = [(r["refund_no"], r["money_moved_times"]) for r in await world.refunds(order_id)]
        assert moved == ([] if case_id == cases[1] else [(numbers[case_id], 1)])
    assert (await world.agree_as_second(cases[3])).status_code == 200
    await world.run(until="archived", case_id=cases[3])
    assert (await world.violations())["violations"] == []


async def test_a_retry_of_all_touches_nothing_that_has_changed_since(world: World) -> None:
    from unwind.flow.retry_refunds import retry_refunds
    from unwind.storage import desk

    await world.ask_sandbox("connections/wxpay", {"balance_minor": 0})
    case_id = (await world.cancel(await world.order()))["case_id"]
    await world.run()
    async with world.services.database.connection() as conn:
        seen = await desk.refund_exceptions(conn, merchant_id=None, refunds_max=10)
    await world.decide(case_id, "retry")
    await world.run()
    [done] = await retry_refunds(world.services, SYSTEM, seen)
    assert (done.outcome, done.code) == ("left", "stale")


@pytest.fixture
async def wechat_shop(postgres: EmbeddedPostgres, database_name: str, tmp_path: Path) -> AsyncIterator[World]:
    """The usual world; WeChat Pay speaks its own format."""
    async with AsyncExitStack() as stack:
        speaking = {"wxpay": "wechat_pay"}
        yield await World.open(stack, postgres=postgres, database=database_name, folder=tmp_path, speaking=speaking)


async def test_the_days_bill_of_the_provider_itself_agrees(wechat_shop: World) -> None:
    world = wechat_shop
    for _ in range(2):
        case_id = (await world.cancel(await world.order()))["case_id"]
        await world.run(until="archived", case_id=case_id)
    day = (await world.now() + timedelta(hours=8)).date()
    bill = await world.control.get("/control/bills/wxpay", params={"day": day.isoformat()})
    report = await take_bill(world.services, "wxpay", bill.content, day=day)
    assert (report.refunds, report.refunds_minor, report.differences) == (2, 2000, ())
