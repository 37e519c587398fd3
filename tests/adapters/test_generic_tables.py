"""Every row of the contract -> the outcome in our words; and everything that is not in the contract -> UNKNOWN."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import structlog
from signed_answers import HOLD, MESSAGE, NOW, PARCEL, REFUND, SECRET, SHOP, answering, failing, make_client

from unwind.adapters.generic import (
    GenericCarrier,
    GenericNotifier,
    GenericPaymentGateway,
    GenericShop,
    GenericWarehouse,
)
from unwind.adapters.inbox import InboxNotifier
from unwind.domain.outcome import Outcome, OutcomeKind, TradeOutcome, TradeState
from unwind.ports.carrier import Tracking

ACCEPTED = {
    "refund_no": "R1",
    "trade_no": "T1",
    "amount_minor": 100,
    "currency": "CNY",
    "status": "SUCCESS",
    "reference": "rf_1",
    "final_at": "2027-01-15T08:00:00.123+08:00",
}
TRADE = {"trade_no": "T1", "state": "PAID", "amount_minor": 1000, "currency": "CNY", "refunded_minor": 100}


async def refund(transport: httpx.AsyncBaseTransport, **options: Any) -> Outcome:
    async with make_client(transport, **options) as client:
        return await GenericPaymentGateway(client).refund(REFUND)


async def query(transport: httpx.AsyncBaseTransport) -> Outcome:
    async with make_client(transport) as client:
        return await GenericPaymentGateway(client).query_refund(REFUND)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("SUCCESS", OutcomeKind.SUCCEEDED),
        ("PROCESSING", OutcomeKind.PROCESSING),
        ("CLOSED", OutcomeKind.NEEDS_NEW_NUMBER),
        ("ABNORMAL", OutcomeKind.ABNORMAL),
        ("success", OutcomeKind.UNKNOWN),
        ("REFUNDED", OutcomeKind.UNKNOWN),
        (None, OutcomeKind.UNKNOWN),
        (1, OutcomeKind.UNKNOWN),
    ],
)
async def test_refund_status(status: object, kind: OutcomeKind) -> None:
    transport = answering(200, {**ACCEPTED, "status": status})
    assert (await refund(transport)).kind is kind
    assert (await query(transport)).kind is kind


async def test_accepted_refund_in_full() -> None:
    assert await refund(answering(200, ACCEPTED)) == Outcome(
        kind=OutcomeKind.SUCCEEDED,
        code="SUCCESS",
        reference="rf_1",
        amount_minor=100,
        evidence={"final_at": "2027-01-15T08:00:00.123000+08:00"},
    )


@pytest.mark.parametrize(
    "change",
    [
        {"refund_no": "R2"},
        {"trade_no": "T2"},
        {"currency": "USD"},
        {"currency": None},
        {"amount_minor": "100"},
        {"amount_minor": 100.0},
        {"amount_minor": True},
        {"amount_minor": 0},
        {"amount_minor": -100},
        {"amount_minor": 1001},
        {"amount_minor": None},
        {"reference": {"not": "text"}},
        {"reference": "x" * 129},
        {"reference": "nul\u0000"},
        {"final_at": "yesterday"},
        {"final_at": "2027-01-15T08:00:00"},
        {"final_at": "2027-13-15T08:00:00Z"},
        {"final_at": 5},
    ],
)
async def test_answers_that_cannot_be_true_are_no_answers(change: dict[str, object]) -> None:
    transport = answering(200, {**ACCEPTED, **change})
    name = next(iter(change))
    for outcome in (await refund(transport), await query(transport)):
        assert (outcome.kind, outcome.code) == (OutcomeKind.UNKNOWN, f"malformed:{name}")


async def test_another_amount_is_for_the_query_to_tell() -> None:
    transport = answering(200, {**ACCEPTED, "amount_minor": 250})
    assert (await refund(transport)).kind is OutcomeKind.UNKNOWN
    asked = await query(transport)
    assert (asked.kind, asked.amount_minor) == (OutcomeKind.SUCCEEDED, 250)


@pytest.mark.parametrize(
    ("status", "code", "refund_kind", "query_kind"),
    [
        (400, "PARAM_ERROR", OutcomeKind.UNKNOWN, OutcomeKind.UNKNOWN),
        (401, "SIGN_ERROR", OutcomeKind.UNKNOWN, OutcomeKind.UNKNOWN),
        (401, "NONCE_REUSED", OutcomeKind.UNKNOWN, OutcomeKind.UNKNOWN),
        (403, "NOT_ENOUGH", OutcomeKind.NEEDS_FUNDS, OutcomeKind.NEEDS_FUNDS),
        (403, "OVER_REFUND", OutcomeKind.REFUSED, OutcomeKind.REFUSED),
        (403, "NOT_PAID", OutcomeKind.REFUSED, OutcomeKind.REFUSED),
        (403, "TRADE_CLOSED", OutcomeKind.REFUSED, OutcomeKind.REFUSED),
        (403, "SOMETHING_NEW", OutcomeKind.UNKNOWN, OutcomeKind.UNKNOWN),
        (404, "NOT_FOUND", OutcomeKind.REFUSED, OutcomeKind.NOT_FOUND),
        (404, "NO_SUCH_ROUTE", OutcomeKind.UNKNOWN, OutcomeKind.UNKNOWN),
        (409, "NUMBER_REUSED", OutcomeKind.UNKNOWN, OutcomeKind.UNKNOWN),
        (409, "CONFLICT", OutcomeKind.UNKNOWN, OutcomeKind.UNKNOWN),
        (429, "RATE_LIMITED", OutcomeKind.RETRY_SAME_NUMBER, OutcomeKind.RETRY_SAME_NUMBER),
        (500, "SYSTEM_ERROR", OutcomeKind.UNKNOWN, OutcomeKind.UNKNOWN),
        (503, "NOT_ENOUGH", OutcomeKind.UNKNOWN, OutcomeKind.UNKNOWN),
        (302, "NOT_FOUND", OutcomeKind.UNKNOWN, OutcomeKind.UNKNOWN),
        (201, "", OutcomeKind.UNKNOWN, OutcomeKind.UNKNOWN),
    ],
)
async def test_errors(status: int, code: str, refund_kind: OutcomeKind, query_kind: OutcomeKind) -> None:
    transport = answering(status, {"code": code, "message": "for people"})
    outcome = await refund(transport)
    assert (outcome.kind, outcome.code) == (refund_kind, code or "malformed_code")
    assert (await query(transport)).kind is query_kind


@pytest.mark.parametrize("code", [None, 7, {"a": 1}, "王小明 13800001234", "x" * 65])
async def test_code_that_is_no_code_is_not_repeated(code: object) -> None:
    outcome = await refund(answering(403, {"code": code}))
    assert (outcome.kind, outcome.code) == (OutcomeKind.UNKNOWN, "malformed_code")


@pytest.mark.parametrize(
    ("header", "retry_after_s"),
    [("7", 7.0), ("0", 0.0), ("999999", 3600.0), ("", None), ("soon", None), ("-1", None), ("1.5", None)],
)
async def test_rate_limit_says_when(header: str, retry_after_s: float | None) -> None:
    outcome = await refund(answering(429, {"code": "RATE_LIMITED"}, headers={"Retry-After": header}))
    assert (outcome.kind, outcome.retry_after_s) == (OutcomeKind.RETRY_SAME_NUMBER, retry_after_s)


@pytest.mark.parametrize("status", [200, 401, 403, 404, 429, 500])
@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"is_signed": False}, "unverified:missing"),
        ({"secret": "another"}, "unverified:wrong"),
        ({"timestamp": int(NOW) - 301}, "unverified:expired"),
        ({"timestamp": int(NOW) + 301}, "unverified:expired"),
        ({"nonce": "an-older-call-of-ours"}, "answer_to_another_call"),
        ({"headers": {"X-Signature": "not hex"}}, "unverified:missing"),
    ],
)
async def test_unverifiable_answers_are_no_answers(status: int, options: dict[str, Any], code: str) -> None:
    body = ACCEPTED if status == 200 else {"code": "NOT_FOUND"}
    transport = answering(status, body, **options)
    for outcome in (await refund(transport), await query(transport)):
        assert (outcome.kind, outcome.code) == (OutcomeKind.UNKNOWN, code)
        assert outcome.evidence == {"http_status": status}


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "malformed"),
        (b"{", "malformed"),
        (b"[]", "malformed"),
        (b'"SUCCESS"', "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"{" * 100_000, "malformed"),
        (b" " * 1_000_001, "too_large"),
    ],
)
async def test_bodies_that_are_no_answers(raw: bytes, code: str) -> None:
    outcome = await refund(answering(200, raw))
    assert (outcome.kind, outcome.code) == (OutcomeKind.UNKNOWN, code)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("refused"), OutcomeKind.RETRY_SAME_NUMBER),
        (httpx.ConnectTimeout("no route"), OutcomeKind.RETRY_SAME_NUMBER),
        (httpx.PoolTimeout("busy"), OutcomeKind.RETRY_SAME_NUMBER),
        (httpx.ReadTimeout("slow"), OutcomeKind.UNKNOWN),
        (httpx.WriteTimeout("slow"), OutcomeKind.UNKNOWN),
        (httpx.ReadError("reset"), OutcomeKind.UNKNOWN),
        (httpx.WriteError("reset"), OutcomeKind.UNKNOWN),
        (httpx.RemoteProtocolError("cut"), OutcomeKind.UNKNOWN),
        (ConnectionResetError("cut"), OutcomeKind.UNKNOWN),
    ],
)
async def test_connection_trouble(error: Exception, kind: OutcomeKind) -> None:
    assert (await refund(failing(error))).kind is kind


async def test_whole_call_is_bounded() -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError

    outcome = await refund(httpx.MockTransport(never), timeout_s=0.05)
    assert (outcome.kind, outcome.code) == (OutcomeKind.UNKNOWN, "timeout")


async def test_refused_port_is_certainly_not_executed() -> None:
    outcome = await refund(httpx.AsyncHTTPTransport(), base_url="http://127.0.0.1:9")
    assert outcome.kind is OutcomeKind.RETRY_SAME_NUMBER


@pytest.mark.parametrize(
    ("answer", "closed", "asked"),
    [
        ((200, {**TRADE, "state": "CLOSED"}), TradeState.CLOSED, TradeState.CLOSED),
        ((200, TRADE), TradeState.PAID, TradeState.PAID),
        ((200, {**TRADE, "state": "UNPAID"}), TradeState.UNKNOWN, TradeState.UNPAID),
        ((200, {**TRADE, "state": "OPEN"}), TradeState.UNKNOWN, TradeState.UNKNOWN),
        ((200, {**TRADE, "trade_no": "T2"}), TradeState.UNKNOWN, TradeState.UNKNOWN),
        ((200, {**TRADE, "amount_minor": "1000"}), TradeState.PAID, TradeState.UNKNOWN),
        ((200, {**TRADE, "refunded_minor": 1001}), TradeState.PAID, TradeState.UNKNOWN),
        ((200, {**TRADE, "currency": "yuan"}), TradeState.PAID, TradeState.UNKNOWN),
        ((404, {"code": "NOT_FOUND"}), TradeState.NOT_FOUND, TradeState.NOT_FOUND),
        ((404, {"code": "NO_ROUTE"}), TradeState.UNKNOWN, TradeState.UNKNOWN),
        ((429, {"code": "RATE_LIMITED"}), TradeState.UNKNOWN, TradeState.UNKNOWN),
        ((403, {"code": "NOT_PAID"}), TradeState.UNKNOWN, TradeState.UNKNOWN),
    ],
)
async def test_trades(answer: tuple[int, dict[str, object]], closed: TradeState, asked: TradeState) -> None:
    async with make_client(answering(*answer)) as client:
        gateway = GenericPaymentGateway(client)
        assert (await gateway.close_trade("T1")).state is closed
        trade = await gateway.query_trade("T1")
    assert trade.state is asked
    assert trade.paid_minor == (1000 if asked is TradeState.PAID else None)


async def test_paid_trade_in_full() -> None:
    async with make_client(answering(200, TRADE)) as client:
        trade = await GenericPaymentGateway(client).query_trade("T1")
    assert trade == TradeOutcome(state=TradeState.PAID, paid_minor=1000, code="PAID")


@pytest.mark.parametrize(
    ("status", "body", "held", "asked", "stage"),
    [
        (200, {"result": "CANCELLED", "stage": "NEW"}, OutcomeKind.SUCCEEDED, OutcomeKind.SUCCEEDED, "released"),
        (200, {"result": "REJECTED", "stage": "HANDED_OVER"}, OutcomeKind.REFUSED, OutcomeKind.REFUSED, "handed_over"),
        (200, {"result": "PENDING", "stage": "PICKING"}, OutcomeKind.PROCESSING, OutcomeKind.PROCESSING, "picking"),
        (200, {"result": "CANCELLED", "stage": "HANDED_OVER"}, OutcomeKind.UNKNOWN, OutcomeKind.UNKNOWN, None),
        (200, {"result": "CANCELLED", "stage": "SHIPPED"}, OutcomeKind.UNKNOWN, OutcomeKind.UNKNOWN, None),
        (200, {"result": "CANCELLED"}, OutcomeKind.UNKNOWN, OutcomeKind.UNKNOWN, None),
        (200, {"result": "OK", "stage": "NEW"}, OutcomeKind.UNKNOWN, OutcomeKind.UNKNOWN, None),
        (404, {"code": "NOT_FOUND"}, OutcomeKind.UNKNOWN, OutcomeKind.NOT_FOUND, None),
        (409, {"code": "CONFLICT"}, OutcomeKind.UNKNOWN, OutcomeKind.UNKNOWN, None),
    ],
)
async def test_warehouse(
    status: int, body: dict[str, str], held: OutcomeKind, asked: OutcomeKind, stage: str | None
) -> None:
    async with make_client(answering(status, {**body, "wms_ref": "w1", "message": "王小明"})) as client:
        warehouse = GenericWarehouse(client)
        outcomes = (await warehouse.hold(HOLD), await warehouse.query_hold(HOLD))
    assert [outcome.kind for outcome in outcomes] == [held, asked]
    assert [outcome.evidence.get("stage") for outcome in outcomes] == [stage, stage]
    assert "王小明" not in str(outcomes)


@pytest.mark.parametrize(
    ("result", "stage", "method", "kind"),
    [
        ("VOIDED", "label_printed", "void_waybill", OutcomeKind.SUCCEEDED),
        ("REJECTED", "in_transit", "void_waybill", OutcomeKind.REFUSED),
        ("ACCEPTED", "in_transit", "void_waybill", OutcomeKind.UNKNOWN),
        ("VOIDED", "delivered", "void_waybill", OutcomeKind.UNKNOWN),
        ("ACCEPTED", "in_transit", "recall", OutcomeKind.PROCESSING),
        ("REJECTED", "delivered", "recall", OutcomeKind.REFUSED),
        ("RETURNED", "returned", "recall", OutcomeKind.UNKNOWN),
        ("ACCEPTED", "in_transit", "query_recall", OutcomeKind.PROCESSING),
        ("RETURNING", "returning", "query_recall", OutcomeKind.SUCCEEDED),
        ("RETURNED", "returned", "query_recall", OutcomeKind.SUCCEEDED),
        ("FAILED", "out_for_delivery", "query_recall", OutcomeKind.REFUSED),
        ("DELIVERED", "delivered", "query_recall", OutcomeKind.REFUSED),
        ("RETURNING", "delivered", "query_recall", OutcomeKind.UNKNOWN),
        ("DELIVERED", "returned", "query_recall", OutcomeKind.UNKNOWN),
        ("RETURNING", "on_the_moon", "query_recall", OutcomeKind.UNKNOWN),
    ],
)
async def test_carrier(result: str, stage: str, method: str, kind: OutcomeKind) -> None:
    body = {"result": result, "stage": stage, "recall_ref": "k1", "return_waybill_no": "RT1", "fee_minor": 1200}
    async with make_client(answering(200, body)) as client:
        outcome = await getattr(GenericCarrier(client), method)(PARCEL)
    assert outcome.kind is kind
    if kind is not OutcomeKind.UNKNOWN:
        assert outcome.evidence["stage"] == stage
    if kind is OutcomeKind.SUCCEEDED and method == "query_recall":
        assert (outcome.evidence["return_waybill_no"], outcome.evidence["fee_minor"]) == ("RT1", 1200)


@pytest.mark.parametrize("fee_minor", ["1200", -1, 1.5, True])
async def test_recall_fee_is_an_amount(fee_minor: object) -> None:
    body = {"result": "RETURNED", "stage": "returned", "return_waybill_no": None, "fee_minor": fee_minor}
    async with make_client(answering(200, body)) as client:
        assert (await GenericCarrier(client).query_recall(PARCEL)).kind is OutcomeKind.UNKNOWN


async def test_recall_never_asked() -> None:
    async with make_client(answering(404, {"code": "NOT_FOUND"})) as client:
        carrier = GenericCarrier(client)
        assert (await carrier.query_recall(PARCEL)).kind is OutcomeKind.NOT_FOUND
        assert (await carrier.recall(PARCEL)).kind is OutcomeKind.UNKNOWN
        assert (await carrier.void_waybill(PARCEL)).kind is OutcomeKind.UNKNOWN
        assert isinstance(await carrier.track("SF1"), Outcome)


TRACK = {
    "waybill_no": "SF1",
    "events": [
        {"at": "2027-01-15T10:00:00+08:00", "stage": "in_transit", "place": "杭州转运中心"},
        {"at": "2027-01-15T01:00:00Z", "stage": "handed_over"},
    ],
    "fed_at": "2027-01-15T10:05:00+08:00",
    "return_waybill_no": None,
}


async def test_track() -> None:
    async with make_client(answering(200, TRACK)) as client:
        tracking = await GenericCarrier(client).track("SF1")
        assert isinstance(tracking, Tracking)
    assert [event.stage for event in tracking.events] == ["handed_over", "in_transit"]
    assert tracking.events[1].place == "杭州转运中心"
    assert tracking.fed_at == datetime(2027, 1, 15, 2, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "change",
    [
        {"waybill_no": "SF2"},
        {"events": None},
        {"events": ["text"]},
        {"events": [{"stage": "in_transit"}]},
        {"events": [{"at": "2027-01-15T01:00:00Z", "stage": "flying"}]},
        {"events": [{"at": "2027-01-15T01:00:00Z", "stage": "in_transit", "place": 5}]},
        {"events": [{"at": "2027-01-15T01:00:00Z", "stage": "in_transit"}] * 1001},
        {"fed_at": "now"},
    ],
)
async def test_tracks_that_make_no_sense_are_none(change: dict[str, object]) -> None:
    async with make_client(answering(200, {**TRACK, **change})) as client:
        answer = await GenericCarrier(client).track("SF1")
        assert isinstance(answer, Outcome)
        assert answer.kind is OutcomeKind.UNKNOWN


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"request_id": "C1", "result": "DONE"}, OutcomeKind.SUCCEEDED),
        ({"request_id": "C1", "result": "REJECTED"}, OutcomeKind.REFUSED),
        ({"request_id": "C1", "result": "PENDING"}, OutcomeKind.PROCESSING),
        ({"request_id": "C1", "result": "MAYBE"}, OutcomeKind.UNKNOWN),
        ({"request_id": "C2", "result": "DONE"}, OutcomeKind.UNKNOWN),
        ({"result": "DONE"}, OutcomeKind.UNKNOWN),
    ],
)
async def test_shop(body: dict[str, str], kind: OutcomeKind) -> None:
    async with make_client(answering(200, body)) as client:
        shop = GenericShop(client)
        assert (await shop.cancel_lines(SHOP)).kind is kind
        assert (await shop.query_cancel(SHOP)).kind is kind


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"message_id": "M1", "result": "SENT", "reference": "m1"}, OutcomeKind.SUCCEEDED),
        ({"message_id": "M1", "result": "FAILED"}, OutcomeKind.REFUSED),
        ({"message_id": "M1", "result": "QUEUED"}, OutcomeKind.UNKNOWN),
        ({"message_id": "M2", "result": "SENT"}, OutcomeKind.UNKNOWN),
    ],
)
async def test_notifier(body: dict[str, str], kind: OutcomeKind) -> None:
    async with make_client(answering(200, body)) as client:
        notifier = GenericNotifier(client)
        assert notifier.resend_is_safe
        assert (await notifier.send(MESSAGE)).kind is kind


async def test_inbox_is_our_own() -> None:
    assert InboxNotifier.resend_is_safe
    assert (await InboxNotifier().send(MESSAGE)).kind is OutcomeKind.SUCCEEDED


async def test_nothing_personal_is_logged() -> None:
    with structlog.testing.capture_logs() as logs:
        for transport in (
            failing(httpx.ReadError("13800001234")),
            answering(500, {"code": "王小明"}),
            answering(200, {"message_id": "13800001234"}),
            answering(200, b"13800001234", is_signed=False),
        ):
            async with make_client(transport) as client:
                outcome = await GenericNotifier(client).send(MESSAGE)
            assert "13800001234" not in str(outcome)
    assert len(logs) == 4
    assert "13800001234" not in str(logs)
    assert "王小明" not in str(logs)
    assert SECRET not in str(logs)


@pytest.mark.parametrize(
    ("number", "segment"), [("SF 1/2", "SF%201%2F2"), ("..", "%2E%2E"), ("a?b#c", "a%3Fb%23c"), ("单1", "%E5%8D%951")]
)
async def test_numbers_cannot_leave_their_place_in_the_path(number: str, segment: str) -> None:
    paths: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.raw_path.decode())
        return httpx.Response(500, stream=httpx.ByteStream(b""))

    async with make_client(httpx.MockTransport(answer)) as client:
        await GenericCarrier(client).track(number)
    assert paths == [f"/c/pay1/waybills/{segment}/track"]


async def test_nonce_must_be_usable() -> None:
    client = make_client(answering(200, ACCEPTED))
    client._nonces = lambda: "short"
    async with client:
        with pytest.raises(ValueError, match="nonce"):
            await GenericPaymentGateway(client).refund(REFUND)
