"""What a parcel's route says, and how old that is. A late feed is not a lost parcel."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

STUCK_AFTER = timedelta(hours=48)
FEED_LATE_AFTER = timedelta(hours=12)
LOST_AFTER = timedelta(days=10)


class Verdict(StrEnum):
    MOVING = "moving"
    FEED_LATE = "feed_late"
    """The carrier sent its news long after the event, or has sent none for a while although the parcel moved on."""
    STUCK = "stuck"
    LOST = "lost"
    NO_NEWS = "no_news"


def judge(events: Sequence[tuple[datetime, str]], *, fed_at: datetime | None, now: datetime) -> Verdict:
    """`events`: (when it happened, stage), oldest first. `fed_at`: when the newest of them reached anybody."""
    if not events:
        return Verdict.NO_NEWS
    moved_at = events[-1][0]
    if fed_at is not None and fed_at - moved_at >= FEED_LATE_AFTER:
        return Verdict.FEED_LATE
    silent = now - moved_at
    if silent >= LOST_AFTER:
        return Verdict.LOST
    return Verdict.STUCK if silent >= STUCK_AFTER else Verdict.MOVING
