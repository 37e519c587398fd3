"""For administrators: API keys. A key is shown once; a second one may be valid beside it while whoever calls changes over."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from unwind.domain.access import Scope, authorise
from unwind.flow import api_keys
from unwind.flow.api_keys import NewKey
from unwind.storage import principals
from unwind.web.access import Caller, KeyCache, Wired
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.sign_in import KeyIn, RotateIn

router = APIRouter(prefix="/api/v1/admin/keys", tags=["API keys"])


def shown_once(made: NewKey) -> dict[str, str]:
    return {"principal_id": made.principal_id, "key_id": made.key_id, "key": made.key}


@router.get("", responses=ERRORS)
async def list_keys(services: Wired, caller: Caller) -> Response:
    authorise(caller, Scope.AUDIT_READ)
    async with services.database.connection() as conn:
        return json_response({"keys": await principals.list_keys(conn, merchant_id=caller.merchant_id)})


@router.post("", responses=ERRORS, status_code=201)
async def create_key(services: Wired, caller: Caller, body: KeyIn) -> Response:
    """Never more scopes than the role; a key of role merchant is of one merchant."""
    made = await api_keys.create(
        services,
        caller,
        principal_id=body.principal_id,
        role=body.role,
        scopes=body.scopes,
        merchant_id=body.merchant_id,
        display_name=body.display_name,
        expires_at=body.expires_at,
    )
    return json_response(shown_once(made), status=201)


@router.post("/{principal_id}/rotate", responses=ERRORS, status_code=201)
async def rotate_key(services: Wired, request: Request, caller: Caller, principal_id: str, body: RotateIn) -> Response:
    """A new key; the present one stays valid until it is ended or the next rotation, an older one ends now."""
    made = await api_keys.rotate(services, caller, principal_id, expires_at=body.expires_at)
    _forget(request, principal_id)
    return json_response(shown_once(made), status=201)


@router.delete("/{principal_id}", responses=ERRORS)
async def revoke_keys(services: Wired, request: Request, caller: Caller, principal_id: str) -> Response:
    """All keys of the name, for good. At once here, within 15 seconds in other processes."""
    await api_keys.revoke(services, caller, principal_id)
    _forget(request, principal_id)
    return json_response({"principal_id": principal_id})


@router.delete("/{principal_id}/{key_id}", responses=ERRORS)
async def end_one_key(services: Wired, request: Request, caller: Caller, principal_id: str, key_id: str) -> Response:
    """The one that was changed over from."""
    await api_keys.end_key(services, caller, principal_id, key_id)
    _forget(request, principal_id)
    return json_response({"principal_id": principal_id, "key_id": key_id})


def _forget(request: Request, principal_id: str) -> None:
    cache: KeyCache = request.app.state.keys
    cache.forget(principal_id)
