"""The end of a shift: what is in hand, what was promised, what waits; each case given to somebody with a note, and confirmed by them."""

from dataclasses import dataclass
from typing import Any

from unwind.domain.access import Principal, Scope, authorise, may
from unwind.domain.case import holder_of
from unwind.domain.errors import Refusal, require
from unwind.domain.transitions import Event, State
from unwind.flow.chronicle import record
from unwind.flow.execute import lock_both
from unwind.flow.private_words import keep_words
from unwind.flow.queue import has_room
from unwind.flow.services import Services
from unwind.storage import handovers, locks, principals, privacy, promises, queue

NOTE = "handover_note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    case_id: str
    note: str


async def read_list(services: Services, principal: Principal) -> dict[str, Any]:
    """Everything whoever comes next has to know, of this agent's work; and what others leave to them."""
    authorise(principal, Scope.CASES_DECIDE)
    me = principal.principal_id
    async with services.database.connection() as conn:
        waiting = await handovers.open_handovers(conn, me)
        offered = [
            {**row, "note": await _note(conn, services, row) if row["has_note"] else ""}
            for row in waiting
            if row["given_to"] == me
        ]
        return {
            "cases": await handovers.cases_of(conn, me),
            "promises": await promises.promises_owed(conn, me),
            "waiting_for_buyer": await handovers.questions_of(conn, me, principal.actor),
            "recalls": await handovers.recalls_of(conn, me, principal.actor),
            "given": [row for row in waiting if row["given_by"] == me],
            "offered": offered,
        }


async def _note(conn: Any, services: Services, row: dict[str, Any]) -> str:
    return await privacy.open_private(conn, services.vault, row["order_id"], NOTE, case_id=row["case_id"]) or ""


async def give(services: Services, principal: Principal, to: str, given: list[Given]) -> dict[str, str]:
    """One after the other, each by itself: case -> empty, or the code why not. Somebody else's is not given away, except by a lead."""
    authorise(principal, Scope.CASES_DECIDE)
    require(to != principal.principal_id, "invalid")
    answers: dict[str, str] = {}
    for one in given:
        try:
            await _give(services, principal, to, one)
            answers[one.case_id] = ""
        except Refusal as refusal:
            answers[one.case_id] = refusal.code
    return answers


async def _give(services: Services, principal: Principal, to: str, one: Given) -> None:
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, one.case_id, token=None)
        case = locked.case
        authorise(principal, Scope.CASES_DECIDE, merchant_id=case.merchant_id, order_id=case.order_id)
        require(case.state is not State.ARCHIVED, "case_sealed")
        holder = holder_of(case, locked.now)
        require(holder in {None, principal.principal_id} or may(principal, Scope.CASES_LEAD), "claimed_by_other")
        taker = await principals.read_principal(conn, to)
        require(
            taker is not None and Scope.CASES_DECIDE in taker.scopes and taker.merchant_id in {None, case.merchant_id},
            "nobody_there",
        )
        is_new = await handovers.give(
            conn,
            case_id=one.case_id,
            given_by=principal.principal_id,
            given_to=to,
            at=locked.now,
            has_note=bool(one.note),
        )
        require(is_new, "handed_over_already")
        data: dict[str, object] = {"to": to}
        if one.note:
            data["note"] = await keep_words(conn, services, locked, NOTE, one.note)
        await record(conn, one.case_id, Event.HANDED_OVER, at=locked.now, actor=principal.actor, data=data)


async def take(services: Services, principal: Principal, case_id: str) -> bool:
    """Confirms it. The claim comes along where the case waits in the queue and nobody else has taken it meanwhile; says whether it did."""
    authorise(principal, Scope.CASES_DECIDE)
    me = principal.principal_id
    async with services.database.transaction() as conn:
        await locks.lock_agent(conn, me)
        locked = await lock_both(conn, case_id, token=None)
        case = locked.case
        authorise(principal, Scope.CASES_DECIDE, merchant_id=case.merchant_id, order_id=case.order_id)
        given_by = await handovers.take(conn, case_id=case_id, given_to=me, at=locked.now)
        if given_by is None:
            raise Refusal("nothing_to_take")
        is_free = holder_of(case, locked.now) in {None, given_by, me}
        may_hold = not case.is_escalated or may(principal, Scope.CASES_LEAD)
        is_ours = case.state is State.REVIEW and is_free and may_hold and await has_room(conn, me)
        if is_ours:
            await queue.hand_to(conn, case_id, me)
        if case.state is not State.ARCHIVED:
            data = {"from": given_by, "to": me, "is_claimed": int(is_ours)}
            await record(conn, case_id, Event.HANDOVER_TAKEN, at=locked.now, actor=principal.actor, data=data)
        return is_ours
