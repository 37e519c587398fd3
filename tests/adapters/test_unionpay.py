"""UnionPay: every code of its table, the signature that is hashed twice, whose certificate is believed, and numbers that have a time in them."""

import base64
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from pydantic import ValidationError
from starlette.responses import Response

from sandbox.dialects.frame import Asked
from tests.paying import UNIONPAY_TRADE, Bench, always, connect, open_bench
from tests.world import private_key
from unwind.adapters.payment.keys import load_private_key, sign
from unwind.adapters.payment.unionpay import clearing_day, inner_code, number_of_refund
from unwind.adapters.payment.unionpay_codes import ERRORS
from unwind.adapters.payment.unionpay_signing import SigningKey, digest, sign_message
from unwind.adapters.registry import PROVIDERS
from unwind.domain.outcome import OutcomeKind, TradeState
from unwind.ports.callback import CallbackUnverified, Incoming
from unwind.ports.probe import ProbeResult

UNKNOWN = OutcomeKind.UNKNOWN
TABLE: list[tuple[str, OutcomeKind, str]] = [
    *((code, UNKNOWN, "") for code in ("01", "03", "04", "05", "12", "34", "60")),
    ("11", UNKNOWN, "configuration"),
    ("30", UNKNOWN, "unknown_code"),
    ("99", UNKNOWN, "unknown_code"),
    ("ZZ", UNKNOWN, "unknown_code"),
]
"""respCode of a refund that was not accepted. A code that is not in the table is not a failure before the transaction was asked for."""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(open_bench("unionpay", tmp_path))


def given(request: Any) -> dict[str, str]:
    """What was asked, kept by the interposer."""
    return dict(parse_qsl(request._body.decode()))


def answering(bench: Bench, how: Any, *, path: str = "backTransReq", order_id: str = "") -> None:
    def answer(request: Any) -> Response | None:
        fields = given(request)
        if path not in request.url.path or (order_id and fields["orderId"] != order_id):
            return None
        response: Response = how(
            bench.dialect.responder("one", Asked(operation="", body={}, context={"given": fields}))
        )
        return response

    bench.outside.answerer = answer


def test_the_vector_of_the_protocol() -> None:
    parameters = {
        "txnType": "04",
        "accessType": "0",
        "txnAmt": "100",
        "bizType": "000201",
        "orderId": "RF20250101000001",
        "signature": "left out",
        "reserved": "",
    }
    expected = b"eed74f715090b147416ff234f80aabe7c566a090c43198d773da35c28b4f2c03"
    assert digest(parameters) == expected
    key = load_private_key(private_key("anyone"))
    signed = sign_message(SigningKey(key, "77"), {"a": "1", "empty": ""})
    assert signed == {"a": "1", "certId": "77", "signature": sign(key, digest({"a": "1", "certId": "77"}))}


def test_the_table_is_complete() -> None:
    assert {code for code, _, alert in TABLE if alert != "unknown_code"} | {"00", "A6"} == set(ERRORS.kinds)


@pytest.mark.parametrize(("code", "kind", "alert"), TABLE)
async def test_every_code_of_a_refund(bench: Bench, code: str, kind: OutcomeKind, alert: str) -> None:
    answering(bench, lambda responder: responder.error(code))
    outcome = await bench.gateway.refund(bench.call)
    assert (outcome.kind, outcome.code, outcome.alert) == (kind, code, alert)
    assert outcome.evidence["inner_code"] == "2040004"
    assert "失败" not in repr(outcome)


