"""The buyer waits. What was promised is watched: kept, the order is retained; not kept, the case is back at the top.

Looked at whenever news of the order or its parcels comes, and at the promised moment.
"""

from typing import Any

from unwind.domain.case import Case, CaseOutcome, PartState
from unwind.domain.order import Order, Shipment
from unwind.domain.questions import Promised, Watch
from unwind.domain.stage import COMING_BACK, IN_THE_HOUSE, Stage
from unwind.domain.transitions import Event, State
from unwind.flow.answers import decide_by_itself
from unwind.flow.chronicle import record
from unwind.flow.clocks import settle_stroke, start_round
from unwind.flow.execute import Lease, Locked, lock_both
from unwind.flow.questions import TOP_PRIORITY
from unwind.flow.services import Services
from unwind.storage import cases, shipments
from unwind.storage.database import Connection

NEVER_COMES = COMING_BACK | {Stage.LOST}


async def look(services: Services, lease: Lease) -> bool:
    """True when the waiting has ended, one way or the other."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, lease.case_id, token=lease.token)
        watch = locked.case.watch
        if locked.case.state is not State.WATCHING or watch is None:
            return False
        stages = await _stages(conn, locked.case, locked.order)
        if _is_kept(watch, stages):
            await _retain(conn, locked, watch)
            return True
        if watch.until <= locked.now or stages & NEVER_COMES:
            await end_wait(conn, services, locked, Event.WAIT_IN_VAIN, data={"promised": watch.promised})
            if watch.promised is Promised.DISPATCHED and stages <= IN_THE_HOUSE:
                again = await lock_both(conn, lease.case_id, token=lease.token)
                await decide_by_itself(conn, services, again, why="wait_in_vain")
            return True
    return False


async def _stages(conn: Connection, case: Case, order: Order) -> set[Stage]:
    """Where the units of the case are by now: what the shop says, or the carrier's own route where that knows more."""
    routes = {row["shipment_id"]: row["route"] for row in await shipments.parcels_of(conn, order.order_id)}
    known = {s.shipment_id: _stage_of(s, routes.get(s.shipment_id, [])) for s in order.shipments}
    waiting = [part for part in case.parts if part.state is PartState.REVIEW]
    stages = {known[part.shipment_id] for part in waiting if part.shipment_id in known}
    spoken_for = {part.shipment_id for part in case.parts}
    for part in waiting:
        left = dict(part.quantities) if part.shipment_id not in known else {}
        for shipment in order.shipments:
            if shipment.shipment_id not in spoken_for and set(left) & set(shipment.quantities):
                stages.add(known[shipment.shipment_id])
                left = {line_id: n - shipment.quantities.get(line_id, 0) for line_id, n in left.items()}
        if any(n > 0 for n in left.values()):
            stages.add(order.released_stage)
    return stages


def _stage_of(shipment: Shipment, route: list[dict[str, Any]]) -> Stage:
    arrived = bool(route) and Stage(route[-1]["stage"]) is Stage.DELIVERED
    return Stage.DELIVERED if arrived else shipment.stage


def _is_kept(watch: Watch, stages: set[Stage]) -> bool:
    if watch.promised is Promised.DELIVERED:
        return stages == {Stage.DELIVERED}
    return bool(stages) and not stages & (IN_THE_HOUSE | NEVER_COMES)


async def _retain(conn: Connection, locked: Locked, watch: Watch) -> None:
    """It came as promised: the order is kept, and the case may be closed."""
    case_id = locked.case.case_id
    for part in locked.case.parts:
        if part.state is PartState.REVIEW:
            await cases.set_part(conn, case_id, part.part_no, state=PartState.RETAINED)
            await cases.close_lines(conn, case_id, part_no=part.part_no)
    others_run = any(part.state in {PartState.EXECUTING, PartState.DONE} for part in locked.case.parts)
    await record(
        conn,
        case_id,
        Event.REST_CONTINUES if others_run else Event.WAIT_REWARDED,
        at=locked.now,
        data={"promised": watch.promised},
        outcome=None if others_run else CaseOutcome.RETAINED,
        decided_at=locked.now,
        is_due_now=True,
    )
    await cases.set_watch(conn, case_id, None)


async def stop_waiting(conn: Connection, services: Services, case_id: str, *, actor: str) -> None:
    """The buyer asks to cancel after all: their way out is always there. Order and case are locked by the caller."""
    locked = await lock_both(conn, case_id, token=None)
    if locked.case.state is State.WATCHING:
        await end_wait(conn, services, locked, Event.RECONSIDERED, data={}, actor=actor)


async def end_wait(
    conn: Connection,
    services: Services,
    locked: Locked,
    event: Event,
    *,
    data: dict[str, object],
    actor: str | None = None,
) -> None:
    """Back to a person, at the top, with a new round of the respond clock. The case is locked and being watched."""
    case, now = locked.case, locked.now
    clock = await start_round(conn, services, case, now)
    await record(
        conn,
        case.case_id,
        event,
        at=now,
        data=data,
        **({"actor": actor} if actor else {}),
        rule=event.value,
        priority=TOP_PRIORITY,
        respond_warn_at=clock.warn_at,
        respond_due_at=clock.due_at,
        is_new_round=True,
        is_due_now=True,
    )
    await cases.set_watch(conn, case.case_id, None)
    await settle_stroke(conn, case.case_id)
