"""What an outside party tells us unasked. It only wakes a case; nothing in it is believed before our own query agrees (I11)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class CallbackUnverified(Exception):
    """The signature, age or shape is wrong. The message names the kind of fault, nothing of the content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A callback as it arrived, untouched."""

    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    query: str = ""
    """As it was sent, without the question mark."""
    tail: str = ""
    """What follows the connection in the path: a secret, where a provider does not sign."""
    peer: str = ""
    """Address of the sender."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    event_id: str
    kind: str
    """`refund.*`, `trade.paid`, `hold.*` (by `request_id` or `outbound_no`), `recall.*`, `parcel.moved`, or `nothing` for a genuine call that tells nothing."""
    data: Mapping[str, str | int]
    """Numbers and codes: trade_no, refund_no, request_id, waybill_no, stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackAnswer:
    """How a provider wants to hear that its callback was taken."""

    status: int = 204
    body: bytes = b""
    media_type: str = "text/plain"


class CallbackVerifier(Protocol):
    accepted: CallbackAnswer
    """Said after the news are stored, for repeats too. Whatever is not taken is answered with a problem, which no provider takes for a yes."""

    def verify(self, incoming: Incoming) -> tuple[News, ...]:
        """Checks the raw bytes before parsing anything. Raises CallbackUnverified."""
        ...
