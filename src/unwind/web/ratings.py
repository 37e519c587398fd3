"""Where buyers say how it went, behind a link that is its own credential; and what came of it."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime
from starlette.responses import Response

from unwind.desk import satisfaction
from unwind.domain.access import Scope, authorise
from unwind.flow import ratings
from unwind.web.access import Caller, Wired
from unwind.web.links import HEADERS
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.fields import Id
from unwind.web.schemas.ratings import CommentIn, RateIn

router = APIRouter(tags=["ratings"])
PAGE = Path(__file__).parent / "rate.html"
From = Annotated[AwareDatetime, Query(alias="from", description="asked from then on")]
To = Annotated[AwareDatetime, Query(alias="to", description="and before then")]


@router.get("/r/{token}", include_in_schema=False)
async def page(token: str) -> Response:  # noqa: ARG001 - the page reads it from its own address
    return Response(PAGE.read_bytes(), media_type="text/html; charset=utf-8", headers=HEADERS)


@router.get("/api/v1/ratings/{token}", responses=ERRORS)
async def read_rating(services: Wired, token: str) -> Response:
    """The shop, the order, what was answered so far, and until when it may be. Reading answers nothing."""
    return json_response(await ratings.look(services, token), headers=HEADERS)


@router.post("/api/v1/ratings/{token}", responses=ERRORS)
async def rate(services: Wired, token: str, body: RateIn) -> Response:
    """Within 14 days of being asked; changed within 7 days of the first answer. Up to 2 a person looks into it, once."""
    return json_response(await ratings.rate(services, token, body.score), headers=HEADERS)


@router.post("/api/v1/ratings/{token}/comment", responses=ERRORS)
async def comment(services: Wired, token: str, body: CommentIn) -> Response:
    """One line after the tap. Encrypted like every word of a buyer."""
    return json_response(await ratings.comment(services, token, body.text.strip()), headers=HEADERS)


@router.get("/api/v1/insights/satisfaction", responses=ERRORS)
async def read_satisfaction(
    services: Wired, caller: Caller, since: From, until: To, merchant_id: Id | None = None
) -> Response:
    """Of those asked in the period: how many answered, the mean, and the scores; by channel, by who decided, by rule."""
    authorise(caller, Scope.OPERATIONS_READ, merchant_id=merchant_id)
    async with services.database.connection() as conn:
        shown = await satisfaction.read_satisfaction(
            conn, merchant_id=caller.merchant_id or merchant_id, since=since, until=until
        )
    return json_response(shown)
