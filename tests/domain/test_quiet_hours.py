"""Telephones at night: in the merchant's own time, across midnight, and never for an answer that is awaited."""

from datetime import UTC, datetime, timedelta

import pytest

from unwind.domain.quiet_hours import quiet_until

NIGHT = {"time_zone": "Asia/Shanghai", "quiet_from": 22 * 60, "quiet_to": 8 * 60, "last_contact_at": None}


def at(hour: int, minute: int = 0) -> datetime:
    """That time of the 24th in Shanghai, as UTC."""
    return datetime(2026, 11, 24, hour, minute, tzinfo=UTC) - timedelta(hours=8)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (at(21, 59), None),
        (at(22), at(8) + timedelta(days=1)),
        (at(23, 30), at(8) + timedelta(days=1)),
        (at(0, 1), at(8)),
        (at(7, 59), at(8)),
        (at(8), None),
        (at(12), None),
    ],
)
def test_night_of_shanghai(now: datetime, until: datetime | None) -> None:
    assert quiet_until(now, **NIGHT) == until


def test_a_window_within_the_day() -> None:
    noon = {**NIGHT, "quiet_from": 12 * 60, "quiet_to": 13 * 60 + 30}
    assert quiet_until(at(12, 10), **noon) == at(13, 30)
    assert quiet_until(at(13, 30), **noon) is None


def test_whoever_has_just_called_is_answered() -> None:
    assert quiet_until(at(23), **{**NIGHT, "last_contact_at": at(22, 45)}) is None
    assert quiet_until(at(23), **{**NIGHT, "last_contact_at": at(22, 30)}) is not None


@pytest.mark.parametrize("none", ["quiet_from", "quiet_to"])
def test_a_merchant_without_quiet_hours(none: str) -> None:
    assert quiet_until(at(3), **{**NIGHT, none: None}) is None
