"""When a buyer's telephone is left alone. Minutes of the merchant's day; a window may cross midnight."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

ANSWERED_AT_ONCE = timedelta(minutes=30)
"""Whoever has just written or called is awake: an answer within this time may ring."""
RINGING = frozenset({"sms", "wechat"})
"""Channels that make a sound at the buyer's; an inbox and a mailbox wait by themselves."""


def quiet_until(
    now: datetime, *, time_zone: str, quiet_from: int | None, quiet_to: int | None, last_contact_at: datetime | None
) -> datetime | None:
    """None: it may ring now. Otherwise when it may, in UTC."""
    if quiet_from is None or quiet_to is None or quiet_from == quiet_to:
        return None
    if last_contact_at is not None and now - last_contact_at < ANSWERED_AT_ONCE:
        return None
    local = now.astimezone(ZoneInfo(time_zone))
    minute = local.hour * 60 + local.minute
    crosses_midnight = quiet_from > quiet_to
    is_quiet = minute >= quiet_from or minute < quiet_to if crosses_midnight else quiet_from <= minute < quiet_to
    if not is_quiet:
        return None
    day = local.date() + timedelta(days=1 if crosses_midnight and minute >= quiet_from else 0)
    ends = datetime(day.year, day.month, day.day, quiet_to // 60, quiet_to % 60, tzinfo=local.tzinfo)
    return ends.astimezone(now.tzinfo)
