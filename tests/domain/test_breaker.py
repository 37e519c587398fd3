"""A breaker opens on several cases in trouble, not on one; lets one call try; forgets everything at the first answer."""

from datetime import UTC, datetime, timedelta

from unwind.domain.breaker import PAUSE_FIRST, PAUSE_LONGEST, TRIAL_MAX, Breaker

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def fail(breaker: Breaker, times: int, *, cases: int, at: datetime = NOW) -> list[bool]:
    return [breaker.note(is_answered=False, subject=f"C{n % cases}", now=at) for n in range(times)]


def test_one_stubborn_case_never_opens_it() -> None:
    breaker = Breaker()
    assert not any(fail(breaker, 100, cases=2))
    assert breaker.waits_until(NOW) is None


def test_several_cases_do_once() -> None:
    breaker = Breaker()
    assert fail(breaker, 5, cases=3) == [False, False, False, False, True]
    assert breaker.waits_until(NOW) == NOW + PAUSE_FIRST


def test_an_answer_in_between_starts_afresh() -> None:
    breaker = Breaker()
    fail(breaker, 4, cases=3)
    assert not breaker.note(is_answered=True, subject="C9", now=NOW)
    assert not any(fail(breaker, 4, cases=3))


def test_after_the_pause_one_call_tries_and_its_answer_decides() -> None:
    breaker = Breaker()
    fail(breaker, 5, cases=3)
    later = NOW + PAUSE_FIRST
    assert breaker.waits_until(later) is None, "the trial"
    assert breaker.waits_until(later) == later + TRIAL_MAX, "nobody else meanwhile"
    assert not breaker.note(is_answered=False, subject="C1", now=later)
    assert breaker.waits_until(later) == later + 2 * PAUSE_FIRST, "longer"
    again = later + 2 * PAUSE_FIRST
    assert breaker.waits_until(again) is None
    assert breaker.note(is_answered=True, subject="C1", now=again)
    assert not breaker.is_open
    assert breaker.waits_until(again) is None


def test_a_trial_that_never_comes_back_does_not_keep_it_shut() -> None:
    breaker = Breaker()
    fail(breaker, 5, cases=3)
    later = NOW + PAUSE_FIRST
    assert breaker.waits_until(later) is None
    assert breaker.waits_until(later + TRIAL_MAX) is None


def test_the_pause_has_an_end() -> None:
    breaker = Breaker()
    now = NOW
    fail(breaker, 5, cases=3)
    for _ in range(10):
        now += timedelta(hours=1)
        assert breaker.waits_until(now) is None
        breaker.note(is_answered=False, subject="C1", now=now)
    assert breaker.waits_until(now) == now + PAUSE_LONGEST
