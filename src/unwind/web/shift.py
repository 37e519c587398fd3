"""For agents: what was promised, what the reason really was, and what the next shift has to know."""

from fastapi import APIRouter
from starlette.responses import Response

from unwind.flow import handover, promises, true_reason
from unwind.web.access import Caller, Wired
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.fields import Id
from unwind.web.schemas.hotline import HandoverIn, PromiseIn, TrueReasonIn

router = APIRouter(prefix="/api/v1/desk", tags=["shift"])


@router.post("/promises", status_code=201, responses=ERRORS)
async def make_promise(services: Wired, caller: Caller, body: PromiseIn) -> Response:
    """Two minutes, please; I call you back at three. The holder is reminded, then group and lead; kept or broken is history."""
    if body.case_id is not None:
        made = await promises.promise_on_case(services, caller, body.case_id, body.kind, due_at=body.due_at)
    else:
        call = (body.call.system_id, body.call.call_id) if body.call else ("", "")
        made = await promises.promise_on_call(services, caller, call, body.kind, due_at=body.due_at)
    return json_response(made, status=201)


@router.post("/promises/{promise_id}/kept", responses=ERRORS)
async def keep_promise(services: Wired, caller: Caller, promise_id: int) -> Response:
    """By whoever did it. `kept_late` where it was due before."""
    return json_response({"promise_id": promise_id, "state": await promises.keep_promise(services, caller, promise_id)})


@router.put("/cases/{case_id}/true-reason", responses=ERRORS)
async def put_true_reason(services: Wired, caller: Caller, case_id: Id, body: TrueReasonIn) -> Response:
    """What it really was, beside what was stated."""
    await true_reason.set_true_reason(services, caller, case_id, body.reason.value)
    return json_response({"case_id": case_id, "true_reason": body.reason.value})


@router.get("/handover", responses=ERRORS)
async def read_handover(services: Wired, caller: Caller) -> Response:
    """What I hold, my promises, what waits for a buyer, recalls under way; what I have given, and what was given to me with its notes."""
    return json_response(await handover.read_list(services, caller))


@router.post("/handover", responses=ERRORS)
async def give_cases(services: Wired, caller: Caller, body: HandoverIn) -> Response:
    """To the next shift, with a note each. Per case: empty, or the code why not."""
    given = [handover.Given(case_id=one.case_id, note=one.note.strip()) for one in body.cases]
    return json_response({"cases": await handover.give(services, caller, body.to, given)})


@router.post("/cases/{case_id}/handover-taken", responses=ERRORS)
async def take_case(services: Wired, caller: Caller, case_id: Id) -> Response:
    """Read and taken over. `is_claimed`: the claim came along."""
    return json_response({"case_id": case_id, "is_claimed": await handover.take(services, caller, case_id)})
