"""When a merchant is open."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo


def is_open(at: datetime, *, time_zone: str, hours: Sequence[tuple[int, int]]) -> bool:
    """Whether the merchant works at this moment. Windows are minutes of the local day; none means always."""
    if not hours:
        return True
    local = at.astimezone(ZoneInfo(time_zone))
    minute = local.hour * 60 + local.minute
    return any(opens <= minute < closes for opens, closes in hours)


def next_opening(at: datetime, *, time_zone: str, hours: Sequence[tuple[int, int]]) -> datetime:
    """The moment itself when open, else the start of the next window."""
    if is_open(at, time_zone=time_zone, hours=hours):
        return at
    local = at.astimezone(ZoneInfo(time_zone))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    starts = [midnight + timedelta(days=day, minutes=opens) for day in (0, 1) for opens, _ in hours]
    return min(start for start in starts if start > local).astimezone(at.tzinfo)
