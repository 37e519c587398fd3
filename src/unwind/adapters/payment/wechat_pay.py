"""WeChat Pay APIv3, direct merchant: refunds, trades, abnormal refunds.

Sources: pay.weixin.qq.com/doc/v3/partner/4012709253 (refund), .../docs/partner/apis/refund/refunds/create-abnormal-refund.html,
.../docs/merchant/products/close-order/introduction.html, .../doc/v3/merchant/4012556398; github `wechatpay-apiv3/wechatpay-skills`
and `TheNorthMemory/wechatpay-openapi`.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from pydantic import Field, SecretStr, StringConstraints

from unwind.adapters.fields import (
    Malformed,
    parse_object,
    read_amount,
    read_answer,
    read_choice,
    read_instant,
    read_object,
    read_same,
    read_text,
    refuse_if,
)
from unwind.adapters.outbound import Reply, code_of, number_in_path
from unwind.adapters.payment.bills import read_wechat
from unwind.adapters.payment.keys import PrivateKeyText, PublicKeyText, load_private_key, load_public_key
from unwind.adapters.payment.refusals import doubtful_trade, no_answer_about_refund
from unwind.adapters.payment.wechat_pay_callbacks import WeChatPayNotices
from unwind.adapters.payment.wechat_pay_signing import PUBLIC_KEY_PREFIX, SignatureInvalid, authorization, verify
from unwind.adapters.provider import (
    Connected,
    PartyKind,
    Provider,
    ProviderSettings,
    Surroundings,
    outbound_of,
    probe_of,
)
from unwind.adapters.refusals import CONFIGURATION, ErrorTable
from unwind.adapters.shared_secrets import accepted_secrets
from unwind.domain.outcome import Outcome, OutcomeKind, TradeOutcome, TradeState
from unwind.ports.payment import PayeeAccount, RefundCall
from unwind.ports.probe import Probe

HOST = "https://api.mch.weixin.qq.com"
REFUNDS_PATH = "/v3/refund/domestic/refunds"
TRADES_PATH = "/v3/pay/transactions/out-trade-no"
SPACING_S = 60.0
"""Older official pages want a minute between two refunds of one order; the present one is silent."""
REASON = "订单取消退款"
"""The buyer reads it; our own codes are not for buyers."""
PROBE_NUMBER = "UNWIND-PROBE"

ERRORS = ErrorTable(
    kinds={
        "SYSTEM_ERROR": OutcomeKind.UNKNOWN,
        "FREQUENCY_LIMITED": OutcomeKind.RETRY_SAME_NUMBER,
        "NOT_ENOUGH": OutcomeKind.NEEDS_FUNDS,
        "USER_ACCOUNT_ABNORMAL": OutcomeKind.ABNORMAL,
        "NO_AUTH": OutcomeKind.UNKNOWN,
        "RESOURCE_NOT_EXISTS": OutcomeKind.REFUSED,
        "MCH_NOT_EXISTS": OutcomeKind.UNKNOWN,
        "PARAM_ERROR": OutcomeKind.UNKNOWN,
        "INVALID_REQUEST": OutcomeKind.REFUSED,
        "SIGN_ERROR": OutcomeKind.UNKNOWN,
        "REQUEST_BLOCKED": OutcomeKind.UNKNOWN,
    },
    alerts=dict.fromkeys(
        ("NO_AUTH", "MCH_NOT_EXISTS", "PARAM_ERROR", "SIGN_ERROR", "REQUEST_BLOCKED"),
        CONFIGURATION,
    ),
)
"""Answers to a refund. INVALID_REQUEST counts only after a query has found nothing under the number: the same code says that it was used before."""

NOT_FOUND_CODES = frozenset({"RESOURCE_NOT_EXISTS", "ORDER_NOT_EXIST"})
"""Of a query or a close. The second is (unverified): older pages have it for orders."""
CLOSED_CODE = "ORDER_CLOSED"
PAID_CODE = "ORDER_PAID"
PAID_DETAIL = "268449538"
"""The same without a code of its own: the digits after the last `-` of the header Request-ID."""

REFUND_STATES: Mapping[str, OutcomeKind] = {
    "SUCCESS": OutcomeKind.SUCCEEDED,
    "PROCESSING": OutcomeKind.PROCESSING,
    "CLOSED": OutcomeKind.NEEDS_NEW_NUMBER,
    "ABNORMAL": OutcomeKind.ABNORMAL,
}
CHANNELS: Mapping[str, str] = {
    "ORIGINAL": "original",
    "BALANCE": "balance",
    "OTHER_BALANCE": "other_balance",
    "OTHER_BANKCARD": "other_bankcard",
}
"""The kind of account that receives; `user_received_account` has a name and a card's tail in it and is never read."""
TRADE_STATES: Mapping[str, TradeState] = {
    "NOTPAY": TradeState.UNPAID,
    "SUCCESS": TradeState.PAID,
    "REFUND": TradeState.PAID,
    "CLOSED": TradeState.CLOSED,
    # (unverified): pay-code orders only
    "USERPAYING": TradeState.UNPAID,
    "PAYERROR": TradeState.UNPAID,
    "REVOKED": TradeState.CLOSED,
}
ACCOUNT_KINDS: Mapping[str, str] = {"user_bank_card": "USER_BANK_CARD", "merchant_bank_card": "MERCHANT_BANK_CARD"}
OK, NO_CONTENT, SERVER_ERROR = 200, 204, 500


