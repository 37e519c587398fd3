"""A payment gateway in memory, with books of its own.

Why not the sandbox: it answers about 230 signed calls a second over real HTTP and needs every trade announced one by one, and its
refunds become final on the wall clock, while a replay lives on the clock of 2011. Calls, signatures and faults are proven
elsewhere; here the money is. This one holds what every order paid, refuses what it does not hold, is final at once, and is
compared with Unwind's own ledger, trade by trade, when the replay ends (`recount.py`).
"""

from dataclasses import dataclass, field

from unwind.domain.outcome import Outcome, OutcomeKind, TradeOutcome, TradeState
from unwind.ports.payment import RefundCall


@dataclass(slots=True)
class LedgerGateway:
    """Implements ports.payment.PaymentGateway."""

    spacing_s: float = field(default=0.0, init=False)
    captured_minor: dict[str, int] = field(default_factory=dict)
    """By trade."""
    returned_minor: dict[str, int] = field(default_factory=dict)
    """By trade; what the recount compares."""
    _refunds: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    """Refund number -> trade, amount, currency: the same number never pays twice."""

    async def refund(self, call: RefundCall) -> Outcome:
        asked = (call.trade_no, call.amount_minor, call.currency)
        known = self._refunds.get(call.refund_no)
        if known is None:
            returned = self.returned_minor.get(call.trade_no, 0) + call.amount_minor
            if call.amount_minor <= 0 or returned > self.captured_minor.get(call.trade_no, 0):
                return Outcome(kind=OutcomeKind.REFUSED, code="more_than_captured")
            self._refunds[call.refund_no] = asked
            self.returned_minor[call.trade_no] = returned
        elif known != asked:
            return Outcome(kind=OutcomeKind.REFUSED, code="number_used")
        return self._final(call)

    async def query_refund(self, call: RefundCall) -> Outcome:
        if call.refund_no not in self._refunds:
            return Outcome(kind=OutcomeKind.NOT_FOUND)
        return self._final(call)

    async def close_trade(self, trade_no: str) -> TradeOutcome:
        return await self.query_trade(trade_no)

    async def query_trade(self, trade_no: str) -> TradeOutcome:
        paid = self.captured_minor.get(trade_no)
        if paid is None:
            return TradeOutcome(state=TradeState.NOT_FOUND)
        return TradeOutcome(state=TradeState.PAID, paid_minor=paid)

    def _final(self, call: RefundCall) -> Outcome:
        _, amount, _ = self._refunds[call.refund_no]
        return Outcome(kind=OutcomeKind.SUCCEEDED, code="SUCCESS", reference=f"R-{call.refund_no}", amount_minor=amount)
