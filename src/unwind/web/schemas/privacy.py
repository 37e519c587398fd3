"""Looking at people's data in full, and how long what is kept."""

from typing import Annotated

from pydantic import Field

from unwind.domain.retention import PERIOD_MAX
from unwind.domain.reveal import Field as PersonField
from unwind.domain.reveal import Why
from unwind.web.schemas.fields import Id, Strict
from unwind.web.schemas.trust import Why as WhyText


class RevealIn(Strict):
    case_id: Id
    fields: Annotated[list[PersonField], Field(min_length=1, max_length=len(PersonField))]
    why: Why


class ThresholdIn(Strict):
    orders_per_day: Annotated[int, Field(ge=1, le=10_000, strict=True)]
    why: WhyText


class PeriodIn(Strict):
    n: Annotated[
        int, Field(ge=1, le=max(PERIOD_MAX.values()), strict=True, description="days or years, as the kind says")
    ]
    why: WhyText
