"""A replay that cannot be right does not begin: the message names the row, and nothing is written."""

import pytest

from tests.replay.shop_file import HEADER, Bench, as_csv, row, zipped
from unwind.replay import ReplayRefused

GOOD = row("536365", "2010-12-01T08:26:00")


@pytest.mark.parametrize(
    ("content", "at", "words"),
    [
        (b"", "row 1", "missing columns: InvoiceNo"),
        (as_csv([GOOD[:-2] + GOOD[-1:]], header=[*HEADER[:-2], "Country"]), "row 1", "missing columns: CustomerID"),
        (as_csv([GOOD, GOOD[:-1]]), "row 3", "7 values, not 8"),
        (as_csv([GOOD, row("536366", "2010-12-01T08:26:00", units="six")]), "row 3", "Quantity is not readable: 'six'"),
        (as_csv([row("536366", "2010-12-01T08:26:00", units="6.5")]), "row 2", "Quantity"),
        (as_csv([row("536366", "2010-12-01T08:26:00", units="99999999")]), "row 2", "Quantity"),
        (as_csv([GOOD, GOOD, row("536366", "2010-12-01T08:26:00", price="1e3")]), "row 4", "UnitPrice is not readable"),
        (as_csv([row("536366", "2010-12-01T08:26:00", price="NaN")]), "row 2", "UnitPrice"),
        (as_csv([row("536366", "01/12/2010 08:26")]), "row 2", "InvoiceDate is not a local time"),
        (as_csv([row("536366", "2010-12-01T08:26:00Z")]), "row 2", "InvoiceDate is not a local time"),
        (as_csv([row("53 6366", "2010-12-01T08:26:00")]), "row 2", "InvoiceNo"),
        (as_csv([row("536366", "2010-12-01T08:26:00", who="a b")]), "row 2", "CustomerID"),
        (as_csv([GOOD]).replace(b"THING", b"TH\x00NG"), "row 2", "null character"),
        (as_csv([GOOD]) + b"536366,85123A,\xff\xfe,6,2010-12-01T08:26:00,2.55,17850,UK\n", "row", "not UTF-8"),
        (as_csv([GOOD]) + b'536366,"85123A', "row 3", "not valid CSV"),
        (zipped(as_csv([GOOD] * 2000))[:-40], "row", "gzip file is broken"),
        (zipped(as_csv([GOOD]))[:20] + b"broken" * 9, "row", "gzip file is broken"),
    ],
)
def test_bad_file(bench: Bench, content: bytes, at: str, words: str) -> None:
    with pytest.raises(ReplayRefused) as refused:
        bench.replay(content)
    assert f"{at}" in str(refused.value)
    assert words in str(refused.value)
    assert " / " in str(refused.value), "both languages"
    assert bench.is_untouched()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"dataset": "offline-retail"}, "unknown dataset offline-retail, known: online-retail"),
        ({"stages": "shipped"}, "unknown stages shipped, known: unshipped, modelled"),
    ],
)
def test_unknown_choice(bench: Bench, given: dict[str, str], words: str) -> None:
    with pytest.raises(ReplayRefused, match=words):
        bench.replay([GOOD], **given)
    assert bench.is_untouched()


def test_report_without_folder(bench: Bench) -> None:
    with pytest.raises(ReplayRefused, match="no folder for the report"):
        bench.replay([GOOD], report=bench.folder / "nowhere" / "report.json")
    assert bench.is_untouched()


def test_twice_into_the_same_database(bench: Bench) -> None:
    bench.replay([GOOD])
    with pytest.raises(ReplayRefused, match="every replay wants a fresh one"):
        bench.replay([row("536366", "2010-12-01T08:26:00")])
    assert [found["order_id"] for found in bench.sql("SELECT order_id FROM orders")] == ["OR-536365"]


def test_beside_a_running_service(bench: Bench) -> None:
    """A worker would take the cases of 2011 for overdue ones of its own."""
    with bench.somebody_at_work(), pytest.raises(ReplayRefused, match="another unwind process"):
        bench.replay([GOOD])
    assert bench.is_untouched()


def test_unreadable_file(bench: Bench) -> None:
    with pytest.raises(ReplayRefused, match="cannot be read"):
        bench.replay(bench.folder)


def test_load_that_fails_leaves_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("disk full")

    monkeypatch.setattr("unwind.replay.loading.stock.book_orders", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        bench.replay([GOOD])
    assert bench.is_untouched()
