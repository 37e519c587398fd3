"""Buyer and agent write to each other: the buyer's door, and the desk's."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from unwind.domain.access import Scope, authorise
from unwind.flow import conversation, scripts
from unwind.flow.conversation import WrittenFrom
from unwind.flow.queue import keep_alive
from unwind.web.access import Caller, Wired
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.conversation import AgentWritesIn, BuyerWritesIn

router = APIRouter(prefix="/api/v1", tags=["conversation"])
PageSize = Annotated[int, Query(ge=1, le=200)]


@router.get("/cancellations/{case_id}/conversation", responses=ERRORS)
async def read_mine(services: Wired, caller: Caller, case_id: str) -> Response:
    """What was written, oldest first. The buyer, or the shop that shows it to them, has read it by this."""
    return json_response({"messages": await conversation.read_as_buyer(services, caller, case_id)})


@router.post("/cancellations/{case_id}/conversation", responses=ERRORS, status_code=201)
async def write_to_desk(services: Wired, caller: Caller, case_id: str, body: BuyerWritesIn) -> Response:
    """A question that was open is answered by it. 429 after twenty in a row that nobody has answered."""
    said = await conversation.buyer_writes(
        services, caller, case_id, text=body.text.strip(), channel=body.channel, client_key=body.key
    )
    return json_response({"case_id": case_id, "n": said.n}, status=201 if said.is_new else 200)


@router.get("/desk/cases/{case_id}/conversation", responses=ERRORS)
async def read_at_desk(services: Wired, caller: Caller, case_id: str) -> Response:
    """Oldest first, with who wrote, from which script, whether the buyer was told, and who has read it."""
    return json_response({"messages": await conversation.read_at_desk(services, caller, case_id)})


@router.post("/desk/cases/{case_id}/conversation", responses=ERRORS, status_code=201)
async def write_to_buyer(services: Wired, caller: Caller, case_id: str, body: AgentWritesIn) -> Response:
    """An answer to the buyer. 422 `text_not_allowed` names the rule and the place: nothing was written then.

    The buyer hears over their channel that an answer is there; the words themselves go only where a channel may carry them.
    """
    source = None
    if body.script_id is not None:
        filled = await scripts.filled_now(services, caller, case_id, body.script_id)
        source = WrittenFrom(script_id=body.script_id, version=filled.script.version, filled=(filled.zh, filled.en))
    said = await conversation.agent_writes(
        services, caller, case_id, text=body.text.strip(), client_key=body.key, script=source
    )
    await keep_alive(services, caller, [case_id], has_screen=False)
    return json_response({"case_id": case_id, "n": said.n}, status=201 if said.is_new else 200)


@router.get("/desk/waiting-buyers", responses=ERRORS)
async def list_waiting_buyers(services: Wired, caller: Caller, limit: PageSize = 50) -> Response:
    """Open cases, also those that wait for nobody's decision, whose buyer has written and was not read; the longest waiting first."""
    authorise(caller, Scope.DESK_READ)
    async with services.database.connection() as conn:
        rows = await conversation.waiting_buyers(conn, merchant_id=caller.merchant_id, cases_max=limit)
    return json_response({"cases": rows})
