"""The shop's facts come in: whole orders by revision, or single events. They never undo what we did.

A payment that arrives for a cancelled order is returned by itself. Goods that move although a hold was acknowledged go to a person before
any refund leaves, and open an incident after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unwind.domain.access import SYSTEM, Principal, Scope, authorise
from unwind.domain.carrier_claims import ClaimReason
from unwind.domain.case import PartState
from unwind.domain.errors import Refusal, require
from unwind.domain.legs import LegKind, LegState
from unwind.domain.order import Order
from unwind.domain.stage import COMING_BACK, ON_THE_WAY, Stage, effective_stage
from unwind.domain.stock import Bucket
from unwind.domain.terms import Purpose, order_terms
from unwind.domain.transitions import Event
from unwind.flow import aftermath, goods
from unwind.flow.chronicle import record
from unwind.flow.execute import lock_both
from unwind.flow.note_costs import note_goods_lost
from unwind.flow.services import Services
from unwind.flow.strike import reset_clocks
from unwind.storage import benefits, cases, clocks, erasures, locks, merchants, orders, privacy, shipments, stock
from unwind.storage.database import Connection

HAS_MOVED = ON_THE_WAY | COMING_BACK | {Stage.DELIVERED, Stage.LOST}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    order_id: str
    revision: int
    is_new: bool
    is_applied: bool
    """False: an older or equal revision, ignored."""


async def put_order(services: Services, principal: Principal, document: Mapping[str, Any]) -> Stored:
    """`document`: a validated order document (`web/order_schema.py`), with `order_id`."""
    check_document(document)
    order_id = document["order_id"]
    async with services.database.transaction() as conn:
        merchant = await merchants.read_merchant(conn, document["merchant_id"])
        if merchant is None:
            raise Refusal("unknown_merchant")
        authorise(principal, Scope.ORDERS_WRITE, merchant_id=document["merchant_id"])
        await locks.lock_order(conn, order_id)
        row = await orders.read_order(conn, order_id)
        if row is None:
            await _insert(conn, services, document, is_local=merchant["authority"] == "local")
            return Stored(order_id=order_id, revision=document["revision"], is_new=True, is_applied=True)
        require(row.order.merchant.merchant_id == document["merchant_id"], "not_found")
        if document["revision"] <= row.order.revision:
            return Stored(order_id=order_id, revision=row.order.revision, is_new=False, is_applied=False)
        _require_same_shape(row.order, document)
        await _apply(conn, services, row, document)
        return Stored(order_id=order_id, revision=document["revision"], is_new=False, is_applied=True)


def check_document(document: Mapping[str, Any]) -> None:
    """What no schema can say: parts of an order fit together."""
    lines = {line["line_id"]: line for line in document["lines"]}
    require(len(lines) == len(document["lines"]), "duplicate_line")
    for line in lines.values():
        parent = line["parent_line_id"]
        require(parent is None or (parent in lines and parent != line["line_id"]), "unknown_line", line=line["line_id"])
    goods_minor = sum(line["quantity"] * line["unit_price_minor"] for line in lines.values())
    discount_minor = sum(d["amount_minor"] for d in document["discounts"])
    require(discount_minor <= goods_minor, "discount_above_goods")
    for discount in document["discounts"]:
        by_line = discount["by_line"]
        require(set(by_line) <= set(lines), "unknown_line")
        require(not by_line or sum(by_line.values()) == discount["amount_minor"], "discount_not_allocated")
    for line_id, line in lines.items():
        given = sum(d["by_line"].get(line_id, 0) for d in document["discounts"])
        require(given <= line["quantity"] * line["unit_price_minor"], "discount_above_goods", line=line_id)
    require({benefit["line_id"] for benefit in document["benefits"]} - {None} <= set(lines), "unknown_line")
    for payment in document["payments"]:
        captured = payment["captured_minor"]
        require(payment["state"] != "captured" or captured >= payment["share_minor"], "capture_below_share")
    for shipment in document["shipments"]:
        for line_id, units in shipment["quantities"].items():
            require(line_id in lines and units <= lines[line_id]["quantity"], "unknown_line", line=line_id)


def _require_same_shape(order: Order, document: Mapping[str, Any]) -> None:
    """Quantities, prices, taxes and currency of a known line are what was bought; a change is a new order or a cancellation."""
    require(document["currency"] == order.currency, "currency_changed")
    known = {line.line_id: (line.quantity, line.unit_price_minor, line.tax_minor) for line in order.lines}
    sent = {
        line["line_id"]: (line["quantity"], line["unit_price_minor"], line.get("tax_minor", 0))
        for line in document["lines"]
    }
    require(known == sent, "lines_changed")


def is_paid(document: Mapping[str, Any]) -> bool:
    """Captured or promised: the time limit of payment does not apply. A deposit alone leaves its balance to be paid by then."""
    captured = [p.get("purpose", Purpose.FULL) for p in document["payments"] if p["state"] == "captured"]
    return document["promise"] != "none" or any(purpose != Purpose.DEPOSIT for purpose in captured)


async def _insert(conn: Connection, services: Services, document: Mapping[str, Any], *, is_local: bool) -> None:
    order_id = document["order_id"]
    await orders.insert_orders(conn, [{**document, "is_paid": is_paid(document)}])
    now = await orders.now(conn)
    await stock.book_orders(conn, [order_id], now, from_pools=is_local)
    if is_local:
        short = await stock.take_out(conn, [order_id])
        require(not short, "stock_short", sku=short[0] if short else "")
        await benefits.credit_earned(conn, [order_id])
    for shipment in document["shipments"]:
        await orders.upsert_shipment(conn, order_id, shipment)
    if document["buyer"]:
        await privacy.keep_private(
            conn, services.vault, order_id, document["buyer"], wrapped_key=None, merchant_id=document["merchant_id"]
        )
    row = await orders.read_order(conn, order_id)
    if row is not None:
        await _follow_goods(conn, services, row)


async def _apply(conn: Connection, services: Services, row: orders.OrderRow, document: Mapping[str, Any]) -> None:
    order_id = document["order_id"]
    await orders.update_shop_facts(conn, {**document, "is_paid": is_paid(document)})
    is_captured = False
    for payment in document["payments"]:
        is_captured |= await orders.upsert_payment(conn, order_id, row.order.currency, payment)
    for shipment in document["shipments"]:
        await orders.upsert_shipment(conn, order_id, shipment)
    if document["buyer"] and await erasures.read_erasure(conn, order_id) is None:
        await privacy.keep_private(
            conn,
            services.vault,
            order_id,
            document["buyer"],
            wrapped_key=row.wrapped_key,
            merchant_id=document["merchant_id"],
        )
    await _after_change(conn, services, order_id, is_captured=is_captured)
    deadline = order_terms(document.get("terms", {})).platform_deadline_at
    for case_id in await clocks.set_latest(conn, order_id, deadline):
        await reset_clocks(conn, services, case_id)


async def apply_event(services: Services, principal: Principal, order_id: str, event: Mapping[str, Any]) -> bool:
    """One thing that happened: `payment_captured`, `stage_changed`, `parcel_moved`. False when it was known already."""
    async with services.database.transaction() as conn:
        await locks.lock_order(conn, order_id)
        row = await orders.read_order(conn, order_id)
        if row is None:
            raise Refusal("not_found")
        authorise(principal, Scope.ORDERS_WRITE, merchant_id=row.order.merchant.merchant_id, order_id=order_id)
        if not await orders.add_order_event(conn, order_id, event):
            return False
        data = event["data"]
        is_captured = False
        match event["kind"]:
            case "payment_captured":
                is_captured = await orders.upsert_payment(
                    conn, order_id, row.order.currency, {**data, "state": "captured"}
                )
                if data.get("purpose") != Purpose.DEPOSIT:
                    await orders.mark_paid(conn, order_id)
            case "stage_changed":
                await orders.set_released_stage(conn, order_id, data["stage"])
            case "parcel_moved":
                await orders.upsert_shipment(conn, order_id, data)
            case kind:
                raise Refusal("unknown_event", kind=str(kind))
        await _after_change(conn, services, order_id, is_captured=is_captured)
        return True


async def _after_change(conn: Connection, services: Services, order_id: str, *, is_captured: bool) -> None:
    """What a new fact means for our cases. The order row is locked."""
    row = await orders.read_order(conn, order_id)
    if row is None:
        return
    if is_captured and row.order.is_cancelled:
        parent = await cases.latest_closed_case(conn, order_id)
        await aftermath.open_late_payment(conn, services, order_id, parent_case_id=parent)
    await _follow_goods(conn, services, row)
    for case_id in await cases.open_cases_of(conn, order_id):
        await locks.lock_case(conn, case_id)
        await record(
            conn, case_id, Event.ORDER_CHANGED, at=row.now, data={"order_version": row.order.version}, is_due_now=True
        )


async def _follow_goods(conn: Connection, services: Services, row: orders.OrderRow) -> None:
    """Moves units with their parcels, and notices those that move although they were stopped or paid back."""
    order = row.order
    for shipment in order.shipments:
        stage = effective_stage(reported=shipment.reported, is_picked_up=shipment.is_picked_up)
        if stage not in HAS_MOVED:
            continue
        fresh = await orders.read_order(conn, order.order_id)
        if fresh is None:
            return
        await _notice_escape(conn, services, fresh.order, shipment.shipment_id, stage)
        await goods.ship(conn, fresh.order, shipment.shipment_id, row.now)
        if stage in {Stage.DELIVERED, Stage.LOST}:
            fresh = await orders.read_order(conn, order.order_id) or fresh
            target = Bucket.DELIVERED if stage is Stage.DELIVERED else Bucket.LOST
            if target is Bucket.LOST:
                await _claim_lost(conn, order.order_id, shipment.shipment_id)
            await goods.arrive(conn, fresh.order, shipment.shipment_id, target=target, now=row.now)


async def _claim_lost(conn: Connection, order_id: str, shipment_id: str) -> None:
    """What was on its way back to us, and never comes, is the carrier's to pay."""
    own = (await shipments.units_of(conn, order_id)).get(shipment_id, {})
    for case_id in await cases.open_cases_of(conn, order_id):
        locked = await lock_both(conn, case_id, token=None)
        for part in locked.case.parts:
            if part.state is PartState.EXECUTING and part.shipment_id == shipment_id:
                units = {line: min(n, own[line].on_road) for line, n in part.quantities.items() if line in own}
                await note_goods_lost(
                    conn, locked, part, units, reference=shipment_id, by=SYSTEM.actor, reason=ClaimReason.LOST
                )


