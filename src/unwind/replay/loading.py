"""Invoices become orders: captured, unshipped, planned dispatch unknown, each at its own time. All of them or none.

One transaction, 500 orders a statement: whatever stops the load, a full disk or Ctrl-C, leaves the database as it was.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from unwind.replay.book import Book, Invoice
from unwind.replay.refusal import ReplayRefused
from unwind.replay.transactions import SHOP_TIME
from unwind.storage import merchants, orders, stock
from unwind.storage.database import Connection, Database

MERCHANT = "online-retail"
CONNECTION = "online-retail-cards"
"""The connection of every payment; only a replay knows a gateway behind it, so no running service can ever call it."""
OPENS_MINUTE, CLOSES_MINUTE = 9 * 60, 17 * 60
CURRENCY = "GBP"
ORDERS_PER_STATEMENT = 500

MERCHANT_DOCUMENT = {
    "merchant_id": MERCHANT,
    "name": "Online Retail (UCI)",
    "authority": "local",
    "has_settlement": False,
    "warehouse": "manual",
    "shop": "local",
    "time_zone": SHOP_TIME.key,
    "hours": [[OPENS_MINUTE, CLOSES_MINUTE]],
    "automation": "auto",
    "hold_timeout_s": 120,
}


def payment_id_of(order_id: str) -> str:
    return f"P-{order_id}"


def order_document(invoice: Invoice) -> dict[str, Any]:
    """As `PUT /api/v1/orders/{id}` takes it, everything spelled out, with `is_paid` for the order book."""
    total = invoice.total_minor
    return {
        "order_id": invoice.order_id,
        "revision": 1,
        "merchant_id": MERCHANT,
        "buyer_ref": f"OR-C{invoice.customer}",
        "currency": CURRENCY,
        "placed_at": invoice.placed_at,
        "pay_by": None,
        "planned_dispatch_at": None,
        "released_stage": "none",
        "promise": "none",
        "shipping_minor": 0,
        "risk": "unknown",
        "store_id": "",
        "wave": "",
        "pick_label": "",
        "is_paid": True,
        "lines": [
            {
                "line_id": purchase.line_id,
                "sku": purchase.stock_code,
                "location": MERCHANT,
                "pool": "normal",
                "title": purchase.title,
                "quantity": purchase.units,
                "unit_price_minor": purchase.price_minor,
                "tax_minor": 0,
                "traits": {},
                "parent_line_id": None,
            }
            for purchase in invoice.purchases
        ],
        "discounts": [],
        "payments": [
            {
                "payment_id": payment_id_of(invoice.order_id),
                "connection": CONNECTION,
                "trade_no": invoice.order_id,
                "method": "card",
                "state": "captured",
                "share_minor": total,
                "captured_minor": total,
                "funder": "buyer",
                "returns_as": "cash",
                "purpose": "full",
                "payer": "buyer",
            }
        ],
        "shipments": [],
        "benefits": [],
        "terms": {},
    }


async def load(database: Database, book: Book, on_orders: Callable[[int], None]) -> None:
    """Writes merchant and orders. Refuses where the merchant is there already."""
    invoices = sorted(book.invoices.values(), key=lambda invoice: (invoice.placed_at, invoice.order_id))
    async with database.transaction() as conn:
        if await merchants.read_merchant(conn, MERCHANT) is not None:
            raise ReplayRefused(
                f"此数据库已有商家 {MERCHANT}:每次回放须用新的数据库",
                f"merchant {MERCHANT} is in this database already: every replay wants a fresh one",
            )
        await merchants.upsert_merchant(conn, MERCHANT_DOCUMENT)
        for batch in _batches(invoices):
            await orders.insert_orders(conn, [order_document(invoice) for invoice in batch])
            await _book_units(conn, batch)
            on_orders(len(batch))


def _batches(invoices: Sequence[Invoice]) -> Iterator[Sequence[Invoice]]:
    for start in range(0, len(invoices), ORDERS_PER_STATEMENT):
        yield invoices[start : start + ORDERS_PER_STATEMENT]


async def _book_units(conn: Connection, invoices: Sequence[Invoice]) -> None:
    """The first row of the stock ledger, at the moment of each order."""
    async with conn.pipeline():
        for placed_at, together in groupby(invoices, key=lambda invoice: invoice.placed_at):
            await stock.book_orders(conn, [one.order_id for one in together], placed_at, from_pools=False)
