"""The finance desk: what two people agree to, refunds asked for again, costs, claims, balances, the month's export."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from unwind.desk.refund_exceptions import NEXT_STEPS
from unwind.domain.access import Scope, authorise
from unwind.flow import payouts, retry_refunds
from unwind.storage import desk
from unwind.storage import payouts as payout_rows
from unwind.web.access import Caller, Wired
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.finance import OffLineIn, PayoutAnswerIn, RetriesIn

router = APIRouter(prefix="/api/v1/finance", tags=["finance"])
PageSize = Annotated[int, Query(ge=1, le=200)]
RETRIES_MAX = 200


@router.post("/cases/{case_id}/legs/{leg_no}/off-line", status_code=202, responses=ERRORS)
async def propose_off_line(services: Wired, caller: Caller, case_id: str, leg_no: int, body: OffLineIn) -> Response:
    """A blocked refund has been paid off-line. It counts once another person agrees; nothing is booked before.

    One whose outcome is unknown is refused with `ask_gateway_first`: it may have arrived.
    """
    proposal_id = await payouts.propose_off_line(
        services, caller, case_id, leg_no, body.proof(), case_version=body.case_version
    )
    return json_response({"proposal_id": proposal_id, "case_id": case_id, "leg_no": leg_no}, status=202)


@router.get("/payouts", responses=ERRORS)
async def list_payouts(services: Wired, caller: Caller, limit: PageSize = 50) -> Response:
    """Refunds by another way that wait for a second person. Of an account: its kind and last four digits."""
    authorise(caller, Scope.MONEY_READ)
    async with services.database.connection() as conn:
        rows = await payout_rows.open_proposals(conn, merchant_id=caller.merchant_id, proposals_max=limit)
    return json_response({"payouts": rows})


@router.post("/payouts/{proposal_id}", responses=ERRORS)
async def answer_payout(services: Wired, caller: Caller, proposal_id: str, body: PayoutAnswerIn) -> Response:
    """Another person agrees, and it is carried out once; or declines. Either way the account is destroyed."""
    case_id = await payouts.second(services, caller, proposal_id, is_agreed=body.agree)
    return json_response({"proposal_id": proposal_id, "case_id": case_id, "agreed": body.agree})


@router.delete("/payouts/{proposal_id}", status_code=204, responses=ERRORS)
async def withdraw_payout(services: Wired, caller: Caller, proposal_id: str) -> Response:
    """Whoever proposed it takes it back; the account is destroyed."""
    await payouts.withdraw(services, caller, proposal_id)
    return Response(status_code=204)


@router.post("/connections/{connection}/retries", responses=ERRORS)
async def retry_refunds_of(services: Wired, caller: Caller, connection: str, body: RetriesIn) -> Response:
    """Blocked refunds of one kind, each by the number it has, one case after the other; at most 200 at once.

    What somebody else holds, or what has changed meanwhile, is left and named.
    """
    merchant_id = body.merchant_id or caller.merchant_id
    authorise(caller, Scope.MONEY_SETTLE, merchant_id=merchant_id)
    async with services.database.connection() as conn:
        seen = await desk.refund_exceptions(
            conn,
            merchant_id=merchant_id,
            connection=connection,
            kind=body.kind,
            kinds=tuple(NEXT_STEPS),
            case_ids=body.case_ids,
            refunds_max=RETRIES_MAX,
        )
    return json_response({"cases": await retry_refunds.retry_refunds(services, caller, seen)})
