"""What a person may decide, who bears what it costs, and when one person is not enough.

A decision is data: it is shown as a plan, agreed to by the buyer where it takes something from them, approved by a second person where it
leaves the rules, and carried out, and it is the same plan every time: `plan_digest` is what binds the four together.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from unwind.domain.case import RefundOn, Verdict
from unwind.domain.order import LineId


class Choice(StrEnum):
    APPROVE = "approve"
    APPROVE_PART = "approve_part"
    DECLINE = "decline"
    RECALL = "recall"
    REFUSE_AT_DOOR = "refuse_at_door"
    """The carrier could not stop it: the buyer refuses it, the money waits for the goods."""
    RETURN = "return"
    """It has arrived: the buyer sends it back, the money waits for the goods."""
    REDIRECT = "redirect"
    """To another address; the order is kept."""
    KEEP = "keep"
    """The buyer keeps the order, with or without something for their trouble."""
    HAND_ON = "hand_on"
    """To after-sales: nothing is taken back here."""
    RETRY = "retry"
    """Blocked legs are asked for again by their own numbers (after a top-up, a corrected account, a cleared doubt)."""
    ANSWER = "answer"
    """An inquiry or an aftermath is dealt with; nothing is taken back."""


TAKES_BACK = frozenset(
    {Choice.APPROVE, Choice.APPROVE_PART, Choice.RECALL, Choice.REFUSE_AT_DOOR, Choice.RETURN, Choice.RETRY}
)


class Bearer(StrEnum):
    BUYER = "buyer"
    MERCHANT = "merchant"
    CARRIER = "carrier"
    PLATFORM = "platform"


class Fee(StrEnum):
    RECALL = "recall"
    FREIGHT = "freight"
    GOODS_LOSS = "goods_loss"
    GIFT = "gift"
    DEPOSIT = "deposit"
    TAX = "tax"
    """Customs duties and taxes of goods that customs have released."""
    POINTS = "points"
    """Earned with the order and spent, at their published value."""
    COMPENSATION = "compensation"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One line of what a cancellation costs. What the buyer bears is kept from their refund, with their consent."""

    fee: Fee
    amount_minor: int
    bearer: Bearer


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """`lines` only with APPROVE_PART; `part_no` None means every part that waits."""

    choice: Choice
    case_version: int
    order_version: int
    part_no: int | None = None
    lines: Mapping[LineId, int] = field(default_factory=dict)
    refund_on: RefundOn | None = None
    costs: tuple[Cost, ...] = ()
    compensation_minor: int = 0
    """Paid beside the refund, never as one."""
    reason_code: str = ""
    note: str = ""

    @property
    def kept_minor(self) -> int:
        """What the buyer does not get back."""
        return sum(cost.amount_minor for cost in self.costs if cost.bearer is Bearer.BUYER)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPart:
    """One part as it would be, or was, set going."""

    part_no: int
    way: str
    stage: str
    refund_on: str
    lines: Mapping[LineId, int]
    paid_minor: int
    kept_minor: int
    returned_minor: int
    legs: tuple[tuple[str, str, int], ...]
    """(kind, target, amount in minor units), in the order in which they run."""
    lost_minor: int = 0
    """Not returned while what is left misses a published threshold."""


def plan_digest(ruling: Ruling, parts: Sequence[PlannedPart]) -> str:
    """The same for the same plan, whenever it is worked out; 64 hexadecimal characters."""
    document = [
        ruling.choice,
        ruling.compensation_minor,
        sorted([cost.fee, cost.amount_minor, cost.bearer] for cost in ruling.costs),
        [
            [
                p.part_no,
                p.way,
                p.stage,
                p.refund_on,
                sorted(p.lines.items()),
                p.paid_minor,
                p.kept_minor,
                p.returned_minor,
                [list(leg) for leg in p.legs],
                *([p.lost_minor] if p.lost_minor else []),
            ]
            for p in parts
        ],
    ]
    return hashlib.sha256(json.dumps(document, ensure_ascii=True).encode()).hexdigest()


NOT_CANCELLABLE = frozenset({"perishable_past_dispatch", "delivered"})
"""Rules by which nothing would be taken back; whoever does it all the same needs a second person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one merchant, in minor units of the order's currency."""

    agent_minor: int
    goodwill_minor: int


def reasons_for_a_second(
    ruling: Ruling,
    parts: Sequence[PlannedPart],
    *,
    screened: Sequence[tuple[str, Verdict, RefundOn]],
    limits: Limits,
) -> tuple[str, ...]:
    """Why one person is not enough; empty when they are. `screened`: rule, verdict and moment of refund of each decided part."""
    takes_back = ruling.choice in TAKES_BACK
    returned = sum(part.returned_minor for part in parts)
    reasons = {
        "over_limit": takes_back and returned > limits.agent_minor,
        "outside_rules": takes_back
        and any(verdict is Verdict.DECLINE or rule in NOT_CANCELLABLE for rule, verdict, _ in screened),
        "buyer_bears_cost": ruling.kept_minor > 0,
        "goodwill": ruling.compensation_minor > limits.goodwill_minor,
        "money_before_goods": takes_back
        and ruling.refund_on is RefundOn.RECALL_CONFIRMED
        and any(refund_on is RefundOn.GOODS_BACK for _, _, refund_on in screened),
    }
    return tuple(name for name, holds in reasons.items() if holds)


FAULT_OF = {
    "SHIPPING_TOO_SLOW": Bearer.MERCHANT,
    "PAYMENT_ISSUE": Bearer.PLATFORM,
}


def default_bearer(reason: str, rule: str) -> Bearer:
    """Who bears shipping and recall fees unless a person decides otherwise (RULES: money). Never the buyer: only what was published before
    ordering may be charged to them, and that a person says by name."""
    if rule in {"parcel_lost", "signed_not_received"}:
        return Bearer.CARRIER
    return FAULT_OF.get(reason, Bearer.MERCHANT)


def ways_on(stages: Sequence[str]) -> tuple[str, ...]:
    """What a declined buyer can still do; never nothing (RULES: a decline is no dead end)."""
    ways = ["appeal"]
    if any(stage in {"handed_over", "in_transit", "at_pickup_point", "out_for_delivery"} for stage in stages):
        ways += ["refuse_at_door", "return"]
    elif any(stage in {"delivered", "unknown"} for stage in stages):
        ways.append("return")
    return tuple(ways)
