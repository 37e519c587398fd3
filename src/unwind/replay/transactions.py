"""The file as rows: plain or gzip, one strictly read row at a time. Anything unreadable refuses the whole file, naming the row.

What is readable but no sale (a fee, a price of nothing) is not judged here; `screening.py` does that.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, TextIO, cast
from zoneinfo import ZoneInfo

from unwind.replay.refusal import ReplayRefused

COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
SHOP_TIME = ZoneInfo("Europe/London")
"""InvoiceDate is the shop's local time, without a zone."""
GZIP_MAGIC = b"\x1f\x8b"
INVOICE = re.compile(r"[0-9A-Za-z]{1,20}", re.ASCII)
CUSTOMER = re.compile(r"[0-9A-Za-z.\-]{0,40}", re.ASCII)
WHOLE = re.compile(r"-?[0-9]{1,7}", re.ASCII)
AMOUNT = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,12})?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the file. `number` counts file lines, the header being 1."""

    number: int
    invoice: str
    stock_code: str
    description: str
    quantity: int
    at: datetime
    """Aware, in the shop's time zone."""
    price: Decimal
    """GBP per unit."""
    customer: str
    """Empty: not recorded."""

    @property
    def is_cancellation(self) -> bool:
        return self.invoice.startswith("C")


def read_transactions(path: Path, on_bytes: Callable[[int], None]) -> Iterator[Row]:
    """Every row in file order. `on_bytes` hears how far the file has been read. Raises ReplayRefused at the first bad row."""
    number = 1
    try:
        with path.open("rb") as raw, _as_text(raw) as text:
            reader = csv.reader(text, strict=True)
            columns = _columns(next(reader, []))
            number = reader.line_num + 1
            for values in reader:
                yield _row(reader.line_num, columns, values)
                number = reader.line_num + 1
                on_bytes(raw.tell())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ReplayRefused("压缩文件已损坏", "the gzip file is broken", row=number) from error
    except UnicodeDecodeError as error:
        raise ReplayRefused("文件不是 UTF-8 编码", "the file is not UTF-8", row=number) from error
    except csv.Error as error:
        raise ReplayRefused("不是合法的 CSV", "not valid CSV", row=number) from error
    except OSError as error:
        raise ReplayRefused("文件无法读取", "the file cannot be read") from error


def _as_text(raw: BinaryIO) -> TextIO:
    """By content, not by name: a renamed file is still what it is."""
    is_gzip = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    raw.seek(0)
    if is_gzip:
        return cast("TextIO", gzip.open(raw, "rt", encoding="utf-8-sig", newline=""))
    return io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")


def _columns(header: list[str]) -> dict[str, int]:
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        names = ", ".join(missing)
        raise ReplayRefused(f"缺少列:{names}", f"missing columns: {names}", row=1)
    return {name: header.index(name) for name in COLUMNS} | {"": len(header)}


def _row(number: int, columns: dict[str, int], values: list[str]) -> Row:
    width = columns[""]
    if len(values) != width:
        raise ReplayRefused(f"应有 {width} 列,实有 {len(values)} 列", f"{len(values)} values, not {width}", row=number)
    description = values[columns["Description"]].strip()
    if "\x00" in description:
        raise ReplayRefused("Description 含有空字符", "Description holds a null character", row=number)
    return Row(
        number=number,
        invoice=_matching(INVOICE, "InvoiceNo", columns, values, number),
        stock_code=values[columns["StockCode"]].strip(),
        description=description,
        quantity=int(_matching(WHOLE, "Quantity", columns, values, number)),
        at=_moment(values[columns["InvoiceDate"]].strip(), number),
        price=Decimal(_matching(AMOUNT, "UnitPrice", columns, values, number)),
        customer=_matching(CUSTOMER, "CustomerID", columns, values, number),
    )


def _matching(pattern: re.Pattern[str], name: str, columns: dict[str, int], values: list[str], number: int) -> str:
    text = values[columns[name]].strip()
    if pattern.fullmatch(text) is None:
        raise ReplayRefused(f"{name} 无法识别:{text[:40]!r}", f"{name} is not readable: {text[:40]!r}", row=number)
    return text


def _moment(text: str, number: int) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is not None:
        said = repr(text[:40])
        raise ReplayRefused(
            f"InvoiceDate 应为当地时间 ISO 8601:{said}",
            f"InvoiceDate is not a local time in ISO 8601: {said}",
            row=number,
        )
    return moment.replace(tzinfo=SHOP_TIME)
