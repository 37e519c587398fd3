"""How much of each payment goes back when some units are taken back.

The amount is the difference of two states, never a price times a quantity: what all units taken so far are worth, minus what is already on its way
back. Whatever the order of the parts, taking back everything returns exactly what was captured, payment by payment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unwind.domain.errors import ensure, require
from unwind.domain.money import allocate
from unwind.domain.order import AttemptState, LineId, Order, Payment, PaymentId

PRINCIPAL, BONUS = "balance", "bonus"
"""Methods of the two halves of a stored-value account: what the buyer paid in, and what was given on top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundShare:
    payment_id: PaymentId
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """The three amounts that are always shown together (RULES: money). `paid - deducted = returned`."""

    paid_minor: int
    deducted_minor: int
    returned_minor: int
    shares: tuple[RefundShare, ...]


def line_nets(order: Order) -> dict[LineId, int]:
    """What each line really costs the buyer, in minor units.

    The shop's frozen allocation of a discount wins over ours; what it did not allocate is spread over what is left, by value.
    """
    gross = {line.line_id: line.unit_price_minor * line.quantity for line in order.lines}
    nets = dict(gross)
    for discount in order.discounts:
        for line_id, amount in discount.by_line.items():
            nets[line_id] -= amount
    spread = sum(discount.amount_minor for discount in order.discounts if not discount.by_line)
    for line_id, amount in zip(nets, allocate(spread, list(nets.values())), strict=True):
        nets[line_id] -= amount
    ensure(all(net >= 0 for net in nets.values()), "a line is never worth less than nothing")
    return nets


def worth_of(order: Order, taken: Mapping[LineId, int], *, is_complete: bool) -> int:
    """What the buyer paid for these units. Shipping comes back only with the last unit of the order."""
    nets = line_nets(order)
    worth = sum(nets[line.line_id] * taken.get(line.line_id, 0) // line.quantity for line in order.lines)
    return worth + (order.shipping_minor if is_complete else 0)


def completes(order: Order, taking: Mapping[LineId, int]) -> bool:
    """Whether nothing of the order is left once these units are taken, and no other part could still fall through."""
    return all(
        line.taken_units + taking.get(line.line_id, 0) == line.quantity
        and (line.line_id in taking or not line.is_provisional)
        for line in order.lines
    )


def split_refund(
    order: Order, taking: Mapping[LineId, int], *, may_complete: bool = True, keep_minor: int = 0
) -> Amounts:
    """The refund for `taking` on top of everything taken so far, cut over the captured payments of the order.

    Each payment gets its largest-remainder share of the whole so far, less what it has already given; a share never goes below zero or
    above what that payment still holds. `may_complete` is False for parts planned side by side: what comes back with the last
    unit (shipping) then waits until all of them have ended (`plan.closing_part`). `keep_minor` of it is not returned; refused with
    `deduction_too_large` where the refund is smaller than that.
    """
    taken = {line.line_id: line.taken_units + taking.get(line.line_id, 0) for line in order.lines}
    ensure(all(taken[line.line_id] <= line.quantity for line in order.lines), "more units taken back than ordered")
    captured = [p for p in order.payments if p.state is AttemptState.CAPTURED]
    paid_in = sum(p.share_minor for p in captured)
    is_complete = may_complete and completes(order, taking)
    worth_after = min(worth_of(order, taken, is_complete=is_complete), paid_in) - order.kept_minor
    booked = sum(p.booked_minor for p in captured)
    paid = max(0, worth_after - booked)
    require(keep_minor <= paid, "deduction_too_large", paid_minor=paid)
    now = paid - keep_minor
    if now == 0:
        return Amounts(paid_minor=paid, deducted_minor=paid, returned_minor=0, shares=())
    worth_after -= keep_minor
    goals = principal_first(captured, allocate(worth_after, [p.share_minor for p in captured]))
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
    returned = sum(possible)
    return Amounts(paid_minor=paid, deducted_minor=paid - returned, returned_minor=returned, shares=shares)


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
