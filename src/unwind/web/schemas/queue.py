"""Who takes which case."""

from typing import Annotated

from pydantic import Field

from unwind.flow.queue import Presence
from unwind.web.schemas.fields import Id, ReasonCode, Strict


class ClaimIn(Strict):
    take_over: bool = Field(default=False, description="leads and administrators: out of somebody's hands")


class TransferIn(Strict):
    to: Id = Field(description="the principal who goes on with it")


class EscalateIn(Strict):
    reason_code: ReasonCode


class PresenceIn(Strict):
    state: Presence
    cases_max: Annotated[int, Field(ge=1, le=100, strict=True)] | None = Field(
        default=None, description="null: as before"
    )
    takes_push: bool | None = Field(default=None, description="free cases are given without asking; null: as before")


class HeartbeatIn(Strict):
    cases: Annotated[list[Id], Field(max_length=100)] = Field(default=[], description="open on this screen")
