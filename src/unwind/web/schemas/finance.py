"""What the finance desk sends."""

import re
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, SecretStr, field_validator, model_validator

from unwind.domain.carrier_claims import ClaimReason
from unwind.domain.payouts import PaidBy, Proof
from unwind.ports.payment import PayeeAccount
from unwind.reconcile import Resolution
from unwind.web.schemas.desk import Reference
from unwind.web.schemas.fields import MINOR_MAX, Currency, Id, Minor, Strict

Voucher = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=r"^[0-9A-Za-z_.:\-]+$",
        description="the number of the voucher, letter or transfer; never an account or a name",
    ),
]
CaseVersion = Annotated[int, Field(ge=1, strict=True, description="of the case as it was seen")]
PaidMinor = Annotated[int, Field(ge=1, le=MINOR_MAX, strict=True, description="integer minor units")]
Kind = Literal["needs_funds", "abnormal", "needs_new_number", "refused", "unfinished"]
ACCOUNT_NO = re.compile(r"[0-9]{8,32}")


class OtherAccountIn(Strict):
    kind: Literal["user_bank_card", "merchant_bank_card"]
    case_version: CaseVersion
    bank_type: Annotated[str, Field(max_length=32, pattern=r"^[0-9A-Z_]*$")] = Field(
        default="", description="the gateway's code of the bank, e.g. CMB_DEBIT"
    )
    account_no: Annotated[SecretStr, Field(max_length=64)] = SecretStr("")
    account_name: Annotated[SecretStr, Field(max_length=64)] = SecretStr("")

    @field_validator("account_no")
    @classmethod
    def _digits(cls, given: SecretStr) -> SecretStr:
        """Printed cards show their number in groups."""
        digits = re.sub(r"[\s-]", "", given.get_secret_value())
        if digits and not ACCOUNT_NO.fullmatch(digits):
            raise ValueError("8 to 32 digits")
        return SecretStr(digits)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = (self.bank_type, self.account_no.get_secret_value(), self.account_name.get_secret_value())
        if any(given) != (self.kind == "user_bank_card") or any(given) != all(given):
            raise ValueError("bank_type, account_no and account_name belong to user_bank_card, all three")
        return self

    def account(self) -> PayeeAccount:
        return PayeeAccount(
            kind=self.kind,
            bank_type=self.bank_type,
            account_no=self.account_no.get_secret_value(),
            account_name=self.account_name.get_secret_value(),
        )


class OffLineIn(Strict):
    """What was paid off-line, and what proves it."""

    case_version: CaseVersion
    paid_by: PaidBy
    reference: Voucher
    paid_on: date = Field(description="as the shop counts days")
    amount_minor: PaidMinor

    def proof(self) -> Proof:
        return Proof(
            paid_by=self.paid_by, reference=self.reference, paid_on=self.paid_on, amount_minor=self.amount_minor
        )


class PayoutAnswerIn(Strict):
    agree: bool


class RetriesIn(Strict):
    kind: Kind = "needs_funds"
    merchant_id: Id | None = None
    case_ids: Annotated[list[Id], Field(max_length=200)] | None = Field(default=None, description="null: every case")


class SettleCostIn(Strict):
    reference: Voucher
    proof: Reference = Field(default="", description="an attachment of the case, or the number of a document elsewhere")


class ClaimIn(Strict):
    """A claim by hand. What a carrier bears is claimed by itself when it is noted."""

    case_id: Id
    shipment_id: Id | None = Field(default=None, description="null: the only parcel of the order")
    reason: ClaimReason
    amount_minor: PaidMinor
    cost_n: Annotated[int, Field(ge=1, strict=True)] | None = Field(
        default=None, description="the cost of the case that it is to recover"
    )


class ClaimMoveIn(Strict):
    to: Literal["filed", "accepted", "rejected", "paid", "written_off"]
    reference: Voucher
    paid_minor: PaidMinor | None = Field(default=None, description="with paid, and only then")
    reason: ClaimReason | None = Field(default=None, description="where it is known better by now")
    due_at: AwareDatetime | None = Field(default=None, description="by when the next move is due; null: as usual")

    @model_validator(mode="after")
    def _paid(self) -> Self:
        if (self.to == "paid") != (self.paid_minor is not None):
            raise ValueError("paid_minor belongs to paid")
        return self


class BalanceIn(Strict):
    """What somebody has read on the provider's pages, now."""

    currency: Currency
    balance_minor: Minor


class SettleDifferenceIn(Strict):
    resolution: Resolution
    reference: Voucher
