"""Which moves exist: of a case, of units, of a parcel's stage. Everything that is not named is refused."""

from itertools import product

import pytest

from unwind.domain.case import Verdict
from unwind.domain.errors import InvariantBroken, Refusal, ensure, require
from unwind.domain.guards import AUTOMATIC_LIMIT_MINOR, guard
from unwind.domain.order import PaymentState
from unwind.domain.stage import COMING_BACK, IN_THE_HOUSE, ON_THE_WAY, PACKED_OR_LATER, Stage, effective_stage
from unwind.domain.stock import ALLOWED_MOVES, Bucket, move_units
from unwind.domain.transitions import OPEN_STATES, TABLE, Event, State, next_state


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_pair_of_state_and_event(state: State, event: Event) -> None:
    if (state, event) in TABLE:
        assert next_state(state, event) is TABLE[state, event]
    else:
        with pytest.raises(InvariantBroken, match=event.value):
            next_state(state, event)


def test_the_shape_of_the_table() -> None:
    """A sealed case never moves; every open state can be reached and can be left; a fact changes no state."""
    assert not [pair for pair in TABLE if pair[0] is State.ARCHIVED]
    assert [event for state, event in TABLE if state is State.NEW] == [Event.RECEIVED]
    assert State.NEW not in TABLE.values()
    reached = {State.NEW}
    while more := {TABLE[pair] for pair in TABLE if pair[0] in reached} - reached:
        reached |= more
    assert reached == set(State)
    for state in OPEN_STATES:
        assert any(TABLE[pair] is not state for pair in TABLE if pair[0] is state), f"{state} is a dead end"
    for fact in (Event.LEG_CLAIMED, Event.LEG_RECORDED, Event.MESSAGE_RECORDED, Event.WOKEN, Event.ORDER_CHANGED):
        assert {TABLE.get((state, fact)) for state in OPEN_STATES} == set(OPEN_STATES)
        assert (State.ARCHIVED, fact) not in TABLE


@pytest.mark.parametrize(("source", "target"), list(product(Bucket, Bucket)))
def test_every_pair_of_buckets(source: Bucket, target: Bucket) -> None:
    before = dict.fromkeys(Bucket, 2)
    if (source, target) in ALLOWED_MOVES:
        after = move_units(before, source, target, 2)
        assert (after[source], after[target]) == (0, 4)
        assert sum(after.values()) == sum(before.values())
        assert before == dict.fromkeys(Bucket, 2), "the given buckets are not touched"
    else:
        with pytest.raises(InvariantBroken, match="stock does not move"):
            move_units(before, source, target, 1)


@pytest.mark.parametrize("units", [-1, 0, 3])
def test_no_bucket_gives_what_it_does_not_hold(units: int) -> None:
    with pytest.raises(InvariantBroken, match="does not hold"):
        move_units({Bucket.RESERVED: 2}, Bucket.RESERVED, Bucket.HELD, units)
    with pytest.raises(InvariantBroken, match="does not hold"):
        move_units({}, Bucket.RESERVED, Bucket.HELD, 1)
    assert move_units({Bucket.RESERVED: 2}, Bucket.RESERVED, Bucket.HELD, 2)[Bucket.HELD] == 2


def test_nothing_comes_back_from_restocked_or_lost_and_what_was_delivered_only_into_quarantine() -> None:
    assert not {source for source, _ in ALLOWED_MOVES} & {Bucket.RESTOCKED, Bucket.LOST}
    assert {target for source, target in ALLOWED_MOVES if source is Bucket.DELIVERED} == {Bucket.QUARANTINE}


@pytest.mark.parametrize("stage", list(Stage))
def test_a_parcel_that_no_courier_has_scanned_is_a_printed_label(stage: Stage) -> None:
    assert effective_stage(reported=stage, is_picked_up=True) is stage
    expected = Stage.LABEL_PRINTED if stage in ON_THE_WAY else stage
    assert effective_stage(reported=stage, is_picked_up=False) is expected


def test_the_groups_of_stages_do_not_overlap() -> None:
    groups = (IN_THE_HOUSE, ON_THE_WAY, COMING_BACK, {Stage.DELIVERED}, {Stage.LOST}, {Stage.UNKNOWN})
    assert sum(len(group) for group in groups) == len(Stage)
    assert set().union(*groups) == set(Stage)
    assert Stage.PACKED in PACKED_OR_LATER
    assert Stage.PICKING not in PACKED_OR_LATER


def guarded(**given: object) -> tuple[Verdict, str]:
    facts = {
        "verdict": Verdict.AUTO,
        "stage": Stage.NONE,
        "payment_state": PaymentState.CAPTURED,
        "returned_minor": AUTOMATIC_LIMIT_MINOR,
        "money_is_consistent": True,
    }
    found = guard(**{**facts, **given})  # type: ignore[arg-type]
    return found.verdict, found.rule


@pytest.mark.parametrize("stage", list(Stage))
def test_only_goods_in_the_house_are_automatic(stage: Stage) -> None:
    if stage in IN_THE_HOUSE:
        assert guarded(stage=stage) == (Verdict.AUTO, "")
    else:
        rule = "guard_stage_unknown" if stage is Stage.UNKNOWN else "guard_goods_have_left"
        assert guarded(stage=stage) == (Verdict.REVIEW, rule)


def test_money_that_is_too_much_or_does_not_fit_is_never_automatic() -> None:
    assert guarded(returned_minor=AUTOMATIC_LIMIT_MINOR) == (Verdict.AUTO, "")
    assert guarded(returned_minor=AUTOMATIC_LIMIT_MINOR + 1) == (Verdict.REVIEW, "guard_over_limit")
    assert guarded(money_is_consistent=False) == (Verdict.REVIEW, "policy_incomplete")
    assert guarded(payment_state=PaymentState.UNKNOWN) == (Verdict.REVIEW, "policy_incomplete")


@pytest.mark.parametrize("verdict", [Verdict.REVIEW, Verdict.DECLINE])
def test_a_guard_only_ever_stops_the_machine(verdict: Verdict) -> None:
    worst = {"stage": Stage.UNKNOWN, "returned_minor": 10**9, "money_is_consistent": False}
    assert guarded(verdict=verdict, **worst) == (verdict, "")


def test_refusals_carry_a_code_and_facts() -> None:
    require(True, "fine")
    ensure(True, "fine")
    with pytest.raises(Refusal) as refused:
        require(False, "quantity_too_large", line="L1", free=2)
    assert (refused.value.code, refused.value.facts) == ("quantity_too_large", {"line": "L1", "free": 2})
    assert str(refused.value) == "quantity_too_large"
    with pytest.raises(InvariantBroken, match="never"):
        ensure(False, "never")
