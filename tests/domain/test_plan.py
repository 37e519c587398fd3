"""(order, wish) -> parts -> legs: what can be taken back together, what goes with it, and in which order."""

from dataclasses import replace
from typing import Any

import pytest

from tests.domain.building import a_benefit, a_discount, a_line, a_merchant, a_payment, a_shipment, an_order
from unwind.domain.case import PartKind, RefundOn
from unwind.domain.errors import InvariantBroken, Refusal
from unwind.domain.legs import LegKind
from unwind.domain.order import AttemptState, Dependence, LineId, Order, PaymentState, Promise, ReturnsAs, VirtualState
from unwind.domain.plan import PartPlan, book, build_legs, closing_part, complete_wish, local_prefix, partition, reprice
from unwind.domain.refund_split import line_nets, split_refund
from unwind.domain.stage import Stage
from unwind.domain.stock import Bucket

L1, L2, L3 = LineId("L1"), LineId("L2"), LineId("L3")


def paid(**given: Any) -> Order:
    order = an_order(**given)
    return replace(order, payments=(a_payment("P1", order.payable_minor),))


def legs_of(order: Order, part: PartPlan, *, refund_on: RefundOn = RefundOn.RECALL_CONFIRMED) -> list[tuple[str, str]]:
    """(kind, target), in rank order; a leg done by ourselves has a star."""
    legs = build_legs(order, part, refund_on=refund_on)
    assert [leg.rank for leg in legs] == sorted(leg.rank for leg in legs)
    return [(leg.kind.value + "*" * leg.is_local, leg.target) for leg in legs]


def only_part(order: Order) -> PartPlan:
    [part] = partition(order, complete_wish(order, None))
    return part


# what is wished -----------------------------------------------------------------------------------------------------


def test_no_wish_means_everything_that_is_left() -> None:
    order = an_order(lines=(a_line("L1", quantity=3, taken_units=1), a_line("L2", taken_units=1)))
    assert complete_wish(order, None) == {L1: 2}


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"X": 1}, "unknown_line"),
        ({"L1": 0}, "quantity_not_positive"),
        ({"L1": -1}, "quantity_not_positive"),
        ({"L1": 3}, "quantity_too_large"),
    ],
)
def test_a_wish_that_cannot_be(wish: dict[LineId, int], code: str) -> None:
    order = an_order(lines=(a_line("L1", quantity=3, taken_units=1),))
    with pytest.raises(Refusal) as refused:
        complete_wish(order, wish)
    assert refused.value.code == code


@pytest.mark.rule("goods.dependents")
@pytest.mark.parametrize("dependence", list(Dependence))
def test_what_hangs_on_a_parent_goes_when_all_of_the_parent_goes(dependence: Dependence) -> None:
    child = a_line("L2", quantity=2, parent_line_id=L1, dependence=dependence)
    order = an_order(lines=(a_line("L1", quantity=2), child, a_line("L3")))
    goes = dependence not in {Dependence.NONE, Dependence.BUNDLE}
    assert complete_wish(order, {L1: 2}) == ({L1: 2, L2: 2} if goes else {L1: 2})
    assert complete_wish(order, {L1: 1}) == {L1: 1}, "one parent stays, and so does its gift"
    assert complete_wish(order, {L2: 1}) == {L2: 1}
    later = replace(order, lines=(a_line("L1", quantity=2, taken_units=1), child, order.lines[2]))
    assert complete_wish(later, {L1: 1}) == ({L1: 1, L2: 2} if goes else {L1: 1})


# parts --------------------------------------------------------------------------------------------------------------


def test_units_in_the_house_come_first_then_parcels_least_advanced_first() -> None:
    line = a_line("L1", quantity=6, buckets={Bucket.RESERVED: 2, Bucket.SHIPPED: 4})
    order = paid(
        lines=(line,),
        shipments=(
            a_shipment("S-far", {"L1": 1}, stage=Stage.OUT_FOR_DELIVERY),
            a_shipment("S-b", {"L1": 1}, stage=Stage.IN_TRANSIT),
            a_shipment("S-a", {"L1": 2}, stage=Stage.IN_TRANSIT),
        ),
    )
    parts = partition(order, {L1: 6})
    assert [(p.kind, p.shipment.shipment_id if p.shipment else "", dict(p.quantities)) for p in parts] == [
        (PartKind.UNSHIPPED, "", {L1: 2}),
        (PartKind.PARCEL, "S-a", {L1: 2}),
        (PartKind.PARCEL, "S-b", {L1: 1}),
        (PartKind.PARCEL, "S-far", {L1: 1}),
    ]
    assert [p.completes_order for p in parts] == [False] * 4, "whichever ends last closes the order"
    assert [p.amounts.returned_minor for p in parts] == [2000, 2000, 1000, 1000]
    assert [dict(p.quantities) for p in partition(order, {L1: 3})] == [{L1: 2}, {L1: 1}]


