"""Alipay: every code of its tables, both signatures, notifications, the ten seconds - and its SDK for Python as a third reading of the protocol."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from starlette.responses import Response

from sandbox.dialects.frame import Asked
from tests.paying import Bench, always, connect, on_a_port, open_bench
from tests.world import private_key
from unwind.adapters.fields import Malformed
from unwind.adapters.payment import alipay
from unwind.adapters.payment.alipay_codes import ERRORS
from unwind.adapters.payment.keys import load_private_key
from unwind.adapters.payment.yuan import read_yuan, to_yuan
from unwind.domain.outcome import OutcomeKind, TradeState
from unwind.ports.callback import CallbackUnverified, Incoming
from unwind.ports.probe import ProbeResult

UNKNOWN, REFUSED, ABNORMAL = OutcomeKind.UNKNOWN, OutcomeKind.REFUSED, OutcomeKind.ABNORMAL
RETRY = OutcomeKind.RETRY_SAME_NUMBER

TABLE: list[tuple[str, str, OutcomeKind, str]] = [
    ("20000", "", UNKNOWN, ""),
    ("20000", "aop.ACQ.SYSTEM_ERROR", UNKNOWN, ""),
    ("20000", "isp.unknow-error", UNKNOWN, ""),
    ("20001", "aop.invalid-auth-token", UNKNOWN, "configuration"),
    ("40001", "isv.missing-method", UNKNOWN, "configuration"),
    ("40002", "isv.invalid-signature", UNKNOWN, "configuration"),
    ("40002", "isv.invalid-timestamp", UNKNOWN, "configuration"),
    ("40005", "", RETRY, ""),
    ("40006", "isv.insufficient-isv-permissions", UNKNOWN, "configuration"),
    ("40004", "ACQ.SYSTEM_ERROR", UNKNOWN, ""),
    ("40004", "aop.ACQ.SYSTEM_ERROR", UNKNOWN, ""),
    ("40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH", OutcomeKind.NEEDS_FUNDS, ""),
    ("40004", "ACQ.REFUND_CHARGE_ERROR", RETRY, ""),
    ("40004", "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", REFUSED, ""),
    ("40004", "ACQ.REFUND_FEE_ERROR", REFUSED, ""),
    ("40004", "ACQ.REASON_TRADE_REFUND_FEE_ERR", REFUSED, ""),
    ("40004", "ACQ.TRADE_HAS_FINISHED", REFUSED, ""),
    ("40004", "ACQ.TRADE_NOT_ALLOW_REFUND", REFUSED, ""),
    ("40004", "ACQ.ONLINE_TRADE_VOUCHER_NOT_ALLOW_REFUND", REFUSED, ""),
    ("40004", "ACQ.NOT_ALLOW_PARTIAL_REFUND", REFUSED, ""),
    ("40004", "ACQ.REASON_TRADE_BEEN_FREEZEN", ABNORMAL, ""),
    ("40004", "ACQ.BUYER_ERROR", ABNORMAL, ""),
    ("40004", "ACQ.CUSTOMER_VALIDATE_ERROR", ABNORMAL, ""),
    ("40004", "ACQ.REFUND_ACCOUNT_NOT_EXIST", ABNORMAL, ""),
    ("40004", "ACQ.ALLOC_AMOUNT_VALIDATE_ERROR", ABNORMAL, "configuration"),
    ("40004", "ACQ.REFUND_ROYALTY_PAYEE_ACCOUNT_NOT_EXIST", ABNORMAL, "configuration"),
    ("40004", "ACQ.OVERDRAFT_AGREEMENT_NOT_MATCH", ABNORMAL, "configuration"),
    ("40004", "ACQ.OVERDRAFT_ASSIGN_ACCOUNT_INVALID", ABNORMAL, "configuration"),
    ("40004", "ACQ.INVALID_PARAMETER", UNKNOWN, "configuration"),
    ("40004", "ACQ.SOMETHING_NEW", UNKNOWN, "unknown_code"),
    ("40099", "", UNKNOWN, "unknown_code"),
]
STATE_CODES = ("ACQ.TRADE_NOT_EXIST", "ACQ.TRADE_STATUS_ERROR", "ACQ.REASON_TRADE_STATUS_INVALID")
BEIJING = timezone(timedelta(hours=8))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(open_bench("alipay", tmp_path))


def method_of(request: Any) -> str:
    return str(request.query_params["method"])


def refusing(bench: Bench, code: str, sub_code: str, *, method: str = "alipay.trade.refund") -> None:
    responder = bench.dialect.responder("one", Asked(operation="", body={}, context={"method": method}))
    bench.outside.answerer = lambda request: responder.error(code, sub_code) if method_of(request) == method else None


def answering(bench: Bench, method: str, node: Any) -> None:
    responder = bench.dialect.responder("one", Asked(operation="", body={}, context={"method": method}))
    bench.outside.answerer = lambda request: responder._signed(node) if method_of(request) == method else None


def test_the_table_is_complete() -> None:
    tried = {sub_code or code for code, sub_code, _, alert in TABLE if alert != "unknown_code"}
    families = {name for name in ERRORS.kinds if name.endswith("_")}
    coarse = {code for code, *_ in TABLE if code in ERRORS.kinds}
    known = set(ERRORS.kinds) - families - coarse
    assert known <= tried | set(STATE_CODES) | {"ACQ.DISCORDANT_REPEAT_REQUEST"}
    assert coarse == {"20000", "20001", "40001", "40002", "40005", "40006"}


@pytest.mark.parametrize(("code", "sub_code", "kind", "alert"), TABLE)
async def test_every_code_of_a_refund(bench: Bench, code: str, sub_code: str, kind: OutcomeKind, alert: str) -> None:
    refusing(bench, code, sub_code)
    outcome = await bench.gateway.refund(bench.call)
    assert (outcome.kind, outcome.code, outcome.alert) == (kind, sub_code or code, alert)
    if kind is RETRY or (kind is UNKNOWN and alert == "configuration"):
        assert outcome.retry_after_s


@pytest.mark.parametrize(("code", "sub_code", "_kind", "alert"), TABLE)
async def test_a_refused_question_says_nothing_about_the_refund(
    bench: Bench, code: str, sub_code: str, _kind: OutcomeKind, alert: str
) -> None:
    refusing(bench, code, sub_code, method="alipay.trade.fastpay.refund.query")
    outcome = await bench.gateway.query_refund(bench.call)
    assert outcome.kind in {UNKNOWN, RETRY}


@pytest.mark.parametrize("sub_code", STATE_CODES)
@pytest.mark.parametrize(
    ("state", "kind", "alert"),
    [("PAID", UNKNOWN, "contradiction"), ("UNPAID", REFUSED, ""), ("CLOSED", REFUSED, ""), ("none", REFUSED, "")],
)
async def test_a_refusal_because_of_the_trade_is_believed_when_the_trade_agrees(
    bench: Bench, sub_code: str, state: str, kind: OutcomeKind, alert: str
) -> None:
    await bench.tell("trades", {"connection": "one", "trade_no": "T2", "amount_minor": 1000, "state": state})
    refusing(bench, "40004", sub_code)
    outcome = await bench.gateway.refund(replace(bench.call, trade_no="T2"))
    assert (outcome.kind, outcome.code, outcome.alert) == (kind, sub_code, alert)


async def test_everything_well(bench: Bench) -> None:
    gateway, call = bench.gateway, bench.call
    assert gateway.spacing_s == 3
    assert (await gateway.query_trade("T1")).paid_minor == 1000
    refunded = await gateway.refund(call)
    assert (refunded.kind, refunded.amount_minor, refunded.code) == (OutcomeKind.SUCCEEDED, 234, "fund_change_y")
    assert refunded.evidence == {"refunded_in_all_minor": 234, "payer_refund_minor": 234}
    assert "138" not in repr(refunded.evidence)
    asked = await gateway.query_refund(call)
    assert (asked.kind, asked.amount_minor, asked.code) == (OutcomeKind.SUCCEEDED, 234, "REFUND_SUCCESS")
    assert datetime.fromisoformat(str(asked.evidence["final_at"])) > datetime.now(UTC) - timedelta(minutes=1)
    again = await gateway.refund(call)
    assert (again.kind, again.code) == (OutcomeKind.SUCCEEDED, "REFUND_SUCCESS"), (
        "a repeat says N, and the query says done"
    )
    assert (await gateway.close_trade("T1")).state is TradeState.PAID
    second = await gateway.refund(replace(call, refund_no="R2", amount_minor=766))
    assert second.evidence["refunded_in_all_minor"] == 1000
    assert (await gateway.query_trade("T1")).state is TradeState.CLOSED, "refunded in full"
    assert (await gateway.query_trade("T9")).state is TradeState.NOT_FOUND
    assert (await gateway.close_trade("T9")).state is TradeState.NOT_FOUND
    assert (await bench.connected.probe()).result is ProbeResult.OK
    assert await bench.violations() == []


async def test_what_is_sent(bench: Bench) -> None:
    await bench.gateway.refund(bench.call)
    method, path, _, raw = bench.outside.seen[-1]
    query = dict(parse_qsl(path.partition("?")[2]))
    assert (method, path.partition("?")[0]) == ("POST", "/c/one/gateway.do")
    assert set(query) == {"app_id", "method", "format", "charset", "sign_type", "timestamp", "version", "sign"}
    assert json.loads(dict(parse_qsl(raw.decode()))["biz_content"]) == {
        "out_trade_no": "T1",
        "refund_amount": "2.34",
        "out_request_no": bench.call.refund_no,
        "refund_reason": "订单取消退款",
    }


async def test_an_unpaid_trade_is_closed(bench: Bench) -> None:
    await bench.tell("trades", {"connection": "one", "trade_no": "T2", "amount_minor": 5, "state": "UNPAID"})
    assert (await bench.gateway.query_trade("T2")).state is TradeState.UNPAID
    assert (await bench.gateway.close_trade("T2")).state is TradeState.CLOSED
    assert (await bench.gateway.close_trade("T2")).state is TradeState.CLOSED, "the error is explained by a query"
    refusing(bench, "20000", "", method="alipay.trade.close")
    assert (await bench.gateway.close_trade("T2")).state is TradeState.UNKNOWN
    answering(bench, "alipay.trade.close", {"code": "10000", "out_trade_no": "OTHER"})
    assert (await bench.gateway.close_trade("T2")).state is TradeState.UNKNOWN
    await bench.tell("trades", {"connection": "one", "trade_no": "T3", "amount_minor": 5, "state": "UNPAID"})
    refusing(bench, "40004", "ACQ.TRADE_STATUS_ERROR", method="alipay.trade.close")
    assert (await bench.gateway.close_trade("T3")).state is TradeState.UNKNOWN, "cannot be closed and is unpaid"


async def test_a_number_used_with_another_amount_is_explained_by_its_query(bench: Bench) -> None:
    await bench.gateway.refund(bench.call)
    outcome = await bench.gateway.refund(replace(bench.call, amount_minor=235))
    assert (outcome.kind, outcome.amount_minor, outcome.alert) == (OutcomeKind.SUCCEEDED, 234, "contradiction")


async def test_limits_of_one_trade(bench: Bench) -> None:
    old = {"connection": "one", "trade_no": "T-OLD", "amount_minor": 1000, "paid_at": time.time() - 366 * 86400}
    await bench.tell("trades", old)
    assert (await bench.gateway.refund(replace(bench.call, trade_no="T-OLD"))).code == "ACQ.TRADE_HAS_FINISHED"
    assert (await bench.gateway.query_trade("T-OLD")).code == "TRADE_FINISHED"
    more = replace(bench.call, amount_minor=1001)
    assert (await bench.gateway.refund(more)).code == "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"
    await bench.tell("connections/one", {"balance_minor": 1})
    assert (await bench.gateway.refund(bench.call)).kind is OutcomeKind.NEEDS_FUNDS
    await bench.tell("connections/one", {"balance_minor": None, "refund_spacing_s": 3_000})
    assert (await bench.gateway.refund(bench.call)).kind is OutcomeKind.SUCCEEDED
    assert (await bench.gateway.refund(replace(bench.call, refund_no="R2"))).code == "40005"


async def test_another_currency_is_not_sent(bench: Bench) -> None:
    outcome = await bench.gateway.refund(replace(bench.call, currency="JPY"))
    assert (outcome.kind, outcome.alert) == (UNKNOWN, "configuration")
    assert bench.outside.seen == []


# absent is not "no" -------------------------------------------------------------------------------------------------


async def test_absent_is_trusted_ten_seconds_after_the_sending(bench: Bench) -> None:
    now = [time.time()]
    gateway: Any = connect("alipay", bench.values, httpx.ASGITransport(bench.outside), clock=lambda: now[0])
    call = replace(bench.call, numbered_at=datetime.fromtimestamp(now[0], UTC), may_have_left=False)
    assert (await gateway.party.query_refund(call)).kind is OutcomeKind.NOT_FOUND, "nobody can have sent it"
    await bench.tell("connections/one", {"refund_mode": "stuck"})
    outcome = await gateway.party.refund(call)
    assert (outcome.kind, outcome.code, outcome.retry_after_s) == (UNKNOWN, "absent_too_early", 10.0)
    now[0] += 9
    assert (await gateway.party.query_refund(call)).retry_after_s == pytest.approx(1)
    now[0] += 1
    assert (await gateway.party.query_refund(call)).kind is OutcomeKind.NOT_FOUND
    await gateway.close()


@pytest.mark.parametrize(("ahead_s", "wait_s"), [(-60, 0), (-4, 6), (0, 10), (3600, 10)])
async def test_what_another_process_may_have_sent_has_its_time_too(bench: Bench, ahead_s: int, wait_s: int) -> None:
    """Counted from the number's own time; a clock that runs ahead of ours is not waited for."""
    now = [time.time()]
    gateway: Any = connect("alipay", bench.values, httpx.ASGITransport(bench.outside), clock=lambda: now[0])
    call = replace(bench.call, numbered_at=datetime.fromtimestamp(now[0] + ahead_s, UTC))
    outcome = await gateway.party.query_refund(call)
    assert outcome.kind is (UNKNOWN if wait_s else OutcomeKind.NOT_FOUND)
    assert (outcome.retry_after_s or 0) == pytest.approx(wait_s, abs=0.001)
    now[0] += 10
    assert (await gateway.party.query_refund(call)).kind is OutcomeKind.NOT_FOUND
    await gateway.close()


