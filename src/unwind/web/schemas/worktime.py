"""Calendars, holidays, targets."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field

from unwind.web.schemas.fields import Strict

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
