"""Promise timers: "two minutes, please", "I call you back at three". Kept or broken, both stand in the history of the case.

A promise belongs to the case, so it survives a transfer: whoever holds the case is reminded, then the group and the lead hear of it.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import psycopg
import structlog

from unwind.domain.access import SYSTEM, Principal, Scope, authorise
from unwind.domain.case import Case, holder_of
from unwind.domain.errors import Refusal, require
from unwind.domain.promises import LATEST, SOONEST, TWO_MINUTES, PromiseKind, warned_at
from unwind.domain.transitions import Event, State
from unwind.flow.chronicle import clock, record
from unwind.flow.contact import PRIORITY_MAX, RAISED_PRIORITY
from unwind.flow.notify import STAFF, staff_channel
from unwind.flow.services import Services
from unwind.logs import place_of
from unwind.storage import alerts, cases, locks, messages, phone_calls, promises
from unwind.storage.database import Connection

PROMISES_MAX = 64
ALERT_SOURCE, ALERT_KIND = "promises", "promise_broken"

log = structlog.get_logger()


async def promise_on_case(
    services: Services, principal: Principal, case_id: str, kind: PromiseKind, *, due_at: datetime | None
) -> dict[str, Any]:
    """`due_at` None only for the two minutes."""
    async with services.database.transaction() as conn:
        await locks.lock_case(conn, case_id)
        case = await _open_case(conn, principal, case_id)
        now = await clock(conn)
        row = _row(principal, kind, now=now, due_at=due_at, case_id=case_id, merchant_id=case.merchant_id)
        promise_id = await promises.add_promise(conn, row)
        data = {"promise": promise_id, "kind": kind.value, "due_at": row["due_at"].isoformat()}
        await record(conn, case_id, Event.PROMISE_MADE, at=now, actor=principal.actor, data=data)
        return {"promise_id": promise_id, "due_at": row["due_at"]}


async def promise_on_call(
    services: Services,
    principal: Principal,
    call: tuple[str, str],
    kind: PromiseKind,
    *,
    due_at: datetime | None,
) -> dict[str, Any]:
    """`call`: (telephone system, call). Where the call already belongs to a case, so does the promise."""
    system_id, call_id = call
    authorise(principal, Scope.CONTACTS_HANDLE)
    async with services.database.transaction() as conn:
        found = await phone_calls.read_call(conn, system_id, call_id)
        if found is None or principal.merchant_id not in {None, found["merchant_id"]}:
            raise Refusal("not_found")
        require(not found["agent_ids"] or principal.principal_id in found["agent_ids"], "not_your_call")
        if found["case_id"] is None:
            now = await clock(conn)
            row = _row(principal, kind, now=now, due_at=due_at, call=call, merchant_id=found["merchant_id"])
            return {"promise_id": await promises.add_promise(conn, row), "due_at": row["due_at"]}
    return await promise_on_case(services, principal, found["case_id"], kind, due_at=due_at)


def _row(
    principal: Principal,
    kind: PromiseKind,
    *,
    now: datetime,
    due_at: datetime | None,
    merchant_id: str | None,
    case_id: str | None = None,
    call: tuple[str, str] | None = None,
) -> dict[str, Any]:
    until = now + TWO_MINUTES if kind is PromiseKind.TWO_MINUTES and due_at is None else due_at
    if until is None or not SOONEST <= until - now <= LATEST:
        raise Refusal("promise_out_of_range")
    return {
        "case_id": case_id,
        "system_id": call[0] if call else None,
        "call_id": call[1] if call else None,
        "merchant_id": merchant_id,
        "kind": kind.value,
        "by": principal.principal_id,
        "at": now,
        "warn_at": warned_at(made_at=now, due_at=until),
        "due_at": until,
    }


async def keep_promise(services: Services, principal: Principal, promise_id: int) -> str:
    """By whoever does it, not only by whoever promised it. A late one is told apart."""
    async with services.database.transaction() as conn:
        promise = await promises.read_promise(conn, promise_id)
        if promise is None:
            raise Refusal("not_found")
        authorise(principal, Scope.CONTACTS_HANDLE, merchant_id=promise["merchant_id"])
        case_id = promise["case_id"]
        if case_id is not None:
            await locks.lock_case(conn, case_id)
        now = await clock(conn)
        state = "kept" if now <= promise["due_at"] else "kept_late"
        is_ours = await promises.close_promise(conn, promise_id, state=state, among=("open", "broken"), at=now)
        require(is_ours, "promise_closed")
        if case_id is not None and not await _is_sealed(conn, case_id):
            data = {"promise": promise_id, "kind": promise["kind"], "is_late": int(state == "kept_late")}
            await record(conn, case_id, Event.PROMISE_KEPT, at=now, actor=principal.actor, data=data)
        return state


async def strike_promises(services: Services, *, promises_max: int = PROMISES_MAX) -> bool:
    """One look at what is coming due. True when there may be more."""
    async with services.database.connection() as conn:
        due = await promises.due_promises(conn, promises_max=promises_max)
    await asyncio.gather(*(_guarded(services, promise_id) for promise_id in due))
    return len(due) == promises_max


async def _guarded(services: Services, promise_id: int) -> None:
    try:
        await _strike(services, promise_id)
    except psycopg.errors.LockNotAvailable:
        log.info("promise_waits_for_lock", promise_id=promise_id)
    except Exception as error:  # noqa: BLE001 - one of them must not stop the others
        log.error("promise_failed", promise_id=promise_id, error=type(error).__name__, where=place_of(error))  # noqa: TRY400 - no quotes


async def _strike(services: Services, promise_id: int) -> None:
    async with services.database.transaction() as conn:
        await locks.be_impatient(conn)
        promise = await promises.read_promise(conn, promise_id)
        if promise is None:
            return
        case_id = promise["case_id"]
        if case_id is not None:
            await locks.lock_case(conn, case_id)
        case = await cases.read_case(conn, case_id) if case_id is not None else None
        now = await clock(conn)
        if case is not None and case.state is State.ARCHIVED:
            await promises.close_promise(conn, promise_id, state="lapsed", among=("open",), at=now)
        elif await promises.warn_promise(conn, promise_id):
            await _ring(conn, services, promise, case, Event.PROMISE_WARNED, now=now)
        elif promise["due_at"] <= now and await promises.close_promise(
            conn, promise_id, state="broken", among=("open",), at=now
        ):
            await _ring(conn, services, promise, case, Event.PROMISE_BROKEN, now=now)


async def _ring(
    conn: Connection, services: Services, promise: Mapping[str, Any], case: Case | None, event: Event, *, now: datetime
) -> None:
    """To the holder, else to whoever promised; once it is broken to the group and the lead."""
    is_broken = event is Event.PROMISE_BROKEN
    if case is None:
        if is_broken:
            call = f"{promise['system_id']}:{promise['call_id']}"
            await alerts.raise_alert(conn, connection=ALERT_SOURCE, kind=ALERT_KIND, code=call)
        return
    holder = holder_of(case, now) or promise["promised_by"]
    head = await cases.read_head(conn, case.case_id)
    raised = min(PRIORITY_MAX - 1, head["priority"] + RAISED_PRIORITY) if head and is_broken else None
    await record(
        conn,
        case.case_id,
        event,
        at=now,
        actor=SYSTEM.actor,
        data={
            "promise": promise["promise_id"],
            "kind": promise["kind"],
            "due_at": promise["due_at"].isoformat(),
            "to": "group,lead" if is_broken else f"agent:{holder}",
        },
        priority=raised,
        is_due_now=True,
    )
    if staff_channel(services, case.merchant_id) is not None:
        left = promise["due_at"] - now
        fact = "staff_promise_broken" if is_broken else "staff_promise_due"
        await messages.add_message(
            conn,
            case_id=case.case_id,
            order_id=case.order_id,
            audience="agent",
            channel=STAFF,
            fact=f"{fact}:{promise['promise_id']}",
            params={"case": case.case_id, "minutes": max(0, -(-left // timedelta(minutes=1)))},
        )


async def _open_case(conn: Connection, principal: Principal, case_id: str) -> Case:
    case = await cases.read_case(conn, case_id)
    if case is None:
        raise Refusal("not_found")
    authorise(principal, Scope.CONTACTS_HANDLE, merchant_id=case.merchant_id, order_id=case.order_id)
    require(case.state is not State.ARCHIVED, "case_sealed")
    return case


async def _is_sealed(conn: Connection, case_id: str) -> bool:
    head = await cases.read_head(conn, case_id)
    return head is None or head["state"] == State.ARCHIVED
