"""What becomes of a case for every kind of answer that a payment provider can give: through the HTTP interface, the worker and the provider's
own wire format. The tables of single codes are in the test of each provider."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from starlette.responses import Response

from sandbox.dialects.frame import Asked
from sandbox.dialects.stripe import error_response
from tests.paid_orders import CONNECTION_OF, PATIENCE_IN_DOUBT, PaidWorld, open_paid_world, pay
from tests.world import line, payment
from unwind.adapters.payment import alipay
from unwind.storage.embedded import EmbeddedPostgres

PROVIDERS = tuple(CONNECTION_OF)


@pytest.fixture
async def paid(
    postgres: EmbeddedPostgres, database_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PaidWorld]:
    """The ten seconds that Alipay's silence lasts are real ones, so they are shortened."""
    monkeypatch.setattr(alipay, "ABSENT_TRUSTED_AFTER_S", 0.02)
    async with AsyncExitStack() as stack:
        yield await open_paid_world(stack, postgres=postgres, database=database_name, folder=tmp_path)


def wechat(world: PaidWorld, status: int, code: str) -> Callable[[Any], Response | None]:
    responder = world.dialect("wechat_pay").responder("wxpay", Asked(operation="payment.refund", body={}))

    def answer(request: Any) -> Response | None:
        is_refund = request.method == "POST" and request.url.path.endswith("/v3/refund/domestic/refunds")
        return responder.error(status, code, "说明") if is_refund else None  # type: ignore[no-any-return]

    return answer


def ali(world: PaidWorld, code: str, sub_code: str) -> Callable[[Any], Response | None]:
    context = {"method": "alipay.trade.refund"}
    responder = world.dialect("alipay").responder("alipay", Asked(operation="", body={}, context=context))

    def answer(request: Any) -> Response | None:
        is_refund = request.query_params.get("method") == "alipay.trade.refund"
        return responder.error(code, sub_code) if is_refund else None  # type: ignore[no-any-return]

    return answer


def union(world: PaidWorld, code: str) -> Callable[[Any], Response | None]:
    def answer(request: Any) -> Response | None:
        if "backTransReq" not in request.url.path:
            return None
        given = dict(parse_qsl(request._body.decode()))
        asked = Asked(operation="", body={}, context={"given": given})
        return world.dialect("unionpay").responder("unionpay", asked).error(code)  # type: ignore[no-any-return]

    return answer


def card(_: PaidWorld, status: int, **error: str) -> Callable[[Any], Response | None]:
    def answer(request: Any) -> Response | None:
        is_refund = request.method == "POST" and request.url.path.endswith("/v1/refunds")
        return error_response(status, error) if is_refund else None

    return answer


