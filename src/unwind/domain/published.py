"""What was published before ordering and may be kept from a refund: proposed, and kept only with the buyer's consent (RULES: money).

Nothing of it is kept where the cancellation is the merchant's fault.
"""

from dataclasses import dataclass

from unwind.domain.decisions import Bearer, Cost, Fee
from unwind.domain.order import AttemptState, Dependence, Order, Presale
from unwind.domain.plan import PartPlan
from unwind.domain.stage import IN_THE_HOUSE
from unwind.domain.terms import Customs, Purpose, SpentPoints


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the terms say about one part. Amounts in minor units of the order's currency."""

    costs: tuple[Cost, ...] = ()
    """Kept from the buyer's refund."""
    compensation_minor: int = 0
    """Owed to the buyer beside it: a deposit (定金) returns double where the merchant fails."""

    @property
    def kept_minor(self) -> int:
        return sum(cost.amount_minor for cost in self.costs)


NOTHING_PUBLISHED = Published()


def published_terms(order: Order, part: PartPlan) -> Published:
    """Of a part as it would be paid if nothing were kept."""
    deposit = deposit_of(order, part)
    if part.by_merchant:
        return Published(compensation_minor=deposit)
    wanted = (
        (Fee.DEPOSIT, deposit),
        (Fee.GIFT, _gifts_kept(order, part)),
        (Fee.TAX, _released_tax(order, part)),
        (Fee.POINTS, _spent_points(order, part)),
    )
    costs, left = [], part.amounts.returned_minor + part.keep_minor
    for fee, amount in wanted:
        kept = min(amount, left)
        if kept > 0:
            costs.append(Cost(fee=fee, amount_minor=kept, bearer=Bearer.BUYER))
            left -= kept
    return Published(costs=tuple(costs))


def deposit_of(order: Order, part: PartPlan) -> int:
    """The deposit (定金) that hangs on these lines while the balance is unpaid, up to its cap; the whole of an order only."""
    lines = [order.line(line_id) for line_id in part.quantities]
    if not part.completes_order or balance_of(order) != "due" or all(ln.presale is not Presale.DEPOSIT for ln in lines):
        return 0
    paid = sum(
        p.share_minor - p.booked_minor
        for p in order.payments
        if p.state is AttemptState.CAPTURED and p.purpose is Purpose.DEPOSIT
    )
    return min(paid, order.payable_minor * order.merchant.money.deposit_cap_percent // 100)


def balance_of(order: Order) -> str:
    """`due` or `paid`, of an order with a deposit; `none` of any other."""
    captured = [p for p in order.payments if p.state is AttemptState.CAPTURED]
    if all(p.purpose is not Purpose.DEPOSIT for p in captured):
        return "none"
    return "paid" if sum(p.share_minor for p in captured) >= order.payable_minor else "due"


def _gifts_kept(order: Order, part: PartPlan) -> int:
    """Gifts that have left, by their published price, of what goes back without them. They may come back instead: a person asks."""
    gifts = [ln for ln in order.lines if ln.dependence is Dependence.GIFT and ln.parent_line_id in part.quantities]
    gone = [shipment for shipment in order.shipments if shipment.stage not in IN_THE_HOUSE]
    return sum(gift.kept_price_minor * shipment.quantities.get(gift.line_id, 0) for gift in gifts for shipment in gone)


def _released_tax(order: Order, part: PartPlan) -> int:
    if order.terms.customs is not Customs.RELEASED or not order.merchant.money.keeps_released_tax:
        return 0
    lines = [(order.line(line_id), units) for line_id, units in part.quantities.items()]
    return sum(
        line.tax_minor * (line.taken_units + units) // line.quantity
        - line.tax_minor * line.taken_units // line.quantity
        for line, units in lines
    )


def _spent_points(order: Order, part: PartPlan) -> int:
    """What the account no longer holds of the points that go back, by their published value."""
    if order.merchant.money.spent_points is not SpentPoints.DEDUCT:
        return 0
    short = sum(
        max(0, part.claw_back[benefit.benefit_id] - benefit.balance)
        for benefit in order.benefits
        if benefit.benefit_id in part.claw_back and benefit.balance is not None
    )
    return short * order.merchant.money.hundred_points_minor // 100
