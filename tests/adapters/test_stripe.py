"""Stripe: every error of its tables, refunds found by their metadata, webhooks - and its synchronous SDK as a third reading of the protocol."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from starlette.responses import Response

from sandbox.dialects.stripe import error_response
from tests.paying import Bench, always, connect, on_a_port, open_bench
from unwind.adapters.payment import stripe as adapter
from unwind.adapters.payment.stripe import FAILURE_KINDS
from unwind.adapters.payment.stripe_callbacks import signature, verify_signature
from unwind.adapters.payment.stripe_client import ERRORS
from unwind.domain.outcome import OutcomeKind, TradeState
from unwind.ports.callback import CallbackUnverified, Incoming
from unwind.ports.probe import ProbeResult

UNKNOWN, REFUSED = OutcomeKind.UNKNOWN, OutcomeKind.REFUSED
INVALID = "invalid_request_error"
TABLE: list[tuple[int, dict[str, str], str, OutcomeKind, str]] = [
    (400, {"type": INVALID, "code": "charge_already_refunded"}, "charge_already_refunded", REFUSED, ""),
    (400, {"type": INVALID, "param": "amount"}, "invalid_request_error:amount", REFUSED, ""),
    (400, {"type": INVALID}, INVALID, UNKNOWN, "configuration"),
    (400, {"type": "idempotency_error"}, "idempotency_error", UNKNOWN, "contradiction"),
    (400, {"type": INVALID, "code": "balance_insufficient"}, "balance_insufficient", OutcomeKind.NEEDS_FUNDS, ""),
    (
        400,
        {"type": INVALID, "code": "payment_intent_unexpected_state"},
        "payment_intent_unexpected_state",
        REFUSED,
        "",
    ),
    (401, {"type": INVALID}, "authentication_error", UNKNOWN, "configuration"),
    (402, {"type": "card_error"}, "card_error", UNKNOWN, ""),
    (403, {"type": INVALID}, "permission_error", UNKNOWN, "configuration"),
    (404, {"type": INVALID, "code": "resource_missing"}, "resource_missing", REFUSED, ""),
    (409, {"type": INVALID, "code": "idempotency_key_in_use"}, "idempotency_key_in_use", UNKNOWN, ""),
    (429, {"type": INVALID, "code": "rate_limit"}, "rate_limit", OutcomeKind.RETRY_SAME_NUMBER, ""),
    (429, {"type": INVALID}, "rate_limit_error", OutcomeKind.RETRY_SAME_NUMBER, ""),
    (500, {"type": "api_error"}, "api_error", UNKNOWN, ""),
    (400, {"type": INVALID, "code": "something_new"}, "something_new", UNKNOWN, "unknown_code"),
    (400, {"type": "new_error"}, "new_error", UNKNOWN, "unknown_code"),
]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(open_bench("stripe", tmp_path))


def answering(bench: Bench, response: Response, *, method: str = "POST") -> None:
    bench.outside.answerer = lambda request: response if request.method == method else None


def as_json(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status_code=status, media_type="application/json")


def test_the_table_is_complete() -> None:
    assert {code for _, _, code, _, alert in TABLE if alert != "unknown_code"} == set(ERRORS.kinds)


@pytest.mark.parametrize(("status", "error", "code", "kind", "alert"), TABLE)
async def test_every_code_of_a_refund(
    bench: Bench, status: int, error: dict[str, str], code: str, kind: OutcomeKind, alert: str
) -> None:
    answering(bench, error_response(status, error))
    outcome = await bench.gateway.refund(bench.call)
    assert (outcome.kind, outcome.code, outcome.alert) == (kind, code, alert)
    assert "说明" not in repr(outcome)


@pytest.mark.parametrize(("status", "error", "code", "_kind", "alert"), TABLE)
async def test_a_refused_question_says_nothing_about_the_refund(
    bench: Bench, status: int, error: dict[str, str], code: str, _kind: OutcomeKind, alert: str
) -> None:
    answering(bench, error_response(status, error), method="GET")
    outcome = await bench.gateway.query_refund(bench.call)
    if code == "resource_missing":
        assert outcome.kind is OutcomeKind.NOT_FOUND
    else:
        assert outcome.kind in {UNKNOWN, OutcomeKind.RETRY_SAME_NUMBER}


@pytest.mark.parametrize(
    ("shown", "kind", "code"),
    [
        (
            {"status": "pending", "pending_reason": "insufficient_funds"},
            OutcomeKind.PROCESSING,
            "pending:insufficient_funds",
        ),
        ({"status": "requires_action"}, OutcomeKind.PROCESSING, "requires_action"),
        ({"status": "canceled"}, OutcomeKind.NEEDS_NEW_NUMBER, "canceled"),
        ({"status": "failed"}, OutcomeKind.ABNORMAL, "failed:unknown"),
        ({"status": "failed", "failure_reason": "something_new"}, OutcomeKind.ABNORMAL, "failed:something_new"),
        *(
            ({"status": "failed", "failure_reason": reason}, kind, f"failed:{reason}")
            for reason, kind in FAILURE_KINDS.items()
        ),
    ],
)
async def test_where_a_refund_stands(bench: Bench, shown: dict[str, str], kind: OutcomeKind, code: str) -> None:
    await bench.gateway.refund(bench.call)
    refund = {**bench.dialect.refund_object("one", bench.call.refund_no), **shown}
    answering(bench, as_json({"data": [refund], "has_more": False}), method="GET")
    outcome = await bench.gateway.query_refund(bench.call)
    assert (outcome.kind, outcome.code) == (kind, code)
    assert outcome.alert == ("unknown_code" if "something_new" in code else "")


async def test_everything_well(bench: Bench) -> None:
    gateway, call = bench.gateway, bench.call
    assert gateway.spacing_s == 0
    assert (await gateway.query_refund(call)).kind is OutcomeKind.NOT_FOUND
    refunded = await gateway.refund(call)
    assert (refunded.kind, refunded.amount_minor, refunded.code) == (OutcomeKind.SUCCEEDED, 234, "succeeded")
    assert refunded.evidence == {"refund_id": refunded.reference}
    assert await gateway.query_refund(call) == refunded
    assert await gateway.refund(call) == refunded
    trade = await gateway.query_trade("pi_T1")
    assert (trade.state, trade.paid_minor) == (TradeState.PAID, 1000)
    assert (await gateway.close_trade("pi_T1")).state is TradeState.PAID
    assert (await gateway.query_trade("pi_T9")).state is TradeState.NOT_FOUND
    assert (await gateway.close_trade("pi_T9")).state is TradeState.NOT_FOUND
    assert (await bench.connected.probe()).result is ProbeResult.OK
    assert await bench.violations() == []


async def test_what_is_sent(bench: Bench) -> None:
    await bench.gateway.refund(bench.call)
    method, path, headers, raw = bench.outside.seen[-1]
    assert (method, path) == ("POST", "/c/one/v1/refunds")
    assert headers["idempotency-key"] == bench.call.refund_no
    assert headers["user-agent"] == "unwind"
    assert not {"x-stripe-client-user-agent", "x-stripe-client-telemetry"} & set(headers)
    assert dict(parse_qsl(raw.decode())) == {
        "payment_intent": "pi_T1",
        "amount": "234",
        "reason": "requested_by_customer",
        "metadata[refund_key]": bench.call.refund_no,
    }


@pytest.mark.parametrize("trade_no", ["ch_C1", "cs_S1", "cs_test_S2"])
async def test_charges_and_sessions_are_refunded_as_well(bench: Bench, trade_no: str) -> None:
    await bench.tell("trades", {"connection": "one", "trade_no": trade_no, "amount_minor": 1000})
    call = replace(bench.call, trade_no=trade_no)
    assert (await bench.gateway.query_refund(call)).kind is OutcomeKind.NOT_FOUND
    assert (await bench.gateway.refund(call)).kind is OutcomeKind.SUCCEEDED
    assert (await bench.gateway.query_refund(call)).kind is OutcomeKind.SUCCEEDED
    trade = await bench.gateway.query_trade(trade_no)
    assert (trade.state, trade.paid_minor) == (TradeState.PAID, 1000)
    assert (await bench.gateway.close_trade(trade_no)).state is TradeState.PAID


@pytest.mark.parametrize(("trade_no", "closed"), [("pi_U", True), ("cs_U", True), ("ch_U", False)])
async def test_unpaid_trades(bench: Bench, trade_no: str, closed: bool) -> None:
    await bench.tell("trades", {"connection": "one", "trade_no": trade_no, "amount_minor": 5, "state": "UNPAID"})
    assert (await bench.gateway.query_trade(trade_no)).state is TradeState.UNPAID
    expected = TradeState.CLOSED if closed else TradeState.UNKNOWN
    assert (await bench.gateway.close_trade(trade_no)).state is expected
    answering(bench, error_response(400, {"type": INVALID, "code": "payment_intent_unexpected_state"}))
    assert (await bench.gateway.close_trade(trade_no)).state is expected, "a refusal is explained by the trade itself"
    answering(bench, error_response(500, {"type": "api_error"}), method="GET")
    assert (await bench.gateway.query_trade(trade_no)).state is TradeState.UNKNOWN


@pytest.mark.parametrize(
    ("path", "body", "state"),
    [
        ("pi_T1", {"id": "pi_T1", "status": "processing"}, TradeState.UNKNOWN),
        ("pi_T1", {"id": "pi_T1", "status": "requires_capture"}, TradeState.UNPAID),
        ("pi_T1", {"id": "pi_T1", "status": "new"}, TradeState.UNKNOWN),
        ("pi_T1", {"id": "pi_T2", "status": "succeeded", "amount_received": 5}, TradeState.UNKNOWN),
        ("pi_T1", {"id": "pi_T1", "status": "succeeded", "amount_received": "5"}, TradeState.UNKNOWN),
        ("pi_T1", [], TradeState.UNKNOWN),
        ("ch_T1", {"id": "ch_T1", "status": "pending"}, TradeState.UNKNOWN),
        ("ch_T1", {"id": "ch_T1", "status": "succeeded", "captured": False}, TradeState.UNPAID),
        ("cs_T1", {"id": "cs_T1", "status": "complete", "payment_status": "unpaid"}, TradeState.UNKNOWN),
        ("cs_T1", {"id": "cs_T1", "status": "expired", "payment_status": "unpaid"}, TradeState.CLOSED),
    ],
)
async def test_where_a_trade_stands(bench: Bench, path: str, body: Any, state: TradeState) -> None:
    bench.outside.answerer = always(as_json(body))
    assert (await bench.gateway.query_trade(path)).state is state


async def test_numbers_that_are_not_stripes_are_a_matter_of_settings(bench: Bench) -> None:
    for trade_no in ("", "T1", "pi_", "pi_T1/../x", "re_1"):
        outcome = await bench.gateway.refund(replace(bench.call, trade_no=trade_no))
        assert (outcome.kind, outcome.alert) == (UNKNOWN, "configuration")
        assert (await bench.gateway.query_refund(replace(bench.call, trade_no=trade_no))).kind is UNKNOWN
        assert (await bench.gateway.query_trade(trade_no)).state is TradeState.UNKNOWN
        assert (await bench.gateway.close_trade(trade_no)).state is TradeState.UNKNOWN
    assert bench.outside.seen == []


async def test_a_session_without_a_payment_has_nothing_to_refund(bench: Bench) -> None:
    bench.outside.answerer = always(as_json({"id": "cs_1", "payment_intent": None}))
    call = replace(bench.call, trade_no="cs_1")
    assert (await bench.gateway.refund(call)).kind is REFUSED
    assert (await bench.gateway.query_refund(call)).kind is OutcomeKind.NOT_FOUND
    bench.outside.answerer = always(as_json({"id": "cs_2", "payment_intent": "pi_1"}))
    assert (await bench.gateway.refund(call)).code == "malformed:id"


async def test_a_number_used_with_another_amount_is_explained_by_the_list(bench: Bench) -> None:
    await bench.gateway.refund(bench.call)
    outcome = await bench.gateway.refund(replace(bench.call, amount_minor=235))
    assert (outcome.kind, outcome.amount_minor) == (OutcomeKind.SUCCEEDED, 234)
    assert len((await bench.ledger())["trades"][0]["refunds"]) == 1


async def test_more_than_was_paid(bench: Bench) -> None:
    outcome = await bench.gateway.refund(replace(bench.call, amount_minor=1001))
    assert (outcome.kind, outcome.code) == (REFUSED, "invalid_request_error:amount")


async def test_a_late_retry_looks_before_it_sends(bench: Bench) -> None:
    """After the key is forgotten, Stripe would make a second refund; the first one's metadata stop that."""
    old = replace(bench.call, numbered_at=datetime.now(UTC) - timedelta(days=2))
    await bench.gateway.refund(old)
    sent = len([1 for method, *_ in bench.outside.seen if method == "POST"])
    assert (await bench.gateway.refund(old)).kind is OutcomeKind.SUCCEEDED
    assert len([1 for method, *_ in bench.outside.seen if method == "POST"]) == sent
    answering(bench, error_response(500, {"type": "api_error"}), method="GET")
    assert (await bench.gateway.refund(old)).kind is UNKNOWN, "nothing is sent while nobody can look"
    assert len([1 for method, *_ in bench.outside.seen if method == "POST"]) == sent
    fresh = replace(old, numbered_at=datetime.now(UTC))
    assert (await bench.gateway.refund(fresh)).kind is OutcomeKind.SUCCEEDED


