"""What was published before ordering: kept only with the buyer's yes to exactly that, and never where the merchant fails. Amounts in fen."""

from datetime import timedelta
from typing import Any

import pytest

from tests.flow.test_money_examples import accounts, booked, cancelled, last_text, outside
from tests.world import World, line, payment, shipment
from unwind.flow.timeout import close_unpaid

pytestmark = pytest.mark.usefixtures("sound")


async def forecast(world: World, order_id: str, *wish: str, **given: str) -> dict[str, Any]:
    asked = [*(("line", one) for one in wish), *given.items()]
    return await world.ok("GET", f"/api/v1/orders/{order_id}/cancellability", params=asked)


def threshold(amount: int, at: int, **given: Any) -> dict[str, Any]:
    return {
        "discount_id": "D1",
        "amount_minor": amount,
        "funder": "merchant",
        "returns_as": "void",
        "threshold_minor": at,
        "on_partial": "reprice",
        **given,
    }


def deposit(order_id: str, paid: int, *, balance: int = 0, price: int = 49_900) -> dict[str, Any]:
    """A pre-sale: its deposit by WeChat, its balance, once it is paid, by Alipay."""
    payments = [payment(order_id, paid, purpose="deposit")]
    if balance:
        payments.append(payment(order_id, balance, connection="alipay", method="alipay", purpose="balance"))
    return {"order_id": order_id, "lines": [line(price=price, presale="deposit")], "payments": payments}


# thresholds ---------------------------------------------------------------------------------------------------------


@pytest.mark.rule("money.three_amounts", "money.thresholds")
async def test_a_threshold_priced_anew_is_shown_agreed_to_and_given_back_with_the_rest(world: World) -> None:
    """100.00 + 120.00 + 80.00 less 40.00 (满300减40) = 260.00 paid; published: what is left is priced anew.

    Without the third line 220.00 are left, below 300.00: they cost 220.00. 260.00 - 220.00 = 40.00 return; its share of what was
    paid was 69.33, so 29.33 are lost. When the other two go as well, 220.00 return: 260.00 in all.
    """
    order_id = await world.order(
        lines=[line(price=10_000), line("L2", price=12_000), line("L3", price=8_000)],
        discounts=[threshold(4000, 30_000)],
    )
    seen = await forecast(world, order_id, "L3:1")
    [part] = seen["parts"]
    assert (part["verdict"], part["paid_minor"], part["deducted_minor"]) == ("auto", 6933, 2933)
    assert part["deductions"] == [{"reason": "discount_lost", "amount_minor": 2933}]
    assert part["refund"]["amount_minor"] == 4000
    assert seen["consent"]["deducted_minor"] == 2933
    await cancelled(world, order_id, lines={"L3": 1}, consent=seen["consent"]["digest"])
    assert await outside(world, order_id) == {"wxpay": [4000]}
    text = await last_text(world)
    assert all(amount in text for amount in ("40.00", "69.33", "29.33"))
    rest = await forecast(world, order_id)
    assert rest["consent"] is None
    await cancelled(world, order_id)
    assert await outside(world, order_id) == {"wxpay": [4000, 22_000]}
    assert await booked(world, order_id) == {"wechat": 26_000}


async def test_what_still_reaches_the_threshold_keeps_its_discount(world: World) -> None:
    """100.00 + 300.00 less 40.00: without the first line 300.00 are left and keep the 40.00. The whole 100.00 returns, nothing is lost."""
    order_id = await world.order(
        lines=[line(price=10_000), line("L2", price=30_000)], discounts=[threshold(4000, 30_000)]
    )
    assert (await forecast(world, order_id, "L1:1"))["consent"] is None
    await cancelled(world, order_id, lines={"L1": 1})
    assert await outside(world, order_id) == {"wxpay": [10_000]}