def test_a_parcel_still_in_the_house_is_a_part_of_its_own() -> None:
    order = paid(
        lines=(a_line("L1", quantity=3),),
        released_stage=Stage.PACKED,
        shipments=(a_shipment("S1", {"L1": 1}, stage=Stage.HANDED_OVER, picked_up=False),),
    )
    parts = partition(order, {L1: 3})
    assert [(p.kind, p.stage, dict(p.quantities)) for p in parts] == [
        (PartKind.UNSHIPPED, Stage.PACKED, {L1: 2}),
        (PartKind.PARCEL, Stage.LABEL_PRINTED, {L1: 1}),
    ]


def test_units_that_nobody_knows_of_are_of_unknown_stage() -> None:
    order = paid(lines=(a_line("L1", quantity=2, buckets={Bucket.RESERVED: 1, Bucket.SHIPPED: 1}), a_line("L2")))
    parts = partition(order, {L1: 2, L2: 1})
    assert [(p.stage, dict(p.quantities)) for p in parts] == [(Stage.NONE, {L1: 1, L2: 1}), (Stage.UNKNOWN, {L1: 1})]


def test_a_parcel_stays_a_parcel_while_other_units_of_its_line_are_being_taken_back() -> None:
    """Two in the house are spoken for and held, one is on the road: only the one on the road is left to plan."""
    line = a_line("L1", quantity=3, taken_units=2, buckets={Bucket.HELD: 2, Bucket.SHIPPED: 1})
    order = paid(lines=(line,), shipments=(a_shipment("S1", {"L1": 1}),))
    assert [(p.kind, p.stage) for p in partition(order, {L1: 1})] == [(PartKind.PARCEL, Stage.IN_TRANSIT)]


def test_repricing_prices_only_what_is_decided() -> None:
    """Shipping belongs to the last unit: of parts planned side by side nobody gets it yet; the one that ends last brings it."""
    line = a_line("L1", quantity=2, buckets={Bucket.RESERVED: 1, Bucket.SHIPPED: 1})
    order = paid(lines=(line,), shipping_minor=700, shipments=(a_shipment("S1", {"L1": 1}),))
    house, parcel = partition(order, {L1: 2})
    assert (house.amounts.returned_minor, parcel.amounts.returned_minor) == (1000, 1000)
    [alone] = reprice(order, [parcel])
    assert (alone.amounts.returned_minor, alone.completes_order) == (1000, False)
    both = reprice(order, [parcel, house])
    assert [(p.amounts.returned_minor, p.completes_order) for p in both] == [(1000, False), (1000, False)]
    assert reprice(order, []) == ()
    for part in both:
        assert closing_part(order) is None
        order = book(order, part.quantities, part.amounts)
    closing = closing_part(order)
    assert closing is not None
    assert (closing.amounts.returned_minor, closing.completes_order, closing.quantities) == (700, True, {})
    assert closing_part(replace(order, is_cancelled=True)) is None


def test_an_order_is_not_complete_while_another_part_may_fall_through() -> None:
    one, two = a_line("L1", taken_units=1, is_provisional=True), a_line("L2")
    order = paid(lines=(one, two), shipping_minor=500)
    order = replace(order, payments=tuple(replace(p, booked_minor=1000) for p in order.payments))
    [part] = partition(order, {LineId("L2"): 1})
    assert (part.amounts.returned_minor, part.completes_order) == (1000, False)
    settled = replace(order, lines=(replace(one, is_provisional=False), two))
    [part] = partition(settled, {LineId("L2"): 1})
    assert part.completes_order


def test_more_than_was_ordered_is_never_priced() -> None:
    with pytest.raises(InvariantBroken):
        split_refund(paid(), {L1: 2})


def test_a_line_that_another_discount_has_emptied_bears_nothing() -> None:
    """100 + 100, a coupon of 100 for the first line, and 50 off the order: the second line bears the 50."""
    order = an_order(
        lines=(a_line("L1", price=100), a_line("L2", price=100)),
        discounts=(a_discount(100, {"L1": 100}), a_discount(50, discount_id="D2")),
    )
    assert line_nets(order) == {L1: 0, L2: 50}


