"""Bills of WeChat Pay, Alipay and UnionPay, as they are downloaded.

Sources: pay.weixin.qq.com, "trade bill file format" (amounts in yuan, every field behind a backtick); opendocs.alipay.com, "business details" (GBK, lines
of comment, refunds negative); UnionPay, "ZM file", open.unionpay.com help 258 (columns of fixed width). Columns with a heading are found by it.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from unwind.domain.bill import BillKind, BillRow
from unwind.ports.bill import BillUnreadable

BEIJING = ZoneInfo("Asia/Shanghai")
ROWS_MAX = 5_000_000
FEN_PER_YUAN = 100


def read_wechat(raw: bytes) -> tuple[BillRow, ...]:
    """Trade bill of type ALL or REFUND. The last two lines are sums and are left out."""
    rows = _table(_text(raw), heading="交易时间", strip="`")
    return tuple(_wechat_row(line, row) for line, row in rows)


def _wechat_row(line: int, row: Mapping[str, str]) -> BillRow:
    given = row.get("商户退款单号", "")
    number = "" if given == "0" else given
    is_refund = row["交易状态"] == "REFUND" if "交易状态" in row else bool(number)
    amount_of = ("申请退款金额" if "申请退款金额" in row else "退款金额") if is_refund else "订单金额"
    return BillRow(
        kind=BillKind.REFUND if is_refund else BillKind.PAYMENT,
        trade_no=_field(row, "商户订单号", line),
        refund_no=number if is_refund else "",
        amount_minor=_fen(_field(row, amount_of, line), line),
        currency=_field(row, "货币种类", line, default="CNY"),
        at=_time(_field(row, "交易时间", line), "%Y-%m-%d %H:%M:%S", line),
    )


def read_alipay(raw: bytes) -> tuple[BillRow, ...]:
    """Business details; lines that begin with # are comments."""
    text = "\n".join(line for line in _text(raw).splitlines() if not line.lstrip().startswith("#"))
    return tuple(_alipay_row(line, row) for line, row in _table(text, heading="支付宝交易号"))


def _alipay_row(line: int, row: Mapping[str, str]) -> BillRow:
    is_refund = _field(row, "业务类型", line) == "退款"
    return BillRow(
        kind=BillKind.REFUND if is_refund else BillKind.PAYMENT,
        trade_no=_field(row, "商户订单号", line),
        refund_no=_field(row, "退款批次号/请求号", line) if is_refund else "",
        amount_minor=_fen(_field(row, "订单金额（元）", line), line),
        currency="CNY",
        at=_time(_field(row, "完成时间", line), "%Y-%m-%d %H:%M:%S", line),
    )


ZM_WIDTHS = (3, 11, 11, 6, 10, 19, 12, 4, 2, 21, 2, 32, 2, 6, 10, 13, 13, 4, 15, 2)
"""The first twenty columns, a space between any two; later ones differ between editions of the file and are not read."""
ZM_TIME, ZM_AMOUNT, ZM_ORDER, ZM_TYPE = 4, 6, 11, 19
ZM_REFUNDS = frozenset({"04", "31"})
ZM_PAYMENTS = frozenset({"01", "03"})
"""03: completion of a pre-authorisation. Other types are no money of ours."""


def read_unionpay(raw: bytes, *, today: datetime | None = None) -> tuple[BillRow, ...]:
    """ZM file. Its times have no year: it is the one that puts them nearest before `today` (UTC; now when left out)."""
    now = today or datetime.now(UTC)
    found = []
    for line, text in enumerate(_text(raw).splitlines(), start=1):
        if not text.strip():
            continue
        columns = _columns(text, line)
        kind = columns[ZM_TYPE]
        if kind not in ZM_REFUNDS | ZM_PAYMENTS:
            continue
        is_refund = kind in ZM_REFUNDS
        at = _zm_time(columns[ZM_TIME], now, line)
        order = columns[ZM_ORDER].strip()
        found.append(
            BillRow(
                kind=BillKind.REFUND if is_refund else BillKind.PAYMENT,
                trade_no="" if is_refund else f"{order}:{at.astimezone(BEIJING):%Y%m%d%H%M%S}",
                refund_no=order if is_refund else "",
                amount_minor=_digits(columns[ZM_AMOUNT], line),
                currency="CNY",
                at=at,
            )
        )
    return tuple(found)


def _columns(text: str, line: int) -> list[str]:
    columns, left = [], 0
    for width in ZM_WIDTHS:
        columns.append(text[left : left + width])
        left += width + 1
    if len(columns[-1]) != ZM_WIDTHS[-1]:
        raise BillUnreadable(f"line {line}: shorter than a ZM line")
    return columns


def _zm_time(text: str, now: datetime, line: int) -> datetime:
    year = now.astimezone(BEIJING).year
    at = _time(f"{year}{text}", "%Y%m%d%H%M%S", line)
    return at if at <= now else _time(f"{year - 1}{text}", "%Y%m%d%H%M%S", line)


def _text(raw: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise BillUnreadable("neither UTF-8 nor GB 18030")


def _table(text: str, *, heading: str, strip: str = "") -> Iterator[tuple[int, dict[str, str]]]:
    """Rows below the heading line that begins with `heading`, up to the first line of another shape (the sums)."""
    names: list[str] | None = None
    for line, cells in enumerate(csv.reader(io.StringIO(text)), start=1):
        if line > ROWS_MAX:
            raise BillUnreadable(f"more than {ROWS_MAX} lines")
        clean = [cell.strip().lstrip(strip).strip() for cell in cells]
        if names is None:
            names = clean if clean and clean[0] == heading else None
        elif len(clean) != len(names):
            return
        else:
            yield line, dict(zip(names, clean, strict=True))
    if names is None:
        raise BillUnreadable(f"no line begins with {heading}")


def _field(row: Mapping[str, str], name: str, line: int, *, default: str | None = None) -> str:
    value = row.get(name) or default
    if value is None:
        raise BillUnreadable(f"line {line}: no {name}")
    return value


def _fen(yuan: str, line: int) -> int:
    """Absolute: a refund is a refund, whatever sign the bill gives it. Never by way of a float."""
    try:
        fen = Decimal(yuan) * FEN_PER_YUAN
    except InvalidOperation:
        raise BillUnreadable(f"line {line}: no amount") from None
    if fen != fen.to_integral_value():
        raise BillUnreadable(f"line {line}: a fraction of a fen")
    return abs(int(fen))


def _digits(text: str, line: int) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text.strip()):
        raise BillUnreadable(f"line {line}: no amount")
    return int(text)


def _time(text: str, pattern: str, line: int) -> datetime:
    try:
        return datetime.strptime(text, pattern).replace(tzinfo=BEIJING).astimezone(UTC)
    except ValueError:
        raise BillUnreadable(f"line {line}: no time") from None
