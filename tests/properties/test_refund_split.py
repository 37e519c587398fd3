"""Partial cancellations in any order that end in everything return exactly what was captured, payment by payment.

Shipping, discounts and three payments included. Only the core is asked: how a refund is split, booked and given up again.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.domain.building import a_discount, a_line, a_payment, a_shipment, an_order
from unwind.domain.money import allocate
from unwind.domain.order import Benefit, LineId, Order
from unwind.domain.plan import book, closing_part, earned_with, free_units, partition, reprice
from unwind.domain.refund_split import Amounts, split_refund, worth_of
from unwind.domain.stage import Stage
from unwind.domain.stock import Bucket
from unwind.domain.terms import NOTHING_SPECIAL, OnPartial

Taking = tuple[Mapping[LineId, int], Amounts]
STEPS_MAX = 10


@st.composite
def orders(draw: st.DrawFn, *, is_repriced: bool = False) -> Order:
    """1-4 lines with taxes, shipping, up to three discounts (allocated by the shop or not), paid in three shares of any size; points earned.

    `is_repriced`: what is left may miss the thresholds of discounts and of free postage.
    """
    lines = tuple(
        replace(
            a_line(f"L{n}", quantity=draw(st.integers(1, 7)), price=draw(st.integers(0, 99_999))),
            tax_minor=draw(st.sampled_from([0, 0, 1, 777])),
        )
        for n in range(1, draw(st.integers(1, 4)) + 1)
    )
    gross = {line.line_id: line.quantity * line.unit_price_minor for line in lines}
    left = dict(gross)
    discounts = []
    for n in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            by_line = {line_id: draw(st.integers(0, rest)) for line_id, rest in left.items()}
            discounts.append(a_discount(sum(by_line.values()), by_line, discount_id=f"D{n}"))
        else:
            amount = draw(st.integers(0, sum(left.values())))
            by_line = _spread(amount, gross)
            while any(by_line[line_id] > left[line_id] for line_id in gross):
                amount //= 2
                by_line = _spread(amount, gross)
            discounts.append(a_discount(amount, discount_id=f"D{n}"))
        left = {line_id: rest - by_line[line_id] for line_id, rest in left.items()}
    shipping = draw(st.integers(0, 3_000))
    payable = sum(left.values()) + shipping + sum(line.tax_minor for line in lines)
    terms = NOTHING_SPECIAL
    if is_repriced:
        at = st.integers(0, sum(gross.values()))
        discounts = [replace(d, threshold_minor=draw(at), on_partial=OnPartial.REPRICE) for d in discounts]
        terms = replace(terms, free_postage_from_minor=draw(at), postage_minor=draw(st.integers(0, 2_000)))
    first, second = sorted((draw(st.integers(0, payable)), draw(st.integers(0, payable))))
    payments = tuple(
        a_payment(f"P{n}", share, captured_minor=share + draw(st.sampled_from([0, 0, 5_000])))
        for n, share in enumerate((first, second - first, payable - second), start=1)
    )
    order = an_order(lines=lines, discounts=tuple(discounts), shipping_minor=shipping, payments=payments)
    of_line = draw(st.sampled_from([None, lines[0].line_id]))
    return replace(order, terms=terms, benefits=(earned(draw(st.integers(1, 10_000)), of_line),))


def earned(amount: int, line_id: LineId | None) -> Benefit:
    return Benefit(
        benefit_id="E1", kind="points", account="p", amount=amount, is_restored=False, line_id=line_id, is_earned=True
    )


def _spread(amount: int, gross: Mapping[LineId, int]) -> dict[LineId, int]:
    return dict(zip(gross, allocate(amount, list(gross.values())), strict=True))


@st.composite
def wishes(draw: st.DrawFn, order: Order) -> dict[LineId, int]:
    """Some of what is still there; never nothing."""
    free = {line.line_id: free_units(line) for line in order.lines if free_units(line) > 0}
    wish = {line_id: draw(st.integers(0, units)) for line_id, units in free.items()}
    some = {line_id: units for line_id, units in wish.items() if units > 0}
    return some or {draw(st.sampled_from(sorted(free))): 1}


def everything(order: Order) -> dict[LineId, int]:
    return {line.line_id: free_units(line) for line in order.lines if free_units(line) > 0}


def take(order: Order, wish: Mapping[LineId, int]) -> tuple[Order, Amounts]:
    amounts = split_refund(order, wish)
    assert all(share.amount_minor > 0 for share in amounts.shares)
    assert sum(share.amount_minor for share in amounts.shares) == amounts.returned_minor
    assert 0 <= amounts.returned_minor == amounts.paid_minor - amounts.deducted_minor
    return book(order, wish, amounts), amounts


def give_up(order: Order, taking: Taking) -> Order:
    """A hold that was refused: the money that was set aside and the units spoken for are free again."""
    wish, amounts = taking
    back = {share.payment_id: share.amount_minor for share in amounts.shares}
    return replace(
        order,
        lines=tuple(replace(ln, taken_units=ln.taken_units - wish.get(ln.line_id, 0)) for ln in order.lines),
        payments=tuple(replace(p, booked_minor=p.booked_minor - back.get(p.payment_id, 0)) for p in order.payments),
    )


def assert_within_shares(order: Order) -> None:
    for payment in order.payments:
        assert 0 <= payment.booked_minor <= payment.share_minor
    assert all(0 <= line.taken_units <= line.quantity for line in order.lines)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_sequence_of_partial_takings_returns_exactly_what_was_captured(data: st.DataObject) -> None:
    order = data.draw(orders())
    live: list[Taking] = []
    for _ in range(data.draw(st.integers(0, STEPS_MAX))):
        if live and (not everything(order) or data.draw(st.booleans())):
            order = give_up(order, live.pop(data.draw(st.integers(0, len(live) - 1))))
        elif everything(order):
            wish = data.draw(wishes(order))
            order, amounts = take(order, wish)
            live.append((wish, amounts))
        assert_within_shares(order)
    while everything(order):
        wish = data.draw(wishes(order)) if data.draw(st.booleans()) else everything(order)
        order, amounts = take(order, wish)
        live.append((wish, amounts))
        assert_within_shares(order)
    assert [p.booked_minor for p in order.payments] == [p.share_minor for p in order.payments]
    assert sum(amounts.returned_minor for _, amounts in live) == order.payable_minor


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_thresholds_that_are_missed_are_given_back_with_the_rest(data: st.DataObject) -> None:
    """Whatever is priced anew in between: nothing negative, nothing above what was paid, and in the end exactly all of it."""
    order = data.draw(orders(is_repriced=True))
    live: list[Taking] = []
    while everything(order):
        if live and data.draw(st.integers(0, 3)) == 0:
            order = give_up(order, live.pop())
            continue
        wish = data.draw(wishes(order))
        order, amounts = take(order, wish)
        live.append((wish, amounts))
        assert amounts.lost_minor <= amounts.deducted_minor
        assert sum(one.amount_minor for one in amounts.deductions) == amounts.deducted_minor
        assert_within_shares(order)
    assert [p.booked_minor for p in order.payments] == [p.share_minor for p in order.payments]
    assert sum(amounts.returned_minor for _, amounts in live) == order.payable_minor


@pytest.mark.rule("money.points")
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_what_was_earned_goes_back_with_the_units_in_whatever_order(data: st.DataObject) -> None:
    order = data.draw(orders())
    [benefit] = order.benefits
    clawed = 0
    while everything(order):
        wish = data.draw(wishes(order))
        found = earned_with(order, wish).get("E1", 0)
        assert found >= 0
        clawed += found
        order = book(order, wish, split_refund(order, wish))
    assert clawed == benefit.amount


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_what_has_gone_back_so_far_is_always_what_these_units_cost(data: st.DataObject) -> None:
    """Nothing given up in between: the sum never depends on how the units were grouped."""
    order = data.draw(orders())
    while everything(order):
        order, amounts = take(order, data.draw(wishes(order)))
        assert amounts.deducted_minor == 0
        taken = {line.line_id: line.taken_units for line in order.lines}
        assert sum(p.booked_minor for p in order.payments) == worth_of(order, taken, is_complete=not everything(order))


@st.composite
def packed_orders(draw: st.DrawFn) -> Order:
    """Some units of each line in a parcel of its own."""
    order = draw(orders())
    parcels, lines = [], []
    for line in order.lines:
        packed = draw(st.integers(0, line.quantity))
        if packed:
            parcels.append(a_shipment(f"S-{line.line_id}", {line.line_id: packed}, stage=Stage.IN_TRANSIT))
        buckets = {Bucket.RESERVED: line.quantity - packed, Bucket.SHIPPED: packed}
        lines.append(replace(line, buckets=buckets))
    return replace(order, lines=tuple(lines), shipments=tuple(parcels))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_what_is_kept_of_one_part_does_not_return_with_the_next(data: st.DataObject) -> None:
    order = data.draw(packed_orders())
    parts = partition(order, everything(order))
    kept = [
        replace(part, keep_minor=data.draw(st.integers(0, part.amounts.returned_minor), label="kept")) for part in parts
    ]
    done = order
    for part in reprice(order, kept):
        assert part.amounts.returned_minor == part.amounts.paid_minor - part.keep_minor
        done = book(done, part.quantities, part.amounts, keep_minor=part.keep_minor)
    closing = closing_part(done)
    assert closing is not None
    returned = sum(p.booked_minor for p in done.payments) + closing.amounts.returned_minor
    assert returned == order.payable_minor - sum(part.keep_minor for part in kept)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_the_parts_of_one_plan_are_exact_together_in_whatever_order_they_are_carried_out(data: st.DataObject) -> None:
    order = data.draw(packed_orders())
    parts = partition(order, everything(order))
    assert [part.completes_order for part in parts] == ([True] if len(parts) == 1 else [False] * len(parts))
    for chosen in (parts, reprice(order, data.draw(st.permutations(parts)))):
        assert {k for part in chosen for k in part.quantities} == {line.line_id for line in order.lines}
        given_back = {p.payment_id: 0 for p in order.payments}
        assert sum(part.claw_back.get("E1", 0) for part in chosen) == order.benefits[0].amount
        done = order
        for part in chosen:
            done = book(done, part.quantities, part.amounts)
        closing = closing_part(done)
        assert closing is not None
        for share in (share for part in (*chosen, closing) for share in part.amounts.shares):
            given_back[share.payment_id] += share.amount_minor
        assert given_back == {p.payment_id: p.share_minor for p in order.payments}
    one = data.draw(st.sampled_from(parts))
    alone = reprice(order, [one])[0]
    assert alone.amounts == split_refund(order, one.quantities)


def test_a_discount_over_the_order_is_borne_by_each_line() -> None:
    """满300减40: 120.00 + 100.00 + 80.00 = 300.00, paid 260.00.

    40.00 over (120, 100, 80): 16.00, 13.33, 10.67 (13.333 and 10.666: the last fen goes to the larger remainder).
    The second line back: 100.00 - 13.33 = 86.67; the others 120.00 - 16.00 = 104.00 and 80.00 - 10.67 = 69.33.
    """
    order = an_order(
        lines=(a_line("L1", price=12_000), a_line("L2", price=10_000), a_line("L3", price=8_000)),
        discounts=(a_discount(4_000),),
        payments=(a_payment("P1", 26_000),),
    )
    returned = []
    for line_id in ("L2", "L1", "L3"):
        order, amounts = take(order, {LineId(line_id): 1})
        returned.append(amounts.returned_minor)
    assert returned == [8_667, 10_400, 6_933]
    assert sum(returned) == 26_000


def test_the_shops_own_allocation_wins_over_ours() -> None:
    """Two lines of 100.00, 30.00 off, all of it on the first: 70.00 and 100.00, not 85.00 each."""
    order = an_order(
        lines=(a_line("L1", price=10_000), a_line("L2", price=10_000)),
        discounts=(a_discount(3_000, {"L1": 3_000}),),
        payments=(a_payment("P1", 17_000),),
    )
    assert split_refund(order, {LineId("L1"): 1}).returned_minor == 7_000
    assert split_refund(order, {LineId("L2"): 1}).returned_minor == 10_000


def test_shipping_comes_back_only_with_the_last_unit() -> None:
    """Three units of 10.00 and 8.00 shipping: 10.00, 10.00, then 10.00 + 8.00."""
    order = an_order(lines=(a_line(quantity=3, price=1_000),), shipping_minor=800, payments=(a_payment("P1", 3_800),))
    returned = []
    for _ in range(3):
        order, amounts = take(order, {LineId("L1"): 1})
        returned.append(amounts.returned_minor)
    assert returned == [1_000, 1_000, 1_800]


def test_one_fen_over_three_payments() -> None:
    """0.01 can come from one payment only: (0, 1, 0). Three units of 0.01 from (1, 1, 1): each gives its fen once."""
    order = an_order(lines=(a_line(price=1),), payments=(a_payment("P1", 0), a_payment("P2", 1), a_payment("P3", 0)))
    shares = split_refund(order, {LineId("L1"): 1}).shares
    assert [(share.payment_id, share.amount_minor) for share in shares] == [("P2", 1)]

    order = an_order(lines=(a_line(quantity=3, price=1),), payments=tuple(a_payment(f"P{n}", 1) for n in (1, 2, 3)))
    givers = []
    for _ in range(3):
        order, amounts = take(order, {LineId("L1"): 1})
        givers += [share.payment_id for share in amounts.shares]
    assert givers == ["P1", "P2", "P3"]


def test_a_unit_that_does_not_divide_is_never_lost() -> None:
    """Three units for 0.02 together: 2*1//3 = 0, 2*2//3 = 1, 2*3//3 = 2, so 0.00, 0.01, 0.01."""
    order = an_order(lines=(a_line(quantity=3, price=1),), discounts=(a_discount(1),), payments=(a_payment("P1", 2),))
    returned = []
    for _ in range(3):
        order, amounts = take(order, {LineId("L1"): 1})
        returned.append(amounts.returned_minor)
    assert returned == [0, 1, 1]


