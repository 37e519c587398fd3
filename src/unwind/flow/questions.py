"""Puts a question to somebody outside the desk, reminds them, and notes that they kept silent.

    ask -> message or link -> [reminder at half time] -> answer (`answers.py`) or silence -> the case comes back to its person

A question to the buyer is an answer to the buyer: the respond clock stops and the resolve clock stands still. A question to anybody else
pauses nothing (RULES: people and rights).
"""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from unwind.domain.access import Principal
from unwind.domain.errors import require
from unwind.domain.questions import (
    DEFAULT_SILENCE,
    LINK_LIFE_AFTER_DUE,
    MINUTES_TO_ANSWER,
    Audience,
    Kind,
    OnSilence,
    Question,
    QuestionState,
    remind_at,
)
from unwind.domain.transitions import Event
from unwind.flow.chronicle import record
from unwind.flow.clocks import settle_stroke, work_out_again
from unwind.flow.execute import Locked
from unwind.flow.links import mint_link
from unwind.flow.notify import STAFF, has_own_chat, staff_channel
from unwind.flow.outgoing import check_outgoing, outgoing_facts
from unwind.flow.private_words import keep_words
from unwind.flow.receipt import buyer_channel
from unwind.flow.services import Services
from unwind.storage import cases, clocks, messages, questions
from unwind.storage.database import Connection

TOP_PRIORITY = 95
"""Of a case whose answer has come, or did not come: above everything but what is perishable or stolen."""
QUESTIONS_MAX = 20


async def ask(
    conn: Connection,
    services: Services,
    locked: Locked,
    *,
    kind: Kind,
    audience: Audience,
    subject: Mapping[str, Any],
    by: Principal,
    digest: str = "",
    minutes: int | None = None,
    on_silence: OnSilence | None = None,
    words: str = "",
) -> Question:
    """The case is locked and in review. `words`: what is asked beside the codes; kept encrypted."""
    case_id, now = locked.case.case_id, locked.now
    n = await questions.next_n(conn, case_id)
    require(n <= QUESTIONS_MAX, "too_many_questions")
    if kind is Kind.APPROVAL:
        await questions.withdraw_questions(conn, case_id, now, kind=kind)
    if audience is Audience.BUYER:
        require(locked.case.clocks is not None and locked.case.clocks.asked_until is None, "buyer_asked_already")
    due_at = now + timedelta(minutes=minutes or MINUTES_TO_ANSWER[audience])
    question = Question(
        question_id=f"{case_id}-q{n}-{secrets.token_hex(4)}",
        case_id=case_id,
        n=n,
        kind=kind,
        audience=audience,
        subject=subject,
        digest=digest,
        asked_by=by.actor,
        asked_at=now,
        remind_at=remind_at(now, due_at),
        due_at=due_at,
        on_silence=on_silence or DEFAULT_SILENCE[audience],
        state=QuestionState.OPEN,
        answered_by="",
        answered_at=None,
        evidence={},
    )
    await questions.add_question(conn, question)
    data: dict[str, object] = {"question": n, "kind": kind, "audience": audience, "due_at": due_at.isoformat()}
    data["on_silence"] = question.on_silence
    if words:
        check_outgoing(words, await outgoing_facts(conn, case_id=case_id, order_id=locked.order.order_id))
        data["words"] = await keep_words(conn, services, locked, f"question:{n}", words)
    is_answer: dict[str, Any] = {}
    if audience is Audience.BUYER:
        await clocks.begin_pause(conn, case_id, at=now, until=due_at, reason=kind.value, by=by.actor)
        await work_out_again(conn, services, locked.case, now)
        is_answer = {"first_human_at": now, "answered_at": now}
        await _tell_buyer(conn, locked, question, fact=f"{fact_of(question)}:q{n}")
    else:
        await _tell_others(conn, services, locked, question)
    await record(conn, case_id, Event.QUESTION_ASKED, at=now, actor=by.actor, data=data, is_due_now=True, **is_answer)
    await settle_stroke(conn, case_id)
    return question


