"""What a shop tells us: orders, events, stock, merchants; with units."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from unwind.domain.order import Dependence, Funder, Presale, Promise, ReturnsAs, VirtualState
from unwind.domain.stage import Stage
from unwind.domain.terms import (
    AfterBalance,
    Customs,
    ExpiredCoupon,
    GroupState,
    InvoiceState,
    OnPartial,
    Payer,
    Purpose,
    Settler,
    SpentPoints,
)
from unwind.web.schemas.fields import Currency, Id, Minor, NoTelephone, Ref, Short, Strict, Units

ShipmentStage = Annotated[Stage, Field(description="as the shop reports it; on the road only counts once picked up")]


class Traits(Strict):
    perishable: bool = False
    made_to_order: bool = False
    production_started: bool | None = Field(default=None, description="null: not known")
    presale: Presale = Presale.NONE
    virtual: VirtualState = VirtualState.NOT_VIRTUAL
    dependence: Dependence = Dependence.NONE
    kept_price_minor: Minor = Field(default=0, description="of a gift: its published price where the buyer keeps it")


class LineIn(Strict):
    line_id: Id
    sku: Id
    location: Id = "main"
    pool: Id = "normal"
    title: Annotated[str, Field(min_length=1, max_length=200)]
    quantity: Units
    unit_price_minor: Minor
    tax_minor: Minor = Field(default=0, description="customs duties and taxes of the whole line, on top of its price")
    traits: Traits = Traits()
    parent_line_id: Id | None = None


class DiscountIn(Strict):
    discount_id: Id
    amount_minor: Minor
    funder: Funder = Funder.MERCHANT
    returns_as: ReturnsAs = ReturnsAs.VOID
    by_line: dict[Id, Minor] = Field(default={}, description="the shop's own allocation; empty: by value")
    threshold_minor: Minor = Field(default=0, description="given from this much of goods on (满减); 0: on no condition")
    on_partial: OnPartial | None = Field(default=None, description="null: as the merchant's `money_terms` say")


class PaymentIn(Strict):
    payment_id: Id
    connection: Id
    trade_no: Id = Field(description="the provider's number of the payment")
    method: Id
    state: Literal["created", "authorised", "captured", "closed"]
    share_minor: Minor = Field(description="this order's share of the payment")
    captured_minor: Minor = Field(default=0, description="captured on the whole payment")
    funder: Funder = Funder.BUYER
    returns_as: ReturnsAs = ReturnsAs.CASH
    purpose: Purpose = Field(
        default=Purpose.FULL, description="of a pre-sale: its deposit (定金) or its balance (尾款)"
    )
    payer: Payer = Field(default=Payer.BUYER, description="other: somebody paid for the buyer (亲友代付)")


class ShipmentIn(Strict):
    shipment_id: Id
    carrier: Id
    waybill_no: Id
    stage: ShipmentStage
    picked_up_at: AwareDatetime | None = None
    moved_at: AwareDatetime | None = None
    fed_at: AwareDatetime | None = None
    quantities: dict[Id, Units]


class BenefitIn(Strict):
    benefit_id: Id
    kind: Literal["coupon", "points", "quota", "group_place"]
    account: Annotated[Ref, Field(min_length=1)]
    amount: Units
    line_id: Id | None = None
    is_earned: bool = Field(default=False, description="given for the order and taken back with it; else used up by it")
    valid_until: AwareDatetime | None = Field(
        default=None, description="of a coupon: it comes back with its own validity"
    )


class TermsIn(Strict):
    """What the shop knows about this order that bears on its money."""

    invoice: InvoiceState = InvoiceState.NONE
    invoice_no: Ref = ""
    customs: Customs = Field(default=Customs.NONE, description="of a cross-border order")
    group: GroupState = Field(default=GroupState.NONE, description="of a group purchase (拼团)")
    group_id: Ref = ""
    settled_by: Settler = Field(default=Settler.US, description="platform: it moves the money and sets the deadline")
    platform: Ref = ""
    platform_deadline_at: AwareDatetime | None = Field(default=None, description="by then it decides by itself")
    free_postage_from_minor: Minor = Field(
        default=0, description="postage was free from this much of goods on; 0: not so"
    )
    postage_minor: Minor = Field(default=0, description="what it costs below that")

    def document(self) -> dict[str, Any]:
        """What is not as usual."""
        return self.model_dump(mode="json", exclude_defaults=True)


class BuyerIn(Strict):
    """Encrypted on arrival, with a key of this order's own."""

    name: Short | None = None
    phone: Annotated[str, Field(max_length=32)] | None = None
    email: Short | None = None
    openid: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="of the WeChat mini program that may send subscribe messages"
    )
    address: Annotated[str, Field(max_length=500)] | None = None
    language: Literal["zh", "en"] | None = None


class RecipientIn(Strict):
    """Who receives the goods where it is somebody else, as with a gift. Kept for the parcel; never looked up by, never told anything."""

    name: Short | None = None
    phone: Annotated[str, Field(max_length=32)] | None = None


