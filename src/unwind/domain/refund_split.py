"""How much of each payment goes back when some units are taken back.

The amount is the difference of two states, never a price times a quantity: what all units taken so far are worth, minus what is already on its way
back. Whatever the order of the parts, taking back everything returns exactly what was captured, payment by payment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unwind.domain.errors import ensure, require
from unwind.domain.money import allocate
from unwind.domain.order import AttemptState, Discount, LineId, Order, Payment, PaymentId
from unwind.domain.terms import OnPartial

PRINCIPAL, BONUS = "balance", "bonus"
"""Methods of the two halves of a stored-value account: what the buyer paid in, and what was given on top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundShare:
    payment_id: PaymentId
    amount_minor: int


DISCOUNT_LOST, POSTAGE_LOST = "discount_lost", "postage_lost"
"""What is left no longer reaches the threshold of a discount, or of free postage."""
KEPT = "kept"
NOT_HERE = "returned_elsewhere"
"""The payment no longer holds it."""
BY_TERMS = frozenset({DISCOUNT_LOST, POSTAGE_LOST})


@dataclass(frozen=True, slots=True, kw_only=True)
class Deduction:
    reason: str
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """The three amounts that are always shown together (RULES: money). `paid - deducted = returned`."""

    paid_minor: int
    deducted_minor: int
    returned_minor: int
    shares: tuple[RefundShare, ...]
    deductions: tuple[Deduction, ...] = ()
    """What `deducted_minor` is made of."""

    @property
    def lost_minor(self) -> int:
        """Deducted by published terms alone: thresholds that what is left no longer reaches."""
        return sum(one.amount_minor for one in self.deductions if one.reason in BY_TERMS)


def line_nets(order: Order, discounts: Sequence[Discount] | None = None) -> dict[LineId, int]:
    """What each line really costs the buyer, without taxes, in minor units. `discounts`: only these; None: all of the order.

    The shop's frozen allocation of a discount wins over ours; what it did not allocate is spread over what is left, by value.
    """
    counted = order.discounts if discounts is None else discounts
    gross = {line.line_id: line.unit_price_minor * line.quantity for line in order.lines}
    nets = dict(gross)
    for discount in counted:
        for line_id, amount in discount.by_line.items():
            nets[line_id] -= amount
    spread = sum(discount.amount_minor for discount in counted if not discount.by_line)
    for line_id, amount in zip(nets, allocate(spread, list(nets.values())), strict=True):
        nets[line_id] -= amount
    ensure(all(net >= 0 for net in nets.values()), "a line is never worth less than nothing")
    return nets


