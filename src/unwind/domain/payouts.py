"""A blocked refund that reaches its payer by another way: another account, or off-line. One person proposes it, another agrees.

Whose account it is, is a question of names: the holder's must be the name that stands with the order. An unknown name cannot be compared, so
only the merchant's own account is left then.
"""

import unicodedata
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from unwind.domain.errors import require
from unwind.domain.outcome import OutcomeKind

LIFE = timedelta(hours=24)
"""After this a proposal is over, and the account that came with it destroyed."""
TAIL_DIGITS = 4
MIDDLE_DOTS = frozenset(".·・•‧∙⋅●")
"""Written between the parts of a name (买买提·吐尔逊), by every keyboard differently."""


class PayoutWay(StrEnum):
    OTHER_ACCOUNT = "other_account"
    OFF_LINE = "off_line"


class PayoutState(StrEnum):
    OPEN = "open"
    AGREED = "agreed"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    STALE = "stale"
    """The case has changed since."""
    EXPIRED = "expired"


class PaidBy(StrEnum):
    BANK_TRANSFER = "bank_transfer"
    ALIPAY = "alipay"
    WECHAT = "wechat"
    CASH = "cash"
    CHEQUE = "cheque"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Of an off-line refund. `amount_minor`: what was paid, in minor units of the order's currency."""

    paid_by: PaidBy
    reference: str
    paid_on: date
    amount_minor: int


CERTAINLY_NOT_PAID = frozenset(
    {OutcomeKind.NEEDS_FUNDS, OutcomeKind.ABNORMAL, OutcomeKind.REFUSED, OutcomeKind.NEEDS_NEW_NUMBER}
)


def require_not_paid(code: str, *, has_number: bool) -> None:
    """Refuses with `ask_gateway_first`: a refund whose outcome is unknown may have arrived, and is not paid a second time by hand (I13)."""
    word = code.partition(":")[0]
    require(not has_number or word in CERTAINLY_NOT_PAID, "ask_gateway_first")


def require_same_name(holder: str, known: str | None) -> None:
    """Refuses with `payee_name_unknown` or `payee_name_differs`; neither says a name."""
    require(known is not None and bool(folded_name(known)), "payee_name_unknown")
    require(folded_name(holder) == folded_name(known or ""), "payee_name_differs")


def folded_name(name: str) -> str:
    """As names are compared: width, case, spaces and middle dots do not make another person."""
    plain = unicodedata.normalize("NFKC", name)
    return "".join(ch for ch in plain if not ch.isspace() and ch not in MIDDLE_DOTS).casefold()


def tail_of_account(account_no: str) -> str:
    """The last four, which is all that anybody is shown again."""
    return account_no[-TAIL_DIGITS:]