Refusal = Callable[[PaidWorld], Callable[[Any], Response | None]]
INVALID = "invalid_request_error"
IN_DOUBT: dict[str, Refusal] = {
    "wechat_pay": lambda w: wechat(w, 500, "SYSTEM_ERROR"),
    "alipay": lambda w: ali(w, "20000", "aop.ACQ.SYSTEM_ERROR"),
    "unionpay": lambda w: union(w, "05"),
    "stripe": lambda w: card(w, 500, type="api_error"),
}
TOO_OFTEN: dict[str, Refusal] = {
    "wechat_pay": lambda w: wechat(w, 429, "FREQUENCY_LIMITED"),
    "alipay": lambda w: ali(w, "40005", ""),
    "stripe": lambda w: card(w, 429, type=INVALID, code="rate_limit"),
}
"""UnionPay has no code for it."""
SHORT: dict[str, Refusal] = {
    "wechat_pay": lambda w: wechat(w, 403, "NOT_ENOUGH"),
    "alipay": lambda w: ali(w, "40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH"),
    "stripe": lambda w: card(w, 400, type=INVALID, code="balance_insufficient"),
}
MANUAL: dict[str, Refusal] = {
    "wechat_pay": lambda w: wechat(w, 403, "USER_ACCOUNT_ABNORMAL"),
    "alipay": lambda w: ali(w, "40004", "ACQ.BUYER_ERROR"),
}
FINAL: dict[str, Refusal] = {
    "wechat_pay": lambda w: wechat(w, 400, "INVALID_REQUEST"),
    "alipay": lambda w: ali(w, "40004", "ACQ.TRADE_HAS_FINISHED"),
    "stripe": lambda w: card(w, 400, type=INVALID, code="charge_already_refunded"),
}
MISCONFIGURED: dict[str, tuple[Refusal, str]] = {
    "wechat_pay": (lambda w: wechat(w, 401, "SIGN_ERROR"), "SIGN_ERROR"),
    "alipay": (lambda w: ali(w, "40002", "isv.invalid-signature"), "isv.invalid-signature"),
    "unionpay": (lambda w: union(w, "11"), "11"),
    "stripe": (lambda w: card(w, 401, type=INVALID), "authentication_error"),
}
NEVER_HEARD: dict[str, tuple[Refusal, str]] = {
    "wechat_pay": (lambda w: wechat(w, 400, "SOMETHING_NEW"), "SOMETHING_NEW"),
    "alipay": (lambda w: ali(w, "40004", "ACQ.SOMETHING_NEW"), "ACQ.SOMETHING_NEW"),
    "unionpay": (lambda w: union(w, "77"), "77"),
    "stripe": (lambda w: card(w, 400, type=INVALID, code="something_new"), "something_new"),
}


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_plain_case(paid: PaidWorld, provider: str) -> None:
    """Asked for first (not found), sent, final."""
    case_id = await paid.cancel(await paid.order(provider))
    assert (await paid.rest(case_id))["state"] == "archived", await paid.world.timeline(case_id)
    assert await paid.moved() == [(1000, 1)]
    assert await paid.told(case_id) >= {"refund_done"}
    assert await paid.alerts() == set()
    await paid.assert_honest(case_id)


@pytest.mark.parametrize(("provider", "refusal"), [*IN_DOUBT.items(), *TOO_OFTEN.items()])
async def test_doubt_and_too_often_end_by_themselves(paid: PaidWorld, provider: str, refusal: Refusal) -> None:
    paid.before.answerer = refusal(paid)
    case_id = await paid.cancel(await paid.order(provider))
    row = await paid.rest(case_id, rounds_max=3)
    assert row["state"] == "executing", "neither done nor failed"
    number = (await paid.leg(case_id))["number"]
    assert await paid.moved() == []
    paid.before.answerer = None
    assert (await paid.rest(case_id))["state"] == "archived"
    assert [r["refund_no"] for r in await paid.world.refunds("O1")] == [number]
    assert await paid.moved() == [(1000, 1)]
    assert await paid.alerts() == set()
    await paid.assert_honest(case_id)


@pytest.mark.parametrize(("provider", "refusal"), SHORT.items())
async def test_a_merchant_short_of_funds(paid: PaidWorld, provider: str, refusal: Refusal) -> None:
    paid.before.answerer = refusal(paid)
    case_id = await paid.cancel(await paid.order(provider))
    row = await paid.rest(case_id)
    assert (row["state"], row["rule"]) == ("review", "refund_needs_funds")
    number = (await paid.leg(case_id))["number"]
    paid.before.answerer = None
    assert (await paid.retry(case_id))["state"] == "archived"
    assert [(r["refund_no"], r["money_moved_times"]) for r in await paid.world.refunds("O1")] == [(number, 1)]
    await paid.assert_honest(case_id)


@pytest.mark.parametrize(("provider", "refusal"), MANUAL.items())
async def test_an_account_that_cannot_receive_goes_to_a_person(
    paid: PaidWorld, provider: str, refusal: Refusal
) -> None:
    paid.before.answerer = refusal(paid)
    case_id = await paid.cancel(await paid.order(provider))
    row = await paid.rest(case_id)
    assert (row["state"], row["rule"]) == ("review", "refund_abnormal")
    assert await paid.told(case_id) & {"refund_done", "refund_on_its_way"} == set()
    await paid.assert_honest(case_id)