@pytest.mark.rule("money.thresholds")
async def test_free_postage_that_is_lost_is_a_deduction_of_its_own(world: World) -> None:
    """80.00 + 30.00, postage free from 99.00 on, 8.00 below. Without the second line 80.00 are left: 30.00 - 8.00 = 22.00."""
    order_id = await world.order(
        lines=[line(price=8000), line("L2", price=3000)],
        terms={"free_postage_from_minor": 9900, "postage_minor": 800},
    )
    seen = await forecast(world, order_id, "L2:1")
    assert seen["parts"][0]["deductions"] == [{"reason": "postage_lost", "amount_minor": 800}]
    await cancelled(world, order_id, lines={"L2": 1}, consent=seen["consent"]["digest"])
    assert await outside(world, order_id) == {"wxpay": [2200]}
    await cancelled(world, order_id)
    assert await outside(world, order_id) == {"wxpay": [2200, 8800]}


@pytest.mark.rule("money.three_amounts")
@pytest.mark.parametrize("said", ["", "0" * 64])
async def test_without_the_yes_to_exactly_this_a_person_asks_for_it(world: World, said: str) -> None:
    order_id = await world.order(
        lines=[line(price=28_000), line("L2", price=4000)], discounts=[threshold(4000, 30_000)]
    )
    asked = await world.cancel(order_id, channel="hotline", lines={"L2": 1}, consent=said)
    assert (asked["outcome"], asked["rule"]) == ("in_review", "consent_needed")
    await world.run()
    assert await world.refunds(order_id) == []
    case_id = asked["case_id"]
    refused = await world.decide(case_id, "approve")
    assert (refused.status_code, refused.json()["code"]) == (409, "consent_needed")
    await world.identify(order_id)
    body = {"how": "chat", "reference": "m-1", "choice": "approve"}
    asked_for = await world.ok("POST", f"/api/v1/desk/cases/{case_id}/consents", role="agent", json=body)
    assert asked_for["subject"]["kept_minor"] == 3500
    assert (await world.decide(case_id, "approve")).status_code == 200
    await world.run(until="archived", case_id=case_id)
    assert await outside(world, order_id) == {}, "28.00 stay at 280.00, of 280.00 that were paid: nothing returns"


async def test_a_yes_to_one_order_is_none_to_another(world: World) -> None:
    given = {"lines": [line(price=28_000), line("L2", price=4000)], "discounts": [threshold(4000, 30_000)]}
    first, second = await world.order(**given), await world.order(**given)
    digest = (await forecast(world, first, "L2:1"))["consent"]["digest"]
    asked = await world.cancel(second, lines={"L2": 1}, consent=digest)
    assert (asked["outcome"], asked["rule"]) == ("in_review", "consent_needed")


async def test_the_true_reason_that_an_agent_finds_keeps_nothing_from_the_buyer(world: World) -> None:
    """ "I do not want it", says the request; the merchant had asked for that. Then the share of what was paid returns whole: 69.33."""
    order_id = await world.order(
        lines=[line(price=10_000), line("L2", price=12_000), line("L3", price=8_000)],
        discounts=[threshold(4000, 30_000)],
    )
    asked = await world.cancel(order_id, lines={"L3": 1}, reason="CHANGED_MIND")
    assert asked["rule"] == "consent_needed"
    path = f"/api/v1/desk/cases/{asked['case_id']}/true-reason"
    await world.ok("PUT", path, role="agent", json={"reason": "MERCHANT_ASKED"})
    assert (await world.decide(asked["case_id"], "approve")).status_code == 200
    await world.run(until="archived", case_id=asked["case_id"])
    assert await outside(world, order_id) == {"wxpay": [6933]}


@pytest.mark.rule("money.thresholds")
async def test_where_the_merchant_fails_no_threshold_is_lost(world: World) -> None:
    """Out of stock: the buyer gets their share of what was paid, whatever is left of the order."""
    order_id = await world.order(
        lines=[line(price=10_000), line("L2", price=12_000), line("L3", price=8_000)],
        discounts=[threshold(4000, 30_000)],
    )
    seen = await forecast(world, order_id, "L3:1", reason="OUT_OF_STOCK")
    assert (seen["consent"], seen["parts"][0]["refund"]["amount_minor"]) == (None, 6933)
    await cancelled(world, order_id, lines={"L3": 1}, reason="OUT_OF_STOCK")
    assert await outside(world, order_id) == {"wxpay": [6933]}


