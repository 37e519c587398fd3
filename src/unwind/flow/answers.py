"""What an answer to a question, or none, means for the case.

opinion   the case comes back to its person with the answer
consent   the plan it was given for may be decided on
offer     agreed: the case waits and is watched, or the offer is carried out; refused: it comes back, on top
"""

from collections.abc import Mapping

from unwind.domain.access import SYSTEM, Principal
from unwind.domain.decisions import Choice, Ruling
from unwind.domain.errors import Refusal, require
from unwind.domain.identity import Level
from unwind.domain.questions import Audience, Kind, OnSilence, Question, QuestionState
from unwind.domain.transitions import Event, State
from unwind.flow import offers
from unwind.flow.chronicle import record
from unwind.flow.clocks import settle_stroke
from unwind.flow.execute import Locked, lock_both
from unwind.flow.identity import require_identity
from unwind.flow.private_words import keep_words
from unwind.flow.questions import TOP_PRIORITY, end_pause_of, fall_silent
from unwind.flow.services import Services
from unwind.storage import questions
from unwind.storage.database import Connection


async def answer(
    services: Services,
    question_id: str,
    *,
    is_agreed: bool,
    by: Principal | str,
    evidence: Mapping[str, str] | None = None,
    note: str = "",
    address: str = "",
) -> str:
    """Takes the first answer to an open question. Raises `question_closed` for a later one. Returns the case.

    `by`: who speaks for a buyer has been checked for the order, for another address the stronger way; or the actor of a link, which is its
    own credential.
    """
    async with services.database.transaction() as conn:
        asked = await questions.read_question(conn, question_id)
        if asked is None or asked.kind is Kind.APPROVAL:
            raise Refusal("not_found")
        locked = await lock_both(conn, asked.case_id, token=None)
        question = await questions.read_question(conn, question_id) or asked
        if question.audience is Audience.BUYER and isinstance(by, Principal):
            await require_identity(conn, by, locked.order.order_id, Level.STRONG if address else Level.BASIC)
        require(question.state is QuestionState.OPEN, "question_closed", state=question.state)
        require((is_agreed and offers.needs_address(question)) == bool(address), "address_needed")
        said: dict[str, object] = {**(evidence or {})}
        if note:
            said["answer"] = await keep_words(conn, services, locked, f"answer:{question.n}", note)
        if address:
            said["address"] = await keep_words(conn, services, locked, "address", address, is_of_case=False)
        actor = by.actor if isinstance(by, Principal) else by
        await take_answer(conn, services, locked, question, is_agreed=is_agreed, actor=actor, said=said)
        return question.case_id


async def take_answer(
    conn: Connection,
    services: Services,
    locked: Locked,
    question: Question,
    *,
    is_agreed: bool,
    actor: str,
    said: Mapping[str, object],
) -> None:
    """The case is locked and the question open. `said`: references and commitments, no words."""
    state = QuestionState.AGREED if is_agreed else QuestionState.REFUSED
    await questions.close_question(conn, question.question_id, state=state, by=actor, at=locked.now, evidence=said)
    await end_pause_of(conn, services, question, locked.now)
    data = {
        "question": question.n,
        "kind": question.kind,
        "audience": question.audience,
        "answer": state,
        **said,
    }
    await record(
        conn,
        question.case_id,
        Event.QUESTION_ANSWERED,
        at=locked.now,
        actor=actor,
        data=data,
        priority=TOP_PRIORITY if question.audience is Audience.BUYER else None,
        is_due_now=True,
    )
    if question.kind is Kind.OFFER and state is QuestionState.AGREED:
        await offers.accept(conn, services, await lock_both(conn, question.case_id, token=None), question, actor=actor)
    await settle_stroke(conn, question.case_id)


async def hear_nothing(conn: Connection, services: Services, locked: Locked, question: Question) -> None:
    """Silence. An offer whose policy says so is then followed by the cancellation itself, within what the system may decide."""
    if not await fall_silent(conn, services, locked, question) or question.on_silence is not OnSilence.APPROVE:
        return
    locked = await lock_both(conn, question.case_id, token=None)
    if locked.case.state is State.REVIEW:
        await decide_by_itself(conn, services, locked, why="offer_unanswered", question=question)


async def decide_by_itself(
    conn: Connection, services: Services, locked: Locked, *, why: str, question: Question | None = None
) -> None:
    """The system carries out what was said before; where that would take a second person, a person decides."""
    ruling = Ruling(
        choice=Choice.APPROVE,
        case_version=locked.case.version,
        order_version=locked.order.version,
        reason_code=why,
    )
    data = {"question": question.n} if question else {}
    await offers.carry_if_allowed(conn, services, locked, ruling, data=data, actor=SYSTEM)
