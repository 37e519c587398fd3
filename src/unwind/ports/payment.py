"""A payment gateway. Every call is safe to repeat with the same number; money is integer minor units."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from unwind.domain.outcome import Outcome, TradeOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundCall:
    trade_no: str
    """The number of the payment: the merchant's own at WeChat and Alipay, `orderId:txnTime` at UnionPay, the provider's elsewhere."""
    refund_no: str
    """Ours, 30 characters of Base32, fixed before the first call."""
    numbered_at: datetime
    """When the number was given, UTC; stored with it. Part of the number where a provider wants a time in it (UnionPay)."""
    amount_minor: int
    captured_minor: int
    currency: str
    reason_code: str
    may_have_left: bool = True
    """False only before the first sending under this number; a provider that shows a refund late is then believed at once."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PayeeAccount:
    """Where an abnormal refund goes instead. Stands sealed until a second person agrees, and is never logged (hence no repr)."""

    kind: str
    """`user_bank_card` or `merchant_bank_card`; only the first has what follows."""
    bank_type: str = ""
    account_no: str = ""
    account_name: str = ""

    @property
    def is_merchants(self) -> bool:
        return self.kind == "merchant_bank_card"

    @property
    def way(self) -> str:
        """As `refunds.how` names it."""
        return "merchant_account" if self.is_merchants else "other_account"


class PaymentGateway(Protocol):
    spacing_s: float
    """Least time between two refunds of one payment."""

    async def refund(self, call: RefundCall) -> Outcome:
        """PROCESSING or SUCCEEDED when accepted. Time-outs, 5xx and unverifiable answers are UNKNOWN."""
        ...

    async def query_refund(self, call: RefundCall) -> Outcome:
        """What the gateway holds under `refund_no`, with its `amount_minor`; NOT_FOUND when it never accepted it."""
        ...

    async def close_trade(self, trade_no: str) -> TradeOutcome:
        """Closes an unpaid trade. PAID when the buyer was faster; NOT_FOUND may still be paid later.

        UNPAID: the gateway has no way to close; the trade ends by its own time limit.
        """
        ...

    async def query_trade(self, trade_no: str) -> TradeOutcome: ...


@runtime_checkable
class PaysElsewhere(Protocol):
    """A gateway that can send an abnormal refund to another account of the payer, or to the merchant's own."""

    async def refund_elsewhere(self, call: RefundCall, account: PayeeAccount) -> Outcome: ...


@runtime_checkable
class TellsBalance(Protocol):
    """A gateway that says what is there to refund from."""

    async def balance(self, currency: str) -> Outcome:
        """SUCCEEDED with `amount_minor`, without what it has taken for refunds that are not final; NOT_FOUND where it keeps no such account."""
        ...