class WeChatPaySettings(ProviderSettings):
    base_url: str = HOST
    mchid: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{1,32}$")]
    merchant_serial_no: Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{1,64}$")]
    merchant_private_key: PrivateKeyText
    platform_keys: Annotated[dict[str, PublicKeyText], Field(min_length=1)]
    """Serial -> platform certificate, or PUB_KEY_ID_... -> WeChat Pay public key. Several while they change over."""
    api_v3_key: Annotated[SecretStr, Field(min_length=32, max_length=32)]
    previous_api_v3_key: Annotated[SecretStr | None, Field(min_length=32, max_length=32)] = None
    spacing_s: Annotated[float, Field(ge=0)] = SPACING_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What WeChat certainly said. `code` is empty for a yes."""

    status: int
    code: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    detail: str = ""
    retry_after_s: float | None = None


class WeChatPayClient:
    """One signed call, and the answer after its own signature was checked."""

    def __init__(self, settings: WeChatPaySettings, around: Surroundings) -> None:
        self._settings = settings
        self._around = around
        self._key = load_private_key(settings.merchant_private_key.get_secret_value())
        self.platform_keys = {serial.upper(): load_public_key(pem) for serial, pem in settings.platform_keys.items()}
        public = [serial for serial in self.platform_keys if serial.startswith(PUBLIC_KEY_PREFIX)]
        self._is_public_key_mode = bool(public)
        self._named_serial = public[0] if public else next(iter(self.platform_keys))
        self.outbound = outbound_of(settings, around)

    async def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, what: str, is_encrypted: bool = False
    ) -> Said | Outcome:
        """`path` as it is signed and sent, numbers quoted; what a proxy of the merchant's own has before it is not signed."""
        raw = b"" if body is None else orjson.dumps(body)
        headers = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": "unwind"}
        headers["Authorization"] = authorization(
            self._key,
            mchid=self._settings.mchid,
            serial_no=self._settings.merchant_serial_no,
            method=method,
            path=path,
            timestamp=int(self._around.clock()),
            nonce=self._around.nonces(),
            body=raw,
        )
        if self._is_public_key_mode or is_encrypted:
            headers["Wechatpay-Serial"] = self._named_serial
        reply = await self.outbound.exchange(method, path, content=raw, headers=headers, what=what)
        return reply if isinstance(reply, Outcome) else self._judge(what, reply)

    def encrypt(self, text: str) -> str:
        """For WeChat's eyes only; the call names the key by `is_encrypted`."""
        sha1 = hashes.SHA1()  # noqa: S303 - what the protocol says; OAEP does not rest on its collisions
        sealed = self.platform_keys[self._named_serial].encrypt(
            text.encode(), padding.OAEP(mgf=padding.MGF1(algorithm=sha1), algorithm=sha1, label=None)
        )
        return base64.b64encode(sealed).decode()

    def refused(self, what: str, said: Said) -> Outcome:
        return ERRORS.outcome(self.outbound, what, said.code, http_status=said.status, retry_after_s=said.retry_after_s)

    def _judge(self, what: str, reply: Reply) -> Said | Outcome:
        if "wechatpay-signature" not in reply.headers and reply.status >= SERVER_ERROR:
            return self.outbound.trouble(what, OutcomeKind.UNKNOWN, f"http_{reply.status}", http_status=reply.status)
        try:
            verify(self.platform_keys, reply.headers, reply.body, now=self._around.clock())
        except SignatureInvalid as invalid:
            return self._unsigned(what, reply) or self.outbound.unverified(
                what, invalid.reason, http_status=reply.status
            )
        if reply.status == NO_CONTENT:
            return Said(status=reply.status)
        body = parse_object(reply.body)
        if body is None:
            return self.outbound.malformed(what, http_status=reply.status)
        if reply.status == OK:
            return Said(status=reply.status, body=body)
        return Said(
            status=reply.status,
            code=code_of(body.get("code")),
            detail=reply.headers.get("request-id", "").rpartition("-")[2],
            retry_after_s=reply.retry_after_s,
        )

    def _unsigned(self, what: str, reply: Reply) -> Outcome | None:
        """A refusal at the door may come without a signature; it is repeated only where it says no more than "check your settings"."""
        code = code_of((parse_object(reply.body) or {}).get("code"))
        if "wechatpay-signature" in reply.headers or ERRORS.alerts.get(code) != CONFIGURATION:
            return None
        return ERRORS.outcome(self.outbound, what, code, http_status=reply.status)


