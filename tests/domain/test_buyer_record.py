"""The most that facts about a buyer lead to: never a decline."""

from dataclasses import replace

import pytest

from unwind.domain.buyer_record import BuyerRecord, Effect, effects_of

NOTHING = BuyerRecord(
    paid_orders_30=0,
    paid_cancelled_30=0,
    paid_orders_90=0,
    paid_cancelled_90=0,
    unpaid_limited=0,
    refusals=0,
    recalls=0,
    other_buyers_same_phone=0,
)


@pytest.mark.parametrize(
    ("given", "effects"),
    [
        ({}, ()),
        ({"paid_orders_90": 10, "paid_cancelled_90": 5}, (Effect.REVIEW,)),
        ({"paid_orders_90": 11, "paid_cancelled_90": 5}, ()),
        ({"paid_orders_90": 4, "paid_cancelled_90": 4}, ()),
        ({"unpaid_limited": 3}, (Effect.REVIEW, Effect.TELL_SHOP)),
        ({"unpaid_limited": 2, "refusals": 2, "recalls": 2, "other_buyers_same_phone": 4}, ()),
        ({"refusals": 3}, (Effect.PREPAID_RECALL,)),
        ({"recalls": 3}, (Effect.PREPAID_RECALL,)),
        ({"other_buyers_same_phone": 5}, (Effect.TELL_SHOP,)),
    ],
)
def test_thresholds(given: dict[str, int], effects: tuple[Effect, ...]) -> None:
    assert effects_of(replace(NOTHING, **given)) == effects


@pytest.mark.rule("people.facts_decline")
def test_a_decline_is_not_among_the_effects() -> None:
    assert {effect.value for effect in Effect} == {"review", "prepaid_recall", "tell_shop"}
