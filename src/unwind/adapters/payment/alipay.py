"""Alipay open platform, gateway version 2, RSA2 with plain keys: refunds and trades.

Sources: opendocs.alipay.com/open/6c0cdd7d_alipay.trade.refund; zhifubao.apifox.cn/doc-3290173; the official `alipay-sdk-python` 3.7.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import Field, StringConstraints

from unwind.adapters.fields import Malformed, read_answer, read_choice, read_same, read_text, refuse_if
from unwind.adapters.outbound import Reply, code_of
from unwind.adapters.payment.alipay_callbacks import CURRENCY, AlipayNotifications
from unwind.adapters.payment.alipay_codes import (
    BUSINESS_FAILED,
    ERRORS,
    FAMILIES,
    OK,
    TRADE_GONE,
    TRADE_STATE_CODES,
    TRADE_STATES,
)
from unwind.adapters.payment.alipay_signing import (
    BEIJING,
    SIGN_TYPE,
    AnswerInvalid,
    beijing_time,
    read_answer_node,
    sign_request,
)
from unwind.adapters.payment.bills import read_alipay
from unwind.adapters.payment.keys import PrivateKeyText, PublicKeyText, load_private_key, load_public_key
from unwind.adapters.payment.refusals import CONTRADICTION, doubtful_trade, no_answer_about_refund, not_in
from unwind.adapters.payment.yuan import read_yuan, to_yuan
from unwind.adapters.provider import (
    Connected,
    PartyKind,
    Provider,
    ProviderSettings,
    Surroundings,
    outbound_of,
    probe_of,
)
from unwind.adapters.refusals import CONFIGURATION
from unwind.domain.outcome import Outcome, OutcomeKind, TradeOutcome, TradeState
from unwind.ports.payment import RefundCall
from unwind.ports.probe import Probe

HOST = "https://openapi.alipay.com"
GATEWAY_PATH = "/gateway.do"
SPACING_S = 3.0
REASON = "订单取消退款"
PROBE_NUMBER = "UNWIND-PROBE"
ABSENT_TRUSTED_AFTER_S = 10.0
"""A refund that the query does not show may still be on its way this long after it was sent."""
REMEMBERED_MAX = 10_000
HTTP_OK = 200


class AlipaySettings(ProviderSettings):
    base_url: str = HOST
    app_id: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{1,32}$")]
    app_private_key: PrivateKeyText
    alipay_public_key: PublicKeyText
    previous_alipay_public_key: PublicKeyText | None = None
    seller_id: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{0,32}$")] = ""
    spacing_s: Annotated[float, Field(ge=0)] = SPACING_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What Alipay certainly said. `code` is empty for a yes; `shown` is the finer code where there is one."""

    code: str = ""
    shown: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    retry_after_s: float | None = None


class AlipayClient:
    """One signed call, and the answer after its own signature was checked."""

    def __init__(self, settings: AlipaySettings, around: Surroundings) -> None:
        self._app_id = settings.app_id
        self._clock = around.clock
        self._key = load_private_key(settings.app_private_key.get_secret_value())
        given = (settings.alipay_public_key, settings.previous_alipay_public_key)
        self.keys = tuple(load_public_key(text) for text in given if text is not None)
        self.outbound = outbound_of(settings, around)

    async def call(self, method: str, content: Mapping[str, Any]) -> Said | Outcome:
        """As the official SDK places things: common parameters and signature in the query, biz_content in the body."""
        written = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        signed = sign_request(
            self._key,
            {
                "app_id": self._app_id,
                "method": method,
                "format": "JSON",
                "charset": "utf-8",
                "sign_type": SIGN_TYPE,
                "timestamp": beijing_time(self._clock()),
                "version": "1.0",
                "biz_content": written,
            },
        )
        del signed["biz_content"]
        reply = await self.outbound.exchange(
            "POST",
            f"{GATEWAY_PATH}?{urlencode(signed)}",
            content=urlencode({"biz_content": written}).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"},
            what=method,
        )
        return reply if isinstance(reply, Outcome) else self._judge(method, reply)

    def refused(self, what: str, said: Said) -> Outcome:
        return ERRORS.outcome(
            self.outbound, what, said.code, http_status=HTTP_OK, retry_after_s=said.retry_after_s, shown=said.shown
        )

    def _judge(self, method: str, reply: Reply) -> Said | Outcome:
        if reply.status != HTTP_OK:
            return self.outbound.trouble(method, OutcomeKind.UNKNOWN, f"http_{reply.status}", http_status=reply.status)
        try:
            node = read_answer_node(self.keys, reply.body, method)
        except AnswerInvalid as invalid:
            if invalid.reason == "malformed":
                return self.outbound.malformed(method, http_status=reply.status)
            said = _said(invalid.node, None)
            if invalid.reason == "missing" and ERRORS.alerts.get(said.code) == CONFIGURATION:
                return self.refused(method, said)  # unsigned, and all it says is "check your settings"
            return self.outbound.unverified(method, invalid.reason, http_status=reply.status)
        return _said(node, reply.retry_after_s)