class WeChatPay:
    """Implements ports.payment.PaymentGateway and PaysElsewhere. `trade_no` is the merchant's own out_trade_no."""

    def __init__(self, client: WeChatPayClient, settings: WeChatPaySettings, *, callback_url: str) -> None:
        self._client = client
        self._mchid = settings.mchid
        self._callback_url = callback_url
        self.spacing_s = settings.spacing_s

    async def refund(self, call: RefundCall) -> Outcome:
        body: dict[str, Any] = {
            "out_trade_no": call.trade_no,
            "out_refund_no": call.refund_no,
            "reason": REASON,
            "amount": {"refund": call.amount_minor, "total": call.captured_minor, "currency": call.currency},
        }
        if self._callback_url:
            body["notify_url"] = self._callback_url
        said = await self._client.call("POST", REFUNDS_PATH, body, what="refund")
        if isinstance(said, Outcome):
            return said
        if said.code == "INVALID_REQUEST":
            return await self._explain_refusal(call, said)
        if said.code:
            return self._client.refused("refund", said)

        def reader(found: dict[str, Any]) -> Outcome:
            outcome = _read_refund(found, call)
            refuse_if(outcome.amount_minor != call.amount_minor, "amount.refund")
            return outcome

        return read_answer(said.body, reader)

    async def query_refund(self, call: RefundCall) -> Outcome:
        said = await self._client.call("GET", f"{REFUNDS_PATH}/{number_in_path(call.refund_no)}", what="query_refund")
        if isinstance(said, Outcome):
            return said
        if said.code in NOT_FOUND_CODES:
            return Outcome(kind=OutcomeKind.NOT_FOUND, code=said.code)
        if said.code:
            return no_answer_about_refund(self._client.refused("query_refund", said))
        return read_answer(said.body, lambda found: _read_refund(found, call))

    async def close_trade(self, trade_no: str) -> TradeOutcome:
        path = f"{TRADES_PATH}/{number_in_path(trade_no)}/close"
        said = await self._client.call("POST", path, {"mchid": self._mchid}, what="close")
        match said:
            case Outcome():
                return doubtful_trade(said)
            case Said(code=""):
                is_plain = said.status == NO_CONTENT
                return TradeOutcome(state=TradeState.CLOSED if is_plain else TradeState.UNKNOWN, code=str(said.status))
            case Said(code=code) if code == CLOSED_CODE:
                return TradeOutcome(state=TradeState.CLOSED, code=code)
            case Said(code=code, detail=detail) if code == PAID_CODE or detail == PAID_DETAIL:
                return TradeOutcome(state=TradeState.PAID, code=code)
            case Said(code=code) if code in NOT_FOUND_CODES:
                return TradeOutcome(state=TradeState.NOT_FOUND, code=code)
            case _:
                return doubtful_trade(self._client.refused("close", said))

    async def query_trade(self, trade_no: str) -> TradeOutcome:
        path = f"{TRADES_PATH}/{number_in_path(trade_no)}?mchid={number_in_path(self._mchid)}"
        said = await self._client.call("GET", path, what="query_trade")
        if isinstance(said, Outcome):
            return doubtful_trade(said)
        if said.code in NOT_FOUND_CODES:
            return TradeOutcome(state=TradeState.NOT_FOUND, code=said.code)
        if said.code:
            return doubtful_trade(self._client.refused("query_trade", said))
        try:
            return _read_trade(said.body, trade_no)
        except Malformed as malformed:
            return doubtful_trade(malformed.outcome)

    async def refund_elsewhere(self, call: RefundCall, account: PayeeAccount) -> Outcome:
        """Only for a refund that WeChat itself calls abnormal. Nothing of `account` is kept, logged or answered."""
        known = await self.query_refund(call)
        if known.kind is not OutcomeKind.ABNORMAL:
            return known
        body = {"out_refund_no": call.refund_no, "type": ACCOUNT_KINDS[account.kind]}
        if account.kind == "user_bank_card":
            body |= {
                "bank_type": account.bank_type,
                "bank_account": self._client.encrypt(account.account_no),
                "real_name": self._client.encrypt(account.account_name),
            }
        path = f"{REFUNDS_PATH}/{number_in_path(known.reference)}/apply-abnormal-refund"
        said = await self._client.call("POST", path, body, what="refund_elsewhere", is_encrypted=True)
        if isinstance(said, Outcome):
            return said
        if said.code:
            return self._client.refused("refund_elsewhere", said)
        return read_answer(said.body, lambda found: _read_refund(found, call))

    async def probe(self) -> Probe:
        said = await self._client.call("GET", f"{REFUNDS_PATH}/{PROBE_NUMBER}", what="probe")
        if isinstance(said, Outcome):
            return probe_of(said)
        if said.code in NOT_FOUND_CODES:
            return probe_of(Outcome(kind=OutcomeKind.NOT_FOUND, code=said.code))
        return probe_of(Outcome(kind=OutcomeKind.UNKNOWN, code=said.code))

    async def _explain_refusal(self, call: RefundCall, said: Said) -> Outcome:
        """The same code says "against the rules" and "this number was used otherwise": only the number itself knows."""
        known = await self.query_refund(call)
        return known if known.kind is not OutcomeKind.NOT_FOUND else self._client.refused("refund", said)


