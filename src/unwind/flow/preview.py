"""The dry run: the same reading, partition, policy and plan as a real request, without writing anything."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from unwind.domain.case import Verdict
from unwind.domain.legs import LegKind
from unwind.domain.order import LineId, Order
from unwind.domain.plan import PartPlan, build_legs, complete_wish
from unwind.domain.promotion import NOTHING, Overlay
from unwind.domain.refund_split import KEPT
from unwind.domain.stage import COMING_BACK, IN_THE_HOUSE, ON_THE_WAY, Stage
from unwind.flow.answer import refund_estimate
from unwind.flow.estimates import route_of
from unwind.flow.screen import AS_IF_AGREED, Screened, consent_digest, screen
from unwind.policy.engine import Policy
from unwind.policy.facts import WINDOW_MINUTES, Words
from unwind.storage.orders import OrderRow


def preview(
    row: OrderRow,
    *,
    policy: Policy,
    overlay: Overlay = NOTHING,
    wish: Mapping[LineId, int] | None = None,
    reason: str = "CHANGED_MIND",
) -> dict[str, Any]:
    """`wish` None: everything that is free. Raises Refusal for a wish that cannot be."""
    order = row.order
    wanted = {line_id: units for line_id, units in complete_wish(order, wish).items() if line_id not in row.open_lines}
    words = Words(reason=reason, intent="CANCEL", urgency="NORMAL", emotion="NEUTRAL", not_received=False)

    seen = (
        screen(row, wanted, policy=policy, words=words, channel="app", overlay=overlay, consent=AS_IF_AGREED)
        if wanted
        else ()
    )
    digest = consent_digest(order, seen)
    taken = sum(one.taken_minor for one in seen if one.decision.verdict is Verdict.AUTO)
    return {
        "order_id": order.order_id,
        "order_version": order.version,
        "payment_state": order.payment_state.value,
        "is_cancelled": order.is_cancelled,
        "open_cases": sorted(set(row.open_lines.values())),
        "parts": [_part(order, one, overlay) for one in seen],
        "consent": {"digest": digest, "deducted_minor": taken} if digest else None,
    }


def _part(order: Order, one: Screened, overlay: Overlay) -> dict[str, Any]:
    part, decision = one.part, one.decision
    payments = {p.payment_id: p for p in order.payments}
    legs = build_legs(order, part, refund_on=decision.refund_on)
    return {
        "kind": part.kind.value,
        "stage": part.stage.value,
        "shipment_id": part.shipment.shipment_id if part.shipment else None,
        "lines": dict(part.quantities),
        "verdict": decision.verdict.value,
        "rule": decision.rule,
        "explanation": {"zh": decision.explain_zh, "en": decision.explain_en},
        "paid_minor": part.amounts.paid_minor,
        "deducted_minor": part.amounts.deducted_minor,
        "deductions": deductions_of(one),
        "refund": refund_estimate(
            [(route_of(payments[share.payment_id]), share.amount_minor) for share in part.amounts.shares],
            order.currency,
            arrival=overlay.arrival,
        ),
        "benefits_back": [
            leg.target for leg in legs if leg.kind is LegKind.RESTORE_BENEFIT and leg.target.startswith("benefit:")
        ],
        "goes_back": dict(part.claw_back),
        "can_be_stopped": who_can_stop(order, part, overlay),
    }


def deductions_of(one: Screened) -> list[dict[str, Any]]:
    """Every reason by itself: what is kept by its fee, what a threshold costs, what the payment no longer holds."""
    kept = [(cost.fee.value, cost.amount_minor) for cost in one.published.costs] if one.part.keep_minor else []
    others = [(d.reason, d.amount_minor) for d in one.part.amounts.deductions if d.reason != KEPT]
    return [{"reason": reason, "amount_minor": amount} for reason, amount in (*kept, *others)]


def who_can_stop(order: Order, part: PartPlan, overlay: Overlay = NOTHING) -> dict[str, Any]:
    """The point of no return, said before anybody clicks."""
    if part.stage is Stage.NONE:
        return {"by": "shop", "until": order.planned_dispatch_at}
    if part.stage in IN_THE_HOUSE:
        planned = order.planned_dispatch_at
        window = WINDOW_MINUTES if overlay.window_minutes is None else overlay.window_minutes
        return {"by": "warehouse", "until": planned - timedelta(minutes=window) if planned else None}
    if part.stage in ON_THE_WAY:
        return {"by": "carrier", "until": None}
    if part.stage in COMING_BACK:
        return {"by": "nobody_needed", "until": None}
    return {"by": "nobody", "until": None}
