"""Doors without a credential: buyers without an account, and buyers who hold a receipt. Limited in body and number; every answer says little."""

import time

from fastapi import APIRouter, BackgroundTasks, Request
from starlette.responses import Response

from unwind.domain.access import Scope, StoreEntry, authorise
from unwind.domain.errors import Refusal
from unwind.flow import guest
from unwind.flow.wording import NEVER_ASK
from unwind.storage import orders
from unwind.storage.database import to_json
from unwind.web.access import Caller, Wired, mint_buyer_token, mint_store_link, read_store_link
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.contacts import GuestCodeIn, GuestIn, StoreLinkIn, StoreTokenIn
from unwind.web.schemas.fields import Id

router = APIRouter(prefix="/api/v1", tags=["guests"])
TOKEN_LIFE_S = 1800
LINK_LIFE_S = 900
WARNING = {"zh": NEVER_ASK[0], "en": NEVER_ASK[1]}


@router.post("/guest/codes", status_code=202, responses=ERRORS)
async def ask_for_code(services: Wired, request: Request, background: BackgroundTasks, body: GuestIn) -> Response:
    """A code to the telephone of the order, if number and digits belong together. The answer is the same if they do not."""
    await guest.admit(services, "guest_codes", order_id=body.order_id, source=source_of(request))
    background.add_task(guest.send_guest_code, services, body.order_id, body.phone_tail)
    return Response(
        to_json({"next": "code", "warning": WARNING}),
        status_code=202,
        media_type="application/json",
        background=background,
    )


@router.post("/guest/tokens", status_code=201, responses=ERRORS)
async def enter_code(services: Wired, request: Request, body: GuestCodeIn) -> Response:
    """A short-lived token for this order. 403 `identity_not_shown` whatever was wrong."""
    await guest.admit(services, "guest_tokens", order_id=body.order_id, source=source_of(request))
    await guest.enter_guest_code(services, body.order_id, body.phone_tail, body.code)
    return _token(services.vault.token_key, body.order_id)


@router.post("/orders/{order_id}/store-link", status_code=201, responses=ERRORS)
async def make_store_link(services: Wired, caller: Caller, order_id: Id, body: StoreLinkIn) -> Response:
    """For the code on a receipt: put it behind the `#` of the page's address, where no server's log sees it."""
    async with services.database.connection() as conn:
        row = await orders.read_order(conn, order_id)
    if row is None:
        raise Refusal("not_found")
    authorise(caller, Scope.ORDERS_WRITE, merchant_id=row.order.merchant.merchant_id, order_id=order_id)
    expires_at = int(time.time()) + LINK_LIFE_S
    counter = StoreEntry(store_id=body.store_id, operator_id=body.operator_id)
    token = mint_store_link(services.vault.token_key, order_id=order_id, store=counter, expires_at=expires_at)
    return json_response({"link_token": token, "expires_at": expires_at}, status=201)


@router.post("/guest/store-tokens", status_code=201, responses=ERRORS)
async def enter_by_receipt(services: Wired, request: Request, body: StoreTokenIn) -> Response:
    """The link becomes a token for its order, over the counter that handed it out and no other channel."""
    order_id, counter = read_store_link(services.vault.token_key, body.link_token.get_secret_value(), now=time.time())
    await guest.admit(services, "store_tokens", order_id=order_id, source=source_of(request))
    return _token(services.vault.token_key, order_id, counter)


def source_of(request: Request) -> str:
    """Where it comes from; behind a proxy, what uvicorn believes of its word. Kept as a keyed digest only."""
    return request.client.host if request.client else "unknown"


def _token(key: bytes, order_id: str, counter: StoreEntry | None = None) -> Response:
    expires_at = int(time.time()) + TOKEN_LIFE_S
    token = mint_buyer_token(key, order_id=order_id, expires_at=expires_at, store=counter)
    return json_response({"token": token, "expires_at": expires_at, "warning": WARNING}, status=201)