async def test_the_merchants_terms_hold_where_a_discount_says_nothing_itself(world: World) -> None:
    await world.put_merchant("strict", money_terms={"on_partial": "reprice"})
    lines = [line(price=28_000), line("L2", price=4000)]
    for merchant, lost in (("strict", 3500), ("shop", 0)):
        order_id = await world.order(
            merchant_id=merchant, lines=lines, discounts=[threshold(4000, 30_000, on_partial=None)]
        )
        [part] = (await forecast(world, order_id, "L2:1"))["parts"]
        assert part["deducted_minor"] == lost


async def test_a_forecast_for_what_cannot_be_is_refused(world: World) -> None:
    order_id = await world.order()
    for wish, status, code in (
        ("L9:1", 422, "unknown_line"),
        ("L1:2", 422, "quantity_too_large"),
        ("L1", 422, "invalid"),
        ("L1:0", 422, "invalid"),
    ):
        answer = await world.call("GET", f"/api/v1/orders/{order_id}/cancellability", params={"line": wish})
        assert (answer.status_code, answer.json()["code"]) == (status, code), wish


# deposits -----------------------------------------------------------------------------------------------------------


@pytest.mark.rule("money.deposits")
async def test_a_deposit_is_kept_when_the_buyer_withdraws_before_the_balance_and_only_up_to_its_cap(
    world: World,
) -> None:
    """定金 120.00 on 499.00: 20 % of the price are 99.80. That is kept; 120.00 - 99.80 = 20.20 were paid in advance and return."""
    order_id = await world.order(**deposit("D1", 12_000))
    seen = await forecast(world, order_id)
    [part] = seen["parts"]
    assert (part["rule"], part["paid_minor"], part["deducted_minor"]) == ("deposit_kept", 12_000, 9980)
    assert part["deductions"] == [{"reason": "deposit", "amount_minor": 9980}]
    case_id = await cancelled(world, order_id, consent=seen["consent"]["digest"])
    assert await outside(world, order_id) == {"wxpay": [2020]}
    assert await world.sql("SELECT kept_minor FROM orders WHERE order_id = %s", order_id) == [{"kept_minor": 9980}]
    [cost] = (await world.dossier(case_id))["costs"]
    assert (cost["fee"], cost["amount_minor"], cost["bearer"]) == ("deposit", 9980, "buyer")
    text = await last_text(world)
    assert all(amount in text for amount in ("20.20", "120.00", "99.80"))


async def test_an_agents_yes_is_not_the_buyers(world: World) -> None:
    """Over the hotline the digest of the dry run is nobody's consent: the agent notes it in the case, with the call that proves it."""
    order_id = await world.order(**deposit("D7", 5000))
    digest = (await forecast(world, order_id))["consent"]["digest"]
    await world.identify(order_id)
    asked = await world.cancel(order_id, role="agent", channel="hotline", consent=digest)
    assert (asked["outcome"], asked["rule"]) == ("in_review", "consent_needed")
    await world.run()
    assert await world.refunds(order_id) == []


async def test_a_part_of_what_a_deposit_was_paid_for_is_a_persons(world: World) -> None:
    lines = [line(price=20_000, presale="deposit"), line("L2", price=30_000, presale="deposit")]
    order_id = await world.order(order_id="D8", lines=lines, payments=[payment("D8", 10_000, purpose="deposit")])
    asked = await world.cancel(order_id, lines={"L1": 1})
    assert (asked["outcome"], asked["rule"]) == ("in_review", "presale_deposit")


async def test_without_the_yes_a_deposit_is_not_kept(world: World) -> None:
    order_id = await world.order(**deposit("D2", 5000))
    asked = await world.cancel(order_id)
    assert (asked["outcome"], asked["rule"]) == ("in_review", "consent_needed")
    [part] = (await world.dossier(asked["case_id"]))["parts"]
    assert part["published"]["costs"] == [{"fee": "deposit", "amount_minor": 5000, "bearer": "buyer"}]


