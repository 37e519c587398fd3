"""One's own account: sessions, password, second factor."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from unwind.domain.access import Scope, authorise
from unwind.flow import account
from unwind.storage import staff
from unwind.web.access import Caller, Wired
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.sign_in import ConfirmIn, EnrolIn, PasswordIn, SessionOut
from unwind.web.session import answer, source_of

router = APIRouter(prefix="/api/v1/account", tags=["sign-in"])


@router.get("/sessions", responses=ERRORS)
async def my_sessions(services: Wired, caller: Caller) -> Response:
    authorise(caller, Scope.ACCOUNT)
    async with services.database.connection() as conn:
        rows = await staff.live_sessions(conn, caller.principal_id, idle=services.sign_in.idle)
    return json_response({"sessions": [{**row, "is_this": row["session_id"] == caller.session_id} for row in rows]})


@router.delete("/sessions/{session_id}", responses=ERRORS)
async def end_my_session(services: Wired, caller: Caller, session_id: str) -> Response:
    await account.sign_out(services, caller, session_id=session_id)
    return json_response({"session_id": session_id})


@router.put("/password", responses={200: {"model": SessionOut}, **ERRORS})
async def change_my_password(services: Wired, request: Request, caller: Caller, body: PasswordIn) -> Response:
    """Ends every session; the answer is a new one."""
    opened = await account.change_password(
        services,
        caller,
        current=body.current.get_secret_value(),
        new=body.new.get_secret_value(),
        source=source_of(request),
    )
    return answer(services, opened, as_cookie=body.as_cookie)


@router.post("/second-factor", responses=ERRORS, status_code=201)
async def enrol(services: Wired, request: Request, caller: Caller, body: EnrolIn) -> Response:
    """A secret for the authenticator app. It holds once a code of it has been confirmed; until then the one before does."""
    made = await account.begin_second_factor(
        services, caller, password=body.password.get_secret_value(), source=source_of(request)
    )
    return json_response({"secret": made.secret, "address": made.address}, status=201)


@router.post("/second-factor/confirm", responses=ERRORS)
async def confirm_enrolment(services: Wired, caller: Caller, body: ConfirmIn) -> Response:
    """The recovery codes are shown this once; each is good once. Every other session of the account ends."""
    codes = await account.confirm_second_factor(services, caller, code=body.code.get_secret_value().strip())
    return json_response({"recovery_codes": codes})
