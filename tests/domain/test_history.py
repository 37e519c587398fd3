"""The chain of a case: each link covers the one before, and any change is found at its place. Numbers are for ever."""

import re
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.domain.building import NOW
from unwind.domain.errors import InvariantBroken
from unwind.domain.history import History, first_break
from unwind.domain.refund_number import refund_number, request_number
from unwind.domain.seal import GENESIS, anchor_signature, commit_to
from unwind.domain.transitions import Event, State

STORY = (Event.RECEIVED, Event.SCREENED_AUTO, Event.LEG_CLAIMED, Event.PERFORMED, Event.SETTLED, Event.TOLD)


def told() -> list[dict[str, Any]]:
    """As the rows are read back: hashes are bytes."""
    history = History(case_id="C1", at=NOW)
    for event in STORY:
        history.add(
            event, actor="system:unwind", data={"leg": 1, "中文": "原路"} if event is Event.LEG_CLAIMED else None
        )
    assert (history.state, history.seq) == (State.ARCHIVED, len(STORY))
    rows = [{**event, "hash": bytes.fromhex(str(event["hash"]))} for event in history.events]
    assert rows[-1]["hash"] == history.head
    return rows


def test_a_told_story_is_unbroken() -> None:
    assert first_break("C1", told()) is None
    assert first_break("C1", []) is None


def test_a_history_refuses_a_move_that_does_not_exist() -> None:
    history = History(case_id="C1", at=NOW)
    with pytest.raises(InvariantBroken):
        history.add(Event.TOLD, actor="x")
    assert (history.events, history.head, history.seq) == ([], GENESIS, 0)


def test_a_story_can_be_continued_from_where_it_stands() -> None:
    whole = told()
    start = whole[2]
    rest = History(case_id="C1", at=NOW, state=State.EXECUTING, seq=start["seq"], head=start["hash"])
    for event in STORY[3:]:
        rest.add(event, actor="system:unwind")
    assert [event["hash"] for event in rest.events] == [event["hash"].hex() for event in whole[3:]]


@pytest.mark.parametrize("place", range(len(STORY)))
@pytest.mark.parametrize(
    "change",
    [
        {"at": NOW + timedelta(microseconds=1)},
        {"from_state": "review"},
        {"event": "woken"},
        {"to_state": "new"},
        {"actor": "agent:a1"},
        {"data": {"leg": 2}},
        {"hash": bytes(32)},
        {"seq": 99},
    ],
    ids=lambda change: next(iter(change)),
)
def test_any_change_is_found_at_its_place(place: int, change: dict[str, Any]) -> None:
    events = told()
    events[place] = {**events[place], **change}
    assert first_break("C1", events) == place + 1


@settings(deadline=None, max_examples=200)
@given(place=st.integers(0, len(STORY) - 1), byte=st.integers(0, 31), bit=st.integers(0, 7))
def test_any_changed_bit_of_any_hash_is_found(place: int, byte: int, bit: int) -> None:
    events = told()
    changed = bytearray(events[place]["hash"])
    changed[byte] ^= 1 << bit
    events[place]["hash"] = bytes(changed)
    assert first_break("C1", events) == place + 1


@pytest.mark.parametrize("place", range(len(STORY) - 1))
def test_an_event_that_is_gone_or_has_changed_places_is_found(place: int) -> None:
    events = told()
    assert first_break("C1", events[:place] + events[place + 1 :]) == place + 1
    events[place], events[place + 1] = events[place + 1], events[place]
    assert first_break("C1", events) == place + 1


def test_a_story_belongs_to_its_case() -> None:
    assert first_break("C2", told()) == 1


def test_the_moment_counts_and_not_the_zone_it_is_written_in() -> None:
    events = [{**event, "at": event["at"].astimezone(timezone(timedelta(hours=8)))} for event in told()]
    assert first_break("C1", events) is None


def test_a_commitment_needs_the_key() -> None:
    assert commit_to("地址", key=b"k1") == commit_to("地址", key=b"k1")
    assert len({commit_to(text, key=key) for text in ("地址", "电话") for key in (b"k1", b"k2")}) == 4


def test_a_signature_covers_the_batch_before_it() -> None:
    first = anchor_signature(GENESIS, b"heads", key=b"k")
    others = {
        anchor_signature(first, b"heads", key=b"k"),
        anchor_signature(GENESIS, b"other", key=b"k"),
        anchor_signature(GENESIS, b"heads", key=b"other"),
    }
    assert first == anchor_signature(GENESIS, b"heads", key=b"k")
    assert len(others | {first}) == 4


@settings(deadline=None)
@given(connection=st.text(max_size=20), trade_no=st.text(max_size=40), n=st.integers(1, 10**6))
def test_a_refund_number_is_thirty_characters_that_every_provider_takes(connection: str, trade_no: str, n: int) -> None:
    number = refund_number(connection=connection, trade_no=trade_no, n=n)
    assert re.fullmatch(r"[A-Z2-7]{30}", number)
    assert number == refund_number(connection=connection, trade_no=trade_no, n=n)
    assert number != refund_number(connection=connection, trade_no=trade_no, n=n + 1)


def test_numbers_differ_by_connection_trade_and_n_and_stay_what_they_are() -> None:
    numbers = {
        refund_number(connection=connection, trade_no=trade_no, n=n)
        for connection in ("wxpay", "alipay")
        for trade_no in ("T1", "T11")
        for n in (1, 2, 11)
    }
    assert len(numbers) == 12
    assert refund_number(connection="wxpay", trade_no="T1", n=1) == "SGBD4VIYSNE3AOSACARX5MGEXPETAJ"
    assert request_number("C1", 1, "hold_shipment") != request_number("C1", 2, "hold_shipment")
    assert re.fullmatch(r"[A-Z2-7]{30}", request_number("C1", 1, "hold_shipment"))
