"""Questions: reminded at half time; a case that is watched waits until the promised moment."""

from datetime import UTC, datetime, timedelta

from tests.domain.building import NOW, a_case, a_leg, a_part
from unwind.domain.case import PartState, Way
from unwind.domain.legs import LegKind, LegState
from unwind.domain.next_step import Need, news_of, next_step
from unwind.domain.questions import DEFAULT_SILENCE, MINUTES_TO_ANSWER, Audience, Promised, Watch, remind_at
from unwind.domain.transitions import State


def test_half_of_the_time_is_the_reminder() -> None:
    at = datetime(2026, 11, 11, tzinfo=UTC)
    assert remind_at(at, at + timedelta(minutes=30)) == at + timedelta(minutes=15)


def test_everybody_who_may_be_asked_has_a_time_and_a_default() -> None:
    assert set(DEFAULT_SILENCE) == set(MINUTES_TO_ANSWER) == set(Audience)


def test_what_only_the_buyer_can_do_is_said_to_them_when_it_is_decided() -> None:
    waiting = a_leg(LegKind.RECEIVE_RETURN, LegState.TASK, due_at=NOW + timedelta(days=1))
    for way, fact in ((Way.REFUSE, "refuse_at_door:1"), (Way.RETURN, "send_back:1")):
        assert news_of(a_case(a_part(waiting, way=way))) == {fact}
        done = a_part(waiting, way=way, state=PartState.DONE)
        assert fact not in news_of(a_case(done))
    compensated = a_part(a_leg(LegKind.COMPENSATE, LegState.SUCCEEDED), way=Way.KEEP)
    assert news_of(a_case(compensated)) == frozenset(), "nothing was cancelled"


def test_a_watched_case_is_looked_at_when_the_promise_is_due_and_the_buyer_told_once() -> None:
    watch = Watch(promised=Promised.DELIVERED, since=NOW, until=NOW + timedelta(minutes=20))
    case = a_case(state=State.WATCHING, watch=watch)
    [fact] = news_of(case)
    assert fact.startswith("waiting:")
    told = a_case(state=State.WATCHING, watch=watch, told=frozenset({fact}))
    step = next_step(told, NOW)
    assert (step.need, step.until) == (Need.WAIT, watch.until)
    assert news_of(a_case(state=State.WATCHING)) == {"waiting"}
