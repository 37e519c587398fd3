"""挽留: one honest alternative to cancelling, put to the buyer once; and what their yes sets going.

    offer -> the buyer's link, chat or the agent -> yes: waits and is watched, or carried out; no, or silence: back to its person, on top

Which offers may be made for which reason is data (`policy/offers.json`). The buyer's way out is in the same question: a no.
"""

from datetime import datetime, timedelta
from typing import Any

import psycopg

from unwind.domain.access import SYSTEM, Principal, Scope, authorise
from unwind.domain.case import PartState
from unwind.domain.decisions import Choice, Ruling
from unwind.domain.errors import Refusal, require
from unwind.domain.order import LineId
from unwind.domain.questions import MINUTES_TO_ANSWER, Audience, Kind, Offer, OnSilence, Promised, Question, Watch
from unwind.domain.stage import IN_THE_HOUSE, ON_THE_WAY
from unwind.domain.transitions import Event, State
from unwind.flow import review
from unwind.flow.chronicle import record
from unwind.flow.clocks import settle_stroke
from unwind.flow.execute import Locked, lock_both
from unwind.flow.questions import ask
from unwind.flow.queue import require_hold
from unwind.flow.services import Services
from unwind.policy.offers import allowed_offers, silence_of
from unwind.storage import cases, costs, questions
from unwind.storage.database import Connection

PROMISE_DAYS_MAX = 30


async def make_offer(
    services: Services,
    principal: Principal,
    case_id: str,
    offer: Offer,
    *,
    promised_at: datetime | None = None,
    amount_minor: int = 0,
    lines: dict[LineId, int] | None = None,
    minutes: int | None = None,
    words: str = "",
) -> Question:
    """Raises `offer_not_allowed`, `one_offer_only`, `promise_not_sensible`, `goodwill_exceeded`."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, case_id, token=None)
        authorise(principal, Scope.CASES_DECIDE, merchant_id=locked.case.merchant_id, order_id=locked.order.order_id)
        require(locked.case.state is State.REVIEW, "not_in_review", state=locked.case.state)
        require_hold(locked.case, principal, locked.now)
        place = place_of(locked)
        require(offer in allowed_offers(locked.case.reason, place), "offer_not_allowed", offer=offer, place=place)
        asked = await questions.questions_of(conn, case_id)
        require(not any(q.kind is Kind.OFFER for q in asked), "one_offer_only")
        if promised_at is not None:
            left = max(1, int((promised_at - locked.now).total_seconds() // 60))
            minutes = min(minutes or MINUTES_TO_ANSWER[Audience.BUYER], left)
        subject = await _subject(
            conn, locked, offer, promised_at=promised_at, amount_minor=amount_minor, lines=lines or {}
        )
        return await ask(
            conn,
            services,
            locked,
            kind=Kind.OFFER,
            audience=Audience.BUYER,
            subject={"offer": offer, **subject},
            by=principal,
            minutes=minutes,
            on_silence=OnSilence(silence_of(locked.case.reason, place)),
            words=words,
        )


def place_of(locked: Locked) -> str:
    """`in_house`, `on_the_way` or `elsewhere`: where the goods of the case that wait for a decision are."""
    parcels = {s.shipment_id: s.stage for s in locked.order.shipments}
    stages = {
        parcels.get(part.shipment_id, locked.order.released_stage)
        for part in locked.case.parts
        if part.state is PartState.REVIEW
    }
    if stages and stages <= IN_THE_HOUSE:
        return "in_house"
    return "on_the_way" if stages and stages <= ON_THE_WAY | IN_THE_HOUSE else "elsewhere"


async def _subject(
    conn: Connection,
    locked: Locked,
    offer: Offer,
    *,
    promised_at: datetime | None,
    amount_minor: int,
    lines: dict[LineId, int],
) -> dict[str, Any]:
    """What exactly is offered, checked."""
    match offer:
        case Offer.WAIT | Offer.FASTER_DISPATCH:
            latest = locked.now + timedelta(days=PROMISE_DAYS_MAX)
            require(promised_at is not None and locked.now < promised_at <= latest, "promise_not_sensible")
            is_dispatch = offer is Offer.FASTER_DISPATCH or place_of(locked) == "in_house"
            promised = Promised.DISPATCHED if is_dispatch else Promised.DELIVERED
            return {"promised_at": promised_at.isoformat() if promised_at else "", "promised": promised}
        case Offer.PRICE_PROTECTION:
            limits = await costs.limits_of(conn, locked.case.merchant_id)
            require(amount_minor > 0, "invalid")
            require(amount_minor <= limits.goodwill_minor, "goodwill_exceeded", limit_minor=limits.goodwill_minor)
            return {"amount_minor": amount_minor}
        case Offer.PARTIAL_CANCEL:
            waiting = [part for part in locked.case.parts if part.state is PartState.REVIEW]
            require(len(waiting) == 1 and bool(lines), "name_one_part_and_its_lines")
            for line_id, units in lines.items():
                require(0 < units <= waiting[0].quantities.get(line_id, 0), "quantity_too_large", line=line_id)
            require(sum(lines.values()) < sum(waiting[0].quantities.values()), "name_one_part_and_its_lines")
            return {"lines": dict(lines)}
        case Offer.ADDRESS_CHANGE:
            return {}


def needs_address(question: Question) -> bool:
    return question.kind is Kind.OFFER and question.subject["offer"] == Offer.ADDRESS_CHANGE


async def accept(conn: Connection, services: Services, locked: Locked, question: Question, *, actor: str) -> None:
    """The buyer has agreed. The case is locked, in review, and its answer recorded."""
    offer, subject = Offer(question.subject["offer"]), question.subject
    if offer in {Offer.WAIT, Offer.FASTER_DISPATCH}:
        watch = Watch(
            promised=Promised(subject["promised"]),
            since=locked.now,
            until=datetime.fromisoformat(subject["promised_at"]),
        )
        require(watch.until > locked.now, "promise_not_sensible")
        await cases.set_watch(conn, question.case_id, watch)
        data = {"question": question.n, "promised": watch.promised, "until": watch.until.isoformat()}
        await record(
            conn, question.case_id, Event.OFFER_ACCEPTED, at=locked.now, actor=actor, data=data, is_due_now=True
        )
        await settle_stroke(conn, question.case_id)
        return
    ruling = Ruling(
        choice={
            Offer.PRICE_PROTECTION: Choice.KEEP,
            Offer.ADDRESS_CHANGE: Choice.REDIRECT,
            Offer.PARTIAL_CANCEL: Choice.APPROVE_PART,
        }[offer],
        case_version=locked.case.version,
        order_version=locked.order.version,
        lines={LineId(line_id): units for line_id, units in subject.get("lines", {}).items()},
        compensation_minor=int(subject.get("amount_minor", 0)),
        reason_code=f"offer_{offer}",
    )
    await carry_if_allowed(conn, services, locked, ruling, data={"question": question.n}, actor=SYSTEM)


async def carry_if_allowed(
    conn: Connection,
    services: Services,
    locked: Locked,
    ruling: Ruling,
    *,
    data: dict[str, object] | dict[str, int],
    actor: Principal,
) -> None:
    """Carries out what was agreed; where the goods have moved on, or a second person would be needed, a person looks instead."""
    try:
        async with conn.transaction() as attempt:
            waits = await review.decide_within(conn, services, locked, actor, ruling, data=data)
            if waits is not None:
                raise psycopg.Rollback(attempt)
    except Refusal:
        return