def _said(node: Mapping[str, Any], retry_after_s: float | None) -> Said:
    code, sub_code = code_of(node.get("code")), node.get("sub_code")
    if code == OK:
        return Said(body=dict(node))
    shown = code_of(sub_code) if sub_code else code
    family = next((name for name in FAMILIES if shown.startswith(name)), "")
    known = family or (shown if shown in ERRORS.kinds or code == BUSINESS_FAILED else code)
    return Said(code=known, shown=shown, retry_after_s=retry_after_s)


class Alipay:
    """Implements ports.payment.PaymentGateway. `trade_no` is the merchant's own out_trade_no."""

    def __init__(self, client: AlipayClient, settings: AlipaySettings, around: Surroundings) -> None:
        self._client = client
        self._clock = around.clock
        self._sent_at: OrderedDict[str, float] = OrderedDict()
        self.spacing_s = settings.spacing_s

    async def refund(self, call: RefundCall) -> Outcome:
        foreign = not_in(CURRENCY, call.currency)
        if foreign is not None:
            return foreign
        self._remember(call.refund_no, self._clock())
        content = {
            "out_trade_no": call.trade_no,
            "refund_amount": to_yuan(call.amount_minor),
            "out_request_no": call.refund_no,
            "refund_reason": REASON,
        }
        said = await self._client.call("alipay.trade.refund", content)
        if isinstance(said, Outcome):
            return said
        if said.code in TRADE_STATE_CODES:
            return await self._explain_state(call, said)
        if ERRORS.alerts.get(said.code) == CONTRADICTION:
            return replace(await self.query_refund(call), alert=CONTRADICTION)
        if said.code:
            return self._client.refused("alipay.trade.refund", said)
        outcome = read_answer(said.body, lambda found: _read_refund(found, call))
        return await self.query_refund(call) if outcome.kind is OutcomeKind.PROCESSING else outcome

    async def query_refund(self, call: RefundCall) -> Outcome:
        content = {
            "out_trade_no": call.trade_no,
            "out_request_no": call.refund_no,
            "query_options": ["gmt_refund_pay", "send_back_fee"],
        }
        said = await self._client.call("alipay.trade.fastpay.refund.query", content)
        if isinstance(said, Outcome):
            return said
        if said.code == TRADE_GONE:
            return Outcome(kind=OutcomeKind.NOT_FOUND, code=said.code)
        if said.code:
            return no_answer_about_refund(self._client.refused("alipay.trade.fastpay.refund.query", said))
        if said.body.get("refund_status") is None:
            return self._read_absent(call)
        return read_answer(said.body, lambda found: _read_query(found, call))

    async def close_trade(self, trade_no: str) -> TradeOutcome:
        """TRADE_NOT_EXIST: the buyer saw the cashier and never began; the trade can still be paid later."""
        said = await self._client.call("alipay.trade.close", {"out_trade_no": trade_no})
        match said:
            case Outcome():
                return doubtful_trade(said)
            case Said(code=""):
                is_ours = said.body.get("out_trade_no") == trade_no
                return TradeOutcome(state=TradeState.CLOSED if is_ours else TradeState.UNKNOWN, code=OK)
            case Said(code=code) if code == TRADE_GONE:
                return TradeOutcome(state=TradeState.NOT_FOUND, code=code)
            case Said(code=code) if code in TRADE_STATE_CODES:
                found = await self.query_trade(trade_no)
                return found if found.state is not TradeState.UNPAID else replace(found, state=TradeState.UNKNOWN)
            case _:
                return doubtful_trade(self._client.refused("alipay.trade.close", said))

    async def query_trade(self, trade_no: str) -> TradeOutcome:
        said = await self._client.call("alipay.trade.query", {"out_trade_no": trade_no})
        if isinstance(said, Outcome):
            return doubtful_trade(said)
        if said.code == TRADE_GONE:
            return TradeOutcome(state=TradeState.NOT_FOUND, code=said.code)
        if said.code:
            return doubtful_trade(self._client.refused("alipay.trade.query", said))
        try:
            return _read_trade(said.body, trade_no)
        except Malformed as malformed:
            return doubtful_trade(malformed.outcome)

    async def probe(self) -> Probe:
        said = await self._client.call("alipay.trade.query", {"out_trade_no": PROBE_NUMBER})
        if isinstance(said, Outcome):
            return probe_of(said)
        kind = OutcomeKind.NOT_FOUND if said.code in {"", TRADE_GONE} else OutcomeKind.UNKNOWN
        return probe_of(Outcome(kind=kind, code=said.shown))

    async def _explain_state(self, call: RefundCall, said: Said) -> Outcome:
        """Refused for good only when the trade itself says that nothing is there to refund."""
        trade = await self.query_trade(call.trade_no)
        refused = self._client.refused("alipay.trade.refund", said)
        match trade.state:
            case TradeState.PAID:
                return replace(refused, kind=OutcomeKind.UNKNOWN, alert=CONTRADICTION)
            case TradeState.UNKNOWN:
                return replace(refused, kind=OutcomeKind.UNKNOWN)
            case _:
                return refused

    def _remember(self, refund_no: str, sent_at: float) -> None:
        self._sent_at[refund_no] = sent_at
        self._sent_at.move_to_end(refund_no)
        while len(self._sent_at) > REMEMBERED_MAX:
            self._sent_at.popitem(last=False)

    def _read_absent(self, call: RefundCall) -> Outcome:
        """Absent is "never received or failed" only once a sending has had its time.

        This process remembers what it sent. What another may have sent counts from the number's own time, or from now where the clock
        that gave it runs ahead of ours.
        """
        now = self._clock()
        if call.refund_no not in self._sent_at and call.may_have_left:
            self._remember(call.refund_no, min(call.numbered_at.timestamp(), now))
        sent_at = self._sent_at.get(call.refund_no)
        wait_s = 0.0 if sent_at is None else sent_at + ABSENT_TRUSTED_AFTER_S - now
        if wait_s > 0:
            return Outcome(kind=OutcomeKind.UNKNOWN, code="absent_too_early", retry_after_s=wait_s)
        return Outcome(kind=OutcomeKind.NOT_FOUND, code="absent")


