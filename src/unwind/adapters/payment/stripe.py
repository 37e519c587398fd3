"""Stripe: refunds of a payment intent, a charge or a checkout session, by the official SDK.

Our refund number is the idempotency key *and* stands in the refund's metadata: keys are remembered for about a day, metadata for ever, so a
refund is found by listing those of its payment.

Sources: docs.stripe.com/refunds, docs.stripe.com/webhooks; `stripe` 16.1.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, SecretStr

from unwind.adapters.fields import (
    Malformed,
    read_amount,
    read_answer,
    read_choice,
    read_object,
    read_same,
    read_text,
    refuse_if,
)
from unwind.adapters.payment.refusals import CONTRADICTION, doubtful_trade, no_answer_about_refund
from unwind.adapters.payment.stripe_callbacks import METADATA_KEY, StripeWebhooks
from unwind.adapters.payment.stripe_client import ERRORS, Said, StripeCalls
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
from unwind.adapters.shared_secrets import accepted_secrets
from unwind.domain.outcome import Outcome, OutcomeKind, TradeOutcome, TradeState
from unwind.ports.payment import RefundCall
from unwind.ports.probe import Probe

HOST = "https://api.stripe.com"
KEY_REMEMBERED_S = 20 * 3600.0
"""Idempotency keys live for about 24 h (unverified); after this the refunds of the payment are listed before one is made."""
PAGE_SIZE, PAGES_MAX = 100, 10
PROBE_NUMBER = "pi_UNWINDPROBE0"
MISSING_CODE = "resource_missing"
"""(unverified): an object that Stripe does not have."""
OTHERWISE_USED = frozenset({"idempotency_error", "charge_already_refunded", "invalid_request_error:amount"})
"""Refusals that an earlier try of ours may explain."""

FAILURE_KINDS: Mapping[str, OutcomeKind] = {
    "lost_or_stolen_card": OutcomeKind.ABNORMAL,
    "expired_or_canceled_card": OutcomeKind.ABNORMAL,
    "declined": OutcomeKind.ABNORMAL,
    "unknown": OutcomeKind.ABNORMAL,
    "charge_for_pending_refund_disputed": OutcomeKind.REFUSED,
    "merchant_request": OutcomeKind.REFUSED,
    "insufficient_funds": OutcomeKind.NEEDS_NEW_NUMBER,
}
"""A failed refund is dead for ever; only what failed for want of funds is worth the next number by itself."""
STATUS_KINDS: Mapping[str, OutcomeKind] = {
    "pending": OutcomeKind.PROCESSING,
    "requires_action": OutcomeKind.PROCESSING,
    "succeeded": OutcomeKind.SUCCEEDED,
    "failed": OutcomeKind.ABNORMAL,
    "canceled": OutcomeKind.NEEDS_NEW_NUMBER,
}
INTENT_STATES: Mapping[str, TradeState] = {
    "requires_payment_method": TradeState.UNPAID,
    "requires_confirmation": TradeState.UNPAID,
    "requires_action": TradeState.UNPAID,
    "requires_capture": TradeState.UNPAID,
    "processing": TradeState.UNKNOWN,
    "canceled": TradeState.CLOSED,
    "succeeded": TradeState.PAID,
}
"""Authorised and not captured is unpaid: it is cancelled, not refunded."""
_TRADE_PATTERN = re.compile(r"(pi|ch|cs)_[0-9A-Za-z_]{1,200}")
PATHS = {"pi": "/v1/payment_intents", "ch": "/v1/charges", "cs": "/v1/checkout/sessions"}


class StripeSettings(ProviderSettings):
    base_url: str = HOST
    secret_key: Annotated[SecretStr, Field(min_length=8)]
    webhook_secret: Annotated[SecretStr, Field(min_length=8)]
    previous_webhook_secret: SecretStr | None = None
    """Still accepted while Stripe rolls it."""
    spacing_s: Annotated[float, Field(ge=0)] = 0.0


class Stripe:
    """Implements ports.payment.PaymentGateway. `trade_no` is `pi_...`, `ch_...` or `cs_...`."""

    def __init__(self, calls: StripeCalls, settings: StripeSettings, around: Surroundings) -> None:
        self._calls = calls
        self._clock, self._nonces = around.clock, around.nonces
        self.spacing_s = settings.spacing_s

    async def refund(self, call: RefundCall) -> Outcome:
        target = await self._refundable(call.trade_no)
        if isinstance(target, Outcome):
            return target
        if self._clock() - call.numbered_at.timestamp() > KEY_REMEMBERED_S:
            known = await self._find(call, target)
            if known.kind is not OutcomeKind.NOT_FOUND:
                return known
        params = {
            **target,
            "amount": call.amount_minor,
            "reason": "requested_by_customer",
            "metadata": {METADATA_KEY: call.refund_no},
        }
        said = await self._calls.call("post", "/v1/refunds", params, idempotency_key=call.refund_no)
        if isinstance(said, Outcome):
            return said
        if said.code in OTHERWISE_USED:
            return await self._explain_refusal(call, target, said)
        if said.code:
            return self._calls.refused("refund", said)

        def reader(found: dict[str, Any]) -> Outcome:
            outcome = _read_refund(found, call, target)
            refuse_if(outcome.amount_minor != call.amount_minor, "amount")
            return outcome

        return read_answer(said.body, reader)

    async def query_refund(self, call: RefundCall) -> Outcome:
        target = await self._refundable(call.trade_no)
        if isinstance(target, Outcome):
            is_unpaid = target.kind is OutcomeKind.REFUSED
            return replace(target, kind=OutcomeKind.NOT_FOUND) if is_unpaid else target
        return await self._find(call, target)

    async def close_trade(self, trade_no: str) -> TradeOutcome:
        """A refusal to close is explained by the trade itself. Its key is a fresh one: a remembered refusal would be no answer."""
        match = _TRADE_PATTERN.fullmatch(trade_no)
        if match is None:
            return doubtful_trade(self._foreign(trade_no))
        if match[1] == "ch":
            return _not_closed(await self.query_trade(trade_no))
        verb = "cancel" if match[1] == "pi" else "expire"
        params = {"cancellation_reason": "abandoned"} if verb == "cancel" else {}
        said = await self._calls.call(
            "post", f"{PATHS[match[1]]}/{trade_no}/{verb}", params, idempotency_key=self._nonces()
        )
        if isinstance(said, Outcome):
            return doubtful_trade(said)
        if said.code == MISSING_CODE:
            return TradeOutcome(state=TradeState.NOT_FOUND, code=said.code)
        if said.code:
            return _not_closed(await self.query_trade(trade_no))
        return _not_closed(_read_trade(said.body, trade_no, match[1]))

    async def query_trade(self, trade_no: str) -> TradeOutcome:
        match = _TRADE_PATTERN.fullmatch(trade_no)
        if match is None:
            return doubtful_trade(self._foreign(trade_no))
        said = await self._calls.call("get", f"{PATHS[match[1]]}/{trade_no}")
        if isinstance(said, Outcome):
            return doubtful_trade(said)
        if said.code == MISSING_CODE:
            return TradeOutcome(state=TradeState.NOT_FOUND, code=said.code)
        if said.code:
            return doubtful_trade(self._calls.refused("query_trade", said))
        return _read_trade(said.body, trade_no, match[1])

    async def probe(self) -> Probe:
        said = await self._calls.call("get", f"{PATHS['pi']}/{PROBE_NUMBER}")
        if isinstance(said, Outcome):
            return probe_of(said)
        kind = OutcomeKind.NOT_FOUND if said.code in {"", MISSING_CODE} else OutcomeKind.UNKNOWN
        return probe_of(Outcome(kind=kind, code=said.code))

    def _foreign(self, trade_no: str) -> Outcome:
        del trade_no
        return self._calls.outbound.trouble(
            "query_trade",
            OutcomeKind.UNKNOWN,
            "trade_no_not_stripes",
            alert=CONFIGURATION,
            retry_after_s=CONFIGURATION_RETRY_S,
        )

    async def _refundable(self, trade_no: str) -> dict[str, str] | Outcome:
        """What a refund names: a payment intent or a charge. A checkout session is asked for the intent behind it."""
        match = _TRADE_PATTERN.fullmatch(trade_no)
        if match is None:
            return self._foreign(trade_no)
        if match[1] != "cs":
            return {"payment_intent" if match[1] == "pi" else "charge": trade_no}
        said = await self._calls.call("get", f"{PATHS['cs']}/{trade_no}")
        if isinstance(said, Outcome):
            return said
        if said.code:
            return self._calls.refused("session", said)
        try:
            read_same(said.body, "id", trade_no)
            intent = read_text(said.body, "payment_intent", required=False)
        except Malformed as malformed:
            return malformed.outcome
        return (
            {"payment_intent": intent} if intent else Outcome(kind=OutcomeKind.REFUSED, code="session_without_intent")
        )

    async def _find(self, call: RefundCall, target: Mapping[str, str]) -> Outcome:
        """Our refund among all of the payment's, by its metadata."""
        after: dict[str, str] = {}
        for _ in range(PAGES_MAX):
            said = await self._calls.call("get", "/v1/refunds", {**target, "limit": PAGE_SIZE, **after})
            if isinstance(said, Outcome):
                return said
            if said.code == MISSING_CODE:
                return Outcome(kind=OutcomeKind.NOT_FOUND, code=said.code)
            if said.code:
                return no_answer_about_refund(self._calls.refused("list_refunds", said))
            try:
                found, last_id = _search(said.body, call, target)
            except Malformed as malformed:
                return malformed.outcome
            if found is not None or not last_id:
                return found or Outcome(kind=OutcomeKind.NOT_FOUND, code="not_listed")
            after = {"starting_after": last_id}
        return Outcome(kind=OutcomeKind.UNKNOWN, code="too_many_refunds", alert=CONTRADICTION)

    async def _explain_refusal(self, call: RefundCall, target: Mapping[str, str], said: Said) -> Outcome:
        known = await self._find(call, target)
        if known.kind is not OutcomeKind.NOT_FOUND:
            return known
        refused = self._calls.refused("refund", said)
        return replace(refused, alert=CONTRADICTION) if said.code == "idempotency_error" else refused


