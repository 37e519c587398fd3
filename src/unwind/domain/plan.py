"""(order, wish) -> plan parts -> ordered legs. The plan that is shown is the plan that is executed.

A part is what can be taken back together now: the units still in the house, or one parcel.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from unwind.domain.case import PartKind, RefundOn, Way
from unwind.domain.errors import require
from unwind.domain.legs import RECEIVE_BEFORE_REFUND_RANK, SPECS, LegKind
from unwind.domain.order import (
    Benefit,
    Dependence,
    Line,
    LineId,
    Order,
    PaymentState,
    ReturnsAs,
    Shipment,
    VirtualState,
)
from unwind.domain.refund_split import Amounts, completes, line_nets, split_refund
from unwind.domain.stage import COMING_BACK, IN_THE_HOUSE, ON_THE_WAY, Stage
from unwind.domain.stock import Bucket
from unwind.domain.terms import Customs, GroupState, InvoiceState, Settler, SpentPoints

GOES_WITH_PARENT = frozenset(Dependence) - {Dependence.NONE, Dependence.BUNDLE}
RESTOCK_RETURN_RANK = 66
NOTHING_TO_STOP = frozenset({Stage.DELIVERED, Stage.LOST})
"""Money may still go back when a named person says so (I5); there are no goods to stop or put back."""
OUR_OWN_BOOKS = "local"
"""The connection of payments that the built-in shop keeps itself: balance, points, gift cards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPlan:
    kind: PartKind
    stage: Stage
    shipment: Shipment | None
    quantities: Mapping[LineId, int]
    amounts: Amounts
    completes_order: bool
    """With this part nothing of the order is left; what comes back last comes back with it."""
    keep_minor: int = 0
    """Not returned, with consent; in `amounts`."""
    by_merchant: bool = False
    """At the merchant's fault: no threshold is lost."""
    claw_back: Mapping[str, int] = field(default_factory=dict)
    """Of what the order earned, by benefit: what goes with these units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegDraft:
    kind: LegKind
    rank: int
    target: str = ""
    amount_minor: int = 0
    is_local: bool = False
    """Done in our own transaction; nobody outside is asked."""
    evidence: Mapping[str, str | int] = field(default_factory=dict)


def free_units(line: Line) -> int:
    return line.quantity - line.taken_units


def complete_wish(order: Order, wish: Mapping[LineId, int] | None) -> dict[LineId, int]:
    """The units to take back: everything when nothing is named, and what hangs on a parent that goes."""
    if wish is None:
        wanted = {line.line_id: free_units(line) for line in order.lines}
    else:
        known = {line.line_id for line in order.lines}
        for line_id, units in wish.items():
            require(line_id in known, "unknown_line", line=line_id)
            require(units > 0, "quantity_not_positive", line=line_id)
            require(
                units <= free_units(order.line(line_id)),
                "quantity_too_large",
                line=line_id,
                free=free_units(order.line(line_id)),
            )
        wanted = dict(wish)
    for line in order.lines:
        if line.parent_line_id is None or line.dependence not in GOES_WITH_PARENT:
            continue
        parent = order.line(line.parent_line_id)
        if parent.taken_units + wanted.get(parent.line_id, 0) == parent.quantity:
            wanted[line.line_id] = free_units(line)
    return {line_id: units for line_id, units in wanted.items() if units > 0}


Cut = tuple[PartKind, Stage, Shipment | None, dict[LineId, int]]
"""Where, how far, in which parcel, and which units."""


def partition(
    order: Order, wanted: Mapping[LineId, int], *, parcel_first: str = "", by_merchant: bool = False
) -> tuple[PartPlan, ...]:
    """Cuts the wish into parts: units in the house first, then parcels, least advanced first.

    `parcel_first`: what was asked of a parcel before is taken from that one again, though others hold the same line.
    `by_merchant`: at the merchant's fault.

    Amounts are computed one after the other, each on top of the one before, so that together they are exact.
    """
    rest = dict(wanted)
    cuts: list[Cut] = []
    by_stage = sorted(order.shipments, key=lambda s: (list(Stage).index(s.stage), s.shipment_id))
    first = [shipment for shipment in by_stage if shipment.shipment_id == parcel_first]
    for shipment in (*first, None, *(one for one in by_stage if one not in first)):
        inside = {
            line_id: min(units, shipment.quantities.get(line_id, 0) if shipment else _loose_units(order, line_id))
            for line_id, units in rest.items()
        }
        inside = {line_id: units for line_id, units in inside.items() if units > 0}
        if inside:
            kind = PartKind.PARCEL if shipment else PartKind.UNSHIPPED
            cuts.append((kind, shipment.stage if shipment else order.released_stage, shipment, inside))
            _subtract(rest, inside)
    if any(rest.values()):
        lost_track = {line_id: units for line_id, units in rest.items() if units > 0}
        cuts.append((PartKind.UNSHIPPED, Stage.UNKNOWN, None, lost_track))
    return _price(order, cuts, by_merchant=by_merchant)


def _loose_units(order: Order, line_id: LineId) -> int:
    """Units of the line that are in no parcel."""
    line = order.line(line_id)
    in_house_parcels = sum(s.quantities.get(line_id, 0) for s in order.shipments if s.stage in IN_THE_HOUSE)
    in_house = line.buckets.get(Bucket.RESERVED, 0) + line.buckets.get(Bucket.HELD, 0) - in_house_parcels
    in_parcels = sum(s.quantities.get(line_id, 0) for s in order.shipments)
    return max(0, min(in_house, free_units(line) - in_parcels))


def _subtract(rest: dict[LineId, int], taken: Mapping[LineId, int]) -> None:
    for line_id, units in taken.items():
        rest[line_id] -= units


def _price(
    order: Order, cuts: Sequence[Cut], *, by_merchant: bool, kept: Sequence[int] | None = None
) -> tuple[PartPlan, ...]:
    """`kept`: of each part, what is not returned."""
    parts: list[PartPlan] = []
    priced = order
    for i, (kind, stage, shipment, quantities) in enumerate(cuts):
        keep_minor = kept[i] if kept else 0
        is_only = len(cuts) == 1
        amounts = split_refund(priced, quantities, may_complete=is_only, keep_minor=keep_minor, by_merchant=by_merchant)
        parts.append(
            PartPlan(
                kind=kind,
                stage=stage,
                shipment=shipment,
                quantities=quantities,
                amounts=amounts,
                completes_order=is_only and completes(priced, quantities),
                keep_minor=keep_minor,
                by_merchant=by_merchant,
                claw_back=earned_with(priced, quantities),
            )
        )
        if i + 1 < len(cuts):
            priced = book(priced, quantities, amounts, keep_minor=keep_minor)
    return tuple(parts)


def reprice(order: Order, parts: Sequence[PartPlan]) -> tuple[PartPlan, ...]:
    """The same parts, priced as if only they were taken back, in this order: what is decided is what is paid."""
    cuts = [(p.kind, p.stage, p.shipment, dict(p.quantities)) for p in parts]
    by_merchant = any(part.by_merchant for part in parts)
    return _price(order, cuts, by_merchant=by_merchant, kept=[part.keep_minor for part in parts])


def earned_with(order: Order, quantities: Mapping[LineId, int]) -> dict[str, int]:
    """What was earned with these units, on top of those taken before: whatever the order of parts, all of it in the end."""
    before = {line.line_id: line.taken_units for line in order.lines}
    after = {line_id: units + quantities.get(line_id, 0) for line_id, units in before.items()}
    found = {
        benefit.benefit_id: _earned_so_far(order, benefit, after) - _earned_so_far(order, benefit, before)
        for benefit in order.benefits
        if benefit.is_earned
    }
    return {benefit_id: amount for benefit_id, amount in found.items() if amount > 0}


def _earned_so_far(order: Order, benefit: Benefit, taken: Mapping[LineId, int]) -> int:
    """By the units of its line, or by what all units taken cost."""
    if benefit.line_id is not None:
        line = order.line(benefit.line_id)
        return benefit.amount * taken[benefit.line_id] // line.quantity
    if all(taken[line.line_id] == line.quantity for line in order.lines):
        return benefit.amount
    nets = line_nets(order)
    worth = sum(nets[line.line_id] * taken[line.line_id] // line.quantity for line in order.lines)
    return benefit.amount * worth // max(1, sum(nets.values()))


def book(order: Order, quantities: Mapping[LineId, int], amounts: Amounts, *, keep_minor: int = 0) -> Order:
    """The order after these units and this money are spoken for."""
    booked = {share.payment_id: share.amount_minor for share in amounts.shares}
    return replace(
        order,
        lines=tuple(replace(ln, taken_units=ln.taken_units + quantities.get(ln.line_id, 0)) for ln in order.lines),
        payments=tuple(replace(p, booked_minor=p.booked_minor + booked.get(p.payment_id, 0)) for p in order.payments),
        kept_minor=order.kept_minor + keep_minor,
    )


def closing_part(order: Order) -> PartPlan | None:
    """What is still owed when several parts together have taken everything back: shipping, the last coupons, the order itself.

    None while anything is left of the order, another part could still fall through, or one part did it all.
    """
    if order.is_cancelled or not completes(order, {}):
        return None
    return PartPlan(
        kind=PartKind.UNSHIPPED,
        stage=Stage.NONE,
        shipment=None,
        quantities={},
        amounts=split_refund(order, {}),
        completes_order=True,
    )


def build_legs(order: Order, part: PartPlan, *, refund_on: RefundOn, way: Way = Way.STOP) -> tuple[LegDraft, ...]:
    """All legs of one part, in rank order."""
    goods = _stop_goods(order, part, refund_on) if way is Way.STOP else _take_back_later(part)
    legs = [*goods, *_entitlements(order, part), *_money(order, part)]
    legs += _put_back(order, part, is_return=way is not Way.STOP or part.stage in ON_THE_WAY | COMING_BACK)
    return tuple(sorted(legs, key=lambda leg: leg.rank))


def _leg(
    kind: LegKind, target: str = "", amount_minor: int = 0, *, is_local: bool = False, rank: int | None = None
) -> LegDraft:
    return LegDraft(
        kind=kind,
        rank=SPECS[kind].rank if rank is None else rank,
        target=target,
        amount_minor=amount_minor,
        is_local=is_local,
    )


def _stop_goods(order: Order, part: PartPlan, refund_on: RefundOn) -> list[LegDraft]:
    if _is_purely_virtual(order, part) or part.stage in NOTHING_TO_STOP:
        return []
    if part.stage in ON_THE_WAY and part.shipment is not None:
        return recall_legs(part.shipment.shipment_id, refund_on=refund_on)
    if part.stage in COMING_BACK and part.shipment is not None:
        return [_leg(LegKind.RECEIVE_RETURN, part.shipment.shipment_id, rank=RECEIVE_BEFORE_REFUND_RANK)]
    if order.payment_state is PaymentState.UNPAID and part.stage is Stage.NONE:
        return []
    blocked_here = part.stage is Stage.NONE
    legs = [_leg(LegKind.HOLD_SHIPMENT, part.shipment.shipment_id if part.shipment else "", is_local=blocked_here)]
    if part.stage is Stage.LABEL_PRINTED and part.shipment is not None:
        legs.append(_leg(LegKind.VOID_WAYBILL, part.shipment.shipment_id))
    return legs


def _take_back_later(part: PartPlan) -> list[LegDraft]:
    """Refused at the door or sent back: the money waits until the goods are in and inspected."""
    require(part.shipment is not None, "no_parcel_to_recall", stage=part.stage)
    shipment_id = part.shipment.shipment_id if part.shipment else ""
    return [_leg(LegKind.RECEIVE_RETURN, shipment_id, rank=RECEIVE_BEFORE_REFUND_RANK)]


def keep_legs(*, redirect: str | None, compensation_minor: int) -> tuple[LegDraft, ...]:
    """The order is kept: to another address, or with something for the buyer's trouble. `redirect`: a shipment; empty while it is in the house."""
    legs = [] if redirect is None else [_leg(LegKind.REDIRECT_PARCEL, redirect)]
    return (*legs, *compensation_legs(compensation_minor))