@pytest.mark.parametrize("provider", ["wechat_pay", "stripe"])
async def test_a_refund_that_comes_back_abnormal_goes_to_a_person(paid: PaidWorld, provider: str) -> None:
    await paid.world.ask_sandbox(f"connections/{CONNECTION_OF[provider]}", {"refund_final": "ABNORMAL"})
    case_id = await paid.cancel(await paid.order(provider))
    row = await paid.rest(case_id)
    assert (row["state"], row["rule"]) == ("review", "refund_abnormal")
    assert await paid.moved() == [(1000, 0)]
    await paid.assert_honest(case_id)


@pytest.mark.parametrize(("provider", "refusal"), FINAL.items())
async def test_a_final_refusal_goes_to_a_person(paid: PaidWorld, provider: str, refusal: Refusal) -> None:
    paid.before.answerer = refusal(paid)
    case_id = await paid.cancel(await paid.order(provider))
    row = await paid.rest(case_id)
    assert (row["state"], row["rule"]) == ("review", "refund_refused")
    assert await paid.told(case_id) & {"refund_done", "refund_on_its_way"} == set()
    await paid.assert_honest(case_id)


async def test_a_unionpay_transaction_that_failed_goes_to_a_person(paid: PaidWorld) -> None:
    await paid.world.ask_sandbox("connections/unionpay", {"refund_final": "CLOSED"})
    case_id = await paid.cancel(await paid.order("unionpay"))
    row = await paid.rest(case_id)
    assert (row["state"], row["rule"]) == ("review", "refund_refused")
    assert await paid.moved() == [(1000, 0)]
    await paid.assert_honest(case_id)


@pytest.mark.parametrize("provider", ["wechat_pay", "stripe"])
async def test_a_dead_number_is_followed_by_the_next_one(paid: PaidWorld, provider: str) -> None:
    connection = CONNECTION_OF[provider]
    await paid.world.ask_sandbox(f"connections/{connection}", {"refund_mode": "stuck"})
    case_id = await paid.cancel(await paid.order(provider))
    await paid.world.run()
    first = (await paid.leg(case_id))["number"]
    await paid.world.ask_sandbox(f"refunds/{connection}/{first}/state", {"state": "CLOSED"})
    await paid.world.ask_sandbox(f"connections/{connection}", {"refund_mode": "final"})
    assert (await paid.rest(case_id))["state"] == "archived", await paid.world.timeline(case_id)
    assert [(r["status"], r["money_moved_times"]) for r in await paid.world.refunds("O1")] == [
        ("CLOSED", 0),
        ("SUCCESS", 1),
    ]
    await paid.assert_honest(case_id)


@pytest.mark.parametrize("provider", ["wechat_pay", "stripe"])
async def test_accepted_is_said_as_accepted(paid: PaidWorld, provider: str) -> None:
    connection = CONNECTION_OF[provider]
    await paid.world.ask_sandbox(f"connections/{connection}", {"refund_mode": "stuck"})
    case_id = await paid.cancel(await paid.order(provider))
    assert (await paid.rest(case_id, rounds_max=3))["state"] == "settling"
    assert await paid.told(case_id) == {"refund_on_its_way"}
    number = (await paid.leg(case_id))["number"]
    await paid.world.ask_sandbox(f"refunds/{connection}/{number}/state", {"state": "SUCCESS"})
    assert (await paid.rest(case_id))["state"] == "archived"
    assert "refund_done" in await paid.told(case_id)
    await paid.assert_honest(case_id)


