"""Decisions, questions, tasks."""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from unwind.domain.carrier_claims import ClaimReason
from unwind.domain.case import RefundOn
from unwind.domain.decisions import Bearer, Choice, Cost, Fee, Ruling
from unwind.domain.order import LineId
from unwind.domain.questions import Offer
from unwind.web.schemas.fields import MINOR_MAX, Id, Minor, NoTelephone, ReasonCode, Strict, Units

MinutesToAnswer = Annotated[int, Field(ge=1, le=14 * 24 * 60, strict=True, description="how long they have")]


class CostIn(Strict):
    fee: Fee
    amount_minor: Annotated[int, Field(ge=1, le=MINOR_MAX, strict=True)]
    bearer: Bearer = Field(description="what the buyer bears is kept from their refund, with their consent")

    def cost(self) -> Cost:
        return Cost(fee=self.fee, amount_minor=self.amount_minor, bearer=self.bearer)


Costs = Annotated[list[CostIn], Field(max_length=20)]
Code = Annotated[str, Field(max_length=64, pattern=r"^[0-9A-Za-z_]*$"), NoTelephone]
Note = Annotated[str, Field(max_length=2000)]
Reference = Annotated[
    str,
    Field(max_length=64, pattern=r"^[0-9A-Za-z_.:\-]*$", description="what proves it: a call, a ticket, a photo"),
    NoTelephone,
]
ProvenBy = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_.:\-]+$"), NoTelephone]


class RulingIn(Strict):
    """What is to be done with the parts that wait."""

    choice: Choice
    part_no: Annotated[int, Field(ge=1)] | None = Field(default=None, description="null: every part that waits")
    lines: dict[Id, Units] = Field(default={}, description="with approve_part: the units that are taken back")
    refund_on: RefundOn | None = None
    costs: Costs = Field(default=[], description="what it costs and who bears it")
    compensation_minor: Minor = Field(default=0, description="given beside the refund")
    reason_code: Code = ""
    note: Note = ""

    def ruling(self, *, case_version: int = 0, order_version: int = 0) -> Ruling:
        return Ruling(
            choice=self.choice,
            case_version=case_version,
            order_version=order_version,
            part_no=self.part_no,
            lines={LineId(line_id): units for line_id, units in self.lines.items()},
            refund_on=self.refund_on,
            costs=tuple(one.cost() for one in self.costs),
            compensation_minor=self.compensation_minor,
            reason_code=self.reason_code,
            note=self.note,
        )


class DecisionIn(RulingIn):
    address: Annotated[str, Field(max_length=500)] = Field(default="", description="with redirect: where it goes")
    case_version: Annotated[int, Field(ge=1, strict=True)]
    order_version: Annotated[int, Field(ge=1, strict=True)]


class ConsentIn(RulingIn):
    """The buyer's yes to exactly this plan: asked for by link, or noted with its proof."""

    how: Literal["link", "chat", "recorded_call"]
    reference: Reference = ""
    minutes: MinutesToAnswer | None = None

    @model_validator(mode="after")
    def _proven(self) -> Self:
        if (self.how == "link") == bool(self.reference):
            raise ValueError("a chat or a recorded call is named by its reference; a link has none")
        return self


class OfferIn(Strict):
    offer: Offer
    promised_at: AwareDatetime | None = Field(default=None, description="of wait and faster_dispatch")
    amount_minor: Minor = Field(default=0, description="of price_protection")
    lines: dict[Id, Units] = Field(default={}, description="of partial_cancel: what is cancelled")
    minutes: MinutesToAnswer | None = None
    words: Note = ""


class OpinionIn(Strict):
    """What merchant, warehouse or carrier is asked; answered by link, without an account."""

    audience: Literal["merchant", "warehouse", "carrier"]
    topic: Literal["may_cancel", "can_stop", "where_is_it", "proof_of_delivery", "share_cost", "in_production"]
    minutes: MinutesToAnswer | None = None
    on_silence: Literal["agreed", "refused", "person"] | None = Field(
        default=None, description="null: as usual for them"
    )
    words: Note = ""


class AnswerIn(Strict):
    agree: bool
    reference: Reference = ""
    note: Note = ""
    address: Annotated[str, Field(max_length=500)] = Field(default="", description="of an offer to change the address")


class SecondIn(Strict):
    agree: bool
    note: Note = ""


class LegOutcomeIn(Strict):
    outcome: Literal["done", "refused"]
    reference: ProvenBy
    scrap: dict[Id, Units] = Field(default={}, description="units of a returned parcel that are not fit for sale")


class WaiveIn(Strict):
    why: ReasonCode


class CostsIn(Strict):
    costs: Annotated[list[CostIn], Field(min_length=1, max_length=20)]
    part_no: Annotated[int, Field(ge=1)] | None = None
    reference: ProvenBy
    proof: Reference = Field(default="", description="an attachment of the case, or the number of a document elsewhere")
    claim_reason: ClaimReason | None = Field(
        default=None, description="of what the carrier bears; null: as the case says"
    )

    @model_validator(mode="after")
    def _not_the_buyer(self) -> Self:
        if any(one.bearer is Bearer.BUYER for one in self.costs):
            raise ValueError("what the buyer bears belongs to a decision, with their consent")
        return self


class BuyerQuestionIn(Strict):
    reason_code: ReasonCode
    minutes: MinutesToAnswer = 1440


class TaskResultIn(Strict):
    outcome: Literal["done", "refused"]
    scrap: dict[Id, Units] = Field(default={}, description="units of a returned parcel that are not fit for sale")
    reference: Reference = ""
    confirmation: Reference = Field(default="", description="of a red letter the buyer confirms: where they did")
