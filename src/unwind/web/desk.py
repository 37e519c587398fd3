"""For agents and leads: what waits, everything about one case, the decision; and the tasks of warehouses and merchants."""

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from unwind.desk.dossier import read_dossier
from unwind.desk.refund_exceptions import NEXT_STEPS, exception_of
from unwind.domain.access import Scope, authorise
from unwind.domain.bill import DifferenceKind
from unwind.domain.errors import Refusal
from unwind.flow import ask_buyer, hand_work, payouts, review
from unwind.flow.queue import keep_alive
from unwind.reconcile import settle_difference
from unwind.storage import bills, desk, queue, tasks
from unwind.web.access import Caller, Wired
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.desk import BuyerQuestionIn, DecisionIn, TaskResultIn
from unwind.web.schemas.fields import Id
from unwind.web.schemas.finance import Kind, OtherAccountIn, SettleDifferenceIn

router = APIRouter(prefix="/api/v1/desk", tags=["desk"])
Audience = Literal["warehouse", "carrier", "finance", "merchant", "store", "platform"]
PageSize = Annotated[int, Query(ge=1, le=200)]


@router.get("/cases", responses=ERRORS)
async def list_cases(services: Wired, caller: Caller, limit: PageSize = 50) -> Response:
    """Cases waiting for a decision: by urgency, then due time, then money at risk."""
    authorise(caller, Scope.DESK_READ)
    async with services.database.connection() as conn:
        rows = await queue.cases_in_review(conn, merchant_id=caller.merchant_id, cases_max=limit)
    return json_response({"cases": rows})


@router.get("/cases/{case_id}", responses=ERRORS)
async def one_case(services: Wired, caller: Caller, case_id: str) -> Response:
    """The whole of a case: order, money, parcels with the age of their news, tasks, messages, history."""
    async with services.database.connection() as conn:
        dossier = await read_dossier(conn, services.vault, case_id)
    if dossier is None:
        raise Refusal("not_found")
    authorise(caller, Scope.DESK_READ, merchant_id=dossier["merchant_id"], order_id=dossier["order_id"])
    return json_response(dossier)


@router.post("/cases/{case_id}/decisions", responses=ERRORS)
async def decide(services: Wired, caller: Caller, case_id: str, body: DecisionIn) -> Response:
    """One human decision, bound to the versions of case and order that were seen. 409 `stale` says what they are now.

    202: it leaves what one person may decide and waits for a second (`GET /api/v1/desk/approvals`); nothing has been done.
    """
    ruling = body.ruling(case_version=body.case_version, order_version=body.order_version)
    waits = await review.decide(services, caller, case_id, ruling, address=body.address.strip())
    await keep_alive(services, caller, [case_id], has_screen=False)
    shown = await one_case(services, caller, case_id)
    if waits is not None:
        shown.status_code = 202
    return shown


@router.post("/cases/{case_id}/buyer-question", responses=ERRORS)
async def ask_the_buyer(services: Wired, caller: Caller, case_id: str, body: BuyerQuestionIn) -> Response:
    """The buyer has been asked: the respond clock stops, the resolve clock waits until they say something or the time is over."""
    await ask_buyer.ask_buyer(services, caller, case_id, reason_code=body.reason_code, minutes=body.minutes)
    return await one_case(services, caller, case_id)


@router.post("/cases/{case_id}/buyer-answer", responses=ERRORS)
async def note_the_answer(services: Wired, caller: Caller, case_id: str) -> Response:
    """The agent has the answer. A buyer who contacts us by any channel ends the question by themselves."""
    await ask_buyer.note_answer(services, caller, case_id)
    return await one_case(services, caller, case_id)


@router.get("/refund-exceptions", responses=ERRORS)
async def list_refund_exceptions(
    services: Wired,
    caller: Caller,
    limit: PageSize = 50,
    kind: Kind | None = None,
    connection: Annotated[Id | None, Query()] = None,
    merchant_id: Annotated[Id | None, Query()] = None,
) -> Response:
    """Refunds that cannot go on without a person, the longest waiting first: amount, age, what has to be done next, who holds the case.

    After a top-up or a cleared doubt: the decision `retry` on the case, or `POST /api/v1/finance/connections/{connection}/retries` for all of a
    connection. `proposal`: what waits for a second person.
    """
    authorise(caller, Scope.DESK_READ, merchant_id=merchant_id)
    async with services.database.connection() as conn:
        rows = await desk.refund_exceptions(
            conn,
            merchant_id=merchant_id or caller.merchant_id,
            connection=connection,
            kind=kind,
            kinds=tuple(NEXT_STEPS),
            refunds_max=limit,
        )
    return json_response({"refunds": [exception_of(row) for row in rows]})


