"""Where gateways, warehouses and carriers call back: verify the raw bytes, store, answer; act later."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from unwind.domain.errors import Refusal
from unwind.flow.listen import refuse_news, take_news
from unwind.ports.callback import CallbackUnverified, Incoming
from unwind.web.access import Wired
from unwind.web.responses import ERRORS

router = APIRouter(tags=["callbacks"])


@router.post("/callbacks/{connection}", responses=ERRORS)
async def callback(services: Wired, request: Request, connection: str) -> Response:
    """A provider's callback, in its own format; answered as it wants to be once it is stored."""
    return await _take(services, request, connection, tail="")


@router.post("/callbacks/{connection}/{tail:path}", responses=ERRORS)
async def callback_with_secret_path(services: Wired, request: Request, connection: str, tail: str) -> Response:
    """The same for providers that do not sign: the path holds a secret."""
    return await _take(services, request, connection, tail=tail)


async def _take(services: Wired, request: Request, connection: str, *, tail: str) -> Response:
    verifier = services.verifiers.get(connection)
    if verifier is None:
        raise Refusal("not_found")
    incoming = Incoming(
        headers={name.lower(): value for name, value in request.headers.items()},
        body=await request.body(),
        query=request.url.query,
        tail=tail,
        peer=request.client.host if request.client else "",
    )
    try:
        news = verifier.verify(incoming)
    except CallbackUnverified as error:
        await refuse_news(services, connection, reason=str(error))
        raise Refusal("callback_refused") from None
    for one in news:
        await take_news(services, connection, one)
    accepted = verifier.accepted
    return Response(
        accepted.body, status_code=accepted.status, media_type=accepted.media_type if accepted.body else None
    )
