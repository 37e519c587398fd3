"""Two ways to write the same sheets: a workbook, and a folder of CSV files. Rows go to the disk as they come.

Text is text: a spreadsheet that opens the file reads no cell as a formula, whatever stands in it.
"""

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

import xlsxwriter  # type: ignore[import-untyped]  # has no types of its own

from unwind.domain.money import digits_of, exact
from unwind.insight.labels import labelled
from unwind.insight.sheets import Cell, Column, Sheet

FORMULA_BEGINNINGS: Final = ("=", "+", "-", "@", "\t", "\r")
BYTE_ORDER_MARK: Final = "\ufeff"
"""Without it Excel takes the file for the system's own encoding."""
WIDTH: Final = 20
Value = str | int | Decimal | datetime | date | None


class SheetWriter(Protocol):
    def begin(self, sheet: Sheet) -> None:
        """The next sheet, with its headings."""
        ...

    def write(self, sheet: Sheet, rows: Sequence[Mapping[str, Any]]) -> None:
        """More rows of the sheet that was begun last."""
        ...

    def close(self) -> None: ...


def value_of(column: Column, row: Mapping[str, Any]) -> Value:
    """As it is meant: an exact amount, a moment on the shop's own clock, a code with its word."""
    given = row[column.name]
    if given is None:
        return None
    match column.cell:
        case Cell.AMOUNT:
            return exact(given, row["currency"])
        case Cell.TIME:
            moment: datetime = given
            return moment.astimezone(ZoneInfo(row["time_zone"])).replace(tzinfo=None, microsecond=0)
        case Cell.DATE | Cell.COUNT:
            plain: date | int = given
            return plain
        case Cell.CODE:
            return labelled(str(given))
        case Cell.TEXT:
            return str(given)


class Workbook:
    """XLSX, row by row: a sheet is on the disk before the next row is made."""

    def __init__(self, path: Path, *, scratch: Path) -> None:
        self._book = xlsxwriter.Workbook(
            str(path),
            {
                "constant_memory": True,
                "tmpdir": str(scratch),
                "strings_to_formulas": False,
                "strings_to_urls": False,
                "strings_to_numbers": False,
            },
        )
        self._bold = self._book.add_format({"bold": True})
        self._time = self._book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._date = self._book.add_format({"num_format": "yyyy-mm-dd"})
        self._money = {
            digits: self._book.add_format({"num_format": "#,##0" + ("." + "0" * digits if digits else "")})
            for digits in (0, 2, 3)
        }
        self._page: Any = None
        self._next_row = 0

    def begin(self, sheet: Sheet) -> None:
        self._page = self._book.add_worksheet(sheet.title)
        self._page.set_column(0, len(sheet.columns) - 1, WIDTH)
        self._page.freeze_panes(1, 0)
        for at, column in enumerate(sheet.columns):
            self._page.write_string(0, at, column.heading, self._bold)
        self._next_row = 1

    def write(self, sheet: Sheet, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            for at, column in enumerate(sheet.columns):
                self._write_cell(at, value_of(column, row), row)
            self._next_row += 1

    def _write_cell(self, at: int, value: Value, row: Mapping[str, Any]) -> None:
        match value:
            case None:
                return
            case Decimal():
                self._page.write_number(self._next_row, at, value, self._money[digits_of(row["currency"])])
            case datetime():
                self._page.write_datetime(self._next_row, at, value, self._time)
            case date():
                self._page.write_datetime(self._next_row, at, value, self._date)
            case int():
                self._page.write_number(self._next_row, at, value)
            case str():
                self._page.write_string(self._next_row, at, value)

    def close(self) -> None:
        self._book.close()


class CsvZip:
    """One CSV file per sheet, in a ZIP; for Excel in Chinese: UTF-8 with its mark, and CRLF."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path, "w", compression=zipfile.ZIP_DEFLATED)
        self._entry: io.TextIOWrapper | None = None
        self._rows: Any = None

    def begin(self, sheet: Sheet) -> None:
        self._end()
        raw = self._zip.open(f"{sheet.name}.csv", "w", force_zip64=True)
        self._entry = io.TextIOWrapper(raw, encoding="utf-8", newline="")
        self._rows = begin_csv(self._entry, sheet)

    def write(self, sheet: Sheet, rows: Sequence[Mapping[str, Any]]) -> None:
        write_csv(self._rows, sheet, rows)

    def close(self) -> None:
        self._end()
        self._zip.close()

    def _end(self) -> None:
        if self._entry is not None:
            self._entry.close()
            self._entry = None


class OneCsv:
    """A single sheet as a CSV file; the others are left out."""

    def __init__(self, path: Path, *, only: str) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._only = only
        self._rows: Any = None

    def begin(self, sheet: Sheet) -> None:
        if sheet.name == self._only:
            self._rows = begin_csv(self._file, sheet)

    def write(self, sheet: Sheet, rows: Sequence[Mapping[str, Any]]) -> None:
        if sheet.name == self._only:
            write_csv(self._rows, sheet, rows)

    def close(self) -> None:
        self._file.close()


def begin_csv(file: io.TextIOBase, sheet: Sheet) -> Any:
    file.write(BYTE_ORDER_MARK)
    rows = csv.writer(file, lineterminator="\r\n")
    rows.writerow([column.heading for column in sheet.columns])
    return rows


def write_csv(rows: Any, sheet: Sheet, given: Sequence[Mapping[str, Any]]) -> None:
    for row in given:
        rows.writerow([_plain(value_of(column, row)) for column in sheet.columns])


def _plain(value: Value) -> str:
    match value:
        case None:
            return ""
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.isoformat(sep=" ")
        case date() | int():
            return str(value)
        case str():
            return f"'{value}" if value.startswith(FORMULA_BEGINNINGS) else value
