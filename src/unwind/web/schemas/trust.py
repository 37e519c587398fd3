"""Trust, limits, switches."""

from typing import Annotated

from pydantic import Field

from unwind.domain.legs import LegKind
from unwind.domain.trust import Level
from unwind.web.schemas.fields import Id, Minor, Strict

Why = Annotated[str, Field(min_length=1, max_length=300, description="kept with the change; no personal data")]
Count = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]


class AutomationIn(Strict):
    level: Level
    why: Why
    without_proof: bool = Field(default=False, description="upwards without a fresh report; waits for a second person")


class WhyIn(Strict):
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
