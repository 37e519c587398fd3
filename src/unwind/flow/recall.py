"""Parcels on their way: look before anybody speaks, and book what the carrier proves."""

from datetime import datetime

from unwind.domain.order import Shipment
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.domain.stage import COMING_BACK, ON_THE_WAY, Stage
from unwind.flow.execute import Lease
from unwind.flow.services import Services
from unwind.ports.carrier import RouteEvent, Tracking
from unwind.storage import cases, locks, orders, shipments
from unwind.storage.database import to_json

LOOKS_LAST_S = 600
"""A route younger than this is fresh enough for a person."""


async def look_at_parcels(services: Services, lease: Lease) -> bool:
    """Fetches the routes of parcels that a person is about to decide on. True when something was fetched."""
    async with services.database.connection() as conn:
        head = await cases.read_head(conn, lease.case_id)
        row = await orders.read_order(conn, head["order_id"]) if head else None
        if row is None:
            return False
        parcels = {p["shipment_id"]: p for p in await shipments.parcels_of(conn, row.order.order_id)}
    looked = False
    for shipment in row.order.shipments:
        carrier = services.carriers.get(shipment.carrier)
        tracked_at = parcels[shipment.shipment_id]["tracked_at"]
        is_fresh = tracked_at is not None and (row.now - tracked_at).total_seconds() < LOOKS_LAST_S
        if carrier is None or is_fresh or not shipment.waybill_no:
            continue
        answer = await carrier.track(shipment.waybill_no)
        tracking = None if isinstance(answer, Outcome) else answer
        heard = answer if isinstance(answer, Outcome) else Outcome(kind=OutcomeKind.SUCCEEDED)
        await services.health.note(services.database, shipment.carrier, heard, subject=lease.case_id, now=row.now)
        async with services.database.transaction() as conn:
            await locks.lock_order(conn, row.order.order_id)
            await locks.lock_case(conn, lease.case_id, lease_token=lease.token)
            document = route_document(shipment, tracking, looked_at=row.now)
            await orders.record_tracking(conn, row.order.order_id, shipment.shipment_id, document)
        looked = looked or tracking is not None
    return looked


def route_document(shipment: Shipment, tracking: Tracking | None, *, looked_at: datetime) -> dict[str, object]:
    """What is stored of a route. No answer leaves what is known; only the moment of looking is new.

    Where the carrier does not say when it passed its news on, the moment they reach us stands for it: what neither the shop nor we knew
    until now has been late.
    """
    if tracking is None:
        return {
            "route": "[]",
            "moved_at": shipment.moved_at,
            "fed_at": shipment.fed_at,
            "tracked_at": looked_at,
            "return_waybill_no": "",
            "stage": None,
            "picked_up_at": None,
        }
    events = sorted(tracking.events, key=lambda event: event.at)
    moving = [event for event in events if Stage(event.stage) in ON_THE_WAY | COMING_BACK | {Stage.DELIVERED}]
    return {
        "route": to_json([{"at": e.at, "stage": e.stage, "place": e.place} for e in events]),
        "moved_at": events[-1].at if events else shipment.moved_at,
        "fed_at": tracking.fed_at or _reached_us_at(shipment, events, looked_at),
        "tracked_at": looked_at,
        "return_waybill_no": tracking.return_waybill_no,
        "stage": None,
        "picked_up_at": moving[0].at if moving else None,
    }


def _reached_us_at(shipment: Shipment, events: list[RouteEvent], looked_at: datetime) -> datetime | None:
    if not events:
        return shipment.fed_at
    was_known = shipment.moved_at is not None and shipment.moved_at >= events[-1].at
    return shipment.fed_at if was_known else looked_at
