"""Coming in and going out: by password and second factor, or by the company's identity provider."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from unwind.domain.sign_in import OIDC_ROUND_TRIP
from unwind.flow import account, sign_in, vouched
from unwind.flow.services import Services
from unwind.flow.sign_in import Opened
from unwind.web.access import Caller, Wired, cookie_name
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.sign_in import SessionOut, SignInIn

router = APIRouter(prefix="/api/v1", tags=["sign-in"])
STATE_COOKIE = "oidc_state"
STATE_PATH = "/api/v1/oidc"


def source_of(request: Request) -> str:
    """The address an attempt comes from; kept as a keyed digest only."""
    return request.client.host if request.client else ""


def answer(services: Services, opened: Opened, *, as_cookie: bool, status: int = 200) -> Response:
    body = SessionOut(
        token=None if as_cookie else opened.token,
        session_id=opened.session_id,
        expires_at=opened.expires_at,
        needs=opened.needs.value,
    )
    response = json_response(body.model_dump(), status=status)
    if as_cookie:
        set_cookie(response, services, opened.token)
    return response


def set_cookie(response: Response, services: Services, token: str) -> None:
    response.set_cookie(
        cookie_name(services),
        token,
        max_age=int(services.sign_in.longest.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=services.sign_in.is_cookie_secure,
        path="/",
    )


@router.post("/session", status_code=201, responses={201: {"model": SessionOut}, **ERRORS})
async def begin_session(services: Wired, request: Request, body: SignInIn) -> Response:
    """401 `sign_in_refused` for whatever is wrong; `second_factor_needed` asks for the same again with a code; 429 after too many attempts.

    `needs` names what has to be done before anything else is allowed: a new password, or setting up the second factor.
    """
    opened = await sign_in.sign_in(
        services,
        login=body.login,
        password=body.password.get_secret_value(),
        code=body.code.get_secret_value().strip() if body.code else None,
        source=source_of(request),
    )
    return answer(services, opened, as_cookie=body.as_cookie, status=201)


@router.get("/session", responses=ERRORS)
async def read_session(request: Request, caller: Caller) -> Response:
    """Who I am, what I may do, and what this session still needs."""
    row = request.state.session
    return json_response(
        {
            "principal_id": caller.principal_id,
            "display_name": row["display_name"],
            "role": caller.role.value,
            "merchant_id": caller.merchant_id,
            "scopes": sorted(caller.scopes),
            "session_id": caller.session_id,
            "method": row["method"],
            "needs": row["needs"],
            "expires_at": row["expires_at"],
        }
    )


@router.delete("/session", responses=ERRORS)
async def end_session(services: Wired, caller: Caller) -> Response:
    """Out, at once."""
    await account.sign_out(services, caller)
    response = json_response({"session_id": caller.session_id})
    response.delete_cookie(
        cookie_name(services), path="/", secure=services.sign_in.is_cookie_secure, httponly=True, samesite="strict"
    )
    return response


@router.get("/oidc/login", responses={303: {"description": "to the identity provider"}, **ERRORS}, status_code=303)
async def leave_for_provider(services: Wired, request: Request) -> Response:
    """To the company's identity provider. 404 where none is configured."""
    departure = await vouched.depart(services, source=source_of(request))
    response = RedirectResponse(departure.address, status_code=303)
    response.set_cookie(
        STATE_COOKIE,
        departure.state,
        max_age=int(OIDC_ROUND_TRIP.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=services.sign_in.is_cookie_secure,
        path=STATE_PATH,
    )
    return response


@router.get("/oidc/callback", responses={303: {"description": "signed in"}, **ERRORS}, status_code=303)
async def come_back_from_provider(
    services: Wired,
    request: Request,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4000)] = "",
) -> Response:
    """The browser comes back with a code. Whatever is wrong with it: 401 `sign_in_refused`; why stands in the record of the door."""
    opened = await vouched.arrive(
        services, state=state, left_with=request.cookies.get(STATE_COOKIE, ""), code=code, source=source_of(request)
    )
    response = RedirectResponse("/", status_code=303)
    set_cookie(response, services, opened.token)
    response.delete_cookie(STATE_COOKIE, path=STATE_PATH)
    return response
