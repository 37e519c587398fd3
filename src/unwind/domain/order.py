"""An order as the case sees it: the shop's facts and our own effects, read together under one lock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

from unwind.domain.stage import IN_THE_HOUSE, Stage, effective_stage
from unwind.domain.stock import Bucket
from unwind.domain.terms import AS_USUAL, NOTHING_SPECIAL, MoneyTerms, OnPartial, OrderTerms, Payer, Purpose

OrderId = NewType("OrderId", str)
LineId = NewType("LineId", str)
PaymentId = NewType("PaymentId", str)
CaseId = NewType("CaseId", str)
MerchantId = NewType("MerchantId", str)
CASH_TENDER = "cash"
"""The payment method."""


class Funder(StrEnum):
    BUYER = "buyer"
    MERCHANT = "merchant"
    PLATFORM = "platform"
    GOVERNMENT = "government"
    BANK = "bank"
    POINTS = "points"


class ReturnsAs(StrEnum):
    CASH = "cash"
    """By the original route."""
    RESTORE = "restore"
    """The entitlement comes back: points, balance, gift card, subsidy quota."""
    VOID = "void"
    TO_FUNDER = "to_funder"


class PaymentState(StrEnum):
    UNPAID = "unpaid"
    PROMISED = "promised"
    """货到付款, 先用后付: nothing to return, but goods may be moving."""
    AUTHORISED = "authorised"
    PARTLY_CAPTURED = "partly_captured"
    CAPTURED = "captured"
    REFUNDED = "refunded"
    UNKNOWN = "unknown"


class Promise(StrEnum):
    NONE = "none"
    CASH_ON_DELIVERY = "cash_on_delivery"
    PAY_LATER = "pay_later"


class VirtualState(StrEnum):
    NOT_VIRTUAL = "not_virtual"
    UNSENT = "unsent"
    SENT = "sent"
    REVEALED = "revealed"
    REDEEMED = "redeemed"
    IN_FLIGHT = "in_flight"


class Presale(StrEnum):
    NONE = "none"
    DEPOSIT = "deposit"
    """定金: kept when the buyer withdraws before paying the balance."""
    PREPAYMENT = "prepayment"
    """订金: returned."""


class Dependence(StrEnum):
    NONE = "none"
    GIFT = "gift"
    ADD_ON = "add_on"
    BUNDLE = "bundle"
    WARRANTY = "warranty"
    INSTALLATION = "installation"
    INSURANCE = "insurance"


class AttemptState(StrEnum):
    """One payment attempt at one gateway."""

    CREATED = "created"
    AUTHORISED = "authorised"
    CAPTURED = "captured"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    line_id: LineId
    sku: str
    location: str
    pool: str
    title: str
    quantity: int
    unit_price_minor: int
    perishable: bool
    made_to_order: bool
    production_started: bool | None
    """None: the shop does not say."""
    presale: Presale
    virtual: VirtualState
    parent_line_id: LineId | None
    dependence: Dependence
    taken_units: int
    """Taken back, or being taken back, by all cases so far."""
    buckets: Mapping[Bucket, int]
    is_provisional: bool = False
    """An unfinished part takes units of it back: it may still fall through."""
    kept_price_minor: int = 0
    """Of a gift: what one unit costs where the buyer keeps it and not what it hangs on, as published with it."""
    tax_minor: int = 0
    """Customs duties and taxes of the whole line, paid on top of its price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discount:
    discount_id: str
    amount_minor: int
    funder: Funder
    returns_as: ReturnsAs
    by_line: Mapping[LineId, int]
    """The shop's own allocation, frozen at order time. Empty: spread over all lines by value."""
    threshold_minor: int = 0
    """Given from this much of goods on (满减); 0: on no condition."""
    on_partial: OnPartial | None = None
    """As published with it; None: as the merchant's terms say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One order's share of one payment. Several shares may hang on one payment (合单)."""

    payment_id: PaymentId
    connection: str
    trade_no: str
    method: str
    state: AttemptState
    funder: Funder
    returns_as: ReturnsAs
    share_minor: int
    captured_minor: int
    """Of the whole payment."""
    booked_minor: int
    """Already on its way back out of this order's share: reserved, sent, final."""
    elsewhere_minor: int
    """Returned from the whole payment without us: staff in the gateway's admin, adopted refunds, chargebacks."""
    adopted: tuple[int, ...] = ()
    """Refunds the gateway already holds that no case has asked for yet (after a restore); part of `elsewhere_minor`."""
    purpose: Purpose = Purpose.FULL
    payer: Payer = Payer.BUYER

    @property
    def is_cash_tender(self) -> bool:
        """Paid in notes at a counter: it goes back over a counter, by hand."""
        return self.method == CASH_TENDER


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    shipment_id: str
    carrier: str
    waybill_no: str
    reported: Stage
    is_picked_up: bool
    quantities: Mapping[LineId, int]
    moved_at: datetime | None = None
    fed_at: datetime | None = None

    @property
    def stage(self) -> Stage:
        return effective_stage(reported=self.reported, is_picked_up=self.is_picked_up)