@pytest.mark.rule("money.compensation", "money.deposits")
async def test_a_merchant_that_fails_returns_a_deposit_double(world: World) -> None:
    """定金 50.00: 50.00 return by their route, another 50.00 are compensation, a leg of its own, with a second person where it is much."""
    order_id = await world.order(**deposit("D3", 6000))
    asked = await world.cancel(order_id, channel="hotline", reason="OUT_OF_STOCK")
    assert (asked["outcome"], asked["rule"]) == ("in_review", "deposit_doubled")
    [part] = (await world.dossier(asked["case_id"]))["parts"]
    assert part["published"] == {"costs": [], "compensation_minor": 6000}
    decided = await world.decide(asked["case_id"], "approve", compensation_minor=6000)
    assert decided.status_code == 202, "60.00 are more than one person may give"
    assert (await world.agree_as_second(asked["case_id"])).is_success
    await world.run()
    assert await outside(world, order_id) == {"wxpay": [6000]}
    [task] = (await world.ok("GET", "/api/v1/desk/tasks", role="finance"))["tasks"]
    assert (task["kind"], task["amount_minor"]) == ("compensate", 6000)
    await world.ok("POST", f"/api/v1/desk/tasks/{task['task_id']}/result", role="finance", json={"outcome": "done"})
    await world.run(until="archived", case_id=asked["case_id"])


@pytest.mark.rule("money.deposits")
async def test_after_the_balance_both_return_by_themselves_where_the_shop_says_so(world: World) -> None:
    await world.put_merchant("generous", money_terms={"deposit_after_balance": "return"})
    order_id = await world.order(merchant_id="generous", **deposit("D4", 10_000, balance=39_900))
    await cancelled(world, order_id)
    assert await outside(world, order_id) == {"wxpay": [10_000], "alipay": [39_900]}


@pytest.mark.rule("money.deposits")
async def test_money_paid_in_advance_is_no_deposit(world: World) -> None:
    """订金: returned whole."""
    order_id = await world.order(lines=[line(price=49_900, presale="prepayment")])
    assert (await forecast(world, order_id))["consent"] is None
    await cancelled(world, order_id)
    assert await outside(world, order_id) == {"wxpay": [49_900]}


@pytest.mark.rule("money.deposits")
async def test_a_balance_that_is_not_paid_in_time_closes_the_order_and_the_deposit_stays(world: World) -> None:
    """120.00 paid down, the balance due in an hour. It passes: 99.80 stay as published, 20.20 return, the goods are free again."""
    await world.ok(
        "PUT", "/api/v1/stock", role="admin", json=[{"sku": "SKU-L1", "available": 1}, {"sku": "X", "available": 0}]
    )
    pay_by = (await world.now() + timedelta(hours=1)).isoformat()
    order_id = await world.order(pay_by=pay_by, **deposit("D5", 12_000))
    await world.run()
    assert await close_unpaid(world.services) == 0
    await world.pass_time(timedelta(hours=2))
    assert await close_unpaid(world.services) == 1
    [case] = await world.sql("SELECT case_id, rule, channel FROM cases WHERE order_id = %s", order_id)
    assert (case["rule"], case["channel"]) == ("balance_time_limit", "timeout")
    await world.run(until="archived", case_id=case["case_id"])
    assert await outside(world, order_id) == {"wxpay": [2020]}
    stock = await world.ok("GET", "/api/v1/stock", params={"sku": "SKU-L1"}, role="admin")
    assert [row["available"] for row in stock] == [1]
    late = payment("D5", 39_900, connection="alipay", method="alipay", purpose="balance")
    await world.ask_sandbox(
        "trades",
        {
            "connection": "alipay",
            "trade_no": late["trade_no"],
            "amount_minor": 39_900,
            "currency": "CNY",
            "state": "PAID",
            "order_no": order_id,
        },
    )
    event = {"event_id": "E1", "kind": "payment_captured", "at": (await world.now()).isoformat(), "payment": late}
    await world.ok("POST", f"/api/v1/orders/{order_id}/events", json=event)
    await world.run()
    assert await outside(world, order_id) == {"wxpay": [2020], "alipay": [39_900]}, (
        "the late balance, and not the deposit"
    )