async def test_what_was_sent_is_not_remembered_without_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alipay, "REMEMBERED_MAX", 2)
    for n in range(4):
        await bench.gateway.refund(replace(bench.call, refund_no=f"R{n}", amount_minor=1))
    assert list(bench.gateway._sent_at) == ["R2", "R3"]


# signatures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"app_id": "2021000000000000"}, "isv.invalid-app-id"),
        ({"app_private_key": private_key("stranger")}, "isv.invalid-signature"),
    ],
)
async def test_a_signature_that_is_not_ours_is_a_matter_of_settings(
    bench: Bench, change: dict[str, str], code: str
) -> None:
    stranger: Any = bench.reconnect(**change)
    outcome = await stranger.party.refund(bench.call)
    assert (outcome.kind, outcome.code, outcome.alert) == (UNKNOWN, code, "configuration")
    assert (await stranger.probe()).result is ProbeResult.REFUSED
    await stranger.close()
    assert (await bench.ledger())["trades"][0]["refunds"] == []


SUCCESS = {"code": "10000", "msg": "Success", "out_trade_no": "T1", "fund_change": "Y", "refund_fee": "2.34"}


async def test_answers_that_do_not_verify_are_no_answers(bench: Bench) -> None:
    name = "alipay_trade_refund_response"
    text = json.dumps(SUCCESS)
    good = bench.dialect.sign("one", text)
    for body, alert in (
        (f'{{"{name}":{text},"sign":"{base64.b64encode(bytes(256)).decode()}"}}', "answer_unverified"),
        (f'{{"{name}":{text.replace("2.34", "2.35")},"sign":"{good}"}}', "answer_unverified"),
        (f'{{"{name}": {{"x": 1, {text[1:]},"sign":"{good}"}}', "answer_unverified"),
        (f'{{"{name}":{text}}}', "answer_unverified"),
        (f'{{"{name}":{text},"sign":7}}', "answer_unverified"),
        ('{"other_response":{},"sign":"x"}', ""),
        (f'{{"{name}":"text","sign":"{good}"}}', ""),
        ("[]", ""),
        ("{", ""),
        ('{"error_response":{"code":"40002","sub_code":"isv.invalid-signature"}}', "configuration"),
    ):
        bench.outside.answerer = always(Response(body.encode()))
        outcome = await bench.gateway.refund(bench.call)
        assert (outcome.kind, outcome.alert) == (UNKNOWN, alert), body
    for status in (500, 502, 404):
        bench.outside.answerer = always(Response(b"<html>", status_code=status))
        assert (await bench.gateway.refund(bench.call)).code == f"http_{status}"


