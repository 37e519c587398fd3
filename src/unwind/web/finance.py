"""The finance desk: what two people agree to, refunds asked for again, costs, claims, balances, the month's export."""

from datetime import timedelta
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from unwind.desk.refund_exceptions import NEXT_STEPS
from unwind.domain.access import Scope, authorise
from unwind.domain.carrier_claims import ClaimState
from unwind.domain.decisions import Bearer, Fee
from unwind.domain.errors import require
from unwind.flow import balances, carrier_claims, note_costs, payouts, retry_refunds
from unwind.flow.chronicle import clock
from unwind.insight.month import Month, export_month
from unwind.storage import carrier_claims as claim_rows
from unwind.storage import costs, desk, finance_log
from unwind.storage import payouts as payout_rows
from unwind.web.access import Caller, Wired
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.fields import Id
from unwind.web.schemas.finance import (
    BalanceIn,
    ClaimIn,
    ClaimMoveIn,
    OffLineIn,
    PayoutAnswerIn,
    RetriesIn,
    SettleCostIn,
)

router = APIRouter(prefix="/api/v1/finance", tags=["finance"])
PageSize = Annotated[int, Query(ge=1, le=200)]
CostNo = Annotated[int, Path(ge=1, le=1_000_000)]
RETRIES_MAX = 200
MEDIA = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "zip": "application/zip",
    "csv": "text/csv; charset=utf-8",
}
PERIOD_MAX = timedelta(days=366)


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


@router.get("/costs", responses=ERRORS)
async def list_costs(
    services: Wired,
    caller: Caller,
    case_id: Annotated[Id | None, Query()] = None,
    begins: Annotated[AwareDatetime | None, Query(alias="from")] = None,
    ends: Annotated[AwareDatetime | None, Query(alias="to")] = None,
    merchant_id: Annotated[Id | None, Query()] = None,
    fee: Fee | None = None,
    bearer: Bearer | None = None,
    standing: Literal["open", "settled", "written_off"] | None = None,
    limit: PageSize = 100,
) -> Response:
    """What cancellations have cost: of a case, or noted from `from` to before `to` (at most 366 days).

    `totals` count every row, by currency, fee, bearer and standing; `paid_minor` is what carriers have paid of it.
    """
    authorise(caller, Scope.MONEY_READ, merchant_id=merchant_id)
    has_period = begins is not None and ends is not None and timedelta(0) < ends - begins <= PERIOD_MAX
    require(case_id is not None or has_period, "period_needed", days=PERIOD_MAX.days)
    wanted = {
        "m": merchant_id or caller.merchant_id,
        "case": case_id,
        "begins": begins,
        "ends": ends,
        "fee": fee,
        "bearer": bearer,
        "standing": standing,
    }
    async with services.database.connection() as conn:
        rows = await costs.ledger(conn, wanted, rows_max=limit)
        totals = await costs.ledger_totals(conn, wanted)
    return json_response({"costs": rows, "totals": totals})


@router.post("/costs/{case_id}/{n}/settlement", responses=ERRORS)
async def settle_cost(services: Wired, caller: Caller, case_id: str, n: CostNo, body: SettleCostIn) -> Response:
    """It has been paid, by whoever bears it. A cost that a carrier is to pay is settled by its claim."""
    await note_costs.settle_cost(services, caller, case_id, n, reference=body.reference, proof=body.proof)
    return json_response({"case_id": case_id, "n": n, "settled": True})


@router.get("/claims", responses=ERRORS)
async def list_claims(
    services: Wired,
    caller: Caller,
    state: ClaimState | None = None,
    carrier: Annotated[Id | None, Query()] = None,
    merchant_id: Annotated[Id | None, Query()] = None,
    case_id: Annotated[Id | None, Query()] = None,
    *,
    overdue: bool = False,
    limit: PageSize = 50,
) -> Response:
    """What carriers owe; what is due first comes first. `overdue`: only what should have moved by now."""
    authorise(caller, Scope.MONEY_READ, merchant_id=merchant_id)
    async with services.database.connection() as conn:
        rows = await claim_rows.list_claims(
            conn,
            merchant_id=merchant_id or caller.merchant_id,
            carrier=carrier,
            case_id=case_id,
            state=state,
            is_overdue=overdue,
            claims_max=limit,
        )
    return json_response({"claims": rows})


