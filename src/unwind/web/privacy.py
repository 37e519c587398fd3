"""People's data: seen in full for a reason that stays on record, and kept no longer than it has to be."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from unwind.domain.access import Scope, may
from unwind.domain.errors import require
from unwind.domain.retention import Kind
from unwind.domain.reveal import USUAL_ORDERS_PER_DAY
from unwind.flow import retention, reveal
from unwind.storage import reveals
from unwind.web.access import Caller, Wired
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.fields import Id
from unwind.web.schemas.privacy import PeriodIn, RevealIn, ThresholdIn

router = APIRouter(prefix="/api/v1", tags=["privacy"])
NOT_KEPT = {"Cache-Control": "no-store"}


@router.post("/desk/orders/{order_id}/reveal", responses=ERRORS)
async def reveal_people(services: Wired, caller: Caller, order_id: Id, body: RevealIn) -> Response:
    """The full values of the named fields, for whoever works on the case; on record before they are shown. 60 an hour.

    `answer_buyer` asks for a checked identity, `authority` for a lead; each reason opens only the fields it needs.
    """
    values = await reveal.reveal(services, caller, order_id, body.case_id, body.fields, body.why)
    return json_response({"order_id": order_id, "values": values}, headers=NOT_KEPT)


@router.get("/admin/reveals", responses=ERRORS)
async def list_reveals(
    services: Wired,
    caller: Caller,
    principal_id: Id | None = None,
    order_id: Id | None = None,
    before: Annotated[int | None, Query(ge=1, le=2**62, description="the last `reveal_id` seen")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """Who saw which fields of whose order, when, and why; newest first, never a value. With the number above which it is unusual."""
    require(may(caller, Scope.AUDIT_READ) or may(caller, Scope.CASES_LEAD), "forbidden")
    async with services.database.connection() as conn:
        rows = await reveals.list_reveals(
            conn,
            merchant_id=caller.merchant_id,
            principal_id=principal_id,
            order_id=order_id,
            before=before,
            reveals_max=limit,
        )
        threshold = await reveals.read_threshold(conn)
    return json_response(
        {"reveals": rows, "threshold": threshold or {"version": 0, "orders_per_day": USUAL_ORDERS_PER_DAY}}
    )


@router.put("/admin/reveals/threshold", responses=ERRORS)
async def set_reveal_threshold(services: Wired, caller: Caller, body: ThresholdIn) -> Response:
    """Whoever sees the people of more orders within 24 hours raises the alert `unusually_many`."""
    await reveal.set_threshold(services, caller, body.orders_per_day, why=body.why)
    return json_response({"orders_per_day": body.orders_per_day})


@router.get("/admin/retention", responses=ERRORS)
async def read_retention(services: Wired, caller: Caller) -> Response:
    """Each kind of record: its period, the least one, its oldest row, and how many are due (counted up to 10,000)."""
    return json_response({"kinds": await retention.standing(services, caller)})


@router.put("/admin/retention/{kind}", responses=ERRORS)
async def change_retention(services: Wired, caller: Caller, kind: Kind, body: PeriodIn) -> Response:
    """Never below the least period; what has been deleted stays deleted."""
    period = await retention.change(services, caller, kind, n=body.n, why=body.why)
    return json_response({"kind": kind.value, "n": period.n, "unit": period.unit.value})
