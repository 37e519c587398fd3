"""For operations: where the tagger was wrong, and the phrases that teach it better."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from unwind.domain.access import Scope, authorise
from unwind.flow import corrections
from unwind.flow import phrases as reviewed
from unwind.storage import phrases
from unwind.tagging import Reason
from unwind.web.access import Caller, Wired
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.fields import Id, Strict
from unwind.web.schemas.trust import Why, WhyIn

router = APIRouter(prefix="/api/v1", tags=["phrases"])
PhraseId = Annotated[int, Field(ge=1, le=2**62)]
From = Annotated[AwareDatetime, Query(alias="from", description="cases opened from then on")]
To = Annotated[AwareDatetime, Query(alias="to", description="and before then")]


class PhraseIn(Strict):
    phrase: Annotated[str, Field(min_length=2, max_length=60)]
    label: Reason
    merchant_id: Id | None = Field(default=None, description="null: every shop")
    why: Why


@router.get("/insights/corrections", responses=ERRORS)
async def read_corrections(
    services: Wired, caller: Caller, since: From, until: To, merchant_id: Id | None = None
) -> Response:
    """What was read and stated against the true reason agents found: confusion, precision and recall by label, and the words that matched.

    No sentence of a buyer: a few characters each, and none where they hold a number or somebody's name.
    """
    return json_response(
        await corrections.read_corrections(services, caller, merchant_id=merchant_id, since=since, until=until)
    )


@router.get("/admin/phrases", responses=ERRORS)
async def list_phrases(services: Wired, caller: Caller, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> Response:
    """Proposed, in force and retired, newest first, each with who, when, why and the counts; and the version in force."""
    authorise(caller, Scope.OPERATIONS_READ)
    async with services.database.connection() as conn:
        rows = await phrases.list_phrases(conn, merchant_id=caller.merchant_id, phrases_max=limit)
        return json_response({"version": await phrases.current_version(conn), "phrases": rows})


@router.post("/admin/phrases", status_code=201, responses=ERRORS)
async def propose_phrase(services: Wired, caller: Caller, body: PhraseIn) -> Response:
    """Waits for a second person. 422 `phrase_makes_worse` says how many of our own texts would be read worse, `phrase_personal` that it tells of somebody."""
    made = await reviewed.propose(
        services, caller, phrase=body.phrase.strip(), label=body.label, merchant_id=body.merchant_id, why=body.why
    )
    return json_response(made, status=201)


@router.post("/admin/phrases/{phrase_id}/agree", responses=ERRORS)
async def agree_to_phrase(services: Wired, caller: Caller, phrase_id: PhraseId) -> Response:
    """By another person than who proposed it; tried once more. Every process reads by it within a second."""
    return json_response(await reviewed.agree(services, caller, phrase_id))


@router.post("/admin/phrases/{phrase_id}/retire", responses=ERRORS)
async def retire_phrase(services: Wired, caller: Caller, phrase_id: PhraseId, body: WhyIn) -> Response:
    """Takes a proposal back, or a phrase out of use."""
    return json_response(await reviewed.retire(services, caller, phrase_id, why=body.why))
