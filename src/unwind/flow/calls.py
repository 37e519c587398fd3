"""Which outside party a leg speaks to, and what is said. No connector: the leg becomes a task for a person."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from unwind.domain.case import Case, Leg
from unwind.domain.legs import LegKind, LegState
from unwind.domain.order import Order, Payment, Shipment
from unwind.domain.outcome import Outcome, OutcomeKind, TradeState
from unwind.domain.refund_number import request_number
from unwind.domain.stage import Stage
from unwind.domain.terms import Settler
from unwind.flow.services import Services
from unwind.ports.carrier import Carrier, ParcelCall
from unwind.ports.payment import PaymentGateway, RefundCall
from unwind.ports.shop import Shop, ShopCall
from unwind.ports.warehouse import HoldCall, Warehouse

TASK_AUDIENCE = {
    LegKind.HOLD_SHIPMENT: "warehouse",
    LegKind.VOID_WAYBILL: "warehouse",
    LegKind.RECEIVE_RETURN: "warehouse",
    LegKind.RECALL_PARCEL: "carrier",
    LegKind.REDIRECT_PARCEL: "carrier",
    LegKind.REFUND: "finance",
    LegKind.REVERSE_SETTLEMENT: "finance",
    LegKind.COMPENSATE: "finance",
    LegKind.REVERSE_INVOICE: "finance",
    LegKind.WITHDRAW_DECLARATION: "merchant",
    LegKind.CLOSE_PAYMENT: "finance",
    LegKind.RESTORE_BENEFIT: "merchant",
    LegKind.CLAW_BACK_BENEFIT: "merchant",
    LegKind.REVOKE_ENTITLEMENT: "merchant",
    LegKind.AMEND_ORDER: "merchant",
    LegKind.CANCEL_ORDER: "merchant",
    LegKind.RELEASE_STOCK: "merchant",
}
"""Who carries a leg out where there is no connector."""
RIDER = "rider"
"""The carrier of same-city orders that one person brings at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One leg on its way out: everything the other side needs, read before the call and fixed by then."""

    case: Case
    leg: Leg
    order: Order
    number: str
    amount_minor: int
    numbered_at: datetime | None = None
    """Of a refund: when its number was given."""
    may_send: bool = True
    """False: its kind is switched off. What has left may still be asked about."""

    @property
    def payment(self) -> Payment:
        return next(p for p in self.order.payments if p.payment_id == self.leg.target)

    @property
    def has_left(self) -> bool:
        """Whether it may have been said before."""
        return self.leg.state is not LegState.PLANNED or self.leg.attempts > 0

    @property
    def shipment(self) -> Shipment | None:
        return next((s for s in self.order.shipments if s.shipment_id == self.leg.target), None)

    @property
    def quantities(self) -> dict[str, int]:
        part = next(p for p in self.case.parts if p.part_no == self.leg.part_no)
        return {str(line_id): units for line_id, units in part.quantities.items()}


def fixed_number(case: Case, leg: Leg) -> str:
    """The number of any call but a refund: the same for ever for the same leg."""
    return request_number(case.case_id, leg.leg_no, leg.kind.value)


def is_of_store(call: Call) -> bool:
    """Goods that a store has picked are handed back in the store; cash goes back over a counter."""
    match call.leg.kind:
        case LegKind.HOLD_SHIPMENT:
            return bool(call.order.store_id) and call.shipment is None
        case LegKind.REFUND:
            return call.payment.is_cash_tender
        case _:
            return False


def is_of_platform(call: Call) -> bool:
    """The money of a marketplace's order is moved there: approved by a person, and proven by the platform's refund number."""
    return call.leg.kind is LegKind.REFUND and call.order.terms.settled_by is Settler.PLATFORM


def at_hand_of(call: Call) -> str:
    """Who can still stop a parcel that a telephone call reaches faster than a carrier's system: a rider, a pick-up point. Empty: nobody."""
    parcel = call.shipment
    if call.leg.kind is not LegKind.RECALL_PARCEL or parcel is None:
        return ""
    if parcel.stage is Stage.AT_PICKUP_POINT:
        return "hold_at_pickup_point"
    return "call_rider" if parcel.carrier == RIDER else ""


def audience_of(call: Call) -> str:
    """Who carries the leg out where there is no connector."""
    if is_of_platform(call):
        return "platform"
    if is_of_store(call) or at_hand_of(call) == "hold_at_pickup_point":
        return "store"
    is_in_house = call.leg.kind is LegKind.REDIRECT_PARCEL and call.shipment is None
    return "warehouse" if is_in_house else TASK_AUDIENCE[call.leg.kind]


def connection_of(call: Call) -> str:
    """The connection that the leg's order names for it; empty where a person has to do it."""
    match call.leg.kind:
        case LegKind.REFUND | LegKind.CLOSE_PAYMENT:
            return call.payment.connection
        case LegKind.HOLD_SHIPMENT:
            return call.order.merchant.warehouse
        case LegKind.VOID_WAYBILL | LegKind.RECALL_PARCEL:
            return call.shipment.carrier if call.shipment is not None else ""
        case LegKind.CANCEL_ORDER | LegKind.AMEND_ORDER:
            return call.order.merchant.shop
        case _:
            return ""