@pytest.mark.parametrize(
    ("merchant", "given"),
    [
        ({"automation": "shadow"}, {}),
        ({}, {"shipments": [shipment("S1")]}),
        ({}, {"released_stage": "picking", "shipments": [shipment("S1", stage="label_printed", picked_up=False)]}),
    ],
)
async def test_where_a_balance_runs_out_and_money_or_goods_may_not_move_by_themselves_a_person_decides(
    world: World, merchant: dict[str, Any], given: dict[str, Any]
) -> None:
    await world.put_merchant("careful", **merchant)
    pay_by = (await world.now() + timedelta(hours=1)).isoformat()
    body = deposit("D9", 12_000)
    body["lines"] = [{**body["lines"][0], "quantity": 2, "unit_price_minor": 24_950}]
    order_id = await world.order(merchant_id="careful", pay_by=pay_by, **{**body, **given})
    plain = await world.order(paid=False, pay_by=pay_by)
    await world.pass_time(timedelta(hours=2))
    assert await close_unpaid(world.services) == 2
    await world.run()
    rows = await world.sql("SELECT order_id, state, rule FROM cases ORDER BY order_id")
    assert {(row["order_id"], row["state"]) for row in rows} == {(order_id, "review"), (plain, "archived")}
    assert await world.refunds(order_id) == []
    assert await close_unpaid(world.services) == 0, "once"


async def test_a_balance_paid_in_time_leaves_the_order_alone(world: World) -> None:
    pay_by = (await world.now() + timedelta(hours=1)).isoformat()
    await world.order(pay_by=pay_by, **deposit("D6", 12_000, balance=37_900))
    await world.pass_time(timedelta(hours=2))
    assert await close_unpaid(world.services) == 0


# coupons, points, groups --------------------------------------------------------------------------------------------


def coupon(until: str | None, **given: Any) -> dict[str, Any]:
    return {"benefit_id": "C1", "kind": "coupon", "account": "coupon:b1", "amount": 1, "valid_until": until, **given}


@pytest.mark.rule("money.coupons")
@pytest.mark.parametrize(
    ("hours", "terms", "returned_as", "balance"),
    [
        (48, {}, "as_it_was", 1),
        (-1, {}, "expired", 0),
        (-1, {"expired_coupons": "reissue", "reissue_days": 7}, "reissued", 1),
    ],
)
@pytest.mark.parametrize("is_paid", [True, False])
async def test_a_coupon_comes_back_with_its_own_validity(
    world: World, hours: int, terms: dict[str, Any], returned_as: str, balance: int, is_paid: bool
) -> None:
    await world.put_merchant("coupons", money_terms=terms)
    until = (await world.now() + timedelta(hours=hours)).isoformat()
    order_id = await world.order(
        merchant_id="coupons",
        lines=[line(price=1000), line("L2", price=2000)],
        paid=is_paid,
        benefits=[coupon(until)],
    )
    if is_paid:
        await cancelled(world, order_id, lines={"L1": 1})
    assert await accounts(world) == {"coupon:b1": 0}, "only with the last line that used it"
    await cancelled(world, order_id)
    [row] = await world.sql("SELECT returned_as, reissued_until > unwind_now() AS is_new FROM benefits")
    assert row == {"returned_as": returned_as, "is_new": True if returned_as == "reissued" else None}
    assert await accounts(world) == {"coupon:b1": balance}


@pytest.mark.rule("money.points")
@pytest.mark.parametrize(
    ("rule", "balance", "left", "owed"), [("waive", 300, 0, 0), ("owe", 300, 0, 200), ("owe", 800, 300, 0)]
)
async def test_points_earned_are_clawed_back_and_what_was_spent_is_a_rule(
    world: World, rule: str, balance: int, left: int, owed: int
) -> None:
    """500 points earned with 50.00. Spent down to `balance` meanwhile; the whole 50.00 return whatever is left of them."""
    await world.put_merchant("points", money_terms={"spent_points": rule})
    earned = {"benefit_id": "E1", "kind": "points", "account": "points:b1", "amount": 500, "is_earned": True}
    order_id = await world.order(merchant_id="points", lines=[line(price=5000)], benefits=[earned])
    assert await accounts(world) == {"points:b1": 500}
    await world.ok(
        "PUT",
        "/api/v1/benefit-accounts",
        role="admin",
        json=[{"account": "points:b1", "kind": "points", "balance": balance}],
    )
    case_id = await cancelled(world, order_id)
    assert await outside(world, order_id) == {"wxpay": [5000]}
    assert await world.sql("SELECT balance, owed FROM benefit_accounts") == [{"balance": left, "owed": owed}]
    [leg] = [
        leg
        for part in (await world.dossier(case_id))["parts"]
        for leg in part["legs"]
        if leg["kind"] == "claw_back_benefit"
    ]
    short = max(0, 500 - balance)
    assert leg["evidence"] == ({"taken": 500 - short, "short": short} if short else {"taken": 500})
    again = {**earned, "benefit_id": "E2", "amount": 250}
    await world.order(merchant_id="points", benefits=[again])
    assert await world.sql("SELECT balance, owed FROM benefit_accounts") == [
        {"balance": left + 250 - owed, "owed": 0}
    ], "what comes in pays what is owed"


