"""What the steps do to units, benefits and the order itself, inside the transaction that records them."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from unwind.domain.case import Part
from unwind.domain.errors import ensure
from unwind.domain.inspection import SECOND_POOL
from unwind.domain.legs import LegKind
from unwind.domain.order import LineId, Order
from unwind.domain.stock import Bucket, ParcelUnits
from unwind.domain.terms import SpentPoints, reissue_until
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
    road = await _on_the_road(conn, order, part)
    await shift(conn, order, case_id, road, sources=[Bucket.SHIPPED], target=Bucket.RECALLED, now=now)


async def take_in(conn: Connection, order: Order, case_id: str, part: Part, now: datetime) -> None:
    """A returned parcel arrives, sent back by the carrier or by the buyer: its units wait in quarantine for what the inspection said.

    It has left, whether anybody has said so or not. Those of another parcel with the same line are left alone.
    """
    await ship(conn, order, part.shipment_id, now)
    order = await _again(conn, order)
    road = await _on_the_road(conn, order, part)
    back = {line_id: units - road.get(line_id, 0) for line_id, units in part.quantities.items()}
    await shift(conn, order, case_id, back, sources=[Bucket.DELIVERED], target=Bucket.QUARANTINE, now=now)
    rest = road
    if any(leg.kind is LegKind.RECALL_PARCEL for leg in part.legs):
        rest = await shift(conn, order, case_id, rest, sources=[Bucket.RECALLED], target=Bucket.QUARANTINE, now=now)
    await shift(conn, order, case_id, rest, sources=[Bucket.SHIPPED], target=Bucket.RECALLED, now=now)
    order = await _again(conn, order)
    await shift(conn, order, case_id, rest, sources=[Bucket.RECALLED], target=Bucket.QUARANTINE, now=now)
    await shipments.note_landed(conn, order.order_id, part.shipment_id, road)


async def _on_the_road(conn: Connection, order: Order, part: Part) -> dict[LineId, int]:
    """Of the part, the units that its own parcel has on the road."""
    own = (await shipments.units_of(conn, order.order_id)).get(part.shipment_id, {})
    return {line_id: min(units, own[line_id].on_road) for line_id, units in part.quantities.items() if line_id in own}


async def _again(conn: Connection, order: Order) -> Order:
    """As it is after the moves of this transaction."""
    row = await orders.read_order(conn, order.order_id)
    ensure(row is not None, "a locked order does not vanish")
    return row.order if row is not None else order


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
    own = (await shipments.units_of(conn, order.order_id)).get(part.shipment_id, {})
    away = {line_id: n for line_id, n in good.items() if line_id in own and own[line_id].left}
    await shift(conn, order, case_id, away, sources=[Bucket.QUARANTINE], target=Bucket.RESTOCKED, now=now)
    kept = {line_id: n for line_id, n in good.items() if line_id not in away}
    sources = [Bucket.HELD, Bucket.RESERVED]
    rest = await shift(conn, order, case_id, kept, sources=sources, target=Bucket.RESTOCKED, now=now)
    if own and kept:
        moved = {line_id: n - rest.get(line_id, 0) for line_id, n in kept.items()}
        await shipments.note_landed(conn, order.order_id, part.shipment_id, moved)


async def take_from_parcel(conn: Connection, order: Order, part: Part) -> None:
    """The units are spoken for in their parcel, so that no later request counts them again."""
    if part.shipment_id:
        await shipments.take_units(conn, order.order_id, part.shipment_id, part.quantities)


async def restore_benefit(conn: Connection, order: Order, benefit_id: str, now: datetime) -> None:
    until = reissue_until(order.merchant.money, now)
    await benefits.restore(conn, order.order_id, benefit_id, now, reissue_until=until)


async def claw_back(conn: Connection, order: Order, benefit_id: str, amount: int) -> Mapping[str, int]:
    """What was earned with these units leaves the account it is in, as far as it is there. Spent points are a rule, never a negative refund."""
    account = next(benefit.account for benefit in order.benefits if benefit.benefit_id == benefit_id)
    is_owed = order.merchant.money.spent_points is SpentPoints.OWE
    found = await benefits.claw_back(conn, account, amount, is_owed=is_owed)
    return {"taken": found.taken, "short": found.short} if found.short else {"taken": found.taken}


async def close_order(conn: Connection, order: Order, *, is_complete: bool, now: datetime) -> None:
    if is_complete:
        await orders.mark_cancelled(conn, order.order_id, now)
    else:
        await orders.touch_order(conn, order.order_id)


async def untake_from_parcel(conn: Connection, order: Order, part: Part) -> None:
    if part.shipment_id:
        await shipments.give_back_units(conn, order.order_id, part.shipment_id, part.quantities)


async def ship(conn: Connection, order: Order, shipment_id: str, now: datetime) -> None:
    """A parcel was picked up: its own units leave the house, once. Those that other parcels and holds wait for leave only where its own are gone."""
    parcels = await shipments.units_of(conn, order.order_id)
    leaving = {line_id: own.in_house for line_id, own in parcels.get(shipment_id, {}).items() if not own.left}
    if not leaving:
        return
    free = unclaimed(order, parcels, shipment_id)
    at_first = {line_id: min(units, free[line_id]) for line_id, units in leaving.items()}
    await shift(conn, order, None, at_first, sources=[Bucket.RESERVED], target=Bucket.SHIPPED, now=now)
    rest = {line_id: units - at_first[line_id] for line_id, units in leaving.items()}
    if any(rest.values()):
        order = await _again(conn, order)
        sources = [Bucket.HELD, Bucket.RESERVED]
        rest = await shift(conn, order, None, rest, sources=sources, target=Bucket.SHIPPED, now=now)
    moved = {line_id: units - rest.get(line_id, 0) for line_id, units in leaving.items()}
    await shipments.note_left(conn, order.order_id, shipment_id, moved)


async def arrive(conn: Connection, order: Order, shipment_id: str, *, target: Bucket, now: datetime) -> None:
    """A parcel was delivered or lost: what of it was still on the road, once."""
    own = (await shipments.units_of(conn, order.order_id)).get(shipment_id, {})
    road = {line_id: units.on_road for line_id, units in own.items() if units.on_road > 0}
    for is_taken, sources in (
        (True, [Bucket.RECALLED, Bucket.SHIPPED]),
        (False, [Bucket.SHIPPED, Bucket.RECALLED]),
    ):
        lines = {line_id: units for line_id, units in road.items() if (own[line_id].taken > 0) is is_taken}
        await shift(conn, order, None, lines, sources=sources, target=target, now=now)
    if road:
        await shipments.note_landed(conn, order.order_id, shipment_id, road)


def unclaimed(order: Order, parcels: Mapping[str, Mapping[LineId, ParcelUnits]], shipment_id: str) -> dict[LineId, int]:
    """Reserved units that this parcel may leave with: not those of a cancellation that stopped it, nor those packed in other parcels."""
    free = {}
    for line_id, own in parcels[shipment_id].items():
        others = sum(lines[line_id].to_ship for lines in parcels.values() if line_id in lines) - own.to_ship
        reserved = order.line(line_id).buckets.get(Bucket.RESERVED, 0)
        free[line_id] = max(0, min(reserved - others, own.to_ship))
    return free


def takes_from(order: Order, parcels: Mapping[str, Mapping[LineId, ParcelUnits]], shipment_id: str, part: Part) -> bool:
    """The parcel is about to leave with units of this part: it is the part's own, or there are not enough others in the house."""
    if part.shipment_id:
        return part.shipment_id == shipment_id
    for line_id, units in part.quantities.items():
        if line_id not in parcels.get(shipment_id, {}):
            continue
        buckets = order.line(line_id).buckets
        in_house = buckets.get(Bucket.RESERVED, 0) + buckets.get(Bucket.HELD, 0)
        packed = sum(lines[line_id].in_house for lines in parcels.values() if line_id in lines)
        if parcels[shipment_id][line_id].in_house > 0 and in_house - packed < units:
            return True
    return False
