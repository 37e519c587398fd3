"""What was really returned, from two sides: Unwind's ledgers and the gateway's own books, order by order, to the penny."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from unwind.domain.errors import ensure
from unwind.domain.stock import Bucket
from unwind.replay.book import Invoice
from unwind.replay.loading import payment_id_of
from unwind.storage import money, orders
from unwind.storage.database import Connection

ORDERS_PER_READING = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    units: int
    money_minor: int


async def recount(
    conn: Connection,
    returned_minor: Mapping[str, int],
    taken_units: Mapping[tuple[str, str], int],
    invoices: Iterable[Invoice],
) -> Returned:
    """Of the orders that were asked about; `returned_minor` is what the gateway says, by order. Raises InvariantBroken where the two sides, or the book, disagree."""
    asked = {invoice.order_id: invoice for invoice in invoices}
    ensure(set(returned_minor) <= set(asked), "money went back only where somebody asked")
    units = money_minor = 0
    order_ids = sorted(asked)
    for start in range(0, len(order_ids), ORDERS_PER_READING):
        for row in await orders.read_orders(conn, order_ids[start : start + ORDERS_PER_READING]):
            order_id = row.order.order_id
            taken = {p.line_id: taken_units.get((order_id, p.line_id), 0) for p in asked[order_id].purchases}
            back = {str(line.line_id): line.buckets[Bucket.RESTOCKED] for line in row.order.lines}
            ensure(back == taken, f"{order_id}: the units in stock again are those that were asked for")
            payment = await money.payment_of(conn, payment_id_of(order_id))
            final = payment["final_minor"] if payment else 0
            ensure(final == returned_minor.get(order_id, 0), f"{order_id}: the gateway returned what we booked")
            units += sum(back.values())
            money_minor += final
    return Returned(units=units, money_minor=money_minor)