async def test_points_that_are_paid_for_are_not_taken_a_second_time(world: World) -> None:
    """500 earned, 200 spent and kept as 2.00 with consent. The account fills before the points are taken: 300 go, no more."""
    await world.put_merchant("points", money_terms={"spent_points": "deduct"})
    earned = {"benefit_id": "E1", "kind": "points", "account": "points:b1", "amount": 500, "is_earned": True}
    order_id = await world.order(merchant_id="points", lines=[line(price=5000)], benefits=[earned])

    async def hold(balance: int) -> None:
        rows = [{"account": "points:b1", "kind": "points", "balance": balance}]
        await world.ok("PUT", "/api/v1/benefit-accounts", role="admin", json=rows)

    await hold(300)
    digest = (await forecast(world, order_id))["consent"]["digest"]
    case_id = (await world.cancel(order_id, consent=digest))["case_id"]
    await hold(900)
    await world.run(until="archived", case_id=case_id)
    assert await outside(world, order_id) == {"wxpay": [4800]}
    assert await accounts(world) == {"points:b1": 600}


async def test_a_remote_shops_points_are_a_task(world: World) -> None:
    await world.put_merchant("far", authority="remote", shop="remote-shop")
    earned = {"benefit_id": "E1", "kind": "points", "account": "points:b1", "amount": 500, "is_earned": True}
    order_id = await world.order(merchant_id="far", lines=[line(price=5000)], benefits=[earned])
    await world.ask_sandbox("shop_orders", {"connection": "remote-shop", "order_id": order_id})
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    [task] = (await world.ok("GET", "/api/v1/desk/tasks", role="lead"))["tasks"]
    assert (task["kind"], task["audience"], task["amount_minor"]) == ("claw_back_benefit", "merchant", 500)
    dossier = await world.dossier(case_id)
    [leg] = [leg for part in dossier["parts"] for leg in part["legs"] if leg["kind"] == "claw_back_benefit"]
    path = f"/api/v1/desk/cases/{case_id}/legs/{leg['leg_no']}/waive"
    assert (await world.call("POST", path, role="agent", json={"why": "goodwill"})).status_code == 403
    await world.ok("POST", path, role="finance", json={"why": "goodwill"})
    await world.run(until="archived", case_id=case_id)


@pytest.mark.rule("goods.groups")
@pytest.mark.parametrize(("state", "freed"), [("open", 1), ("complete", 0), ("failed", 0)])
async def test_whoever_leaves_a_group_before_it_is_complete_frees_the_place(
    world: World, state: str, freed: int
) -> None:
    place = {"benefit_id": "G1", "kind": "group_place", "account": "group:G1", "amount": 1}
    order_id = await world.order(benefits=[place], terms={"group": state, "group_id": "G1"})
    await cancelled(world, order_id)
    assert await accounts(world) == {"group:G1": freed}


# whose money --------------------------------------------------------------------------------------------------------


