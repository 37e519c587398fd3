"""Trust, limits, switches, promotions."""

from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from unwind.domain.guards import AUTOMATIC_LIMIT_MINOR
from unwind.domain.legs import LegKind
from unwind.domain.promotion import Level as PromotionLevel
from unwind.domain.trust import Level
from unwind.web.schemas.fields import Id, Minor, NotPersonal, Strict
from unwind.web.schemas.worktime import CalendarIn, TargetsIn

Why = Annotated[
    str, Field(min_length=1, max_length=300, description="kept with the change; no personal data"), NotPersonal
]
Count = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]


class AutomationIn(Strict):
    level: Level
    why: Why
    without_proof: bool = Field(default=False, description="upwards without a fresh report; waits for a second person")


class WhyIn(Strict):
    why: Why


class SeenIn(Strict):
    case_id: Id
    case_version: Annotated[int, Field(ge=1, strict=True)]
    order_version: Annotated[int, Field(ge=1, strict=True)]


class ContinueIn(Strict):
    cases: Annotated[list[SeenIn], Field(min_length=1, max_length=500)] | None = Field(
        default=None, description="null: all that wait, as they are now"
    )
    why: Why


class LimitsIn(Strict):
    """What may be returned automatically; null: no such limit. A day is the shop's own."""

    refunds_per_day: Count | None = None
    minor_per_day: Minor | None = None
    sku_refunds_per_day: Count | None = None
    velocity_refunds: Count | None = Field(default=None, description="more within velocity_minutes open the breaker")
    sku_velocity_refunds: Count | None = None
    velocity_minutes: Annotated[int, Field(ge=1, le=1440, strict=True)] = 60
    usual_times: Annotated[int, Field(ge=2, le=1000, strict=True)] | None = Field(
        default=None, description="so many times the usual number of the last seven days open it too"
    )
    usual_at_least: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 10
    why: Why


class SwitchIn(Strict):
    """A kind of step, everywhere or over one connection, for everybody or one merchant."""

    kind: LegKind
    connection: Id | None = None
    merchant_id: Id | None = None
    why: Why


class CapsIn(Strict):
    """As the limits of a merchant; only what is named changes."""

    refunds_per_day: Count | None = None
    minor_per_day: Minor | None = None
    sku_refunds_per_day: Count | None = None
    velocity_refunds: Count | None = None
    sku_velocity_refunds: Count | None = None
    velocity_minutes: Annotated[int, Field(ge=1, le=1440, strict=True)] | None = None
    usual_times: Annotated[int, Field(ge=2, le=1000, strict=True)] | None = None
    usual_at_least: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] | None = None


class ArrivalIn(Strict):
    zh: Annotated[str, Field(min_length=1, max_length=60)]
    en: Annotated[str, Field(min_length=1, max_length=120)]


class ChangesIn(Strict):
    """What holds differently; what is not named stays as it is."""

    window_minutes: Annotated[int, Field(ge=0, le=10_080, strict=True)] | None = Field(
        default=None, description="cancellable until so long before planned dispatch"
    )
    automatic_limit_minor: Annotated[int, Field(ge=0, le=AUTOMATIC_LIMIT_MINOR, strict=True)] | None = None
    limits: CapsIn | None = None
    targets: TargetsIn | None = None
    calendar: CalendarIn | None = None
    arrival: ArrivalIn | None = Field(default=None, description="when money arrives, instead of the usual estimate")
    dispatch_hours: Annotated[int, Field(ge=1, le=1440, strict=True)] | None = Field(
        default=None, description="promised for orders placed meanwhile, where the shop names no moment"
    )


class PromotionIn(Strict):
    level: PromotionLevel
    scope_id: Id | None = Field(default=None, description="merchant or shop connection; none for the platform")
    from_at: AwareDatetime = Field(alias="from")
    to_at: AwareDatetime = Field(alias="to")
    changes: ChangesIn

    def document(self, promotion_id: str) -> dict[str, Any]:
        return {
            "promotion_id": promotion_id,
            "level": self.level,
            "scope_id": self.scope_id or "",
            "from_at": self.from_at,
            "to_at": self.to_at,
            "changes": self.changes.model_dump(mode="json", exclude_none=True),
        }
