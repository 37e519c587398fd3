"""Calls: a card when it rings, an outcome when it is over, and in between nothing that counts as an answer.

    ring -> the caller's open case (one more contact, once per call) or their orders -> answered -> hung up -> record
                                                              the agent saves an outcome -> that is the human answer

A call lands on the agents it names. The caller's number is used for the look-up and then gone: what stays is a keyed digest, and the
number itself under the key of the order it turned out to belong to.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from unwind.domain.access import SYSTEM, Principal, Scope, authorise
from unwind.domain.cti import VENDORS, CallEvent, CallNews, read_news, tells_number
from unwind.domain.errors import Refusal, require
from unwind.domain.transitions import Event, State
from unwind.flow.chronicle import clock, record
from unwind.flow.clocks import settle_stroke
from unwind.flow.contact import note_contact
from unwind.flow.execute import lock_both
from unwind.flow.lookup import HITS_MAX, shown
from unwind.flow.services import Services
from unwind.flow.turns import take_turn
from unwind.storage import erasures, lookup, merchants, orders, phone_calls, privacy, promises
from unwind.storage.database import Connection

SECRET_LENGTH_MIN = 32
POPS_MAX, POPS_PER = 600, timedelta(minutes=10)
WRONG_SECRETS_MAX, WRONG_SECRETS_PER = 60, timedelta(minutes=10)
NO_SECRET = bytes(32)
CALLER, RECORDING = "caller", "recording"
"""Fields of an order's private data."""


class CallOutcome(StrEnum):
    ANSWERED = "answered"
    CALL_BACK = "call_back"
    NOT_REACHED = "not_reached"
    WRONG_PERSON = "wrong_person"


