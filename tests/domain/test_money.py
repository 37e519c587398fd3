"""Shares of an amount: nothing lost, nothing made, nobody far from what is fair."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from unwind.domain.errors import InvariantBroken
from unwind.domain.money import allocate, format_minor

weights = st.lists(st.integers(0, 10**7), min_size=1, max_size=8)
totals = st.integers(0, 10**9)


@settings(deadline=None)
@given(total=totals, shares=weights)
def test_the_parts_add_up_and_are_the_fair_share_rounded(total: int, shares: list[int]) -> None:
    assume(any(shares))
    parts = allocate(total, shares)
    assert sum(parts) == total
    whole = sum(shares)
    for part, weight in zip(parts, shares, strict=True):
        assert total * weight // whole <= part <= -(-total * weight // whole)
        assert weight > 0 or part == 0, "who bears nothing gets nothing"


@settings(deadline=None)
@given(total=totals, shares=weights)
def test_a_larger_weight_never_gets_less(total: int, shares: list[int]) -> None:
    assume(any(shares))
    parts = allocate(total, shares)
    ranked = sorted(zip(shares, parts, strict=True))
    assert [part for _, part in ranked] == sorted(part for _, part in ranked)


@settings(deadline=None)
@given(shares=weights)
def test_all_of_it_is_each_ones_weight(shares: list[int]) -> None:
    assert allocate(sum(shares), shares) == shares


def test_ties_go_to_the_earlier() -> None:
    assert allocate(1, [1, 1, 1]) == [1, 0, 0]
    assert allocate(5, [1, 1, 1]) == [2, 2, 1]
    assert allocate(100, [1, 2]) == [33, 67]


def test_nothing_to_share_needs_nobody_and_something_needs_somebody() -> None:
    assert allocate(0, [0, 0]) == [0, 0]
    assert allocate(0, []) == []
    for total, shares in ((1, [0, 0]), (1, []), (-1, [1]), (1, [2, -1])):
        with pytest.raises(InvariantBroken):
            allocate(total, shares)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (0, "CNY", "0.00 CNY"),
        (5, "CNY", "0.05 CNY"),
        (123_456, "USD", "1234.56 USD"),
        (1234, "JPY", "1234 JPY"),
        (7, "KRW", "7 KRW"),
    ],
)
def test_amounts_are_written_with_their_minor_units(amount: int, currency: str, text: str) -> None:
    assert format_minor(amount, currency) == text
