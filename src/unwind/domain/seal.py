"""The unbroken history of a case: each event's hash covers the one before it (I9).

Private text enters only as a keyed commitment, so the chain can be checked after the order's key has been destroyed.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime

GENESIS = bytes(32)
CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def event_hash(
    previous: bytes,
    *,
    case_id: str,
    seq: int,
    at: datetime,
    move: tuple[str, str, str],
    actor: str,
    data: Mapping[str, object],
) -> bytes:
    """SHA-256 over the previous hash and the canonical JSON of the event. `move` is (from, event, to)."""
    body = CANONICAL.encode([case_id, seq, at.astimezone(UTC).isoformat(timespec="microseconds"), *move, actor, data])
    return hashlib.sha256(previous + body.encode()).digest()


def commit_to(text: str, *, key: bytes) -> str:
    """Proves later which text was meant, to somebody who still has the order's key."""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def anchor_signature(previous: bytes, heads: bytes, *, key: bytes) -> bytes:
    """Signs a batch of archived heads, chained to the batch before it."""
    return hmac.new(key, previous + hashlib.sha256(heads).digest(), hashlib.sha256).digest()
