"""Everything that says something of a person ends: each kind after its period, in batches, by the worker."""

from typing import Any

import structlog

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.errors import require
from unwind.domain.retention import SPECS, Kind, Period, require_sound, usual_period
from unwind.flow.chronicle import clock
from unwind.flow.services import Services
from unwind.storage import retention
from unwind.storage.database import Connection

ROWS_MAX = 1000

log = structlog.get_logger()


async def periods_in_force(conn: Connection, services: Services) -> dict[Kind, Period]:
    set_by_people = {row["kind"]: row["n"] for row in await retention.periods(conn)}
    usual = {kind: usual_period(kind, records_kept_years=services.records_kept_years) for kind in Kind}
    return {kind: Period(kind=kind, n=set_by_people.get(kind.value, usual[kind].n)) for kind in Kind}


async def kept_years(conn: Connection, services: Services) -> int:
    """So long records of a transaction are kept after the last thing that happened to it."""
    return (await periods_in_force(conn, services))[Kind.PRIVATE_DATA].n


async def standing(services: Services, principal: Principal) -> list[dict[str, Any]]:
    """Each kind with its period, who set it and why, its oldest row and how many are due."""
    authorise(principal, Scope.OPERATIONS_READ, is_platform=True)
    shown = []
    async with services.database.survey() as conn:
        changed = {row["kind"]: row for row in await retention.periods(conn)}
        for kind, period in (await periods_in_force(conn, services)).items():
            last = changed.get(kind.value, {})
            shown.append(
                {
                    "kind": kind.value,
                    "n": period.n,
                    "unit": period.unit.value,
                    "least": SPECS[kind].least,
                    "version": last.get("version", 0),
                    "set_by": last.get("set_by"),
                    "set_at": last.get("set_at"),
                    "why": last.get("why"),
                    **await retention.standing(conn, kind, before=await retention.before(conn, period)),
                }
            )
    return shown


async def change(services: Services, principal: Principal, kind: Kind, *, n: int, why: str) -> Period:
    """In force with the worker's next round. What has been deleted stays deleted."""
    authorise(principal, Scope.ADMIN, is_platform=True)
    period = Period(kind=kind, n=n)
    require_sound(period)
    async with services.database.transaction() as conn:
        require((await periods_in_force(conn, services))[kind].n != n, "nothing_to_change")
        await retention.set_period(conn, period, by=principal.actor, at=await clock(conn), why=why)
    return period


async def forget_due(services: Services) -> bool:
    """One batch of every kind. True when there may be more."""
    is_more = False
    async with services.database.connection() as conn:
        periods = await periods_in_force(conn, services)
    for kind, period in periods.items():
        async with services.database.transaction() as conn:
            before = await retention.before(conn, period)
            gone = await retention.forget(conn, kind, before=before, rows_max=ROWS_MAX)
        if gone:
            log.info("forgotten", kind=kind.value, rows=gone)
        is_more = is_more or gone >= ROWS_MAX
    return is_more