HUMAN_ANSWERS = frozenset({CallOutcome.ANSWERED, CallOutcome.CALL_BACK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What the small card shows while it rings: no more than before a check."""

    call_id: str
    landed_on: str | None
    orders: tuple[dict[str, Any], ...]
    asks: str
    """What to ask the caller for where the number does not tell: `order_tail`; else empty."""


async def put_system(
    services: Services, principal: Principal, system: Mapping[str, Any], *, secret: str | None
) -> None:
    """`secret`: of its event address; kept as a digest only."""
    authorise(principal, Scope.ADMIN, merchant_id=system["merchant_id"])
    require(principal.merchant_id in {None, system["merchant_id"]}, "forbidden")
    require(system["vendor"] in VENDORS, "invalid", field="vendor")
    require(secret is None or len(secret) >= SECRET_LENGTH_MIN, "invalid", field="secret")
    async with services.database.transaction() as conn:
        known = await phone_calls.read_system(conn, system["system_id"])
        require(known is None or principal.merchant_id in {None, known["merchant_id"]}, "not_found")
        if system["merchant_id"] is not None:
            require(await merchants.read_merchant(conn, system["merchant_id"]) is not None, "unknown_merchant")
        await phone_calls.put_system(conn, {**system, "secret_digest": None if secret is None else digest_of(secret)})


def digest_of(secret: str) -> bytes:
    """Secrets are long and random, so a plain hash is enough."""
    return hashlib.sha256(secret.encode()).digest()


async def pop(services: Services, principal: Principal, system_id: str, given: Mapping[str, Sequence[str]]) -> Card:
    """The agent's own screen opens it, with the agent's own credential."""
    authorise(principal, Scope.CONTACTS_HANDLE)
    await take_turn(services, "cti", principal.principal_id, most=POPS_MAX, per=POPS_PER)
    async with services.database.connection() as conn:
        system = await phone_calls.read_system(conn, system_id)
    if system is None or principal.merchant_id not in {None, system["merchant_id"]}:
        raise Refusal("not_found")
    news = _read(services, system, given)
    named = phone_calls.agents_named(system["agents"], news.agents)
    require(not named or principal.principal_id in named, "not_your_call")
    return await _take(services, system, news, agents=[principal.principal_id], actor=principal)


async def take_server_news(
    services: Services, system_id: str, secret: str, given: Mapping[str, Sequence[str]], *, source: str
) -> None:
    """The telephone system's own word. A wrong secret and a system there is not are the same `not_found`."""
    async with services.database.connection() as conn:
        system = await phone_calls.read_system(conn, system_id)
    known = (system or {}).get("secret_digest") or NO_SECRET
    if not hmac.compare_digest(digest_of(secret), bytes(known)) or system is None:
        await take_turn(services, "cti_secret", source, most=WRONG_SECRETS_MAX, per=WRONG_SECRETS_PER)
        raise Refusal("not_found")
    news = _read(services, system, given)
    require(bool(news.call_id), "invalid", field="call_id")
    agents = phone_calls.agents_named(system["agents"], news.agents)
    await _take(services, system, news, agents=agents, actor=SYSTEM)


def _read(services: Services, system: Mapping[str, Any], given: Mapping[str, Sequence[str]]) -> CallNews:
    """Some systems make the id of a call from its caller's number: such an id is replaced by another that is always the same."""
    news = read_news(given, vendor=system["vendor"], aliases=system["aliases"])
    if not tells_number(news.call_id, news.other):
        return news
    return replace(news, call_id=f"c-{services.vault.derive('call', news.call_id).hex()[:32]}")


async def _take(
    services: Services, system: Mapping[str, Any], news: CallNews, *, agents: list[str], actor: Principal
) -> Card:
    async with services.database.transaction() as conn:
        now = await clock(conn)
        is_new, call = True, None
        if news.call_id:
            _require_named(await phone_calls.read_call(conn, system["system_id"], news.call_id), actor)
            is_new, call = await _note(conn, services, system, news, agents=agents, now=now)
            _require_named(call, actor)
        if not is_new and actor is SYSTEM:
            return Card(call_id=news.call_id, landed_on=None, orders=(), asks="")
        if news.event is CallEvent.RECORD or (news.event is CallEvent.HUNG_UP and actor is SYSTEM):
            return Card(call_id=news.call_id, landed_on=None, orders=(), asks="")
        hits = await _orders_of(conn, services, system, news, call, now=now)
        await lookup.log_lookup(
            conn,
            at=now,
            principal_id=actor.principal_id,
            kind="call",
            merchant_id=system["merchant_id"],
            hits=len(hits),
        )
    landed_on = await _land(services, system, news, hits, actor=actor)
    is_hidden = news.other is None or news.other.is_virtual
    return Card(
        call_id=news.call_id,
        landed_on=landed_on,
        orders=tuple(hits),
        asks="order_tail" if is_hidden or not hits else "",
    )


def _require_named(call: Mapping[str, Any] | None, actor: Principal) -> None:
    """Asked before an event is noted, for it may name its teller; and after it, for another may have come first."""
    is_named = call is None or not call["agent_ids"] or actor.principal_id in call["agent_ids"]
    require(actor is SYSTEM or is_named, "not_your_call")


async def _note(
    conn: Connection,
    services: Services,
    system: Mapping[str, Any],
    news: CallNews,
    *,
    agents: list[str],
    now: datetime,
) -> tuple[bool, dict[str, Any] | None]:
    """(this event is new, the call as it is now)."""
    system_id = system["system_id"]
    digest = services.vault.blind("phone", news.other.canonical) if news.other is not None else None
    row = {
        "system_id": system_id,
        "call_id": news.call_id,
        "direction": "out" if news.is_outgoing else "in",
        "agent_ids": agents,
        "queue": news.queue,
        "caller_digest": digest,
        "is_virtual": news.other is None or news.other.is_virtual,
    }
    is_new = await phone_calls.note_event(conn, row, news.event.value, at=now)
    if is_new:
        await phone_calls.set_call(
            conn,
            system_id,
            news.call_id,
            agent_ids=agents if news.event is CallEvent.ANSWERED and agents else None,
            caller_digest=digest,
            answered_at=now if news.event is CallEvent.ANSWERED else None,
            hung_up_at=now if news.event is CallEvent.HUNG_UP else None,
        )
    call = await phone_calls.read_call(conn, system_id, news.call_id)
    if is_new and call is not None and (news.duration_s is not None or news.recording):
        await _attach_record(conn, services, call, news, now=now)
    return is_new, call


async def _attach_record(
    conn: Connection, services: Services, call: Mapping[str, Any], news: CallNews, *, now: datetime
) -> None:
    """Duration and recording, to the call and to its case. A recording named after its caller is kept like the caller's number."""
    is_personal = tells_number(news.recording, news.other)
    await phone_calls.set_call(
        conn,
        call["system_id"],
        call["call_id"],
        duration_s=news.duration_s,
        recording_ref=news.recording if news.recording and not is_personal else None,
    )
    if is_personal and call["order_id"] is not None:
        await _keep(conn, services, call["order_id"], {RECORDING: news.recording}, case_id=call["case_id"])
    if call["case_id"] is None:
        return
    locked = await lock_both(conn, call["case_id"], token=None)
    if locked.case.state is State.ARCHIVED:
        return
    data = {
        "call": call["call_id"],
        "duration_s": news.duration_s or 0,
        "recording": "private" if is_personal else news.recording,
    }
    await record(conn, call["case_id"], Event.CALL_RECORDED, at=now, data=data)


async def _orders_of(
    conn: Connection,
    services: Services,
    system: Mapping[str, Any],
    news: CallNews,
    call: Mapping[str, Any] | None,
    *,
    now: datetime,
) -> list[dict[str, Any]]:
    """By the number of this event, or by what the call was known by before."""
    if news.other is not None:
        digest = None if news.other.is_virtual else services.vault.blind("phone", news.other.canonical)
    else:
        digest = call["caller_digest"] if call is not None and not call["is_virtual"] else None
    return [] if digest is None else await _hits(conn, services, digest, merchant_id=system["merchant_id"], now=now)


async def _hits(
    conn: Connection, services: Services, digest: bytes, *, merchant_id: str | None, now: datetime
) -> list[dict[str, Any]]:
    given: dict[str, Any] = {"kind": "phone", "digest": digest, "limit": HITS_MAX}
    if merchant_id is None:
        ids = await lookup.find_ids(conn, lookup.BY_PERSON, **given)
    else:
        ids = await lookup.find_ids(conn, lookup.BY_PERSON_OF_MERCHANT, **given, merchant=merchant_id)
    rows = await lookup.read_hits(conn, ids, merchant_id=merchant_id, now=now) if ids else []
    found = [shown(services, row) for row in rows]
    return [order for order in found if order["open_cases"] or order["can_be_cancelled"]]


async def _land(
    services: Services, system: Mapping[str, Any], news: CallNews, hits: list[dict[str, Any]], *, actor: Principal
) -> str | None:
    """On the one open case of the caller; with several the agent says which."""
    open_cases = [(case["case_id"], order["order_id"]) for order in hits for case in order["open_cases"]]
    if len(open_cases) != 1:
        return None
    case_id, order_id = open_cases[0]
    if news.call_id:
        await _belong(services, system["system_id"], news, case_id=case_id, order_id=order_id, actor=actor)
    return str(case_id)


async def _belong(
    services: Services, system_id: str, news: CallNews, *, case_id: str, order_id: str, actor: Principal
) -> None:
    async with services.database.transaction() as conn:
        call = await phone_calls.read_call(conn, system_id, news.call_id)
        await phone_calls.set_call(conn, system_id, news.call_id, order_id=order_id, case_id=case_id)
        if not news.is_outgoing:
            await note_contact(conn, services, case_id, actor=actor.actor, channel="hotline", ref=news.call_id)
        if call is not None and call["order_id"] is None and news.other is not None:
            await _keep(conn, services, order_id, {CALLER: news.other.canonical}, case_id=case_id)
        await promises.give_to_case(conn, system_id=system_id, call_id=news.call_id, case_id=case_id)


async def _keep(
    conn: Connection, services: Services, order_id: str, fields: Mapping[str, str], *, case_id: str | None
) -> None:
    """Nothing more of whoever has asked to be forgotten."""
    row = await orders.read_order(conn, order_id)
    if row is not None and await erasures.read_erasure(conn, order_id) is None:
        await privacy.keep_private(conn, services.vault, order_id, fields, wrapped_key=row.wrapped_key, case_id=case_id)


async def show_call(services: Services, principal: Principal, system_id: str, call_id: str) -> Card:
    """The card of a call that the server told of."""
    async with services.database.transaction() as conn:
        call = await _visible(conn, principal, system_id, call_id)
        now = await clock(conn)
        hits: list[dict[str, Any]] = []
        if call["caller_digest"] is not None and not call["is_virtual"]:
            hits = await _hits(conn, services, call["caller_digest"], merchant_id=call["merchant_id"], now=now)
        await lookup.log_lookup(
            conn,
            at=now,
            principal_id=principal.principal_id,
            kind="call",
            merchant_id=call["merchant_id"],
            hits=len(hits),
        )
    return Card(call_id=call_id, landed_on=call["case_id"], orders=tuple(hits), asks="" if hits else "order_tail")


async def save_outcome(
    services: Services,
    principal: Principal,
    system_id: str,
    call_id: str,
    outcome: CallOutcome,
    *,
    case_id: str | None,
) -> None:
    """What the agent writes down after the call; for a case that waits for a person this is the human answer, and nothing before it was."""
    async with services.database.transaction() as conn:
        call = await _visible(conn, principal, system_id, call_id)
        about = call["case_id"] or case_id
        now = await clock(conn)
        is_first = await phone_calls.set_outcome(
            conn, system_id, call_id, outcome=outcome.value, by=principal.principal_id, at=now
        )
        require(is_first, "outcome_saved")
        locked = await lock_both(conn, about, token=None) if about is not None else None
        if locked is not None:
            authorise(
                principal,
                Scope.CONTACTS_HANDLE,
                merchant_id=locked.case.merchant_id,
                order_id=locked.order.order_id,
            )
            require(call["merchant_id"] in {None, locked.case.merchant_id}, "not_found")
        if locked is None or locked.case.state is State.ARCHIVED:
            return
        case = locked.case
        if call["case_id"] is None:
            await phone_calls.set_call(conn, system_id, call_id, order_id=case.order_id, case_id=case.case_id)
            await promises.give_to_case(conn, system_id=system_id, call_id=call_id, case_id=case.case_id)
        if call["direction"] == "in":
            await note_contact(conn, services, case.case_id, actor=principal.actor, channel="hotline", ref=call_id)
        is_answer = case.state is State.REVIEW and outcome in HUMAN_ANSWERS
        await record(
            conn,
            case.case_id,
            Event.CALL_RECORDED,
            at=now,
            actor=principal.actor,
            data={"call": call_id, "outcome": outcome.value},
            first_human_at=now if is_answer else None,
            answered_at=now if is_answer else None,
        )
        if case.state is State.REVIEW:
            await settle_stroke(conn, case.case_id)


async def _visible(conn: Connection, principal: Principal, system_id: str, call_id: str) -> dict[str, Any]:
    authorise(principal, Scope.CONTACTS_HANDLE)
    call = await phone_calls.read_call(conn, system_id, call_id)
    if call is None or principal.merchant_id not in {None, call["merchant_id"]}:
        raise Refusal("not_found")
    _require_named(call, principal)
    return call
