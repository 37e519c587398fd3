"""Worked examples of money, to the cent: in our books, in the outside ledger, and in what the buyer reads. Amounts in fen."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.world import World, line, order_body, payment, shipment

PHONE = "13800001234"


async def cancelled(world: World, order_id: str, **given: Any) -> str:
    """Over the hotline, so that the buyer is told by text message. Returns the case, archived."""
    case_id = str((await world.cancel(order_id, channel="hotline", **given))["case_id"])
    await world.run(until="archived", case_id=case_id)
    return case_id


async def outside(world: World, order_id: str) -> dict[str, list[int]]:
    """Refunds in the sandbox's ledger, by connection, in the order they came."""
    found: dict[str, list[int]] = {}
    for refund in await world.refunds(order_id):
        found.setdefault(refund["connection"], []).append(refund["amount_minor"])
    return found


async def booked(world: World, order_id: str) -> Mapping[str, int]:
    """What our own books hold as returned for good, by method."""
    rows = await world.sql(
        "SELECT p.method, sum(r.amount_minor)::bigint AS minor FROM refunds r JOIN payments p USING (payment_id)"
        " WHERE r.order_id = %s AND r.state = 'final' GROUP BY p.method",
        order_id,
    )
    return {row["method"]: row["minor"] for row in rows}


async def accounts(world: World) -> Mapping[str, int]:
    return {r["account"]: r["balance"] for r in await world.sql("SELECT account, balance FROM benefit_accounts")}


async def last_text(world: World) -> str:
    return (await world.texts(to=PHONE))[-1]


pytestmark = pytest.mark.usefixtures("sound")


@pytest.mark.rule("money.funders")
async def test_three_tenders(world: World) -> None:
    """99.99 + 0.02 = 100.01 paid as 60.01 WeChat + 30.00 Alipay + 10.00 points.

    First 99.99 is taken back: 99.99 of 100.01, cut by largest remainder: 60.00 (59.998), 29.99 (29.994), 10.00 (9.998).
    The last 0.02 returns what is left of each: 0.01 + 0.01 + 0.00.
    """
    order_id = await world.order(
        order_id="M1",
        lines=[line(price=9999), line("L2", price=2)],
        payments=[
            payment("M1", 6001),
            payment("M1", 3000, connection="alipay", method="alipay"),
            payment("M1", 1000, connection="local", method="points", returns_as="restore", funder="points"),
        ],
    )
    await cancelled(world, order_id, lines={"L1": 1})
    assert await outside(world, order_id) == {"wxpay": [6000], "alipay": [2999]}
    assert await booked(world, order_id) == {"wechat": 6000, "alipay": 2999, "points": 1000}
    assert "89.99" in await last_text(world), "the money; points are no money"
    await cancelled(world, order_id, lines={"L2": 1})
    assert await outside(world, order_id) == {"wxpay": [6000, 1], "alipay": [2999, 1]}
    assert await booked(world, order_id) == {"wechat": 6001, "alipay": 3000, "points": 1000}
    assert await accounts(world) == {"points:buyer-1": 1000}


@pytest.mark.rule("money.thresholds")
async def test_40_off_300_with_one_of_three_lines_taken_back(world: World) -> None:
    """100.00 + 120.00 + 80.00 = 300.00, less 40.00 (满300减40): 260.00 paid.

    The discount is spread by value, 40 x 80/300 = 10.666..: 10.67 on the third line, which cost 80.00 - 10.67 = 69.33. The
    remaining two cost 260.00 - 69.33 = 190.67 and are not priced anew.
    """
    order_id = await world.order(
        lines=[line(price=10_000), line("L2", price=12_000), line("L3", price=8_000)],
        discounts=[
            {"discount_id": "D1", "amount_minor": 4000, "funder": "merchant", "returns_as": "void", "by_line": {}}
        ],
    )
    await cancelled(world, order_id, lines={"L3": 1})
    assert await outside(world, order_id) == {"wxpay": [6933]}
    assert await booked(world, order_id) == {"wechat": 6933}
    assert "69.33" in await last_text(world)
    await cancelled(world, order_id)
    assert await outside(world, order_id) == {"wxpay": [6933, 19_067]}
    assert await booked(world, order_id) == {"wechat": 26_000}