@pytest.mark.parametrize("code", ["00", "A6"])
async def test_accepted_is_not_done(bench: Bench, code: str) -> None:
    outcome = await bench.gateway.refund(bench.call)
    assert (outcome.kind, outcome.amount_minor) == (OutcomeKind.PROCESSING, 234)
    original = bench.outside.seen[-1][3]
    echo = {"txnAmt": "234", "queryId": "1", "origQryId": dict(parse_qsl(original.decode()))["origQryId"]}
    answering(bench, lambda responder: responder.error(code, **echo))
    assert (await bench.gateway.refund(bench.call)).kind is OutcomeKind.PROCESSING


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("00", OutcomeKind.SUCCEEDED),
        ("A6", OutcomeKind.SUCCEEDED),
        *((code, UNKNOWN) for code in ("01", "03", "04", "05", "12", "34", "60")),
        ("30", OutcomeKind.REFUSED),
        ("99", OutcomeKind.REFUSED),
    ],
)
async def test_every_code_of_the_transaction_itself(bench: Bench, code: str, kind: OutcomeKind) -> None:
    answering(bench, lambda responder: responder.answer_with(code), path="queryTrans")
    outcome = await bench.gateway.query_refund(bench.call)
    assert (outcome.kind, outcome.code) == (kind, code)
    if kind is OutcomeKind.REFUSED:
        assert outcome.evidence == {"inner_code": "2040004"}


@pytest.mark.parametrize(("code", "_kind", "alert"), TABLE)
async def test_a_refused_question_says_nothing_about_the_refund(
    bench: Bench, code: str, _kind: OutcomeKind, alert: str
) -> None:
    answering(bench, lambda responder: responder.error(code), path="queryTrans")
    outcome = await bench.gateway.query_refund(bench.call)
    assert outcome.kind is (OutcomeKind.NOT_FOUND if code == "34" else UNKNOWN)
    assert outcome.alert == ("" if code == "34" else alert)


async def test_everything_well(bench: Bench) -> None:
    gateway, call = bench.gateway, bench.call
    assert gateway.spacing_s == 0
    assert (await gateway.query_refund(call)).kind is OutcomeKind.NOT_FOUND
    assert (await gateway.refund(call)).kind is OutcomeKind.PROCESSING
    asked = await gateway.query_refund(call)
    assert (asked.kind, asked.amount_minor, asked.code) == (OutcomeKind.SUCCEEDED, 234, "00")
    assert asked.evidence == {"settle_date": "1231"}
    assert (await gateway.refund(call)).kind is OutcomeKind.PROCESSING, "the same three: the same refund"
    trade = await gateway.query_trade(UNIONPAY_TRADE)
    assert (trade.state, trade.paid_minor) == (TradeState.PAID, 1000)
    assert (await gateway.close_trade(UNIONPAY_TRADE)).state is TradeState.PAID
    assert (await gateway.query_trade("NOBODY00:20261101115900")).state is TradeState.NOT_FOUND
    assert (await bench.connected.probe()).result is ProbeResult.OK
    [refund] = (await bench.ledger())["trades"][0]["refunds"]
    assert refund["money_moved_times"] == 1
    assert await bench.violations() == []


async def test_what_is_sent(bench: Bench) -> None:
    await bench.gateway.refund(bench.call)
    method, path, _, raw = bench.outside.seen[-1]
    fields = dict(parse_qsl(raw.decode()))
    assert (method, path) == ("POST", "/c/one/gateway/api/backTransReq.do")
    cert_id, signature, original = fields.pop("certId"), fields.pop("signature"), fields.pop("origQryId")
    assert cert_id == str(bench.dialect.certificate("one", "merchant").serial_number)
    assert len(base64.b64decode(signature)) == 256
    assert original
    assert fields == {
        "version": "5.1.0",
        "encoding": "UTF-8",
        "signMethod": "01",
        "txnType": "04",
        "txnSubType": "00",
        "bizType": "000201",
        "accessType": "0",
        "channelType": "07",
        "merId": bench.values["mer_id"],
        "orderId": bench.call.refund_no,
        "txnTime": "20261101120506",
        "currencyCode": "156",
        "txnAmt": "234",
        "backUrl": "http://unwind.test/callbacks/one",
    }


