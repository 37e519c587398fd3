"""For those who run the service: when each queue is worked on, the official days off, and how long a case may take."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from unwind.domain.access import Scope as Right
from unwind.domain.access import authorise
from unwind.domain.timetable import Scope, Targets
from unwind.flow import timetable
from unwind.storage import timetables
from unwind.web.access import Caller, Wired
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.fields import Id
from unwind.web.schemas.worktime import CalendarIn, HolidaysIn, TargetsIn

router = APIRouter(prefix="/api/v1/admin", tags=["working time"])
Year = Annotated[int, Path(ge=2000, le=2200)]
MerchantOf = Annotated[Id | Literal[""], Query(description="empty: every merchant without its own")]


@router.get("/timetable", responses=ERRORS)
async def read_timetable(services: Wired, caller: Caller) -> Response:
    """Everything that holds now: calendars by scope, official days by year, target minutes by merchant."""
    authorise(caller, Right.OPERATIONS_READ)
    mine = caller.merchant_id
    async with services.database.connection() as conn:
        version = await timetables.current_version(conn)
        calendars = await timetables.newest_calendars(conn)
        years = await timetables.newest_years(conn)
        targets = await timetables.newest_targets(conn)
    return json_response(
        {
            "version": version,
            "calendars": [
                row for row in calendars if mine is None or row["scope"] != "merchant" or row["scope_id"] == mine
            ],
            "holidays": years,
            "targets": [row for row in targets if mine is None or row["merchant_id"] in {"", mine}],
        }
    )


@router.put("/calendars/{scope}/{scope_id}", responses=ERRORS)
async def put_calendar(services: Wired, caller: Caller, scope: Scope, scope_id: Id, body: CalendarIn) -> Response:
    """A new version. The narrowest scope holds: merchant, channel, queue, all (whose id does not matter). Open cases follow."""
    version = await timetable.set_calendar(services.database, services.hours, caller, scope, scope_id, body.rules())
    return json_response({"version": version})


@router.delete("/calendars/{scope}/{scope_id}", responses=ERRORS)
async def delete_calendar(services: Wired, caller: Caller, scope: Scope, scope_id: Id) -> Response:
    """Takes a calendar back; the next wider one holds. Its versions stay on record."""
    version = await timetable.set_calendar(services.database, services.hours, caller, scope, scope_id, None)
    return json_response({"version": version})


@router.put("/holidays/{year}", responses=ERRORS)
async def put_holidays(services: Wired, caller: Caller, year: Year, body: HolidaysIn) -> Response:
    """The official days off (`off`) and make-up workdays (`work`) of one year, as a whole."""
    version = await timetable.set_year(services.database, services.hours, caller, year, body.days)
    return json_response({"version": version})


@router.put("/clock-targets", responses=ERRORS)
async def put_targets(services: Wired, caller: Caller, body: TargetsIn, merchant_id: MerchantOf = "") -> Response:
    """Working minutes of both clocks. Open cases follow."""
    targets = Targets(**body.model_dump())
    version = await timetable.set_targets(services.database, services.hours, caller, merchant_id, targets)
    return json_response({"version": version})


@router.delete("/clock-targets", responses=ERRORS)
async def delete_targets(services: Wired, caller: Caller, merchant_id: MerchantOf = "") -> Response:
    """Back to those of all merchants, or to the program's own."""
    version = await timetable.set_targets(services.database, services.hours, caller, merchant_id, None)
    return json_response({"version": version})
