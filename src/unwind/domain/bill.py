"""A provider's bill, what our own ledger says to it, and how the two may differ."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class BillKind(StrEnum):
    PAYMENT = "payment"
    REFUND = "refund"


@dataclass(frozen=True, slots=True, kw_only=True)
class BillRow:
    kind: BillKind
    trade_no: str
    """As orders name the payment at this connection (`payments[].trade_no`), as far as the bill shows it."""
    refund_no: str
    """Empty for payments."""
    amount_minor: int
    """Positive, in minor units; the bill's own unit and sign stay in the reader."""
    currency: str
    at: datetime
    """When the provider booked it, UTC."""


class DifferenceKind(StrEnum):
    REFUND_NOT_OURS = "refund_not_ours"
    """The provider paid back under a number that is none of ours: staff in the provider's own pages, or another program."""
    REFUND_AMOUNT = "refund_amount"
    """The same number, another amount."""
    REFUND_NOT_FINAL = "refund_not_final"
    """On the bill, and not final here: the case is woken and asks."""
    REFUND_PAID_TWICE = "refund_paid_twice"
    """On the bill, though two people have said that it was paid off-line."""
    REFUND_MISSING = "refund_missing"
    """Final here, sent on a day whose bill and the next day's are both loaded, and on neither."""
    PAYMENT_AMOUNT = "payment_amount"
    PAYMENT_NOT_BOOKED = "payment_not_booked"
    """Paid, says the provider, for a payment that is not captured here: the late-payment guard is asked to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OurRefund:
    refund_no: str
    trade_no: str
    amount_minor: int
    state: str
    """sent, final, adopted, dead ..."""
    case_id: str | None
    how: str = "gateway"
    """gateway, other_account, off_line ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OurPayment:
    trade_no: str
    captured_minor: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    kind: DifferenceKind
    trade_no: str
    refund_no: str = ""
    ours_minor: int | None = None
    theirs_minor: int | None = None
    case_id: str | None = None