def test_a_taking_that_is_given_up_leaves_the_rest_exact() -> None:
    """Three lines of 33.33 paid 50.00 + 49.99. The second is given up and asked for again, last."""
    order = an_order(
        lines=tuple(a_line(f"L{n}", price=3_333) for n in (1, 2, 3)),
        payments=(a_payment("P1", 5_000), a_payment("P2", 4_999)),
    )
    order, _ = take(order, {LineId("L1"): 1})
    order, given_up = take(order, {LineId("L2"): 1})
    order, _ = take(order, {LineId("L3"): 1})
    assert [p.booked_minor for p in order.payments] == [5_000, 4_999]
    order = give_up(order, ({LineId("L2"): 1}, given_up))
    assert sum(p.booked_minor for p in order.payments) == 6_666
    order, again = take(order, {LineId("L2"): 1})
    assert again.returned_minor == 3_333
    assert [p.booked_minor for p in order.payments] == [5_000, 4_999]


def test_money_that_was_returned_elsewhere_is_not_returned_again() -> None:
    """100.00 captured, 30.00 returned by staff in the gateway's own pages: 70.00 is left to give, 30.00 is deducted."""
    order = an_order(lines=(a_line(price=10_000),), payments=(a_payment("P1", 10_000, elsewhere_minor=3_000),))
    amounts = split_refund(order, {LineId("L1"): 1})
    assert (amounts.paid_minor, amounts.deducted_minor, amounts.returned_minor) == (10_000, 3_000, 7_000)
    empty = an_order(lines=(a_line(price=10_000),), payments=(a_payment("P1", 10_000, elsewhere_minor=10_000),))
    assert split_refund(empty, {LineId("L1"): 1}).shares == ()


