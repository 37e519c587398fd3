"""Pauses are intervals; what they take away is derived, and agrees with an oracle that walks minute by minute."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.test_working_time import MINUTE, OFFICE, is_worked
from unwind.domain.calendar import ALWAYS, Calendar
from unwind.domain.clocks import Pause, add_unpaused_time, resolve_clock, respond_clock, unpaused_time
from unwind.domain.timetable import Targets

START = datetime(2026, 9, 30, 8, 0, tzinfo=UTC)
"""16:00 in Shanghai, the day before the holiday."""


def pause(began: int, ended: int | None) -> Pause:
    return Pause(
        began_at=START + began * MINUTE, ended_at=None if ended is None else START + max(began, ended) * MINUTE
    )


minutes = st.integers(-300, 2000)
pauses = st.lists(st.builds(pause, minutes, st.one_of(st.none(), minutes)), max_size=5)
calendars = st.sampled_from([ALWAYS, OFFICE, Calendar(time_zone="America/New_York", week=(((0, 60), (90, 600)),) * 7)])


def counts(calendar: Calendar, moment: datetime, held: list[Pause]) -> bool:
    is_paused = any(p.began_at <= moment and (p.ended_at is None or moment < p.ended_at) for p in held)
    return is_worked(calendar, moment) and not is_paused


@given(calendars, pauses, st.integers(0, 3000))
@settings(max_examples=300, deadline=None)
def test_what_counts_is_worked_and_not_paused(calendar: Calendar, held: list[Pause], until: int) -> None:
    expected = sum(counts(calendar, START + n * MINUTE, held) for n in range(until))
    assert unpaused_time(calendar, START, START + until * MINUTE, held) == expected * MINUTE


@given(calendars, pauses, st.integers(1, 600))
@settings(max_examples=300, deadline=None)
def test_the_due_time_is_when_so_much_has_counted(calendar: Calendar, held: list[Pause], target: int) -> None:
    due = add_unpaused_time(calendar, START, target * MINUTE, held)
    if due is None:
        opened = max(START, min(p.began_at for p in held if p.ended_at is None))
        assert unpaused_time(calendar, START, opened, held) < target * MINUTE, "the open pause came first"
    else:
        assert unpaused_time(calendar, START, due, held) == target * MINUTE
        assert counts(calendar, due - MINUTE, held), "it ends in a minute that counts"


@given(calendars, pauses, st.integers(1, 600), st.integers(0, 2500))
@settings(max_examples=200, deadline=None)
def test_a_finished_pause_only_ever_adds(calendar: Calendar, held: list[Pause], target: int, began: int) -> None:
    """Later changes of calendar or policy never lose time that was paused before."""
    due = add_unpaused_time(calendar, START, target * MINUTE, held)
    later = add_unpaused_time(calendar, START, target * MINUTE, [*held, pause(began, began + 77)])
    assert (due is None and later is None) or (due is not None and (later is None or later >= due))


def test_a_paused_clock_has_no_due_time_and_a_late_one_stays_late() -> None:
    paused = resolve_clock(started_at=START, pauses=[pause(5, None)])
    assert (paused.half_at, paused.again_at, paused.due_at) == (None, None, None)
    late = resolve_clock(started_at=START, pauses=[pause(1500, None)])
    assert late.due_at == START + timedelta(hours=24)


@pytest.mark.parametrize("is_urgent", [False, True])
@pytest.mark.parametrize("warn", [1, 2])
def test_the_ladder_of_the_respond_clock_is_in_order(*, is_urgent: bool, warn: int) -> None:
    targets = Targets(respond_warn=warn * 7, respond_due=15, urgent_warn=warn, urgent_due=3)
    clock = respond_clock(opened_at=START, is_urgent=is_urgent, calendar=OFFICE, targets=targets)
    assert START < clock.half_at <= clock.warn_at <= clock.again_at < clock.due_at


def test_the_default_ladder() -> None:
    calm = respond_clock(opened_at=START, is_urgent=False)
    at = [(moment - START).total_seconds() / 60 for moment in (calm.half_at, calm.warn_at, calm.again_at, calm.due_at)]
    assert at == [7.5, 10, 12, 15]
    urgent = respond_clock(opened_at=START, is_urgent=True)
    at = [
        (moment - START).total_seconds() / 60
        for moment in (urgent.half_at, urgent.warn_at, urgent.again_at, urgent.due_at)
    ]
    assert at == [1.5, 2, 2.4, 3]