async def test_our_refund_is_found_on_any_page(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "PAGE_SIZE", 2)
    await bench.gateway.refund(bench.call)
    for n in range(5):
        await bench.gateway.refund(replace(bench.call, refund_no=f"R{n}", amount_minor=1))
    assert (await bench.gateway.query_refund(bench.call)).amount_minor == 234
    assert (await bench.gateway.query_refund(replace(bench.call, refund_no="R9"))).kind is OutcomeKind.NOT_FOUND
    monkeypatch.setattr(adapter, "PAGES_MAX", 2)
    outcome = await bench.gateway.query_refund(bench.call)
    assert (outcome.kind, outcome.code) == (UNKNOWN, "too_many_refunds"), "not seen is not absent"


@pytest.mark.parametrize(
    "change",
    [
        {"payment_intent": "pi_OTHER"},
        {"metadata": None},
        {"metadata": {"refund_key": "OTHER"}},
        {"status": "done"},
        {"amount": 234.0},
        {"amount": 235},
        {"amount": 1001},
        {"currency": "usd"},
        {"id": None},
    ],
)
async def test_answers_that_make_no_sense_are_unknown(bench: Bench, change: dict[str, Any]) -> None:
    await bench.gateway.refund(bench.call)
    refund = {**bench.dialect.refund_object("one", bench.call.refund_no), **change}
    answering(bench, as_json(refund))
    outcome = await bench.gateway.refund(bench.call)
    assert outcome.kind is UNKNOWN
    assert outcome.code.startswith("malformed:")