async def test_without_an_address_of_ours_no_notice_is_wanted(bench: Bench) -> None:
    quiet: Any = connect("unionpay", bench.values, httpx.ASGITransport(bench.outside), callback_url="")
    assert (await quiet.party.refund(bench.call)).kind is OutcomeKind.PROCESSING
    assert dict(parse_qsl(bench.outside.seen[-1][3].decode()))["backUrl"] == "http://www.specialUrl.com"
    await quiet.close()


async def test_the_time_is_part_of_the_number(bench: Bench) -> None:
    await bench.gateway.refund(bench.call)
    later = replace(bench.call, numbered_at=bench.call.numbered_at + timedelta(seconds=1))
    assert (await bench.gateway.query_refund(later)).kind is OutcomeKind.NOT_FOUND
    assert (await bench.gateway.refund(later)).code == "12"
    more = replace(bench.call, amount_minor=235)
    assert (await bench.gateway.refund(more)).code == "12"
    assert len((await bench.ledger())["trades"][0]["refunds"]) == 1


def test_the_time_is_beijing_time_whatever_the_zone() -> None:
    from tests.paying import REFUND

    new_york = REFUND.numbered_at.astimezone(__import__("zoneinfo").ZoneInfo("America/New_York"))
    assert number_of_refund(replace(REFUND, numbered_at=new_york)) == number_of_refund(REFUND)


async def test_an_unpaid_order_ends_by_itself(bench: Bench) -> None:
    trade_no = "PAY20261101000002:20261101120000"
    await bench.tell("trades", {"connection": "one", "trade_no": trade_no, "amount_minor": 5, "state": "UNPAID"})
    assert (await bench.gateway.close_trade(trade_no)).state is TradeState.UNPAID
    assert (await bench.gateway.query_trade(trade_no)).state is TradeState.UNPAID
    for code in ("03", "04", "05"):
        answering(bench, lambda responder, code=code: responder.answer_with(code), path="queryTrans")
        assert (await bench.gateway.close_trade(trade_no)).state is TradeState.UNKNOWN, "the buyer may be paying"


@pytest.mark.parametrize(
    ("how", "kind", "code"),
    [
        (lambda r: r.error("34"), OutcomeKind.REFUSED, "payment_not_found"),
        (lambda r: r.answer_with("30"), OutcomeKind.REFUSED, "payment_unpaid"),
        (lambda r: r.answer_with("05"), UNKNOWN, "05"),
        (lambda r: r.error("04"), UNKNOWN, "04"),
        (lambda r: r.error("11"), UNKNOWN, "11"),
        (lambda r: r.answer_with("00", queryId=""), UNKNOWN, "malformed:queryId"),
        (lambda r: r.answer_with("00", currencyCode="840"), UNKNOWN, "malformed:currencyCode"),
    ],
)
async def test_a_refund_needs_the_payments_own_number(bench: Bench, how: Any, kind: OutcomeKind, code: str) -> None:
    answering(bench, how, path="queryTrans")
    outcome = await bench.gateway.refund(bench.call)
    assert (outcome.kind, outcome.code) == (kind, code)
    assert not any("backTransReq" in path for _, path, _, _ in bench.outside.seen), "nothing was sent"


@pytest.mark.parametrize("trade_no", ["", "T1", "PAY20261101000001", "PAY20261101000001:2026", "短号:20261101115900"])
async def test_a_trade_number_without_its_time_is_a_matter_of_settings(bench: Bench, trade_no: str) -> None:
    outcome = await bench.gateway.refund(replace(bench.call, trade_no=trade_no))
    assert (outcome.kind, outcome.code, outcome.alert) == (UNKNOWN, "trade_no_without_time", "configuration")
    assert (await bench.gateway.query_trade(trade_no)).state is TradeState.UNKNOWN
    assert bench.outside.seen == []


async def test_another_currency_is_not_sent(bench: Bench) -> None:
    assert (await bench.gateway.refund(replace(bench.call, currency="USD"))).alert == "configuration"
    assert bench.outside.seen == []


