"""Decisions, questions, tasks, money that a person moves."""

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from unwind.domain.case import RefundOn
from unwind.flow.review import Choice
from unwind.reconcile import Resolution
from unwind.web.schemas.fields import Id, ReasonCode, Strict, Units


class DecisionIn(Strict):
    choice: Choice
    case_version: Annotated[int, Field(ge=1, strict=True)]
    order_version: Annotated[int, Field(ge=1, strict=True)]
    part_no: Annotated[int, Field(ge=1)] | None = None
    lines: dict[Id, Units] = Field(default={})
    refund_on: RefundOn | None = None
    reason_code: Annotated[str, Field(max_length=64, pattern=r"^[0-9A-Za-z_]*$")] = ""
    note: Annotated[str, Field(max_length=2000)] = ""


class BuyerQuestionIn(Strict):
    reason_code: ReasonCode
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