def fact_of(question: Question) -> str:
    """Which text a buyer is asked with."""
    return f"offer_{question.subject['offer']}" if question.kind is Kind.OFFER else f"asked_{question.kind}"


async def _tell_buyer(conn: Connection, locked: Locked, question: Question, *, fact: str) -> None:
    subject = question.subject
    await messages.add_message(
        conn,
        case_id=question.case_id,
        order_id=locked.order.order_id,
        audience="buyer",
        channel=buyer_channel(locked.case.channel),
        fact=fact,
        params={
            "question": question.question_id,
            "until": question.due_at.isoformat(),
            "promised_at": str(subject.get("promised_at", "")),
            "amount_minor": int(subject.get("amount_minor", 0)),
            "kept_minor": int(subject.get("kept_minor", 0)),
            "paid_minor": int(subject.get("paid_minor", 0)),
            "currency": locked.order.currency,
        },
    )


async def _tell_others(conn: Connection, services: Services, locked: Locked, question: Question) -> None:
    """Leads read the staff's group chat, a merchant their own where they have one; everybody else is given the link by the agent."""
    merchant_id = locked.case.merchant_id
    if question.audience is Audience.LEAD:
        is_read, fact = staff_channel(services, merchant_id) is not None, "staff_second"
    else:
        is_read, fact = question.audience is Audience.MERCHANT and has_own_chat(services, merchant_id), "asked_merchant"
    if is_read:
        await messages.add_message(
            conn,
            case_id=question.case_id,
            order_id=locked.order.order_id,
            audience="agent" if question.audience is Audience.LEAD else "merchant",
            channel=STAFF,
            fact=f"{fact}:q{question.n}",
            params={
                "case": question.case_id,
                "order": locked.order.order_id,
                "question": question.question_id,
                "until": question.due_at.isoformat(),
            },
        )


def link_of(services: Services, question: Question) -> str:
    """The token; the same for as long as the question lives."""
    expires_at = int((question.due_at + LINK_LIFE_AFTER_DUE).timestamp())
    return mint_link(services.vault.token_key, subject=question.question_id, expires_at=expires_at)


async def remind(conn: Connection, locked: Locked, question: Question) -> None:
    """Half of the time is gone: the buyer is told once more, everybody else's question is marked for whoever asked it."""
    await questions.set_reminded(conn, question.question_id)
    if question.audience is Audience.BUYER:
        await _tell_buyer(conn, locked, question, fact=f"{fact_of(question)}:q{question.n}-again")
    data = {"question": question.n, "kind": question.kind, "audience": question.audience}
    await record(conn, question.case_id, Event.QUESTION_REMINDED, at=locked.now, data=data, is_due_now=True)


async def fall_silent(conn: Connection, services: Services, locked: Locked, question: Question) -> bool:
    """Nobody answered in time; what that is taken for was settled when it was asked. False when an answer was faster."""
    is_first = await questions.close_question(
        conn, question.question_id, state=QuestionState.SILENT, by="", at=locked.now, evidence={}
    )
    if not is_first:
        return False
    await end_pause_of(conn, services, question, locked.now)
    data = {
        "question": question.n,
        "kind": question.kind,
        "audience": question.audience,
        "taken_for": question.on_silence,
    }
    await record(
        conn,
        question.case_id,
        Event.QUESTION_SILENT,
        at=locked.now,
        data=data,
        priority=TOP_PRIORITY,
        is_due_now=True,
    )
    await settle_stroke(conn, question.case_id)
    return True


async def end_pause_of(conn: Connection, services: Services, question: Question, at: datetime) -> None:
    """The resolve clock runs on once the buyer has spoken, or their time is over."""
    if question.audience is not Audience.BUYER or not await clocks.end_pause(conn, question.case_id, at):
        return
    case = await cases.read_case(conn, question.case_id)
    if case is not None:
        await work_out_again(conn, services, case, at)