def test_a_refund_that_the_gateway_already_holds_becomes_this_one() -> None:
    """Two lines, 60.00 and 40.00; after a restore the gateway holds 40.00. Asking for the 40.00 line is that refund."""
    lines = (a_line("L1", price=6_000), a_line("L2", price=4_000))
    order = an_order(lines=lines, payments=(a_payment("P1", 10_000, elsewhere_minor=4_000, adopted=(4_000,)),))
    assert split_refund(order, {LineId("L2"): 1}).returned_minor == 4_000
    assert split_refund(order, {LineId("L1"): 1}).returned_minor == 6_000
    assert split_refund(order, {LineId("L1"): 1, LineId("L2"): 1}).returned_minor == 6_000


def test_shares_never_ask_a_payment_for_what_it_has_already_given() -> None:
    """Each step's shares are the difference of two allocations: P1 and P2 (2:1) give 2, 1 of every 3 fen."""
    order = an_order(lines=(a_line(quantity=6, price=1),), payments=(a_payment("P1", 4), a_payment("P2", 2)))
    booked = [(0, 0)]
    while everything(order):
        order, _ = take(order, {LineId("L1"): 1})
        booked.append(tuple(p.booked_minor for p in order.payments))
    assert booked[-1] == (4, 2)
    assert all(sum(later) == sum(earlier) + 1 for earlier, later in pairwise(booked))