@router.post("/cases/{case_id}/legs/{leg_no}/other-account", status_code=202, responses=ERRORS)
async def propose_other_account(
    services: Wired, caller: Caller, case_id: str, leg_no: int, body: OtherAccountIn
) -> Response:
    """An abnormal refund is to go elsewhere, where the gateway can: once another person agrees (`POST /api/v1/finance/payouts/{proposal_id}`).

    The holder's name must be the one that stands with the order. The account is sealed until then, and destroyed after a day at the latest.
    """
    proposal_id = await payouts.propose_account(
        services, caller, case_id, leg_no, body.account(), case_version=body.case_version
    )
    return json_response({"proposal_id": proposal_id, "case_id": case_id, "leg_no": leg_no}, status=202)


@router.get("/bill-differences", responses=ERRORS)
async def list_bill_differences(
    services: Wired,
    caller: Caller,
    limit: PageSize = 50,
    state: Literal["open", "closed"] = "open",
    connection: Annotated[Id | None, Query()] = None,
    kind: DifferenceKind | None = None,
    begins: Annotated[date | None, Query(alias="from", description="a day in Beijing")] = None,
    ends: Annotated[date | None, Query(alias="to", description="a day in Beijing, included")] = None,
) -> Response:
    """Where a provider's bill and our ledger differ, the oldest first, with age and order.

    `from`, `to`: of whose bill an open one is; when a closed one was closed, which comes with who, how and by which voucher.
    """
    authorise(caller, Scope.MONEY_READ, is_platform=True)
    async with services.database.connection() as conn:
        rows = await bills.list_differences(
            conn,
            is_closed=state == "closed",
            connection=connection,
            kind=kind,
            begins=begins,
            ends=ends,
            differences_max=limit,
        )
    return json_response({"differences": rows})


@router.post("/bill-differences/{difference_id}/settle", responses=ERRORS)
async def settle_bill_difference(
    services: Wired, caller: Caller, difference_id: int, body: SettleDifferenceIn
) -> Response:
    """`book_elsewhere`: the provider paid it back without us, so so much less may still go back. `explained`: nothing to book.

    `reference` names the voucher; it is kept with who and when.
    """
    await settle_difference(services.database, caller, difference_id, body.resolution, reference=body.reference)
    return json_response({"difference_id": difference_id, "resolution": body.resolution.value})


@router.get("/tasks", responses=ERRORS)
async def list_tasks(
    services: Wired, caller: Caller, limit: PageSize = 50, audience: Audience | None = None
) -> Response:
    """Legs without a connector that wait for a person's hands, most urgent first."""
    authorise(caller, Scope.TASKS_READ)
    async with services.database.connection() as conn:
        return json_response(
            {"tasks": await tasks.list_tasks(conn, merchant_id=caller.merchant_id, tasks_max=limit, audience=audience)}
        )


@router.post("/tasks/{task_id}/link", status_code=201, responses=ERRORS)
async def link_task(services: Wired, caller: Caller, task_id: str) -> Response:
    """For a warehouse, carrier, store or merchant without an account. Whoever holds it answers this one task."""
    token = await hand_work.make_task_link(services, caller, task_id)
    return json_response({"task_id": task_id, "link": f"{services.public_url}/a/{token}"}, status=201)


@router.post("/tasks/{task_id}/result", responses=ERRORS)
async def answer_task(services: Wired, caller: Caller, task_id: str, body: TaskResultIn) -> Response:
    """Done, or refused, with what proves it."""
    evidence: dict[str, str | int] = {f"scrap:{line_id}": units for line_id, units in body.scrap.items()}
    if body.reference:
        evidence["reference"] = body.reference
    if body.confirmation:
        evidence["confirmation"] = body.confirmation
    await hand_work.answer_task(services, caller, task_id, is_done=body.outcome == "done", evidence=evidence)
    return json_response({"task_id": task_id, "outcome": body.outcome})
