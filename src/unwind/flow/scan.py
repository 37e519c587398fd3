"""The stop at the packing bench: one code scanned, one answer, and what follows from it for the case.

    scan -> known event? its answer again -> whose code is it -> verdict -> [order and case locked, judged again, booked] -> row

Whoever scans has the goods in their hands: a stop scan is the warehouse's word on an open hold. The answer without consequences takes
three statements and no lock.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Rollback

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.errors import Refusal, require
from unwind.domain.legs import LegState
from unwind.domain.scans import (
    LIVE,
    TEXTS,
    Effect,
    Judged,
    RefusedBecause,
    ScanKind,
    ScannedOrder,
    StopLeg,
    Verdict,
    judge,
    place_in_time,
    scanned_parcels,
    worst,
)
from unwind.domain.transitions import Event
from unwind.flow import calls
from unwind.flow.execute import lock_both, note
from unwind.flow.hand_work import record_by_hand
from unwind.flow.services import Services
from unwind.storage import alerts, locks, tasks, warehouse
from unwind.storage.database import Connection

TWINS_MAX = 3
ALERT = "stopped_parcel_at_dispatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    code: str
    kind: ScanKind
    event_id: str
    scanned_at: datetime | None = None
    """By the device; None: now."""
    shown: Verdict | None = None
    """What the device, offline, told its holder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOutcome:
    """What a scan came to. Ids are empty, the merchant None, where the code belongs to nobody or to several."""

    verdict: Verdict
    effect: Effect
    merchant_id: str | None
    order_id: str
    shipment_id: str
    shown: Mapping[str, Any]
    """What its kind shows besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When the scan counts from, and when it reached us."""

    at: datetime
    now: datetime

    @property
    def is_late(self) -> bool:
        return self.now - self.at > LIVE


Work = Callable[[Connection, Services, Principal, Scan, Moment], Awaitable[ScanOutcome]]


async def scan(services: Services, principal: Principal, given: Scan) -> dict[str, Any]:
    """The answer to show. Raises `not_found` for somebody else's code, and what `answer_once` raises."""
    return await answer_once(services, principal, given, _answer)


async def answer_once(services: Services, principal: Principal, given: Scan, work: Work) -> dict[str, Any]:
    """Does the work of a scan and keeps its answer, or gives the one that its event has had.

    Raises `idempotency_mismatch`, `scan_too_old`, `scan_from_the_future`.
    """
    authorise(principal, Scope.WAREHOUSE_WORK)
    fingerprint = services.vault.blind("scan", f"{given.kind}\n{given.code}")
    for _ in range(TWINS_MAX):
        async with services.database.transaction() as conn:
            known = await warehouse.read_scan(conn, principal.principal_id, given.event_id)
            if known["answer"] is not None:
                require(bytes(known["fingerprint"]) == fingerprint, "idempotency_mismatch")
                return {**known["answer"], "is_replay": True}
            moment = Moment(at=place_in_time(given.scanned_at, known["now"]), now=known["now"])
            outcome = await work(conn, services, principal, given, moment)
            zh, en = TEXTS[outcome.verdict]
            answer = {
                "event_id": given.event_id,
                "kind": given.kind,
                "verdict": outcome.verdict,
                "text": {"zh": zh, "en": en},
                "effect": outcome.effect,
                **outcome.shown,
                "scanned_at": moment.at,
                "as_of": moment.now,
            }
            kept = {
                "principal_id": principal.principal_id,
                "event_id": given.event_id,
                "fingerprint": fingerprint,
                "merchant_id": outcome.merchant_id,
                "order_id": outcome.order_id,
                "shipment_id": outcome.shipment_id,
                "kind": given.kind.value,
                "verdict": outcome.verdict.value,
                "effect": outcome.effect.value,
                "scanned_at": moment.at,
                "received_at": moment.now,
                "answer": answer,
            }
            if await warehouse.add_scan(conn, kept):
                return {**answer, "is_replay": False}
            raise Rollback
    raise Refusal("unavailable")


