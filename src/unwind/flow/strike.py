"""Clocks strike: the ladder of both clocks, questions that have run out, and times that a new timetable has moved.

A stroke calls nobody outside, so it needs no lease: whoever looks first, the loop over due cases or the worker's own look at the coming
strokes, records it under the locks of the case; the other finds nothing left to do.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

import psycopg
import structlog

from unwind.domain.case import Case, holder_of
from unwind.domain.clocks import Clock, Rung
from unwind.domain.errors import Refusal
from unwind.domain.questions import Audience, QuestionState
from unwind.domain.strokes import Stroke, due_stroke
from unwind.domain.transitions import Event, State
from unwind.flow import answers
from unwind.flow.chronicle import record
from unwind.flow.clocks import settle_stroke, work_out_again
from unwind.flow.execute import Locked, lock_both
from unwind.flow.notify import STAFF, staff_channel
from unwind.flow.promotions import turn_promotions
from unwind.flow.questions import remind
from unwind.flow.services import Services
from unwind.logs import place_of
from unwind.storage import clocks, locks, messages, questions
from unwind.storage.database import Connection

CASES_MAX = 32
STAFF_FACTS = {
    (Clock.RESPOND, Rung.HALF): "staff_half",
    (Clock.RESPOND, Rung.WARNED): "staff_warned",
    (Clock.RESPOND, Rung.AGAIN): "staff_again",
    (Clock.RESPOND, Rung.DUE): "staff_overdue",
    (Clock.RESOLVE, Rung.HALF): "staff_resolve_half",
    (Clock.RESOLVE, Rung.AGAIN): "staff_resolve_again",
    (Clock.RESOLVE, Rung.DUE): "staff_resolve_overdue",
}

log = structlog.get_logger()


async def strike_due(services: Services, *, cases_max: int = CASES_MAX) -> bool:
    """One look at the coming strokes. True when there may be more."""
    async with services.database.connection() as conn:
        case_ids = await clocks.due_clocks(conn, cases_max=cases_max)
    await asyncio.gather(*(_guarded(case_id, partial(strike, services, case_id, token=None)) for case_id in case_ids))
    return len(case_ids) == cases_max


async def _guarded(case_id: str, work: Callable[[], Awaitable[None]]) -> None:
    """One broken or busy case must not stop the clocks of the others."""
    try:
        await work()
    except psycopg.errors.LockNotAvailable:
        log.info("clock_waits_for_lock", case_id=case_id)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not stop the other clocks
        log.error(  # noqa: TRY400 - a traceback would quote what the case is about
            "clock_failed", case_id=case_id, error=type(error).__name__, where=place_of(error)
        )


async def strike(services: Services, case_id: str, *, token: int | None) -> None:
    """Records what is due by now, if anything still is. `token`: of the lease, where the loop asks."""
    async with services.database.transaction() as conn:
        if token is None:
            await locks.be_impatient(conn)
        locked = await lock_both(conn, case_id, token=token)
        stroke = due_stroke(locked.case, locked.now)
        if stroke is not None and stroke.event is Event.BUYER_SILENT:
            await _resume(conn, services, locked)
        elif stroke is not None:
            await _ring(conn, services, locked, stroke, is_due_now=token is None)
        await settle_stroke(conn, case_id)


async def _resume(conn: Connection, services: Services, locked: Locked) -> None:
    """The time the buyer was given is over. A question of its own that ran with it has its own consequences."""
    for question in await questions.questions_of(conn, locked.case.case_id):
        if question.audience is Audience.BUYER and question.state is QuestionState.OPEN:
            await answers.hear_nothing(conn, services, locked, question)
            return
    case_id, asked_until = locked.case.case_id, locked.case.clocks.asked_until if locked.case.clocks else None
    await clocks.end_pause(conn, case_id, asked_until or locked.now)
    await work_out_again(conn, services, locked.case, locked.now)
    await record(conn, case_id, Event.BUYER_SILENT, at=locked.now, data={}, is_due_now=True)


async def strike_questions(services: Services, *, questions_max: int = CASES_MAX) -> bool:
    """Questions to be reminded of, or given up. True when there may be more."""
    async with services.database.connection() as conn:
        due = await questions.due_questions(conn, questions_max=questions_max)
    await asyncio.gather(
        *(_guarded(row["case_id"], partial(_strike_question, services, row["question_id"])) for row in due)
    )
    return len(due) == questions_max


async def _strike_question(services: Services, question_id: str) -> None:
    async with services.database.transaction() as conn:
        await locks.be_impatient(conn)
        asked = await questions.read_question(conn, question_id)
        if asked is None:
            return
        locked = await lock_both(conn, asked.case_id, token=None)
        question = await questions.read_question(conn, question_id)
        if question is None or question.state is not QuestionState.OPEN:
            return
        if question.due_at <= locked.now:
            await answers.hear_nothing(conn, services, locked, question)
        elif question.remind_at is not None and question.remind_at <= locked.now:
            await remind(conn, locked, question)


async def _ring(conn: Connection, services: Services, locked: Locked, stroke: Stroke, *, is_due_now: bool) -> None:
    case = locked.case
    is_respond = stroke.clock is Clock.RESPOND
    await clocks.set_rung(conn, case.case_id, clock=stroke.clock, rung=stroke.rung)
    await record(
        conn,
        case.case_id,
        stroke.event,
        at=locked.now,
        data={
            "clock": stroke.clock,
            "to": _told(case, stroke.rung, locked.now),
            "due_at": stroke.due_at.isoformat() if stroke.due_at else "",
        },
        is_warned=True if is_respond and stroke.rung >= Rung.WARNED else None,
        is_overdue=True if is_respond and stroke.rung is Rung.DUE else None,
        is_due_now=is_due_now,
    )
    if staff_channel(services, case.merchant_id) is not None:
        seconds = int((stroke.due_at - locked.now).total_seconds()) if stroke.due_at else 0
        await messages.add_message(
            conn,
            case_id=case.case_id,
            order_id=locked.order.order_id,
            audience="agent",
            channel=STAFF,
            fact=f"{STAFF_FACTS[stroke.clock, stroke.rung]}:{case.event_seq + 1}",
            params={"case": case.case_id, "minutes": max(0, -(-seconds // 60))},
        )


def _told(case: Case, rung: Rung, now: datetime) -> str:
    """First whoever holds the case, then the group again, then the lead."""
    if rung is Rung.DUE:
        return "lead"
    return f"agent:{case.claimed_by}" if rung is Rung.HALF and holder_of(case, now) else "group"


async def follow_timetable(services: Services, *, cases_max: int = CASES_MAX) -> bool:
    """Lets promotions begin and end, learns of a new timetable, then works out again what waits by an older one. True when there may be more."""
    await turn_promotions(services.database)
    await services.hours.refresh(services.database)
    version = services.hours.timetable.version
    async with services.database.connection() as conn:
        behind = await clocks.clocks_behind(conn, version=version, cases_max=cases_max)
    for case_id in behind:
        await _guarded(case_id, partial(_reset, services, case_id))
    return len(behind) == cases_max


async def _reset(services: Services, case_id: str) -> None:
    async with services.database.transaction() as conn:
        try:
            await reset_clocks(conn, services, case_id)
        except Refusal:
            return


async def reset_clocks(conn: Connection, services: Services, case_id: str) -> None:
    """The times of one case by the newest timetable and deadline; an event of the case where its due times have moved. Raises `not_found`."""
    locked = await lock_both(conn, case_id, token=None)
    case, known = locked.case, locked.case.clocks
    if known is None or case.state is not State.REVIEW:
        return
    worked = await work_out_again(conn, services, case, locked.now)
    if worked is None:
        return
    is_running = case.answered_at is None
    has_moved = known.timetable_version >= 0 and (
        (is_running and worked.respond.due_at != case.respond_due_at) or worked.resolve.due_at != known.resolve_due_at
    )
    if has_moved:
        rung = worked.row["respond_rung"]
        await record(
            conn,
            case_id,
            Event.CLOCKS_RESET,
            at=locked.now,
            data={
                "timetable": services.hours.timetable.version,
                "respond_due_at": worked.respond.due_at.isoformat() if is_running else "",
                "respond_due_was": case.respond_due_at.isoformat() if is_running and case.respond_due_at else "",
                "resolve_due_at": worked.resolve.due_at.isoformat() if worked.resolve.due_at else "",
                "resolve_due_was": known.resolve_due_at.isoformat() if known.resolve_due_at else "",
            },
            respond_warn_at=worked.respond.warn_at if is_running else None,
            respond_due_at=worked.respond.due_at if is_running else None,
            is_warned=rung >= Rung.WARNED if is_running else None,
            is_overdue=rung >= Rung.DUE if is_running else None,
            is_due_now=True,
        )
    await settle_stroke(conn, case_id)
