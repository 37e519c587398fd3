"""Buyer and agent write to each other on the case.

The words lie encrypted under the order's key; the event of the case commits to them. What an agent writes is a first human answer; what the
buyer writes ends an open question. The buyer hears over their own channel that an answer is there, and not again before they have looked.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from unwind.domain.access import Principal, Role, Scope, authorise, may
from unwind.domain.errors import Refusal, require
from unwind.domain.personal import mask_numbers
from unwind.domain.transitions import Event, State
from unwind.flow.ask_buyer import end_question
from unwind.flow.chronicle import record
from unwind.flow.clocks import settle_stroke
from unwind.flow.execute import Locked, lock_both
from unwind.flow.identity import require_identity
from unwind.flow.outgoing import check_outgoing, outgoing_facts
from unwind.flow.private_words import keep_words
from unwind.flow.queue import require_hold
from unwind.flow.receipt import buyer_channel
from unwind.flow.services import Services
from unwind.storage import cases, conversation, messages, privacy, scripts
from unwind.storage.conversation import waiting_buyers
from unwind.storage.database import Connection

__all__ = ["Said", "WrittenFrom", "agent_writes", "buyer_writes", "read_as_buyer", "read_at_desk", "waiting_buyers"]

IN_A_ROW_MAX = 20
"""So many messages a buyer may leave before somebody answers."""
NOTICE = "answer_waiting"
READS_AS_BUYER = frozenset({Role.BUYER, Role.INTEGRATOR})
"""Who shows the conversation to the buyer; a colleague who looks through the buyer's door has not read it for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFrom:
    """The script a text came from, and what it says now, in each language."""

    script_id: str
    version: int
    filled: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    n: int
    is_new: bool
    """False: the same message had come before."""


async def agent_writes(
    services: Services,
    principal: Principal,
    case_id: str,
    *,
    text: str,
    client_key: str | None = None,
    script: WrittenFrom | None = None,
) -> Said:
    """By whoever holds the case, or anybody when nobody does. Refuses with `text_not_allowed` what may not go out."""
    async with services.database.transaction() as conn:
        locked = await _open_case(conn, principal, case_id, Scope.CASES_DECIDE)
        require_hold(locked.case, principal, locked.now)
        before = await _written_before(conn, case_id, principal, client_key)
        if before is not None:
            return before
        check_outgoing(text, await outgoing_facts(conn, case_id=case_id, order_id=locked.order.order_id))
        is_edited = script is not None and _plain(text) not in {_plain(one) for one in script.filled}
        n = await conversation.add(
            conn,
            case_id,
            is_from_buyer=False,
            actor=principal.actor,
            channel=locked.case.channel,
            at=locked.now,
            client_key=client_key,
            script=None if script is None else (script.script_id, script.version, is_edited),
        )
        if script is not None:
            await scripts.count_use(conn, [script.script_id], "sent_edited" if is_edited else "sent")
        await conversation.mark_read(conn, case_id, is_from_buyer=True, by=principal.actor)
        await _tell_the_buyer(conn, locked, n)
        data: dict[str, object] = {"n": n, "channel": locked.case.channel}
        if script is not None:
            data |= {"script": script.script_id, "version": script.version, "edited": is_edited}
        is_waiting = locked.case.state is State.REVIEW
        await _record(conn, services, locked, Event.AGENT_WROTE, principal, text, data, answered_at=is_waiting)
        if is_waiting:
            await settle_stroke(conn, case_id)
    return Said(n=n, is_new=True)


async def buyer_writes(
    services: Services, principal: Principal, case_id: str, *, text: str, channel: str, client_key: str | None = None
) -> Said:
    """The buyer, or whoever passes on what somebody they have checked said. An open question is answered by it."""
    async with services.database.transaction() as conn:
        locked = await _open_case(conn, principal, case_id, Scope.CASES_REQUEST)
        await require_identity(conn, principal, locked.order.order_id)
        before = await _written_before(conn, case_id, principal, client_key)
        if before is not None:
            return before
        require(await conversation.unanswered(conn, case_id) < IN_A_ROW_MAX, "too_many_requests")
        if locked.case.state is State.REVIEW:
            await end_question(conn, services, case_id, actor=principal.actor, at=locked.now)
        n = await conversation.add(
            conn,
            case_id,
            is_from_buyer=True,
            actor=principal.actor,
            channel=channel,
            at=locked.now,
            client_key=client_key,
        )
        if principal.role in READS_AS_BUYER:
            await conversation.mark_read(conn, case_id, is_from_buyer=False, by=principal.actor)
        data: dict[str, object] = {"n": n, "channel": channel}
        await _record(conn, services, locked, Event.BUYER_WROTE, principal, text, data, answered_at=False)
    return Said(n=n, is_new=True)