def party_of(services: Services, call: Call) -> PaymentGateway | Warehouse | Carrier | Shop | None:
    """The connector of the leg; None where a person has to do it. A connection of one merchant serves no other."""
    if is_of_platform(call) or is_of_store(call) or at_hand_of(call):
        return None
    connection = connection_of(call)
    link = services.links.get(connection)
    if link is not None and link.merchant_id not in {None, call.order.merchant.merchant_id}:
        return None
    match call.leg.kind:
        case LegKind.REFUND | LegKind.CLOSE_PAYMENT:
            return services.gateways.get(connection)
        case LegKind.HOLD_SHIPMENT:
            return services.warehouses.get(connection)
        case LegKind.VOID_WAYBILL:
            carrier = services.carriers.get(connection)
            return carrier if carrier is not None and carrier.can_void else None
        case LegKind.RECALL_PARCEL:
            return services.carriers.get(connection)
        case _:
            return services.shops.get(connection)


async def send(party: Any, call: Call) -> Outcome:
    """Says it. The number was stored and committed before."""
    match call.leg.kind:
        case LegKind.REFUND:
            return await _gateway(party).refund(refund_call(call))
        case LegKind.CLOSE_PAYMENT:
            return await _close(_gateway(party), call)
        case LegKind.HOLD_SHIPMENT:
            return await _warehouse(party).hold(_hold(call))
        case LegKind.VOID_WAYBILL:
            return await _carrier(party).void_waybill(_parcel(call))
        case LegKind.RECALL_PARCEL:
            return await _carrier(party).recall(_parcel(call))
        case _:
            return await _shop(party).cancel_lines(_shop_call(call))


async def query(party: Any, call: Call) -> Outcome:
    """Asks what became of it, by our own number."""
    match call.leg.kind:
        case LegKind.REFUND:
            return await _gateway(party).query_refund(refund_call(call))
        case LegKind.CLOSE_PAYMENT:
            return await _close(_gateway(party), call)
        case LegKind.HOLD_SHIPMENT:
            return await _warehouse(party).query_hold(_hold(call))
        case LegKind.VOID_WAYBILL:
            return await _carrier(party).void_waybill(_parcel(call))
        case LegKind.RECALL_PARCEL:
            return await _carrier(party).query_recall(_parcel(call))
        case _:
            return await _shop(party).query_cancel(_shop_call(call))


async def _close(gateway: PaymentGateway, call: Call) -> Outcome:
    """Close, then ask: only the query says whether the buyer was faster. Both may be repeated at will."""
    closed = await gateway.close_trade(call.payment.trade_no)
    if closed.state is TradeState.UNKNOWN:
        return Outcome(kind=OutcomeKind.UNKNOWN, code=closed.code)
    trade = await gateway.query_trade(call.payment.trade_no)
    match trade.state:
        case TradeState.UNPAID if closed.state is TradeState.UNPAID:
            return Outcome(kind=OutcomeKind.SUCCEEDED, code="expires_by_itself")
        case TradeState.CLOSED:
            return Outcome(kind=OutcomeKind.SUCCEEDED, code="closed")
        case TradeState.PAID:
            return Outcome(kind=OutcomeKind.SUCCEEDED, code="paid_meanwhile", amount_minor=trade.paid_minor)
        case TradeState.NOT_FOUND:
            return Outcome(kind=OutcomeKind.SUCCEEDED, code="never_created")
        case TradeState.UNPAID | TradeState.UNKNOWN:
            return Outcome(kind=OutcomeKind.UNKNOWN, code=trade.code or trade.state.value)


def refund_call(call: Call) -> RefundCall:
    return RefundCall(
        trade_no=call.payment.trade_no,
        refund_no=call.number,
        numbered_at=call.numbered_at or call.case.opened_at,
        amount_minor=call.amount_minor,
        captured_minor=call.payment.captured_minor,
        currency=call.order.currency,
        reason_code=call.case.reason,
        may_have_left=call.has_left,
    )


def _hold(call: Call) -> HoldCall:
    return HoldCall(
        request_id=call.number,
        outbound_no=call.leg.target or call.order.order_id,
        order_id=call.order.order_id,
        warehouse_code=call.order.lines[0].location,
        reason_code=call.case.reason,
    )


def _parcel(call: Call) -> ParcelCall:
    shipment = call.shipment
    return ParcelCall(
        request_id=call.number,
        waybill_no=shipment.waybill_no if shipment else "",
        order_id=call.order.order_id,
        reason_code=call.case.reason,
        is_accepted=call.leg.state is LegState.ACCEPTED,
    )


def _shop_call(call: Call) -> ShopCall:
    return ShopCall(
        request_id=call.number, order_id=call.order.order_id, quantities=call.quantities, reason_code=call.case.reason
    )


def _gateway(party: PaymentGateway) -> PaymentGateway:
    return party


def _warehouse(party: Warehouse) -> Warehouse:
    return party


def _carrier(party: Carrier) -> Carrier:
    return party


def _shop(party: Shop) -> Shop:
    return party
