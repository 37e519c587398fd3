"""Refunds that need a person: listed with age and next step, and brought to their end."""

from datetime import timedelta
from typing import Any

from tests.world import World


async def exceptions(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await world.ok("GET", "/api/v1/desk/refund-exceptions", role="agent"))["refunds"]
    return found


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
