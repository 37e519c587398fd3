"""How a buyer found it: one to five, asked once per case, when their money is back."""

from datetime import datetime, timedelta

from unwind.domain.case import Case, CaseOutcome, Kind
from unwind.domain.legs import LegKind, LegState

ASKED_FOR = timedelta(days=14)
"""So long after it was asked the first answer is taken."""
CHANGED_FOR = timedelta(days=7)
"""So long after the first answer it may be changed, and commented."""
LINK_LIFE = ASKED_FOR + CHANGED_FOR
BAD_MAX = 2
"""Up to this score a person looks into it."""
CHANNELS_OF_BUYERS = frozenset({"app", "hotline", "chat", "store"})
"""Where a buyer asked by themselves: neither a merchant, a bulk run, a time limit nor what happened afterwards is asked about."""
TAKEN_BACK = frozenset({CaseOutcome.CANCELLED, CaseOutcome.PARTLY_CANCELLED})


def is_asked(case: Case, outcome: CaseOutcome | None) -> bool:
    """Every leg is final. Something was taken back for a buyer, and money has returned to them."""
    has_returned = any(
        leg.kind is LegKind.REFUND and leg.state is LegState.SUCCEEDED and leg.amount_minor > 0
        for part in case.parts
        for leg in part.legs
    )
    return (
        case.kind is Kind.CANCELLATION and case.channel in CHANNELS_OF_BUYERS and outcome in TAKEN_BACK and has_returned
    )


def closes_at(*, until: datetime, answered_at: datetime | None) -> datetime:
    """The last moment at which an answer is taken. `until`: of the first one."""
    return until if answered_at is None else answered_at + CHANGED_FOR


def is_bad(score: int) -> bool:
    return score <= BAD_MAX
