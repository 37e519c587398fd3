"""Where gateways, warehouses and carriers call back: verify the raw bytes, store, answer; act later."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from unwind.domain.errors import Refusal
from unwind.flow.listen import take_news
from unwind.ports.callback import CallbackUnverified
from unwind.web.access import Wired
from unwind.web.responses import ERRORS

router = APIRouter(tags=["callbacks"])


@router.post("/callbacks/{connection}", status_code=204, responses=ERRORS)
async def callback(services: Wired, request: Request, connection: str) -> Response:
    verifier = services.verifiers.get(connection)
    if verifier is None:
        raise Refusal("not_found")
    body = await request.body()
    try:
        news = verifier.verify(dict(request.headers), body)
    except CallbackUnverified:
        raise Refusal("callback_refused") from None
    await take_news(services, connection, news)
    return Response(status_code=204)
