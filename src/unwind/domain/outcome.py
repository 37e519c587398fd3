"""How a call to an outside party ended, in one vocabulary for every party (DESIGN: legs; PROTOCOLS 0.3).

"Retryable" and "outcome known" are different things: `RETRY_SAME_NUMBER` is certainly not executed, `UNKNOWN` may be.
An unknown outcome is never turned into a failure without asking the other side by our own number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class OutcomeKind(StrEnum):
    SUCCEEDED = "succeeded"
    """Final, and done."""
    PROCESSING = "processing"
    """Accepted; the final answer comes later, by query or callback."""
    UNKNOWN = "unknown"
    """May or may not have happened; ask before anything else."""
    RETRY_SAME_NUMBER = "retry_same_number"
    """Certainly not executed (rate limit, refused at the door); send the same again later."""
    NOT_FOUND = "not_found"
    """Answer to a query: the other side never accepted this number; sending it is safe."""
    NEEDS_FUNDS = "needs_funds"
    """The merchant's account is short; same number after a top-up."""
    NEEDS_NEW_NUMBER = "needs_new_number"
    """This number is dead for ever (closed at the gateway); the next number of the payment takes over."""
    ABNORMAL = "abnormal"
    """The payer's account cannot receive the money; a person finds another way."""
    REFUSED = "refused"
    """Final, and not done."""


class TradeState(StrEnum):
    """Where a payment attempt stands at the gateway."""

    UNPAID = "unpaid"
    PAID = "paid"
    CLOSED = "closed"
    NOT_FOUND = "not_found"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`code` and `reference` are the other side's words; `evidence` holds codes, numbers and instants, never a name."""

    kind: OutcomeKind
    code: str = ""
    reference: str = ""
    amount_minor: int | None = None
    """What the other side says it moved; None where the call moves no money or the answer does not say."""
    retry_after_s: float | None = None
    alert: str = ""
    """Why a person should look at the connection (`answer_unverified`, `unknown_code` ...); empty where nobody need."""
    evidence: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeOutcome:
    state: TradeState
    paid_minor: int | None = None
    code: str = ""