@pytest.mark.rule("money.deposits")
async def test_deposit_and_balance_go_back_after_the_balance_is_paid(world: World) -> None:
    """定金 100.00 by WeChat, balance 399.00 by Alipay: 499.00. Not dispatched: a person lets both return, each the way it came."""
    order_id = await world.order(
        order_id="M3",
        lines=[line(price=49_900, presale="deposit")],
        payments=[payment("M3", 10_000), payment("M3", 39_900, connection="alipay", method="alipay")],
    )
    asked = await world.cancel(order_id, channel="hotline")
    assert (asked["outcome"], asked["rule"]) == ("in_review", "presale_deposit")
    assert (await world.decide(asked["case_id"], "approve")).is_success
    await world.run(until="archived", case_id=asked["case_id"])
    assert await outside(world, order_id) == {"wxpay": [10_000], "alipay": [39_900]}
    assert await booked(world, order_id) == {"wechat": 10_000, "alipay": 39_900}
    assert "499.00" in await last_text(world)


@pytest.mark.rule("goods.dependents")
async def test_a_gift_that_has_left_costs_its_published_price_with_consent(world: World) -> None:
    """500.00 paid; the gift (published: 30.00 if kept) is on the road. The buyer keeps it: 500.00 - 30.00 = 470.00."""
    gift = line("G1", price=0, parent_line_id="L1", dependence="gift", kept_price_minor=3000)
    order_id = await world.order(lines=[line(price=50_000), gift], shipments=[shipment("S1", quantities={"G1": 1})])
    asked = await world.cancel(order_id, channel="hotline", lines={"L1": 1})
    case_id = asked["case_id"]
    rules = {part["part_no"]: part["rule"] for part in asked["parts"]}
    assert rules == {1: "gift_has_left", 2: "shipped"}
    await world.run()
    assert await world.refunds(order_id) == []
    assert (await world.decide(case_id, "decline", part_no=2)).is_success
    proposed = (await world.dossier(case_id))["parts"][0]["published"]["costs"]
    assert proposed == [{"fee": "gift", "amount_minor": 3000, "bearer": "buyer"}]
    plan = {"choice": "approve", "part_no": 1, "costs": proposed}
    assert (await world.decide(case_id, **plan)).json()["code"] == "consent_needed"
    await world.identify(order_id)
    await world.ok(
        "POST",
        f"/api/v1/desk/cases/{case_id}/consents",
        role="agent",
        json={"how": "chat", "reference": "m-1", **plan},
    )
    assert (await world.decide(case_id, **plan)).is_success
    assert (await world.agree_as_second(case_id)).is_success
    await world.run(until="archived", case_id=case_id)
    assert await outside(world, order_id) == {"wxpay": [47_000]}
    assert await booked(world, order_id) == {"wechat": 47_000}
    assert await world.sql("SELECT kept_minor FROM orders WHERE order_id = %s", order_id) == [{"kept_minor": 3000}]
    assert "470.00" in await last_text(world)


@pytest.mark.rule("money.funders")
async def test_a_government_subsidy_never_returns_as_cash(world: World) -> None:
    """2 x 2,000.00 = 4,000.00, 15 % of it (600.00) by 国补: the buyer paid 3,400.00.

    One taken back: 1,700.00 to the card, 300.00 to the entitlement. The other: the same again.
    """
    order_id = await world.order(
        order_id="M5",
        lines=[line(price=200_000, quantity=2)],
        payments=[
            payment("M5", 340_000, connection="unionpay", method="card"),
            payment("M5", 60_000, connection="local", method="subsidy", returns_as="restore", funder="government"),
        ],
    )
    await cancelled(world, order_id, lines={"L1": 1})
    assert await outside(world, order_id) == {"unionpay": [170_000]}
    assert await booked(world, order_id) == {"card": 170_000, "subsidy": 30_000}
    assert await accounts(world) == {"subsidy:buyer-1": 30_000}
    text = await last_text(world)
    assert "1700.00" in text.replace(",", "")
    assert "2000.00" not in text.replace(",", "")
    await cancelled(world, order_id)
    assert await outside(world, order_id) == {"unionpay": [170_000, 170_000]}
    assert await accounts(world) == {"subsidy:buyer-1": 60_000}


