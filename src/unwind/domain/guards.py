"""What no policy can talk us out of. Checked after every decision, whoever or whatever made it."""

from dataclasses import dataclass

from unwind.domain.case import Verdict
from unwind.domain.order import PaymentState
from unwind.domain.stage import IN_THE_HOUSE, Stage

AUTOMATIC_LIMIT_MINOR = 500_000
"""5,000.00: above it a person looks, whatever the policy's own limit says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    verdict: Verdict
    rule: str
    """Empty when no guard spoke."""


def guard(
    *,
    verdict: Verdict,
    stage: Stage,
    payment_state: PaymentState,
    returned_minor: int,
    money_is_consistent: bool,
    limit_minor: int | None = None,
) -> Guarded:
    """Turns an automatic verdict into a review where automation is never allowed. `limit_minor`: of a promotion; only ever lower."""
    if verdict is not Verdict.AUTO:
        return Guarded(verdict=verdict, rule="")
    if stage is Stage.UNKNOWN:
        return Guarded(verdict=Verdict.REVIEW, rule="guard_stage_unknown")
    if stage not in IN_THE_HOUSE:
        return Guarded(verdict=Verdict.REVIEW, rule="guard_goods_have_left")
    if returned_minor > min(AUTOMATIC_LIMIT_MINOR, AUTOMATIC_LIMIT_MINOR if limit_minor is None else limit_minor):
        return Guarded(verdict=Verdict.REVIEW, rule="guard_over_limit")
    if not money_is_consistent or payment_state is PaymentState.UNKNOWN:
        return Guarded(verdict=Verdict.REVIEW, rule="policy_incomplete")
    return Guarded(verdict=verdict, rule="")
