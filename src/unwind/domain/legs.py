"""The kinds of steps a plan is made of: their order, whether they can be taken back, what to do after doubt."""

from dataclasses import dataclass
from enum import StrEnum


class LegKind(StrEnum):
    CLOSE_PAYMENT = "close_payment"
    HOLD_SHIPMENT = "hold_shipment"
    VOID_WAYBILL = "void_waybill"
    REDIRECT_PARCEL = "redirect_parcel"
    RECALL_PARCEL = "recall_parcel"
    RECEIVE_RETURN = "receive_return"
    AMEND_ORDER = "amend_order"
    REFUND = "refund"
    REVERSE_SETTLEMENT = "reverse_settlement"
    COMPENSATE = "compensate"
    RELEASE_STOCK = "release_stock"
    RESTORE_BENEFIT = "restore_benefit"
    CLAW_BACK_BENEFIT = "claw_back_benefit"
    REVOKE_ENTITLEMENT = "revoke_entitlement"
    WITHDRAW_DECLARATION = "withdraw_declaration"
    """Goods declared to customs: taken off the list before anything else."""
    REVERSE_INVOICE = "reverse_invoice"
    CANCEL_ORDER = "cancel_order"


class LegState(StrEnum):
    PLANNED = "planned"
    CLAIMED = "claimed"
    """The intent is stored; the call may or may not have left."""
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    """The other side has it; the final answer comes later."""
    TASK = "task"
    """A person outside the system carries it out and brings evidence."""
    BLOCKED = "blocked"
    """Cannot go on without a person: funds, payer's account, a refusal, doubt that a query does not remove."""
    SUCCEEDED = "succeeded"
    RELEASED = "released"
    """Given up before it had any effect."""
    WAIVED = "waived"
    """A named person decided that it need not be done."""


FINAL = frozenset({LegState.SUCCEEDED, LegState.RELEASED, LegState.WAIVED})
HAS_LEFT = frozenset({LegState.CLAIMED, LegState.UNKNOWN, LegState.ACCEPTED, LegState.TASK, LegState.BLOCKED})
"""May have had an effect that is not yet known to be final."""


class Doubt(StrEnum):
    RESEND_SAME_NUMBER = "resend_same_number"
    QUERY_FIRST = "query_first"
    NEVER_RESEND = "never_resend"


@dataclass(frozen=True, slots=True, kw_only=True)
class LegSpec:
    rank: int
    """Legs of a part run in rank order: goods, entitlements, settlement, money, stock, benefits, shop."""
    doubt: Doubt
    is_reversible: bool
    acceptance_is_enough: bool
    """The next rank may start once the other side has accepted; the final answer is awaited in settle."""


SPECS: dict[LegKind, LegSpec] = {
    LegKind.HOLD_SHIPMENT: LegSpec(rank=10, doubt=Doubt.QUERY_FIRST, is_reversible=True, acceptance_is_enough=False),
    LegKind.VOID_WAYBILL: LegSpec(
        rank=11, doubt=Doubt.RESEND_SAME_NUMBER, is_reversible=False, acceptance_is_enough=True
    ),
    LegKind.REDIRECT_PARCEL: LegSpec(rank=12, doubt=Doubt.QUERY_FIRST, is_reversible=False, acceptance_is_enough=False),
    LegKind.RECALL_PARCEL: LegSpec(rank=12, doubt=Doubt.QUERY_FIRST, is_reversible=False, acceptance_is_enough=False),
    LegKind.RECEIVE_RETURN: LegSpec(rank=35, doubt=Doubt.QUERY_FIRST, is_reversible=False, acceptance_is_enough=False),
    LegKind.WITHDRAW_DECLARATION: LegSpec(
        rank=14, doubt=Doubt.QUERY_FIRST, is_reversible=False, acceptance_is_enough=False
    ),
    LegKind.REVOKE_ENTITLEMENT: LegSpec(
        rank=15, doubt=Doubt.QUERY_FIRST, is_reversible=False, acceptance_is_enough=False
    ),
    LegKind.REVERSE_SETTLEMENT: LegSpec(
        rank=20, doubt=Doubt.QUERY_FIRST, is_reversible=False, acceptance_is_enough=False
    ),
    LegKind.REFUND: LegSpec(rank=30, doubt=Doubt.QUERY_FIRST, is_reversible=False, acceptance_is_enough=True),
    LegKind.COMPENSATE: LegSpec(rank=32, doubt=Doubt.QUERY_FIRST, is_reversible=False, acceptance_is_enough=True),
    LegKind.RELEASE_STOCK: LegSpec(
        rank=40, doubt=Doubt.RESEND_SAME_NUMBER, is_reversible=False, acceptance_is_enough=False
    ),
    LegKind.RESTORE_BENEFIT: LegSpec(
        rank=50, doubt=Doubt.RESEND_SAME_NUMBER, is_reversible=False, acceptance_is_enough=False
    ),
    LegKind.CLAW_BACK_BENEFIT: LegSpec(
        rank=78, doubt=Doubt.QUERY_FIRST, is_reversible=False, acceptance_is_enough=False
    ),
    LegKind.REVERSE_INVOICE: LegSpec(rank=80, doubt=Doubt.QUERY_FIRST, is_reversible=False, acceptance_is_enough=False),
    LegKind.AMEND_ORDER: LegSpec(
        rank=60, doubt=Doubt.RESEND_SAME_NUMBER, is_reversible=False, acceptance_is_enough=False
    ),
    LegKind.CANCEL_ORDER: LegSpec(
        rank=60, doubt=Doubt.RESEND_SAME_NUMBER, is_reversible=False, acceptance_is_enough=False
    ),
    LegKind.CLOSE_PAYMENT: LegSpec(
        rank=70, doubt=Doubt.RESEND_SAME_NUMBER, is_reversible=False, acceptance_is_enough=True
    ),
}
"""Closing a payment stands behind everything: the buyer of an unpaid order already reads 已取消 while the gateway is asked. What
may take people days stands behind that, and holds up nothing: points earned, the red letter.
`receive_return` moves in front of the refund where the policy pays on goods back (`plan.py`)."""

RECEIVE_BEFORE_REFUND_RANK = 25
HOLDS_UP_NOTHING = frozenset({LegKind.CLAW_BACK_BENEFIT, LegKind.REVERSE_INVOICE})
"""Their parts are as good as done: nothing waits for them, and a named person may decide that they need not be done."""
