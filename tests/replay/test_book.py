"""What is sold, what is left out and why, and which purchase a cancellation line is about."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from unwind.domain.outcome import OutcomeKind, TradeState
from unwind.ports.payment import RefundCall
from unwind.replay.book import write_book
from unwind.replay.gateway import LedgerGateway
from unwind.replay.lanes import shares_of
from unwind.replay.loading import order_document
from unwind.replay.parcels import collected_at, delivered_at
from unwind.replay.screening import why_left_out, words_of
from unwind.replay.transactions import SHOP_TIME, Row
from unwind.web.schemas.orders import OrderIn


def one(number: int, invoice: str, at: str, **given: object) -> Row:
    fields: dict[str, object] = {
        "stock_code": "85123A",
        "description": "THING",
        "quantity": -6 if invoice.startswith("C") else 6,
        "price": Decimal("2.55"),
        "customer": "17850",
        **given,
    }
    moment = datetime.fromisoformat(f"2010-12-{at}").replace(tzinfo=SHOP_TIME)
    return Row(number=number, invoice=invoice, at=moment, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, None),
        ({"stock_code": "15056bl"}, None),
        ({"stock_code": "POST"}, "fee:POST"),
        ({"stock_code": "m"}, "fee:M"),
        ({"stock_code": "gift_0001_30"}, "fee:gift_*"),
        ({"stock_code": "DCGSSBOY"}, "fee:other"),
        ({"stock_code": "8512A"}, "fee:other"),
        ({"stock_code": "85123 A"}, "fee:other"),
        ({"stock_code": "BANK CHARGES", "price": Decimal(-5), "customer": ""}, "fee:BANK CHARGES"),
        ({"price": Decimal(0), "customer": ""}, "price_not_positive"),
        ({"price": Decimal("-11062.06")}, "price_not_positive"),
        ({"price": Decimal("0.001")}, "price_below_a_penny"),
        ({"price": Decimal("2.550")}, None),
        ({"customer": ""}, "no_customer"),
        ({"quantity": 0}, "quantity_sign"),
        ({"quantity": -1}, "quantity_sign"),
    ],
)
def test_why_a_sale_is_left_out(given: dict[str, object], reason: str | None) -> None:
    assert why_left_out(one(2, "536365", "01T08:26:00", **given)) == reason
    if reason:
        assert all(words_of(reason))


def test_a_cancellation_takes_units_away() -> None:
    assert why_left_out(one(2, "C536365", "01T08:26:00")) is None
    assert why_left_out(one(2, "C536365", "01T08:26:00", quantity=6)) == "quantity_sign"


def test_lines_are_numbered_by_their_place_in_the_invoice() -> None:
    book = write_book(
        [
            one(2, "536365", "01T08:27:00"),
            one(3, "536365", "01T08:26:00", stock_code="POST"),
            one(4, "536365", "01T08:26:00", stock_code="71053", description=""),
            one(5, "536365", "01T08:26:00", customer="99999"),
        ]
    )
    invoice = book.invoices["536365"]
    assert [(p.line_id, p.title) for p in invoice.purchases] == [("L1", "THING"), ("L3", "71053")]
    assert invoice.placed_at == one(4, "536365", "01T08:26:00").at, "placed with its first line"
    assert book.kept_out == {"fee:POST": 1, "another_customer": 1}


def test_an_order_is_what_the_interface_would_take() -> None:
    book = write_book([one(2, "536365", "01T08:26:00"), one(3, "536365", "01T08:26:00", stock_code="71053")])
    document = order_document(book.invoices["536365"])
    assert document.pop("is_paid")
    order_id = document.pop("order_id")
    checked = OrderIn.model_validate(document).document(order_id)
    assert {**document, "order_id": order_id, "buyer": {}, "lines": None} == {**checked, "lines": None}
    assert checked["payments"][0]["captured_minor"] == 2 * 6 * 255


@pytest.mark.parametrize(
    ("cancelled", "row"),
    [
        ({}, 4),
        ({"quantity": -7}, 3),
        ({"quantity": -21}, None),
        ({"price": Decimal("2.54")}, None),
        ({"customer": "17851"}, None),
        ({"stock_code": "85123B"}, None),
    ],
)
def test_the_latest_fitting_purchase(cancelled: dict[str, object], row: int | None) -> None:
    book = write_book(
        [
            one(2, "536365", "01T08:26:00", quantity=20),
            one(3, "536366", "02T08:26:00", quantity=20),
            one(4, "536367", "03T08:26:00", quantity=6),
            one(5, "536368", "04T10:00:00", quantity=6),
            one(6, "C536369", "04T10:00:00", **cancelled),
        ]
    )
    found = book.fitting(book.cancellations[0])
    assert (found.row if found else None) == row, "bought before, not at the same moment"


def test_of_two_lines_at_one_moment_the_later_row() -> None:
    rows = [one(2, "536365", "01T08:26:00"), one(3, "536365", "01T08:26:00"), one(4, "C1", "01T08:27:00")]
    book = write_book(rows)
    found = book.fitting(book.cancellations[0])
    assert found is not None
    assert found.line_id == "L2"
    found.taken_units = 1
    again = book.fitting(book.cancellations[0])
    assert again is not None
    assert again.line_id == "L1"


def test_cancellations_by_their_own_time() -> None:
    book = write_book([one(2, "C2", "03T08:00:00"), one(3, "C1", "01T08:00:00"), one(4, "C3", "01T08:00:00")])
    assert [line.row for line in book.cancellations] == [3, 4, 2]


def test_shares_are_the_whole() -> None:
    rows = [one(n, f"C{n}", "01T08:00:00", customer=str(n % 7 or "")) for n in range(2, 60)]
    rows += [one(n, str(n), "01T08:00:00", customer=str(n % 7)) for n in range(60, 90)]
    book = write_book(rows)
    shares = shares_of(book, lanes=3)
    assert sorted(line.row for share in shares for line in share.cancellations) == list(range(2, 60))
    assert max(len(s.cancellations) for s in shares) - min(len(s.cancellations) for s in shares) <= 9
    places = [invoice.customer for share in shares for invoice in share.invoices.values()]
    assert len(places) == len([i for i in book.invoices.values() if i.customer != "0"])


@pytest.mark.parametrize(
    ("placed", "collected", "delivered"),
    [
        ("2010-12-01T08:59:00", "2010-12-01T09:00:00+00:00", "2010-12-04T09:00:00+00:00"),
        ("2010-12-01T09:00:00", "2010-12-02T09:00:00+00:00", "2010-12-05T09:00:00+00:00"),
        ("2010-12-31T18:00:00", "2011-01-01T09:00:00+00:00", "2011-01-04T09:00:00+00:00"),
        ("2011-03-25T12:00:00", "2011-03-26T09:00:00+00:00", "2011-03-29T08:00:00+00:00"),
        ("2011-03-28T12:00:00", "2011-03-29T08:00:00+00:00", "2011-04-01T08:00:00+00:00"),
    ],
)
def test_when_parcels_move(placed: str, collected: str, delivered: str) -> None:
    """By the shop's clock, across the change to summer time."""
    at = datetime.fromisoformat(placed).replace(tzinfo=SHOP_TIME)
    assert collected_at(at).isoformat() == collected
    assert delivered_at(at).isoformat() == delivered