def _read_refund(found: dict[str, Any], call: RefundCall) -> Outcome:
    """`amount.refund` is what we asked for; `payer_refund` is what the buyer sees where a coupon of WeChat's paid a part."""
    read_same(found, "out_refund_no", call.refund_no)
    read_same(found, "out_trade_no", call.trade_no)
    status, kind = read_choice(found, "status", REFUND_STATES)
    amount = read_object(found, "amount")
    read_same(amount, "currency", call.currency)
    amount_minor = read_amount(amount, "refund", least_minor=1)
    refuse_if(amount_minor > call.captured_minor, "amount.refund")
    refund_id = read_text(found, "refund_id")
    evidence: dict[str, str | int] = {"refund_id": refund_id}
    if amount.get("payer_refund") is not None:
        evidence["payer_refund_minor"] = read_amount(amount, "payer_refund")
    if found.get("channel") is not None:
        evidence["received_by"] = CHANNELS.get(read_text(found, "channel"), "other")
    final_at = read_instant(found, "success_time")
    if final_at is not None:
        evidence["final_at"] = final_at.isoformat()
    return Outcome(kind=kind, code=status, reference=refund_id, amount_minor=amount_minor, evidence=evidence)


def _read_trade(found: Mapping[str, Any], trade_no: str) -> TradeOutcome:
    read_same(found, "out_trade_no", trade_no)
    word, state = read_choice(found, "trade_state", TRADE_STATES)
    if state is not TradeState.PAID:
        return TradeOutcome(state=state, code=word)
    amount = read_object(found, "amount")
    return TradeOutcome(state=state, paid_minor=read_amount(amount, "total", least_minor=1), code=word)


def _connect(settings: WeChatPaySettings, around: Surroundings) -> Connected:
    client = WeChatPayClient(settings, around)
    gateway = WeChatPay(client, settings, callback_url=around.callback_url)
    keys = accepted_secrets(settings.api_v3_key, settings.previous_api_v3_key)
    verifier = WeChatPayNotices(
        mchid=settings.mchid, platform_keys=client.platform_keys, api_v3_keys=keys, clock=around.clock
    )
    return Connected(party=gateway, close=client.outbound.aclose, probe=gateway.probe, verifier=verifier)


PROVIDER = Provider(
    name="wechat_pay",
    kind=PartyKind.PAYMENT,
    title="微信支付",
    settings=WeChatPaySettings,
    connect=_connect,
    error_kinds=ERRORS.kinds,
    read_bill=read_wechat,
)
