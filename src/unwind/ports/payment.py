"""A payment gateway. Every call is safe to repeat with the same number; money is integer minor units."""

from dataclasses import dataclass
from typing import Protocol

from unwind.domain.outcome import Outcome, TradeOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundCall:
    trade_no: str
    """The provider's number of the payment."""
    refund_no: str
    """Ours, 30 characters of Base32, fixed before the first call."""
    amount_minor: int
    captured_minor: int
    currency: str
    reason_code: str


class PaymentGateway(Protocol):
    async def refund(self, call: RefundCall) -> Outcome:
        """PROCESSING or SUCCEEDED when accepted. Time-outs, 5xx and unverifiable answers are UNKNOWN."""
        ...

    async def query_refund(self, call: RefundCall) -> Outcome:
        """What the gateway holds under `refund_no`, with its `amount_minor`; NOT_FOUND when it never accepted it."""
        ...

    async def close_trade(self, trade_no: str) -> TradeOutcome:
        """Closes an unpaid trade. PAID when the buyer was faster; NOT_FOUND may still be paid later."""
        ...

    async def query_trade(self, trade_no: str) -> TradeOutcome: ...
