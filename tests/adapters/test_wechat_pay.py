"""WeChat Pay: every code of its tables, both signatures, notices, limits - and its SDK for Python as a third reading of the protocol."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.x509.oid import NameOID
from starlette.responses import Response

from tests.paying import Bench, always, connect, on_a_port, open_bench
from tests.world import private_key
from unwind.adapters.payment.keys import load_private_key
from unwind.adapters.payment.wechat_pay import ERRORS
from unwind.domain.outcome import OutcomeKind, TradeState
from unwind.ports.callback import CallbackUnverified, Incoming
from unwind.ports.payment import PayeeAccount
from unwind.ports.probe import ProbeResult

TABLE: list[tuple[int, str, OutcomeKind, str]] = [
    (500, "SYSTEM_ERROR", OutcomeKind.UNKNOWN, ""),
    (429, "FREQUENCY_LIMITED", OutcomeKind.RETRY_SAME_NUMBER, ""),
    (403, "NOT_ENOUGH", OutcomeKind.NEEDS_FUNDS, ""),
    (403, "USER_ACCOUNT_ABNORMAL", OutcomeKind.ABNORMAL, ""),
    (403, "NO_AUTH", OutcomeKind.UNKNOWN, "configuration"),
    (404, "RESOURCE_NOT_EXISTS", OutcomeKind.REFUSED, ""),
    (404, "MCH_NOT_EXISTS", OutcomeKind.UNKNOWN, "configuration"),
    (400, "PARAM_ERROR", OutcomeKind.UNKNOWN, "configuration"),
    (400, "INVALID_REQUEST", OutcomeKind.REFUSED, ""),
    (401, "SIGN_ERROR", OutcomeKind.UNKNOWN, "configuration"),
    (403, "REQUEST_BLOCKED", OutcomeKind.UNKNOWN, "configuration"),
    (400, "SOMETHING_NEW", OutcomeKind.UNKNOWN, "unknown_code"),
]
"""Answers to a refund under a number that WeChat does not know."""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(open_bench("wechat_pay", tmp_path))


def refusing(bench: Bench, status: int, code: str, *, method: str = "POST") -> None:
    responder = bench.dialect.responder("one", _Asked)
    bench.outside.answerer = lambda request: responder.error(status, code, "说明") if request.method == method else None


class _Asked:
    operation = "payment.refund"


def test_the_table_is_complete() -> None:
    assert {code for _, code, _, alert in TABLE if alert != "unknown_code"} == set(ERRORS.kinds)


@pytest.mark.parametrize(("status", "code", "kind", "alert"), TABLE)
async def test_every_code_of_a_refund(bench: Bench, status: int, code: str, kind: OutcomeKind, alert: str) -> None:
    refusing(bench, status, code)
    outcome = await bench.gateway.refund(bench.call)
    assert (outcome.kind, outcome.code, outcome.alert) == (kind, code, alert)
    if alert == "configuration":
        assert outcome.retry_after_s >= 60, "no tight loop: six wrong requests a second are all WeChat takes"


@pytest.mark.parametrize(("status", "code", "_kind", "alert"), TABLE)
async def test_a_refused_question_says_nothing_about_the_refund(
    bench: Bench, status: int, code: str, _kind: OutcomeKind, alert: str
) -> None:
    refusing(bench, status, code, method="GET")
    outcome = await bench.gateway.query_refund(bench.call)
    if code == "RESOURCE_NOT_EXISTS":
        assert outcome.kind is OutcomeKind.NOT_FOUND
    elif code == "FREQUENCY_LIMITED":
        assert outcome.kind is OutcomeKind.RETRY_SAME_NUMBER
    else:
        assert outcome.kind is OutcomeKind.UNKNOWN
        assert outcome.alert or code == "SYSTEM_ERROR"


async def test_everything_well(bench: Bench) -> None:
    gateway, call = bench.gateway, bench.call
    assert gateway.spacing_s == 60
    assert (await gateway.query_refund(call)).kind is OutcomeKind.NOT_FOUND
    refunded = await gateway.refund(call)
    assert (refunded.kind, refunded.amount_minor, refunded.code) == (OutcomeKind.SUCCEEDED, 234, "SUCCESS")
    assert dict(refunded.evidence) | {"final_at": ""} == {
        "refund_id": refunded.reference,
        "payer_refund_minor": 234,
        "received_by": "original",
        "final_at": "",
    }
    assert "招商银行信用卡0403" not in repr(refunded)
    assert await gateway.query_refund(call) == refunded
    assert await gateway.refund(call) == refunded
    assert (await gateway.close_trade("T1")).state is TradeState.PAID
    trade = await gateway.query_trade("T1")
    assert (trade.state, trade.paid_minor, trade.code) == (TradeState.PAID, 1000, "REFUND")
    assert (await gateway.query_trade("T9")).state is TradeState.NOT_FOUND
    assert (await gateway.close_trade("T9")).state is TradeState.NOT_FOUND
    assert (await bench.connected.probe()).result is ProbeResult.OK
    assert await bench.violations() == []


async def test_what_is_sent(bench: Bench) -> None:
    await bench.gateway.refund(bench.call)
    method, path, headers, raw = bench.outside.seen[-1]
    assert (method, path) == ("POST", "/c/one/v3/refund/domestic/refunds")
    assert headers["wechatpay-serial"].startswith("PUB_KEY_ID_")
    assert json.loads(raw) == {
        "out_trade_no": "T1",
        "out_refund_no": bench.call.refund_no,
        "reason": "订单取消退款",
        "notify_url": "http://unwind.test/callbacks/one",
        "amount": {"refund": 234, "total": 1000, "currency": "CNY"},
    }


async def test_an_unpaid_trade_is_closed_and_may_be_closed_twice(bench: Bench) -> None:
    await bench.tell("trades", {"connection": "one", "trade_no": "T2", "amount_minor": 5, "state": "UNPAID"})
    assert (await bench.gateway.query_trade("T2")).state is TradeState.UNPAID
    assert (await bench.gateway.close_trade("T2")).state is TradeState.CLOSED
    assert (await bench.gateway.close_trade("T2")).state is TradeState.CLOSED
    assert (await bench.gateway.query_trade("T2")).state is TradeState.CLOSED
    refusing(bench, 400, "ORDER_CLOSED")
    assert (await bench.gateway.close_trade("T2")).state is TradeState.CLOSED
    refusing(bench, 400, "ORDER_PAID")
    assert (await bench.gateway.close_trade("T2")).state is TradeState.PAID
    refusing(bench, 500, "SYSTEM_ERROR")
    assert (await bench.gateway.close_trade("T2")).state is TradeState.UNKNOWN
    refusing(bench, 400, "SOMETHING_NEW")
    assert (await bench.gateway.close_trade("T2")).state is TradeState.UNKNOWN


async def test_paid_may_be_said_in_the_request_id_only(bench: Bench) -> None:
    body = json.dumps({"code": "INVALID_REQUEST", "message": "x"}).encode()
    headers = {**bench.dialect.signature_headers("one", body), "Request-ID": "08F5-268449538"}
    bench.outside.answerer = always(Response(body, status_code=400, headers=headers))
    assert (await bench.gateway.close_trade("T1")).state is TradeState.PAID


@pytest.mark.parametrize(
    ("modes", "kind"),
    [
        ({"balance_minor": 99}, OutcomeKind.NEEDS_FUNDS),
        ({"refund_final": "CLOSED"}, OutcomeKind.NEEDS_NEW_NUMBER),
        ({"refund_final": "ABNORMAL"}, OutcomeKind.ABNORMAL),
        ({"refund_mode": "stuck"}, OutcomeKind.PROCESSING),
    ],
)
async def test_gateway_modes(bench: Bench, modes: dict[str, object], kind: OutcomeKind) -> None:
    await bench.tell("connections/one", modes)
    assert (await bench.gateway.refund(bench.call)).kind is kind


async def test_a_number_used_with_another_amount_is_explained_by_its_query(bench: Bench) -> None:
    """The very code that says "against the rules" says this too; what WeChat holds under the number is the answer."""
    await bench.gateway.refund(bench.call)
    outcome = await bench.gateway.refund(replace(bench.call, amount_minor=235))
    assert (outcome.kind, outcome.amount_minor) == (OutcomeKind.SUCCEEDED, 234)
    assert len((await bench.ledger())["trades"][0]["refunds"]) == 1


async def test_limits_of_one_order(bench: Bench) -> None:
    """Fifty refunds, a year, and not more than was paid; where it is strict, a minute between them."""
    for n in range(50):
        call = replace(bench.call, refund_no=f"R{n}", amount_minor=1)
        assert (await bench.gateway.refund(call)).kind is OutcomeKind.SUCCEEDED
    assert (await bench.gateway.refund(replace(bench.call, amount_minor=1))).code == "INVALID_REQUEST"
    assert (await bench.gateway.refund(replace(bench.call, refund_no="R7", amount_minor=1))).kind is (
        OutcomeKind.SUCCEEDED
    )
    old = {"connection": "one", "trade_no": "T-OLD", "amount_minor": 1000, "paid_at": time.time() - 366 * 86400}
    await bench.tell("trades", old)
    assert (await bench.gateway.refund(replace(bench.call, trade_no="T-OLD"))).kind is OutcomeKind.REFUSED
    await bench.tell("trades", {"connection": "one", "trade_no": "T3", "amount_minor": 1000})
    more = replace(bench.call, trade_no="T3", amount_minor=1001, captured_minor=1000)
    assert (await bench.gateway.refund(more)).kind is OutcomeKind.REFUSED
    await bench.tell("connections/one", {"refund_spacing_s": 60_000})
    assert (await bench.gateway.refund(replace(bench.call, trade_no="T3"))).kind is OutcomeKind.SUCCEEDED
    second = await bench.gateway.refund(replace(bench.call, trade_no="T3", refund_no="R-2"))
    assert (second.kind, second.code) == (OutcomeKind.RETRY_SAME_NUMBER, "FREQUENCY_LIMITED")


# signatures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [{"merchant_serial_no": "ABCDEF"}, {"mchid": "1900000001"}, {"merchant_private_key": private_key("stranger")}],
)
async def test_a_signature_that_is_not_ours_is_a_matter_of_settings(bench: Bench, change: dict[str, str]) -> None:
    stranger = bench.reconnect(**change)
    outcome = await stranger.party.refund(bench.call)  # type: ignore[union-attr]
    assert (outcome.kind, outcome.code, outcome.alert) == (OutcomeKind.UNKNOWN, "SIGN_ERROR", "configuration")
    assert (await stranger.probe()).result is ProbeResult.REFUSED
    await stranger.close()
    assert (await bench.ledger())["trades"][0]["refunds"] == []


async def test_a_clock_six_minutes_off_is_refused(bench: Bench) -> None:
    late = connect("wechat_pay", bench.values, httpx.ASGITransport(bench.inside), clock=lambda: time.time() - 360)
    outcome = await late.party.refund(bench.call)  # type: ignore[union-attr]
    assert outcome.kind is OutcomeKind.UNKNOWN
    assert outcome.alert
    assert (await bench.ledger())["trades"][0]["refunds"] == [], "refused by the gateway, not only by us"
    await late.close()


async def test_answers_that_do_not_verify_are_no_answers(bench: Bench) -> None:
    body = json.dumps({"status": "SUCCESS"}).encode()
    good = bench.dialect.signature_headers("one", body)
    for change in (
        {"Wechatpay-Signature": base64.b64encode(bytes(256)).decode()},
        {"Wechatpay-Signature": ""},
        {"Wechatpay-Signature": "WECHATPAY/SIGNTEST/abc"},
        {"Wechatpay-Serial": "PUB_KEY_ID_OTHER"},
        {"Wechatpay-Timestamp": str(int(time.time()) - 301)},
        {"Wechatpay-Nonce": "another"},
        {"Wechatpay-Signature-Type": "WECHATPAY2-SM2-WITH-SM3"},
    ):
        bench.outside.answerer = always(Response(body, headers={**good, **change}))
        outcome = await bench.gateway.refund(bench.call)
        assert (outcome.kind, outcome.alert) == (OutcomeKind.UNKNOWN, "answer_unverified"), change
    bench.outside.answerer = always(Response(b"<html>", status_code=502))
    outcome = await bench.gateway.refund(bench.call)
    assert (outcome.kind, outcome.code, outcome.alert) == (OutcomeKind.UNKNOWN, "http_502", "")
    for status, code, alert in ((403, "NOT_ENOUGH", "answer_unverified"), (401, "SIGN_ERROR", "configuration")):
        unsigned = json.dumps({"code": code, "message": ""}).encode()
        bench.outside.answerer = always(Response(unsigned, status_code=status))
        outcome = await bench.gateway.refund(bench.call)
        assert (outcome.kind, outcome.alert) == (OutcomeKind.UNKNOWN, alert)


@pytest.mark.parametrize(
    "change",
    [
        {"out_refund_no": "OTHER"},
        {"out_trade_no": "OTHER"},
        {"status": "DONE"},
        {"refund_id": None},
        {"amount": None},
        {"amount": {"refund": 234.0, "currency": "CNY"}},
        {"amount": {"refund": 235, "currency": "CNY"}},
        {"amount": {"refund": 1001, "currency": "CNY"}},
        {"amount": {"refund": 234, "currency": "USD"}},
        {"amount": {"refund": 234, "currency": "CNY", "payer_refund": "234"}},
        {"success_time": "today"},
        {"channel": 7},
    ],
)
async def test_answers_that_make_no_sense_are_unknown(bench: Bench, change: dict[str, Any]) -> None:
    await bench.gateway.refund(bench.call)
    body = {**bench.dialect.refund_body("one", bench.call.refund_no), **change}
    raw = json.dumps(body).encode()
    bench.outside.answerer = always(Response(raw, headers=bench.dialect.signature_headers("one", raw)))
    outcome = await bench.gateway.refund(bench.call)
    assert outcome.kind is OutcomeKind.UNKNOWN
    assert outcome.code.startswith("malformed:")


def make_certificate(name: str) -> tuple[str, str]:
    """A platform certificate of the older mode: (serial in hex, PEM)."""
    key = load_private_key(private_key(name))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tenpay.com sign")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    made = builder.sign(key, hashes.SHA256())
    return f"{made.serial_number:X}", made.public_bytes(serialization.Encoding.PEM).decode()


def sign_as(name: str, serial: str, body: bytes, *, at: float | None = None) -> dict[str, str]:
    """An answer's or notice's headers, written from the documentation for this test."""
    timestamp, nonce = str(int(time.time() if at is None else at)), "n" * 32
    signature = load_private_key(private_key(name)).sign(
        f"{timestamp}\n{nonce}\n".encode() + body + b"\n", padding.PKCS1v15(), hashes.SHA256()
    )
    return {
        "wechatpay-timestamp": timestamp,
        "wechatpay-nonce": nonce,
        "wechatpay-signature": base64.b64encode(signature).decode(),
        "wechatpay-serial": serial,
        "wechatpay-signature-type": "WECHATPAY2-SHA256-RSA2048",
    }


async def test_platform_certificates_and_public_keys_change_over_without_a_gap(bench: Bench) -> None:
    old_serial, old_pem = make_certificate("platform-old")
    both = bench.reconnect(platform_keys={**bench.values["platform_keys"], old_serial: old_pem})
    await bench.gateway.refund(bench.call)
    raw = json.dumps(bench.dialect.refund_body("one", bench.call.refund_no)).encode()
    for headers in (
        sign_as("platform-old", old_serial.lower(), raw),
        bench.dialect.signature_headers("one", raw),
    ):
        bench.outside.answerer = always(Response(raw, headers=headers))
        assert (await both.party.query_refund(bench.call)).kind is OutcomeKind.SUCCEEDED  # type: ignore[union-attr]
    assert bench.outside.seen[-1][2]["wechatpay-serial"].startswith("PUB_KEY_ID_")
    await both.close()
    old_only = bench.reconnect(platform_keys={old_serial: old_pem})
    assert (await old_only.party.query_refund(bench.call)).alert == "answer_unverified"  # type: ignore[union-attr]
    assert "wechatpay-serial" not in bench.outside.seen[-1][2], "only public-key mode names the key it expects"
    await old_only.close()


# abnormal refunds ---------------------------------------------------------------------------------------------------

ACCOUNT = PayeeAccount(
    kind="user_bank_card", bank_type="CMB_DEBIT", account_no="6225880000001234", account_name="王小明"
)


@pytest.mark.parametrize("account", [ACCOUNT, PayeeAccount(kind="merchant_bank_card")], ids=["user", "merchant"])
async def test_an_abnormal_refund_goes_elsewhere_and_the_account_is_read_by_wechat_only(
    bench: Bench, account: PayeeAccount
) -> None:
    await bench.tell("connections/one", {"refund_final": "ABNORMAL"})
    assert (await bench.gateway.refund(bench.call)).kind is OutcomeKind.ABNORMAL
    outcome = await bench.gateway.refund_elsewhere(bench.call, account)
    assert (outcome.kind, outcome.amount_minor) == (OutcomeKind.SUCCEEDED, 234)
    _, path, headers, raw = bench.outside.seen[-1]
    assert path.endswith(f"/{outcome.reference}/apply-abnormal-refund")
    assert headers["wechatpay-serial"]
    assert "6225880000001234" not in raw.decode()
    assert "王小明" not in json.dumps(json.loads(raw), ensure_ascii=False)
    assert "6225" not in repr(account)
    assert (await bench.gateway.refund_elsewhere(bench.call, account)).kind is OutcomeKind.SUCCEEDED
    [refund] = (await bench.ledger())["trades"][0]["refunds"]
    assert refund["money_moved_times"] == 1


# notices ------------------------------------------------------------------------------------------------------------


async def notices(bench: Bench, *, final: str = "SUCCESS") -> list[Incoming]:
    await bench.tell("connections/one", {"refund_final": final})
    await bench.gateway.refund(bench.call)
    return await bench.wait_for_callbacks(1)


@pytest.mark.parametrize(
    ("final", "kind"),
    [("SUCCESS", "refund.succeeded"), ("CLOSED", "refund.closed"), ("ABNORMAL", "refund.abnormal")],
)
async def test_notices_of_refunds(bench: Bench, final: str, kind: str) -> None:
    await notices(bench, final=final)
    [news] = await bench.wait_for_news(1)
    number = bench.call.refund_no
    assert news.kind == kind
    assert news.data == {"trade_no": "T1", "refund_no": number, "amount_minor": 234, "currency": "CNY"}
    assert (await bench.ledger())["callbacks"][0]["state"] == "DELIVERED", "204 is what WeChat takes for a yes"


async def test_notice_of_a_payment(bench: Bench) -> None:
    await bench.tell("trades", {"connection": "one", "trade_no": "T2", "amount_minor": 1200, "state": "UNPAID"})
    await bench.tell("trades/one/T2/pay", {})
    [news] = await bench.wait_for_news(1)
    assert (news.kind, news.data) == ("trade.paid", {"trade_no": "T2", "amount_minor": 1200, "currency": "CNY"})


async def test_repeats_are_the_same_news(bench: Bench) -> None:
    bench.is_deaf = True
    await notices(bench)
    news = await bench.wait_for_news(3)
    assert len({one.event_id for one in news}) == 1


async def test_a_signature_test_is_refused_and_the_true_notice_follows(bench: Bench) -> None:
    await bench.tell("faults", {"fault": "callback_signtest", "operation": "payment.refund"})
    bench.is_deaf = True
    await bench.gateway.refund(bench.call)
    probe, genuine = (await bench.wait_for_callbacks(2))[:2]
    verifier = bench.connected.verifier
    assert verifier is not None
    with pytest.raises(CallbackUnverified, match="probe"):
        verifier.verify(probe)
    assert verifier.verify(genuine)[0].kind == "refund.succeeded"


async def test_notices_that_are_not_genuine(bench: Bench) -> None:
    [incoming] = await notices(bench)
    verifier = bench.connected.verifier
    assert verifier is not None

    def refused(change: dict[str, str], body: bytes = incoming.body) -> str:
        with pytest.raises(CallbackUnverified) as refusal:
            verifier.verify(replace(incoming, headers={**incoming.headers, **change}, body=body))
        return str(refusal.value)

    assert refused({"wechatpay-signature": base64.b64encode(bytes(256)).decode()}) == "wrong"
    assert refused({"wechatpay-signature": ""}) == "missing"
    assert refused({"wechatpay-serial": "NOBODY"}) == "unknown_serial"
    assert refused({"wechatpay-nonce": "other"}) == "wrong"
    assert refused({}, incoming.body + b" ") == "wrong"
    assert refused({}, b"x" * 64_001) == "too_large"
    serial = next(iter(bench.values["platform_keys"]))
    old = sign_as("one/platform", serial, incoming.body, at=time.time() - 301)
    assert refused(old) == "expired"


async def test_genuine_notices_of_rubbish(bench: Bench) -> None:
    [incoming] = await notices(bench)
    verifier = bench.connected.verifier
    assert verifier is not None
    serial = next(iter(bench.values["platform_keys"]))
    envelope = json.loads(incoming.body)

    def verified(body: bytes) -> Any:
        return verifier.verify(Incoming(headers=sign_as("one/platform", serial, body), body=body))

    [news] = verified(json.dumps({**envelope, "event_type": "COUPON.USE"}).encode())
    assert news.kind == "nothing"
    resource = envelope["resource"]
    for change in (
        {"resource": None},
        {"resource": {**resource, "algorithm": "ROT13"}},
        {"resource": {**resource, "ciphertext": "!"}},
        {"resource": {**resource, "ciphertext": base64.b64encode(bytes(40)).decode()}},
        {"resource": {**resource, "nonce": "short"}},
        {"resource": {**resource, "associated_data": "other"}},
        {"event_type": "TRANSACTION.SUCCESS"},
        {"id": None},
    ):
        with pytest.raises(CallbackUnverified, match="malformed"):
            verified(json.dumps({**envelope, **change}).encode())
    for raw in (b"[]", b"{", b"\xff"):
        with pytest.raises(CallbackUnverified, match="malformed"):
            verified(raw)


async def test_a_notice_of_another_merchant_is_refused(bench: Bench) -> None:
    [incoming] = await notices(bench)
    other = bench.reconnect(mchid="1900000001")
    assert other.verifier is not None
    with pytest.raises(CallbackUnverified, match="malformed"):
        other.verifier.verify(incoming)
    await other.close()


async def test_the_previous_key_still_opens_notices(bench: Bench) -> None:
    [incoming] = await notices(bench)
    after = bench.reconnect(api_v3_key="x" * 32, previous_api_v3_key=bench.values["api_v3_key"])
    assert after.verifier is not None
    assert after.verifier.verify(incoming)[0].kind == "refund.succeeded"
    await after.close()
    without = bench.reconnect(api_v3_key="x" * 32)
    assert without.verifier is not None
    with pytest.raises(CallbackUnverified, match="malformed"):
        without.verifier.verify(incoming)
    await without.close()


# a third reading of the protocol ------------------------------------------------------------------------------------


def sdk_of(bench: Bench, url: str) -> Any:
    from wechatpayv3 import WeChatPay, WeChatPayType

    [(key_id, pem)] = bench.values["platform_keys"].items()
    sdk = WeChatPay(
        wechatpay_type=WeChatPayType.JSAPI,
        mchid=bench.values["mchid"],
        private_key=bench.values["merchant_private_key"],
        cert_serial_no=bench.values["merchant_serial_no"],
        appid="wx0000000000000000",
        apiv3_key=bench.values["api_v3_key"],
        public_key=pem,
        public_key_id=key_id,
        timeout=(5, 5),
    )
    sdk._core._gate_way = f"{url}/c/one"
    return sdk


async def test_the_python_sdk_and_the_sandbox_agree(bench: Bench) -> None:
    """It verifies every answer of the sandbox itself and raises where a signature does not hold."""
    async with on_a_port(bench.inside) as url:
        sdk = sdk_of(bench, url)
        amount = {"refund": 234, "total": 1000, "currency": "CNY"}
        status, text = await asyncio.to_thread(
            sdk.refund, out_trade_no="T1", out_refund_no="SDK-1", amount=amount, reason="测试"
        )
        assert (status, json.loads(text)["status"]) == (200, "SUCCESS")
        transaction = json.loads(text)["transaction_id"]
        status, text = await asyncio.to_thread(
            sdk.refund, transaction_id=transaction, out_refund_no="SDK-2", amount=amount
        )
        assert status == 200
        status, text = await asyncio.to_thread(sdk.query_refund, out_refund_no="SDK-1")
        assert (status, json.loads(text)["amount"]["refund"]) == (200, 234)
        status, text = await asyncio.to_thread(sdk.query_refund, out_refund_no="SDK-9")
        assert (status, json.loads(text)["code"]) == (404, "RESOURCE_NOT_EXISTS")
        status, text = await asyncio.to_thread(sdk.query, out_trade_no="T1")
        assert (status, json.loads(text)["trade_state"]) == (200, "REFUND")
        status, text = await asyncio.to_thread(sdk.close, out_trade_no="T1")
        assert (status, json.loads(text)["code"]) == (400, "ORDER_PAID")
        sdk._core._private_key = load_private_key(private_key("stranger"))
        status, text = await asyncio.to_thread(sdk.query_refund, out_refund_no="SDK-1")
        assert (status, json.loads(text)["code"]) == (401, "SIGN_ERROR")


async def test_the_python_sdk_opens_the_sandboxs_notices(bench: Bench) -> None:
    [incoming] = await notices(bench)
    opened = await asyncio.to_thread(sdk_of(bench, "").callback, dict(incoming.headers), incoming.body)
    assert opened["event_type"] == "REFUND.SUCCESS"
    assert opened["resource"]["out_refund_no"] == bench.call.refund_no


async def test_our_requests_are_those_of_the_sdk(bench: Bench) -> None:
    """The same call, signed under the same instant and nonce, is the same Authorization."""
    from wechatpayv3.utils import build_authorization

    from unwind.adapters.payment.wechat_pay_signing import authorization

    key = load_private_key(bench.values["merchant_private_key"])
    body = {"out_trade_no": "T1", "reason": "退款"}
    theirs = build_authorization("/v3/x?a=1", "POST", "19", "AB", key, data=body, nonce_str="N" * 32)
    given = dict(part.split("=", 1) for part in theirs.split(" ", 1)[1].split(","))
    timestamp = int(given["timestamp"].strip('"'))
    ours = authorization(
        key,
        mchid="19",
        serial_no="AB",
        method="POST",
        path="/v3/x?a=1",
        timestamp=timestamp,
        nonce="N" * 32,
        body=json.dumps(body).encode(),
    )
    assert ours.split(" ")[0] == theirs.split(" ")[0]
    assert dict(part.split("=", 1) for part in ours.split(" ", 1)[1].split(",")) == given
