"""What an agent promises a buyer, and when somebody is reminded of it. Promised in the buyer's time, so by the plain clock."""

from datetime import datetime, timedelta
from enum import StrEnum

WARN_PERCENT = 80
SOONEST, LATEST = timedelta(seconds=30), timedelta(days=14)


class PromiseKind(StrEnum):
    TWO_MINUTES = "two_minutes"
    """请稍等两分钟"""
    CALL_BACK = "call_back"
    NEWS = "news"
    """The agent will find out and tell."""


TWO_MINUTES = timedelta(minutes=2)


def warned_at(*, made_at: datetime, due_at: datetime) -> datetime:
    """While there is still a fifth of the time left to keep it."""
    return made_at + (due_at - made_at) * WARN_PERCENT / 100