@pytest.mark.rule("money.funders")
async def test_what_a_funder_gave_returns_to_the_funder_and_what_was_void_to_nobody(world: World) -> None:
    """100.00 = 70.00 WeChat + 20.00 of a platform's allowance (to the platform) + 10.00 of a trial credit (void)."""
    order_id = await world.order(
        order_id="F1",
        lines=[line(price=10_000)],
        payments=[
            payment("F1", 7000),
            payment("F1", 2000, connection="local", method="allowance", returns_as="to_funder", funder="platform"),
            payment(
                "F1",
                1000,
                connection="local",
                method="trial",
                returns_as="void",
                payment_id="P-F1-t",
                trade_no="T-F1-t",
            ),
        ],
    )
    await cancelled(world, order_id)
    assert await outside(world, order_id) == {"wxpay": [7000]}
    assert await accounts(world) == {"allowance:platform": 2000}
    assert await booked(world, order_id) == {"wechat": 7000, "allowance": 2000, "trial": 1000}


@pytest.mark.rule("money.routes")
async def test_money_somebody_else_paid_returns_to_them_and_the_message_says_so(world: World) -> None:
    order_id = await world.order(order_id="F2", payments=[payment("F2", 1000, payer="other")])
    asked = await world.cancel(order_id, channel="hotline")
    assert "代付人" in asked["refund"]["payments"][0]["estimate"]["zh"]
    await world.run(until="archived", case_id=asked["case_id"])
    assert "代付人" in await last_text(world)


@pytest.mark.rule("money.routes")
async def test_every_payment_is_told_with_its_amount_its_days_and_its_refund_number(world: World) -> None:
    order_id = await world.order(
        order_id="F3",
        lines=[line(price=9000)],
        payments=[payment("F3", 6000), payment("F3", 3000, connection="alipay", method="alipay")],
    )
    case_id = await cancelled(world, order_id)
    legs = [leg for part in (await world.dossier(case_id))["parts"] for leg in part["legs"] if leg["kind"] == "refund"]
    text = await last_text(world)
    for leg, name, amount in zip(legs, ("支付宝", "微信支付"), ("30.00", "60.00"), strict=True):
        told = next(one for one in text.split(";") if name in one)
        assert amount in told
        assert (leg["evidence"].get("reference") or leg["number"]) in told
        assert "工作日" in told
    assert "90.00" in text


async def test_a_refund_is_told_when_it_is_final_whatever_else_is_still_to_be_restored(world: World) -> None:
    """9.00 by WeChat, 1.00 of a gift card that a person of the shop puts back by hand: the money is told of before that."""
    order_id = await world.order(
        order_id="F5",
        payments=[
            payment("F5", 900),
            payment("F5", 100, connection="cards", method="gift_card", returns_as="restore"),
        ],
    )
    await world.cancel(order_id)
    await world.run()
    [task] = (await world.ok("GET", "/api/v1/desk/tasks", role="lead"))["tasks"]
    assert task["kind"] == "restore_benefit"
    [told] = await world.sql("SELECT params FROM messages WHERE fact = 'refund_done:1'")
    assert [one["method"] for one in told["params"]["tenders"]] == ["wechat"], (
        "and the gift card is not called back yet"
    )


@pytest.mark.rule("money.balance")
async def test_stored_value_is_told_as_returned_not_as_nothing(world: World) -> None:
    order_id = await world.order(
        order_id="F4",
        payments=[payment("F4", 1000, connection="local", method="balance", returns_as="restore")],
    )
    await cancelled(world, order_id)
    text = await last_text(world)
    assert "账户余额" in text
    assert "10.00" in text
    assert "已退回" in text
    assert "0.00" not in text.replace("10.00", ""), "no sum of nothing beside it"


@pytest.mark.rule("money.settlement")
async def test_shared_settlement_is_reversed_before_the_refund(world: World) -> None:
    await world.put_merchant("shares", has_settlement=True)
    order_id = await world.order(merchant_id="shares")
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    assert await world.refunds(order_id) == []
    [task] = (await world.ok("GET", "/api/v1/desk/tasks", role="finance"))["tasks"]
    assert (task["kind"], task["audience"], task["amount_minor"]) == ("reverse_settlement", "finance", 1000)
    await world.ok("POST", f"/api/v1/desk/tasks/{task['task_id']}/result", role="finance", json={"outcome": "done"})
    await world.run(until="archived", case_id=case_id)
    assert await outside(world, order_id) == {"wxpay": [1000]}