async def _notice_escape(conn: Connection, services: Services, order: Order, shipment_id: str, stage: Stage) -> None:
    """Units we hold, or have paid back, were seen on the road."""
    parcels = await shipments.units_of(conn, order.order_id)
    for case_id in await cases.open_cases_of(conn, order.order_id):
        case = await cases.read_case(conn, case_id)
        for part in case.parts if case else ():
            touched = goods.takes_from(order, parcels, shipment_id, part)
            stopped = [g for g in part.legs if g.kind is LegKind.HOLD_SHIPMENT and g.state is LegState.SUCCEEDED]
            money_out = any(
                g.kind is LegKind.REFUND and g.state not in {LegState.PLANNED, LegState.RELEASED} for g in part.legs
            )
            if part.state is PartState.EXECUTING and touched and stopped and not money_out:
                await locks.lock_case(conn, case_id)
                await cases.set_leg(
                    conn, case_id, stopped[0].leg_no, state=LegState.BLOCKED, code="refused:shipped_after_hold"
                )
            elif part.state is PartState.EXECUTING and touched and stopped:
                await _incident(conn, services, order, stage, case_id)
    shelved = await stock.never_left(conn, order.order_id) if _has_restocked(order) else {}
    out = {
        line_id: units.quantity
        + sum(lines[line_id].left for lines in parcels.values() if line_id in lines)
        - units.left
        for line_id, units in parcels.get(shipment_id, {}).items()
    }
    if any(units + shelved.get(line_id, 0) > order.line(line_id).quantity for line_id, units in out.items()):
        await _incident(conn, services, order, stage, await cases.latest_closed_case(conn, order.order_id))


def _has_restocked(order: Order) -> bool:
    return any(line.buckets.get(Bucket.RESTOCKED, 0) > 0 for line in order.lines)


async def _incident(
    conn: Connection, services: Services, order: Order, stage: Stage, parent_case_id: str | None
) -> None:
    rule = "delivered_after_refund" if stage is Stage.DELIVERED else "shipped_after_refund"
    await aftermath.open_incident(
        conn, services, order.order_id, rule=rule, detail=stage.value, parent_case_id=parent_case_id
    )


async def put_merchant(services: Services, merchant: Mapping[str, Any]) -> None:
    async with services.database.transaction() as conn:
        await merchants.upsert_merchant(conn, merchant)


async def put_accounts(services: Services, rows: Sequence[Mapping[str, Any]]) -> None:
    """Sets what accounts of the built-in shop hold."""
    async with services.database.transaction() as conn:
        await benefits.set_accounts(conn, rows)


async def put_stock(services: Services, rows: Sequence[Mapping[str, Any]]) -> None:
    """Sets the free units of pools of the built-in shop."""
    async with services.database.transaction() as conn:
        await stock.set_stock(conn, rows)
