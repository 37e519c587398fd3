"""What may come in by the back door: only genuine, fresh, well-formed events, and of those only the fields we know."""

import json
import random
from typing import Any

import pytest
from signed_answers import NOW, SECRET, sign

from unwind.adapters.generic import CallbackRefused, verify_callback
from unwind.adapters.generic.callbacks import FIELDS

NONCE = "nonce-of-this-attempt"
DATA: dict[str, Any] = {
    "trade_no": "T1",
    "refund_no": "R1",
    "amount_minor": 100,
    "currency": "CNY",
    "status": "SUCCESS",
    "request_id": "H1",
    "outbound_no": "W1",
    "waybill_no": "SF1",
    "return_waybill_no": "RT1",
    "stage": "returning",
    "at": "2027-01-15T08:00:00+00:00",
    "place": "杭州",
}
EVENT = {"event_id": "evt_1", "type": "refund.succeeded", "created_at": "2027-01-15T08:00:00Z", "data": DATA}


def refused(body: Any, *, headers: dict[str, str] | None = None, now: float = NOW) -> str:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(CallbackRefused) as refusal:
        verify_callback([SECRET], sign(raw, nonce=NONCE) if headers is None else headers, raw, now)
    assert "SF1" not in str(refusal.value)
    return refusal.value.code


@pytest.mark.parametrize("event_type", FIELDS)
def test_genuine_events_of_every_type(event_type: str) -> None:
    raw = json.dumps({**EVENT, "type": event_type, "data": {**DATA, "buyer": "王小明"}}).encode()
    headers = {name.lower(): value for name, value in sign(raw, nonce=NONCE).items()}
    event = verify_callback([SECRET], headers, raw, NOW + 299)
    assert (event.event_id, event.type, event.nonce) == ("evt_1", event_type, NONCE)
    assert event.data == {name: DATA[name] for name in FIELDS[event_type]}
    with pytest.raises(TypeError):
        event.data["status"] = "x"  # type: ignore[index]


def test_signature_is_needed() -> None:
    raw = json.dumps(EVENT).encode()
    good = sign(raw, nonce=NONCE)
    assert refused(raw, headers={}) == "sign_error"
    assert refused(raw, headers={**good, "X-Signature": "0" * 64}) == "sign_error"
    assert refused(raw, headers={**good, "X-Signature": "é" * 64}) == "sign_error"
    assert refused(raw, headers={**good, "X-Nonce": "another-nonce-than-signed"}) == "sign_error"
    assert refused(raw, headers={**good, "X-Timestamp": str(int(NOW) + 1)}) == "sign_error"
    assert refused(raw, headers=sign(raw, nonce=NONCE, secret="of another merchant")) == "sign_error"
    assert refused(raw + b" ", headers=good) == "sign_error"


def test_old_and_early_events_are_refused() -> None:
    assert refused(EVENT, now=NOW + 301) == "expired"
    assert refused(EVENT, now=NOW - 301) == "expired"


@pytest.mark.parametrize(
    "change",
    [
        {"event_id": ""},
        {"event_id": 5},
        {"event_id": "nul\u0000"},
        {"event_id": "x" * 129},
        {"type": None},
        {"created_at": "today"},
        {"created_at": None},
        {"data": None},
        {"data": []},
        {"data": {**DATA, "amount_minor": "100"}},
        {"data": {**DATA, "amount_minor": 0}},
        {"data": {**DATA, "amount_minor": 1.5}},
        {"data": {**DATA, "currency": "yuan"}},
        {"data": {**DATA, "refund_no": None}},
        {"data": {**DATA, "refund_no": ["R1"]}},
    ],
)
def test_malformed_events_are_refused(change: dict[str, Any]) -> None:
    assert refused({**EVENT, **change}) == "malformed"


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 60_000])
def test_rubbish_is_refused_even_when_signed(raw: bytes) -> None:
    assert refused(raw) == "malformed"


def test_unknown_types_and_giants_are_refused() -> None:
    assert refused({**EVENT, "type": "refund.invented"}) == "unknown_type"
    assert refused(b"x" * 10_000_000, headers={}) == "too_large"


def test_scan_needs_an_instant() -> None:
    moved = {**EVENT, "type": "parcel.moved"}
    assert refused({**moved, "data": {**DATA, "at": None}}) == "malformed"
    assert refused({**moved, "data": {**DATA, "at": "noon"}}) == "malformed"


def test_mutated_bytes_never_pass() -> None:
    dice = random.Random(7)
    raw = json.dumps(EVENT).encode()
    headers = sign(raw, nonce=NONCE)
    for _ in range(2_000):
        mutated = bytearray(raw)
        mutated[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
        assert refused(bytes(mutated), headers=headers) == "sign_error"
