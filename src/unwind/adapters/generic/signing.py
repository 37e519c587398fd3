"""The contract's signature, both ways. Always over raw bytes, always before anything is parsed."""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

from unwind.adapters.shared_secrets import fits_any

WINDOW_S = 300
NONCE_PATTERN = re.compile(r"[0-9A-Za-z_-]{16,64}")
_TIMESTAMP_PATTERN = re.compile(r"[0-9]{1,12}")
_SIGNATURE_PATTERN = re.compile(r"[0-9a-fA-F]{64}")


class SignatureInvalid(Exception):
    """`reason` is one of missing, expired, wrong."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def sign(secret: str, *, timestamp: str, nonce: str, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{timestamp}\n{nonce}\n".encode() + body, hashlib.sha256).hexdigest()


def sign_headers(secret: str, *, now: float, nonce: str, body: bytes) -> dict[str, str]:
    if not NONCE_PATTERN.fullmatch(nonce):
        raise ValueError("a nonce has 16 to 64 characters of 0-9 A-Z a-z _ -")
    timestamp = str(int(now))
    signature = sign(secret, timestamp=timestamp, nonce=nonce, body=body)
    return {"X-Timestamp": timestamp, "X-Nonce": nonce, "X-Signature": signature}


def verify_headers(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, *, now: float) -> str:
    """The nonce of a genuine and fresh message, signed with any of `secrets`. Header names in any case.

    The signature is compared before the age is looked at, so that a refusal says nothing about the clock to a stranger.
    """
    found = {name.lower(): value for name, value in headers.items()}
    timestamp, nonce, given = (found.get(f"x-{name}", "") for name in ("timestamp", "nonce", "signature"))
    if (
        not _TIMESTAMP_PATTERN.fullmatch(timestamp)
        or not NONCE_PATTERN.fullmatch(nonce)
        or not _SIGNATURE_PATTERN.fullmatch(given)
    ):
        raise SignatureInvalid("missing")
    expected = [sign(secret, timestamp=timestamp, nonce=nonce, body=body) for secret in secrets]
    if not fits_any(given.lower(), expected):
        raise SignatureInvalid("wrong")
    if abs(now - int(timestamp)) > WINDOW_S:
        raise SignatureInvalid("expired")
    return nonce
