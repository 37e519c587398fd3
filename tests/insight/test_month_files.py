"""The two forms of an export: text stays text, amounts are exact, and memory does not grow with the rows."""

import csv
import io
import tracemalloc
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from unwind.domain.money import digits_of, exact, format_minor
from unwind.insight.files import CsvZip, OneCsv, Workbook
from unwind.insight.labels import labelled
from unwind.insight.sheets import REFUNDS, SHEETS

NASTY = ("=1+1", "+86", "-2", "@SUM(A1)", "=HYPERLINK(1)", "\tx", "\rx", '=cmd|"/C calc"!A0', "普通", 'a"b,c\nd')


def refund(**given: Any) -> dict[str, Any]:
    row = {column.name: "" for column in REFUNDS.columns}
    at = datetime(2026, 3, 31, 16, 0, 1, 500, tzinfo=UTC)
    fixed = {"amount_minor": 1, "currency": "CNY", "sent_at": None, "final_at": at, "time_zone": "Asia/Shanghai"}
    return {**row, "state": "final", "how": "gateway", **fixed, **given}


def workbook_of(path: Path, rows: list[dict[str, Any]], scratch: Path) -> Any:
    book = Workbook(path, scratch=scratch)
    book.begin(REFUNDS)
    book.write(REFUNDS, rows)
    book.close()
    return openpyxl.load_workbook(path)[REFUNDS.title]


def test_no_cell_of_a_workbook_is_a_formula(tmp_path: Path) -> None:
    page = workbook_of(tmp_path / "x.xlsx", [refund(refund_no=text) for text in NASTY], tmp_path)
    at = [column.name for column in REFUNDS.columns].index("refund_no") + 1
    cells = [page.cell(row, at) for row in range(2, 2 + len(NASTY))]
    assert {cell.data_type for cell in cells} <= {"s", "inlineStr"}
    assert [cell.value for cell in cells if cell.value and "\r" not in cell.value][:5] == list(NASTY[:5])


def test_no_cell_of_a_csv_begins_like_a_formula(tmp_path: Path) -> None:
    files = CsvZip(tmp_path / "x.zip")
    files.begin(REFUNDS)
    files.write(REFUNDS, [refund(refund_no=text) for text in NASTY])
    files.close()
    with zipfile.ZipFile(tmp_path / "x.zip") as made:
        raw = made.read("refunds.csv")
    assert raw.startswith(b"\xef\xbb\xbf"), "Excel in Chinese reads it as UTF-8"
    assert raw.count(b"\xef\xbb\xbf") == 1
    rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
    for row, text in zip(rows, NASTY, strict=True):
        shown = row["退款单号 refund no"]
        assert shown == (text if text in {"普通", 'a"b,c\nd'} else f"'{text}")
    assert b"\r\n" in raw


@pytest.mark.parametrize(
    ("minor", "currency", "shown", "pattern"),
    [
        (12345, "CNY", "123.45", "#,##0.00"),
        (5, "CNY", "0.05", "#,##0.00"),
        (12345, "JPY", "12345", "#,##0"),
        (12345, "KWD", "12.345", "#,##0.000"),
        (10**12, "CNY", "10000000000.00", "#,##0.00"),
        (999_999_999_999, "CNY", "9999999999.99", "#,##0.00"),
        (10**14 + 1, "CNY", "1000000000000.01", "#,##0.00"),
    ],
)
def test_amounts_are_exact_in_both_forms(tmp_path: Path, minor: int, currency: str, shown: str, pattern: str) -> None:
    row = refund(amount_minor=minor, currency=currency)
    page = workbook_of(tmp_path / "x.xlsx", [row], tmp_path)
    at = [column.name for column in REFUNDS.columns].index("amount_minor") + 1
    cell = page.cell(2, at)
    assert (cell.data_type, cell.number_format) == ("n", pattern)
    assert Decimal(repr(cell.value)) == Decimal(shown)
    one = OneCsv(tmp_path / "x.csv", only="refunds")
    one.begin(REFUNDS)
    one.write(REFUNDS, [row])
    one.close()
    [read] = csv.DictReader(io.StringIO((tmp_path / "x.csv").read_text(encoding="utf-8-sig")))
    assert read["金额 amount"] == shown


def test_moments_are_those_of_the_shops_own_clock(tmp_path: Path) -> None:
    rows = [refund(), refund(time_zone="America/New_York")]
    page = workbook_of(tmp_path / "x.xlsx", rows, tmp_path)
    at = [column.name for column in REFUNDS.columns].index("final_at") + 1
    assert [page.cell(row, at).value for row in (2, 3)] == [
        datetime(2026, 4, 1, 0, 0, 1),  # noqa: DTZ001 - a spreadsheet knows no zone
        datetime(2026, 3, 31, 12, 0, 1),  # noqa: DTZ001
    ]
    assert page.cell(2, at - 1).value is None


def test_every_sheet_has_a_title_that_a_workbook_takes() -> None:
    titles = [sheet.title for sheet in SHEETS]
    assert len(set(titles)) == len(titles)
    assert all(len(title) <= 31 for title in titles)
    assert labelled("gateway") == "原路 gateway"
    assert labelled("of_tomorrow") == "of_tomorrow"


def test_digits_of_currencies() -> None:
    assert [digits_of(currency) for currency in ("CNY", "JPY", "KRW", "KWD", "USD")] == [2, 0, 0, 3, 2]
    assert exact(-5, "CNY") == Decimal("-0.05")
    assert [format_minor(1234, currency) for currency in ("CNY", "JPY", "KWD")] == [
        "12.34 CNY",
        "1234 JPY",
        "1.234 KWD",
    ]


@pytest.mark.parametrize("form", ["xlsx", "zip"])
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, form: str) -> None:
    """Ten batches or a hundred: the peak is that of a few."""

    def batches(count: int) -> Iterator[list[dict[str, Any]]]:
        for number in range(count):
            yield [refund(refund_no=f"R{number}-{at}") for at in range(200)]

    def peak_of(count: int) -> int:
        path = tmp_path / f"{count}.{form}"
        writer = Workbook(path, scratch=tmp_path) if form == "xlsx" else CsvZip(path)
        writer.begin(REFUNDS)
        tracemalloc.start()
        for batch in batches(count):
            writer.write(REFUNDS, batch)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        writer.close()
        return peak

    few, many = peak_of(5), peak_of(50)
    assert many < few * 2, (few, many)


def test_a_date_is_a_date() -> None:
    from unwind.insight.files import value_of
    from unwind.insight.sheets import DIFFERENCES

    day = next(column for column in DIFFERENCES.columns if column.name == "day")
    assert value_of(day, {"day": date(2026, 3, 1)}) == date(2026, 3, 1)
