"""`--stages modelled`: every order leaves at the merchant's next opening after it was placed and arrives three days later.

The next opening is the next 09:00 by the shop's clock, also for an order placed while the shop is open: parcels are collected in the
morning. Three days are days on the same clock. So every situation occurs: a request before the next morning finds the goods in
the house, one within three days finds them on the road, a later one finds them delivered.

What was taken back before the collection does not travel. Orders that a request asks about are told by events, at the moments of the
events (`playing.py`). The others end up in the same state by batch, collection by collection, once the last request was played.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from unwind.domain.access import SYSTEM
from unwind.domain.stage import Stage
from unwind.domain.stock import Bucket
from unwind.flow.order_book import apply_event
from unwind.flow.services import Services
from unwind.replay.book import Invoice
from unwind.replay.loading import OPENS_MINUTE
from unwind.replay.transactions import SHOP_TIME
from unwind.storage import orders, stock
from unwind.storage.database import Connection, Database

DAYS_ON_THE_ROAD = 3
CARRIER = "online-retail-post"
"""No carrier of this name is connected: nobody outside is asked about these parcels."""
ORDERS_PER_TRANSACTION = 500


def collected_at(placed_at: datetime) -> datetime:
    local = placed_at.astimezone(SHOP_TIME)
    opening = local.replace(hour=OPENS_MINUTE // 60, minute=OPENS_MINUTE % 60, second=0, microsecond=0)
    if opening <= local:
        opening += timedelta(days=1)
    return opening.astimezone(UTC)


def delivered_at(placed_at: datetime) -> datetime:
    return (collected_at(placed_at).astimezone(SHOP_TIME) + timedelta(days=DAYS_ON_THE_ROAD)).astimezone(UTC)


@dataclass(slots=True, kw_only=True)
class Parcel:
    """The one parcel of an order. What it holds is decided when it is collected."""

    invoice: Invoice
    quantities: dict[str, int] = field(default_factory=dict)

    @property
    def moves(self) -> list[tuple[datetime, Stage]]:
        """When the parcel gets where."""
        placed_at = self.invoice.placed_at
        return [(collected_at(placed_at), Stage.IN_TRANSIT), (delivered_at(placed_at), Stage.DELIVERED)]

    def pack(self) -> None:
        self.quantities = {
            p.line_id: p.units - p.taken_units for p in self.invoice.purchases if p.units > p.taken_units
        }

    def document(self, stage: Stage, at: datetime) -> dict[str, Any]:
        return {
            "shipment_id": f"S-{self.invoice.order_id}",
            "carrier": CARRIER,
            "waybill_no": f"W-{self.invoice.order_id}",
            "stage": stage.value,
            "picked_up_at": collected_at(self.invoice.placed_at),
            "moved_at": at,
            "fed_at": at,
            "quantities": self.quantities,
        }


async def move_parcel(services: Services, parcel: Parcel, stage: Stage, at: datetime) -> None:
    """Tells the order book, by its front door. The clock stands at `at`. An order taken back whole has no parcel."""
    if stage is Stage.IN_TRANSIT:
        parcel.pack()
    if not parcel.quantities:
        return
    event = {
        "event_id": f"{parcel.invoice.order_id}-{stage.value}",
        "kind": "parcel_moved",
        "at": at,
        "data": parcel.document(stage, at),
    }
    await apply_event(services, SYSTEM, parcel.invoice.order_id, event)


async def deliver_unasked(database: Database, invoices: Iterable[Invoice], on_orders: Callable[[int], None]) -> None:
    """Orders no request was about: collected and delivered at their own times, many at once. They have no case to wake."""
    by_collection = sorted(invoices, key=lambda invoice: (collected_at(invoice.placed_at), invoice.order_id))
    for _, together in groupby(by_collection, key=lambda invoice: collected_at(invoice.placed_at)):
        batch = list(together)
        for start in range(0, len(batch), ORDERS_PER_TRANSACTION):
            some = batch[start : start + ORDERS_PER_TRANSACTION]
            async with database.transaction() as conn, conn.pipeline():
                await _deliver(conn, [Parcel(invoice=invoice) for invoice in some])
            on_orders(len(some))


async def _deliver(conn: Connection, parcels: list[Parcel]) -> None:
    """Parcels of one collection."""
    units: list[stock.UnitMove] = []
    (collected, _), (arrived, stage) = parcels[0].moves
    for parcel in parcels:
        parcel.pack()
        order_id = parcel.invoice.order_id
        await orders.upsert_shipment(conn, order_id, parcel.document(stage, arrived))
        units += [
            stock.UnitMove(order_id=order_id, line_id=line_id, units=n) for line_id, n in parcel.quantities.items()
        ]
    await stock.move(conn, units, source=Bucket.RESERVED, target=Bucket.SHIPPED, now=collected)
    await stock.move(conn, units, source=Bucket.SHIPPED, target=Bucket.DELIVERED, now=arrived)
