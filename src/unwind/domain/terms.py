"""What the trade publishes before an order is placed, and what a shop knows about one that bears on its money.

`MoneyTerms` are a merchant's, as published before ordering; legal points among them (the cap of a deposit) are settings with defaults.
`OrderTerms` are facts of one order: its invoice, customs, group purchase, and who moves its money.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class OnPartial(StrEnum):
    """What becomes of a threshold discount (满减) when a part of the order goes."""

    PRO_RATA = "pro_rata"
    """Each line keeps its share of it."""
    REPRICE = "reprice"
    """What is left is priced anew: below the threshold it has no discount."""


class ExpiredCoupon(StrEnum):
    EXPIRED = "expired"
    """It comes back as it is: past its validity."""
    REISSUE = "reissue"
    """It comes back with new days."""


class SpentPoints(StrEnum):
    """Points earned with an order that goes back, spent meanwhile."""

    WAIVE = "waive"
    """The shop bears it."""
    OWE = "owe"
    """The account owes them: what it is credited with next pays them first."""
    DEDUCT = "deduct"
    """Their published value is kept from the refund, with consent."""


class AfterBalance(StrEnum):
    """Deposit and balance of a pre-sale, both paid and not dispatched."""

    RETURN = "return"
    REVIEW = "review"


class InvoiceState(StrEnum):
    NONE = "none"
    REQUESTED = "requested"
    """Asked for, not issued: issuing stops."""
    ISSUED = "issued"
    """Red-lettered (红冲)."""
    BOOKED = "booked"
    """The buyer has booked it: both sides confirm the red letter."""


class Customs(StrEnum):
    NONE = "none"
    """Not a cross-border order, or not declared yet."""
    DECLARED = "declared"
    RELEASED = "released"
    MISMATCH = "mismatch"
    """Name and number of the buyer do not fit: corrected and declared again instead of cancelled."""
    UNKNOWN = "unknown"


class GroupState(StrEnum):
    NONE = "none"
    OPEN = "open"
    COMPLETE = "complete"
    FAILED = "failed"


class Settler(StrEnum):
    """Who moves the money of an order."""

    US = "us"
    PLATFORM = "platform"
    """A marketplace: approved there by a person, watched, and proven by its refund number."""


class Purpose(StrEnum):
    """What one order's share of a payment paid for."""

    FULL = "full"
    DEPOSIT = "deposit"
    BALANCE = "balance"


class Payer(StrEnum):
    BUYER = "buyer"
    OTHER = "other"
    """亲友代付: the money returns to whoever paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyTerms:
    on_partial: OnPartial = OnPartial.PRO_RATA
    expired_coupons: ExpiredCoupon = ExpiredCoupon.EXPIRED
    reissue_days: int = 30
    spent_points: SpentPoints = SpentPoints.WAIVE
    hundred_points_minor: int = 100
    """The published value of a hundred points, in minor units."""
    deposit_after_balance: AfterBalance = AfterBalance.REVIEW
    deposit_cap_percent: int = 20
    """What is more than this of the price is no deposit (定金) but paid in advance, and returns."""
    keeps_released_tax: bool = True
    """Taxes of goods that customs have released are not returned with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTerms:
    invoice: InvoiceState = InvoiceState.NONE
    invoice_no: str = ""
    customs: Customs = Customs.NONE
    group: GroupState = GroupState.NONE
    group_id: str = ""
    settled_by: Settler = Settler.US
    platform: str = ""
    platform_deadline_at: datetime | None = None
    """By then the platform decides by itself."""
    free_postage_from_minor: int = 0
    """Postage was free from this much of goods on; 0: no such promise."""
    postage_minor: int = 0
    """What it costs below that."""


def reissue_until(terms: MoneyTerms, now: datetime) -> datetime | None:
    """Until when a coupon past its validity is valid anew; None: it is not."""
    return now + timedelta(days=terms.reissue_days) if terms.expired_coupons is ExpiredCoupon.REISSUE else None


AS_USUAL = MoneyTerms()
NOTHING_SPECIAL = OrderTerms()


def money_terms(document: Mapping[str, Any]) -> MoneyTerms:
    """As a merchant's row holds them; what it does not name is as published by default."""
    return MoneyTerms(**_read(document)) if document else AS_USUAL


def order_terms(document: Mapping[str, Any]) -> OrderTerms:
    return OrderTerms(**_read(document)) if document else NOTHING_SPECIAL


def _instant(value: object) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None


READ: Mapping[str, Callable[[Any], object]] = {
    "on_partial": OnPartial,
    "expired_coupons": ExpiredCoupon,
    "spent_points": SpentPoints,
    "deposit_after_balance": AfterBalance,
    "invoice": InvoiceState,
    "customs": Customs,
    "group": GroupState,
    "settled_by": Settler,
    "platform_deadline_at": _instant,
}


def _read(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: READ[name](value) if name in READ else value for name, value in document.items()}