# legs ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        (Stage.NONE, ["hold_shipment*", "refund", "release_stock*", "cancel_order*"]),
        *((s, ["hold_shipment", "refund", "release_stock*", "cancel_order*"]) for s in (Stage.RELEASED, Stage.PACKED)),
        (Stage.UNKNOWN, ["hold_shipment", "refund", "release_stock*", "cancel_order*"]),
        (Stage.DELIVERED, ["refund", "cancel_order*"]),
        (Stage.LOST, ["refund", "cancel_order*"]),
    ],
)
def test_legs_of_units_in_the_house(stage: Stage, expected: list[str]) -> None:
    order = paid(released_stage=stage)
    part = replace(only_part(order), stage=stage)
    assert [kind for kind, _ in legs_of(order, part)] == expected


@pytest.mark.parametrize("stage", list(Stage))
def test_legs_of_a_parcel(stage: Stage) -> None:
    line = a_line("L1", buckets={Bucket.SHIPPED: 1})
    order = paid(lines=(line,), shipments=(a_shipment("S1", {"L1": 1}, stage=stage),))
    part = PartPlan(
        kind=PartKind.PARCEL,
        stage=stage,
        shipment=order.shipments[0],
        quantities={L1: 1},
        amounts=split_refund(order, {L1: 1}),
        completes_order=True,
    )
    end = ["cancel_order*"]
    gone = ["refund", *end]
    road = ["recall_parcel", "refund", *end, "receive_return", "release_stock*"]
    back = ["receive_return", "refund", "cancel_order*", "release_stock*"]
    expected = {
        Stage.NONE: ["hold_shipment*", "refund", "release_stock*", *end],
        Stage.LABEL_PRINTED: ["hold_shipment", "void_waybill", "refund", "release_stock*", *end],
        **dict.fromkeys((Stage.DELIVERED, Stage.LOST), gone),
        **dict.fromkeys((Stage.REFUSED, Stage.RETURNING, Stage.RETURNED), back),
        **dict.fromkeys((Stage.HANDED_OVER, Stage.IN_TRANSIT, Stage.AT_PICKUP_POINT, Stage.OUT_FOR_DELIVERY), road),
    }.get(stage, ["hold_shipment", "refund", "release_stock*", *end])
    found = legs_of(order, part)
    assert [kind for kind, _ in found] == expected
    assert {target for kind, target in found if kind.rstrip("*") in {"hold_shipment", "recall_parcel"}} <= {"S1"}
    waiting = [kind for kind, _ in legs_of(order, part, refund_on=RefundOn.GOODS_BACK)]
    if "recall_parcel" in expected:
        assert waiting == ["recall_parcel", "receive_return", "refund", "cancel_order*", "release_stock*"]
    else:
        assert waiting == expected


def test_unpaid_and_not_released_needs_nobody_outside() -> None:
    order = an_order(benefits=(a_benefit("c1"), a_benefit("done", restored=True)))
    part = only_part(order)
    legs = build_legs(order, part, refund_on=RefundOn.RECALL_CONFIRMED)
    assert legs_of(order, part) == [("release_stock*", ""), ("restore_benefit*", "benefit:c1"), ("cancel_order*", "O1")]
    assert local_prefix(legs) == len(legs)
    picking = replace(order, released_stage=Stage.PICKING)
    assert legs_of(picking, only_part(picking))[0] == ("hold_shipment", "")


def test_an_open_attempt_is_closed_behind_everything() -> None:
    created = a_payment("P1", 1000, state=AttemptState.CREATED, captured_minor=0)
    closed = a_payment("P0", 1000, state=AttemptState.CLOSED, captured_minor=0)
    order = an_order(payments=(closed, created))
    legs = build_legs(order, only_part(order), refund_on=RefundOn.RECALL_CONFIRMED)
    assert [(leg.kind, leg.target) for leg in legs][-1] == (LegKind.CLOSE_PAYMENT, "P1")
    assert local_prefix(legs) == len(legs) - 1


def test_a_promised_payment_stops_goods_and_returns_no_money() -> None:
    order = an_order(promise=Promise.CASH_ON_DELIVERY)
    assert [kind for kind, _ in legs_of(order, only_part(order))] == [
        "hold_shipment*",
        "release_stock*",
        "cancel_order*",
    ]


def test_the_local_prefix_ends_where_somebody_outside_is_needed() -> None:
    order = paid()
    legs = build_legs(order, only_part(order), refund_on=RefundOn.RECALL_CONFIRMED)
    assert local_prefix(legs) == 1, "our own block, then the gateway"
    outside = [leg for leg in legs if not leg.is_local]
    assert local_prefix(outside) == 0
    assert local_prefix([]) == 0