async def own_orders(conn: Connection, principal: Principal, code: str) -> list[ScannedOrder]:
    """Behind the code, of the caller's own merchant. Somebody else's code is as unknown as one that does not exist."""
    found = await warehouse.resolve(conn, code)
    if principal.merchant_id is None:
        return found
    own = [order for order in found if order.merchant_id == principal.merchant_id]
    if not own:
        raise Refusal("not_found", verdict=Verdict.UNKNOWN.value)
    return own


async def _answer(
    conn: Connection, services: Services, principal: Principal, given: Scan, moment: Moment
) -> ScanOutcome:
    orders = await own_orders(conn, principal, given.code)
    judged = [judge(order, moment.at) for order in orders]
    effects: list[Effect] = []
    if given.kind is ScanKind.DISPATCH or any(one.holds or one.labels for one in judged):
        orders, judged, effects = await _carry_out(conn, services, principal, given, moment, orders)
    one_of = orders[0] if len(orders) == 1 else None
    return ScanOutcome(
        verdict=worst([one.verdict for one in judged]) if judged else Verdict.UNKNOWN,
        effect=next((one for one in effects if one is not Effect.NONE), Effect.NONE),
        merchant_id=orders[0].merchant_id if orders else principal.merchant_id,
        order_id=orders[0].order_id if orders else "",
        shipment_id=next((s for s in sorted(one_of.scanned) if s), "") if one_of else "",
        shown={"orders": [_shown(order, one) for order, one in zip(orders, judged, strict=True)]},
    )


def _shown(order: ScannedOrder, judged: Judged) -> dict[str, Any]:
    parcels = scanned_parcels(order)
    return {
        "order_id": order.order_id,
        "verdict": judged.verdict,
        "left": sum(p.left for p in parcels) if parcels else order.left,
        "holds": [{"case_id": leg.case_id, "leg_no": leg.leg_no} for leg in judged.holds],
        "labels_to_void": [leg.shipment_id for leg in judged.labels],
    }


async def _carry_out(
    conn: Connection,
    services: Services,
    principal: Principal,
    given: Scan,
    moment: Moment,
    seen: list[ScannedOrder],
) -> tuple[list[ScannedOrder], list[Judged], list[Effect]]:
    """Judges again under the locks of the orders, and books what follows."""
    for order in seen:
        await locks.lock_order(conn, order.order_id)
    orders = await own_orders(conn, principal, given.code)
    judged, effects = [], []
    for order in orders:
        one = judge(order, moment.at)
        match given.kind:
            case ScanKind.STOP:
                effects += await _stop(conn, services, principal, moment, one)
            case ScanKind.DISPATCH:
                one, effect = await _dispatch(conn, services, principal, given, moment, order, one)
                effects.append(effect)
            case _:
                pass
        judged.append(one)
    return orders, judged, effects


async def _stop(
    conn: Connection, services: Services, principal: Principal, moment: Moment, judged: Judged
) -> list[Effect]:
    """It is in the scanner's hands, or the carrier has it. What was scanned before its case existed says nothing about the case.

    A label counts as void with a scan of its own, once that is asked for: the scan that stops the parcel does not cut it up.
    """
    done = []
    for leg in (*judged.holds, *judged.labels):
        if leg.opened_at > moment.at or (leg in judged.labels and leg.state is LegState.PLANNED):
            continue
        if judged.verdict is Verdict.TOO_LATE:
            if leg in judged.labels or not await _word(conn, services, principal, leg, moment, is_done=False):
                continue
            done.append(Effect.HOLD_REFUSED)
        elif await _word(conn, services, principal, leg, moment, is_done=True):
            done.append(Effect.LABEL_VOIDED if leg in judged.labels else Effect.HOLD_ACCEPTED)
    return done