async def test_limits_of_one_payment(bench: Bench) -> None:
    old_no = "PAY20251101000001:20251101115900"
    old = {"connection": "one", "trade_no": old_no, "amount_minor": 1000, "paid_at": time.time() - 340 * 86400}
    await bench.tell("trades", old)
    assert (await bench.gateway.refund(replace(bench.call, trade_no=old_no))).kind is UNKNOWN
    assert (await bench.gateway.refund(replace(bench.call, amount_minor=1001))).kind is UNKNOWN
    await bench.tell("connections/one", {"balance_minor": 1})
    assert (await bench.gateway.refund(bench.call)).alert == "unknown_code"
    await bench.tell("connections/one", {"balance_minor": None, "refund_final": "CLOSED"})
    assert (await bench.gateway.refund(bench.call)).kind is OutcomeKind.PROCESSING
    assert (await bench.gateway.query_refund(bench.call)).kind is OutcomeKind.REFUSED


# void ---------------------------------------------------------------------------------------------------------------


async def test_a_void_only_in_full_on_the_same_clearing_day_and_only_where_it_is_set(bench: Bench) -> None:
    beijing = datetime.now(UTC) + timedelta(hours=8)
    today = f"PAY20261101000009:{beijing:%Y%m%d%H%M%S}"
    await bench.tell("trades", {"connection": "one", "trade_no": today, "amount_minor": 1000})
    voiding: Any = bench.reconnect(void_same_day=True)
    full = replace(bench.call, trade_no=today, amount_minor=1000)

    async def type_of(gateway: Any, call: Any) -> str:
        """Of what is sent; answered as never received, so that nothing is spent."""
        answering(bench, lambda responder: responder.error("34"))
        await gateway.refund(call)
        bench.outside.answerer = None
        return dict(parse_qsl(bench.outside.seen[-1][3].decode()))["txnType"]

    assert await type_of(bench.gateway, full) == "04", "not set"
    assert await type_of(voiding.party, replace(full, amount_minor=999)) == "04", "a part"
    assert await type_of(voiding.party, replace(full, trade_no=UNIONPAY_TRADE)) == "04", "paid another day"
    assert await type_of(voiding.party, full) == "31"
    assert (await voiding.party.refund(full)).evidence == {"txn_type": "31"}
    assert (await voiding.party.query_refund(full)).kind is OutcomeKind.SUCCEEDED
    [news] = await bench.wait_for_news(1)
    assert news.event_id.startswith("31:")
    await voiding.close()


def test_a_clearing_day_begins_an_hour_before_midnight() -> None:
    at = datetime(2026, 11, 1, 14, 59, 59, tzinfo=UTC)
    assert clearing_day(at) == "2026-11-01"
    assert clearing_day(at + timedelta(seconds=1)) == "2026-11-02"


# signatures and certificates ----------------------------------------------------------------------------------------


async def test_a_signature_that_is_not_ours_is_a_matter_of_settings(bench: Bench) -> None:
    from cryptography.hazmat.primitives.serialization import pkcs12

    stranger_key = load_private_key(private_key("stranger"))
    certificate = bench.dialect.certificate("one", "merchant")
    same_serial = make_certificate("stranger", "stranger", serial=certificate.serial_number)
    raw = pkcs12.serialize_key_and_certificates(
        b"x", stranger_key, same_serial, None, serialization.BestAvailableEncryption(b"pw")
    )
    pfx = base64.b64encode(raw).decode()
    stranger: Any = bench.reconnect(merchant_pfx=pfx, merchant_pfx_password="pw")
    outcome = await stranger.party.query_refund(bench.call)
    assert (outcome.kind, outcome.code, outcome.alert) == (UNKNOWN, "11", "configuration")
    assert (await stranger.probe()).result is ProbeResult.REFUSED
    await stranger.close()
    for wrong in ({"merchant_pfx_password": "no"}, {"merchant_pfx": "!"}, {"root_certificates": "x"}):
        with pytest.raises(ValidationError) as refusal:
            PROVIDERS["unionpay"].settings.model_validate({**bench.values, **wrong})
        assert bench.values["merchant_pfx"] not in str(refusal.value)


