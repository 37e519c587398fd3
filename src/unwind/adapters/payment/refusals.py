"""What a refusal means where money is concerned."""

from unwind.adapters.refusals import CONFIGURATION, CONFIGURATION_RETRY_S
from unwind.domain.outcome import Outcome, OutcomeKind, TradeOutcome, TradeState

CONTRADICTION = "contradiction"
"""The alert of a refusal that our own books say cannot be."""


def not_in(currency: str, call_currency: str) -> Outcome | None:
    """For a provider whose amounts have no currency of their own: any other would be another amount."""
    if call_currency == currency:
        return None
    return Outcome(
        kind=OutcomeKind.UNKNOWN,
        code="currency_not_spoken",
        alert=CONFIGURATION,
        retry_after_s=CONFIGURATION_RETRY_S,
    )


def no_answer_about_refund(refusal: Outcome) -> Outcome:
    """A refused question says nothing about the refund itself."""
    if refusal.kind in {OutcomeKind.UNKNOWN, OutcomeKind.RETRY_SAME_NUMBER}:
        return refusal
    return Outcome(kind=OutcomeKind.UNKNOWN, code=refusal.code, alert="unknown_code", evidence=refusal.evidence)


def doubtful_trade(outcome: Outcome) -> TradeOutcome:
    """Any doubt about a trade is UNKNOWN, also where sending again would be safe: asking again costs nothing."""
    return TradeOutcome(state=TradeState.UNKNOWN, code=outcome.code)
