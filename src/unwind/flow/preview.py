"""The dry run: the same reading, partition, policy and plan as a real request, without writing anything."""

from datetime import timedelta
from typing import Any

from unwind.domain.legs import LegKind
from unwind.domain.order import Order
from unwind.domain.plan import PartPlan, build_legs, free_units
from unwind.domain.promotion import NOTHING, Overlay
from unwind.domain.stage import COMING_BACK, IN_THE_HOUSE, ON_THE_WAY, Stage
from unwind.flow.answer import refund_estimate
from unwind.flow.estimates import GATEWAY
from unwind.flow.screen import Screened, screen
from unwind.policy.engine import Policy
from unwind.policy.facts import WINDOW_MINUTES, Words
from unwind.storage.orders import OrderRow

ASKED_IN_THE_APP = Words(
    reason="CHANGED_MIND", intent="CANCEL", urgency="NORMAL", emotion="NEUTRAL", not_received=False
)


def preview(row: OrderRow, *, policy: Policy, overlay: Overlay = NOTHING) -> dict[str, Any]:
    order = row.order
    wanted = {
        line.line_id: free_units(line)
        for line in order.lines
        if free_units(line) > 0 and line.line_id not in row.open_lines
    }
    screened = (
        screen(row, wanted, policy=policy, words=ASKED_IN_THE_APP, channel="app", overlay=overlay) if wanted else ()
    )
    return {
        "order_id": order.order_id,
        "order_version": order.version,
        "payment_state": order.payment_state.value,
        "is_cancelled": order.is_cancelled,
        "open_cases": sorted(set(row.open_lines.values())),
        "parts": [_part(order, one, overlay) for one in screened],
    }


def _part(order: Order, one: Screened, overlay: Overlay) -> dict[str, Any]:
    part, decision = one.part, one.decision
    methods = {p.payment_id: p.method for p in order.payments}
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
        "refund": refund_estimate(
            [(methods[share.payment_id], share.amount_minor, GATEWAY) for share in part.amounts.shares],
            order.currency,
            arrival=overlay.arrival,
        ),
        "benefits_back": [
            leg.target for leg in legs if leg.kind is LegKind.RESTORE_BENEFIT and leg.target.startswith("benefit:")
        ],
        "can_be_stopped": who_can_stop(order, part, overlay),
    }


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
