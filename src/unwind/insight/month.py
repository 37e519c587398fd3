"""A month's books for finance: every sheet from one snapshot, row by row from the database to the disk.

rows of a sheet, a batch at a time -> written -> refunds are counted on the way -> the summary is what was written, not another question
"""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from unwind.domain.errors import Refusal, require
from unwind.insight.files import CsvZip, OneCsv, SheetWriter, Workbook
from unwind.insight.sheets import FROM_ROWS, REFUNDS, SHEETS, SUMMARY
from unwind.storage import finance_log, month_export
from unwind.storage.database import Connection, Database

MONTH: Final = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])")
LAST_MONTH: Final = 12
PENDING: Final = "pending"
TOTAL: Final = "total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    first: date
    following: date

    @classmethod
    def read(cls, text: str) -> "Month":
        """`YYYY-MM`. Raises `invalid`."""
        found = MONTH.fullmatch(text)
        if found is None:
            raise Refusal("invalid")
        year, month = int(found[1]), int(found[2])
        is_last = month == LAST_MONTH
        return cls(first=date(year, month, 1), following=date(year + is_last, 1 if is_last else month + 1, 1))

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"


@dataclass(slots=True)
class Tally:
    """Refunds by connection, currency and way, as they are written."""

    counted: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    amounts: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """What is not final is shown apart and in no total."""
        for row in rows:
            hows = (row["how"],) if row["how"] == PENDING else (row["how"], TOTAL)
            for connection in (row["connection"], ""):
                for how in hows:
                    key = connection, row["currency"], how
                    self.counted[key] += 1
                    self.amounts[key] += row["amount_minor"]

    def rows(self) -> list[dict[str, Any]]:
        """Connection by connection, each with its total; at last, without a connection, all of them."""
        ordered = sorted(self.counted, key=lambda key: (key[0] == "", key[0], key[1], key[2] == TOTAL, key[2]))
        return [
            {
                "connection": connection or "全部 all",
                "currency": currency,
                "how": how,
                "refunds": self.counted[connection, currency, how],
                "amount_minor": self.amounts[connection, currency, how],
            }
            for connection, currency, how in ordered
        ]


async def export_month(
    database: Database,
    month: Month,
    *,
    merchant_id: str | None,
    path: Path,
    by: str,
    form: str = "xlsx",
    sheet: str | None = None,
) -> None:
    """Writes the export to `path`, and into the log that it was taken. Raises `month_not_begun`, `unknown_merchant`, `no_such_sheet`.

    `form`: xlsx, or csv (a ZIP of one file per sheet; with `sheet`, that file alone).
    """
    require(sheet is None or (form == "csv" and sheet in {one.name for one in SHEETS}), "no_such_sheet")
    with TemporaryDirectory(prefix="unwind-export-") as scratch:
        async with database.snapshot() as conn:
            has_begun = await month_export.has_begun(conn, month.first, merchant_id)
            require(has_begun is not None or merchant_id is None, "unknown_merchant")
            require(bool(has_begun), "month_not_begun")
            writer = await asyncio.to_thread(_writer, path, Path(scratch), form, sheet)
            try:
                tally = await _write_rows(conn, writer, month, merchant_id)
                await asyncio.to_thread(writer.begin, SUMMARY)
                await asyncio.to_thread(writer.write, SUMMARY, tally.rows())
            finally:
                await asyncio.to_thread(writer.close)
    async with database.connection() as conn:
        await finance_log.add_entry(
            conn,
            by=by,
            action="export_taken",
            subject=str(month),
            merchant_id=merchant_id,
            data={"form": form, "sheet": sheet or "", "refunds": sum(_totals(tally).values())},
        )


def _totals(tally: Tally) -> dict[str, int]:
    return {currency: n for (connection, currency, how), n in tally.counted.items() if not connection and how == TOTAL}


def _writer(path: Path, scratch: Path, form: str, sheet: str | None) -> SheetWriter:
    if form == "xlsx":
        return Workbook(path, scratch=scratch)
    return CsvZip(path) if sheet is None else OneCsv(path, only=sheet)


async def _write_rows(conn: Connection, writer: SheetWriter, month: Month, merchant_id: str | None) -> Tally:
    tally = Tally()
    for sheet in FROM_ROWS:
        await asyncio.to_thread(writer.begin, sheet)
        async for batch in month_export.rows_of(
            conn, sheet.name, first=month.first, following=month.following, merchant_id=merchant_id
        ):
            await asyncio.to_thread(writer.write, sheet, batch)
            if sheet is REFUNDS:
                tally.add(batch)
    return tally
