"""Orders, parts and cases for tests of the core: complete, plain, and changed only where a test says so."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from unwind.domain.case import Case, Kind, Leg, Part, PartKind, PartState, RefundOn
from unwind.domain.legs import SPECS, LegKind, LegState
from unwind.domain.order import (
    AttemptState,
    Benefit,
    CaseId,
    Dependence,
    Discount,
    Funder,
    Line,
    LineId,
    Merchant,
    MerchantId,
    Order,
    OrderId,
    Payment,
    PaymentId,
    Presale,
    Promise,
    ReturnsAs,
    Shipment,
    VirtualState,
)
from unwind.domain.stage import Stage
from unwind.domain.stock import Bucket
from unwind.domain.transitions import State

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
"""Monday noon in Shanghai."""


def a_line(line_id: str = "L1", *, quantity: int = 1, price: int = 1000, **given: Any) -> Line:
    return Line(
        **{
            "line_id": LineId(line_id),
            "sku": f"SKU-{line_id}",
            "location": "main",
            "pool": "normal",
            "title": "双肩背包",
            "quantity": quantity,
            "unit_price_minor": price,
            "perishable": False,
            "made_to_order": False,
            "production_started": None,
            "presale": Presale.NONE,
            "virtual": VirtualState.NOT_VIRTUAL,
            "parent_line_id": None,
            "dependence": Dependence.NONE,
            "taken_units": 0,
            "buckets": {Bucket.RESERVED: quantity},
            **given,
        }
    )


def a_discount(amount: int, by_line: Mapping[str, int] | None = None, *, discount_id: str = "D1") -> Discount:
    return Discount(
        discount_id=discount_id,
        amount_minor=amount,
        funder=Funder.MERCHANT,
        returns_as=ReturnsAs.VOID,
        by_line={LineId(line_id): part for line_id, part in (by_line or {}).items()},
    )


def a_payment(name: str, share: int, **given: Any) -> Payment:
    return Payment(
        **{
            "payment_id": PaymentId(name),
            "connection": "wxpay",
            "trade_no": f"T-{name}",
            "method": "wechat",
            "state": AttemptState.CAPTURED,
            "funder": Funder.BUYER,
            "returns_as": ReturnsAs.CASH,
            "share_minor": share,
            "captured_minor": share,
            "booked_minor": 0,
            "elsewhere_minor": 0,
            **given,
        }
    )


def a_shipment(
    name: str, quantities: Mapping[str, int], *, stage: Stage = Stage.IN_TRANSIT, picked_up: bool = True
) -> Shipment:
    return Shipment(
        shipment_id=name,
        carrier="sf",
        waybill_no=f"W-{name}",
        reported=stage,
        is_picked_up=picked_up,
        quantities={LineId(line_id): units for line_id, units in quantities.items()},
    )


def a_benefit(name: str, *, line_id: str | None = None, amount: int = 1, restored: bool = False) -> Benefit:
    return Benefit(
        benefit_id=name,
        kind="coupon",
        account=f"coupon:{name}",
        amount=amount,
        is_restored=restored,
        line_id=None if line_id is None else LineId(line_id),
    )


def a_merchant(**given: Any) -> Merchant:
    return Merchant(
        **{
            "merchant_id": MerchantId("shop"),
            "is_local": True,
            "has_settlement": False,
            "warehouse": "wms",
            "shop": "local",
            "time_zone": "Asia/Shanghai",
            "hours": (),
            "automation": "auto",
            "is_halted": False,
            "hold_timeout_s": 120,
            **given,
        }
    )


def an_order(**given: Any) -> Order:
    """One line, nothing paid, nothing released."""
    return Order(
        **{
            "order_id": OrderId("O1"),
            "merchant": a_merchant(),
            "buyer_ref": "buyer-1",
            "currency": "CNY",
            "placed_at": NOW,
            "pay_by": None,
            "planned_dispatch_at": None,
            "released_stage": Stage.NONE,
            "promise": Promise.NONE,
            "shipping_minor": 0,
            "revision": 1,
            "version": 1,
            "is_cancelled": False,
            "lines": (a_line(),),
            "discounts": (),
            "payments": (),
            "shipments": (),
            "benefits": (),
            **given,
        }
    )


def a_leg(kind: LegKind, state: LegState = LegState.PLANNED, *, leg_no: int = 1, **given: Any) -> Leg:
    return Leg(
        **{
            "leg_no": leg_no,
            "part_no": 1,
            "kind": kind,
            "rank": SPECS[kind].rank,
            "is_local": False,
            "state": state,
            "target": "P1" if kind is LegKind.REFUND else "",
            "number": "",
            "amount_minor": 0,
            "attempts": 0,
            "next_try_at": None,
            "due_at": None,
            "code": "",
            "evidence": {},
            **given,
        }
    )


def a_part(*legs: Leg, state: PartState = PartState.EXECUTING, part_no: int = 1, **given: Any) -> Part:
    return Part(
        **{
            "part_no": part_no,
            "kind": PartKind.UNSHIPPED,
            "shipment_id": "",
            "state": state,
            "quantities": {LineId("L1"): 1},
            "rule": "by_stage",
            "refund_on": RefundOn.RECALL_CONFIRMED,
            "is_decided": False,
            "legs": legs,
            **given,
        }
    )


def a_case(*parts: Part, state: State = State.EXECUTING, **given: Any) -> Case:
    return Case(
        **{
            "case_id": CaseId("C1"),
            "kind": Kind.CANCELLATION,
            "order_id": OrderId("O1"),
            "merchant_id": "shop",
            "channel": "app",
            "state": state,
            "version": 1,
            "event_seq": 2,
            "head": bytes(32),
            "reason": "OTHER",
            "rule": "by_stage",
            "outcome": None,
            "opened_at": NOW,
            "respond_warn_at": None,
            "respond_due_at": None,
            "answered_at": None,
            "is_warned": False,
            "is_overdue": False,
            "parts": parts,
            "unsent_messages": 0,
            "is_halted": False,
            "next_message_at": None,
            "told": frozenset(),
            **given,
        }
    )
