"""What a breaker stopped goes on in one go, by name: each case is a decision of its own, on the versions that were seen.

    waiting -> [above what one person may return together: a second person] -> approve, case by case -> what became of each

Nothing of a decision is left out: a case that has changed, that somebody else holds, or that alone needs a second person says so in the report.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.decisions import Choice, Ruling
from unwind.domain.errors import Refusal, require
from unwind.flow import review
from unwind.flow.chronicle import clock
from unwind.flow.services import Services
from unwind.storage import breaker_runs, trust
from unwind.storage.database import Connection

CASES_MAX = 500
"""Of one go; what is left is another."""
AT_ONCE = 4
PROPOSAL_LIFE = timedelta(days=1)
REASON = "breaker_continued"
NOT_OF_BREAKER = "not_of_breaker"
"""Decided meanwhile, or never stopped by this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A case as whoever continues it has seen it."""

    case_id: str
    case_version: int
    order_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    run_id: int
    minor: int
    waits_for_second: bool
    is_more: bool
    """Others of the breaker still wait."""
    cases: tuple[Mapping[str, Any], ...]


async def start(
    services: Services, principal: Principal, breaker_id: int, *, seen: Sequence[Seen] | None, why: str
) -> Run:
    """`seen` None: all that wait, as they are now. Above the merchant's limit for one person nothing is done before a second one agrees."""
    async with services.database.transaction() as conn:
        breaker = await _visible(conn, principal, breaker_id)
        waiting = await breaker_runs.waiting_of(conn, breaker, cases_max=CASES_MAX + 1)
        chosen = _chosen(waiting, seen)
        require(bool(chosen), "nothing_to_decide")
        minor = sum(one["minor"] for one in chosen)
        needs_second = minor > breaker["agent_limit_minor"]
        run_id = await breaker_runs.add_run(
            conn,
            breaker,
            chosen,
            minor=minor,
            by=principal.actor,
            at=await clock(conn),
            why=why,
            needs_second=needs_second,
        )
        data = {"breaker_id": breaker_id, "run": run_id, "cases": len(chosen), "minor": minor}
        what = "breaker_run_proposed" if needs_second else "breaker_run"
        await trust.note(conn, what, actor=principal.actor, merchant_id=breaker["merchant_id"], why=why, data=data)
    done: Sequence[Mapping[str, Any]] = chosen
    if not needs_second:
        done = await _carry_out(services, principal, run_id, chosen)
    return Run(
        run_id=run_id,
        minor=minor,
        waits_for_second=needs_second,
        is_more=len(waiting) > len(chosen),
        cases=tuple(done),
    )


async def agree(services: Services, principal: Principal, breaker_id: int, run_id: int, *, why: str) -> Run:
    """A second person, within a day. Who agreed may ask again where the first time was interrupted: what is decided stays decided."""
    async with services.database.transaction() as conn:
        breaker = await _visible(conn, principal, breaker_id)
        run = await breaker_runs.read_run(conn, breaker_id, run_id)
        if run is None:
            raise Refusal("not_found")
        now = await clock(conn)
        require(run["needs_second"] and run["result"] is None, "nothing_to_change")
        require(run["started_by"].partition(":")[2] != principal.principal_id, "different_person_needed")
        require(run["started_at"] > now - PROPOSAL_LIFE, "stale")
        require(await breaker_runs.agree(conn, run_id, by=principal.actor, at=now), "nothing_to_change")
        data = {"breaker_id": breaker_id, "run": run_id, "first": run["started_by"]}
        await trust.note(
            conn, "breaker_run_agreed", actor=principal.actor, merchant_id=breaker["merchant_id"], why=why, data=data
        )
    done = await _carry_out(services, principal, run_id, run["cases"])
    async with services.database.connection() as conn:
        left = await breaker_runs.waiting_of(conn, breaker, cases_max=1)
    return Run(run_id=run_id, minor=run["minor"], waits_for_second=False, is_more=bool(left), cases=tuple(done))


async def standing(services: Services, principal: Principal, breaker_id: int) -> dict[str, Any]:
    """What still waits, counted up to one go, and what was continued before."""
    authorise(principal, Scope.OPERATIONS_READ)
    async with services.database.connection() as conn:
        breaker = await breaker_runs.read_breaker(conn, breaker_id)
        if breaker is None or principal.merchant_id not in {None, breaker["merchant_id"]}:
            raise Refusal("not_found")
        waiting = await breaker_runs.waiting_of(conn, breaker, cases_max=CASES_MAX)
        runs = await breaker_runs.runs_of(conn, breaker_id, runs_max=50)
    return {
        "breaker_id": breaker_id,
        "waiting": len(waiting),
        "minor": sum(one["minor"] for one in waiting),
        "cases": waiting,
        "runs": runs,
    }


async def _visible(conn: Connection, principal: Principal, breaker_id: int) -> dict[str, Any]:
    breaker = await breaker_runs.read_breaker(conn, breaker_id)
    if breaker is None:
        raise Refusal("not_found")
    for scope in (Scope.CASES_LEAD, Scope.CASES_DECIDE):
        authorise(principal, scope, merchant_id=breaker["merchant_id"])
    return breaker


def _chosen(waiting: Sequence[Mapping[str, Any]], seen: Sequence[Seen] | None) -> list[dict[str, Any]]:
    """With the versions that were seen. What this breaker did not stop, or somebody has decided, is kept for the report."""
    if seen is None:
        return [dict(one) for one in waiting[:CASES_MAX]]
    known = {one["case_id"]: one for one in waiting}
    return [
        {
            "case_id": one.case_id,
            "case_version": one.case_version,
            "order_version": one.order_version,
            "minor": known[one.case_id]["minor"] if one.case_id in known else 0,
            "is_of_breaker": one.case_id in known,
        }
        for one in {one.case_id: one for one in seen}.values()
    ]


async def _carry_out(
    services: Services, principal: Principal, run_id: int, cases: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(case: Mapping[str, Any]) -> dict[str, Any]:
        async with gate:
            return {"case_id": case["case_id"], **await _decide(services, principal, case)}

    done = await asyncio.gather(*(one(case) for case in cases))
    async with services.database.connection() as conn:
        await breaker_runs.set_result(conn, run_id, done)
    return list(done)


async def _decide(services: Services, principal: Principal, case: Mapping[str, Any]) -> dict[str, str]:
    if not case.get("is_of_breaker", True):
        return {"outcome": "refused", "code": NOT_OF_BREAKER}
    ruling = Ruling(
        choice=Choice.APPROVE,
        case_version=case["case_version"],
        order_version=case["order_version"],
        reason_code=REASON,
    )
    try:
        waits = await review.decide(services, principal, case["case_id"], ruling)
    except Refusal as refusal:
        return {"outcome": "refused", "code": refusal.code}
    return {"outcome": "approved" if waits is None else "waits_for_second", "code": ""}