class OrderIn(Strict):
    revision: Annotated[int, Field(ge=0, strict=True, description="an older or equal one is ignored")]
    merchant_id: Id
    buyer_ref: Annotated[Id, NoTelephone] = Field(description="the shop's opaque id of the buyer; not their telephone")
    currency: Currency
    placed_at: AwareDatetime
    pay_by: AwareDatetime | None = None
    planned_dispatch_at: AwareDatetime | None = None
    released_stage: Stage = Field(default=Stage.NONE, description="how far units in no shipment are")
    promise: Promise = Promise.NONE
    shipping_minor: Minor = 0
    risk: Literal["none", "suspected", "unknown"] = "unknown"
    store_id: Ref = Field(
        default="", description="the store that picks the goods; empty: a warehouse. Fixed with the first revision"
    )
    wave: Ref = Field(default="", description="the picking wave the warehouse works it in")
    pick_label: Ref = Field(default="", description="what is stuck on the tote of units in no parcel")
    lines: Annotated[list[LineIn], Field(min_length=1, max_length=500)]
    discounts: Annotated[list[DiscountIn], Field(max_length=100)] = Field(default=[])
    payments: Annotated[list[PaymentIn], Field(max_length=50)] = Field(default=[])
    shipments: Annotated[list[ShipmentIn], Field(max_length=100)] = Field(default=[])
    benefits: Annotated[list[BenefitIn], Field(max_length=100)] = Field(default=[])
    terms: TermsIn = TermsIn()
    buyer: BuyerIn = BuyerIn()
    recipient: RecipientIn = RecipientIn()

    def document(self, order_id: str) -> dict[str, Any]:
        """As the order book takes it: instants as instants, everything spelled out."""
        return {
            **self.model_dump(exclude={"buyer", "recipient"}),
            "order_id": order_id,
            "terms": self.terms.document(),
            "buyer": {
                **self.buyer.model_dump(exclude_none=True),
                **{f"recipient_{name}": text for name, text in self.recipient.model_dump(exclude_none=True).items()},
            },
        }


class PaymentCaptured(PaymentIn):
    state: Literal["captured"] = "captured"


class EventIn(Strict):
    event_id: Id
    kind: Literal["payment_captured", "stage_changed", "parcel_moved"]
    at: AwareDatetime
    payment: PaymentCaptured | None = None
    stage: Stage | None = None
    shipment: ShipmentIn | None = None

    def document(self) -> dict[str, Any]:
        """The one detail that belongs to the kind; refused by the flow when it is missing."""
        data: dict[str, Any] | None = {
            "payment_captured": self.payment.model_dump() if self.payment else None,
            "stage_changed": {"stage": self.stage.value} if self.stage else None,
            "parcel_moved": self.shipment.model_dump() if self.shipment else None,
        }[self.kind]
        return {"event_id": self.event_id, "kind": self.kind, "at": self.at, "data": data}


class StockIn(Strict):
    sku: Id
    location: Id = "main"
    pool: Id = "normal"
    available: Annotated[int, Field(ge=0, strict=True)]
    is_pool_open: bool = True


class AccountIn(Strict):
    """What an account of the built-in shop holds: points, coupons, places."""

    account: Annotated[Ref, Field(min_length=1)]
    kind: Id
    balance: Annotated[int, Field(ge=0, strict=True)]


class MoneyTermsIn(Strict):
    """As published before ordering; docs/money.md says what each means."""

    on_partial: OnPartial = OnPartial.PRO_RATA
    expired_coupons: ExpiredCoupon = ExpiredCoupon.EXPIRED
    reissue_days: Annotated[int, Field(ge=1, le=366, strict=True)] = 30
    spent_points: SpentPoints = SpentPoints.WAIVE
    hundred_points_minor: Annotated[int, Field(ge=0, le=1_000_000, strict=True)] = 100
    deposit_after_balance: AfterBalance = AfterBalance.REVIEW
    deposit_cap_percent: Annotated[int, Field(ge=0, le=100, strict=True)] = 20
    keeps_released_tax: bool = True

    def document(self) -> dict[str, Any]:
        """What is not as usual."""
        return self.model_dump(mode="json", exclude_defaults=True)


class MerchantIn(Strict):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    authority: Literal["local", "remote"] = "local"
    has_settlement: bool = False
    warehouse: Id = "manual"
    shop: Id = "local"
    time_zone: Annotated[str, Field(max_length=40)] = "Asia/Shanghai"
    hours: list[tuple[Annotated[int, Field(ge=0, le=1440)], Annotated[int, Field(ge=0, le=1440)]]] = Field(default=[])
    automation: Literal["shadow", "confirm", "auto"] = Field(
        default="auto", description="of a new shop; later it is changed by POST /api/v1/admin/automation/{merchant_id}"
    )
    hold_timeout_s: Annotated[int, Field(gt=0, le=86400)] = 120
    agent_limit_minor: Minor = Field(default=500_000, description="above it a decision needs a second person")
    goodwill_limit_minor: Minor = Field(default=5_000, description="what one person may give beside a refund")
    false_dispatch_h: Annotated[int, Field(ge=1, le=720, strict=True)] = Field(
        default=24, description="so long a parcel called shipped may wait for its pick-up scan"
    )
    may_only_tell: bool = Field(
        default=False, description="its published terms let it cancel paid orders; else the buyer has to agree"
    )
    money_terms: MoneyTermsIn = MoneyTermsIn()
    asks_rating: bool = Field(
        default=False, description="buyers are asked how it went, by one more message, once their money is back"
    )
    quiet_from: Annotated[int, Field(ge=0, le=1439, description="minutes of the day")] | None = 1320
    quiet_to: Annotated[int, Field(ge=0, le=1439, description="minutes of the day")] | None = 480
