"""Promotions (大促): what holds differently for a while, and for whom. Begins and ends by itself.

Where several hold at once they are read field by field: the platform's word before that of a shop connection, and that before the
merchant's own; of the same level the one that began later.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from unwind.domain.calendar import Calendar
from unwind.domain.timetable import Targets

LONGEST = timedelta(days=62)


class Level(StrEnum):
    """Whose word it is, the weightiest first."""

    PLATFORM = "platform"
    SHOP = "shop"
    """Everybody who sells over one shop connection."""
    MERCHANT = "merchant"


WEIGHT = tuple(Level)
NO_LIMITS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """None and empty: as always."""

    window_minutes: int | None = None
    """Cancellable until this long before planned dispatch."""
    automatic_limit_minor: int | None = None
    """May only be lower than the program's own (`guards.py`)."""
    limits: Mapping[str, int] = field(default_factory=lambda: NO_LIMITS)
    targets: Targets | None = None
    calendar: Calendar | None = None
    arrival: tuple[str, str] | None = None
    """When money arrives, in Chinese and English."""
    dispatch_hours: int | None = None
    """Promised for orders placed while it holds, where the shop itself names no moment."""


FIELDS = ("window_minutes", "automatic_limit_minor", "targets", "calendar", "arrival", "dispatch_hours")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay(Changes):
    """What holds at one moment for one merchant."""

    promotions: tuple[str, ...] = ()
    """That have a say, the weightiest first."""

    def stored(self) -> dict[str, Any]:
        """For the case: which ones, and the values it was screened by."""
        if not self.promotions:
            return {}
        told = {
            "window_minutes": self.window_minutes,
            "automatic_limit_minor": self.automatic_limit_minor,
            "limits": dict(self.limits) or None,
            "dispatch_hours": self.dispatch_hours,
        }
        return {
            "promotions": list(self.promotions),
            **{name: value for name, value in told.items() if value is not None},
        }


NOTHING = Overlay()


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    promotion_id: str
    level: Level
    from_at: datetime
    to_at: datetime
    changes: Changes
    merchants: frozenset[str] | None
    """None: all."""

    def holds(self, merchant_id: str, at: datetime) -> bool:
        return self.from_at <= at < self.to_at and (self.merchants is None or merchant_id in self.merchants)


def overlay_at(promotions: Iterable[Promotion], *, merchant_id: str, at: datetime) -> Overlay:
    held = [one for one in promotions if one.holds(merchant_id, at)]
    if not held:
        return NOTHING
    held.sort(key=lambda one: (one.from_at, one.promotion_id), reverse=True)
    held.sort(key=lambda one: WEIGHT.index(one.level))
    found: dict[str, Any] = {}
    for name in FIELDS:
        found[name] = next((value for one in held if (value := getattr(one.changes, name)) is not None), None)
    limits: dict[str, int] = {}
    for one in reversed(held):
        limits |= one.changes.limits
    return Overlay(promotions=tuple(one.promotion_id for one in held), limits=limits, **found)
