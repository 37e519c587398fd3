"""For agents and leads: who takes which case, hand-overs, and who is on duty."""

from fastapi import APIRouter
from starlette.responses import Response

from unwind.domain.access import Scope, authorise
from unwind.flow import queue
from unwind.storage.queue import CLAIM_S, HEARTBEAT_S, read_agents
from unwind.web.access import Caller, Wired
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.queue import ClaimIn, EscalateIn, HeartbeatIn, PresenceIn, TransferIn

router = APIRouter(prefix="/api/v1/desk", tags=["queue"])


@router.post("/claims/next", responses=ERRORS)
async def claim_next(services: Wired, caller: Caller) -> Response:
    """Takes the most urgent free case. `case_id` is null when there is none."""
    claim = await queue.claim_next(services, caller)
    return json_response(
        {
            "case_id": claim.case_id if claim else None,
            "version": claim.version if claim else None,
            "lease_s": CLAIM_S,
        }
    )


@router.post("/cases/{case_id}/claim", responses=ERRORS)
async def claim_case(services: Wired, caller: Caller, case_id: str, body: ClaimIn) -> Response:
    """Takes this case, or renews the claim. 409 `claimed_by_other` names the holder. The claim runs out unless something renews it."""
    claim = await queue.claim_case(services, caller, case_id, take_over=body.take_over)
    return json_response({"case_id": claim.case_id, "version": claim.version, "lease_s": CLAIM_S})


@router.delete("/cases/{case_id}/claim", responses=ERRORS)
async def release_case(services: Wired, caller: Caller, case_id: str) -> Response:
    """Gives it back to the queue."""
    await queue.release_case(services, caller, case_id)
    return json_response({"case_id": case_id})


@router.post("/cases/{case_id}/transfer", responses=ERRORS)
async def transfer_case(services: Wired, caller: Caller, case_id: str, body: TransferIn) -> Response:
    """To a colleague who is on duty and has room."""
    await queue.transfer_case(services, caller, case_id, to=body.to)
    return json_response({"case_id": case_id, "claimed_by": body.to})


@router.post("/cases/{case_id}/escalate", responses=ERRORS)
async def escalate_case(services: Wired, caller: Caller, case_id: str, body: EscalateIn) -> Response:
    """To the leads; nobody else takes or decides it from then on."""
    await queue.escalate_case(services, caller, case_id, reason_code=body.reason_code)
    return json_response({"case_id": case_id, "escalated": True})


@router.put("/presence", responses=ERRORS)
async def put_presence(services: Wired, caller: Caller, body: PresenceIn) -> Response:
    """On duty, on a break, off duty. Off gives every case back; on with `takes_push` takes what waits, oldest due first."""
    agent = await queue.set_presence(services, caller, body.state, cases_max=body.cases_max, takes_push=body.takes_push)
    return json_response({**agent, "heartbeat_s": HEARTBEAT_S})


@router.post("/heartbeat", responses=ERRORS)
async def heartbeat(services: Wired, caller: Caller, body: HeartbeatIn) -> Response:
    """A screen is open on these cases: their claims, where they are the caller's own, are renewed."""
    renewed = await queue.keep_alive(services, caller, body.cases, has_screen=True)
    return json_response({"renewed": renewed, "heartbeat_s": HEARTBEAT_S})


@router.get("/agents", responses=ERRORS)
async def list_agents(services: Wired, caller: Caller) -> Response:
    """Who is on duty, who is really there, how many cases each holds."""
    authorise(caller, Scope.OPERATIONS_READ, is_platform=True)
    async with services.database.connection() as conn:
        return json_response({"agents": await read_agents(conn)})