async def test_the_signature_is_over_the_bytes_as_they_came(bench: Bench) -> None:
    """Line breaks, escapes and braces inside texts: nothing is parsed and written again before it is checked."""
    node = (
        '{\n "code" : "10000", "note":"}\\"{ \\u4e2d", "out_trade_no":"T1" , "fund_change":"Y","refund_fee":"2.34"  }'
    )
    sign = bench.dialect.sign("one", node)
    bench.outside.answerer = always(Response(f'{{ "alipay_trade_refund_response" : {node}, "sign":"{sign}"}}'.encode()))
    assert (await bench.gateway.refund(bench.call)).kind is OutcomeKind.SUCCEEDED


@pytest.mark.parametrize(
    "change",
    [
        {"out_trade_no": "OTHER"},
        {"out_trade_no": None},
        {"refund_fee": None},
        {"refund_fee": 2.34},
        {"refund_fee": "2.345"},
        {"refund_fee": "-2.34"},
        {"refund_fee": "2.33"},
        {"refund_fee": "10.01"},
        {"send_back_fee": "2.35"},
        {"send_back_fee": "x"},
        {"trade_no": 5},
    ],
)
async def test_answers_that_make_no_sense_are_unknown(bench: Bench, change: dict[str, Any]) -> None:
    answering(bench, "alipay.trade.refund", {**SUCCESS, **change})
    outcome = await bench.gateway.refund(bench.call)
    assert outcome.kind is UNKNOWN
    assert outcome.code.startswith("malformed:")


