"""The buyer waits. What was promised is watched: kept, the order is retained; not kept, the case is back at the top.

Looked at whenever news of the order or its parcels comes, and at the promised moment.
"""

from typing import Any

from unwind.domain.case import Case, CaseOutcome, PartState
from unwind.domain.order import Order
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
    units = {line_id for part in case.parts if part.state is PartState.REVIEW for line_id in part.quantities}
    stages: set[Stage] = set()
    shipped: dict[str, int] = {}
    for shipment in order.shipments:
        if not units & set(shipment.quantities):
            continue
        last = _last_stage(routes.get(shipment.shipment_id, []))
        stages.add(Stage.DELIVERED if last is Stage.DELIVERED else shipment.stage)
        for line_id, count in shipment.quantities.items():
            shipped[line_id] = shipped.get(line_id, 0) + count
    wanted = {
        line_id: n for part in case.parts if part.state is PartState.REVIEW for line_id, n in part.quantities.items()
    }
    if any(shipped.get(line_id, 0) < n for line_id, n in wanted.items()):
        stages.add(order.released_stage)
    return stages


def _last_stage(route: list[dict[str, Any]]) -> Stage | None:
    return Stage(route[-1]["stage"]) if route else None


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
    await record(
        conn,
        case_id,
        Event.WAIT_REWARDED,
        at=locked.now,
        data={"promised": watch.promised},
        outcome=CaseOutcome.RETAINED,
        decided_at=locked.now,
        is_due_now=True,
    )


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
