"""Which fields of an order's people may be seen unmasked, for what, and by whom. No more than the reason needs."""

from collections.abc import Mapping
from enum import StrEnum

from unwind.domain.access import Principal, Scope, may
from unwind.domain.errors import require
from unwind.domain.masking import mask_address, mask_mail, mask_name, mask_phone

USUAL_ORDERS_PER_DAY = 20
"""Whoever looks at the people of more orders within 24 hours raises an alert, until an administrator sets another number."""


class Field(StrEnum):
    """Of an order's private data."""

    NAME = "name"
    PHONE = "phone"
    EMAIL = "email"
    ADDRESS = "address"
    RECIPIENT_NAME = "recipient_name"
    RECIPIENT_PHONE = "recipient_phone"
    WORDS = "words"
    """The buyer's words about the case, with the numbers in them."""
    CONVERSATION = "conversation"
    """What was written back and forth, the same."""


class Why(StrEnum):
    CALL_BUYER = "call_buyer"
    """Somebody calls or writes to them outside the program."""
    ARRANGE_PARCEL = "arrange_parcel"
    """Carrier or rider has to be told where to, or whom."""
    ANSWER_BUYER = "answer_buyer"
    """The buyer asks what is stored, and has been checked."""
    AUTHORITY = "authority"
    """A court, a regulator or the police asks; leads only."""


OF_CASE = frozenset({Field.WORDS, Field.CONVERSATION})
FIELDS_FOR: Mapping[Why, frozenset[Field]] = {
    Why.CALL_BUYER: frozenset({Field.NAME, Field.PHONE, Field.EMAIL, *OF_CASE}),
    Why.ARRANGE_PARCEL: frozenset(
        {Field.NAME, Field.PHONE, Field.ADDRESS, Field.RECIPIENT_NAME, Field.RECIPIENT_PHONE}
    ),
    Why.ANSWER_BUYER: frozenset(Field),
    Why.AUTHORITY: frozenset(Field),
}
NEEDS_IDENTITY = frozenset({Why.ANSWER_BUYER})
"""Somebody is there who could be anybody. On a call of ours to the bound telephone nobody can be checked before."""
MASKS = {
    Field.NAME: mask_name,
    Field.PHONE: mask_phone,
    Field.EMAIL: mask_mail,
    Field.ADDRESS: mask_address,
    Field.RECIPIENT_NAME: mask_name,
    Field.RECIPIENT_PHONE: mask_phone,
}


def require_reason(principal: Principal, why: Why, fields: frozenset[Field]) -> None:
    """Refuses with `not_for_this_reason` whatever the reason does not need, and with `forbidden` who may not have it."""
    beyond = sorted(fields - FIELDS_FOR[why])
    require(not beyond, "not_for_this_reason", fields=",".join(beyond))
    require(why is not Why.AUTHORITY or may(principal, Scope.CASES_LEAD), "forbidden", scope=Scope.CASES_LEAD)


def is_unusual(orders: int, *, allowed: int) -> bool:
    """`orders`: whose people one person has seen unmasked within 24 hours, this one included."""
    return orders > allowed