FOUND = {
    "code": "10000",
    "out_trade_no": "T1",
    "refund_status": "REFUND_SUCCESS",
    "refund_amount": "2.34",
    "total_amount": "10.00",
}


@pytest.mark.parametrize(
    "change",
    [
        {"out_request_no": "OTHER"},
        {"out_trade_no": "OTHER"},
        {"refund_status": "REFUND_DONE"},
        {"refund_amount": "0.00"},
        {"refund_amount": "10.01"},
        {"gmt_refund_pay": "yesterday"},
    ],
)
async def test_questions_answered_with_nonsense_are_unknown(bench: Bench, change: dict[str, Any]) -> None:
    node = {**FOUND, "out_request_no": bench.call.refund_no}
    answering(bench, "alipay.trade.fastpay.refund.query", node)
    assert (await bench.gateway.query_refund(bench.call)).kind is OutcomeKind.SUCCEEDED
    answering(bench, "alipay.trade.fastpay.refund.query", {**node, **change})
    assert (await bench.gateway.query_refund(bench.call)).kind is UNKNOWN


@pytest.mark.parametrize("change", [{"trade_status": "PAID"}, {"total_amount": "0"}, {"out_trade_no": "OTHER"}])
async def test_trades_that_make_no_sense_are_unknown(bench: Bench, change: dict[str, Any]) -> None:
    node = {"code": "10000", "out_trade_no": "T1", "trade_status": "TRADE_SUCCESS", "total_amount": "10.00"}
    answering(bench, "alipay.trade.query", node)
    assert (await bench.gateway.query_trade("T1")).paid_minor == 1000
    answering(bench, "alipay.trade.query", {**node, **change})
    assert (await bench.gateway.query_trade("T1")).state is TradeState.UNKNOWN


