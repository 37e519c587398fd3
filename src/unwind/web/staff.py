"""For administrators: accounts of people, their sessions, and the record of the door. Auditors read all of it."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from unwind.domain.access import Scope, authorise
from unwind.flow import staff as accounts
from unwind.storage import door, staff
from unwind.web.access import Caller, Wired
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.sign_in import ResetIn, StaffChangeIn, StaffIn

router = APIRouter(prefix="/api/v1/admin", tags=["staff"])


@router.get("/staff", responses=ERRORS)
async def list_staff(services: Wired, caller: Caller) -> Response:
    authorise(caller, Scope.AUDIT_READ)
    async with services.database.connection() as conn:
        return json_response({"staff": await staff.list_staff(conn, merchant_id=caller.merchant_id)})


@router.post("/staff", responses=ERRORS, status_code=201)
async def add_staff(services: Wired, caller: Caller, body: StaffIn) -> Response:
    """The password is shown this once and has to be changed at the first sign-in."""
    made = await accounts.add(services, caller, **body.model_dump())
    return json_response({"principal_id": made.principal_id, "password": made.password}, status=201)


@router.patch("/staff/{principal_id}", responses=ERRORS)
async def change_staff(services: Wired, caller: Caller, principal_id: str, body: StaffChangeIn) -> Response:
    """Another role or shop ends the person's sessions."""
    await accounts.change(services, caller, principal_id, **body.model_dump())
    return json_response({"principal_id": principal_id})


@router.post("/staff/{principal_id}/reset-password", responses=ERRORS)
async def reset_password(services: Wired, caller: Caller, principal_id: str, body: ResetIn) -> Response:
    made = await accounts.reset_password(services, caller, principal_id, drops_second_factor=body.drops_second_factor)
    return json_response({"principal_id": made.principal_id, "password": made.password})


@router.post("/staff/{principal_id}/deactivate", responses=ERRORS)
async def deactivate_staff(services: Wired, caller: Caller, principal_id: str) -> Response:
    """Out at once, and not in again."""
    await accounts.deactivate(services, caller, principal_id)
    return json_response({"principal_id": principal_id})


@router.post("/staff/{principal_id}/activate", responses=ERRORS)
async def activate_staff(services: Wired, caller: Caller, principal_id: str) -> Response:
    await accounts.activate(services, caller, principal_id)
    return json_response({"principal_id": principal_id})


@router.get("/staff/{principal_id}/sessions", responses=ERRORS)
async def sessions_of_staff(services: Wired, caller: Caller, principal_id: str) -> Response:
    return json_response({"sessions": await accounts.sessions_of(services, caller, principal_id)})


@router.delete("/staff/{principal_id}/sessions", responses=ERRORS)
async def end_sessions_of_staff(services: Wired, caller: Caller, principal_id: str) -> Response:
    ended = await accounts.end_sessions(services, caller, principal_id)
    return json_response({"principal_id": principal_id, "ended": ended})


@router.get("/sign-in-events", responses=ERRORS)
async def list_sign_in_events(
    services: Wired,
    caller: Caller,
    before: Annotated[int | None, Query(ge=1, le=2**62, description="the last `event_no` seen")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """What happened at the door, newest first: ids and codes. `source` is a keyed digest of the address."""
    authorise(caller, Scope.AUDIT_READ, is_platform=True)
    async with services.database.connection() as conn:
        return json_response({"events": await door.events(conn, before=before, events_max=limit)})
