"""Merchant-initiated cancellation (砍单): evidence, buyer told or agreeing, the merchant's fault; scams are warned of and flagged."""

from typing import Any

import pytest

from tests.world import World, shipment

OWN = {"channel": "merchant", "merchant_reason": "out_of_stock", "evidence_ref": "stock-2026-17"}


async def told(world: World, case_id: str) -> dict[str, str]:
    rows = await world.sql("SELECT fact, channel FROM messages WHERE case_id = %s AND audience = 'buyer'", case_id)
    return {row["fact"].split(":")[0]: row["channel"] for row in rows}


async def token(world: World, order_id: str) -> str:
    given: str = (await world.ok("POST", f"/api/v1/orders/{order_id}/buyer-token"))["token"]
    return given


async def agree(world: World, case_id: str, role: str, *, agrees: bool) -> Any:
    return await world.call("POST", f"/api/v1/cancellations/{case_id}/agreement", role=role, json={"agrees": agrees})


@pytest.mark.rule("people.merchant_cancels")
async def test_a_merchant_says_why_and_shows_it(world: World) -> None:
    order_id = await world.order(paid=False)
    for left_out in ("merchant_reason", "evidence_ref"):
        body = {"order_id": order_id, **{k: v for k, v in OWN.items() if k != left_out}}
        refused = await world.call("POST", "/api/v1/cancellations", json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, "merchant_reason_needed")
    unknown = await world.call(
        "POST", "/api/v1/cancellations", json={"order_id": order_id, **OWN, "merchant_reason": "x"}
    )
    assert unknown.status_code == 422
    case = await world.cancel(order_id, **OWN)
    assert case["outcome"] == "cancelled", "nothing paid: told is enough"
    [row] = await world.sql("SELECT reason, fault FROM cases")
    assert (row["reason"], row["fault"]) == ("OUT_OF_STOCK", "merchant")
    [event] = await world.sql("SELECT data FROM case_events WHERE event = 'received'")
    assert (event["data"]["merchant_reason"], event["data"]["evidence_ref"]) == ("out_of_stock", "stock-2026-17")
    assert set(await told(world, case["case_id"])) == {"merchant_cancels", "cancelled_unpaid"}


async def test_only_merchants_and_their_systems_cancel_for_themselves(world: World) -> None:
    order_id = await world.order()
    await world.put_merchant("other")
    [mine] = await world.hire("mine", role="merchant", merchant_id="shop")
    [theirs] = await world.hire("theirs", role="merchant", merchant_id="other")
    body = {"order_id": order_id, **OWN}
    for role, status in (("agent", 403), ("warehouse", 403), (await token(world, order_id), 403), (theirs, 404)):
        assert (await world.call("POST", "/api/v1/cancellations", role=role, json=body)).status_code == status, role
    plain = await world.call("POST", "/api/v1/cancellations", role=mine, json={"order_id": order_id})
    assert plain.status_code == 403, "a merchant does not speak as the buyer"
    assert (await world.call("POST", "/api/v1/cancellations", role=mine, json=body)).status_code == 201


@pytest.mark.rule("people.merchant_cancels")
async def test_a_paid_order_is_cancelled_with_the_buyers_agreement_only(world: World) -> None:
    order_id = await world.order()
    case = await world.cancel(order_id, **OWN)
    case_id = case["case_id"]
    assert (case["outcome"], case["rule"]) == ("in_review", "buyer_must_agree")
    await world.run()
    [text] = await world.texts(to="13800001234")
    assert "缺货" in text
    assert "不会索要验证码或要求转账" in text
    refused = await world.decide(case_id, "approve")
    assert (refused.status_code, refused.json()["code"]) == (409, "buyer_must_agree"), "not over the buyer's head"
    assert await world.refunds(order_id) == []
    refused = await agree(world, case_id, "agent", agrees=True)
    assert (refused.status_code, refused.json()["code"]) == (403, "identity_required")
    assert (await agree(world, case_id, await token(world, order_id), agrees=True)).status_code == 200
    await world.run(until="archived", case_id=case_id)
    assert [refund["amount_minor"] for refund in await world.refunds(order_id)] == [1000]
    assert {"merchant_asks", "refund_done"} <= set(await told(world, case_id))
    again = await agree(world, case_id, await token(world, order_id), agrees=True)
    assert again.json()["code"] == "nobody_asked"


@pytest.mark.rule("people.merchant_cancels")
async def test_a_buyer_who_disagrees_keeps_the_order(world: World) -> None:
    order_id = await world.order()
    case_id = (await world.cancel(order_id, **OWN))["case_id"]
    await agree(world, case_id, await token(world, order_id), agrees=False)
    await world.run(until="archived", case_id=case_id)
    [row] = await world.sql("SELECT outcome, cancelled_at FROM cases JOIN orders USING (order_id)")
    assert (row["outcome"], row["cancelled_at"]) == ("withdrawn", None)
    assert await world.refunds(order_id) == []


