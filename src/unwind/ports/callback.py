"""What an outside party tells us unasked. It only wakes a case; nothing in it is believed before our own query agrees (I11)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class CallbackUnverified(Exception):
    """The signature, age or shape is wrong. The message names the kind of fault, nothing of the content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    event_id: str
    kind: str
    """`refund.*`, `trade.paid`, `hold.*`, `recall.*`, `parcel.moved` ..."""
    data: Mapping[str, str | int]
    """Numbers and codes: trade_no, refund_no, request_id, waybill_no, stage."""


class CallbackVerifier(Protocol):
    def verify(self, headers: Mapping[str, str], raw_body: bytes) -> News:
        """Checks the raw bytes before parsing anything. Raises CallbackUnverified."""
        ...