async def test_the_gateway_holds_its_own() -> None:
    gateway = LedgerGateway({"T1": 1000})

    def call(number: str, amount: int, trade: str = "T1") -> RefundCall:
        return RefundCall(
            trade_no=trade,
            refund_no=number,
            amount_minor=amount,
            captured_minor=1000,
            currency="GBP",
            numbered_at=datetime(2011, 1, 1, tzinfo=UTC),
            reason_code="OTHER",
        )

    assert (await gateway.query_refund(call("A", 600))).kind is OutcomeKind.NOT_FOUND
    for _ in range(2):
        assert (await gateway.refund(call("A", 600))).kind is OutcomeKind.SUCCEEDED
    assert (await gateway.query_refund(call("A", 600))).amount_minor == 600
    assert (await gateway.refund(call("A", 601))).kind is OutcomeKind.REFUSED
    assert (await gateway.refund(call("B", 401))).kind is OutcomeKind.REFUSED
    assert (await gateway.refund(call("B", 400, "T2"))).kind is OutcomeKind.REFUSED
    assert (await gateway.refund(call("B", 400))).kind is OutcomeKind.SUCCEEDED
    assert gateway.returned_minor == {"T1": 1000}
    assert (await gateway.close_trade("T1")).state is TradeState.PAID
    assert (await gateway.query_trade("T2")).state is TradeState.NOT_FOUND
