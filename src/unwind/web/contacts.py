"""For agents on the telephone, in a chat, at a counter: find the order, check who asks, then look and act."""

from fastapi import APIRouter
from starlette.responses import Response

from unwind.desk.dossier import read_order_view
from unwind.domain.access import Scope, authorise
from unwind.domain.errors import Refusal
from unwind.flow import identity, lookup
from unwind.flow.identity import require_identity
from unwind.web.access import Caller, Wired
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.contacts import CodeIn, LookupIn, QuestionsIn
from unwind.web.schemas.fields import Id

router = APIRouter(prefix="/api/v1/desk", tags=["contacts"])


@router.post("/lookups", responses=ERRORS)
async def look_up(services: Wired, caller: Caller, body: LookupIn) -> Response:
    """By order, case or waybill number, full telephone, exact name, or last four digits within one merchant's recent orders.

    Only what may be said before anybody is checked. Counted, limited, and logged without what was looked for.
    """
    found = await lookup.look_up(
        services,
        caller,
        body.q,
        by=body.by,
        merchant_id=body.merchant_id,
        channel=body.channel,
        contact_ref=body.contact_ref,
    )
    return json_response({"by": found.by.value, "orders": found.orders, "landed_on": found.landed_on})


@router.get("/orders/{order_id}", responses=ERRORS)
async def one_order(services: Wired, caller: Caller, order_id: Id) -> Response:
    """Goods, amounts and parcels of an order, once whoever asks has been checked for it."""
    async with services.database.connection() as conn:
        view = await read_order_view(conn, services.vault, order_id)
        if view is None:
            raise Refusal("not_found")
        authorise(caller, Scope.CONTACTS_HANDLE, merchant_id=view["merchant_id"], order_id=order_id)
        await require_identity(conn, caller, order_id)
    return json_response(view)


@router.post("/orders/{order_id}/identity", responses=ERRORS)
async def check_by_questions(services: Wired, caller: Caller, order_id: Id, body: QuestionsIn) -> Response:
    """The caller's order number, last digits, and an item or the amount. 403 `identity_not_shown` never says what was wrong."""
    answers = identity.Answers(phone_tail=body.phone_tail, item=body.item.strip(), amount_minor=body.amount_minor)
    return _checked(await identity.answer_questions(services, caller, order_id, answers))


@router.post("/orders/{order_id}/identity/code", status_code=202, responses=ERRORS)
async def send_code(services: Wired, caller: Caller, order_id: Id) -> Response:
    """A code to the telephone the order is bound to; the buyer reads it to the agent. Three an hour, five minutes each."""
    await identity.send_code(services, caller, order_id)
    return json_response({"order_id": order_id}, status=202)


@router.put("/orders/{order_id}/identity/code", responses=ERRORS)
async def enter_code(services: Wired, caller: Caller, order_id: Id, body: CodeIn) -> Response:
    """What the buyer read out. Five attempts."""
    return _checked(await identity.enter_code(services, caller, order_id, body.code))


def _checked(checked: identity.Checked) -> Response:
    return json_response({"order_id": checked.order_id, "method": checked.method.value, "until": checked.until})
