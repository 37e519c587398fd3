"""What a case needs, read from its rows alone: every need, and what takes precedence over what."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.domain.building import NOW, a_case, a_leg, a_part
from unwind.domain.case import CaseOutcome, Leg, PartState
from unwind.domain.legs import FINAL, HAS_LEFT, SPECS, LegKind, LegState
from unwind.domain.next_step import IDLE_CHECK, Need, Step, frontier, is_final, is_performed, news_of, next_step
from unwind.domain.transitions import Event, State

LATER = NOW + timedelta(minutes=5)
EARLIER = NOW - timedelta(minutes=5)
FAR = NOW + timedelta(days=3)
HOLD, REFUND, RELEASE = LegKind.HOLD_SHIPMENT, LegKind.REFUND, LegKind.RELEASE_STOCK
DONE = LegState.SUCCEEDED
ALL_TOLD = frozenset({"refund_done:1", "refund_on_its_way:1", "cancelled:1"})


def step_of(*legs: Leg, now: datetime = NOW, part_state: PartState = PartState.EXECUTING, **given: Any) -> Step:
    return next_step(a_case(a_part(*legs, state=part_state), **{"told": ALL_TOLD, **given}), now)


def waits_until(*legs: Leg, **given: Any) -> datetime:
    step = step_of(*legs, **given)
    assert step.need is Need.WAIT
    assert step.until is not None
    return step.until


# perform, ask -------------------------------------------------------------------------------------------------------


def test_planned_legs_of_the_lowest_rank_are_performed_together() -> None:
    first, second = a_leg(REFUND, leg_no=1, target="P1"), a_leg(REFUND, leg_no=2, target="P2")
    step = step_of(first, second, a_leg(RELEASE, leg_no=3))
    assert (step.need, step.legs) == (Need.PERFORM, (first, second))


@pytest.mark.parametrize("state", [LegState.CLAIMED, LegState.UNKNOWN, LegState.ACCEPTED])
def test_a_leg_that_has_left_is_asked_for_and_never_performed_again(state: LegState) -> None:
    leg = a_leg(HOLD, state)
    step = step_of(leg, a_leg(REFUND, leg_no=2))
    assert (step.need, step.legs) == (Need.ASK, (leg,))


def test_an_accepted_refund_lets_the_rest_go_on_and_an_accepted_hold_does_not() -> None:
    rest = a_leg(RELEASE, leg_no=2, is_local=True)
    assert step_of(a_leg(REFUND, LegState.ACCEPTED, next_try_at=LATER), rest).legs == (rest,)
    assert step_of(a_leg(HOLD, LegState.ACCEPTED, next_try_at=LATER), rest).need is Need.WAIT


def test_nothing_is_done_before_its_time() -> None:
    assert waits_until(a_leg(HOLD, LegState.UNKNOWN, next_try_at=LATER)) == LATER
    assert waits_until(a_leg(HOLD, next_try_at=LATER)) == LATER
    assert step_of(a_leg(HOLD, next_try_at=NOW)).need is Need.PERFORM
    assert step_of(a_leg(HOLD, LegState.UNKNOWN, next_try_at=NOW)).need is Need.ASK


@pytest.mark.parametrize("state", [s for s in PartState if s is not PartState.EXECUTING])
def test_only_a_part_that_runs_is_performed(state: PartState) -> None:
    assert step_of(a_leg(HOLD), part_state=state, state=State.REVIEW).need is Need.WAIT


# hand over ----------------------------------------------------------------------------------------------------------


def test_a_blocked_leg_goes_to_a_person_before_anything_else() -> None:
    blocked = a_leg(REFUND, LegState.BLOCKED, leg_no=2)
    step = step_of(a_leg(HOLD), blocked, unsent_messages=1)
    assert (step.need, step.legs, step.part) == (Need.HAND_OVER, (blocked,), a_part(a_leg(HOLD), blocked))


@pytest.mark.parametrize("state", [LegState.CLAIMED, LegState.UNKNOWN, LegState.ACCEPTED, LegState.TASK])
def test_patience_ends(state: LegState) -> None:
    assert step_of(a_leg(REFUND, state, due_at=NOW)).need is Need.HAND_OVER
    assert step_of(a_leg(REFUND, state, due_at=EARLIER, next_try_at=LATER)).need is Need.HAND_OVER
    assert waits_until(a_leg(REFUND, state, due_at=LATER, next_try_at=FAR), state=State.SETTLING) == LATER


@pytest.mark.parametrize("state", [LegState.PLANNED, *FINAL])
def test_a_leg_that_keeps_nobody_waiting_is_never_late(state: LegState) -> None:
    assert step_of(a_leg(REFUND, state, due_at=EARLIER)).need is not Need.HAND_OVER


# clocks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "event"),
    [
        ({"respond_warn_at": LATER, "respond_due_at": LATER}, None),
        ({"respond_warn_at": NOW, "respond_due_at": LATER}, Event.CLOCK_WARNED),
        ({"respond_warn_at": EARLIER, "respond_due_at": LATER, "is_warned": True}, None),
        ({"respond_warn_at": EARLIER, "respond_due_at": NOW, "is_warned": True}, Event.CLOCK_DUE),
        ({"respond_warn_at": EARLIER, "respond_due_at": EARLIER}, Event.CLOCK_DUE),
        ({"respond_warn_at": EARLIER, "respond_due_at": EARLIER, "is_overdue": True}, None),
        ({"respond_warn_at": EARLIER, "respond_due_at": EARLIER, "answered_at": EARLIER}, None),
        ({}, None),
    ],
)
def test_the_clock_of_a_review_strikes_twice(given: dict[str, Any], event: Event | None) -> None:
    step = step_of(part_state=PartState.REVIEW, state=State.REVIEW, **given)
    assert (step.need, step.event) == ((Need.CLOCK, event) if event else (Need.WAIT, None))
    running = step_of(a_leg(HOLD, LegState.UNKNOWN, next_try_at=LATER), state=State.EXECUTING, **given)
    assert running.need is Need.WAIT, "outside of a review nobody is late"


def test_a_review_waits_for_its_next_stroke() -> None:
    due = NOW + timedelta(minutes=15)
    clocks = {"respond_warn_at": NOW + timedelta(minutes=10), "respond_due_at": due}
    waiting = {"part_state": PartState.REVIEW, "state": State.REVIEW, **clocks}
    assert waits_until(**waiting) == clocks["respond_warn_at"]
    assert waits_until(**waiting, now=NOW + timedelta(minutes=11), is_warned=True) == due
    assert waits_until(**waiting, answered_at=NOW) == NOW + IDLE_CHECK


# tell ---------------------------------------------------------------------------------------------------------------


def test_news_is_told_once_and_due_messages_are_sent() -> None:
    done = (a_leg(HOLD, DONE), a_leg(REFUND, DONE, leg_no=2))
    assert step_of(*done, told=frozenset()).need is Need.TELL
    assert step_of(*done).need is Need.MOVE
    assert step_of(*done, unsent_messages=1).need is Need.TELL
    assert step_of(*done, unsent_messages=1, next_message_at=NOW).need is Need.TELL
    assert step_of(*done, unsent_messages=1, next_message_at=LATER, state=State.NOTIFYING).until == LATER


GIVEN_UP = {LegState.RELEASED, LegState.WAIVED}


@pytest.mark.parametrize("state", [state for state in LegState if state not in GIVEN_UP])
def test_refunded_is_said_only_of_a_final_refund(state: LegState) -> None:
    """I12."""
    case = a_case(a_part(a_leg(HOLD, DONE), a_leg(REFUND, DONE, leg_no=2), a_leg(REFUND, state, leg_no=3)))
    expected = {DONE: {"refund_done:1"}, LegState.ACCEPTED: {"refund_on_its_way:1"}}.get(state, set())
    assert news_of(case) == expected


def test_a_refund_of_an_earlier_plan_does_not_hide_the_one_that_was_made() -> None:
    """The hold was refused and laid back; then a person let it go on, and the money is there."""
    laid_back = (a_leg(HOLD, LegState.RELEASED), a_leg(REFUND, LegState.RELEASED, leg_no=2))
    again = (a_leg(LegKind.RECALL_PARCEL, DONE, leg_no=3), a_leg(REFUND, DONE, leg_no=4))
    assert news_of(a_case(a_part(*laid_back, *again))) == {"refund_done:1"}


def test_a_part_without_refunds_is_called_cancelled_when_its_goods_are_stopped() -> None:
    assert news_of(a_case(a_part(a_leg(HOLD), a_leg(RELEASE, leg_no=2)))) == frozenset()
    assert news_of(a_case(a_part(a_leg(HOLD, DONE), a_leg(RELEASE, leg_no=2)))) == {"cancelled:1"}
    for state in (PartState.REVIEW, PartState.DECLINED, PartState.WITHDRAWN):
        assert news_of(a_case(a_part(a_leg(HOLD, DONE), state=state))) == frozenset()
    assert news_of(a_case(a_part())) == frozenset(), "no legs, no news"


@pytest.mark.parametrize("outcome", list(CaseOutcome))
def test_a_no_is_told_as_such(outcome: CaseOutcome) -> None:
    is_news = outcome not in {CaseOutcome.CANCELLED, CaseOutcome.PARTLY_CANCELLED}
    assert news_of(a_case(outcome=outcome)) == ({outcome.value} if is_news else set())


# move, wait ---------------------------------------------------------------------------------------------------------


def test_executing_settling_notifying_end_when_their_legs_do() -> None:
    sent = a_leg(REFUND, LegState.ACCEPTED, next_try_at=LATER)
    assert step_of(sent).event is Event.PERFORMED
    assert waits_until(sent, state=State.SETTLING) == LATER
    assert step_of(a_leg(REFUND, DONE), state=State.SETTLING).event is Event.SETTLED
    assert step_of(a_leg(REFUND, LegState.WAIVED), state=State.SETTLING).event is Event.SETTLED
    assert step_of(a_leg(REFUND, DONE), state=State.NOTIFYING, part_state=PartState.DONE).event is Event.TOLD


def test_a_case_with_nothing_to_do_is_looked_at_within_the_hour() -> None:
    assert waits_until(part_state=PartState.REVIEW, state=State.REVIEW) == NOW + IDLE_CHECK
    assert waits_until(a_leg(REFUND, LegState.ACCEPTED, due_at=FAR, next_try_at=FAR), state=State.SETTLING) == (
        NOW + IDLE_CHECK
    )


def test_a_wait_never_names_a_moment_that_has_passed() -> None:
    behind = a_leg(RELEASE, leg_no=2, next_try_at=EARLIER)
    assert waits_until(a_leg(HOLD, LegState.TASK, due_at=LATER), behind) == LATER, "not at work yet"
    assert waits_until(a_leg(HOLD, LegState.TASK, next_try_at=EARLIER, due_at=LATER)) == NOW


def test_the_frontier_is_the_lowest_rank_that_is_not_performed() -> None:
    hold, refund, other = a_leg(HOLD, DONE), a_leg(REFUND, leg_no=2), a_leg(REFUND, DONE, leg_no=3)
    assert frontier(a_part(hold, refund, other, a_leg(RELEASE, leg_no=4))) == (refund,)
    assert frontier(a_part(hold, other)) == ()
    assert frontier(a_part()) == ()


@pytest.mark.parametrize("kind", list(LegKind))
def test_acceptance_is_enough_only_where_the_kind_says_so(kind: LegKind) -> None:
    assert is_performed(a_leg(kind, LegState.ACCEPTED)) is SPECS[kind].acceptance_is_enough
    for state in LegState:
        assert is_final(a_leg(kind, state)) is (state in FINAL)
        if state is not LegState.ACCEPTED:
            assert is_performed(a_leg(kind, state)) is (state in FINAL)
    assert not FINAL & HAS_LEFT


def test_a_refund_of_a_halted_merchant_waits_for_a_person() -> None:
    """Planned and not decided by anybody: it goes to a person; one that a person let go on leaves."""
    refund = a_leg(LegKind.REFUND)
    step = next_step(a_case(a_part(refund), is_halted=True), NOW)
    assert (step.need, step.legs) == (Need.HAND_OVER, (refund,))
    assert next_step(a_case(a_part(refund, is_decided=True), is_halted=True), NOW).need is Need.PERFORM
    hold_first = a_part(a_leg(LegKind.HOLD_SHIPMENT, leg_no=1), a_leg(LegKind.REFUND, leg_no=2))
    assert next_step(a_case(hold_first, is_halted=True), NOW).need is Need.PERFORM, "goods may still be stopped"
