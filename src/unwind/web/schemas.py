"""What comes in and goes out, with units. Unknown fields are refused: a misspelt one must not silently mean something else."""

from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, model_validator

from unwind.domain.case import RefundOn
from unwind.domain.order import Dependence, Funder, Presale, Promise, ReturnsAs, VirtualState
from unwind.domain.stage import Stage
from unwind.flow.queue import Presence
from unwind.flow.review import Choice
from unwind.reconcile import Resolution
from unwind.tagging import Reason

Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_.:\-]+$")]
MINOR_MAX = 10**12
Minor = Annotated[int, Field(ge=0, le=MINOR_MAX, strict=True, description="integer minor units (fen, pence)")]
Units = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217")]
Short = Annotated[str, Field(max_length=200)]
ShipmentStage = Annotated[Stage, Field(description="as the shop reports it; on the road only counts once picked up")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Traits(Strict):
    perishable: bool = False
    made_to_order: bool = False
    production_started: bool | None = Field(default=None, description="null: not known")
    presale: Presale = Presale.NONE
    virtual: VirtualState = VirtualState.NOT_VIRTUAL
    dependence: Dependence = Dependence.NONE


class LineIn(Strict):
    line_id: Id
    sku: Id
    location: Id = "main"
    pool: Id = "normal"
    title: Annotated[str, Field(min_length=1, max_length=200)]
    quantity: Units
    unit_price_minor: Minor
    traits: Traits = Traits()
    parent_line_id: Id | None = None


class DiscountIn(Strict):
    discount_id: Id
    amount_minor: Minor
    funder: Funder = Funder.MERCHANT
    returns_as: ReturnsAs = ReturnsAs.VOID
    by_line: dict[Id, Minor] = Field(default={}, description="the shop's own allocation; empty: by value")


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
    kind: Literal["coupon", "points", "quota"]
    account: Annotated[str, Field(min_length=1, max_length=100)]
    amount: Units
    line_id: Id | None = None


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


class OrderIn(Strict):
    revision: Annotated[int, Field(ge=0, strict=True, description="an older or equal one is ignored")]
    merchant_id: Id
    buyer_ref: Id = Field(description="the shop's opaque id of the buyer")
    currency: Currency
    placed_at: AwareDatetime
    pay_by: AwareDatetime | None = None
    planned_dispatch_at: AwareDatetime | None = None
    released_stage: Stage = Field(default=Stage.NONE, description="how far units in no shipment are")
    promise: Promise = Promise.NONE
    shipping_minor: Minor = 0
    risk: Literal["none", "suspected", "unknown"] = "unknown"
    lines: Annotated[list[LineIn], Field(min_length=1, max_length=500)]
    discounts: Annotated[list[DiscountIn], Field(max_length=100)] = []
    payments: Annotated[list[PaymentIn], Field(max_length=50)] = []
    shipments: Annotated[list[ShipmentIn], Field(max_length=100)] = []
    benefits: Annotated[list[BenefitIn], Field(max_length=100)] = []
    buyer: BuyerIn = BuyerIn()

    def document(self, order_id: str) -> dict[str, Any]:
        """As the order book takes it: instants as instants, everything spelled out."""
        return {
            **self.model_dump(exclude={"buyer"}),
            "order_id": order_id,
            "buyer": self.buyer.model_dump(exclude_none=True),
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


class CancellationIn(Strict):
    order_id: Id
    channel: Literal["app", "hotline", "chat", "store", "merchant", "api", "bulk"] = "app"
    lines: dict[Id, Units] | None = Field(default=None, description="units by line; null: everything left")
    reason: Reason | None = Field(default=None, description="the option picked, if any")
    text: Annotated[str, Field(max_length=2000)] = Field(default="", description="the buyer's words, any language")
    external_ref: Annotated[str, Field(max_length=100, pattern=r"^[0-9A-Za-z_.:\-]*$")] = ""


class DecisionIn(Strict):
    choice: Choice
    case_version: Annotated[int, Field(ge=1, strict=True)]
    order_version: Annotated[int, Field(ge=1, strict=True)]
    part_no: Annotated[int, Field(ge=1)] | None = None
    lines: dict[Id, Units] = {}
    refund_on: RefundOn | None = None
    reason_code: Annotated[str, Field(max_length=64, pattern=r"^[0-9A-Za-z_]*$")] = ""
    note: Annotated[str, Field(max_length=2000)] = ""


class ClaimIn(Strict):
    take_over: bool = Field(default=False, description="leads and administrators: out of somebody's hands")


class TransferIn(Strict):
    to: Id = Field(description="the principal who goes on with it")


class EscalateIn(Strict):
    reason_code: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_]+$")]


class PresenceIn(Strict):
    state: Presence
    cases_max: Annotated[int, Field(ge=1, le=100, strict=True)] | None = Field(
        default=None, description="null: as before"
    )
    takes_push: bool | None = Field(default=None, description="free cases are given without asking; null: as before")


class HeartbeatIn(Strict):
    cases: Annotated[list[Id], Field(max_length=100)] = Field(default=[], description="open on this screen")


class BuyerQuestionIn(Strict):
    reason_code: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_]+$")]
    minutes: Annotated[int, Field(ge=1, le=14 * 24 * 60, strict=True, description="how long the buyer has")] = 1440