def _search(body: Mapping[str, Any], call: RefundCall, target: Mapping[str, str]) -> tuple[Outcome | None, str]:
    """Our refund on this page; otherwise the number after which the next page begins, empty for none."""
    page, has_more = body.get("data"), body.get("has_more")
    if not isinstance(page, list) or not isinstance(has_more, bool) or not all(isinstance(one, dict) for one in page):
        raise Malformed("data")
    for one in page:
        for name, value in target.items():
            read_same(one, name, value)
        metadata = one.get("metadata")
        if isinstance(metadata, dict) and metadata.get(METADATA_KEY) == call.refund_no:
            return _read_refund(one, call, target), ""
    refuse_if(has_more and not page, "has_more")
    return None, read_text(page[-1], "id") if has_more else ""


def _read_refund(found: Mapping[str, Any], call: RefundCall, target: Mapping[str, str]) -> Outcome:
    for name, value in target.items():
        read_same(found, name, value)
    read_same(read_object(found, "metadata"), METADATA_KEY, call.refund_no)
    refuse_if(read_text(found, "currency").upper() != call.currency, "currency")
    amount_minor = read_amount(found, "amount", least_minor=1)
    refuse_if(amount_minor > call.captured_minor, "amount")
    status, kind = read_choice(found, "status", STATUS_KINDS)
    refund_id, reason = read_text(found, "id"), ""
    evidence: dict[str, str | int] = {"refund_id": refund_id}
    alert = ""
    if status == "failed":
        reason = read_text(found, "failure_reason", required=False) or "unknown"
        kind = FAILURE_KINDS.get(reason, OutcomeKind.ABNORMAL)
        alert = "" if reason in FAILURE_KINDS else "unknown_code"
    elif kind is OutcomeKind.PROCESSING:
        reason = read_text(found, "pending_reason", required=False)
    code = f"{status}:{reason}" if reason else status
    return Outcome(kind=kind, code=code, reference=refund_id, amount_minor=amount_minor, alert=alert, evidence=evidence)