async def test_the_previous_key_of_alipay_is_still_accepted(bench: Bench) -> None:
    new = load_private_key(private_key("alipay-new")).public_key()
    from cryptography.hazmat.primitives import serialization

    pem = new.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    bare = "".join(pem.splitlines()[1:-1])
    both: Any = bench.reconnect(alipay_public_key=bare, previous_alipay_public_key=bench.values["alipay_public_key"])
    assert (await both.party.refund(bench.call)).kind is OutcomeKind.SUCCEEDED
    await both.close()
    only: Any = bench.reconnect(alipay_public_key=bare)
    assert (await only.party.refund(bench.call)).alert == "answer_unverified"
    await only.close()


def test_amounts_in_yuan() -> None:
    assert [to_yuan(minor) for minor in (0, 1, 10, 100, 123456789)] == ["0.00", "0.01", "0.10", "1.00", "1234567.89"]
    assert [read_yuan({"a": text}, "a") for text in ("0.29", "1", "1.1", "90071992547409.91")] == [
        29,
        100,
        110,
        9007199254740991,
    ]
    for wrong in ("", "1.", ".5", "1.234", "1e3", " 1", "1,00", "٣", 5, 1.1, None, "9" * 15):
        with pytest.raises(Malformed):
            read_yuan({"a": wrong}, "a")


