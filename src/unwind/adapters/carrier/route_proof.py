"""What a route proves about a recall, for carriers that cannot be asked about the recall itself; and how routes are put together."""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.domain.personal import is_personal
from unwind.domain.stage import Stage
from unwind.ports.carrier import ParcelCall, RouteEvent, Tracking

BEIJING = ZoneInfo("Asia/Shanghai")
EVENTS_MAX = 1000
PLACE_LENGTH_MAX = 64
ORDER = {stage.value: place for place, stage in enumerate(Stage)}
"""Carriers write whole seconds and promise no order: what happened in the same second goes the way parcels go."""
NUMBER = re.compile(r"[A-Z]{0,4}[0-9]{10,18}")


def recall_of_route(route: Tracking | Outcome, call: ParcelCall) -> Outcome:
    """On its way back: done. Delivered or lost: failed. Neither: still under way if it was accepted, else it may be sent (again)."""
    if isinstance(route, Outcome):
        if route.kind is OutcomeKind.NOT_FOUND and call.is_accepted:
            return Outcome(kind=OutcomeKind.PROCESSING, code="no_route_yet")
        return route
    stages = [Stage(event.stage) for event in route.events]
    returning = next((stage for stage in reversed(stages) if stage in {Stage.RETURNING, Stage.RETURNED}), None)
    if returning is not None:
        evidence = {"stage": returning.value, "return_waybill_no": route.return_waybill_no}
        return Outcome(kind=OutcomeKind.SUCCEEDED, code="route", evidence=evidence)
    last = stages[-1] if stages else Stage.HANDED_OVER
    if last in {Stage.DELIVERED, Stage.LOST}:
        return Outcome(kind=OutcomeKind.REFUSED, code="route", evidence={"stage": last.value})
    kind = OutcomeKind.PROCESSING if call.is_accepted else OutcomeKind.NOT_FOUND
    return Outcome(kind=kind, code="route", evidence={"stage": last.value})


def tracking_of(waybill_no: str, events: Iterable[RouteEvent], *, return_waybill_no: str = "") -> Tracking:
    """Oldest first. None of these carriers says when its news were passed on; when they reached us is for the flow to know."""
    route = tuple(sorted(events, key=lambda event: (event.at, ORDER[event.stage])))[-EVENTS_MAX:]
    return Tracking(
        waybill_no=waybill_no,
        events=route,
        fed_at=None,
        return_waybill_no=return_waybill_no,
    )


def route_event(at: datetime, stage: Stage, place: object = "") -> RouteEvent:
    """A place is a facility or city; anything that is no short printable text, or names a courier's telephone, is left out."""
    text = place if isinstance(place, str) and place.isprintable() and not is_personal(place) else ""
    return RouteEvent(at=at, stage=stage.value, place=text[:PLACE_LENGTH_MAX])


def beijing_time(text: object) -> datetime | None:
    """`yyyy-MM-dd HH:mm:ss` in Beijing -> UTC; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.strptime(text[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING).astimezone(UTC)
    except ValueError:
        return None


def timed_rows(
    rows: Iterable[Any], name: str, read_time: Callable[[object], datetime | None] = beijing_time
) -> Iterator[tuple[datetime, dict[str, Any]]]:
    """The rows of a carrier's route that say in this field when they happened; others are left out."""
    for row in rows:
        at = read_time(row.get(name)) if isinstance(row, dict) else None
        if at is not None:
            yield at, row


def new_waybill_in(text: object, *, own: str) -> str:
    """The number of the way back, where a remark names one that is not the parcel's own."""
    if not isinstance(text, str):
        return ""
    return next((found for found in NUMBER.findall(text) if found != own), "")
