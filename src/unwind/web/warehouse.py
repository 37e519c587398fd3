"""For warehouses: what must not ship, scans at the bench and the dock, holds, returned parcels, parcels that were called shipped."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import Response

from unwind.domain.access import Scope, authorise
from unwind.domain.scans import ScanKind
from unwind.flow import attachments, hold_answers, returns, scan
from unwind.flow.chronicle import clock
from unwind.storage import false_dispatches, warehouse
from unwind.storage import returns as return_rows
from unwind.storage.database import to_json
from unwind.web.access import Caller, Wired
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.fields import Id, Ref
from unwind.web.schemas.warehouse import CloseReturnIn, HoldAnswerIn, InspectionIn, ReturnScanIn, ScanIn

router = APIRouter(prefix="/api/v1/warehouse", tags=["warehouse"])
STOPS_MAX = 5000
PageSize = Annotated[int, Query(ge=1, le=500)]


@router.get("/stops", responses=ERRORS)
async def list_stops(
    services: Wired,
    caller: Caller,
    wave: Annotated[Ref | None, Query()] = None,
    location: Annotated[Id | None, Query()] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Everything that must not ship, by wave, place and planned dispatch: the whole list, for a device to work offline against.

    `ETag` changes with its content only: 304 means that the list held is still the list; `as_of` in the header says as of when.
    """
    authorise(caller, Scope.WAREHOUSE_READ)
    async with services.database.connection() as conn:
        now = await clock(conn)
        rows = await warehouse.stops(
            conn, merchant_id=caller.merchant_id, wave=wave, location=location, stops_max=STOPS_MAX + 1
        )
    stops = [warehouse.shown_stop(row) for row in rows[:STOPS_MAX]]
    version = hashlib.sha256(to_json(stops).encode()).hexdigest()[:32]
    headers = {"ETag": f'"{version}"', "X-As-Of": now.isoformat(), "Cache-Control": "private, no-cache"}
    if if_none_match is not None and version in if_none_match:
        return Response(status_code=304, headers=headers)
    body = {"as_of": now, "version": version, "stops": stops, "is_complete": len(rows) <= STOPS_MAX}
    return json_response(body, headers=headers)


@router.post("/scans", responses=ERRORS)
async def scan_code(services: Wired, caller: Caller, body: ScanIn) -> Response:
    """One code, one answer: `ship_it`, `stop`, `too_late` or `unknown`; a return is taken in. `event_id` makes it idempotent.

    A stop scan is the warehouse's word on an open hold. Somebody else's code is 404, like one that does not exist.
    """
    step = returns.take_return if body.kind is ScanKind.RETURN else scan.scan
    return json_response(await step(services, caller, body.scan()))


@router.post("/holds/{case_id}/{leg_no}", responses=ERRORS)
async def answer_hold(services: Wired, caller: Caller, case_id: str, leg_no: int, body: HoldAnswerIn) -> Response:
    """Stopped; or not, and why. Also for warehouses whose system is asked at the same time: the first word counts."""
    await hold_answers.answer_hold(services, caller, case_id, leg_no, refused=body.reason, reference=body.reference)
    return json_response({"case_id": case_id, "leg_no": leg_no, "outcome": body.outcome})


@router.get("/returns", responses=ERRORS)
async def list_returns(services: Wired, caller: Caller, limit: PageSize = 100) -> Response:
    """Arrived and not inspected, and parcels that nobody awaits; the longest waiting first."""
    authorise(caller, Scope.WAREHOUSE_READ)
    async with services.database.connection() as conn:
        rows = await return_rows.open_returns(conn, merchant_id=caller.merchant_id, returns_max=limit)
    return json_response({"returns": rows})


@router.post("/returns/scan", responses=ERRORS)
async def scan_return(services: Wired, caller: Caller, body: ReturnScanIn) -> Response:
    """A parcel has come back: `take_in` puts what is awaited into quarantine, once; `unexpected` is noted for a person."""
    return json_response(await returns.take_return(services, caller, body.scan()))


@router.post("/returns/{return_id}/inspection", responses=ERRORS)
async def inspect_return(services: Wired, caller: Caller, return_id: str, body: InspectionIn) -> Response:
    """Per line good, second, scrap and short, which account for every unit awaited; with photos unless all are good."""
    found = {line.line_id: line.found() for line in body.lines}
    return json_response(await returns.inspect(services, caller, return_id, found, photos=body.photos))


@router.post(
    "/returns/{return_id}/attachments",
    status_code=201,
    responses=ERRORS,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                name: {"schema": {"type": "string", "format": "binary"}}
                for name in ("image/jpeg", "image/png", "image/webp")
            },
        }
    },
)
async def attach_photo(services: Wired, caller: Caller, return_id: str, request: Request) -> Response:
    """A photo of what came back, up to 5 MB; encrypted with the order's key, without where it was taken."""
    case_id = await returns.case_behind(services, caller, return_id)
    stored = await attachments.attach(services, caller, case_id, await request.body(), scope=Scope.WAREHOUSE_WORK)
    return json_response(stored, status=201)


@router.post("/returns/{return_id}/close", responses=ERRORS)
async def close_return(services: Wired, caller: Caller, return_id: str, body: CloseReturnIn) -> Response:
    """A parcel nobody awaited: what has become of it."""
    await returns.close_unexpected(services, caller, return_id, closed_as=body.closed_as)
    return json_response({"return_id": return_id, "closed_as": body.closed_as})


@router.get("/false-dispatches", responses=ERRORS)
async def list_false_dispatches(services: Wired, caller: Caller, limit: PageSize = 100) -> Response:
    """Called shipped, and no carrier had picked it up when that was due; the newest first."""
    authorise(caller, Scope.WAREHOUSE_READ)
    async with services.database.connection() as conn:
        rows = await false_dispatches.newest(conn, merchant_id=caller.merchant_id, rows_max=limit)
    return json_response({"false_dispatches": rows})