async def _dispatch(
    conn: Connection,
    services: Services,
    principal: Principal,
    given: Scan,
    moment: Moment,
    order: ScannedOrder,
    judged: Judged,
) -> tuple[Judged, Effect]:
    """What may leave is noted as handed over; what may not is refused, and somebody hears of it at once.

    A scan that reaches us late tells of a parcel that has left: before its case was opened, or because an old list said so.
    """
    has_gone = moment.is_late and (
        given.shown is Verdict.SHIP_IT or all(leg.opened_at > moment.at for leg in judged.holds)
    )
    if judged.verdict is Verdict.SHIP_IT or (has_gone and judged.holds):
        for parcel in scanned_parcels(order):
            await warehouse.hand_over(conn, order.order_id, parcel.shipment_id, moment.at)
    if judged.verdict is Verdict.SHIP_IT:
        return judged, Effect.DISPATCHED
    if judged.verdict is Verdict.STOP and has_gone and judged.holds:
        for leg in judged.holds:
            await _word(conn, services, principal, leg, moment, is_done=False)
        await _alert(conn, order, judged)
        return Judged(verdict=Verdict.TOO_LATE, holds=judged.holds, labels=judged.labels), Effect.HOLD_REFUSED
    if judged.verdict is Verdict.STOP:
        await _note_refused(conn, principal, order, judged)
        await _alert(conn, order, judged)
        return judged, Effect.ALERTED
    return judged, Effect.NONE


async def _note_refused(conn: Connection, principal: Principal, order: ScannedOrder, judged: Judged) -> None:
    """In the history of the cases whose parcel nearly left."""
    for case_id in sorted({leg.case_id for leg in judged.holds}):
        locked = await lock_both(conn, case_id, token=None)
        data = {"kind": ScanKind.DISPATCH, "verdict": judged.verdict, "by": principal.actor, "order": order.order_id}
        await note(conn, locked, Event.PARCEL_SCANNED, data)


async def _alert(conn: Connection, order: ScannedOrder, judged: Judged) -> None:
    case_id = judged.holds[0].case_id if judged.holds else None
    await alerts.raise_alert(conn, connection=order.warehouse, kind=ALERT, code=order.merchant_id, case_id=case_id)


async def _word(
    conn: Connection, services: Services, principal: Principal, leg: StopLeg, moment: Moment, *, is_done: bool
) -> bool:
    """The warehouse's word on a leg, with the scan as evidence. False where it is not (or no longer) waited for."""
    evidence: Mapping[str, str | int] = {"scan": moment.at.isoformat()}
    code = "scanned" if is_done else RefusedBecause.HANDED_OVER.value
    return await give_word(
        conn, services, principal, leg.case_id, leg.leg_no, is_done=is_done, code=code, evidence=evidence
    )


async def give_word(
    conn: Connection,
    services: Services,
    principal: Principal,
    case_id: str,
    leg_no: int,
    *,
    is_done: bool,
    code: str,
    evidence: Mapping[str, str | int],
) -> bool:
    """Books the warehouse's own word, whether a system of theirs is asked too or not. The order is locked by the caller.

    A hold that a warehouse system has not been told of yet is left to it: a word here must not leave the system ignorant.
    """
    locked = await lock_both(conn, case_id, token=None)
    leg = next((g for part in locked.case.parts for g in part.legs if g.leg_no == leg_no), None)
    if leg is None:
        return False
    if leg.state is LegState.PLANNED:
        call = calls.Call(case=locked.case, leg=leg, order=locked.order, number="", amount_minor=0)
        if calls.party_of(services, call) is not None:
            return False
    state = "done" if is_done else "refused"
    task_id = tasks.task_of(case_id, leg_no)
    said = {**evidence, "by": principal.actor}
    await tasks.answer_task(conn, task_id, state=state, by=principal.actor, at=locked.now, evidence=said)
    await record_by_hand(conn, services, locked, leg, is_done=is_done, evidence=said, code=code)
    return True
