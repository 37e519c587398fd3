"""Step 5: what the system cannot decide goes to a person, on a clock, and comes back as a ruling.

A ruling is bound to the versions of case and order that the person saw; anything newer refuses it with `stale` (I10). It is carried out
inside a savepoint (`parts.py`); a plan that returns less than was paid must be the very plan the buyer consented to, and one that leaves what
a person may decide alone is given up again and waits, as a question, for a second person who has to get the same plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.case import CaseOutcome, Kind, Leg, Part, PartState
from unwind.domain.decisions import (
    TAKES_BACK,
    Choice,
    Ruling,
    plan_digest,
    reasons_for_a_second,
    ways_on,
)
from unwind.domain.errors import Refusal, require
from unwind.domain.identity import Level
from unwind.domain.legs import HAS_LEFT, LegKind, LegState
from unwind.domain.merchant_cancel import needs_agreement
from unwind.domain.next_step import SWITCHED_OFF
from unwind.domain.questions import Audience, Question, QuestionState
from unwind.domain.questions import Kind as QuestionKind
from unwind.domain.ruling_documents import (
    ENDS_AS,
    is_carried_out_at_once,
    plan_document,
    read_ruling,
    ruling_document,
)
from unwind.domain.transitions import BESIDE_THE_POINT, Event, State
from unwind.flow.chronicle import record
from unwind.flow.clocks import settle_stroke, start_round
from unwind.flow.execute import Lease, Locked, lock_both
from unwind.flow.identity import require_identity
from unwind.flow.parts import Carried, carry_out, lay_back
from unwind.flow.private_words import keep_words
from unwind.flow.questions import ask
from unwind.flow.queue import require_hold
from unwind.flow.services import Services
from unwind.storage import cases, costs, questions
from unwind.storage.database import Connection

STOPS_GOODS = frozenset({LegKind.HOLD_SHIPMENT, LegKind.RECALL_PARCEL})
"""A refusal of these has changed nothing: the part can be planned anew."""
ENDS = {
    Choice.DECLINE: Event.DECLINED,
    Choice.HAND_ON: Event.HANDED_ON,
    Choice.KEEP: Event.KEPT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What a ruling would do, and what stands in its way."""

    carried: Carried
    digest: str
    needs_consent: bool
    """It returns less than was paid, and the buyer has not agreed to exactly this."""
    second: tuple[str, ...]
    """Why a second person is needed; empty: they are not."""