def test_every_payment_returns_by_its_own_route() -> None:
    order = an_order(
        lines=(a_line(price=3000),),
        merchant=a_merchant(has_settlement=True, is_local=False),
        payments=(
            a_payment("cash", 1000),
            a_payment("points", 1000, connection="local", returns_as=ReturnsAs.RESTORE),
            a_payment("card", 1000, connection="bank", returns_as=ReturnsAs.RESTORE),
        ),
    )
    found = legs_of(order, only_part(order))
    assert found == [
        ("hold_shipment*", ""),
        ("reverse_settlement", "O1"),
        ("refund", "cash"),
        ("release_stock*", ""),
        ("restore_benefit*", "points"),
        ("restore_benefit", "card"),
        ("cancel_order", "O1"),
    ]


def test_no_settlement_is_reversed_where_no_money_returns() -> None:
    order = an_order(merchant=a_merchant(has_settlement=True), released_stage=Stage.PICKING)
    assert "reverse_settlement" not in [kind for kind, _ in legs_of(order, only_part(order))]


@pytest.mark.rule("goods.virtual")
@pytest.mark.parametrize("virtual", [v for v in VirtualState if v is not VirtualState.NOT_VIRTUAL])
def test_virtual_goods_have_no_stock_and_no_warehouse(virtual: VirtualState) -> None:
    order = paid(lines=(a_line(virtual=virtual),))
    revoked = ["revoke_entitlement"] if virtual in {VirtualState.SENT, VirtualState.REVEALED} else []
    assert [kind for kind, _ in legs_of(order, only_part(order))] == [*revoked, "refund", "cancel_order*"]


@pytest.mark.rule("money.coupons", "goods.pools")
def test_a_coupon_comes_back_with_the_last_line_and_a_quota_with_its_own() -> None:
    order = paid(
        lines=(a_line("L1", quantity=2), a_line("L2")),
        benefits=(a_benefit("coupon"), a_benefit("quota", line_id="L1", amount=2)),
    )

    def restored(wish: dict[LineId, int]) -> list[str]:
        [part] = partition(order, wish)
        return [target for kind, target in legs_of(order, part) if kind == "restore_benefit*"]

    assert restored({L1: 1}) == []
    assert restored({L1: 2}) == ["benefit:quota"]
    assert restored({L1: 2, L2: 1}) == ["benefit:coupon", "benefit:quota"]
    [part] = partition(order, {L1: 1})
    assert ("amend_order*", "O1") in legs_of(order, part)


# what an order says of itself -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("states", "promise", "expected"),
    [
        ((), Promise.NONE, PaymentState.UNPAID),
        (((AttemptState.CREATED, 0),), Promise.NONE, PaymentState.UNPAID),
        (((AttemptState.CLOSED, 0),), Promise.NONE, PaymentState.UNPAID),
        (((AttemptState.AUTHORISED, 0),), Promise.NONE, PaymentState.AUTHORISED),
        (((AttemptState.CREATED, 0),), Promise.PAY_LATER, PaymentState.PROMISED),
        (((AttemptState.CAPTURED, 1000),), Promise.NONE, PaymentState.CAPTURED),
        (((AttemptState.CAPTURED, 400),), Promise.NONE, PaymentState.PARTLY_CAPTURED),
        (((AttemptState.CAPTURED, 400), (AttemptState.CAPTURED, 600)), Promise.NONE, PaymentState.CAPTURED),
    ],
)
def test_the_payment_state_is_read_from_the_attempts(
    states: tuple[tuple[AttemptState, int], ...], promise: Promise, expected: PaymentState
) -> None:
    payments = tuple(a_payment(f"P{n}", share, state=state) for n, (state, share) in enumerate(states))
    assert an_order(payments=payments, promise=promise).payment_state is expected


def test_an_order_whose_money_is_all_on_its_way_back_is_refunded() -> None:
    assert an_order(payments=(a_payment("P1", 1000, booked_minor=1000),)).payment_state is PaymentState.REFUNDED
    assert an_order(payments=(a_payment("P1", 1000, booked_minor=999),)).payment_state is PaymentState.CAPTURED


def test_an_order_is_in_the_house_while_all_of_it_is() -> None:
    assert an_order().is_in_the_house
    assert an_order(shipments=(a_shipment("S1", {"L1": 1}, picked_up=False),)).is_in_the_house
    assert not an_order(shipments=(a_shipment("S1", {"L1": 1}),)).is_in_the_house
    assert not an_order(released_stage=Stage.DELIVERED).is_in_the_house
