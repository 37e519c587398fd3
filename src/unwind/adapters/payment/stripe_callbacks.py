"""Stripe's webhooks: HMAC over `t.body`, at most five minutes old.

Source: docs.stripe.com/webhooks, docs.stripe.com/refunds; `stripe` 16.1 (whose own check is not used: it reads the process clock).
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unwind.adapters.fields import Malformed, parse_object, read_amount, read_object, read_text
from unwind.ports.callback import CallbackAnswer, CallbackUnverified, Incoming, News

BODY_BYTES_MAX = 256_000
TOLERANCE_S = 300
HEADER_PARTS_MAX = 20
METADATA_KEY = "refund_key"
REFUND_EVENTS = frozenset({"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"})
PAID_EVENTS = frozenset({"payment_intent.succeeded", "checkout.session.completed"})
STATUS_NEWS: Mapping[str, str] = {"succeeded": "refund.succeeded", "canceled": "refund.closed"}
_TIMESTAMP_PATTERN = re.compile(r"[0-9]{1,12}")


class StripeWebhooks:
    """Implements ports.callback.CallbackVerifier. `secrets`: the present one, and its predecessor while Stripe rolls it."""

    accepted = CallbackAnswer(status=200)

    def __init__(self, secrets: Sequence[str], clock: Callable[[], float]) -> None:
        self._secrets = tuple(secrets)
        self._clock = clock

    def verify(self, incoming: Incoming) -> tuple[News, ...]:
        if len(incoming.body) > BODY_BYTES_MAX:
            raise CallbackUnverified("too_large")
        verify_signature(self._secrets, incoming.headers.get("stripe-signature", ""), incoming.body, self._clock())
        try:
            return (_read(incoming.body),)
        except Malformed:
            raise CallbackUnverified("malformed") from None


def signature(secret: str, timestamp: str, body: bytes) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def verify_signature(secrets: Sequence[str], header: str, body: bytes, now: float) -> None:
    """`t=...,v1=...[,v1=...]`; other schemes are not looked at. Raises CallbackUnverified."""
    pairs = [part.partition("=")[::2] for part in header.split(",")[:HEADER_PARTS_MAX]]
    timestamps = [value for name, value in pairs if name == "t"]
    given = [value for name, value in pairs if name == "v1" and value.isascii()]
    if len(timestamps) != 1 or not _TIMESTAMP_PATTERN.fullmatch(timestamps[0]) or not given:
        raise CallbackUnverified("missing")
    expected = [signature(secret, timestamps[0], body) for secret in secrets]
    if not any(hmac.compare_digest(one, other) for one in expected for other in given):
        raise CallbackUnverified("wrong")
    if abs(now - int(timestamps[0])) > TOLERANCE_S:
        raise CallbackUnverified("expired")


def _read(raw: bytes) -> News:
    event = parse_object(raw)
    if event is None:
        raise Malformed("body")
    event_id, event_type = read_text(event, "id"), read_text(event, "type")
    data = read_object(event, "data")
    if event_type in REFUND_EVENTS:
        kind, found = _read_refund(read_object(data, "object"), data.get("previous_attributes"), event_type)
    elif event_type in PAID_EVENTS:
        kind, found = _read_payment(read_object(data, "object"), event_type)
    else:
        kind, found = "nothing", {}
    return News(event_id=event_id, kind=kind, data=found)


def _read_refund(refund: Mapping[str, Any], previous: Any, event_type: str) -> tuple[str, Mapping[str, str | int]]:
    """A refund without our key is not ours. Failed: taken back after it had succeeded, unless the event says that it never had.

    `refund.failed` does not always say what was before; a person who looks in vain costs less than a buyer without money.
    """
    metadata = refund.get("metadata")
    refund_no = read_text(metadata, METADATA_KEY, required=False) if isinstance(metadata, dict) else ""
    status = read_text(refund, "status")
    kind = STATUS_NEWS.get(status, "nothing")
    if status == "failed":
        before = previous.get("status") if isinstance(previous, dict) else None
        has_succeeded = before == "succeeded" or (before is None and event_type == "refund.failed")
        kind = "refund.reversed" if has_succeeded else "refund.abnormal"
    if not refund_no or kind == "nothing":
        return "nothing", {}
    return kind, {
        "trade_no": read_text(refund, "payment_intent", required=False) or read_text(refund, "charge"),
        "refund_no": refund_no,
        "amount_minor": read_amount(refund, "amount", least_minor=1),
        "currency": read_text(refund, "currency").upper(),
    }


def _read_payment(paid: Mapping[str, Any], event_type: str) -> tuple[str, Mapping[str, str | int]]:
    if event_type == "checkout.session.completed" and paid.get("payment_status") != "paid":
        return "nothing", {}
    amount = "amount_received" if event_type == "payment_intent.succeeded" else "amount_total"
    return "trade.paid", {
        "trade_no": read_text(paid, "id"),
        "amount_minor": read_amount(paid, amount, least_minor=1),
        "currency": read_text(paid, "currency").upper(),
    }
