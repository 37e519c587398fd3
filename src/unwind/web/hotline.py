"""Where telephone systems and the screens beside them come in; and what agents write down of a call."""

from collections.abc import Mapping
from urllib.parse import parse_qs

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from unwind.domain.access import Scope, authorise
from unwind.domain.cti import VENDORS
from unwind.domain.errors import Refusal, require
from unwind.flow import hotline
from unwind.storage import phone_calls
from unwind.web.access import Caller, Wired
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.fields import Id
from unwind.web.schemas.hotline import OutcomeIn, PhoneSystemIn

router = APIRouter(tags=["hotline"])
PARAMETERS_MAX = 60
CREDENTIALS = frozenset({"token", "access_token", "api_key", "apikey", "key", "authorization"})


@router.get("/api/v1/desk/cti/{system_id}", responses=ERRORS)
@router.post("/api/v1/desk/cti/{system_id}", responses=ERRORS)
async def pop(services: Wired, caller: Caller, request: Request, system_id: Id) -> Response:
    """The card for a ringing call, by the parameters the telephone system has: query, form or JSON, under its own names.

    For the agent it names only. A credential in the address is refused: addresses are written into logs.
    """
    require(not {name.casefold() for name in request.query_params} & CREDENTIALS, "token_in_url")
    card = await hotline.pop(services, caller, system_id, await parameters(request))
    return json_response(_shown(card))


@router.get("/callbacks/cti/{system_id}/{secret}", responses=ERRORS)
@router.post("/callbacks/cti/{system_id}/{secret}", responses=ERRORS)
async def server_news(services: Wired, request: Request, system_id: Id, secret: str) -> Response:
    """newCall, answer, hangup and the record after the call, told by the telephone system; each of a call counts once."""
    source = request.client.host if request.client else "unknown"
    await hotline.take_server_news(services, system_id, secret, await parameters(request), source=source)
    return json_response({})


@router.get("/api/v1/desk/calls", responses=ERRORS)
async def my_calls(services: Wired, caller: Caller) -> Response:
    """Calls of the last day without an outcome, that name this agent or nobody."""
    authorise(caller, Scope.CONTACTS_HANDLE)
    async with services.database.connection() as conn:
        rows = await phone_calls.open_calls(conn, caller.principal_id, merchant_id=caller.merchant_id)
    return json_response({"calls": rows})


@router.get("/api/v1/desk/calls/{system_id}/{call_id}", responses=ERRORS)
async def one_call(services: Wired, caller: Caller, system_id: Id, call_id: Id) -> Response:
    """Its card."""
    return json_response(_shown(await hotline.show_call(services, caller, system_id, call_id)))


@router.post("/api/v1/desk/calls/{system_id}/{call_id}/outcome", responses=ERRORS)
async def save_outcome(services: Wired, caller: Caller, system_id: Id, call_id: Id, body: OutcomeIn) -> Response:
    """What came of the call. For a case that waits for a person, `answered` and `call_back` are the human answer; ringing and talking are not."""
    await hotline.save_outcome(services, caller, system_id, call_id, body.outcome, case_id=body.case_id)
    return json_response({"call_id": call_id, "outcome": body.outcome.value})


@router.get("/api/v1/admin/phone-systems", responses=ERRORS)
async def list_systems(services: Wired, caller: Caller) -> Response:
    """Every telephone system with its own names, and the names of vendors as shipped."""
    authorise(caller, Scope.OPERATIONS_READ)
    async with services.database.connection() as conn:
        rows = await phone_calls.list_systems(conn, merchant_id=caller.merchant_id)
    return json_response({"systems": rows, "vendors": VENDORS})


@router.put("/api/v1/admin/phone-systems/{system_id}", responses=ERRORS)
async def put_system(services: Wired, caller: Caller, system_id: Id, body: PhoneSystemIn) -> Response:
    secret = body.secret.get_secret_value() if body.secret else None
    await hotline.put_system(
        services, caller, {**body.model_dump(exclude={"secret"}), "system_id": system_id}, secret=secret
    )
    return json_response({"system_id": system_id})


async def parameters(request: Request) -> Mapping[str, list[str]]:
    """Query and body together, as texts. A JSON body is an object of plain values and lists of them; deeper things are left out."""
    found: dict[str, list[str]] = {name: request.query_params.getlist(name) for name in request.query_params}
    body = await request.body()
    if body and "json" in request.headers.get("content-type", ""):
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise Refusal("not_json") from None
        require(isinstance(document, dict), "invalid")
        for name, value in document.items():
            values = value if isinstance(value, list) else [value]
            found[name] = [str(one) for one in values if isinstance(one, str | int)]
    elif body:
        try:
            found |= parse_qs(body.decode(), max_num_fields=PARAMETERS_MAX)
        except ValueError:
            raise Refusal("invalid") from None
    require(len(found) <= PARAMETERS_MAX, "invalid")
    return found


def _shown(card: hotline.Card) -> dict[str, object]:
    return {"call_id": card.call_id, "landed_on": card.landed_on, "orders": card.orders, "asks": card.asks}
