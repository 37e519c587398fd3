"""What is known of a buyer's cancellations: facts, not adjectives (RULES: abuse).

What happened through the merchant's or the carrier's fault never counts. The facts are for the person who decides; by themselves they never
decline anything, and the buyer is never told of them.
"""

from dataclasses import dataclass
from enum import StrEnum

NOT_THE_BUYERS_FAULT = frozenset(
    {"MERCHANT_ASKED", "OUT_OF_STOCK", "NOT_AS_DESCRIBED", "QUALITY_CONCERN", "SHIPPING_TOO_SLOW", "PAYMENT_ISSUE"}
)
"""Reasons for which a cancellation is not held against the buyer."""


class Effect(StrEnum):
    """The most that the facts may lead to."""

    REVIEW = "review"
    PREPAID_RECALL = "prepaid_recall"
    TELL_SHOP = "tell_shop"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuyerRecord:
    """Counts at one merchant; of the last 90 days unless the name says otherwise."""

    paid_orders_30: int
    paid_cancelled_30: int
    paid_orders_90: int
    paid_cancelled_90: int
    unpaid_limited: int
    """Limited goods ordered, held and not paid."""
    refusals: int
    recalls: int
    other_buyers_same_phone: int


MANY_CANCELLED, CANCELLED_SHARE_PERCENT = 5, 50
MANY_UNPAID, MANY_REFUSED, MANY_RECALLS, MANY_BUYERS = 3, 3, 3, 5


def effects_of(record: BuyerRecord) -> tuple[Effect, ...]:
    """What a person may consider; never a decline."""
    often = (
        record.paid_cancelled_90 >= MANY_CANCELLED
        and record.paid_cancelled_90 * 100 >= record.paid_orders_90 * CANCELLED_SHARE_PERCENT
    )
    effects = {
        Effect.REVIEW: often or record.unpaid_limited >= MANY_UNPAID,
        Effect.PREPAID_RECALL: record.recalls >= MANY_RECALLS or record.refusals >= MANY_REFUSED,
        Effect.TELL_SHOP: record.other_buyers_same_phone >= MANY_BUYERS or record.unpaid_limited >= MANY_UNPAID,
    }
    return tuple(effect for effect, holds in effects.items() if holds)