def compensation_legs(amount_minor: int) -> tuple[LegDraft, ...]:
    return (_leg(LegKind.COMPENSATE, "", amount_minor),) if amount_minor > 0 else ()


def recall_legs(shipment_id: str, *, refund_on: RefundOn) -> list[LegDraft]:
    """Stop the parcel on its way, and take it back in; the money waits for the one or the other."""
    before_money = refund_on is RefundOn.GOODS_BACK
    receive_rank = RECEIVE_BEFORE_REFUND_RANK if before_money else RESTOCK_RETURN_RANK - 1
    return [_leg(LegKind.RECALL_PARCEL, shipment_id), _leg(LegKind.RECEIVE_RETURN, shipment_id, rank=receive_rank)]


def _is_purely_virtual(order: Order, part: PartPlan) -> bool:
    return all(order.line(line_id).virtual is not VirtualState.NOT_VIRTUAL for line_id in part.quantities)


def _entitlements(order: Order, part: PartPlan) -> list[LegDraft]:
    """What has been given away beside the goods is taken back first: codes, and the declaration to customs."""
    legs = [
        _leg(LegKind.REVOKE_ENTITLEMENT, line_id)
        for line_id in part.quantities
        if order.line(line_id).virtual in {VirtualState.SENT, VirtualState.REVEALED}
    ]
    if order.terms.customs is Customs.DECLARED and part.quantities:
        legs.append(_leg(LegKind.WITHDRAW_DECLARATION, order.order_id))
    return legs