@pytest.mark.parametrize("provider", ["alipay", "unionpay"])
async def test_where_a_query_cannot_tell_accepted_from_nothing_it_is_doubt(paid: PaidWorld, provider: str) -> None:
    """Alipay does not show it, UnionPay's query says 05: asked until a person is, and never sent as a second refund."""
    connection = CONNECTION_OF[provider]
    await paid.world.ask_sandbox(f"connections/{connection}", {"refund_mode": "stuck"})
    case_id = await paid.cancel(await paid.order(provider))
    await paid.rest(case_id, rounds_max=5)
    await paid.world.pass_time(PATIENCE_IN_DOUBT)
    row = await paid.rest(case_id)
    assert (row["state"], row["rule"]) == ("review", "refund_unfinished")
    assert "refund_done" not in await paid.told(case_id)
    [refund] = await paid.world.refunds("O1")
    await paid.world.ask_sandbox(f"refunds/{connection}/{refund['refund_no']}/state", {"state": "SUCCESS"})
    assert (await paid.retry(case_id))["state"] == "archived"
    assert await paid.moved() == [(1000, 1)]
    await paid.assert_honest(case_id)


@pytest.mark.parametrize(
    ("provider", "refusal", "code", "kind"),
    [
        *((name, refusal, code, "configuration") for name, (refusal, code) in MISCONFIGURED.items()),
        *((name, refusal, code, "unknown_code") for name, (refusal, code) in NEVER_HEARD.items()),
    ],
)
async def test_what_is_our_fault_or_new_to_us_is_never_a_failed_refund(
    paid: PaidWorld, provider: str, refusal: Refusal, code: str, kind: str
) -> None:
    paid.before.answerer = refusal(paid)
    case_id = await paid.cancel(await paid.order(provider))
    row = await paid.rest(case_id, rounds_max=4)
    assert row["state"] == "executing"
    assert await paid.alerts() == {(CONNECTION_OF[provider], kind, code)}
    if kind == "configuration":
        sent = [path for method, path, _, _ in paid.before.seen if method == "POST"]
        assert len([path for path in sent if "queryTrans" not in path and "query" not in path]) == 1, "no tight loop"
    await paid.world.pass_time(PATIENCE_IN_DOUBT)
    row = await paid.rest(case_id)
    assert (row["state"], row["rule"]) == ("review", "refund_unfinished")
    assert await paid.told(case_id) & {"refund_done", "refund_on_its_way"} == set()
    assert await paid.moved() == []
    paid.before.answerer = None
    assert (await paid.retry(case_id))["state"] == "archived"
    assert await paid.moved() == [(1000, 1)]
    await paid.assert_honest(case_id)


@pytest.mark.parametrize("provider", ["wechat_pay", "alipay", "unionpay"])
async def test_an_answer_under_a_wrong_signature_is_no_answer_and_is_seen(paid: PaidWorld, provider: str) -> None:
    await paid.world.ask_sandbox("faults", {"fault": "bad_signature", "operation": "payment.refund"})
    case_id = await paid.cancel(await paid.order(provider))
    assert (await paid.rest(case_id))["state"] == "archived"
    [(connection, kind, code)] = await paid.alerts()
    assert (connection, kind, code) == (CONNECTION_OF[provider], "answer_unverified", "unverified:wrong")
    assert await paid.moved() == [(1000, 1)]
    await paid.assert_honest(case_id)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_callback_under_a_wrong_signature_changes_nothing_and_is_seen(paid: PaidWorld, provider: str) -> None:
    response = await paid.world.client.post(f"/callbacks/{CONNECTION_OF[provider]}", content=b"trade_status=x&sign=y")
    assert response.status_code >= 400
    assert {kind for _, kind, _ in await paid.alerts()} == {"callback_unverified"}


async def test_a_stripe_refund_that_is_taken_back_belongs_to_a_person(paid: PaidWorld) -> None:
    case_id = await paid.cancel(await paid.order("stripe"))
    assert (await paid.rest(case_id))["state"] == "archived"
    number = (await paid.leg(case_id))["number"]
    await paid.world.ask_sandbox(f"refunds/card/{number}/state", {"state": "REVERSED"})
    for _ in range(100):
        await paid.world.ask_sandbox("callbacks/hurry", {})
        rows = await paid.world.sql("SELECT rule, parent_case_id FROM cases WHERE kind = 'aftermath'")
        if rows:
            break
        await paid.rest(case_id, rounds_max=1)
    assert [(r["rule"], r["parent_case_id"]) for r in rows] == [("refund_reversed", case_id)]