async def test_agreement_by_telephone_comes_from_a_checked_caller(world: World) -> None:
    order_id = await world.order()
    case_id = (await world.cancel(order_id, **OWN))["case_id"]
    await world.identify(order_id)
    assert (await agree(world, case_id, "agent", agrees=True)).status_code == 200
    await world.run(until="archived", case_id=case_id)


async def test_what_needs_a_person_still_needs_one_after_the_buyer_has_agreed(world: World) -> None:
    order_id = await world.order(shipments=[shipment(quantities={"L1": 1})])
    case_id = (await world.cancel(order_id, **OWN))["case_id"]
    assert (await world.decide(case_id, "recall")).json()["code"] == "buyer_must_agree"
    await agree(world, case_id, await token(world, order_id), agrees=True)
    [row] = await world.sql("SELECT state FROM cases")
    assert row["state"] == "review"
    assert (await world.decide(case_id, "recall")).status_code == 200


async def test_by_its_published_terms_a_merchant_may_only_tell(world: World) -> None:
    await world.put_merchant("shop", may_only_tell=True)
    order_id = await world.order()
    case_id = (await world.cancel(order_id, **OWN))["case_id"]
    await world.run(until="archived", case_id=case_id)
    assert "merchant_cancels" in await told(world, case_id)
    texts = await world.texts(to="13800001234")
    assert any("责任在商家" in text for text in texts)


@pytest.mark.rule("people.true_reason")
async def test_the_stated_reason_and_the_true_one_are_kept_apart(world: World) -> None:
    order_id = await world.order(risk="suspected")
    case_id = (await world.cancel(order_id, reason="CHANGED_MIND", text="卖家让我选不想要了,其实是没货"))["case_id"]
    [row] = await world.sql("SELECT stated_reason, reason, fault, true_reason FROM cases")
    assert (row["stated_reason"], row["reason"], row["fault"]) == ("CHANGED_MIND", "MERCHANT_ASKED", "merchant")
    assert row["true_reason"] is None, "that is for a person to say"
    own = await world.order(risk="suspected")
    await world.cancel(own, reason="CHANGED_MIND")
    [row] = await world.sql("SELECT stated_reason, reason, fault FROM cases WHERE case_id <> %s", case_id)
    assert (row["stated_reason"], row["reason"], row["fault"]) == ("CHANGED_MIND", "CHANGED_MIND", "")


@pytest.mark.rule("people.scam")
async def test_an_offer_to_pay_outside_is_flagged_and_warned_of(world: World) -> None:
    for order_id, given in (
        (await world.order(risk="suspected"), {}),
        (await world.order(paid=False), {}),
        (await world.order(), {"channel": "chat"}),
    ):
        case_id = (await world.cancel(order_id, text="卖家让我加微信转账,说便宜点,帮我取消订单", **given))["case_id"]
        await world.run()
        events = [event.split()[0] for event in await world.timeline(case_id)]
        assert "scam_flagged" in events, order_id
        assert "scam_warning" in await told(world, case_id), order_id
    [alert] = await world.sql("SELECT connection, kind, code, times FROM alerts")
    assert (alert["connection"], alert["kind"], alert["code"], alert["times"]) == ("scam", "outside_payment", "shop", 3)


async def test_an_offer_told_of_later_is_flagged_too(world: World) -> None:
    order_id = await world.order(risk="suspected")
    case_id = (await world.cancel(order_id))["case_id"]
    for _ in range(2):
        await world.cancel(order_id, text="他又发了个收款码让我扫码付款")
    await world.run()
    assert (await world.timeline(case_id))[-1]
    assert "scam_warning" in await told(world, case_id)
    assert len([e for e in await world.timeline(case_id) if e.startswith("scam_flagged")]) == 2


async def test_ordinary_cases_carry_no_warning(world: World) -> None:
    case_id = (await world.cancel(await world.order(risk="suspected"), text="微信付的款,不想要了,请退款"))["case_id"]
    assert set(await told(world, case_id)) == {"in_review"}
    assert await world.sql("SELECT * FROM alerts") == []


async def test_a_review_that_needs_no_agreement_asks_the_buyer_nothing(world: World) -> None:
    order_id = await world.order(paid=False, risk="suspected")
    case = await world.cancel(order_id, **OWN)
    facts = await told(world, case["case_id"])
    assert "merchant_asks" not in facts
    assert "merchant_cancels" in facts


async def test_nothing_is_called_cancelled_before_it_is(world: World) -> None:
    await world.put_merchant("shop", may_only_tell=True)
    await world.cancel(await world.order(), **OWN)
    await world.run()
    first = (await world.texts(to="13800001234"))[0]
    assert "要求取消" in first
    assert "已取消" not in first
