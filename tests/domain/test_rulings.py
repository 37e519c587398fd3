"""What one person may decide, who bears what, what is left to a declined buyer; and that a plan has one name."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.building import a_line, a_payment, a_shipment, an_order
from unwind.domain.case import RefundOn, Verdict, Way
from unwind.domain.decisions import (
    Bearer,
    Choice,
    Cost,
    Fee,
    Limits,
    PlannedPart,
    Ruling,
    default_bearer,
    plan_digest,
    reasons_for_a_second,
    ways_on,
)
from unwind.domain.errors import Refusal
from unwind.domain.legs import LegKind
from unwind.domain.order import LineId, Order
from unwind.domain.plan import book, build_legs, keep_legs, partition
from unwind.domain.refund_split import split_refund
from unwind.domain.ruling_documents import plan_document, read_ruling, ruling_document, told_facts
from unwind.domain.stage import Stage

LIMITS = Limits(agent_minor=500_000, goodwill_minor=5_000)
ON_RECALL, ON_RETURN = RefundOn.RECALL_CONFIRMED, RefundOn.GOODS_BACK


def ruling(choice: Choice = Choice.APPROVE, **more: object) -> Ruling:
    return Ruling(choice=choice, case_version=1, order_version=1, **more)  # type: ignore[arg-type]


def planned(**more: object) -> PlannedPart:
    part = PlannedPart(
        part_no=1,
        way="stop",
        stage="in_transit",
        refund_on="recall_confirmed",
        lines={LineId("L1"): 1},
        paid_minor=1000,
        kept_minor=0,
        returned_minor=1000,
        legs=(("recall_parcel", "S1", 0), ("refund", "P1", 1000)),
    )
    return replace(part, **more)  # type: ignore[arg-type]


def second(
    one: Ruling, part: PlannedPart, *, rule: str = "shipped", refund_on: RefundOn = ON_RECALL
) -> tuple[str, ...]:
    verdict = Verdict.DECLINE if rule == "delivered" else Verdict.REVIEW
    return reasons_for_a_second(one, [part], screened=[(rule, verdict, refund_on)], limits=LIMITS)


def test_within_the_rules_one_person_is_enough() -> None:
    assert second(ruling(), planned(returned_minor=500_000)) == ()
    assert second(ruling(Choice.KEEP, compensation_minor=5_000), planned()) == ()
    assert second(ruling(refund_on=ON_RETURN), planned(), refund_on=ON_RETURN) == ()


@pytest.mark.parametrize(
    ("one", "part", "rule", "refund_on", "reason"),
    [
        (ruling(), planned(returned_minor=500_001), "shipped", ON_RECALL, "over_limit"),
        (ruling(), planned(), "delivered", ON_RECALL, "outside_rules"),
        (ruling(), planned(), "perishable_past_dispatch", ON_RECALL, "outside_rules"),
        (ruling(Choice.KEEP, compensation_minor=5_001), planned(), "shipped", ON_RECALL, "goodwill"),
        (ruling(refund_on=ON_RECALL), planned(), "coming_back", ON_RETURN, "money_before_goods"),
        (
            ruling(costs=(Cost(fee=Fee.RECALL, amount_minor=1, bearer=Bearer.BUYER),)),
            planned(),
            "shipped",
            ON_RECALL,
            "buyer_bears_cost",
        ),
    ],
)
def test_outside_of_them_a_second_is_needed(
    one: Ruling, part: PlannedPart, rule: str, refund_on: RefundOn, reason: str
) -> None:
    assert second(one, part, rule=rule, refund_on=refund_on) == (reason,)


@pytest.mark.parametrize("choice", [Choice.DECLINE, Choice.HAND_ON, Choice.KEEP, Choice.REDIRECT])
def test_taking_nothing_back_is_never_above_a_limit(choice: Choice) -> None:
    assert second(ruling(choice), planned(returned_minor=900_000), rule="delivered") == ()


def test_what_the_buyer_bears_is_what_is_kept() -> None:
    costs = tuple(Cost(fee=Fee.GOODS_LOSS, amount_minor=n, bearer=b) for n, b in zip((7, 11, 13), Bearer, strict=False))
    assert ruling(costs=costs).kept_minor == 7


CHANGES = (
    {"part_no": 2},
    {"way": "refuse"},
    {"stage": "delivered"},
    {"refund_on": "goods_back"},
    {"lines": {LineId("L1"): 2}},
    {"paid_minor": 1001},
    {"kept_minor": 1},
    {"returned_minor": 999},
    {"legs": (("refund", "P2", 1000),)},
)


@pytest.mark.rule("money.three_amounts")
def test_a_plan_has_one_name_and_any_other_plan_another() -> None:
    costs = (
        Cost(fee=Fee.RECALL, amount_minor=5, bearer=Bearer.MERCHANT),
        Cost(fee=Fee.FREIGHT, amount_minor=5, bearer=Bearer.MERCHANT),
    )
    name = plan_digest(ruling(costs=costs), [planned()])
    assert len(name) == 64
    assert plan_digest(ruling(costs=costs[::-1], note="不影响", reason_code="x"), [planned()]) == name
    assert plan_digest(replace(ruling(costs=costs), case_version=9), [planned()]) == name, (
        "versions move, the plan does not"
    )
    others = {plan_digest(ruling(costs=costs), [planned(**change)]) for change in CHANGES}
    others |= {
        plan_digest(ruling(), [planned()]),
        plan_digest(ruling(Choice.RECALL, costs=costs), [planned()]),
        plan_digest(ruling(costs=costs, compensation_minor=1), [planned()]),
        plan_digest(ruling(costs=costs), [planned(), planned(part_no=2)]),
    }
    assert len(others) == len(CHANGES) + 4
    assert name not in others


@pytest.mark.rule("money.bearer")
def test_the_buyer_never_bears_a_fee_unless_a_person_says_so() -> None:
    """RULES: default bearer of recall fees is the merchant; the buyer only where that was published before ordering."""
    assert default_bearer("CHANGED_MIND", "shipped") is Bearer.MERCHANT
    assert default_bearer("PAYMENT_ISSUE", "payment_issue") is Bearer.PLATFORM
    assert default_bearer("SHIPPING_TOO_SLOW", "parcel_lost") is Bearer.CARRIER
    assert default_bearer("OTHER", "signed_not_received") is Bearer.CARRIER


@pytest.mark.parametrize(
    ("stages", "ways"),
    [
        (["in_transit"], ("appeal", "refuse_at_door", "return")),
        (["packed", "out_for_delivery"], ("appeal", "refuse_at_door", "return")),
        (["delivered"], ("appeal", "return")),
        (["packed"], ("appeal",)),
        ([], ("appeal",)),
    ],
)
def test_a_decline_is_no_dead_end(stages: list[str], ways: tuple[str, ...]) -> None:
    assert ways_on(stages) == ways


# what is kept -------------------------------------------------------------------------------------------------------


def order_of(prices: list[int], shares: list[int]) -> Order:
    return an_order(
        lines=tuple(a_line(f"L{i}", price=price) for i, price in enumerate(prices)),
        payments=tuple(a_payment(f"P{i}", share) for i, share in enumerate(shares)),
    )


@given(
    prices=st.lists(st.integers(1, 50_000), min_size=1, max_size=5),
    cut=st.floats(0, 1),
    keeps=st.lists(st.floats(0, 1), min_size=5, max_size=5),
    order=st.randoms(use_true_random=False),
)
def test_whatever_the_order_of_parts_all_that_was_paid_is_returned_but_what_was_kept(
    prices: list[int], cut: float, keeps: list[float], order: Random
) -> None:
    total = sum(prices)
    first = int(total * cut)
    now = order_of(prices, [share for share in (first, total - first) if share])
    lines = [line.line_id for line in now.lines]
    order.shuffle(lines)
    kept = returned = 0
    for line_id, keep in zip(lines, keeps, strict=False):
        paid = split_refund(now, {line_id: 1}).paid_minor
        part = int(paid * keep)
        amounts = split_refund(now, {line_id: 1}, keep_minor=part)
        assert (amounts.paid_minor, amounts.deducted_minor) == (paid, part)
        assert amounts.paid_minor - amounts.deducted_minor == amounts.returned_minor
        assert amounts.returned_minor == sum(share.amount_minor for share in amounts.shares)
        now = replace(book(now, {line_id: 1}, amounts), kept_minor=now.kept_minor + part)
        kept, returned = kept + part, returned + amounts.returned_minor
    assert returned + kept == total
    assert all(payment.booked_minor <= payment.share_minor for payment in now.payments)


def test_no_more_is_kept_than_there_is_to_return() -> None:
    with pytest.raises(Refusal) as refused:
        split_refund(order_of([1000], [1000]), {LineId("L0"): 1}, keep_minor=1001)
    assert (refused.value.code, refused.value.facts) == ("deduction_too_large", {"paid_minor": 1000})
    everything = split_refund(order_of([1000], [1000]), {LineId("L0"): 1}, keep_minor=1000)
    assert (everything.paid_minor, everything.deducted_minor, everything.shares) == (1000, 1000, ())


def test_goods_that_the_buyer_brings_back_are_received_before_the_money_returns() -> None:
    order = an_order(shipments=(a_shipment("S1", {"L1": 1}, stage=Stage.DELIVERED),), payments=(a_payment("P1", 1000),))
    [part] = partition(order, {LineId("L1"): 1})
    legs = build_legs(order, part, refund_on=ON_RETURN, way=Way.RETURN)
    assert [leg.kind for leg in legs] == [
        LegKind.RECEIVE_RETURN,
        LegKind.REFUND,
        LegKind.CANCEL_ORDER,
        LegKind.RELEASE_STOCK,
    ]
    with pytest.raises(Refusal):
        build_legs(order, replace(part, shipment=None), refund_on=ON_RETURN, way=Way.REFUSE)


def test_keeping_an_order_moves_no_goods_and_returns_nothing() -> None:
    assert keep_legs(redirect=None, compensation_minor=0) == ()
    legs = keep_legs(redirect="S1", compensation_minor=300)
    assert [(leg.kind, leg.target, leg.amount_minor) for leg in legs] == [
        (LegKind.REDIRECT_PARCEL, "S1", 0),
        (LegKind.COMPENSATE, "", 300),
    ]


# as documents -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one",
    [
        ruling(Choice.DECLINE),
        ruling(
            Choice.APPROVE_PART,
            part_no=2,
            lines={LineId("L1"): 3},
            refund_on=ON_RETURN,
            costs=(Cost(fee=Fee.GIFT, amount_minor=5, bearer=Bearer.PLATFORM),),
            compensation_minor=7,
            reason_code="x",
        ),
    ],
)
def test_a_ruling_comes_back_from_its_document_without_words_and_versions(one: Ruling) -> None:
    document = ruling_document(replace(one, note="不入库"))
    assert "不入库" not in str(document)
    assert read_ruling(document) == replace(one, case_version=0, order_version=0)


def test_a_plan_is_shown_whole() -> None:
    [shown] = plan_document([planned(kept_minor=1)])
    assert shown["legs"][1] == {"kind": "refund", "target": "P1", "amount_minor": 1000}
    assert (shown["lines"], shown["kept_minor"], shown["way"]) == ({"L1": 1}, 1, "stop")


@pytest.mark.parametrize(
    ("choice", "part", "facts"),
    [
        (Choice.DECLINE, planned(legs=()), ["declined"]),
        (Choice.KEEP, planned(legs=(), way=Way.KEEP), ["retained"]),
        (Choice.KEEP, planned(legs=(("compensate", "", 5),), way=Way.KEEP), ["retained"]),
        (Choice.APPROVE, planned(), ["refund_on_its_way", "refund_done"]),
        (Choice.APPROVE, planned(legs=(("hold_shipment", "", 0),)), ["cancelled"]),
        (Choice.REFUSE_AT_DOOR, planned(way=Way.REFUSE), ["refuse_at_door", "refund_on_its_way", "refund_done"]),
    ],
)
def test_what_the_buyer_will_be_told(choice: Choice, part: PlannedPart, facts: list[str]) -> None:
    assert told_facts([part, part], choice) == facts
