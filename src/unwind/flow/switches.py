"""The kill switch of a kind of step: planned ones wait where everybody sees it, nothing fails, and lifting it lets them go on.

What has left may still be asked about, and is not said again. What a request makes true in its own transaction is no step on its way.
"""

from typing import Any

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.errors import require
from unwind.domain.legs import LegKind
from unwind.flow.services import Services
from unwind.storage import locks, merchants, switches, trust

CASES_MAX = 5000
"""Woken at once; more of them look again by themselves (`Pace.longest_retry`)."""


async def switch_off(
    services: Services, principal: Principal, kind: LegKind, *, connection: str, merchant_id: str, why: str
) -> int:
    authorise(principal, Scope.ADMIN, merchant_id=merchant_id or None, is_platform=not merchant_id)
    require(not connection or connection in services.links or connection == "manual", "unknown_connection")
    async with services.database.transaction() as conn:
        if merchant_id:
            require(await merchants.read_merchant(conn, merchant_id) is not None, "unknown_merchant")
        switch_id = await switches.switch_off(
            conn, kind, connection=connection, merchant_id=merchant_id, by=principal.actor, why=why
        )
        require(switch_id is not None, "nothing_to_change")
        assert switch_id is not None  # noqa: S101 - for the type checker; required above
        data = {"switch_id": switch_id, "kind": kind.value, "connection": connection}
        await trust.note(conn, "switched_off", actor=principal.actor, merchant_id=merchant_id, why=why, data=data)
    return switch_id


async def switch_on(services: Services, principal: Principal, switch_id: int, *, why: str) -> dict[str, Any]:
    """What waited is due now, each case in a transaction of its own."""
    async with services.database.transaction() as conn:
        switch = await switches.read_switch(conn, switch_id)
        require(switch is not None, "not_found")
        assert switch is not None  # noqa: S101 - for the type checker; required above
        merchant_id = switch["merchant_id"]
        authorise(principal, Scope.ADMIN, merchant_id=merchant_id or None, is_platform=not merchant_id)
        require(await switches.switch_on(conn, switch_id, by=principal.actor), "nothing_to_change")
        data = {"switch_id": switch_id, "kind": switch["kind"], "connection": switch["connection"]}
        await trust.note(conn, "switched_on", actor=principal.actor, merchant_id=merchant_id, why=why, data=data)
        waiting = await switches.waiting_cases(conn, switch["kind"], cases_max=CASES_MAX)
    for case_id in waiting:
        async with services.database.transaction() as conn:
            await locks.lock_case(conn, case_id)
            await switches.resume_legs(conn, case_id, switch["kind"])
            await locks.wake_case(conn, case_id)
    return {"switch_id": switch_id, "kind": switch["kind"], "resumed": len(waiting)}
