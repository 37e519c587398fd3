"""UnionPay ACP 5.1.0 (全渠道): refunds, optionally voids, and queries. There is no call that closes an unpaid order.

A number is orderId *and* txnTime: both were stored before the first call and are sent unchanged ever after. `00` is "accepted"; only a
query's origRespCode says "done".

Source: ACP 5.1.0 SDK and demo comments (open.unionpay.com).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Self
from urllib.parse import urlencode

from cryptography import x509
from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from unwind.adapters.fields import Malformed, read_same, read_text, refuse_if
from unwind.adapters.outbound import Reply, code_of
from unwind.adapters.payment.bills import read_unionpay
from unwind.adapters.payment.refusals import doubtful_trade, not_in
from unwind.adapters.payment.unionpay_callbacks import UnionPayNotices
from unwind.adapters.payment.unionpay_codes import (
    CURRENCY,
    CURRENCY_CODE,
    DOUBTFUL_CODES,
    ERRORS,
    NOT_FOUND_CODE,
    QUERY_TYPE,
    REFUND_TYPE,
    SUCCESS_CODES,
    VOID_TYPE,
    read_fen,
)
from unwind.adapters.payment.unionpay_signing import MessageInvalid, Trust, load_signing_key, read_pairs, sign_message
from unwind.adapters.provider import (
    Connected,
    PartyKind,
    Provider,
    ProviderSettings,
    Surroundings,
    outbound_of,
    probe_of,
)
from unwind.adapters.refusals import CONFIGURATION, CONFIGURATION_RETRY_S
from unwind.domain.outcome import Outcome, OutcomeKind, TradeOutcome, TradeState
from unwind.ports.payment import RefundCall
from unwind.ports.probe import Probe

HOST = "https://gateway.95516.com"
BACK_PATH, QUERY_PATH = "/gateway/api/backTransReq.do", "/gateway/api/queryTrans.do"
BEIJING = timezone(timedelta(hours=8))
CLEARING_SHIFT = timedelta(hours=1)
"""A clearing day begins at 23:00 Beijing time of the day before."""
SIGNER_NAME = "中国银联股份有限公司"
"""(unverified): the part of the common name that UnionPay's certificates carry; the test host's differ. A setting, therefore."""
NO_NOTICE_URL = "http://www.specialUrl.com"
"""(unverified): what the demo programs put into backUrl where no notice is wanted; the field may not be empty."""
PROBE_ORDER, PROBE_TIME = "UNWINDPROBE", "20260101000000"
HTTP_OK = 200
_TRADE_PATTERN = re.compile(r"([0-9A-Za-z]{8,40}):([0-9]{14})")
"""The length of an orderId is (unverified)."""
_INNER_CODE_PATTERN = re.compile(r"\[([0-9]{7})\]")


def _check_certificates(text: str) -> str:
    if text:
        try:
            x509.load_pem_x509_certificates(text.encode())
        except ValueError:
            raise ValueError("not one or more certificates in PEM") from None
    return text


CertificateBundle = Annotated[str, AfterValidator(_check_certificates)]


class UnionPaySettings(ProviderSettings):
    base_url: str = HOST
    mer_id: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{15}$")]
    merchant_pfx: SecretStr
    """The signing certificate with its private key: the PFX file in Base64."""
    merchant_pfx_password: SecretStr
    root_certificates: Annotated[CertificateBundle, Field(min_length=1)]
    """One or more in PEM, one after another."""
    intermediate_certificates: CertificateBundle = ""
    signer_names: Annotated[tuple[str, ...], Field(min_length=1)] = (SIGNER_NAME,)
    biz_type: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")] = "000201"
    channel_type: Annotated[str, StringConstraints(pattern=r"^[0-9]{2}$")] = "07"
    void_same_day: bool = False
    spacing_s: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _check_pfx(self) -> Self:
        try:
            load_signing_key(self.merchant_pfx.get_secret_value(), self.merchant_pfx_password.get_secret_value())
        except (ValueError, TypeError):
            raise ValueError("merchant_pfx: not a PFX in Base64 that its password opens, with an RSA key") from None
        return self


@dataclass(frozen=True, slots=True)
class Number:
    """What a transaction is found by."""

    order_id: str
    txn_time: str


def number_of_refund(call: RefundCall) -> Number:
    return Number(call.refund_no, call.numbered_at.astimezone(BEIJING).strftime("%Y%m%d%H%M%S"))


def number_of_trade(trade_no: str) -> Number | None:
    match = _TRADE_PATTERN.fullmatch(trade_no)
    return Number(match[1], match[2]) if match else None


class UnionPayClient:
    """One signed call, and the answer after its certificate and signature were checked."""

    def __init__(self, settings: UnionPaySettings, around: Surroundings) -> None:
        self._settings = settings
        self._clock = around.clock
        self._signing = load_signing_key(
            settings.merchant_pfx.get_secret_value(), settings.merchant_pfx_password.get_secret_value()
        )
        self.trust = Trust(
            roots=x509.load_pem_x509_certificates(settings.root_certificates.encode()),
            intermediates=x509.load_pem_x509_certificates(settings.intermediate_certificates.encode())
            if settings.intermediate_certificates
            else (),
            names=settings.signer_names,
        )
        self.outbound = outbound_of(settings, around)

    async def call(
        self, path: str, number: Number, *, what: str, txn_type: str, more: Mapping[str, str] | None = None
    ) -> dict[str, str] | Outcome:
        """The answer's fields, about this very number, signed by UnionPay."""
        signed = sign_message(
            self._signing,
            {
                "version": "5.1.0",
                "encoding": "UTF-8",
                "signMethod": "01",
                "txnType": txn_type,
                "txnSubType": "00",
                "bizType": self._settings.biz_type,
                "accessType": "0",
                "channelType": self._settings.channel_type,
                "merId": self._settings.mer_id,
                "orderId": number.order_id,
                "txnTime": number.txn_time,
                **(more or {}),
            },
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded;charset=UTF-8"}
        reply = await self.outbound.exchange(
            "POST", path, content=urlencode(signed).encode(), headers=headers, what=what
        )
        return reply if isinstance(reply, Outcome) else self._judge(what, reply, number)

    def _judge(self, what: str, reply: Reply, number: Number) -> dict[str, str] | Outcome:
        if reply.status != HTTP_OK:
            return self.outbound.trouble(what, OutcomeKind.UNKNOWN, f"http_{reply.status}", http_status=reply.status)
        try:
            found = read_pairs(reply.body, self.trust, now=self._clock())
        except MessageInvalid as invalid:
            return self.outbound.unverified(what, invalid.reason, http_status=reply.status)
        try:
            read_same(found, "merId", self._settings.mer_id)
            read_same(found, "orderId", number.order_id)
            read_same(found, "txnTime", number.txn_time)
            read_text(found, "respCode")
        except Malformed as malformed:
            return self.outbound.trouble(
                what, OutcomeKind.UNKNOWN, f"malformed:{malformed.name}", http_status=reply.status
            )
        return found

    def refused(self, what: str, code: str, found: Mapping[str, str]) -> Outcome:
        outcome = ERRORS.outcome(self.outbound, what, code_of(code), http_status=HTTP_OK)
        return replace(outcome, evidence={**outcome.evidence, **inner_code(found)})


class UnionPay:
    """Implements ports.payment.PaymentGateway. `trade_no` is `orderId:txnTime` of the payment."""

    def __init__(self, client: UnionPayClient, settings: UnionPaySettings, around: Surroundings) -> None:
        self._client = client
        self._clock = around.clock
        self._is_voiding = settings.void_same_day
        self._back_url = around.callback_url or NO_NOTICE_URL
        self.spacing_s = settings.spacing_s

    async def refund(self, call: RefundCall) -> Outcome:
        """Two calls: the payment is asked for its queryId, by which the refund names it. Nothing was sent where that has no answer."""
        foreign = not_in(CURRENCY, call.currency)
        if foreign is not None:
            return foreign
        payment = await self._find_payment(call.trade_no)
        if isinstance(payment, Outcome):
            return payment
        number = number_of_refund(call)
        txn_type = VOID_TYPE if self._may_void(call) else REFUND_TYPE
        found = await self._client.call(
            BACK_PATH,
            number,
            what="refund",
            txn_type=txn_type,
            more={
                "origQryId": payment,
                "txnAmt": str(call.amount_minor),
                "currencyCode": CURRENCY_CODE,
                "backUrl": self._back_url,
            },
        )
        if isinstance(found, Outcome):
            return found
        code = found["respCode"]
        if code not in SUCCESS_CODES:
            return self._client.refused("refund", code, found)
        try:
            refuse_if(read_fen(found, "txnAmt", least_minor=1) != call.amount_minor, "txnAmt")
            read_same(found, "origQryId", payment)
            reference = read_text(found, "queryId")
        except Malformed as malformed:
            return malformed.outcome
        evidence: dict[str, str | int] = {"txn_type": txn_type}
        return Outcome(
            kind=OutcomeKind.PROCESSING,
            code=code,
            reference=reference,
            amount_minor=call.amount_minor,
            evidence=evidence,
        )

    async def query_refund(self, call: RefundCall) -> Outcome:
        found = await self._client.call(QUERY_PATH, number_of_refund(call), what="query_refund", txn_type=QUERY_TYPE)
        if isinstance(found, Outcome):
            return found
        code = found["respCode"]
        if code == NOT_FOUND_CODE:
            return Outcome(kind=OutcomeKind.NOT_FOUND, code=code)
        if code not in SUCCESS_CODES:
            return self._client.refused("query_refund", code, found)
        try:
            return self._read_refund(found, call)
        except Malformed as malformed:
            return malformed.outcome

    async def close_trade(self, trade_no: str) -> TradeOutcome:
        """There is nothing to close with. Unpaid: the order ends by the payTimeout it was made with."""
        return await self.query_trade(trade_no)

    async def query_trade(self, trade_no: str) -> TradeOutcome:
        found = await self._ask_for_payment(trade_no)
        if isinstance(found, Outcome):
            return doubtful_trade(found)
        try:
            return _read_trade(found)
        except Malformed as malformed:
            return doubtful_trade(malformed.outcome)

    async def probe(self) -> Probe:
        found = await self._client.call(QUERY_PATH, Number(PROBE_ORDER, PROBE_TIME), what="probe", txn_type=QUERY_TYPE)
        if isinstance(found, Outcome):
            return probe_of(found)
        kind = OutcomeKind.NOT_FOUND if found["respCode"] == NOT_FOUND_CODE else OutcomeKind.UNKNOWN
        return probe_of(Outcome(kind=kind, code=code_of(found["respCode"])))

    async def _ask_for_payment(self, trade_no: str) -> dict[str, str] | Outcome:
        number = number_of_trade(trade_no)
        if number is None:
            return self._client.outbound.trouble(
                "query_trade",
                OutcomeKind.UNKNOWN,
                "trade_no_without_time",
                alert=CONFIGURATION,
                retry_after_s=CONFIGURATION_RETRY_S,
            )
        return await self._client.call(QUERY_PATH, number, what="query_trade", txn_type=QUERY_TYPE)

    async def _find_payment(self, trade_no: str) -> str | Outcome:
        """The payment's queryId, or why there is none to refund."""
        found = await self._ask_for_payment(trade_no)
        if isinstance(found, Outcome):
            return found
        try:
            trade = _read_trade(found)
            if trade.state is TradeState.PAID:
                return read_text(found, "queryId")
        except Malformed as malformed:
            return malformed.outcome
        if trade.state is TradeState.UNKNOWN:
            return self._client.refused("query_trade", trade.code, found)
        return Outcome(kind=OutcomeKind.REFUSED, code=f"payment_{trade.state.value}", evidence={"code": trade.code})

    def _may_void(self, call: RefundCall) -> bool:
        """In full, and on the clearing day of the payment (23:00 to 23:00 Beijing time)."""
        number = number_of_trade(call.trade_no)
        if not self._is_voiding or number is None or call.amount_minor != call.captured_minor:
            return False
        try:
            paid_at = datetime.strptime(number.txn_time, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
        except ValueError:
            return False
        now = datetime.fromtimestamp(self._clock(), UTC)
        return clearing_day(paid_at) == clearing_day(now)

    def _read_refund(self, found: Mapping[str, str], call: RefundCall) -> Outcome:
        code = code_of(read_text(found, "origRespCode"))
        if code in DOUBTFUL_CODES:
            return self._client.refused("query_refund", code, found)
        amount_minor = read_fen(found, "txnAmt", least_minor=1)
        refuse_if(amount_minor > call.captured_minor, "txnAmt")
        read_same(found, "currencyCode", CURRENCY_CODE)
        reference = read_text(found, "queryId")
        if code in SUCCESS_CODES:
            settled_on = read_text(found, "settleDate", required=False)
            evidence: dict[str, str | int] = {"settle_date": settled_on} if settled_on else {}
            return Outcome(
                kind=OutcomeKind.SUCCEEDED,
                code=code,
                reference=reference,
                amount_minor=amount_minor,
                evidence=evidence,
            )
        return Outcome(kind=OutcomeKind.REFUSED, code=code, reference=reference, evidence=inner_code(found))


def inner_code(found: Mapping[str, str]) -> dict[str, str | int]:
    """The seven digits in brackets that the message for people ends with; the rest of it is not kept."""
    match = _INNER_CODE_PATTERN.search(found.get("origRespMsg") or found.get("respMsg", ""))
    return {"inner_code": match[1]} if match else {}


def clearing_day(at: datetime) -> str:
    return (at.astimezone(BEIJING) + CLEARING_SHIFT).date().isoformat()


def _read_trade(found: Mapping[str, str]) -> TradeOutcome:
    """A payment that failed for good is unpaid: the buyer may try again while the order lives."""
    code = code_of(found["respCode"])
    if code == NOT_FOUND_CODE:
        return TradeOutcome(state=TradeState.NOT_FOUND, code=code)
    if code not in SUCCESS_CODES:
        return TradeOutcome(state=TradeState.UNKNOWN, code=code)
    code = code_of(read_text(found, "origRespCode"))
    if code in DOUBTFUL_CODES:
        return TradeOutcome(state=TradeState.UNKNOWN, code=code)
    if code not in SUCCESS_CODES:
        return TradeOutcome(state=TradeState.UNPAID, code=code)
    read_same(found, "currencyCode", CURRENCY_CODE)
    return TradeOutcome(state=TradeState.PAID, paid_minor=read_fen(found, "txnAmt", least_minor=1), code=code)


def _connect(settings: UnionPaySettings, around: Surroundings) -> Connected:
    client = UnionPayClient(settings, around)
    gateway = UnionPay(client, settings, around)
    verifier = UnionPayNotices(mer_id=settings.mer_id, trust=client.trust, clock=around.clock)
    return Connected(party=gateway, close=client.outbound.aclose, probe=gateway.probe, verifier=verifier)


PROVIDER = Provider(
    name="unionpay",
    kind=PartyKind.PAYMENT,
    title="银联在线",
    settings=UnionPaySettings,
    connect=_connect,
    error_kinds=ERRORS.kinds,
    read_bill=read_unionpay,
)
