"""What handhelds and the people at the packing bench send."""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from unwind.domain.inspection import Found
from unwind.domain.scans import RefusedBecause, ScanKind, Verdict
from unwind.flow.scan import Scan
from unwind.web.schemas.desk import Reference
from unwind.web.schemas.fields import Id, Strict

Count = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]
ScannedAt = Annotated[
    AwareDatetime, Field(description="by the device, when it was offline; at most 7 days ago and 5 minutes ahead")
]


class ScanIn(Strict):
    code: Id = Field(description="waybill, order, outbound order or pick label")
    kind: ScanKind
    event_id: Id = Field(description="made by the device; the same again is the same answer")
    scanned_at: ScannedAt | None = None
    shown: Literal["ship_it", "stop", "too_late", "unknown"] | None = Field(
        default=None, description="what the device, offline, told its holder"
    )

    def scan(self) -> Scan:
        return Scan(
            code=self.code,
            kind=self.kind,
            event_id=self.event_id,
            scanned_at=self.scanned_at,
            shown=Verdict(self.shown) if self.shown else None,
        )


class ReturnScanIn(Strict):
    code: Id = Field(description="waybill, waybill of the return, or order")
    event_id: Id
    scanned_at: ScannedAt | None = None

    def scan(self) -> Scan:
        return Scan(code=self.code, kind=ScanKind.RETURN, event_id=self.event_id, scanned_at=self.scanned_at)


class HoldAnswerIn(Strict):
    outcome: Literal["accept", "refuse"]
    reason: RefusedBecause | None = Field(default=None, description="with refuse")
    reference: Reference = ""

    @model_validator(mode="after")
    def _reasoned(self) -> Self:
        if (self.outcome == "refuse") != (self.reason is not None):
            raise ValueError("a refusal has a reason, an acceptance none")
        return self


class FoundIn(Strict):
    line_id: Id
    good: Count = 0
    second: Count = Field(default=0, description="sold again, but not as new")
    scrap: Count = 0
    short: Count = Field(default=0, description="not in the parcel")

    def found(self) -> Found:
        return Found(good=self.good, second=self.second, scrap=self.scrap, short=self.short)


class InspectionIn(Strict):
    lines: Annotated[list[FoundIn], Field(min_length=1, max_length=500)]
    photos: Annotated[list[Id], Field(max_length=10)] = Field(
        default=[], description="attachments of the return; needed for second, scrap and short"
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len({line.line_id for line in self.lines}) != len(self.lines):
            raise ValueError("each line once")
        return self


class CloseReturnIn(Strict):
    closed_as: Literal["sent_on", "not_ours", "given_back", "kept"]