@dataclass(frozen=True, slots=True, kw_only=True)
class Benefit:
    """What the order used up and may get back: a coupon, points, a purchase quota, a place in a group; or what it earned, and gives back."""

    benefit_id: str
    kind: str
    account: str
    amount: int
    is_restored: bool
    line_id: LineId | None
    """None: comes back only with the last line of the order; what was earned, with every part of it."""
    is_earned: bool = False
    valid_until: datetime | None = None
    balance: int | None = None
    """What the account of something earned holds now; None: its account is not ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merchant:
    merchant_id: MerchantId
    is_local: bool
    """Authority `local`: the built-in shop; stock and order state change in our own transaction."""
    has_settlement: bool
    warehouse: str
    """Connection id, or `manual`."""
    shop: str
    time_zone: str
    hours: tuple[tuple[int, int], ...]
    """Opening windows as minutes of the day; empty: always open."""
    automation: str
    """shadow, confirm or auto."""
    is_halted: bool
    hold_timeout_s: int
    may_only_tell: bool = False
    """By its published terms it may cancel paid orders by itself; else the buyer has to agree."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """Of automatic refunds (`domain/trust.py`); empty: none."""
    has_breaker: bool = False
    """Open, of the merchant or of one of its items."""
    money: MoneyTerms = AS_USUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    order_id: OrderId
    merchant: Merchant
    buyer_ref: str
    currency: str
    placed_at: datetime
    pay_by: datetime | None
    planned_dispatch_at: datetime | None
    released_stage: Stage
    """How far the units that are in no shipment are."""
    promise: Promise
    shipping_minor: int
    revision: int
    version: int
    is_cancelled: bool
    lines: tuple[Line, ...]
    discounts: tuple[Discount, ...]
    payments: tuple[Payment, ...]
    shipments: tuple[Shipment, ...]
    benefits: tuple[Benefit, ...]
    kept_minor: int = 0
    """Kept from earlier refunds with the buyer's consent: no later one returns it."""
    store_id: str = ""
    """The store that picks the goods and holds them; empty: a warehouse."""
    terms: OrderTerms = NOTHING_SPECIAL

    def line(self, line_id: LineId) -> Line:
        return next(line for line in self.lines if line.line_id == line_id)

    @property
    def payment_state(self) -> PaymentState:
        live = [p for p in self.payments if p.state is not AttemptState.CLOSED]
        captured = [p for p in live if p.state is AttemptState.CAPTURED]
        if not captured:
            if self.promise is not Promise.NONE:
                return PaymentState.PROMISED
            authorised = any(p.state is AttemptState.AUTHORISED for p in live)
            return PaymentState.AUTHORISED if authorised else PaymentState.UNPAID
        if sum(p.share_minor for p in captured) < self.payable_minor:
            return PaymentState.PARTLY_CAPTURED
        if all(p.booked_minor >= p.share_minor for p in captured):
            return PaymentState.REFUNDED
        return PaymentState.CAPTURED

    @property
    def payable_minor(self) -> int:
        goods = sum(line.unit_price_minor * line.quantity + line.tax_minor for line in self.lines)
        return goods + self.shipping_minor - sum(d.amount_minor for d in self.discounts)

    @property
    def open_attempts(self) -> tuple[Payment, ...]:
        """Attempts the buyer may still complete."""
        return tuple(p for p in self.payments if p.state in {AttemptState.CREATED, AttemptState.AUTHORISED})

    @property
    def is_in_the_house(self) -> bool:
        return self.released_stage in IN_THE_HOUSE and all(s.stage in IN_THE_HOUSE for s in self.shipments)