# notifications ------------------------------------------------------------------------------------------------------


def notification(bench: Bench, *, key: str = "one/alipay", **changes: str | None) -> Incoming:
    """As the documentation says it, written for this test; None leaves a field out."""
    fields: dict[str, Any] = {
        "notify_time": datetime.now(BEIJING).strftime("%Y-%m-%d %H:%M:%S"),
        "notify_id": "n1",
        "app_id": bench.values["app_id"],
        "seller_id": bench.values["seller_id"],
        "out_trade_no": "T1",
        "trade_status": "TRADE_SUCCESS",
        "total_amount": "10.00",
        "subject": "背包 & 水=杯+%",
        **changes,
    }
    fields = {name: value for name, value in fields.items() if value is not None}
    text = "&".join(f"{name}={value}" for name, value in sorted(fields.items()))
    signature = load_private_key(private_key(key)).sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    signed = {**fields, "sign_type": "RSA2", "sign": base64.b64encode(signature).decode()}
    return Incoming(headers={}, body=urlencode(signed).encode())


def verified(bench: Bench, incoming: Incoming) -> Any:
    assert bench.connected.verifier is not None
    [news] = bench.connected.verifier.verify(incoming)
    return news


async def test_what_notifications_tell(bench: Bench) -> None:
    paid = {"trade_no": "T1", "amount_minor": 1000, "currency": "CNY"}
    assert verified(bench, notification(bench)).data == paid
    for status, kind in (
        ("TRADE_SUCCESS", "trade.paid"),
        ("TRADE_FINISHED", "trade.paid"),
        ("TRADE_CLOSED", "nothing"),
        ("WAIT_BUYER_PAY", "nothing"),
    ):
        assert verified(bench, notification(bench, trade_status=status)).kind == kind
    refund = {"refund_fee": "2.34", "gmt_refund": "2026-11-01 12:00:00.1", "out_biz_no": "R1"}
    for status in ("TRADE_SUCCESS", "TRADE_CLOSED"):
        news = verified(bench, notification(bench, trade_status=status, **refund))
        assert (news.kind, news.data["refund_no"], news.data["amount_minor"]) == ("refund.succeeded", "R1", 234)
    assert verified(bench, notification(bench, **{**refund, "out_biz_no": None})).kind == "nothing"


async def test_notifications_that_are_not_genuine(bench: Bench) -> None:
    def refused(incoming: Incoming) -> str:
        with pytest.raises(CallbackUnverified) as refusal:
            verified(bench, incoming)
        return str(refusal.value)

    genuine = notification(bench)
    assert refused(notification(bench, key="stranger")) == "wrong"
    assert refused(replace(genuine, body=genuine.body.replace(b"10.00", b"10.01"))) == "wrong"
    assert refused(replace(genuine, body=genuine.body + b"&extra=1")) == "wrong"
    assert refused(replace(genuine, body=genuine.body + b"&out_trade_no=T2")) == "malformed"
    assert refused(replace(genuine, body=genuine.body.replace(b"RSA2", b"RSA"))) == "wrong"
    assert refused(replace(genuine, body=b"a=b")) == "missing"
    assert refused(replace(genuine, body=b"a=" + b"b" * 64_000)) == "too_large"
    assert refused(replace(genuine, body=b"&".join(b"a%d=b" % n for n in range(101)))) == "malformed"
    assert refused(replace(genuine, body=b"a=%ff")) == "malformed"
    assert refused(notification(bench, app_id="2021999999999999")) == "malformed"
    assert refused(notification(bench, seller_id="2088999999999999")) == "malformed"
    assert refused(notification(bench, notify_time="2020-01-01 00:00:00")) == "expired"
    assert refused(notification(bench, notify_time="noon")) == "expired"
    assert refused(notification(bench, total_amount="ten")) == "malformed"
    assert refused(notification(bench, notify_id=None)) == "malformed"


