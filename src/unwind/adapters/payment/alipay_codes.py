"""Alipay's codes as data.

Source: opendocs.alipay.com/open/6c0cdd7d_alipay.trade.refund; zhifubao.apifox.cn/doc-3290173.
"""

from collections.abc import Mapping

from unwind.adapters.payment.refusals import CONTRADICTION
from unwind.adapters.refusals import CONFIGURATION, ErrorTable
from unwind.domain.outcome import OutcomeKind, TradeState

OK, BUSINESS_FAILED = "10000", "40004"

_MANUAL = dict.fromkeys(
    (
        "ACQ.REASON_TRADE_BEEN_FREEZEN",
        "ACQ.BUYER_ERROR",
        "ACQ.CUSTOMER_VALIDATE_ERROR",
        "ACQ.REFUND_ACCOUNT_NOT_EXIST",
        "ACQ.ALLOC_AMOUNT_VALIDATE_ERROR",
        "ACQ.REFUND_ROYALTY_PAYEE_ACCOUNT_NOT_EXIST",
        "ACQ.OVERDRAFT_",
    ),
    OutcomeKind.ABNORMAL,
)
_REFUSED = dict.fromkeys(
    (
        "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL",
        "ACQ.REFUND_FEE_ERROR",
        "ACQ.REASON_TRADE_REFUND_FEE_ERR",
        "ACQ.TRADE_HAS_FINISHED",
        "ACQ.TRADE_NOT_ALLOW_REFUND",
        "ACQ.ONLINE_TRADE_VOUCHER_NOT_ALLOW_REFUND",
        "ACQ.NOT_ALLOW_PARTIAL_REFUND",
        "ACQ.TRADE_NOT_EXIST",
        "ACQ.TRADE_STATUS_ERROR",
        "ACQ.REASON_TRADE_STATUS_INVALID",
    ),
    OutcomeKind.REFUSED,
)
ERRORS = ErrorTable(
    kinds={
        "20000": OutcomeKind.UNKNOWN,
        "20001": OutcomeKind.UNKNOWN,
        "40001": OutcomeKind.UNKNOWN,
        "40002": OutcomeKind.UNKNOWN,
        "40005": OutcomeKind.RETRY_SAME_NUMBER,
        "40006": OutcomeKind.UNKNOWN,
        "isv.invalid-signature": OutcomeKind.UNKNOWN,
        "ACQ.SYSTEM_ERROR": OutcomeKind.UNKNOWN,
        "aop.ACQ.SYSTEM_ERROR": OutcomeKind.UNKNOWN,
        "ACQ.SELLER_BALANCE_NOT_ENOUGH": OutcomeKind.NEEDS_FUNDS,
        "ACQ.REFUND_CHARGE_ERROR": OutcomeKind.RETRY_SAME_NUMBER,
        "ACQ.DISCORDANT_REPEAT_REQUEST": OutcomeKind.UNKNOWN,
        "ACQ.INVALID_PARAMETER": OutcomeKind.UNKNOWN,
        **_REFUSED,
        **_MANUAL,
    },
    alerts={
        **dict.fromkeys(
            (
                *("20001", "40001", "40002", "40006", "isv.invalid-signature", "ACQ.INVALID_PARAMETER"),
                *("ACQ.ALLOC_AMOUNT_VALIDATE_ERROR", "ACQ.REFUND_ROYALTY_PAYEE_ACCOUNT_NOT_EXIST", "ACQ.OVERDRAFT_"),
            ),
            CONFIGURATION,
        ),
        "ACQ.DISCORDANT_REPEAT_REQUEST": CONTRADICTION,
    },
)
"""Gateway codes, and sub_codes where the code is 40004. A name that ends in `_` stands for a family."""
FAMILIES = tuple(name for name in ERRORS.kinds if name.endswith("_"))
TRADE_GONE = "ACQ.TRADE_NOT_EXIST"
TRADE_STATE_CODES = frozenset({TRADE_GONE, "ACQ.TRADE_STATUS_ERROR", "ACQ.REASON_TRADE_STATUS_INVALID"})
"""Refused because of where the trade stands; the trade is asked before that is believed."""

TRADE_STATES: Mapping[str, TradeState] = {
    "WAIT_BUYER_PAY": TradeState.UNPAID,
    "TRADE_CLOSED": TradeState.CLOSED,
    "TRADE_SUCCESS": TradeState.PAID,
    "TRADE_FINISHED": TradeState.PAID,
}
"""TRADE_CLOSED is a trade that ran out unpaid, or one that was refunded in full: in both nothing is left to return."""