async def hand_over(services: Services, part: Part, leg: Leg, lease: Lease) -> None:
    """A part cannot go on by itself. Before anything has left it is laid back as if untouched, so that a person can plan it anew."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, lease.case_id, token=lease.token)
        rule = _why(leg)
        stuck = next(p for p in locked.case.parts if p.part_no == part.part_no)
        if leg.kind in STOPS_GOODS and leg.code.startswith("refused"):
            await lay_back(conn, locked, stuck)
        elif leg.code == SWITCHED_OFF and leg.state is LegState.PLANNED:
            evidence = {name: value for name, value in leg.evidence.items() if name != "parked_at"}
            await cases.set_leg(conn, lease.case_id, leg.leg_no, next_try_at=None, due_at=None, evidence=evidence)
        elif leg.state not in {LegState.BLOCKED, LegState.PLANNED}:
            await cases.set_leg(
                conn,
                lease.case_id,
                leg.leg_no,
                state=LegState.BLOCKED,
                next_try_at=None,
                code=leg.code or rule,
                evidence={**leg.evidence, "blocked_at": locked.now.isoformat()},
            )
        await cases.set_part(conn, lease.case_id, part.part_no, state=PartState.REVIEW, rule=rule)
        await cases.set_watch(conn, lease.case_id, None)
        clock = await start_round(conn, services, locked.case, locked.now)
        await record(
            conn,
            lease.case_id,
            Event.NEEDS_PERSON,
            at=locked.now,
            data={"part": part.part_no, "leg": leg.leg_no, "kind": leg.kind, "rule": rule, "code": leg.code},
            rule=rule,
            respond_warn_at=clock.warn_at,
            respond_due_at=clock.due_at,
            is_new_round=True,
        )
        await settle_stroke(conn, lease.case_id)


def _why(leg: Leg) -> str:
    """The rule a person reads."""
    if leg.state is LegState.PLANNED:
        return SWITCHED_OFF if leg.code == SWITCHED_OFF and leg.due_at is not None else "merchant_halted"
    if leg.kind is LegKind.HOLD_SHIPMENT:
        return "hold_refused" if leg.code.startswith("refused") else "hold_unanswered"
    if leg.kind is LegKind.RECALL_PARCEL:
        return "recall_failed"
    for code in ("needs_funds", "abnormal", "refused"):
        if leg.code.startswith(code):
            return f"{leg.kind}_{code}"
    return f"{leg.kind}_unfinished"


async def decide(
    services: Services, principal: Principal, case_id: str, ruling: Ruling, *, address: str = ""
) -> Question | None:
    """Carries a person's ruling into the plan; or leaves it, as a question, to a second person. Raises Refusal; nothing is written then.

    `address`: where a redirected parcel goes; whoever asks for it has to be checked twice (RULES: identity).
    """
    async with services.database.transaction() as conn:
        locked = await lock_for(conn, principal, case_id)
        require_hold(locked.case, principal, locked.now)
        await _require_fresh(conn, locked, ruling)
        require((ruling.choice is Choice.REDIRECT) == bool(address), "address_needed")
        data: dict[str, object] = {}
        if address:
            await require_identity(conn, principal, locked.order.order_id, Level.STRONG)
            data["address"] = await keep_words(conn, services, locked, "address", address, is_of_case=False)
        return await decide_within(conn, services, locked, principal, ruling, data=data)


async def decide_within(
    conn: Connection,
    services: Services,
    locked: Locked,
    principal: Principal,
    ruling: Ruling,
    *,
    data: Mapping[str, object],
) -> Question | None:
    """The same on a case that the caller has locked and checked."""
    require(locked.case.state is State.REVIEW, "not_in_review", state=locked.case.state)
    said = {"choice": ruling.choice, "reason": ruling.reason_code, **data}
    if ruling.note:
        said["note"] = await keep_words(conn, services, locked, "note", ruling.note)
    if ruling.choice is Choice.ANSWER:
        await _answer(conn, locked, principal, said)
        return None
    if ruling.choice in TAKES_BACK and needs_agreement(locked.case.channel, locked.order):
        require(locked.case.has_buyer_agreed, "buyer_must_agree")
    async with conn.transaction() as savepoint:
        seen = await attempt(conn, locked, principal, ruling)
        taken = taken_from_buyer(ruling, seen.carried)
        require(not seen.needs_consent, "consent_needed", kept_minor=taken, plan=seen.digest)
        if seen.second:
            raise psycopg.Rollback(savepoint)
        await _conclude(conn, locked, principal, ruling, said, seen.carried)
    if not seen.second:
        return None
    return await ask(
        conn,
        services,
        locked,
        kind=QuestionKind.APPROVAL,
        audience=Audience.LEAD,
        subject={
            "ruling": ruling_document(ruling),
            "why": list(seen.second),
            "plan": plan_document(seen.carried.parts),
        },
        digest=seen.digest,
        by=principal,
        words=ruling.note,
    )


async def rehearse(services: Services, principal: Principal, case_id: str, ruling: Ruling) -> tuple[Locked, Rehearsal]:
    """Everything that `decide` would do, given up again. The versions in `ruling` are not looked at."""
    async with services.database.transaction() as conn:
        locked = await lock_for(conn, principal, case_id)
        require(locked.case.state is State.REVIEW, "not_in_review", state=locked.case.state)
        async with conn.transaction(force_rollback=True):
            seen = await attempt(conn, locked, principal, ruling)
    return locked, seen


async def second(services: Services, principal: Principal, question_id: str, *, is_agreed: bool, note: str = "") -> str:
    """A second person agrees, and the ruling is carried out if it is still the same plan; or refuses. Returns the case."""
    async with services.database.transaction() as conn:
        question = await questions.read_question(conn, question_id)
        require(question is not None and question.kind is QuestionKind.APPROVAL, "not_found")
        assert question is not None  # noqa: S101 - for the type checker; required above
        locked = await lock_for(conn, principal, question.case_id, scope=Scope.CASES_LEAD)
        require(
            principal.principal_id not in {question.asked_by.partition(":")[2], *locked.case.barred},
            "different_person_needed",
        )
        evidence = {"note": await keep_words(conn, services, locked, "note", note)} if note else {}
        is_first = await questions.close_question(
            conn,
            question_id,
            state=QuestionState.AGREED if is_agreed else QuestionState.REFUSED,
            by=principal.actor,
            at=locked.now,
            evidence=evidence,
        )
        require(is_first, "question_closed", state=question.state)
        said = {"question": question.n, "kind": question.kind, "answer": "agreed" if is_agreed else "refused"}
        await record(
            conn,
            question.case_id,
            Event.QUESTION_ANSWERED,
            at=locked.now,
            actor=principal.actor,
            data=said,
            is_due_now=True,
        )
        if is_agreed:
            await _carry_approved(conn, locked, principal, question)
        return question.case_id


async def _carry_approved(conn: Connection, locked: Locked, principal: Principal, question: Question) -> None:
    ruling = read_ruling(question.subject["ruling"])
    carried = await carry_out(conn, locked, ruling, by=question.asked_by)
    require(plan_digest(ruling, carried.parts) == question.digest, "stale", state=locked.case.state)
    said = {
        "choice": ruling.choice,
        "reason": ruling.reason_code,
        "first": question.asked_by,
        "second": principal.actor,
    }
    await _conclude(conn, locked, principal, ruling, said, carried)


async def lock_for(
    conn: Connection, principal: Principal, case_id: str, *, scope: Scope = Scope.CASES_DECIDE
) -> Locked:
    """Order and case, for somebody who may decide on them."""
    locked = await lock_both(conn, case_id, token=None)
    authorise(principal, scope, merchant_id=locked.case.merchant_id, order_id=locked.order.order_id)
    return locked


async def attempt(conn: Connection, locked: Locked, principal: Principal, ruling: Ruling) -> Rehearsal:
    """Carries it out, and says what stands in its way; the caller keeps it or gives it up."""
    carried = await carry_out(conn, locked, ruling, by=principal.actor)
    digest = plan_digest(ruling, carried.parts)
    case_id = locked.case.case_id
    consent = await questions.agreed_to(conn, case_id, QuestionKind.CONSENT, digest)
    reasons = reasons_for_a_second(
        ruling,
        carried.parts,
        screened=[(part.policy_rule or part.rule, part.verdict, part.refund_on) for part in carried.chosen],
        limits=await costs.limits_of(conn, locked.case.merchant_id),
    )
    return Rehearsal(
        carried=carried,
        digest=digest,
        needs_consent=taken_from_buyer(ruling, carried) > 0 and consent is None,
        second=reasons,
    )


def taken_from_buyer(ruling: Ruling, carried: Carried) -> int:
    """What returns less than was paid, because somebody says so or because it was published."""
    return ruling.kept_minor + sum(part.lost_minor for part in carried.parts)


async def _require_fresh(conn: Connection, locked: Locked, ruling: Ruling) -> None:
    """What was seen is what is; else the refusal says what has happened since, the newest last."""
    if locked.case.version == ruling.case_version and locked.order.version == ruling.order_version:
        return
    missed = max(0, locked.case.version - ruling.case_version)
    events = [
        e["event"] for e in await cases.events_of(conn, locked.case.case_id) if e["event"] not in BESIDE_THE_POINT
    ]
    raise Refusal(
        "stale",
        changed=",".join(events[len(events) - missed :]),
        case_version=locked.case.version,
        order_version=locked.order.version,
        state=locked.case.state,
        rule=locked.case.rule,
    )


async def _answer(conn: Connection, locked: Locked, principal: Principal, data: Mapping[str, object]) -> None:
    require(
        locked.case.kind is not Kind.CANCELLATION and not any(p.state is PartState.REVIEW for p in locked.case.parts),
        "only_for_questions",
    )
    await record(
        conn,
        locked.case.case_id,
        Event.ANSWERED,
        at=locked.now,
        actor=principal.actor,
        data=data,
        outcome=CaseOutcome.ANSWERED,
        first_human_at=locked.now,
        answered_at=locked.now,
        decided_at=locked.now,
        is_due_now=True,
    )


async def _conclude(
    conn: Connection,
    locked: Locked,
    principal: Principal,
    ruling: Ruling,
    data: Mapping[str, object],
    carried: Carried,
) -> None:
    """The event of the ruling. Other parts may still wait; what needs nothing carried out ends the case."""
    decided = {part.part_no for part in carried.parts}
    others = [part for part in locked.case.parts if part.part_no not in decided]
    still_waiting = any(part.state is PartState.REVIEW for part in others)
    running = any(part.state in {PartState.EXECUTING, PartState.DONE} for part in others)
    is_end = is_carried_out_at_once(ruling.choice, carried.parts)
    outcome = None
    if still_waiting:
        event = Event.PART_DECIDED
    elif is_end and running:
        event = Event.REST_CONTINUES
    elif is_end:
        event, outcome = ENDS[ruling.choice], ENDS_AS[ruling.choice]
    else:
        event = Event.APPROVED
    said = {**data, "parts": sorted(decided)}
    if ruling.choice is Choice.DECLINE:
        said["ways"] = list(ways_on([part.stage for part in carried.parts]))
    if ruling.costs:
        said["costs"] = [[cost.fee, cost.amount_minor, cost.bearer] for cost in ruling.costs]
    await record(
        conn,
        locked.case.case_id,
        event,
        at=locked.now,
        actor=principal.actor,
        data=said,
        outcome=outcome,
        first_human_at=locked.now,
        answered_at=None if still_waiting else locked.now,
        decided_at=locked.now,
        is_due_now=True,
    )


async def withdraw(services: Services, principal: Principal, case_id: str) -> None:
    """The buyer changes their mind, as long as nothing has left."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, case_id, token=None)
        authorise(principal, Scope.CASES_REQUEST, merchant_id=locked.case.merchant_id, order_id=locked.order.order_id)
        await require_identity(conn, principal, locked.order.order_id)
        await withdraw_locked(conn, locked, principal)


async def withdraw_locked(conn: Connection, locked: Locked, principal: Principal) -> None:
    """The same for a case that the caller has locked."""
    case_id = locked.case.case_id
    require(locked.case.state in {State.REVIEW, State.WATCHING}, "past_no_return", state=locked.case.state)
    require(
        all(part.state is PartState.REVIEW and not _has_effect(part) for part in locked.case.parts),
        "past_no_return",
        state=locked.case.state,
    )
    for part in locked.case.parts:
        await lay_back(conn, locked, part)
        await cases.set_part(conn, case_id, part.part_no, state=PartState.WITHDRAWN)
    await cases.close_lines(conn, case_id)
    await record(
        conn,
        case_id,
        Event.WITHDRAWN,
        at=locked.now,
        actor=principal.actor,
        data={},
        outcome=CaseOutcome.WITHDRAWN,
        decided_at=locked.now,
        is_due_now=True,
    )


def _has_effect(part: Part) -> bool:
    return any(leg.state in HAS_LEFT or leg.state is LegState.SUCCEEDED for leg in part.legs)
