"""THE table: which event may move a case from which state to which. Nothing else decides a move (I8).

`docs/flow.md` and the database table `allowed_move` are generated from it.
"""

from enum import StrEnum

from unwind.domain.errors import InvariantBroken


class State(StrEnum):
    NEW = "new"
    """Before the first event; never stored."""
    RECEIVED = "received"
    EXECUTING = "executing"
    REVIEW = "review"
    WATCHING = "watching"
    """The buyer has agreed to wait; what was promised is watched."""
    SETTLING = "settling"
    NOTIFYING = "notifying"
    ARCHIVED = "archived"


class Event(StrEnum):
    RECEIVED = "received"
    SCREENED_AUTO = "screened_auto"
    SCREENED_REVIEW = "screened_review"
    SCREENED_DECLINE = "screened_decline"
    CLOSED_AT_ONCE = "closed_at_once"
    NEEDS_PERSON = "needs_person"
    PART_DECIDED = "part_decided"
    APPROVED = "approved"
    REST_CONTINUES = "rest_continues"
    """No part waits for anybody any more; the parts that run go on."""
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    ANSWERED = "answered"
    PERFORMED = "performed"
    SETTLED = "settled"
    TOLD = "told"
    LEG_CLAIMED = "leg_claimed"
    LEG_RECORDED = "leg_recorded"
    MESSAGE_RECORDED = "message_recorded"
    CONTACTED_AGAIN = "contacted_again"
    CLOCK_HALF = "clock_half"
    CLOCK_WARNED = "clock_warned"
    CLOCK_AGAIN = "clock_again"
    CLOCK_DUE = "clock_due"
    CLOCKS_RESET = "clocks_reset"
    """The calendar or the target minutes have changed, and so have the times of this case."""
    CLAIMED = "claimed"
    CLAIM_RELEASED = "claim_released"
    """By its holder, by time, or because the holder went off duty."""
    TRANSFERRED = "transferred"
    ESCALATED = "escalated"
    BUYER_ASKED = "buyer_asked"
    BUYER_ANSWERED = "buyer_answered"
    BUYER_SILENT = "buyer_silent"
    """The time the buyer was given is over."""
    QUESTION_ASKED = "question_asked"
    QUESTION_REMINDED = "question_reminded"
    QUESTION_ANSWERED = "question_answered"
    QUESTION_SILENT = "question_silent"
    """Nobody answered in time; what that is taken for was said when it was asked."""
    OFFER_ACCEPTED = "offer_accepted"
    WAIT_REWARDED = "wait_rewarded"
    WAIT_IN_VAIN = "wait_in_vain"
    RECONSIDERED = "reconsidered"
    """The buyer does not want to wait any longer."""
    KEPT = "kept"
    HANDED_ON = "handed_on"
    COST_NOTED = "cost_noted"
    ATTACHED = "attached"
    BUYER_WROTE = "buyer_wrote"
    AGENT_WROTE = "agent_wrote"
    WOKEN = "woken"
    ORDER_CHANGED = "order_changed"
    IDENTITY_CHECKED = "identity_checked"
    """Somebody who asks by telephone, in a chat or in a store has shown that the order is theirs."""
    CALL_RECORDED = "call_recorded"
    """What the telephone system knows of a call, or what the agent wrote down of it."""
    PROMISE_MADE = "promise_made"
    PROMISE_WARNED = "promise_warned"
    PROMISE_KEPT = "promise_kept"
    PROMISE_BROKEN = "promise_broken"
    TRUE_REASON_SET = "true_reason_set"
    HANDED_OVER = "handed_over"
    HANDOVER_TAKEN = "handover_taken"
    SCAM_FLAGGED = "scam_flagged"
    """Somebody offers to pay, or to be paid, outside the platform."""
    PARCEL_SCANNED = "parcel_scanned"
    """At the packing bench or the dock, and it meant something for the case."""
    RETURN_SCANNED = "return_scanned"
    RETURN_INSPECTED = "return_inspected"
    FALSE_DISPATCH = "false_dispatch"
    """Called shipped, and no carrier has picked it up."""
    PAYOUT_PROPOSED = "payout_proposed"
    """A blocked refund is to reach its payer by another way; a second person has to agree."""
    PAYOUT_DROPPED = "payout_dropped"


OPEN_STATES = (State.EXECUTING, State.REVIEW, State.WATCHING, State.SETTLING, State.NOTIFYING)