def _money(order: Order, part: PartPlan) -> list[LegDraft]:
    legs: list[LegDraft] = []
    payments = {p.payment_id: p for p in order.payments}
    is_ours = order.terms.settled_by is Settler.US
    if order.merchant.has_settlement and is_ours and part.amounts.returned_minor > 0:
        legs.append(_leg(LegKind.REVERSE_SETTLEMENT, order.order_id, part.amounts.returned_minor))
    for share in part.amounts.shares:
        payment = payments[share.payment_id]
        kind = LegKind.REFUND if payment.returns_as is ReturnsAs.CASH else LegKind.RESTORE_BENEFIT
        is_local = kind is LegKind.RESTORE_BENEFIT and payment.connection == OUR_OWN_BOOKS
        legs.append(_leg(kind, share.payment_id, share.amount_minor, is_local=is_local))
    return legs


def _put_back(order: Order, part: PartPlan, *, is_return: bool) -> list[LegDraft]:
    legs: list[LegDraft] = []
    if not _is_purely_virtual(order, part) and (is_return or part.stage not in NOTHING_TO_STOP):
        legs.append(_leg(LegKind.RELEASE_STOCK, is_local=True, rank=RESTOCK_RETURN_RANK if is_return else None))
    legs += [
        _leg(LegKind.RESTORE_BENEFIT, f"benefit:{benefit.benefit_id}", benefit.amount, is_local=True)
        for benefit in order.benefits
        if not benefit.is_restored and _comes_back(order, part, benefit)
    ]
    legs += [
        _leg(LegKind.CLAW_BACK_BENEFIT, f"benefit:{benefit_id}", amount, is_local=order.merchant.is_local)
        for benefit_id, amount in _clawed_back(order, part).items()
        if amount > 0
    ]
    kind = LegKind.CANCEL_ORDER if part.completes_order else LegKind.AMEND_ORDER
    legs.append(_leg(kind, order.order_id, is_local=order.merchant.is_local))
    if part.completes_order:
        legs += [_leg(LegKind.CLOSE_PAYMENT, attempt.payment_id) for attempt in order.open_attempts]
    return [*legs, *_invoice(order, part)]