def _read_trade(found: Mapping[str, Any], trade_no: str, prefix: str) -> TradeOutcome:
    try:
        read_same(found, "id", trade_no)
        match prefix:
            case "pi":
                return _read_intent(found)
            case "ch":
                return _read_charge(found)
            case _:
                return _read_session(found)
    except Malformed as malformed:
        return doubtful_trade(malformed.outcome)


def _read_intent(found: Mapping[str, Any]) -> TradeOutcome:
    word, state = read_choice(found, "status", INTENT_STATES)
    paid_minor = read_amount(found, "amount_received", least_minor=1) if state is TradeState.PAID else None
    return TradeOutcome(state=state, paid_minor=paid_minor, code=word)


def _read_charge(found: Mapping[str, Any]) -> TradeOutcome:
    word = read_text(found, "status")
    if word == "succeeded" and found.get("captured") is True:
        paid_minor = read_amount(found, "amount_captured", least_minor=1)
        return TradeOutcome(state=TradeState.PAID, paid_minor=paid_minor, code=word)
    is_unpaid = word in {"failed", "succeeded"}
    return TradeOutcome(state=TradeState.UNPAID if is_unpaid else TradeState.UNKNOWN, code=word)


def _read_session(found: Mapping[str, Any]) -> TradeOutcome:
    word, paid = read_text(found, "status"), read_text(found, "payment_status")
    if paid == "paid":
        return TradeOutcome(
            state=TradeState.PAID, paid_minor=read_amount(found, "amount_total", least_minor=1), code=paid
        )
    states = {"open": TradeState.UNPAID, "expired": TradeState.CLOSED}
    return TradeOutcome(state=states.get(word, TradeState.UNKNOWN), code=word)


def _not_closed(found: TradeOutcome) -> TradeOutcome:
    """Unpaid after a call to close it is no result: Stripe's trades do not run out by themselves."""
    return found if found.state is not TradeState.UNPAID else replace(found, state=TradeState.UNKNOWN)


def _connect(settings: StripeSettings, around: Surroundings) -> Connected:
    outbound = outbound_of(settings, around)
    calls = StripeCalls(
        secret_key=settings.secret_key.get_secret_value(), base_url=settings.base_url, outbound=outbound
    )
    gateway = Stripe(calls, settings, around)
    secrets = accepted_secrets(settings.webhook_secret, settings.previous_webhook_secret)
    verifier = StripeWebhooks(secrets, around.clock)
    return Connected(party=gateway, close=outbound.aclose, probe=gateway.probe, verifier=verifier)


PROVIDER = Provider(
    name="stripe",
    kind=PartyKind.PAYMENT,
    title="Stripe 国际卡",
    settings=StripeSettings,
    connect=_connect,
    error_kinds=ERRORS.kinds,
)
