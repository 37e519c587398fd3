"""A request to take an order back, and its answer."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from unwind.domain.merchant_cancel import MerchantReason
from unwind.tagging import Reason
from unwind.web.schemas.fields import Id, Ref, Strict, Units


class CancellationIn(Strict):
    order_id: Id
    channel: Literal["app", "hotline", "chat", "store", "merchant", "api", "bulk"] = "app"
    lines: dict[Id, Units] | None = Field(default=None, description="units by line; null: everything left")
    reason: Reason | None = Field(default=None, description="the option picked, if any")
    text: Annotated[str, Field(max_length=2000)] = Field(default="", description="the buyer's words, any language")
    external_ref: Ref = Field(default="", description="hotline, chat: the call or conversation, counted as one contact")
    store_id: Ref = Field(default="", description="channel `store`: the counter")
    operator_id: Ref = Field(default="", description="channel `store`: who stands behind it")
    merchant_reason: MerchantReason | None = Field(default=None, description="channel `merchant`: why it cancels")
    evidence_ref: Ref = Field(default="", description="channel `merchant`: where that is shown")
    consent: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = Field(
        default="", description="`consent.digest` of the dry run: the buyer has seen what is kept, and agrees"
    )


class AgreementIn(Strict):
    agrees: Annotated[bool, Field(strict=True)]


class AppealIn(Strict):
    text: Annotated[str, Field(max_length=2000)] = Field(default="", description="what is new, in the buyer's words")
    channel: Literal["app", "hotline", "chat", "store"] = "app"


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


class QueuePlace(BaseModel):
    place: int
    note: Text


class CancellationOut(BaseModel):
    case_id: str
    order_id: str
    outcome: Literal[
        "cancelled",
        "partly_cancelled",
        "cancelling",
        "in_review",
        "waiting",
        "declined",
        "inquiry",
        "withdrawn",
        "answered",
        "retained",
        "handed_on",
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
    queue: QueuePlace | None = Field(default=None, description="only where the case waits for a person")
