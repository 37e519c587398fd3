"""Works out the times of both clocks, from the timetable this process knows and the rows of the case."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from unwind.domain.case import Case, Kind
from unwind.domain.clocks import Pause, ResolveClock, RespondClock, Rung, resolve_clock, respond_clock
from unwind.domain.promotion import NOTHING, Overlay
from unwind.domain.strokes import next_stroke_at
from unwind.domain.timetable import Timetable, queue_of
from unwind.flow.services import Services
from unwind.storage import cases, clocks, orders
from unwind.storage.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkedOut:
    """`row` is the whole of `case_clocks`; the respond clock's warn and due times go to the case."""

    respond: RespondClock
    resolve: ResolveClock
    row: dict[str, Any]


def start_clocks(
    timetable: Timetable,
    *,
    case_id: str,
    merchant_id: str,
    channel: str,
    kind: Kind,
    is_urgent: bool,
    now: datetime,
    resolve_from: datetime | None = None,
    resolve_rung: Rung = Rung.NONE,
    pauses: Sequence[Pause] = (),
    overlay: Overlay = NOTHING,
    latest: datetime | None = None,
) -> WorkedOut:
    """A round of review begins. `resolve_from`: of an earlier round; that clock has run on since. `overlay`: of promotions that hold.
    `latest`: when a platform decides by itself."""
    calendar = overlay.calendar or timetable.calendar_for(
        merchant_id=merchant_id, channel=channel, queue=queue_of(kind, is_urgent=is_urgent)
    )
    targets = overlay.targets or timetable.targets_for(merchant_id)
    respond = respond_clock(opened_at=now, is_urgent=is_urgent, calendar=calendar, targets=targets, latest=latest)
    resolve = resolve_clock(started_at=resolve_from or now, pauses=pauses, calendar=calendar, targets=targets)
    return WorkedOut(
        respond=respond,
        resolve=resolve,
        row={
            "case_id": case_id,
            "is_urgent": is_urgent,
            "respond_from": now,
            "respond_half_at": respond.half_at,
            "respond_again_at": respond.again_at,
            "respond_rung": Rung.NONE,
            "respond_latest": latest,
            "resolve_from": resolve_from or now,
            "resolve_half_at": resolve.half_at,
            "resolve_again_at": resolve.again_at,
            "resolve_due_at": resolve.due_at,
            "resolve_rung": resolve_rung,
            "timetable_version": timetable.version,
            "strike_at": min(at for at in (respond.half_at, resolve.half_at, resolve.due_at) if at is not None),
        },
    )


async def start_round(conn: Connection, services: Services, case: Case, now: datetime) -> RespondClock:
    """A person is needed (again): the respond clock begins anew, the resolve clock only if it never ran. The case row is locked."""
    earlier = case.clocks
    worked = start_clocks(
        services.hours.timetable,
        case_id=case.case_id,
        merchant_id=case.merchant_id,
        channel=case.channel,
        kind=case.kind,
        is_urgent=earlier is not None and earlier.is_urgent,
        now=now,
        resolve_from=earlier.resolve_from if earlier else None,
        resolve_rung=earlier.resolve_rung if earlier else Rung.NONE,
        pauses=await clocks.pauses_of(conn, case.case_id),
        overlay=services.hours.overlay_at(case.merchant_id, now),
        latest=earlier.respond_latest if earlier else await orders.platform_deadline(conn, case.order_id),
    )
    await clocks.put_clocks(conn, worked.row)
    return worked.respond


async def work_out_again(conn: Connection, services: Services, case: Case, now: datetime) -> WorkedOut | None:
    """The times as they are by the newest timetable and the pauses so far; what has been struck too early may strike again.

    Written here, except for what stands on the case. None for a case without clocks. The case row is locked.
    """
    known = case.clocks
    if known is None:
        return None
    timetable = services.hours.timetable
    worked = start_clocks(
        timetable,
        case_id=case.case_id,
        merchant_id=case.merchant_id,
        channel=case.channel,
        kind=case.kind,
        is_urgent=known.is_urgent,
        now=known.respond_from,
        resolve_from=known.resolve_from,
        pauses=await clocks.pauses_of(conn, case.case_id),
        overlay=services.hours.overlay_at(case.merchant_id, now),
        latest=known.respond_latest,
    )
    respond, resolve = worked.respond, worked.resolve
    worked.row["respond_rung"] = _still_struck(
        known.respond_rung,
        {
            Rung.HALF: respond.half_at,
            Rung.WARNED: respond.warn_at,
            Rung.AGAIN: respond.again_at,
            Rung.DUE: respond.due_at,
        },
        now,
    )
    worked.row["resolve_rung"] = _still_struck(
        known.resolve_rung,
        {Rung.HALF: resolve.half_at, Rung.AGAIN: resolve.again_at, Rung.DUE: resolve.due_at},
        now,
    )
    await clocks.put_clocks(conn, worked.row)
    return worked


def _still_struck(struck: Rung, ladder: dict[Rung, datetime | None], now: datetime) -> Rung:
    """A paused clock keeps what it has struck; one whose times lie ahead again takes it back."""
    if all(at is None for at in ladder.values()):
        return struck
    return max(
        (rung for rung, at in ladder.items() if rung <= struck and at is not None and at <= now), default=Rung.NONE
    )


async def settle_stroke(conn: Connection, case_id: str) -> None:
    """Writes down when these clocks want to be looked at next. The case row is locked."""
    case = await cases.read_case(conn, case_id)
    await clocks.set_strike_at(conn, case_id, None if case is None else next_stroke_at(case))