def _read_refund(found: dict[str, Any], call: RefundCall) -> Outcome:
    """PROCESSING stands for "ask": `fund_change` is N for a repeat and missing where Alipay does not know yet.

    `refund_fee` is what the trade has had refunded in all (unverified, well known); `send_back_fee` is this refund.
    """
    read_same(found, "out_trade_no", call.trade_no)
    if found.get("fund_change") != "Y":
        return Outcome(kind=OutcomeKind.PROCESSING, code="fund_change_not_y")
    cumulative_minor = read_yuan(found, "refund_fee")
    refuse_if(not call.amount_minor <= cumulative_minor <= call.captured_minor, "refund_fee")
    evidence: dict[str, str | int] = {"refunded_in_all_minor": cumulative_minor}
    if found.get("send_back_fee") is not None:
        sent_back_minor = read_yuan(found, "send_back_fee")
        refuse_if(sent_back_minor > call.amount_minor, "send_back_fee")
        evidence["payer_refund_minor"] = sent_back_minor
    return Outcome(
        kind=OutcomeKind.SUCCEEDED,
        code="fund_change_y",
        reference=read_text(found, "trade_no", required=False),
        amount_minor=call.amount_minor,
        evidence=evidence,
    )


def _read_query(found: dict[str, Any], call: RefundCall) -> Outcome:
    status, kind = read_choice(found, "refund_status", {"REFUND_SUCCESS": OutcomeKind.SUCCEEDED})
    read_same(found, "out_trade_no", call.trade_no)
    read_same(found, "out_request_no", call.refund_no)
    amount_minor = read_yuan(found, "refund_amount", least_minor=1)
    refuse_if(amount_minor > call.captured_minor, "refund_amount")
    evidence: dict[str, str | int] = {}
    if found.get("send_back_fee") is not None:
        evidence["payer_refund_minor"] = read_yuan(found, "send_back_fee")
    if found.get("gmt_refund_pay") is not None:
        evidence["final_at"] = _read_instant(found, "gmt_refund_pay")
    reference = read_text(found, "trade_no", required=False)
    return Outcome(kind=kind, code=status, reference=reference, amount_minor=amount_minor, evidence=evidence)


def _read_trade(found: Mapping[str, Any], trade_no: str) -> TradeOutcome:
    read_same(found, "out_trade_no", trade_no)
    word, state = read_choice(found, "trade_status", TRADE_STATES)
    paid_minor = read_yuan(found, "total_amount", least_minor=1) if state is TradeState.PAID else None
    return TradeOutcome(state=state, paid_minor=paid_minor, code=word)


def _read_instant(found: Mapping[str, Any], name: str) -> str:
    """Beijing time without an offset on the wire."""
    try:
        at = datetime.strptime(read_text(found, name)[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING)
    except ValueError:
        raise Malformed(name) from None
    return at.isoformat()


def _connect(settings: AlipaySettings, around: Surroundings) -> Connected:
    client = AlipayClient(settings, around)
    gateway = Alipay(client, settings, around)
    verifier = AlipayNotifications(
        app_id=settings.app_id, seller_id=settings.seller_id, keys=client.keys, clock=around.clock
    )
    return Connected(party=gateway, close=client.outbound.aclose, probe=gateway.probe, verifier=verifier)


PROVIDER = Provider(
    name="alipay",
    kind=PartyKind.PAYMENT,
    title="支付宝",
    settings=AlipaySettings,
    connect=_connect,
    error_kinds=ERRORS.kinds,
    read_bill=read_alipay,
)