async def read_as_buyer(services: Services, principal: Principal, case_id: str) -> list[dict[str, Any]]:
    """In the buyer's words: no names of colleagues. Reading it is on record."""
    async with services.database.transaction() as conn:
        row = await _visible(conn, principal, case_id, Scope.CASES_READ)
        if principal.role in READS_AS_BUYER:
            await conversation.mark_read(conn, case_id, is_from_buyer=False, by=principal.actor)
        said = await _with_words(
            conn, services, row["order_id"], case_id, is_masked=principal.role not in READS_AS_BUYER
        )
    shown = ("n", "at", "text", "read_at", "channel")
    return [
        {**{name: one[name] for name in shown}, "from": "buyer" if one["is_from_buyer"] else "agent"} for one in said
    ]


async def read_at_desk(services: Services, principal: Principal, case_id: str) -> list[dict[str, Any]]:
    """Everything. Whoever may act on the case has read it for the desk; others only look."""
    async with services.database.transaction() as conn:
        row = await _visible(conn, principal, case_id, Scope.DESK_READ)
        if may(principal, Scope.CASES_DECIDE):
            await conversation.mark_read(conn, case_id, is_from_buyer=True, by=principal.actor)
        return await _with_words(conn, services, row["order_id"], case_id, is_masked=True)


async def _with_words(
    conn: Connection, services: Services, order_id: str, case_id: str, *, is_masked: bool
) -> list[dict[str, Any]]:
    """`is_masked`: for staff the numbers of people are hidden; `flow/reveal.py` shows them."""
    rows = await conversation.messages_of(conn, case_id)
    words = await privacy.open_numbered(conn, services.vault, order_id, "talk", case_id=case_id)
    texts = {n: mask_numbers(text) if is_masked else text for n, text in words.items()}
    return [{**row, "text": texts.get(row["n"], "")} for row in rows]


async def _visible(conn: Connection, principal: Principal, case_id: str, scope: Scope) -> dict[str, Any]:
    row = await cases.read_case_row(conn, case_id)
    if row is None:
        raise Refusal("not_found")
    authorise(principal, scope, merchant_id=row["merchant_id"], order_id=row["order_id"])
    return row


async def _open_case(conn: Connection, principal: Principal, case_id: str, scope: Scope) -> Locked:
    locked = await lock_both(conn, case_id, token=None)
    authorise(principal, scope, merchant_id=locked.case.merchant_id, order_id=locked.order.order_id)
    require(locked.case.state is not State.ARCHIVED, "case_closed")
    return locked


async def _written_before(conn: Connection, case_id: str, principal: Principal, client_key: str | None) -> Said | None:
    if client_key is None:
        return None
    n = await conversation.written_before(conn, case_id, principal.actor, client_key)
    return None if n is None else Said(n=n, is_new=False)


async def _tell_the_buyer(conn: Connection, locked: Locked, n: int) -> None:
    """At most one notice that has not been looked at."""
    case_id = locked.case.case_id
    if await conversation.has_unread_notice(conn, case_id):
        return
    fact = f"{NOTICE}:{n}"
    await messages.add_message(
        conn,
        case_id=case_id,
        order_id=locked.order.order_id,
        audience="buyer",
        channel=buyer_channel(locked.case.channel),
        fact=fact,
        params={},
    )
    await conversation.set_notice(conn, case_id, n, fact)


async def _record(
    conn: Connection,
    services: Services,
    locked: Locked,
    event: Event,
    principal: Principal,
    text: str,
    data: dict[str, object],
    *,
    answered_at: bool,
) -> None:
    said = await keep_words(conn, services, locked, f"talk:{data['n']}", text)
    is_agent = event is Event.AGENT_WROTE
    now: datetime = locked.now
    await record(
        conn,
        locked.case.case_id,
        event,
        at=now,
        actor=principal.actor,
        data={**data, "words": said},
        first_human_at=now if is_agent else None,
        answered_at=now if answered_at else None,
        is_due_now=True,
    )


def _plain(text: str) -> str:
    return "".join(text.split())