# whole stories ------------------------------------------------------------------------------------------------------


async def free_units(paid: PaidWorld, sku: str) -> int:
    rows = await paid.world.sql("SELECT available FROM stock WHERE sku = %s", sku)
    return int(rows[0]["available"])


async def test_paid_by_balance_wechat_and_coupon_and_taken_back_on_all_three(paid: PaidWorld) -> None:
    """100.00 of goods: a coupon of 10.00, 23.45 from the shop's own balance, 66.55 by WeChat Pay."""
    world = paid.world
    balance = payment(
        "O1", 2345, connection="local", method="balance", returns_as="restore", trade_no="B-O1", payment_id="P-balance"
    )
    order_id = await world.order(
        order_id="O1",
        lines=[line(price=10_000)],
        discounts=[{"discount_id": "D1", "amount_minor": 1000}],
        payments=[pay("wechat_pay", "O1", 6655), balance],
        benefits=[{"benefit_id": "c1", "kind": "coupon", "account": "coupon:C1", "amount": 1}],
    )
    answer = await world.cancel(order_id)
    assert {p["method"]: p["amount_minor"] for p in answer["refund"]["payments"]} == {
        "wechat_pay": 6655,
        "balance": 2345,
    }
    case_id = answer["case_id"]
    assert (await paid.rest(case_id))["state"] == "archived", await world.timeline(case_id)
    [sent] = [
        (headers, json.loads(raw))
        for method, path, headers, raw in paid.before.seen
        if method == "POST" and path == "/c/wxpay/v3/refund/domestic/refunds"
    ]
    headers, body = sent
    assert headers["authorization"].startswith("WECHATPAY2-SHA256-RSA2048 mchid=")
    assert body["amount"] == {"refund": 6655, "total": 6655, "currency": "CNY"}
    assert (body["out_trade_no"], body["out_refund_no"]) == ("T-O1", (await paid.leg(case_id))["number"])
    assert {path.split("/")[2] for _, path, _, _ in paid.before.seen} == {"wxpay"}, "nobody else was asked for money"
    assert [(r["connection"], r["amount_minor"]) for r in await world.refunds(order_id)] == [("wxpay", 6655)]
    rows = await world.sql("SELECT account, balance FROM benefit_accounts")
    assert {row["account"]: row["balance"] for row in rows} == {"balance:buyer-1": 2345, "coupon:C1": 1}
    assert await paid.told(case_id) == {"refund_done"}
    await paid.assert_honest(case_id)