@pytest.mark.rule("money.routes")
@pytest.mark.parametrize(
    ("method", "connection", "words"),
    [
        ("huabei", "alipay", "花呗额度"),
        ("credit_card", "unionpay", "信用卡账单"),
        ("instalments", "unionpay", "分期账单"),
    ],
)
async def test_credit_returns_to_its_bill_or_limit_and_the_message_says_so(
    world: World, method: str, connection: str, words: str
) -> None:
    """1,200.00 in 12 instalments of 100.00: the whole 1,200.00 returns to the lender, not one rate of it to the buyer's pocket."""
    order_id = await world.order(
        order_id="M6",
        lines=[line(price=120_000)],
        payments=[payment("M6", 120_000, connection=connection, method=method)],
    )
    asked = await world.cancel(order_id, channel="hotline")
    [shown] = asked["refund"]["payments"]
    assert shown["amount_minor"] == 120_000
    assert words in shown["estimate"]["zh"]
    await world.ask_sandbox(f"connections/{connection}", {})
    await world.run(until="archived", case_id=asked["case_id"])
    assert await outside(world, order_id) == {connection: [120_000]}
    assert await booked(world, order_id) == {method: 120_000}
    assert "1200.00" in (await last_text(world)).replace(",", "")


@pytest.mark.rule("money.balance")
async def test_stored_value_returns_as_principal_before_bonus(world: World) -> None:
    """Topped up 100.00 with 20.00 on top; 120.00 spent on 2 x 60.00. The first 60.00 returns as principal whole, by share it
    would be 50.00 + 10.00. The second 60.00: 40.00 principal, 20.00 bonus.
    """
    order_id = await world.order(
        order_id="M7",
        lines=[line(price=6000, quantity=2)],
        payments=[
            payment("M7", 10_000, connection="local", method="balance", returns_as="restore"),
            payment(
                "M7",
                2000,
                connection="local",
                method="bonus",
                returns_as="restore",
                payment_id="P-M7-bonus",
                trade_no="T-M7-bonus",
            ),
        ],
    )
    await cancelled(world, order_id, lines={"L1": 1})
    assert await accounts(world) == {"balance:buyer-1": 6000}
    assert "60.00" in await last_text(world)
    await cancelled(world, order_id)
    text = await last_text(world)
    assert all(amount in text for amount in ("账户余额40.00", "赠金20.00"))
    assert await accounts(world) == {"balance:buyer-1": 10_000, "bonus:buyer-1": 2000}
    assert await booked(world, order_id) == {"balance": 10_000, "bonus": 2000}
    assert await outside(world, order_id) == {}


@pytest.mark.rule("money.points")
async def test_points_spent_meanwhile_are_kept_at_their_published_value_with_consent(world: World) -> None:
    """128.00 paid, 1,280 points earned (published: a hundred are worth 1.00), 500 of them spent. 780 are clawed back; the 500 that are
    gone are worth 5.00: 128.00 - 5.00 = 123.00 return. Never a negative refund, and nothing without the buyer's yes.
    """
    await world.put_merchant("points", money_terms={"spent_points": "deduct", "hundred_points_minor": 100})
    earned = {"benefit_id": "E1", "kind": "points", "account": "points:b1", "amount": 1280, "is_earned": True}
    order_id = await world.order(merchant_id="points", lines=[line(price=12_800)], benefits=[earned])
    left = [{"account": "points:b1", "kind": "points", "balance": 780}]
    await world.ok("PUT", "/api/v1/benefit-accounts", role="admin", json=left)
    seen = await world.ok("GET", f"/api/v1/orders/{order_id}/cancellability")
    [part] = seen["parts"]
    assert (part["paid_minor"], part["deducted_minor"], part["refund"]["amount_minor"]) == (12_800, 500, 12_300)
    assert part["deductions"] == [{"reason": "points", "amount_minor": 500}]
    assert part["goes_back"] == {"E1": 1280}
    await cancelled(world, order_id, consent=seen["consent"]["digest"])
    assert await outside(world, order_id) == {"wxpay": [12_300]}
    assert await booked(world, order_id) == {"wechat": 12_300}
    assert await accounts(world) == {"points:b1": 0}
    text = await last_text(world)
    assert all(amount in text for amount in ("123.00", "128.00", "5.00"))


