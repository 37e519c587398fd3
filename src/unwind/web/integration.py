"""For engineers who connect a shop: orders, events, stock, merchants, buyer tokens."""

import time
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from unwind.domain.access import Scope, authorise
from unwind.domain.errors import Refusal, require
from unwind.flow import order_book
from unwind.storage import orders, stock
from unwind.web.access import Caller, Wired, mint_buyer_token
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.fields import Id
from unwind.web.schemas.orders import AccountIn, EventIn, MerchantIn, OrderIn, StockIn

router = APIRouter(prefix="/api/v1", tags=["integration"])
TOKEN_LIFE_S = 1800


@router.put("/orders/{order_id}", responses=ERRORS)
async def put_order(services: Wired, caller: Caller, order_id: Id, body: OrderIn) -> Response:
    """The shop's facts about an order. Idempotent: an older or equal revision is ignored. Never undoes a cancellation."""
    stored = await order_book.put_order(services, caller, body.document(order_id))
    return json_response(
        {"order_id": stored.order_id, "revision": stored.revision, "applied": stored.is_applied},
        status=201 if stored.is_new else 200,
    )


@router.get("/orders/{order_id}", responses=ERRORS)
async def get_order(services: Wired, caller: Caller, order_id: Id) -> Response:
    """What Unwind holds: the shop's facts and its own effects. Nothing personal."""
    async with services.database.connection() as conn:
        row = await orders.read_order(conn, order_id)
    if row is None:
        raise Refusal("not_found")
    order = row.order
    authorise(caller, Scope.ORDERS_READ, merchant_id=order.merchant.merchant_id, order_id=order_id)
    return json_response(
        {
            "order_id": order.order_id,
            "merchant_id": order.merchant.merchant_id,
            "revision": order.revision,
            "version": order.version,
            "currency": order.currency,
            "payment_state": order.payment_state.value,
            "payable_minor": order.payable_minor,
            "released_stage": order.released_stage.value,
            "is_cancelled": order.is_cancelled,
            "lines": [
                {
                    "line_id": line.line_id,
                    "sku": line.sku,
                    "quantity": line.quantity,
                    "taken_units": line.taken_units,
                    "units": {bucket.value: n for bucket, n in line.buckets.items() if n},
                }
                for line in order.lines
            ],
            "shipments": [{"shipment_id": s.shipment_id, "stage": s.stage.value} for s in order.shipments],
            "open_cases": sorted(set(row.open_lines.values())),
        }
    )


@router.post("/orders/{order_id}/events", responses=ERRORS)
async def add_event(services: Wired, caller: Caller, order_id: Id, body: EventIn) -> Response:
    """One thing that happened, told once: `event_id` makes it idempotent."""
    document = body.document()
    require(document["data"] is not None, "invalid")
    is_new = await order_book.apply_event(services, caller, order_id, document)
    return json_response({"event_id": body.event_id, "applied": is_new})


@router.post("/orders/{order_id}/buyer-token", responses=ERRORS)
async def buyer_token(services: Wired, caller: Caller, order_id: Id) -> Response:
    """A short-lived token with which the buyer of this order may ask, look and withdraw."""
    async with services.database.connection() as conn:
        row = await orders.read_order(conn, order_id)
    if row is None:
        raise Refusal("not_found")
    authorise(caller, Scope.ORDERS_WRITE, merchant_id=row.order.merchant.merchant_id, order_id=order_id)
    expires_at = int(time.time()) + TOKEN_LIFE_S
    token = mint_buyer_token(services.vault.token_key, order_id=order_id, expires_at=expires_at)
    return json_response({"token": token, "expires_at": expires_at}, status=201)


@router.put("/merchants/{merchant_id}", responses=ERRORS)
async def put_merchant(services: Wired, caller: Caller, merchant_id: Id, body: MerchantIn) -> Response:
    authorise(caller, Scope.ADMIN, merchant_id=merchant_id)
    document = {**body.model_dump(), "money_terms": body.money_terms.document(), "merchant_id": merchant_id}
    await order_book.put_merchant(services, document)
    return json_response({"merchant_id": merchant_id})


@router.put("/stock", responses=ERRORS)
async def put_stock(services: Wired, caller: Caller, body: list[StockIn]) -> Response:
    """Sets the free units of pools of the built-in shop."""
    authorise(caller, Scope.ADMIN, is_platform=True)
    await order_book.put_stock(services, [row.model_dump() for row in body])
    return json_response({"rows": len(body)})


@router.put("/benefit-accounts", responses=ERRORS)
async def put_accounts(services: Wired, caller: Caller, body: list[AccountIn]) -> Response:
    """Sets what accounts of the built-in shop hold: points, coupons, places."""
    authorise(caller, Scope.ADMIN, is_platform=True)
    await order_book.put_accounts(services, [row.model_dump() for row in body])
    return json_response({"rows": len(body)})


@router.get("/stock", responses=ERRORS)
async def get_stock(services: Wired, caller: Caller, sku: Annotated[Id, Query()]) -> Response:
    authorise(caller, Scope.STOCK_READ, is_platform=True)
    async with services.database.connection() as conn:
        return json_response(await stock.read_stock(conn, sku))
