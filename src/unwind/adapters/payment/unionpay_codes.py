"""UnionPay's codes and types as data, and amounts in fen that are written as digits.

Source: ACP 5.1.0 SDK and demo comments (open.unionpay.com).
"""

import re
from collections.abc import Mapping
from typing import Any

from unwind.adapters.fields import AMOUNT_MAX, Malformed, read_text
from unwind.adapters.refusals import CONFIGURATION, ErrorTable
from unwind.domain.outcome import OutcomeKind

PAYMENT_TYPE, REFUND_TYPE, VOID_TYPE, QUERY_TYPE = "01", "04", "31", "00"
CURRENCY_CODE, CURRENCY = "156", "CNY"
CURRENCIES: Mapping[str, str] = {CURRENCY_CODE: CURRENCY}
SUCCESS_CODES = frozenset({"00", "A6"})
"""A6 is a success with a defect. As the answer to a refund both mean "accepted"; as origRespCode, "done"."""
NOT_FOUND_CODE = "34"
DOUBTFUL_CODES = frozenset({"01", "03", "04", "05", "12", "34", "60"})
"""A query decides. 12 is a duplicate: an earlier try of ours, perhaps."""
SIGNATURE_CODE = "11"
"""(unverified): how the gateway says that our signature does not hold; from memory of its appendix of codes."""

ERRORS = ErrorTable(
    kinds={
        **dict.fromkeys(SUCCESS_CODES, OutcomeKind.PROCESSING),
        **dict.fromkeys(DOUBTFUL_CODES, OutcomeKind.UNKNOWN),
        SIGNATURE_CODE: OutcomeKind.UNKNOWN,
    },
    alerts={SIGNATURE_CODE: CONFIGURATION},
)
"""Any other code of an answer is unknown, with an alert; any other origRespCode of a query is a refusal, since the query has asked the transaction itself."""

_FEN_PATTERN = re.compile(r"[0-9]{1,16}")


def read_fen(parameters: Mapping[str, Any], name: str, *, least_minor: int = 0) -> int:
    text = read_text(parameters, name)
    if not _FEN_PATTERN.fullmatch(text) or not least_minor <= int(text) <= AMOUNT_MAX:
        raise Malformed(name)
    return int(text)
