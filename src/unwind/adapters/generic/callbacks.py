"""Callbacks of the generic contract: genuine, fresh and well-formed, or refused. What they say is believed only after a query."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from unwind.adapters.fields import (
    Malformed,
    parse_object,
    read_amount,
    read_currency,
    read_instant,
    read_object,
    read_place,
    read_text,
)
from unwind.adapters.generic.signing import SignatureInvalid, verify_headers
from unwind.ports.callback import CallbackAnswer, CallbackUnverified, Incoming, News

BODY_BYTES_MAX = 64_000

_REFUND = ("trade_no", "refund_no", "amount_minor", "currency", "status")
_HOLD = ("request_id", "outbound_no", "stage")
_RECALL = ("request_id", "waybill_no", "stage", "return_waybill_no")
FIELDS: Mapping[str, tuple[str, ...]] = {
    "refund.succeeded": _REFUND,
    "refund.closed": _REFUND,
    "refund.abnormal": _REFUND,
    "refund.reversed": _REFUND,
    "trade.paid": ("trade_no", "amount_minor", "currency"),
    "hold.cancelled": _HOLD,
    "hold.rejected": _HOLD,
    "recall.returning": _RECALL,
    "recall.returned": _RECALL,
    "recall.failed": _RECALL,
    "recall.delivered": _RECALL,
    "parcel.moved": ("waybill_no", "stage", "at", "place"),
}
OPTIONAL = frozenset({"return_waybill_no", "place"})


class CallbackRefused(Exception):
    """`code`: sign_error, expired, too_large, malformed or unknown_type. Carries nothing of the body."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackEvent:
    """A genuine event. `data` holds exactly the contract's fields of its type: texts, and `amount_minor` as an integer.

    `event_id` is the same in every repetition; `nonce` is not, and is for the caller to refuse when seen before.
    """

    event_id: str
    type: str
    data: Mapping[str, str | int]
    created_at: datetime
    nonce: str


class SignedCallbacks:
    """Implements ports.callback.CallbackVerifier. `secrets`: the present one, and its predecessor while both are valid."""

    accepted = CallbackAnswer(status=204)

    def __init__(self, secrets: Sequence[str], clock: Callable[[], float]) -> None:
        self._secrets = tuple(secrets)
        self._clock = clock

    def verify(self, incoming: Incoming) -> tuple[News, ...]:
        try:
            event = verify_callback(self._secrets, incoming.headers, incoming.body, self._clock())
        except CallbackRefused as error:
            raise CallbackUnverified(error.code) from None
        return (News(event_id=event.event_id, kind=event.type, data=event.data),)


def verify_callback(secrets: Sequence[str], headers: Mapping[str, str], raw_body: bytes, now: float) -> CallbackEvent:
    """`now`: Unix seconds. The signature is checked on the raw bytes before anything is parsed."""
    if len(raw_body) > BODY_BYTES_MAX:
        raise CallbackRefused("too_large")
    try:
        nonce = verify_headers(secrets, headers, raw_body, now=now)
    except SignatureInvalid as invalid:
        raise CallbackRefused("expired" if invalid.reason == "expired" else "sign_error") from None
    try:
        return _read_event(parse_object(raw_body), nonce)
    except Malformed:
        raise CallbackRefused("malformed") from None


def _read_event(body: Mapping[str, Any] | None, nonce: str) -> CallbackEvent:
    if body is None:
        raise Malformed("body")
    event_type = read_text(body, "type")
    if event_type not in FIELDS:
        raise CallbackRefused("unknown_type")
    data = read_object(body, "data")
    created_at = read_instant(body, "created_at")
    if created_at is None:
        raise Malformed("created_at")
    return CallbackEvent(
        event_id=read_text(body, "event_id"),
        type=event_type,
        data=MappingProxyType({name: _read_field(data, name) for name in FIELDS[event_type]}),
        created_at=created_at,
        nonce=nonce,
    )


def _read_field(data: Mapping[str, Any], name: str) -> str | int:
    match name:
        case "amount_minor":
            return read_amount(data, name, least_minor=1)
        case "currency":
            return read_currency(data, name)
        case "at":
            at = read_instant(data, name)
            if at is None:
                raise Malformed(name)
            return at.isoformat()
        case "place":
            return read_place(data)
        case _:
            return read_text(data, name, required=name not in OPTIONAL)