def make_certificate(
    name: str, issuer_key: str, *, cn: str = "x", issuer: x509.Name | None = None, serial: int = 0, **dates: Any
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(load_private_key(private_key(name)).public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(dates.get("since", now - timedelta(days=1)))
        .not_valid_after(dates.get("until", now + timedelta(days=1)))
        .add_extension(x509.BasicConstraints(ca=dates.get("ca", False), path_length=None), critical=True)
    )
    return builder.sign(load_private_key(private_key(issuer_key)), hashes.SHA256())


def pem_of(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def signed_by(name: str, certificate: x509.Certificate | str, fields: dict[str, str]) -> dict[str, str]:
    pem = certificate if isinstance(certificate, str) else pem_of(certificate)
    whole = {**fields, "signPubKeyCert": pem}
    return {**whole, "signature": sign(load_private_key(private_key(name)), digest(whole))}


UNIONPAY = "041@x@中国银联股份有限公司@1"


async def test_whose_certificate_is_believed(bench: Bench) -> None:
    signer, middle = bench.dialect.certificate("one", "signer"), bench.dialect.certificate("one", "intermediate")
    now = datetime.now(UTC)
    old = {"since": now - timedelta(days=9), "until": now - timedelta(days=1)}
    impostors = {
        "its own": make_certificate("stranger", "stranger", cn=UNIONPAY),
        "another's authority": make_certificate("stranger", "stranger-ca", cn=UNIONPAY, issuer=middle.subject),
        "another name": make_certificate("stranger", "one/intermediate", cn="中国银联", issuer=middle.subject),
        "run out": make_certificate("stranger", "one/intermediate", cn=UNIONPAY, issuer=middle.subject, **old),
        "below a signer": make_certificate("stranger", "one/signer", cn=UNIONPAY, issuer=signer.subject),
    }
    fields = {
        "merId": bench.values["mer_id"],
        "orderId": bench.call.refund_no,
        "txnTime": "20261101120506",
        "respCode": "34",
    }

    async def asked(signed: dict[str, str]) -> Any:
        text = "&".join(f"{name}={value}" for name, value in signed.items())
        bench.outside.answerer = always(Response(text.encode()))
        return await bench.gateway.query_refund(bench.call)

    for why, certificate in impostors.items():
        outcome = await asked(signed_by("stranger", certificate, fields))
        assert (outcome.kind, outcome.code, outcome.alert) == (
            UNKNOWN,
            "unverified:certificate",
            "answer_unverified",
        ), why
    genuine = make_certificate("stranger", "one/intermediate", cn=UNIONPAY, issuer=middle.subject)
    assert (await asked(signed_by("stranger", genuine, fields))).kind is OutcomeKind.NOT_FOUND
    assert (await asked(signed_by("other", genuine, fields))).code == "unverified:wrong"
    for pem in ("", "x", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", pem_of(genuine) + "x" * 9000):
        assert (await asked(signed_by("stranger", pem, fields))).alert == "answer_unverified"
    good = signed_by("stranger", genuine, fields)
    assert (await asked({**good, "respCode": "00"})).code == "unverified:wrong"
    del good["signature"]
    assert (await asked(good)).code == "unverified:missing"
    for raw, status in ((b"\xff", 200), (b"", 200), (b"busy", 503), (b"x", 404)):
        bench.outside.answerer = always(Response(raw, status_code=status))
        assert (await bench.gateway.query_refund(bench.call)).kind is UNKNOWN


async def test_a_certificate_that_was_believed_still_runs_out(bench: Bench) -> None:
    now = [time.time()]
    patient: Any = connect("unionpay", bench.values, httpx.ASGITransport(bench.outside), clock=lambda: now[0])
    assert (await patient.party.query_refund(bench.call)).kind is OutcomeKind.NOT_FOUND
    now[0] += 11 * 365 * 86400
    assert (await patient.party.query_refund(bench.call)).code == "unverified:certificate"
    await patient.close()


async def test_roots_change_over_without_a_gap(bench: Bench) -> None:
    other = pem_of(make_certificate("other-root", "other-root", cn="Other Root", ca=True))
    both: Any = bench.reconnect(root_certificates=other + bench.values["root_certificates"])
    assert (await both.party.query_refund(bench.call)).kind is OutcomeKind.NOT_FOUND
    await both.close()
    neither: Any = bench.reconnect(root_certificates=other)
    assert (await neither.party.query_refund(bench.call)).alert == "answer_unverified"
    await neither.close()
    alone: Any = bench.reconnect(intermediate_certificates="")
    assert (await alone.party.query_refund(bench.call)).alert == "answer_unverified"
    await alone.close()
    renamed: Any = bench.reconnect(signer_names=["00040000:SIGN"])
    assert (await renamed.party.query_refund(bench.call)).alert == "answer_unverified"
    await renamed.close()


async def test_a_certificate_that_is_no_authority_issues_nothing(bench: Bench) -> None:
    """UnionPay's own signing certificate among the intermediates does not make its key an issuer."""
    signer = bench.dialect.certificate("one", "signer")
    bundle = bench.values["intermediate_certificates"] + pem_of(signer)
    careless: Any = bench.reconnect(intermediate_certificates=bundle)
    below = make_certificate("stranger", "one/signer", cn=UNIONPAY, issuer=signer.subject)
    fields = {"merId": bench.values["mer_id"], "orderId": bench.call.refund_no, "txnTime": "20261101120506"}
    signed = signed_by("stranger", below, {**fields, "respCode": "34"})
    bench.outside.answerer = always(Response("&".join(f"{n}={v}" for n, v in signed.items()).encode()))
    assert (await careless.party.query_refund(bench.call)).code == "unverified:certificate"
    await careless.close()


async def test_an_answer_may_be_percent_encoded(bench: Bench) -> None:
    fields = {"merId": bench.values["mer_id"], "orderId": bench.call.refund_no, "txnTime": "20261101120506"}
    signed = bench.dialect.signed("one", {**fields, "respCode": "34", "respMsg": "没有 a+b"})
    bench.outside.answerer = always(Response(urlencode(signed).encode()))
    assert (await bench.gateway.query_refund(bench.call)).kind is OutcomeKind.NOT_FOUND


@pytest.mark.parametrize(
    "change",
    [
        {"orderId": "OTHER00001"},
        {"txnTime": "20260101000000"},
        {"merId": "777290058000000"},
        {"txnAmt": "1001"},
        {"txnAmt": "0"},
        {"txnAmt": "2.34"},
        {"txnAmt": "-1"},
        {"currencyCode": "840"},
        {"queryId": ""},
        {"origRespCode": ""},
    ],
)
async def test_answers_that_make_no_sense_are_unknown(bench: Bench, change: dict[str, str]) -> None:
    answering(bench, lambda responder: responder.answer_with("00"), path="queryTrans")
    assert (await bench.gateway.query_refund(bench.call)).kind is OutcomeKind.SUCCEEDED
    answering(
        bench, lambda responder: responder.answer_with(**{"orig_code": "00", **_as_code(change)}), path="queryTrans"
    )
    outcome = await bench.gateway.query_refund(bench.call)
    assert outcome.kind is UNKNOWN
    assert outcome.code.startswith("malformed:")


def _as_code(change: dict[str, str]) -> dict[str, str]:
    return {"orig_code": ""} if "origRespCode" in change else change


@pytest.mark.parametrize("change", [{"txnAmt": "235"}, {"origQryId": "1"}, {"queryId": ""}])
async def test_an_acceptance_of_something_else_is_unknown(bench: Bench, change: dict[str, str]) -> None:
    await bench.gateway.refund(bench.call)
    original = dict(parse_qsl(bench.outside.seen[-1][3].decode()))["origQryId"]
    echo = {"txnAmt": "234", "queryId": "1", "origQryId": original, **change}
    answering(bench, lambda responder: responder.error("00", **echo))
    assert (await bench.gateway.refund(bench.call)).kind is UNKNOWN


def test_of_a_message_for_people_only_its_number_is_kept() -> None:
    assert inner_code({"respMsg": "余额不足 王小明[1234567]"}) == {"inner_code": "1234567"}
    assert inner_code({"respMsg": "王小明"}) == {}
    assert inner_code({}) == {}


# notices ------------------------------------------------------------------------------------------------------------


def notice(bench: Bench, *, key: str = "", **changes: str) -> Incoming:
    fields = {
        "txnType": "04",
        "txnSubType": "00",
        "merId": bench.values["mer_id"],
        "orderId": "R1",
        "txnTime": "20261101120506",
        "txnAmt": "234",
        "currencyCode": "156",
        "respCode": "00",
        "queryId": "9",
        **changes,
    }
    signed = (
        signed_by(key, bench.dialect.certificate("one", "signer"), fields)
        if key
        else (bench.dialect.signed("one", fields))
    )
    return Incoming(headers={}, body=urlencode(signed).encode())


def verified(bench: Bench, incoming: Incoming) -> Any:
    assert bench.connected.verifier is not None
    [news] = bench.connected.verifier.verify(incoming)
    return news


async def test_what_notices_tell(bench: Bench) -> None:
    news = verified(bench, notice(bench))
    assert (news.kind, news.data) == ("refund.succeeded", {"refund_no": "R1", "amount_minor": 234, "currency": "CNY"})
    assert verified(bench, notice(bench, txnType="31")).kind == "refund.succeeded"
    assert verified(bench, notice(bench, respCode="A6")).kind == "refund.succeeded"
    assert verified(bench, notice(bench, respCode="30")).kind == "refund.closed"
    assert verified(bench, notice(bench, respCode="05")).kind == "nothing"
    assert verified(bench, notice(bench, txnType="00")).kind == "nothing"
    paid = verified(bench, notice(bench, txnType="01", orderId="PAY00001"))
    assert (paid.kind, paid.data["trade_no"]) == ("trade.paid", "PAY00001:20261101120506")
    assert verified(bench, notice(bench, txnType="01", respCode="30")).kind == "nothing"
    assert verified(bench, notice(bench)).event_id == news.event_id


async def test_notices_that_are_not_genuine(bench: Bench) -> None:
    def refused(incoming: Incoming) -> str:
        with pytest.raises(CallbackUnverified) as refusal:
            verified(bench, incoming)
        return str(refusal.value)

    genuine = notice(bench)
    assert refused(notice(bench, key="stranger")) == "wrong"
    assert refused(replace(genuine, body=genuine.body.replace(b"txnAmt=234", b"txnAmt=235"))) == "wrong"
    assert refused(replace(genuine, body=genuine.body + b"&orderId=R2")) == "malformed"
    assert refused(replace(genuine, body=b"a=b")) == "missing"
    assert refused(notice(bench, merId="777290058000000")) == "malformed"
    assert refused(notice(bench, txnAmt="two")) == "malformed"


async def test_the_sandbox_gives_notice_of_refunds_and_payments(bench: Bench) -> None:
    await bench.gateway.refund(bench.call)
    [news] = await bench.wait_for_news(1)
    assert (news.kind, news.data["refund_no"]) == ("refund.succeeded", bench.call.refund_no)
    trade_no = "PAY20261101000002:20261101120000"
    await bench.tell("trades", {"connection": "one", "trade_no": trade_no, "amount_minor": 5, "state": "UNPAID"})
    await bench.tell(f"trades/one/{trade_no}/pay", {})
    news = (await bench.wait_for_news(2))[1]
    assert (news.kind, news.data["trade_no"]) == ("trade.paid", trade_no)
    assert {row["state"] for row in (await bench.ledger())["callbacks"]} == {"DELIVERED"}