async def test_a_late_payment_at_alipay_is_returned_once_and_the_goods_are_sold_once(paid: PaidWorld) -> None:
    """Cancelled while Alipay had never heard of the trade, so that there was nothing to close; paid twenty minutes later all the same."""
    world = paid.world
    stock = [{"sku": "BAG", "pool": "limited", "available": 1}]
    await world.ok("PUT", "/api/v1/stock", role="admin", json=stock)
    lines = [line(sku="BAG", pool="limited")]
    unpaid = pay("alipay", "O1", 1000, state="created")
    await world.order(order_id="O1", lines=lines, payments=[unpaid], trades={unpaid["payment_id"]: "none"})
    assert await free_units(paid, "BAG") == 0
    case_id = await paid.cancel("O1")
    assert (await paid.rest(case_id))["state"] == "archived"
    closings = [path for _, path, _, _ in paid.before.seen if "alipay.trade.close" in path]
    assert len(closings) == 1
    ledger = await world.ledger()
    assert [c["code"] for c in ledger["calls"] if c["operation"] == "payment.close"] == ["NOT_FOUND"]
    assert await free_units(paid, "BAG") == 1
    await world.order(order_id="O2", lines=lines, payments=[pay("alipay", "O2", 1000)])
    assert await free_units(paid, "BAG") == 0, "the next buyer has it"

    await world.pass_time(timedelta(minutes=20))
    await world.ask_sandbox(f"trades/alipay/{unpaid['trade_no']}/pay", {})
    rows: list[dict[str, Any]] = []
    for _ in range(300):
        rows = await world.sql("SELECT case_id, rule, parent_case_id FROM cases WHERE kind = 'aftermath'")
        if rows:
            break
        await world.ask_sandbox("callbacks/hurry", {})
        await asyncio.sleep(0.01)
    assert [(row["rule"], row["parent_case_id"]) for row in rows] == [("late_payment", case_id)]
    late = rows[0]["case_id"]
    assert (await paid.rest(late))["state"] == "archived", await world.timeline(late)
    await world.ask_sandbox("callbacks/hurry", {})
    await world.run()
    assert await paid.moved("O1") == [(1000, 1)]
    assert await paid.moved("O2") == []
    assert "refund_done" in await paid.told(late)
    assert await world.sql("SELECT count(*) AS n FROM cases WHERE kind = 'aftermath'") == [{"n": 1}]
    assert await free_units(paid, "BAG") == 0, "the goods were not put back a second time"
    notified = [c for c in (await world.ledger())["callbacks"] if c["type"] == "trade.paid"]
    assert [c["state"] for c in notified] == ["DELIVERED"]
    await paid.assert_honest(late)


@pytest.mark.parametrize("provider", ["wechat_pay", "stripe", "unionpay"])
async def test_a_late_payment_elsewhere_is_returned_once(paid: PaidWorld, provider: str) -> None:
    world = paid.world
    unpaid = pay(provider, "O1", 1000, state="created")
    await world.order(order_id="O1", payments=[unpaid], trades={unpaid["payment_id"]: "none"})
    case_id = await paid.cancel("O1")
    assert (await paid.rest(case_id))["state"] == "archived"
    await world.ask_sandbox(f"trades/{CONNECTION_OF[provider]}/{unpaid['trade_no']}/pay", {})
    rows: list[dict[str, Any]] = []
    for _ in range(300):
        rows = await world.sql("SELECT case_id FROM cases WHERE kind = 'aftermath'")
        if rows:
            break
        await world.ask_sandbox("callbacks/hurry", {})
        await asyncio.sleep(0.01)
    assert (await paid.rest(rows[0]["case_id"]))["state"] == "archived"
    assert await paid.moved() == [(1000, 1)]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_unpaid_order_is_closed_where_that_is_possible(paid: PaidWorld, provider: str) -> None:
    case_id = await paid.cancel(await paid.order(provider, state="created"))
    assert (await paid.rest(case_id))["state"] == "archived", await paid.world.timeline(case_id)
    [trade] = (await paid.world.ledger())["trades"]
    assert trade["state"] == ("UNPAID" if provider == "unionpay" else "CLOSED")
    assert await paid.world.sql("SELECT state FROM payments") == [{"state": "closed"}]


async def test_nothing_personal_of_the_providers_is_kept(paid: PaidWorld) -> None:
    """WeChat's "user_received_account", Alipay's "buyer_logon_id", UnionPay's "accNo": in no table of ours."""
    for provider in PROVIDERS:
        case_id = await paid.cancel(await paid.order(provider, f"O-{provider[:3]}"))
        assert (await paid.rest(case_id))["state"] == "archived"
        await paid.world.ask_sandbox("callbacks/hurry", {})
        await paid.world.run()
    tables = await paid.world.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for table in tables:
        rows = await paid.world.sql(f"SELECT row_to_json(t)::text AS text FROM {table['tablename']} t")
        for row in rows:
            for private in ("招商银行", "138****0000", "6226 ****", "buyer_logon_id", "user_received_account"):
                assert private not in row["text"], table["tablename"]
