"""Which calendar and which minutes hold for a case: everything that was set, at one version."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from types import MappingProxyType

from unwind.domain.calendar import ALWAYS, Calendar
from unwind.domain.errors import require

MINUTES_MAX = 60 * 24 * 60
"""Two months of working time."""


class Scope(StrEnum):
    """Whom a calendar is for. The narrowest holds: merchant, channel, queue, all."""

    ALL = "all"
    QUEUE = "queue"
    CHANNEL = "channel"
    MERCHANT = "merchant"


class Queue(StrEnum):
    URGENT = "urgent"
    """Perishables, riders, stolen accounts: minutes count."""
    CANCELLATION = "cancellation"
    INQUIRY = "inquiry"
    AFTERMATH = "aftermath"


def queue_of(kind: str, *, is_urgent: bool) -> Queue:
    """`kind`: of the case."""
    return Queue.URGENT if is_urgent else Queue(kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Working minutes of the two clocks."""

    respond_warn: int = 10
    respond_due: int = 15
    urgent_warn: int = 2
    urgent_due: int = 3
    resolve_due: int = 24 * 60


def require_sensible(targets: Targets) -> None:
    for name in (target.name for target in fields(Targets)):
        require(0 < getattr(targets, name) <= MINUTES_MAX, "targets_unsound", field=name)
    require(targets.respond_warn < targets.respond_due, "targets_unsound", field="respond_warn")
    require(targets.urgent_warn < targets.urgent_due, "targets_unsound", field="urgent_warn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    version: int = 0
    calendars: Mapping[tuple[Scope, str], Calendar] = field(default_factory=lambda: MappingProxyType({}))
    """`all` has an empty id."""
    targets: Mapping[str, Targets] = field(default_factory=lambda: MappingProxyType({}))
    """By merchant; empty: every merchant without its own."""

    def calendar_for(self, *, merchant_id: str, channel: str, queue: Queue) -> Calendar:
        narrowest_first = (
            (Scope.MERCHANT, merchant_id),
            (Scope.CHANNEL, channel),
            (Scope.QUEUE, queue.value),
            (Scope.ALL, ""),
        )
        return next((self.calendars[key] for key in narrowest_first if key in self.calendars), ALWAYS)

    def targets_for(self, merchant_id: str) -> Targets:
        return self.targets.get(merchant_id) or self.targets.get("") or Targets()
