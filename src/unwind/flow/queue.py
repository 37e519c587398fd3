"""Who works on which case: claims that run out, hand-overs, and who is on duty.

A claim is one conditional write on the case; the event follows in the same transaction. Locks: the agent before the case, so that nobody
holds more than they may and nobody is given a case while going off duty.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from unwind.domain.access import SYSTEM, Principal, Role, Scope, authorise, leads, may
from unwind.domain.case import Case, holder_of
from unwind.domain.errors import Refusal, require
from unwind.domain.transitions import Event, State
from unwind.flow.chronicle import clock, record
from unwind.flow.services import Services
from unwind.storage import cases, locks, queue
from unwind.storage.database import Connection

CASES_MAX = 64
TRIES_MAX = 3


class Presence(StrEnum):
    ON = "on"
    BREAK = "break"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    case_id: str
    version: int


def require_hold(case: Case, principal: Principal, now: Any) -> None:
    """Nobody acts on a case that somebody else holds; a lead takes it over first, by name."""
    holder = holder_of(case, now)
    if holder is not None and holder != principal.principal_id and case.claimed_until is not None:
        raise Refusal("claimed_by_other", holder=holder, until=case.claimed_until.isoformat())
    require(not case.is_escalated or may(principal, Scope.CASES_LEAD), "escalated")
    require(principal.principal_id not in case.barred, "different_person_needed")


async def claim_case(services: Services, principal: Principal, case_id: str, *, take_over: bool = False) -> Claim:
    """Ours from now on, or a refusal that names the holder."""
    async with services.database.transaction() as conn:
        await _require_room(conn, principal, besides=case_id)
        await locks.lock_case(conn, case_id)
        before = await _visible(conn, principal, case_id)
        if take_over:
            authorise(principal, Scope.CASES_LEAD, merchant_id=before.merchant_id)
        is_ours = await queue.claim(
            conn, case_id, principal.principal_id, may_take_over=take_over, is_lead=may(principal, Scope.CASES_LEAD)
        )
        after = await _visible(conn, principal, case_id)
        if not is_ours:
            require(after.state is State.REVIEW, "not_in_review", state=after.state)
            require_hold(after, principal, await clock(conn))
            raise Refusal("claimed_by_other", holder=after.claimed_by or "")
        now = await clock(conn)
        if holder_of(before, now) != principal.principal_id:
            was = holder_of(before, now)
            data = {"by": principal.principal_id, **({"from": was} if was else {})}
            await record(conn, case_id, Event.CLAIMED, at=now, actor=principal.actor, data=data)
        await queue.note_presence(conn, principal.principal_id, has_screen=False)
        return Claim(case_id=case_id, version=after.version)


async def claim_next(services: Services, principal: Principal) -> Claim | None:
    """The most urgent case that is free; None when there is none."""
    authorise(principal, Scope.CASES_DECIDE)
    for _ in range(TRIES_MAX):
        async with services.database.transaction() as conn:
            await _require_room(conn, principal)
            case_id = await _take_next(
                conn,
                principal.principal_id,
                principal.merchant_id,
                principal.role,
                "next",
                is_lead=may(principal, Scope.CASES_LEAD),
            )
            if case_id is not None:
                await queue.note_presence(conn, principal.principal_id, has_screen=False)
                case = await _visible(conn, principal, case_id)
                return Claim(case_id=case_id, version=case.version)
    return None


async def _take_next(
    conn: Connection,
    principal_id: str,
    merchant_id: str | None,
    role: str,
    how: str,
    *,
    is_lead: bool,
    oldest_first: bool = False,
) -> str | None:
    case_id = await queue.claim_next(
        conn, principal_id, merchant_id=merchant_id, is_lead=is_lead, oldest_first=oldest_first
    )
    if case_id is not None:
        actor = SYSTEM.actor if how in {"push", "drain"} else f"{role}:{principal_id}"
        data = {"by": principal_id, "how": how}
        await record(conn, case_id, Event.CLAIMED, at=await clock(conn), actor=actor, data=data)
    return case_id


async def release_case(services: Services, principal: Principal, case_id: str) -> None:
    async with services.database.transaction() as conn:
        case = await _locked(conn, principal, case_id)
        require(case.claimed_by == principal.principal_id, "claim_is_not_yours")
        await _release(conn, case_id, why="given_back", actor=principal.actor)


async def transfer_case(services: Services, principal: Principal, case_id: str, *, to: str) -> None:
    """By its holder or a lead, to somebody who is on duty and has room."""
    async with services.database.transaction() as conn:
        await locks.lock_agent(conn, to)
        case = await _locked(conn, principal, case_id)
        require_hold(case, principal, await clock(conn))
        found = await queue.read_agents(conn, to)
        require(bool(found) and found[0]["is_there"], "not_on_duty")
        require(found[0]["merchant_id"] in {None, case.merchant_id}, "not_on_duty")
        require(found[0]["has_room"] or case.claimed_by == to, "no_room")
        require(not case.is_escalated or leads(Role(found[0]["role"])), "escalated")
        require(to not in case.barred, "different_person_needed")
        await queue.hand_to(conn, case_id, to)
        data = {"to": to, "from": case.claimed_by or ""}
        await record(conn, case_id, Event.TRANSFERRED, at=await clock(conn), actor=principal.actor, data=data)


async def escalate_case(services: Services, principal: Principal, case_id: str, *, reason_code: str) -> None:
    """To the leads: nobody else takes or decides it from now on."""
    async with services.database.transaction() as conn:
        case = await _locked(conn, principal, case_id)
        require_hold(case, principal, await clock(conn))
        await queue.hand_to(conn, case_id, None, is_escalated=True)
        await record(
            conn,
            case_id,
            Event.ESCALATED,
            at=await clock(conn),
            actor=principal.actor,
            data={"reason": reason_code, "from": case.claimed_by or ""},
        )


async def set_presence(
    services: Services,
    principal: Principal,
    state: Presence,
    *,
    cases_max: int | None = None,
    takes_push: bool | None = None,
) -> dict[str, Any]:
    """Going off duty gives every case back; coming on duty with `takes_push` fills the hands, oldest due first."""
    authorise(principal, Scope.CASES_DECIDE)
    me = principal.principal_id
    async with services.database.transaction() as conn:
        await queue.set_presence(conn, me, state=state.value, cases_max=cases_max, takes_push=takes_push)
        await locks.lock_agent(conn, me)
        if state is Presence.OFF:
            for case_id in await queue.cases_held(conn, me):
                await locks.lock_case(conn, case_id)
                case = await cases.read_case(conn, case_id)
                if case is not None and case.claimed_by == me and case.state is State.REVIEW:
                    await _release(conn, case_id, why="off_duty", actor=principal.actor)
    if state is Presence.ON:
        await _drain(services, principal)
    async with services.database.connection() as conn:
        return (await queue.read_agents(conn, me))[0]


async def _drain(services: Services, principal: Principal) -> None:
    for _ in range(CASES_MAX):
        async with services.database.transaction() as conn:
            await locks.lock_agent(conn, principal.principal_id)
            [agent] = await queue.read_agents(conn, principal.principal_id)
            if not (agent["takes_push"] and agent["is_there"] and agent["has_room"]):
                return
            taken = await _take_next(
                conn,
                principal.principal_id,
                principal.merchant_id,
                principal.role,
                "drain",
                is_lead=may(principal, Scope.CASES_LEAD),
                oldest_first=True,
            )
            if taken is None:
                return


async def keep_alive(services: Services, principal: Principal, case_ids: list[str], *, has_screen: bool) -> int:
    """A screen is open, on these cases; or somebody did something about them. Their own claims are renewed without a word."""
    authorise(principal, Scope.CASES_DECIDE)
    async with services.database.transaction() as conn:
        await queue.note_presence(conn, principal.principal_id, has_screen=has_screen)
        return await queue.renew_claims(conn, principal.principal_id, sorted(set(case_ids))) if case_ids else 0


async def push_cases(services: Services, *, cases_max: int = CASES_MAX) -> bool:
    """Gives free cases to those who take them by push, one each in turn, the emptiest hands first."""
    given = 0
    while given < cases_max:
        async with services.database.connection() as conn:
            willing = await queue.least_loaded(conn)
        before = given
        for agent in willing:
            async with services.database.transaction() as conn:
                await locks.lock_agent(conn, agent["principal_id"])
                [seen] = await queue.read_agents(conn, agent["principal_id"])
                if not (seen["is_there"] and seen["has_room"]):
                    continue
                taken = await _take_next(
                    conn,
                    agent["principal_id"],
                    agent["merchant_id"],
                    agent["role"],
                    "push",
                    is_lead=leads(Role(agent["role"])),
                )
                given += taken is not None
        if given == before:
            return False
    return True


async def release_expired(services: Services, *, cases_max: int = CASES_MAX) -> bool:
    """Claims that nobody has renewed go back, with an event. They were free for others already."""
    async with services.database.connection() as conn:
        expired = await queue.expired_claims(conn, cases_max=cases_max)
    for case_id in expired:
        async with services.database.transaction() as conn:
            await locks.lock_case(conn, case_id)
            case = await cases.read_case(conn, case_id)
            now = await clock(conn)
            is_expired = case is not None and case.claimed_by is not None and holder_of(case, now) is None
            if case is not None and is_expired and case.state is State.REVIEW:
                await _release(conn, case_id, why="expired", actor=SYSTEM.actor)
    return len(expired) == cases_max


async def _release(conn: Connection, case_id: str, *, why: str, actor: str) -> None:
    await queue.hand_to(conn, case_id, None)
    await record(conn, case_id, Event.CLAIM_RELEASED, at=await clock(conn), actor=actor, data={"why": why})


async def _require_room(conn: Connection, principal: Principal, *, besides: str | None = None) -> None:
    """Whoever has said how they work is held to it: on duty, and not more cases than they may hold."""
    await locks.lock_agent(conn, principal.principal_id)
    found = await queue.read_agents(conn, principal.principal_id)
    if not found:
        return
    require(found[0]["state"] == Presence.ON, "not_on_duty")
    if not found[0]["has_room"] and (
        besides is None or besides not in await queue.cases_held(conn, principal.principal_id)
    ):
        raise Refusal("no_room", held=found[0]["held"])


async def has_room(conn: Connection, principal_id: str) -> bool:
    """Whoever never said how they work has no limit. The agent row is locked by the caller."""
    found = await queue.read_agents(conn, principal_id)
    return not found or bool(found[0]["has_room"])


async def _visible(conn: Connection, principal: Principal, case_id: str) -> Case:
    case = await cases.read_case(conn, case_id)
    if case is None:
        raise Refusal("not_found")
    authorise(principal, Scope.CASES_DECIDE, merchant_id=case.merchant_id, order_id=case.order_id)
    return case


async def _locked(conn: Connection, principal: Principal, case_id: str) -> Case:
    await locks.lock_case(conn, case_id)
    case = await _visible(conn, principal, case_id)
    require(case.state is State.REVIEW, "not_in_review", state=case.state)
    return case