@pytest.mark.rule("money.customs")
async def test_customs_tax_returns_under_its_own_terms(world: World) -> None:
    """Two lines across the border: 200.00 + 18.20 tax and 100.00 + 9.10 tax, 327.30 paid.

    Declared: the declaration is withdrawn first, then the second line returns whole: 100.00 + 9.10 = 109.10. Released meanwhile: the
    first line returns without its tax, with consent: 218.20 - 18.20 = 200.00. 309.10 in all, 18.20 stay with the customs.
    """
    order_id = await world.order(
        order_id="M10",
        lines=[line(price=20_000, tax_minor=1820), line("L2", price=10_000, tax_minor=910)],
        payments=[payment("M10", 32_730)],
        terms={"customs": "declared"},
    )
    asked = await world.cancel(order_id, channel="hotline", lines={"L2": 1})
    await world.run()
    assert await outside(world, order_id) == {}, "not before the declaration is withdrawn"
    [task] = (await world.ok("GET", "/api/v1/desk/tasks", role="lead"))["tasks"]
    assert (task["kind"], task["audience"]) == ("withdraw_declaration", "merchant")
    done = {"outcome": "done", "reference": "CUS-1"}
    await world.ok("POST", f"/api/v1/desk/tasks/{task['task_id']}/result", role="lead", json=done)
    await world.run(until="archived", case_id=asked["case_id"])
    assert await outside(world, order_id) == {"wxpay": [10_910]}
    assert "109.10" in await last_text(world)
    body = order_body(
        order_id,
        now=await world.now(),
        lines=[line(price=20_000, tax_minor=1820), line("L2", price=10_000, tax_minor=910)],
        payments=[payment("M10", 32_730)],
        terms={"customs": "released"},
    )
    await world.ok("PUT", f"/api/v1/orders/{order_id}", json={**body, "revision": 2})
    asked = await world.cancel(order_id, channel="hotline")
    assert (asked["outcome"], asked["rule"]) == ("in_review", "customs_released")
    case_id = asked["case_id"]
    [part] = (await world.dossier(case_id))["parts"]
    assert part["published"]["costs"] == [{"fee": "tax", "amount_minor": 1820, "bearer": "buyer"}]
    plan = {"choice": "approve", "costs": part["published"]["costs"]}
    await world.identify(order_id)
    consent = {"how": "recorded_call", "reference": "call-7", **plan}
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/consents", role="agent", json=consent)
    assert (await world.decide(case_id, **plan)).status_code == 202
    assert (await world.agree_as_second(case_id)).is_success
    await world.run(until="archived", case_id=case_id)
    assert await outside(world, order_id) == {"wxpay": [10_910, 20_000]}
    assert await booked(world, order_id) == {"wechat": 30_910}
    text = await last_text(world)
    assert all(amount in text for amount in ("200.00", "218.20", "18.20"))


@pytest.mark.rule("money.thresholds")
async def test_one_part_of_a_bundle_is_priced_by_what_it_cost_in_it(world: World) -> None:
    """Two pieces of 120.00 and 80.00 sold together for 150.00 (50.00 off, the shop's own split 30.00 / 20.00). A person
    approves taking back the second: 80.00 - 20.00 = 60.00; 90.00 stay.
    """
    pieces = [
        line("L1", price=12_000, parent_line_id="L2", dependence="bundle"),
        line("L2", price=8000, parent_line_id="L1", dependence="bundle"),
    ]
    order_id = await world.order(
        lines=pieces,
        discounts=[
            {
                "discount_id": "D1",
                "amount_minor": 5000,
                "funder": "merchant",
                "returns_as": "void",
                "by_line": {"L1": 3000, "L2": 2000},
            }
        ],
    )
    asked = await world.cancel(order_id, channel="hotline", lines={"L2": 1})
    assert (asked["outcome"], asked["rule"]) == ("in_review", "bundle_part")
    decided = await world.decide(asked["case_id"], "approve")
    assert decided.is_success, decided.text
    await world.run(until="archived", case_id=asked["case_id"])
    assert await outside(world, order_id) == {"wxpay": [6000]}
    assert await booked(world, order_id) == {"wechat": 6000}
    assert "60.00" in await last_text(world)
