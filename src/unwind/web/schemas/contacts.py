"""Finding an order, checking who asks, buyers without an account."""

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from unwind.flow.lookup import By
from unwind.web.schemas.fields import MINOR_MAX, Id, Ref, Strict

Tail = Annotated[str, Field(pattern=r"^\d{4}$", description="last four digits of the buyer's telephone")]
Digits = Annotated[str, Field(pattern=r"^\d{6}$")]


class LookupIn(Strict):
    """In the body, because an address is written into logs on its way and this may be a telephone number."""

    q: Annotated[str, Field(min_length=1, max_length=200)]
    by: By | None = Field(default=None, description="null: whatever the text can be, the likeliest first")
    merchant_id: Id | None = Field(default=None, description="needed for `tail`")
    channel: Literal["hotline", "chat", "store"] = "hotline"
    contact_ref: Ref = Field(default="", description="the call or conversation this is for; counted once as a contact")


class QuestionsIn(Strict):
    phone_tail: Tail
    item: Annotated[str, Field(max_length=200)] = Field(default="", description="words of the title, or the SKU")
    amount_minor: Annotated[int, Field(ge=0, le=MINOR_MAX, strict=True)] | None = Field(
        default=None, description="what the order cost"
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.item and self.amount_minor is None:
            raise ValueError("item or amount_minor")
        return self


class CodeIn(Strict):
    code: Digits


class GuestIn(Strict):
    order_id: Id
    phone_tail: Tail


class GuestCodeIn(GuestIn):
    code: Digits


class StoreLinkIn(Strict):
    store_id: Id
    operator_id: Id


class StoreTokenIn(Strict):
    link_token: Annotated[SecretStr, Field(max_length=500)]
