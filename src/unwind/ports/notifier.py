"""Whoever carries a message to a buyer, merchant, warehouse or agent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from unwind.domain.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageCall:
    message_id: str
    audience: str
    """buyer, merchant, warehouse or agent."""
    channel: str
    """inbox, sms, webhook ..."""
    address: str
    """Phone or address of the channel; opened only for this call, never stored or logged by an adapter."""
    template: str
    text: str
    params: Mapping[str, str | int]


class Notifier(Protocol):
    resend_is_safe: bool
    """True when the channel removes repeats of one `message_id`; otherwise doubt goes to a person."""

    async def send(self, call: MessageCall) -> Outcome: ...