@router.post("/claims", status_code=201, responses=ERRORS)
async def claim_by_hand(services: Wired, caller: Caller, body: ClaimIn) -> Response:
    """What a carrier owes and no cost says: 201 with its id."""
    claim_id = await carrier_claims.claim_by_hand(
        services,
        caller,
        body.case_id,
        reason=body.reason,
        amount_minor=body.amount_minor,
        cost_n=body.cost_n,
        shipment_id=body.shipment_id or "",
    )
    return json_response(await carrier_claims.read_with_moves(services, caller, claim_id), status=201)


@router.get("/claims/{claim_id}", responses=ERRORS)
async def one_claim(services: Wired, caller: Caller, claim_id: str) -> Response:
    """With every move: who, when, by which document."""
    return json_response(await carrier_claims.read_with_moves(services, caller, claim_id))


@router.post("/claims/{claim_id}/moves", responses=ERRORS)
async def move_claim(services: Wired, caller: Caller, claim_id: str, body: ClaimMoveIn) -> Response:
    """From open to filed, accepted, paid; rejected may be filed again; whatever is not paid may be written off."""
    await carrier_claims.move_claim(
        services,
        caller,
        claim_id,
        ClaimState(body.to),
        reference=body.reference,
        paid_minor=body.paid_minor,
        reason=body.reason,
        due_at=body.due_at,
    )
    return json_response(await carrier_claims.read_with_moves(services, caller, claim_id))


@router.get("/balances", responses=ERRORS)
async def list_balances(services: Wired, caller: Caller) -> Response:
    """Per payment connection and currency: what it holds, what has to leave, and whether the next 24 and 72 hours are covered.

    `balance_minor: null`: nobody has said it, and nothing is called short.
    """
    authorise(caller, Scope.MONEY_READ, is_platform=True)
    async with services.database.connection() as conn:
        now = await clock(conn)
        channels = await balances.survey(conn, frozenset(services.gateways))
    return json_response({"as_of": now, "channels": [balances.shown(one, now) for one in channels]})


@router.put("/balances/{connection}", status_code=204, responses=ERRORS)
async def enter_balance(services: Wired, caller: Caller, connection: str, body: BalanceIn) -> Response:
    """By hand, where the gateway does not tell; kept with who and when."""
    await balances.enter_balance(services, caller, connection, currency=body.currency, balance_minor=body.balance_minor)
    return Response(status_code=204)


@router.get("/log", responses=ERRORS)
async def list_log(services: Wired, caller: Caller, limit: PageSize = 50) -> Response:
    """Exports that were taken and balances that were entered, the newest first, with who."""
    authorise(caller, Scope.MONEY_READ, is_platform=True)
    async with services.database.connection() as conn:
        return json_response({"entries": await finance_log.entries(conn, entries_max=limit)})


@router.get("/exports/{month}", responses={200: {"content": {media: {} for media in MEDIA.values()}}, **ERRORS})
async def export_month_of(
    services: Wired,
    caller: Caller,
    month: Annotated[str, Path(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")],
    form: Annotated[Literal["xlsx", "csv"], Query(alias="format")] = "xlsx",
    sheet: Annotated[str | None, Query(max_length=32)] = None,
    merchant_id: Annotated[Id | None, Query()] = None,
) -> Response:
    """A month's books, of one merchant or all, from one snapshot: a workbook, a ZIP of CSV files, or with `sheet` one CSV file.

    The month is each shop's own. That it was taken is logged (`GET /api/v1/finance/log`).
    """
    authorise(caller, Scope.MONEY_READ, merchant_id=merchant_id)
    of = merchant_id or caller.merchant_id
    kind = "xlsx" if form == "xlsx" else "csv" if sheet else "zip"
    folder = TemporaryDirectory(prefix="unwind-month-", ignore_cleanup_errors=True)
    path = FilePath(folder.name) / f"unwind-{of or 'all'}-{month}{f'-{sheet}' if kind == 'csv' else ''}.{kind}"
    try:
        await export_month(
            services.database,
            Month.read(month),
            merchant_id=of,
            path=path,
            by=caller.actor,
            form=form,
            sheet=sheet,
        )
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(
        path,
        media_type=MEDIA[kind],
        filename=path.name,
        headers={"Cache-Control": "no-store"},
        background=BackgroundTask(folder.cleanup),
    )
