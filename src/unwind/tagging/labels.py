"""The labels a buyer's words can carry, and the record that holds them.

Promised: `Tags` never stores the words themselves, only code-point spans of the text it was given, so it can be kept longer than the text.
"""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    ADDRESS_ERROR = "ADDRESS_ERROR"
    CONTACT_ERROR = "CONTACT_ERROR"
    CHANGED_MIND = "CHANGED_MIND"
    NOT_AS_DESCRIBED = "NOT_AS_DESCRIBED"
    QUALITY_CONCERN = "QUALITY_CONCERN"
    SHIPPING_TOO_SLOW = "SHIPPING_TOO_SLOW"
    WRONG_ITEM_ORDERED = "WRONG_ITEM_ORDERED"
    PRICE_DROP = "PRICE_DROP"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    DUPLICATE_ORDER = "DUPLICATE_ORDER"
    COUPON_NOT_APPLIED = "COUPON_NOT_APPLIED"
    PAYMENT_ISSUE = "PAYMENT_ISSUE"
    MERCHANT_ASKED = "MERCHANT_ASKED"
    OTHER = "OTHER"


class Intent(StrEnum):
    CANCEL = "CANCEL"
    MODIFY_ORDER = "MODIFY_ORDER"
    WHERE_IS_MY_ORDER = "WHERE_IS_MY_ORDER"
    WITHDRAW_CANCEL = "WITHDRAW_CANCEL"
    RETURN_AFTER_RECEIPT = "RETURN_AFTER_RECEIPT"
    OTHER = "OTHER"


class Urgency(StrEnum):
    HIGH = "HIGH"
    NORMAL = "NORMAL"


class Emotion(StrEnum):
    ANGRY = "ANGRY"
    NEUTRAL = "NEUTRAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Why a label was given: the span `[start, end)` of the original text, in code points."""

    field: str
    """`reason`, `secondary`, `intent`, `urgency` or `emotion`."""
    label: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    reason: Reason
    secondary: tuple[Reason, ...]
    """Other reasons the text gives, strongest first; never `reason` itself and never OTHER."""
    intent: Intent
    urgency: Urgency
    emotion: Emotion
    confidence: float
    """0 to 1, of `reason`: how far it stands before its rivals."""
    is_sure: bool
    """False: the tagger abstains, a person should read the words."""
    not_received: bool
    """The parcel is shown as signed for, and the buyer says it never came."""
    evidence: tuple[Evidence, ...]