def _clawed_back(order: Order, part: PartPlan) -> dict[str, int]:
    """Points that were spent and are paid for with money are not taken a second time, should the account fill meanwhile."""
    is_paid_for = order.merchant.money.spent_points is SpentPoints.DEDUCT and part.keep_minor > 0
    held = {benefit.benefit_id: benefit.balance for benefit in order.benefits if benefit.balance is not None}
    return {
        benefit_id: min(amount, held.get(benefit_id, amount)) if is_paid_for else amount
        for benefit_id, amount in part.claw_back.items()
    }


def _invoice(order: Order, part: PartPlan) -> list[LegDraft]:
    """Not issued: issuing stops with the order. Issued: a red letter over what returns, whole or in part."""
    state = order.terms.invoice
    is_issued = state in {InvoiceState.ISSUED, InvoiceState.BOOKED}
    if (is_issued and part.amounts.returned_minor > 0) or (state is InvoiceState.REQUESTED and part.completes_order):
        amount = part.amounts.returned_minor if is_issued else 0
        return [_leg(LegKind.REVERSE_INVOICE, order.terms.invoice_no or order.order_id, amount)]
    return []


GROUP_PLACE = "group_place"
"""Kind of the benefit that a place in a group purchase is."""


def _comes_back(order: Order, part: PartPlan, benefit: Benefit) -> bool:
    """A coupon returns with the last line that used it; a quota with the units of its line; a place in a group while others may still take it."""
    if benefit.is_earned or (benefit.kind == GROUP_PLACE and order.terms.group is not GroupState.OPEN):
        return False
    if benefit.line_id is None:
        return part.completes_order
    line = order.line(benefit.line_id)
    return line.taken_units + part.quantities.get(benefit.line_id, 0) == line.quantity


def local_prefix(legs: Sequence[LegDraft]) -> int:
    """How many of the legs, in order, can be done with the request itself: before anybody outside is needed, or money is to be booked.

    A share that returns to our own books is set aside first and booked by the loop, like any other refund.
    """
    later = [leg.rank for leg in legs if not leg.is_local or _is_for_the_loop(leg)]
    first_later = min(later, default=None)
    return sum(1 for leg in legs if leg.is_local and (first_later is None or leg.rank < first_later))


def _is_for_the_loop(leg: LegDraft) -> bool:
    """It books money, or takes points from an account that others use at the same moment."""
    books_money = leg.kind is LegKind.RESTORE_BENEFIT and not leg.target.startswith("benefit:")
    return books_money or leg.kind is LegKind.CLAW_BACK_BENEFIT