@pytest.mark.parametrize(
    "body",
    [
        {"data": None, "has_more": False},
        {"data": [5], "has_more": False},
        {"data": [], "has_more": "no"},
        {"data": [], "has_more": True},
        {"data": [{"payment_intent": "pi_OTHER"}], "has_more": False},
        [],
        "text",
    ],
)
async def test_lists_that_make_no_sense_are_not_empty_lists(bench: Bench, body: Any) -> None:
    bench.outside.answerer = always(as_json(body))
    assert (await bench.gateway.query_refund(bench.call)).kind is UNKNOWN


async def test_what_is_no_answer(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    for response in (
        Response(b"<html>private</html>"),
        Response(b"<html>private</html>", status_code=502),
        as_json({"error": "private"}, 400),
        as_json({}, 418),
        Response(b""),
    ):
        bench.outside.answerer = always(response)
        outcome = await bench.gateway.refund(bench.call)
        assert (outcome.kind, outcome.alert) == (UNKNOWN, ""), response.body
        assert "private" not in repr(outcome)
    assert "private" not in caplog.text

    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody")

    lonely: Any = connect("stripe", bench.values, httpx.MockTransport(refuse))
    assert (await lonely.party.refund(bench.call)).kind is OutcomeKind.RETRY_SAME_NUMBER
    await lonely.close()


async def test_the_sdk_never_tries_again_by_itself(bench: Bench) -> None:
    answering(bench, error_response(500, {"type": "api_error"}))
    await bench.gateway.refund(bench.call)
    assert [method for method, *_ in bench.outside.seen] == ["POST"]


async def test_a_key_that_is_not_ours_is_a_matter_of_settings(bench: Bench) -> None:
    stranger: Any = bench.reconnect(secret_key="sk_test_stranger")
    outcome = await stranger.party.refund(bench.call)
    assert (outcome.kind, outcome.code, outcome.alert) == (UNKNOWN, "authentication_error", "configuration")
    assert (await stranger.probe()).result is ProbeResult.REFUSED
    await stranger.close()


# webhooks -----------------------------------------------------------------------------------------------------------


def test_the_vector_of_the_protocol() -> None:
    body = b'{"id":"evt_1"}'
    expected = "8647cff061d3910c0e75b31d34338021a9030c6c0df1a5c7e99d3f880c10ef43"
    assert signature("whsec_test", "1735689600", body) == expected
    verify_signature(["whsec_test"], f"t=1735689600,v1={expected}", body, 1735689600 + 300)


def event(bench: Bench, event_type: str, shown: dict[str, Any], **more: Any) -> Incoming:
    body = json.dumps({"id": "evt_1", "type": event_type, "data": {"object": shown, **more}}).encode()
    timestamp = str(int(time.time()))
    signed = f"t={timestamp},v1={signature(bench.values['webhook_secret'], timestamp, body)}"
    return Incoming(headers={"stripe-signature": signed}, body=body)


def verified(bench: Bench, incoming: Incoming) -> Any:
    assert bench.connected.verifier is not None
    [news] = bench.connected.verifier.verify(incoming)
    return news


REFUND_OBJECT = {
    "id": "re_1",
    "payment_intent": "pi_T1",
    "amount": 234,
    "currency": "cny",
    "metadata": {"refund_key": "R1"},
}


@pytest.mark.parametrize(
    ("event_type", "status", "previous", "kind"),
    [
        ("refund.created", "pending", None, "nothing"),
        ("refund.created", "succeeded", None, "refund.succeeded"),
        ("refund.updated", "succeeded", {"status": "pending"}, "refund.succeeded"),
        ("refund.updated", "canceled", None, "refund.closed"),
        ("refund.updated", "failed", {"status": "pending"}, "refund.abnormal"),
        ("refund.updated", "failed", {"status": "succeeded"}, "refund.reversed"),
        ("charge.refund.updated", "failed", {"status": "succeeded"}, "refund.reversed"),
        ("charge.refund.updated", "failed", None, "refund.abnormal"),
        ("refund.failed", "failed", None, "refund.reversed"),
        ("refund.failed", "failed", {"status": "pending"}, "refund.abnormal"),
    ],
)
async def test_what_webhooks_tell_of_refunds(
    bench: Bench, event_type: str, status: str, previous: dict[str, str] | None, kind: str
) -> None:
    more = {"previous_attributes": previous} if previous is not None else {}
    news = verified(bench, event(bench, event_type, {**REFUND_OBJECT, "status": status}, **more))
    assert (news.event_id, news.kind) == ("evt_1", kind)
    if kind != "nothing":
        assert news.data == {"trade_no": "pi_T1", "refund_no": "R1", "amount_minor": 234, "currency": "CNY"}


async def test_what_else_webhooks_tell(bench: Bench) -> None:
    foreign = {**REFUND_OBJECT, "status": "succeeded", "metadata": {}}
    assert verified(bench, event(bench, "refund.updated", foreign)).kind == "nothing"
    assert verified(bench, event(bench, "charge.refunded", {"id": "ch_1"})).kind == "nothing"
    paid = {"id": "pi_T1", "amount_received": 1000, "currency": "usd"}
    news = verified(bench, event(bench, "payment_intent.succeeded", paid))
    assert (news.kind, news.data) == ("trade.paid", {"trade_no": "pi_T1", "amount_minor": 1000, "currency": "USD"})
    session = {"id": "cs_1", "amount_total": 7, "currency": "usd", "payment_status": "paid"}
    assert verified(bench, event(bench, "checkout.session.completed", session)).data["trade_no"] == "cs_1"
    later = {**session, "payment_status": "unpaid"}
    assert verified(bench, event(bench, "checkout.session.completed", later)).kind == "nothing"


async def test_webhooks_that_are_not_genuine(bench: Bench) -> None:
    genuine = event(bench, "refund.updated", {**REFUND_OBJECT, "status": "succeeded"})
    given = genuine.headers["stripe-signature"]

    def refused(header: str, body: bytes = genuine.body) -> str:
        with pytest.raises(CallbackUnverified) as refusal:
            verified(bench, Incoming(headers={"stripe-signature": header}, body=body))
        return str(refusal.value)

    timestamp, v1 = given.split(",")
    assert refused("") == "missing"
    assert refused(timestamp) == "missing"
    assert refused(v1) == "missing"
    assert refused(f"t=x,{v1}") == "missing"
    assert refused(f"{timestamp},t=1,{v1}") == "missing"
    assert refused(f"{timestamp},v0={v1[3:]}") == "missing"
    assert refused(f"{timestamp},v1=é") == "missing"
    assert refused(f"{timestamp},v1={'0' * 64}") == "wrong"
    assert refused(f"t={int(timestamp[2:]) + 1},{v1}") == "wrong"
    assert refused(given, genuine.body + b" ") == "wrong"
    assert refused(given, b"x" * 256_001) == "too_large"
    old = str(int(time.time()) - 301)
    assert refused(f"t={old},v1={signature(bench.values['webhook_secret'], old, genuine.body)}") == "expired"
    assert verified(bench, replace(genuine, headers={"stripe-signature": f"{timestamp},v1=00,{v1},v0=1"})).event_id
    for shown in ({**REFUND_OBJECT, "status": None}, {**REFUND_OBJECT, "status": "failed", "amount": "1"}):
        with pytest.raises(CallbackUnverified, match="malformed"):
            verified(bench, event(bench, "refund.failed", shown))
    for body in (b"[]", b"{", b'{"id":"e","type":"t"}'):
        at = str(int(time.time()))
        assert refused(f"t={at},v1={signature(bench.values['webhook_secret'], at, body)}", body) == "malformed"


async def test_the_previous_secret_still_verifies(bench: Bench) -> None:
    genuine = event(bench, "refund.updated", {**REFUND_OBJECT, "status": "succeeded"})
    after: Any = bench.reconnect(
        webhook_secret="whsec_newer_one", previous_webhook_secret=bench.values["webhook_secret"]
    )
    assert after.verifier.verify(genuine)[0].kind == "refund.succeeded"
    await after.close()
    without: Any = bench.reconnect(webhook_secret="whsec_newer_one")
    with pytest.raises(CallbackUnverified, match="wrong"):
        without.verifier.verify(genuine)
    await without.close()


async def test_an_empty_previous_secret_verifies_nothing(bench: Bench) -> None:
    genuine = event(bench, "refund.updated", {**REFUND_OBJECT, "status": "succeeded"})
    at = str(int(time.time()))
    forged = replace(genuine, headers={"stripe-signature": f"t={at},v1={signature('', at, genuine.body)}"})
    after: Any = bench.reconnect(previous_webhook_secret="")
    with pytest.raises(CallbackUnverified, match="wrong"):
        after.verifier.verify(forged)
    assert after.verifier.verify(genuine)[0].kind == "refund.succeeded"
    await after.close()


async def test_the_sandbox_calls_in_what_happens(bench: Bench) -> None:
    await bench.gateway.refund(bench.call)
    [news] = await bench.wait_for_news(1)
    assert (news.kind, news.data["refund_no"]) == ("refund.succeeded", bench.call.refund_no)
    await bench.tell(f"refunds/one/{bench.call.refund_no}/state", {"state": "REVERSED"})
    assert (await bench.wait_for_news(2))[1].kind == "refund.reversed"
    assert (await bench.gateway.query_refund(bench.call)).kind is OutcomeKind.ABNORMAL
    await bench.tell("trades", {"connection": "one", "trade_no": "pi_T2", "amount_minor": 1200, "state": "UNPAID"})
    await bench.tell("trades/one/pi_T2/pay", {})
    assert (await bench.wait_for_news(3))[2].data["trade_no"] == "pi_T2"
    await bench.tell("connections/one", {"refund_final": "ABNORMAL"})
    await bench.gateway.refund(replace(bench.call, trade_no="pi_T2", refund_no="R2"))
    assert (await bench.wait_for_news(4))[3].kind == "refund.abnormal"


# a third reading of the protocol ------------------------------------------------------------------------------------


async def test_the_synchronous_sdk_and_the_sandbox_agree(bench: Bench) -> None:
    import stripe

    async with on_a_port(bench.inside) as url:
        http = stripe.UrllibClient()
        sdk = stripe.StripeClient(
            bench.values["secret_key"], base_addresses={"api": f"{url}/c/one"}, http_client=http, max_network_retries=0
        )

        def create(key: str, amount: int) -> Any:
            params: Any = {"payment_intent": "pi_T1", "amount": amount, "metadata": {"refund_key": key}}
            return sdk.v1.refunds.create(params, {"idempotency_key": key})

        first = await asyncio.to_thread(create, "SDK-1", 234)
        assert (first.status, first.amount, first.currency) == ("succeeded", 234, "cny")
        again = await asyncio.to_thread(create, "SDK-1", 234)
        assert again.id == first.id
        with pytest.raises(stripe.IdempotencyError):
            await asyncio.to_thread(create, "SDK-1", 235)
        await asyncio.to_thread(create, "SDK-2", 100)
        listed = await asyncio.to_thread(lambda: sdk.v1.refunds.list({"payment_intent": "pi_T1", "limit": 1}))
        assert [one.metadata["refund_key"] for one in listed.data] == ["SDK-2"]
        every = await asyncio.to_thread(lambda: list(listed.auto_paging_iter()))
        assert [one.metadata["refund_key"] for one in every] == ["SDK-2", "SDK-1"]
        assert (await asyncio.to_thread(sdk.v1.refunds.retrieve, first.id)).amount == 234
        intent = await asyncio.to_thread(sdk.v1.payment_intents.retrieve, "pi_T1")
        assert (intent.status, intent.amount_received) == ("succeeded", 1000)
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            await asyncio.to_thread(sdk.v1.payment_intents.retrieve, "pi_T9")
        assert refusal.value.code == "resource_missing"
        stranger = stripe.StripeClient("sk_test_no", base_addresses={"api": f"{url}/c/one"}, http_client=http)
        with pytest.raises(stripe.AuthenticationError):
            await asyncio.to_thread(stranger.v1.payment_intents.retrieve, "pi_T1")


async def test_the_sdk_accepts_the_sandboxs_webhooks(bench: Bench) -> None:
    import stripe

    await bench.gateway.refund(bench.call)
    [incoming] = await bench.wait_for_callbacks(1)
    header, secret = incoming.headers["stripe-signature"], bench.values["webhook_secret"]
    opened = stripe.Webhook.construct_event(incoming.body, header, secret)
    assert (opened.type, opened.data.object["metadata"]["refund_key"]) == ("refund.updated", bench.call.refund_no)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(incoming.body + b" ", header, secret)
    payload = incoming.body.decode()
    timestamp = int(time.time())
    theirs = stripe.WebhookSignature.generate_signature_header(payload, secret, timestamp)
    assert theirs == f"t={timestamp},v1={signature(secret, str(timestamp), incoming.body)}"