async def test_the_sandbox_notifies_and_wants_to_hear_success(bench: Bench) -> None:
    await bench.gateway.refund(bench.call)
    [news] = await bench.wait_for_news(1)
    assert (news.kind, news.data["refund_no"]) == ("refund.succeeded", bench.call.refund_no)
    await bench.tell("trades", {"connection": "one", "trade_no": "T2", "amount_minor": 1200, "state": "UNPAID"})
    await bench.tell("trades/one/T2/pay", {})
    news = (await bench.wait_for_news(2))[1]
    assert (news.kind, news.data) == ("trade.paid", {"trade_no": "T2", "amount_minor": 1200, "currency": "CNY"})
    assert {row["state"] for row in (await bench.ledger())["callbacks"]} == {"DELIVERED"}
    assert not bench.dialect.is_taken(200, b""), "an empty 200 is not a yes"
    assert not bench.dialect.is_taken(200, b'"success"')


# a third reading of the protocol ------------------------------------------------------------------------------------


def sdk_of(bench: Bench, url: str) -> Any:
    from alipay import AliPay

    sdk = AliPay(
        appid=bench.values["app_id"],
        app_private_key_string=bench.values["app_private_key"],
        alipay_public_key_string=bench.values["alipay_public_key"],
    )
    sdk._gateway = f"{url}/c/one/gateway.do"
    return sdk


async def test_the_python_sdk_and_the_sandbox_agree(bench: Bench) -> None:
    """It sends everything by GET, and verifies every answer itself: a signature that does not hold raises."""
    from alipay.exceptions import AliPayValidationError

    async with on_a_port(bench.inside) as url:
        sdk = sdk_of(bench, url)
        answer = await asyncio.to_thread(
            sdk.api_alipay_trade_refund, out_trade_no="T1", refund_amount="2.34", out_request_no="SDK-1"
        )
        assert (answer["code"], answer["fund_change"], answer["refund_fee"]) == ("10000", "Y", "2.34")
        answer = await asyncio.to_thread(
            sdk.api_alipay_trade_refund, trade_no=answer["trade_no"], refund_amount="2.34", out_request_no="SDK-1"
        )
        assert (answer["code"], answer["fund_change"]) == ("10000", "N")
        answer = await asyncio.to_thread(
            sdk.api_alipay_trade_fastpay_refund_query, out_request_no="SDK-1", out_trade_no="T1"
        )
        assert (answer["refund_status"], answer["refund_amount"]) == ("REFUND_SUCCESS", "2.34")
        answer = await asyncio.to_thread(sdk.api_alipay_trade_query, out_trade_no="T1")
        assert (answer["trade_status"], answer["total_amount"]) == ("TRADE_SUCCESS", "10.00")
        answer = await asyncio.to_thread(sdk.api_alipay_trade_close, out_trade_no="T9")
        assert (answer["code"], answer["sub_code"]) == ("40004", "ACQ.TRADE_NOT_EXIST")
        await bench.tell("faults", {"fault": "bad_signature"})
        with pytest.raises(AliPayValidationError):
            await asyncio.to_thread(sdk.api_alipay_trade_query, out_trade_no="T1")
        sdk._app_private_key = sdk_of_stranger(bench)._app_private_key
        answer = await asyncio.to_thread(sdk.api_alipay_trade_query, out_trade_no="T1")
        assert answer["sub_code"] == "isv.invalid-signature"


def sdk_of_stranger(bench: Bench) -> Any:
    from alipay import AliPay

    return AliPay(
        appid=bench.values["app_id"],
        app_private_key_string=private_key("stranger"),
        alipay_public_key_string=bench.values["alipay_public_key"],
    )


async def test_the_python_sdk_accepts_the_sandboxs_notifications(bench: Bench) -> None:
    await bench.gateway.refund(bench.call)
    [incoming] = await bench.wait_for_callbacks(1)
    fields = dict(parse_qsl(incoming.body.decode(), keep_blank_values=True))
    signature = fields.pop("sign")
    assert await asyncio.to_thread(sdk_of(bench, "").verify, dict(fields), signature)
    assert not await asyncio.to_thread(sdk_of(bench, "").verify, {**fields, "refund_fee": "9.99"}, signature)


async def test_our_signature_is_that_of_the_sdk(bench: Bench) -> None:
    from unwind.adapters.payment.alipay_signing import sign_request

    parameters = {"app_id": "1", "method": "m", "sign_type": "RSA2", "biz_content": '{"a":"退款 &="}'}
    ours = sign_request(load_private_key(bench.values["app_private_key"]), {**parameters, "empty": ""})
    theirs = dict(parse_qsl(sdk_of(bench, "").sign_data(dict(parameters))))
    assert ours == theirs
