"""What the file says was sold and cancelled, in memory: invoices with their lines, and cancellation lines in their own order.

A cancellation line fits a purchase of the same customer, product and price that was made strictly before it and still has that
many units which no earlier replayed request has taken back; of several the latest wins, of several at one moment the later row. A
declined request, and one that waits for a person, has taken nothing back.
"""

from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from unwind.replay.screening import pence, why_left_out
from unwind.replay.transactions import Row

Key = tuple[str, str, int]
"""Customer, product, price in pence."""


@dataclass(slots=True, kw_only=True)
class Purchase:
    """One kept line of an invoice."""

    order_id: str
    line_id: str
    """By position in the invoice, lines that were left out counted."""
    row: int
    stock_code: str
    title: str
    units: int
    price_minor: int
    bought_at: datetime
    taken_units: int = 0
    """Taken back by requests that were carried out."""


@dataclass(slots=True, kw_only=True)
class Invoice:
    """One order. Its lines may be minutes apart; it is placed with the first."""

    order_id: str
    customer: str
    placed_at: datetime
    purchases: list[Purchase] = field(default_factory=list)

    @property
    def total_minor(self) -> int:
        return sum(p.units * p.price_minor for p in self.purchases)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancellationLine:
    row: int
    at: datetime
    key: Key
    units: int
    left_out: str | None
    """Why it cannot be a request at all."""


@dataclass(slots=True, kw_only=True)
class Book:
    lines: int = 0
    invoices: dict[str, Invoice] = field(default_factory=dict)
    cancellations: list[CancellationLine] = field(default_factory=list)
    """By their own time, then by row."""
    kept_out: Counter[str] = field(default_factory=Counter)
    """Sales lines that became no order line, by reason."""
    _purchases: dict[Key, list[Purchase]] = field(default_factory=dict)

    def fitting(self, cancellation: CancellationLine) -> Purchase | None:
        fits = [
            p
            for p in self._purchases.get(cancellation.key, ())
            if p.bought_at < cancellation.at and p.units - p.taken_units >= cancellation.units
        ]
        return max(fits, key=lambda p: (p.bought_at, p.row), default=None)

    def only(self, customers: Container[str]) -> "Book":
        """The same book with these customers alone."""
        return Book(
            invoices={number: invoice for number, invoice in self.invoices.items() if invoice.customer in customers},
            cancellations=[line for line in self.cancellations if line.key[0] in customers],
            _purchases={key: some for key, some in self._purchases.items() if key[0] in customers},
        )

    def add_sale(self, row: Row, *, position: int) -> None:
        reason = why_left_out(row)
        invoice = self.invoices.get(row.invoice)
        if reason is None and invoice is not None and invoice.customer != row.customer:
            reason = "another_customer"
        if reason is not None:
            self.kept_out[reason] += 1
            return
        at = row.at.astimezone(UTC)
        if invoice is None:
            invoice = Invoice(order_id=f"OR-{row.invoice}", customer=row.customer, placed_at=at)
            self.invoices[row.invoice] = invoice
        invoice.placed_at = min(invoice.placed_at, at)
        purchase = Purchase(
            order_id=invoice.order_id,
            line_id=f"L{position}",
            row=row.number,
            stock_code=row.stock_code,
            title=(row.description or row.stock_code)[:200],
            units=row.quantity,
            price_minor=pence(row.price),
            bought_at=at,
        )
        invoice.purchases.append(purchase)
        self._purchases.setdefault((row.customer, row.stock_code, purchase.price_minor), []).append(purchase)

    def add_cancellation(self, row: Row) -> None:
        left_out = why_left_out(row)
        self.cancellations.append(
            CancellationLine(
                row=row.number,
                at=row.at.astimezone(UTC),
                key=(row.customer, row.stock_code, pence(row.price) if left_out is None else 0),
                units=-row.quantity,
                left_out=left_out,
            )
        )


def write_book(rows: Iterable[Row]) -> Book:
    """Reads all rows before anything else happens: a bad last row leaves nothing half-loaded."""
    book = Book()
    positions: Counter[str] = Counter()
    for row in rows:
        book.lines += 1
        if row.is_cancellation:
            book.add_cancellation(row)
            continue
        positions[row.invoice] += 1
        book.add_sale(row, position=positions[row.invoice])
    book.cancellations.sort(key=lambda line: (line.at, line.row))
    return book
