"""Calls, promises, the end of a shift."""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, SecretStr, model_validator

from unwind.domain.cti import FIELDS
from unwind.domain.promises import PromiseKind
from unwind.flow.hotline import SECRET_LENGTH_MIN, CallOutcome
from unwind.tagging import Reason
from unwind.web.schemas.fields import Id, Strict

ParameterName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_.\[\]\-]+$")]
WorkNumber = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_.:@\-]+$")]


class PhoneSystemIn(Strict):
    merchant_id: Id | None = None
    vendor: Literal["generic", "huawei_cec", "asterisk", "servicenow", "znuny", "zammad"]
    aliases: dict[str, Annotated[list[ParameterName], Field(max_length=10)]] = Field(
        default={}, description="our field -> what this installation calls it; before the vendor's own names"
    )
    agents: Annotated[dict[WorkNumber, Id], Field(max_length=5000)] = Field(
        default={}, description="work number -> principal"
    )
    secret: Annotated[SecretStr, Field(min_length=SECRET_LENGTH_MIN, max_length=200)] | None = Field(
        default=None, description="last part of its event address; kept as a digest; null: as before"
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        if set(self.aliases) - set(FIELDS):
            raise ValueError("aliases: unknown field")
        return self


class OutcomeIn(Strict):
    outcome: CallOutcome
    case_id: Id | None = Field(default=None, description="where the call did not say by itself what it was about")


class CallIn(Strict):
    system_id: Id
    call_id: Id


class PromiseIn(Strict):
    kind: PromiseKind
    case_id: Id | None = None
    call: CallIn | None = None
    due_at: AwareDatetime | None = Field(default=None, description="null only for `two_minutes`")

    @model_validator(mode="after")
    def _about_one_thing(self) -> Self:
        if (self.case_id is None) == (self.call is None):
            raise ValueError("case_id or call")
        return self


class TrueReasonIn(Strict):
    reason: Reason


class GivenIn(Strict):
    case_id: Id
    note: Annotated[str, Field(max_length=2000)] = ""


class HandoverIn(Strict):
    to: Id
    cases: Annotated[list[GivenIn], Field(min_length=1, max_length=100)]