_MOVES: dict[tuple[State, Event], State] = {
    (State.NEW, Event.RECEIVED): State.RECEIVED,
    (State.RECEIVED, Event.SCREENED_AUTO): State.EXECUTING,
    (State.RECEIVED, Event.SCREENED_REVIEW): State.REVIEW,
    (State.RECEIVED, Event.SCREENED_DECLINE): State.NOTIFYING,
    (State.EXECUTING, Event.CLOSED_AT_ONCE): State.ARCHIVED,
    (State.EXECUTING, Event.PERFORMED): State.SETTLING,
    (State.EXECUTING, Event.NEEDS_PERSON): State.REVIEW,
    (State.SETTLING, Event.NEEDS_PERSON): State.REVIEW,
    (State.SETTLING, Event.SETTLED): State.NOTIFYING,
    (State.NOTIFYING, Event.NEEDS_PERSON): State.REVIEW,
    (State.NOTIFYING, Event.TOLD): State.ARCHIVED,
    (State.REVIEW, Event.NEEDS_PERSON): State.REVIEW,
    (State.REVIEW, Event.PART_DECIDED): State.REVIEW,
    (State.REVIEW, Event.APPROVED): State.EXECUTING,
    (State.REVIEW, Event.REST_CONTINUES): State.EXECUTING,
    (State.REVIEW, Event.DECLINED): State.NOTIFYING,
    (State.REVIEW, Event.WITHDRAWN): State.NOTIFYING,
    (State.REVIEW, Event.ANSWERED): State.NOTIFYING,
    (State.REVIEW, Event.CLOCK_HALF): State.REVIEW,
    (State.REVIEW, Event.CLOCK_WARNED): State.REVIEW,
    (State.REVIEW, Event.CLOCK_AGAIN): State.REVIEW,
    (State.REVIEW, Event.CLOCK_DUE): State.REVIEW,
    (State.REVIEW, Event.CLOCKS_RESET): State.REVIEW,
    (State.REVIEW, Event.CLAIMED): State.REVIEW,
    (State.REVIEW, Event.CLAIM_RELEASED): State.REVIEW,
    (State.REVIEW, Event.TRANSFERRED): State.REVIEW,
    (State.REVIEW, Event.ESCALATED): State.REVIEW,
    (State.REVIEW, Event.BUYER_ASKED): State.REVIEW,
    (State.REVIEW, Event.BUYER_ANSWERED): State.REVIEW,
    (State.REVIEW, Event.BUYER_SILENT): State.REVIEW,
    (State.REVIEW, Event.QUESTION_ASKED): State.REVIEW,
    (State.REVIEW, Event.QUESTION_REMINDED): State.REVIEW,
    (State.REVIEW, Event.QUESTION_ANSWERED): State.REVIEW,
    (State.REVIEW, Event.QUESTION_SILENT): State.REVIEW,
    (State.REVIEW, Event.OFFER_ACCEPTED): State.WATCHING,
    (State.REVIEW, Event.KEPT): State.NOTIFYING,
    (State.REVIEW, Event.HANDED_ON): State.NOTIFYING,
    (State.WATCHING, Event.WAIT_REWARDED): State.NOTIFYING,
    (State.WATCHING, Event.WAIT_IN_VAIN): State.REVIEW,
    (State.WATCHING, Event.RECONSIDERED): State.REVIEW,
    (State.WATCHING, Event.WITHDRAWN): State.NOTIFYING,
    (State.WATCHING, Event.NEEDS_PERSON): State.REVIEW,
    (State.WATCHING, Event.REST_CONTINUES): State.EXECUTING,
}

_AROUND_THE_CASE = (
    Event.IDENTITY_CHECKED,
    Event.CALL_RECORDED,
    Event.PROMISE_MADE,
    Event.PROMISE_WARNED,
    Event.PROMISE_KEPT,
    Event.PROMISE_BROKEN,
    Event.TRUE_REASON_SET,
    Event.HANDED_OVER,
    Event.HANDOVER_TAKEN,
    Event.PAYOUT_PROPOSED,
    Event.PAYOUT_DROPPED,
)
"""Who asked, what was promised, who goes on with it, what waits for a second person."""

BESIDE_THE_POINT = frozenset(
    {
        Event.CLOCK_HALF,
        Event.CLOCK_WARNED,
        Event.CLOCK_AGAIN,
        Event.CLOCK_DUE,
        Event.CLOCKS_RESET,
        Event.CLAIMED,
        Event.CLAIM_RELEASED,
        Event.TRANSFERRED,
        Event.ESCALATED,
        Event.QUESTION_REMINDED,
        *_AROUND_THE_CASE,
    }
)
"""Nothing that a decision rests on has changed: the version somebody has seen stays the newest."""

_FACTS = (
    Event.LEG_CLAIMED,
    Event.LEG_RECORDED,
    Event.MESSAGE_RECORDED,
    Event.CONTACTED_AGAIN,
    Event.COST_NOTED,
    Event.ATTACHED,
    Event.BUYER_WROTE,
    Event.AGENT_WROTE,
    Event.WOKEN,
    Event.ORDER_CHANGED,
    *_AROUND_THE_CASE,
    Event.SCAM_FLAGGED,
    Event.PARCEL_SCANNED,
    Event.RETURN_SCANNED,
    Event.RETURN_INSPECTED,
    Event.FALSE_DISPATCH,
)
"""Things that happen in any open state and change none."""

TABLE: dict[tuple[State, Event], State] = _MOVES | {(s, e): s for s in OPEN_STATES for e in _FACTS}


def next_state(state: State, event: Event) -> State:
    try:
        return TABLE[state, event]
    except KeyError:
        raise InvariantBroken(f"{event} does not move a case that is {state}") from None
