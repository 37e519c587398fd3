"""The forecast of what leaves a payment connection: by hand, for a week that was written down."""

from unwind.domain.channel_balance import expected_in_hour, look_ahead

WEEK = 24 * 7


def test_each_hour_is_expected_to_be_as_the_same_hour_of_the_last_seven_days() -> None:
    """One hour from now was 23 hours ago yesterday, 47 the day before."""
    outflow = {22: 700, 46: 700, 23: 70, 167: 7}
    assert expected_in_hour(outflow, 1) == 200
    assert expected_in_hour(outflow, 0) == 11, "77 over seven days"
    assert expected_in_hour(outflow, 2) == 0
    assert expected_in_hour(outflow, 25) == 200, "the day after tomorrow as tomorrow"


def test_what_does_not_divide_is_rounded_up() -> None:
    assert expected_in_hour({23: 1}, 0) == 1
    assert expected_in_hour({23: 8}, 0) == 2


def test_what_is_older_than_a_week_says_nothing() -> None:
    assert sum(expected_in_hour({WEEK: 700}, hour) for hour in range(24)) == 0


def test_when_it_runs_short_and_by_how_much() -> None:
    outflow = dict.fromkeys(range(WEEK), 70)
    seen = look_ahead(outflow, hours=24, available_minor=1000, owed_minor=300)
    assert (seen.expected_minor, seen.shortfall_minor, seen.short_in_h) == (24 * 70, 300 + 24 * 70 - 1000, 11)
    enough = look_ahead(outflow, hours=24, available_minor=1980, owed_minor=300)
    assert (enough.shortfall_minor, enough.short_in_h) == (0, None), "to the last minor unit"
    longer = look_ahead(outflow, hours=72, available_minor=1980, owed_minor=300)
    assert (longer.shortfall_minor, longer.short_in_h) == (72 * 70 - 1680, 25)


def test_short_already_and_unknown() -> None:
    now = look_ahead({}, hours=24, available_minor=100, owed_minor=101)
    assert (now.shortfall_minor, now.short_in_h) == (1, 0)
    unknown = look_ahead({5: 700}, hours=24, available_minor=None, owed_minor=10**9)
    assert (unknown.expected_minor, unknown.shortfall_minor, unknown.short_in_h) == (100, 0, None)