def worth_of(order: Order, taken: Mapping[LineId, int], *, is_complete: bool, by_share: bool = False) -> int:
    """What the buyer gets back for these units in all: by their share of what was paid; or, where a threshold was published to be
    looked at again, what was paid less the price of what is left. May be below nothing then.

    Shipping comes back only with the last unit of the order. `by_share`: whatever was published.
    """
    rest_price = None if by_share else _price_of_rest(order, taken)
    if rest_price is None:
        nets = line_nets(order)
        worth = sum(nets[line.line_id] * taken.get(line.line_id, 0) // line.quantity for line in order.lines)
    else:
        worth = sum(line_nets(order).values()) - rest_price
    return worth + _taxes(order, taken) + (order.shipping_minor if is_complete else 0)


def _taxes(order: Order, taken: Mapping[LineId, int]) -> int:
    return sum(line.tax_minor * taken.get(line.line_id, 0) // line.quantity for line in order.lines)


def _is_repriced(order: Order, discount: Discount) -> bool:
    on_partial = discount.on_partial or order.merchant.money.on_partial
    return discount.threshold_minor > 0 and on_partial is OnPartial.REPRICE


def _price_of_rest(order: Order, taken: Mapping[LineId, int]) -> int | None:
    """What the units that stay cost by themselves. None: nothing was published that would price them anew."""
    repriced = [discount for discount in order.discounts if _is_repriced(order, discount)]
    if not repriced and order.terms.free_postage_from_minor == 0:
        return None
    rest = {line.line_id: line.quantity - taken.get(line.line_id, 0) for line in order.lines}
    if not any(rest.values()):
        return 0
    nets = line_nets(order, [discount for discount in order.discounts if discount not in repriced])
    price = sum(
        nets[line.line_id] - nets[line.line_id] * taken.get(line.line_id, 0) // line.quantity for line in order.lines
    )
    for discount in repriced:
        if _goods_left(order, rest, discount.by_line) >= discount.threshold_minor:
            price -= discount.amount_minor
    return max(0, price) + _postage_of_rest(order, taken)


def _postage_of_rest(order: Order, taken: Mapping[LineId, int]) -> int:
    """Postage that was free for as much as was ordered, and is not for what is left of it."""
    rest = {line.line_id: line.quantity - taken.get(line.line_id, 0) for line in order.lines}
    is_short = any(rest.values()) and _goods_left(order, rest, {}) < order.terms.free_postage_from_minor
    return order.terms.postage_minor if is_short else 0


def _goods_left(order: Order, rest: Mapping[LineId, int], scope: Mapping[LineId, int]) -> int:
    """By list price. `scope`: the lines that a discount was given on; none named: all."""
    return sum(line.unit_price_minor * rest[line.line_id] for line in order.lines if not scope or line.line_id in scope)


def completes(order: Order, taking: Mapping[LineId, int]) -> bool:
    """Whether nothing of the order is left once these units are taken, and no other part could still fall through."""
    return all(
        line.taken_units + taking.get(line.line_id, 0) == line.quantity
        and (line.line_id in taking or not line.is_provisional)
        for line in order.lines
    )


def split_refund(
    order: Order,
    taking: Mapping[LineId, int],
    *,
    may_complete: bool = True,
    keep_minor: int = 0,
    by_merchant: bool = False,
) -> Amounts:
    """The refund for `taking` on top of everything taken so far, cut over the captured payments of the order.

    Each payment gets its largest-remainder share of the whole so far, less what it has already given; a share never goes below zero or
    above what that payment still holds. `may_complete` is False for parts planned side by side: what comes back with the last
    unit (shipping) then waits until all of them have ended (`plan.closing_part`). `keep_minor` of it is not returned; refused with
    `deduction_too_large` where the refund is smaller than that. `by_merchant`: at the merchant's fault, so no threshold is lost.
    """
    before = {line.line_id: line.taken_units for line in order.lines}
    taken = {line_id: units + taking.get(line_id, 0) for line_id, units in before.items()}
    ensure(all(taken[line.line_id] <= line.quantity for line in order.lines), "more units taken back than ordered")
    captured = [p for p in order.payments if p.state is AttemptState.CAPTURED]
    paid_in = sum(p.share_minor for p in captured)
    is_complete = may_complete and completes(order, taking)
    worth = worth_of(order, taken, is_complete=is_complete, by_share=by_merchant)
    worth_after = min(worth, paid_in) - order.kept_minor
    booked = sum(p.booked_minor for p in captured)
    paid = max(0, worth_after - booked)
    lost = (
        ()
        if by_merchant
        else _lost(order, before, taken, is_complete=is_complete, room_minor=paid_in - booked - paid, paid=paid)
    )
    require(keep_minor <= paid, "deduction_too_large", paid_minor=paid)
    now = paid - keep_minor
    worth_after -= keep_minor
    goals = principal_first(captured, allocate(max(0, worth_after), [p.share_minor for p in captured]))
    cuts = [max(0, goal - p.booked_minor) for goal, p in zip(goals, captured, strict=True)]
    excess = sum(cuts) - now
    for i in sorted(range(len(cuts)), key=lambda i: (-cuts[i], i)):
        less = min(excess, cuts[i])
        cuts[i] -= less
        excess -= less
    ensure(sum(cuts) == now, "the parts of a refund add up to the refund")
    possible = [min(cut, _held_minor(p, cut)) for cut, p in zip(cuts, captured, strict=True)]
    shares = tuple(
        RefundShare(payment_id=p.payment_id, amount_minor=cut)
        for p, cut in zip(captured, possible, strict=True)
        if cut > 0
    )
    return _amounts(paid, sum(possible), lost, keep_minor=keep_minor, shares=shares)


def _amounts(
    paid: int, returned: int, lost: Sequence[Deduction], *, keep_minor: int, shares: tuple[RefundShare, ...]
) -> Amounts:
    """`paid`: without what terms have taken off already."""
    further = (
        Deduction(reason=KEPT, amount_minor=keep_minor),
        Deduction(reason=NOT_HERE, amount_minor=paid - keep_minor - returned),
    )
    deductions = tuple(one for one in (*lost, *further) if one.amount_minor > 0)
    deducted = sum(one.amount_minor for one in deductions)
    return Amounts(
        paid_minor=returned + deducted,
        deducted_minor=deducted,
        returned_minor=returned,
        shares=shares,
        deductions=deductions,
    )


def _lost(
    order: Order,
    before: Mapping[LineId, int],
    taken: Mapping[LineId, int],
    *,
    is_complete: bool,
    room_minor: int,
    paid: int,
) -> tuple[Deduction, ...]:
    """What the share of these units in what was paid is more than what returns for them, by why. `room_minor`: there is no more to lose."""
    if _price_of_rest(order, taken) is None:
        return ()
    share = worth_of(order, taken, is_complete=is_complete, by_share=True)
    share -= worth_of(order, before, is_complete=False, by_share=True)
    lost = min(room_minor, share - paid)
    postage = min(lost, max(0, _postage_of_rest(order, taken) - _postage_of_rest(order, before)))
    return (
        Deduction(reason=DISCOUNT_LOST, amount_minor=lost - postage),
        Deduction(reason=POSTAGE_LOST, amount_minor=postage),
    )


def principal_first(captured: Sequence[Payment], goals: Sequence[int]) -> list[int]:
    """What returns to an account of stored value returns as paid-in principal first, as bonus only beyond that (RULES: money)."""
    cut = list(goals)
    principal = [i for i, p in enumerate(captured) if p.method == PRINCIPAL]
    bonus = [i for i, p in enumerate(captured) if p.method == BONUS]
    rest = sum(cut[i] for i in (*principal, *bonus))
    for i in (*principal, *bonus):
        cut[i] = min(rest, captured[i].share_minor) if principal and bonus else cut[i]
        rest -= cut[i]
    return cut


def _held_minor(payment: Payment, cut: int) -> int:
    """What this payment can still give for this order; money returned elsewhere is gone.

    Unless what is asked for is exactly what the gateway already returned: then that refund becomes this one.
    """
    elsewhere = payment.elsewhere_minor - (cut if cut in payment.adopted else 0)
    return max(0, min(payment.share_minor, payment.captured_minor - elsewhere) - payment.booked_minor)
