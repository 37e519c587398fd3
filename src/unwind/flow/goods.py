"""What the steps do to units, benefits and the order itself, inside the transaction that records them."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from unwind.domain.case import Part, Way
from unwind.domain.inspection import SECOND_POOL
from unwind.domain.legs import LegKind
from unwind.domain.order import LineId, Order
from unwind.domain.stock import Bucket
from unwind.storage import benefits, orders, shipments, stock
from unwind.storage.database import Connection

INSPECTED = frozenset({"second", "scrap", "short"})


async def shift(
    conn: Connection,
    order: Order,
    case_id: str | None,
    quantities: Mapping[LineId, int],
    *,
    sources: Iterable[Bucket],
    target: Bucket,
    now: datetime,
    to_pool: str = "",
) -> dict[LineId, int]:
    """Moves up to the named units into `target`, taking from the sources in turn. Returns the units that were in none. `to_pool`: of the shelf, where it is not their own."""
    rest = dict(quantities)
    for source in sources:
        moves = []
        for line_id, units in rest.items():
            available = min(units, order.line(line_id).buckets.get(source, 0))
            if available:
                moves.append(
                    stock.UnitMove(
                        order_id=order.order_id, line_id=line_id, units=available, case_id=case_id, to_pool=to_pool
                    )
                )
                rest[line_id] = units - available
        await stock.move(conn, moves, source=source, target=target, now=now)
    return {line_id: units for line_id, units in rest.items() if units > 0}


async def hold(conn: Connection, order: Order, case_id: str, part: Part, now: datetime) -> None:
    await shift(conn, order, case_id, part.quantities, sources=[Bucket.RESERVED], target=Bucket.HELD, now=now)


async def unhold(conn: Connection, order: Order, case_id: str, part: Part, now: datetime) -> None:
    await shift(conn, order, case_id, part.quantities, sources=[Bucket.HELD], target=Bucket.RESERVED, now=now)


async def recall(conn: Connection, order: Order, case_id: str, part: Part, now: datetime) -> None:
    await shift(conn, order, case_id, part.quantities, sources=[Bucket.SHIPPED], target=Bucket.RECALLED, now=now)


async def take_in(conn: Connection, order: Order, case_id: str, part: Part, now: datetime) -> None:
    """A returned parcel arrives, sent back by the carrier or by the buyer: its units wait in quarantine for what the inspection said."""
    rest = dict(part.quantities)
    first = _came_from(part)
    if first is not None:
        rest = await shift(conn, order, case_id, rest, sources=[first], target=Bucket.QUARANTINE, now=now)
    if not rest:
        return
    await shift(conn, order, case_id, rest, sources=[Bucket.SHIPPED], target=Bucket.RECALLED, now=now)
    row = await orders.read_order(conn, order.order_id)
    if row is not None:
        back = [Bucket.RECALLED, Bucket.DELIVERED]
        await shift(conn, row.order, case_id, rest, sources=back, target=Bucket.QUARANTINE, now=now)


def _came_from(part: Part) -> Bucket | None:
    """Where this part's own units are, so that those of another parcel with the same line are left alone."""
    if part.way is Way.RETURN:
        return Bucket.DELIVERED
    return Bucket.RECALLED if any(leg.kind is LegKind.RECALL_PARCEL for leg in part.legs) else None


async def put_back(conn: Connection, order: Order, case_id: str, part: Part, now: datetime) -> None:
    """Units go back to their pool; those of a returned parcel as the inspection found them (`domain/inspection.py`)."""
    found = {key: int(n) for leg in part.legs for key, n in leg.evidence.items() if key.partition(":")[0] in INSPECTED}
    rest = dict(part.quantities)
    for names, target, pool in (
        (("scrap", "short"), Bucket.LOST, ""),
        (("second",), Bucket.RESTOCKED, SECOND_POOL),
    ):
        units = {
            line_id: min(n, sum(found.get(f"{name}:{line_id}", 0) for name in names)) for line_id, n in rest.items()
        }
        units = {line_id: n for line_id, n in units.items() if n > 0}
        if units and pool:
            await stock.open_pool(conn, order.order_id, list(units), pool)
        await shift(conn, order, case_id, units, sources=[Bucket.QUARANTINE], target=target, now=now, to_pool=pool)
        rest = {line_id: n - units.get(line_id, 0) for line_id, n in rest.items()}
    good = {line_id: n for line_id, n in rest.items() if n > 0}
    sources = (
        [Bucket.HELD, Bucket.RESERVED] if not part.shipment_id else [Bucket.QUARANTINE, Bucket.HELD, Bucket.RESERVED]
    )
    await shift(conn, order, case_id, good, sources=sources, target=Bucket.RESTOCKED, now=now)


async def take_from_parcel(conn: Connection, order: Order, part: Part) -> None:
    """The units are spoken for in their parcel, so that no later request counts them again."""
    if part.shipment_id:
        await shipments.take_units(conn, order.order_id, part.shipment_id, part.quantities)


async def restore_benefit(conn: Connection, order: Order, benefit_id: str, now: datetime) -> None:
    await benefits.restore(conn, order.order_id, benefit_id, now)


async def close_order(conn: Connection, order: Order, *, is_complete: bool, now: datetime) -> None:
    if is_complete:
        await orders.mark_cancelled(conn, order.order_id, now)
    else:
        await orders.touch_order(conn, order.order_id)


async def untake_from_parcel(conn: Connection, order: Order, part: Part) -> None:
    if part.shipment_id:
        await shipments.give_back_units(conn, order.order_id, part.shipment_id, part.quantities)


async def ship(conn: Connection, order: Order, quantities: Mapping[LineId, int], now: datetime) -> None:
    """A parcel was picked up: its units leave the house. Units already on the road stay where they are."""
    missing = {line_id: max(0, units - _on_the_road(order, line_id)) for line_id, units in quantities.items()}
    await shift(conn, order, None, missing, sources=[Bucket.RESERVED, Bucket.HELD], target=Bucket.SHIPPED, now=now)


async def arrive(
    conn: Connection, order: Order, quantities: Mapping[LineId, int], *, target: Bucket, now: datetime
) -> None:
    """A parcel was delivered or lost."""
    await shift(conn, order, None, quantities, sources=[Bucket.SHIPPED, Bucket.RECALLED], target=target, now=now)


def _on_the_road(order: Order, line_id: LineId) -> int:
    """Units of the line that have left the house before, whatever became of them."""
    buckets = order.line(line_id).buckets
    left = (Bucket.SHIPPED, Bucket.RECALLED, Bucket.QUARANTINE, Bucket.DELIVERED, Bucket.LOST)
    return sum(buckets.get(bucket, 0) for bucket in left)
