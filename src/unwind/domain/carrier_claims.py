"""What a carrier owes for a cancellation, from the day it is known until it is paid or given up. Every step has a day by which it is due."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Final

from unwind.domain.decisions import Fee


class ClaimState(StrEnum):
    OPEN = "open"
    """Known here; the carrier has not been told."""
    FILED = "filed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    PAID = "paid"
    WRITTEN_OFF = "written_off"


class ClaimReason(StrEnum):
    LATE = "late"
    LOST = "lost"
    DAMAGED = "damaged"
    RECALL_FAILED = "recall_failed"
    SHORT = "short"


MOVES: Final[Mapping[ClaimState, frozenset[ClaimState]]] = {
    ClaimState.OPEN: frozenset({ClaimState.FILED, ClaimState.WRITTEN_OFF}),
    ClaimState.FILED: frozenset({ClaimState.ACCEPTED, ClaimState.REJECTED, ClaimState.WRITTEN_OFF}),
    ClaimState.ACCEPTED: frozenset({ClaimState.PAID, ClaimState.WRITTEN_OFF}),
    ClaimState.REJECTED: frozenset({ClaimState.FILED, ClaimState.WRITTEN_OFF}),
    ClaimState.PAID: frozenset(),
    ClaimState.WRITTEN_OFF: frozenset(),
}
"""A rejected claim may be filed again, with better proof."""

DUE_AFTER: Final[Mapping[ClaimState, timedelta]] = {
    ClaimState.OPEN: timedelta(days=7),
    ClaimState.FILED: timedelta(days=30),
    ClaimState.ACCEPTED: timedelta(days=30),
    ClaimState.REJECTED: timedelta(days=7),
}
"""By when the next move is due, unless a move says otherwise. Those that are over are due no more."""

_REASON_OF_RULE: Final[Mapping[str, ClaimReason]] = {
    "parcel_lost": ClaimReason.LOST,
    "signed_not_received": ClaimReason.LOST,
    "recall_failed": ClaimReason.RECALL_FAILED,
}
_REASON_OF_FEE: Final[Mapping[Fee, ClaimReason]] = {
    Fee.GOODS_LOSS: ClaimReason.LOST,
    Fee.RECALL: ClaimReason.RECALL_FAILED,
}


def reason_of(fee: Fee, *, rule: str) -> ClaimReason:
    """As far as the case says it; whoever files the claim may know better."""
    return _REASON_OF_RULE.get(rule) or _REASON_OF_FEE.get(fee, ClaimReason.LATE)
