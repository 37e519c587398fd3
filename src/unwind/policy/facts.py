"""What the policy may look at: frozen, complete, strictly typed. Unknown is a value, never a missing key.

A policy engine that meets a missing fact falls through to the next rule without an error; so nothing is ever missing here, and a
rule that reads an unknown fact of money decides nothing (`engine.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from unwind.domain.deadlines import is_open
from unwind.domain.merchant_cancel import is_merchants_fault
from unwind.domain.order import Dependence, Line, Order, PaymentState, Presale, VirtualState
from unwind.domain.plan import PartPlan
from unwind.domain.published import balance_of
from unwind.domain.stage import COMING_BACK, ON_THE_WAY, Stage
from unwind.domain.terms import AfterBalance, Customs

WINDOW_MINUTES = 120
"""Cancellable until this long before planned dispatch."""
RIDER_CARRIERS = frozenset({"rider"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What was read from the buyer's words (or picked by them)."""

    reason: str
    intent: str
    urgency: str
    emotion: str
    not_received: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One plan part. Amounts in minor units, times in minutes; None means unknown."""

    payment_state: PaymentState
    stage: Stage
    stage_group: str
    window: str
    """inside, outside, missed or unknown, from `minutes_to_dispatch`."""
    minutes_to_dispatch: int | None
    merchant_is_open: bool
    amount_minor: int | None
    money_is_consistent: bool
    is_refunded_elsewhere: bool
    perishable: bool
    is_rider: bool
    made_to_order: bool
    production_started: str | None
    virtual: VirtualState
    presale: Presale
    balance: str
    """due or paid, of an order with a deposit; none of any other."""
    deposit_after_balance: AfterBalance
    customs: Customs | None
    by_merchant: bool
    """At the merchant's fault."""
    is_whole: bool
    """Nothing of the order is left."""
    breaks_bundle: bool
    risk: str | None
    channel: str
    reason: str
    intent: str
    urgency: str
    emotion: str
    not_received: bool

    def as_context(self) -> dict[str, object]:
        """For the engine: every key present, unknown spelled out."""
        return {name: "unknown" if (value := getattr(self, name)) is None else value for name in FACT_NAMES}


FACT_NAMES = tuple(field.name for field in fields(Facts))


def gather_facts(
    order: Order,
    part: PartPlan,
    *,
    words: Words,
    channel: str,
    risk: str,
    elsewhere_minor: int,
    now: datetime,
    window_minutes: int = WINDOW_MINUTES,
    dispatch_hours: int | None = None,
) -> Facts:
    """The facts of one part, from one consistent reading of the order. `dispatch_hours`: promised where the shop names no moment."""
    lines = [order.line(line_id) for line_id in part.quantities]
    minutes = _minutes_to_dispatch(order, now, dispatch_hours)
    merchant = order.merchant
    return Facts(
        payment_state=order.payment_state,
        stage=part.stage,
        stage_group=_group(part.stage),
        window=_window(minutes, window_minutes),
        minutes_to_dispatch=minutes,
        merchant_is_open=is_open(now, time_zone=merchant.time_zone, hours=merchant.hours),
        amount_minor=part.amounts.paid_minor,
        money_is_consistent=_money_is_consistent(order),
        is_refunded_elsewhere=elsewhere_minor > 0,
        perishable=any(line.perishable for line in lines),
        is_rider=part.shipment is not None and part.shipment.carrier in RIDER_CARRIERS,
        made_to_order=any(line.made_to_order for line in lines),
        production_started=_production(lines),
        virtual=max((line.virtual for line in lines), key=list(VirtualState).index, default=VirtualState.NOT_VIRTUAL),
        presale=next((line.presale for line in lines if line.presale is not Presale.NONE), Presale.NONE),
        balance=balance_of(order),
        deposit_after_balance=merchant.money.deposit_after_balance,
        customs=None if order.terms.customs is Customs.UNKNOWN else order.terms.customs,
        by_merchant=is_merchants_fault(channel, words.reason),
        is_whole=part.completes_order,
        breaks_bundle=_breaks_bundle(order, part),
        risk=None if risk == "unknown" else risk,
        channel=channel,
        reason=words.reason,
        intent=words.intent,
        urgency=words.urgency,
        emotion=words.emotion,
        not_received=words.not_received,
    )


def _group(stage: Stage) -> str:
    if stage in ON_THE_WAY:
        return "on_the_way"
    if stage in COMING_BACK:
        return "coming_back"
    return stage.value


def _minutes_to_dispatch(order: Order, now: datetime, promised_hours: int | None) -> int | None:
    planned = order.planned_dispatch_at
    if planned is None and promised_hours is not None:
        planned = order.placed_at + timedelta(hours=promised_hours)
    return None if planned is None else int((planned - now).total_seconds() // 60)


def _window(minutes: int | None, window_minutes: int) -> str:
    if minutes is None:
        return "unknown"
    if minutes < 0:
        return "missed"
    return "inside" if minutes >= window_minutes else "outside"


def _money_is_consistent(order: Order) -> bool:
    """Captured shares add up to what was to be paid, no more; discounts never exceed the goods."""
    captured = sum(p.share_minor for p in order.payments if p.state.value == "captured")
    return 0 <= captured <= order.payable_minor or not order.payments


def _production(lines: Sequence[Line]) -> str | None:
    made = [line.production_started for line in lines if line.made_to_order]
    if any(made):
        return "yes"
    return None if any(state is None for state in made) else "no"


def _breaks_bundle(order: Order, part: PartPlan) -> bool:
    """Some members of a bundle go and some stay."""
    for line in order.lines:
        if line.dependence is not Dependence.BUNDLE or line.parent_line_id is None:
            continue
        family = [ln for ln in order.lines if line.parent_line_id in {ln.line_id, ln.parent_line_id}]
        going = [ln.line_id in part.quantities and part.quantities[ln.line_id] == ln.quantity for ln in family]
        if any(ln.line_id in part.quantities for ln in family) and not all(going):
            return True
    return False