class TaskResultIn(Strict):
    outcome: Literal["done", "refused"]
    scrap: dict[Id, Units] = Field(default={}, description="units of a returned parcel that are not fit for sale")
    reference: Annotated[str, Field(max_length=64, pattern=r"^[0-9A-Za-z_.:\-]*$")] = ""


class OtherAccountIn(Strict):
    kind: Literal["user_bank_card", "merchant_bank_card"]
    case_version: Annotated[int, Field(ge=1, strict=True)]
    bank_type: Annotated[str, Field(max_length=32, pattern=r"^[0-9A-Z_]*$")] = Field(
        default="", description="the gateway's code of the bank, e.g. CMB_DEBIT"
    )
    account_no: Annotated[SecretStr, Field(max_length=64)] = SecretStr("")
    account_name: Annotated[SecretStr, Field(max_length=64)] = SecretStr("")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = (self.bank_type, self.account_no.get_secret_value(), self.account_name.get_secret_value())
        if any(given) != (self.kind == "user_bank_card") or any(given) != all(given):
            raise ValueError("bank_type, account_no and account_name belong to user_bank_card, all three")
        return self


class SettleDifferenceIn(Strict):
    resolution: Resolution


class StockIn(Strict):
    sku: Id
    location: Id = "main"
    pool: Id = "normal"
    available: Annotated[int, Field(ge=0, strict=True)]
    is_pool_open: bool = True


class MerchantIn(Strict):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    authority: Literal["local", "remote"] = "local"
    has_settlement: bool = False
    warehouse: Id = "manual"
    shop: Id = "local"
    time_zone: Annotated[str, Field(max_length=40)] = "Asia/Shanghai"
    hours: list[tuple[Annotated[int, Field(ge=0, le=1440)], Annotated[int, Field(ge=0, le=1440)]]] = []
    automation: Literal["shadow", "confirm", "auto"] = "auto"
    hold_timeout_s: Annotated[int, Field(gt=0, le=86400)] = 120
    quiet_from: Annotated[int, Field(ge=0, le=1439, description="minutes of the day")] | None = 1320
    quiet_to: Annotated[int, Field(ge=0, le=1439, description="minutes of the day")] | None = 480


Minute = Annotated[int, Field(ge=0, le=1440, strict=True, description="minute of the local day; 1440 is midnight")]
DayWindows = Annotated[list[tuple[Minute, Minute]], Field(max_length=24)]
DayKind = Literal["off", "work"]
TargetMinutes = Annotated[int, Field(ge=1, strict=True)]


class CalendarIn(Strict):
    time_zone: Annotated[str, Field(max_length=40, description="IANA name")] = "Asia/Shanghai"
    week: Annotated[list[DayWindows], Field(min_length=7, max_length=7, description="Monday first")]
    make_up: DayWindows = Field(
        default=[], description="hours of a make-up workday; none: those of the first working weekday"
    )
    observes_holidays: bool = True
    days: Annotated[dict[date, DayKind], Field(max_length=400)] = Field(
        default={}, description="days of its own, before the official ones"
    )

    def rules(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


class HolidaysIn(Strict):
    days: Annotated[dict[date, DayKind], Field(max_length=366)]


class TargetsIn(Strict):
    """Working minutes."""

    respond_warn: TargetMinutes = 10
    respond_due: TargetMinutes = 15
    urgent_warn: TargetMinutes = 2
    urgent_due: TargetMinutes = 3
    resolve_due: TargetMinutes = 1440


class Text(BaseModel):
    zh: str
    en: str


class RefundPayment(BaseModel):
    method: str
    amount_minor: int
    estimate: Text


class RefundEstimate(BaseModel):
    amount_minor: int
    currency: str
    payments: list[RefundPayment]


class PartOut(BaseModel):
    part_no: int
    kind: str
    stage: str
    verdict: str
    rule: str
    lines: dict[str, int]


class CancellationOut(BaseModel):
    case_id: str
    order_id: str
    outcome: Literal[
        "cancelled", "partly_cancelled", "cancelling", "in_review", "declined", "inquiry", "withdrawn", "answered"
    ]
    state: str
    rule: str
    explanation: Text
    next: Text
    reason: str
    respond_due_at: datetime | None
    refund: RefundEstimate
    parts: list[PartOut]
    already_open: dict[str, str]


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    code: str
    detail: Text
