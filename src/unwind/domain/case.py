"""A case, its plan parts and legs, as the loop sees them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from unwind.domain.clocks import Clocks
from unwind.domain.legs import LegKind, LegState
from unwind.domain.merchant_cancel import FAULT, REASONS
from unwind.domain.order import CaseId, LineId, OrderId
from unwind.domain.questions import Watch
from unwind.domain.transitions import State


class Kind(StrEnum):
    CANCELLATION = "cancellation"
    INQUIRY = "inquiry"
    AFTERMATH = "aftermath"


class Verdict(StrEnum):
    """What screening says about one plan part."""

    AUTO = "auto"
    REVIEW = "review"
    DECLINE = "decline"


class PartKind(StrEnum):
    UNSHIPPED = "unshipped"
    PARCEL = "parcel"


class PartState(StrEnum):
    EXECUTING = "executing"
    REVIEW = "review"
    DONE = "done"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    RETAINED = "retained"
    """The buyer keeps it."""


class Way(StrEnum):
    """How the goods of a part are dealt with."""

    STOP = "stop"
    """Held in the house, or recalled on the road."""
    REFUSE = "refuse"
    """The buyer refuses the parcel at the door."""
    RETURN = "return"
    """The buyer sends it back."""
    KEEP = "keep"
    """Nothing is taken back."""


class RefundOn(StrEnum):
    """When the money of a recalled parcel may leave."""

    RECALL_CONFIRMED = "recall_confirmed"
    GOODS_BACK = "goods_back"


class CaseOutcome(StrEnum):
    CANCELLED = "cancelled"
    PARTLY_CANCELLED = "partly_cancelled"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    ANSWERED = "answered"
    RETAINED = "retained"
    HANDED_ON = "handed_on"
    """To after-sales."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    leg_no: int
    part_no: int
    kind: LegKind
    rank: int
    is_local: bool
    state: LegState
    target: str
    """Payment, shipment, benefit or outbound number, by kind."""
    number: str
    """The fixed number of the outside call; empty until claimed where it depends on what went before."""
    amount_minor: int
    attempts: int
    next_try_at: datetime | None
    due_at: datetime | None
    code: str
    evidence: Mapping[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    part_no: int
    kind: PartKind
    shipment_id: str
    state: PartState
    quantities: Mapping[LineId, int]
    rule: str
    refund_on: RefundOn
    is_decided: bool
    """A person has let it go on."""
    legs: tuple[Leg, ...]
    way: Way = Way.STOP
    kept_minor: int = 0
    """Not returned, with the buyer's consent."""
    stage: str = ""
    """At the moment it was planned."""
    verdict: Verdict = Verdict.REVIEW
    """Of the first screening."""
    policy_rule: str = ""
    """By which the policy screened it; `rule` is why it waits now. Empty for parts that no policy has seen."""
    returned_minor: int = 0
    lost_minor: int = 0
    """Not returned while what is left misses a published threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    case_id: CaseId
    kind: Kind
    order_id: OrderId
    merchant_id: str
    channel: str
    state: State
    version: int
    event_seq: int
    head: bytes
    reason: str
    """As it was read; `true_reason` is what somebody has found out since."""
    rule: str
    outcome: CaseOutcome | None
    opened_at: datetime
    respond_warn_at: datetime | None
    respond_due_at: datetime | None
    answered_at: datetime | None
    """A person has answered in the present round of review."""
    is_warned: bool
    is_overdue: bool
    parts: tuple[Part, ...]
    unsent_messages: int
    is_halted: bool
    """The merchant's automatic refunds are halted: no planned refund leaves without a person."""
    next_message_at: datetime | None
    told: frozenset[str]
    """Facts the buyer has been told, or is about to be."""
    claimed_by: str | None = None
    claimed_until: datetime | None = None
    is_escalated: bool = False
    """Only a lead takes it."""
    has_buyer_agreed: bool = False
    """To a cancellation that the merchant asked for."""
    clocks: Clocks | None = None
    """Of a case that a person has been needed for."""
    barred: frozenset[str] = frozenset()
    """Principals who may not decide it: an appeal goes to a different person."""
    is_appeal: bool = False
    watch: Watch | None = None
    """The buyer has agreed to wait."""
    switched_off: frozenset[tuple[str, str]] = frozenset()
    """Kinds of steps that may not leave now, each with its connection; an empty one stands for all."""

    fault: str = ""
    """Whose it is where it is not the buyer's, from the request or found since (a false dispatch)."""
    true_reason: str = ""

    @property
    def by_merchant(self) -> bool:
        """At the merchant's fault, as far as anybody knows: nothing that was published is kept from the buyer."""
        return self.fault == FAULT or self.true_reason in REASONS

    def is_off(self, kind: LegKind, connection: str) -> bool:
        return not self.switched_off.isdisjoint({(kind.value, ""), (kind.value, connection)})


def holder_of(case: Case, now: datetime) -> str | None:
    """Who works on the case. A claim that has run out holds nothing."""
    is_held = case.claimed_until is not None and case.claimed_until > now
    return case.claimed_by if is_held else None
