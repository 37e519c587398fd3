"""What stands in the sheets of a month's export: their columns, in order, with their headings in Chinese and English."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Cell(StrEnum):
    TEXT = "text"
    CODE = "code"
    """With its Chinese word."""
    AMOUNT = "amount"
    """Minor units of the row's `currency`, shown in whole ones with as many digits as that currency has."""
    COUNT = "count"
    TIME = "time"
    """In the time zone of the row's shop (`time_zone`)."""
    DATE = "date"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    name: str
    zh: str
    en: str
    cell: Cell = Cell.TEXT

    @property
    def heading(self) -> str:
        return f"{self.zh} {self.en}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    name: str
    zh: str
    columns: tuple[Column, ...]

    @property
    def title(self) -> str:
        return f"{self.zh} {self.name}"


_CASE = Column(name="case_id", zh="工单", en="case")
_ORDER = Column(name="order_id", zh="订单", en="order")
_MERCHANT = Column(name="merchant_id", zh="商家", en="merchant")
_AMOUNT = Column(name="amount_minor", zh="金额", en="amount", cell=Cell.AMOUNT)
_CURRENCY = Column(name="currency", zh="币种", en="currency")
_CONNECTION = Column(name="connection", zh="支付连接", en="connection")
_TRADE = Column(name="trade_no", zh="交易号", en="trade no")
_REFUND = Column(name="refund_no", zh="退款单号", en="refund no")
_REFERENCE = Column(name="reference", zh="凭证号", en="voucher")
_STATE = Column(name="state", zh="状态", en="state", cell=Cell.CODE)

REFUNDS: Final = Sheet(
    name="refunds",
    zh="退款",
    columns=(
        _CASE,
        _ORDER,
        _MERCHANT,
        Column(name="payment_id", zh="支付", en="payment"),
        _CONNECTION,
        _TRADE,
        _REFUND,
        _AMOUNT,
        _CURRENCY,
        _STATE,
        Column(name="how", zh="方式", en="how", cell=Cell.CODE),
        Column(name="sent_at", zh="发出时间", en="sent at", cell=Cell.TIME),
        Column(name="final_at", zh="到账时间", en="final at", cell=Cell.TIME),
        _REFERENCE,
    ),
)
COSTS: Final = Sheet(
    name="costs",
    zh="费用",
    columns=(
        _CASE,
        _ORDER,
        _MERCHANT,
        Column(name="fee", zh="费用类型", en="fee", cell=Cell.CODE),
        _AMOUNT,
        _CURRENCY,
        Column(name="bearer", zh="承担方", en="bearer", cell=Cell.CODE),
        Column(name="standing", zh="结清", en="standing", cell=Cell.CODE),
        Column(name="noted_at", zh="登记时间", en="noted at", cell=Cell.TIME),
        Column(name="noted_by", zh="登记人", en="noted by"),
        Column(name="reference", zh="依据", en="reference"),
        Column(name="proof", zh="凭据", en="proof"),
        Column(name="settled_at", zh="结清时间", en="settled at", cell=Cell.TIME),
        Column(name="settled_by", zh="结清人", en="settled by"),
        Column(name="settlement_reference", zh="结清凭证号", en="settlement voucher"),
        Column(name="claim_id", zh="索赔", en="claim"),
    ),
)
CLAIMS: Final = Sheet(
    name="claims",
    zh="承运商索赔",
    columns=(
        Column(name="claim_id", zh="索赔", en="claim"),
        _CASE,
        _ORDER,
        _MERCHANT,
        Column(name="carrier", zh="承运商", en="carrier"),
        Column(name="waybill_no", zh="运单号", en="waybill no"),
        Column(name="reason", zh="原因", en="reason", cell=Cell.CODE),
        _AMOUNT,
        Column(name="paid_minor", zh="赔付金额", en="paid", cell=Cell.AMOUNT),
        _CURRENCY,
        _STATE,
        Column(name="opened_at", zh="发起时间", en="opened at", cell=Cell.TIME),
        Column(name="moved_at", zh="最近变动", en="moved at", cell=Cell.TIME),
        Column(name="due_at", zh="期限", en="due at", cell=Cell.TIME),
        _REFERENCE,
    ),
)
DIFFERENCES: Final = Sheet(
    name="differences",
    zh="账单差异",
    columns=(
        Column(name="difference_id", zh="差异编号", en="difference", cell=Cell.COUNT),
        _CONNECTION,
        Column(name="day", zh="账单日", en="day of bill", cell=Cell.DATE),
        Column(name="kind", zh="差异类型", en="kind", cell=Cell.CODE),
        _TRADE,
        _REFUND,
        Column(name="ours_minor", zh="账内金额", en="ours", cell=Cell.AMOUNT),
        Column(name="theirs_minor", zh="账单金额", en="theirs", cell=Cell.AMOUNT),
        _CURRENCY,
        _CASE,
        _ORDER,
        Column(name="opened_at", zh="发现时间", en="opened at", cell=Cell.TIME),
        Column(name="closed_at", zh="处理时间", en="closed at", cell=Cell.TIME),
        Column(name="closed_by", zh="处理人", en="closed by"),
        Column(name="resolution", zh="处理结果", en="resolution", cell=Cell.CODE),
        _REFERENCE,
    ),
)
COMPENSATIONS: Final = Sheet(
    name="compensations",
    zh="补偿",
    columns=(
        _CASE,
        _ORDER,
        _MERCHANT,
        _AMOUNT,
        _CURRENCY,
        Column(name="ended_at", zh="支付时间", en="paid at", cell=Cell.TIME),
        Column(name="by", zh="经办人", en="by"),
        _REFERENCE,
    ),
)
RED_LETTERS: Final = Sheet(
    name="red_letters",
    zh="红字发票",
    columns=(
        _CASE,
        _ORDER,
        _MERCHANT,
        _STATE,
        _AMOUNT,
        _CURRENCY,
        Column(name="opened_at", zh="发起时间", en="opened at", cell=Cell.TIME),
        Column(name="due_at", zh="期限", en="due at", cell=Cell.TIME),
        Column(name="ended_at", zh="完成时间", en="ended at", cell=Cell.TIME),
        Column(name="by", zh="经办人", en="by"),
        _REFERENCE,
    ),
)
SUMMARY: Final = Sheet(
    name="summary",
    zh="汇总",
    columns=(
        _CONNECTION,
        _CURRENCY,
        Column(name="how", zh="方式", en="how", cell=Cell.CODE),
        Column(name="refunds", zh="笔数", en="refunds", cell=Cell.COUNT),
        _AMOUNT,
    ),
)
FROM_ROWS: Final = (REFUNDS, COSTS, CLAIMS, DIFFERENCES, COMPENSATIONS, RED_LETTERS)
SHEETS: Final = (*FROM_ROWS, SUMMARY)
