"""A payment service that speaks the generic contract."""

from collections.abc import Mapping
from typing import Any

from unwind.adapters.fields import (
    read_amount,
    read_answer,
    read_choice,
    read_currency,
    read_instant,
    read_same,
    read_text,
    refuse_if,
)
from unwind.adapters.generic.client import SignedClient
from unwind.domain.outcome import Outcome, OutcomeKind, TradeOutcome, TradeState
from unwind.ports.payment import RefundCall

STATUS_KINDS: Mapping[str, OutcomeKind] = {
    "PROCESSING": OutcomeKind.PROCESSING,
    "SUCCESS": OutcomeKind.SUCCEEDED,
    "CLOSED": OutcomeKind.NEEDS_NEW_NUMBER,
    "ABNORMAL": OutcomeKind.ABNORMAL,
}
CLOSING_STATES: Mapping[str, TradeState] = {"PAID": TradeState.PAID, "CLOSED": TradeState.CLOSED}
TRADE_STATES: Mapping[str, TradeState] = {**CLOSING_STATES, "UNPAID": TradeState.UNPAID}


class GenericPaymentGateway:
    """Implements ports.payment.PaymentGateway and TellsBalance."""

    spacing_s = 0.0

    def __init__(self, client: SignedClient) -> None:
        self._client = client

    async def refund(self, call: RefundCall) -> Outcome:
        """A trade that the gateway does not know is refused: nothing was and nothing can be refunded on it.

        A 200 with another amount than ours is no answer (the contract has 409 for it): a query explains it.
        """
        body = {
            "trade_no": call.trade_no,
            "refund_no": call.refund_no,
            "amount_minor": call.amount_minor,
            "total_minor": call.captured_minor,
            "currency": call.currency,
            "reason": call.reason_code,
        }
        answer = await self._client.call("/payment/refunds", body, not_found=OutcomeKind.REFUSED)

        def reader(found: dict[str, Any]) -> Outcome:
            refuse_if(read_amount(found, "amount_minor") != call.amount_minor, "amount_minor")
            return _read_refund(found, call)

        return read_answer(answer, reader)

    async def query_refund(self, call: RefundCall) -> Outcome:
        """The amount is what the gateway holds under this number; where it is not ours, the caller adopts it."""
        body = {"trade_no": call.trade_no, "refund_no": call.refund_no}
        answer = await self._client.call("/payment/refunds/query", body, not_found=OutcomeKind.NOT_FOUND)
        return read_answer(answer, lambda found: _read_refund(found, call))

    async def close_trade(self, trade_no: str) -> TradeOutcome:
        body = {"trade_no": trade_no}
        answer = await self._client.call("/payment/trades/close", body, not_found=OutcomeKind.NOT_FOUND)
        outcome = read_answer(answer, lambda found: _read_trade(found, trade_no, CLOSING_STATES))
        return _trade_outcome(outcome, CLOSING_STATES)

    async def query_trade(self, trade_no: str) -> TradeOutcome:
        body = {"trade_no": trade_no}
        answer = await self._client.call("/payment/trades/query", body, not_found=OutcomeKind.NOT_FOUND)
        outcome = read_answer(answer, lambda found: _read_trade_in_full(found, trade_no))
        return _trade_outcome(outcome, TRADE_STATES)

    async def balance(self, currency: str) -> Outcome:
        answer = await self._client.call("/payment/balance", {"currency": currency}, not_found=OutcomeKind.NOT_FOUND)

        def reader(found: dict[str, Any]) -> Outcome:
            read_same(found, "currency", currency)
            return Outcome(kind=OutcomeKind.SUCCEEDED, amount_minor=read_amount(found, "balance_minor"))

        return read_answer(answer, reader)


def _read_refund(answer: dict[str, Any], call: RefundCall) -> Outcome:
    read_same(answer, "refund_no", call.refund_no)
    read_same(answer, "trade_no", call.trade_no)
    read_same(answer, "currency", call.currency)
    amount_minor = read_amount(answer, "amount_minor", least_minor=1)
    refuse_if(amount_minor > call.captured_minor, "amount_minor")
    status, kind = read_choice(answer, "status", STATUS_KINDS)
    final_at = read_instant(answer, "final_at")
    return Outcome(
        kind=kind,
        code=status,
        reference=read_text(answer, "reference", required=False),
        amount_minor=amount_minor,
        evidence={"final_at": final_at.isoformat()} if final_at is not None else {},
    )


def _read_trade(answer: dict[str, Any], trade_no: str, states: Mapping[str, TradeState]) -> Outcome:
    """SUCCEEDED with the state as its code; made a TradeOutcome below."""
    read_same(answer, "trade_no", trade_no)
    word, _ = read_choice(answer, "state", states)
    return Outcome(kind=OutcomeKind.SUCCEEDED, code=word)


def _read_trade_in_full(answer: dict[str, Any], trade_no: str) -> Outcome:
    state = _read_trade(answer, trade_no, TRADE_STATES).code
    read_currency(answer)
    amount_minor = read_amount(answer, "amount_minor", least_minor=1)
    refuse_if(read_amount(answer, "refunded_minor") > amount_minor, "refunded_minor")
    return Outcome(kind=OutcomeKind.SUCCEEDED, code=state, amount_minor=amount_minor)


def _trade_outcome(outcome: Outcome, states: Mapping[str, TradeState]) -> TradeOutcome:
    """Any doubt about a trade is UNKNOWN, also where sending again would be safe: asking again costs nothing."""
    match outcome.kind:
        case OutcomeKind.SUCCEEDED:
            state = states[outcome.code]
            paid_minor = outcome.amount_minor if state is TradeState.PAID else None
            return TradeOutcome(state=state, paid_minor=paid_minor, code=outcome.code)
        case OutcomeKind.NOT_FOUND:
            return TradeOutcome(state=TradeState.NOT_FOUND, code=outcome.code)
        case _:
            return TradeOutcome(state=TradeState.UNKNOWN, code=outcome.code)
