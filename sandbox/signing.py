"""The contract's signature, written from its text alone: shares no code with the program that it checks."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping

WINDOW_S = 300
_NONCE = re.compile(r"[0-9A-Za-z_-]{16,64}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class SignatureError(Exception):
    """The headers do not prove that the body comes from the holder of the secret, now."""


def new_nonce() -> str:
    return secrets.token_urlsafe(18)


def sign(secret: str, *, timestamp: int, nonce: str, body: bytes) -> str:
    signed = f"{timestamp}\n{nonce}\n".encode() + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def signature_headers(secret: str, *, now: float, nonce: str, body: bytes) -> dict[str, str]:
    timestamp = int(now)
    signature = sign(secret, timestamp=timestamp, nonce=nonce, body=body)
    return {"X-Timestamp": str(timestamp), "X-Nonce": nonce, "X-Signature": signature}


def verify(secret: str, headers: Mapping[str, str], body: bytes, *, now: float) -> str:
    """The nonce of a message that is genuine and fresh; whether it was used before is for the caller to know."""
    timestamp = headers.get("x-timestamp", "")
    nonce = headers.get("x-nonce", "")
    given = headers.get("x-signature", "")
    if not _TIMESTAMP.fullmatch(timestamp) or not _NONCE.fullmatch(nonce) or not given.isascii():
        raise SignatureError
    if abs(now - int(timestamp)) > WINDOW_S:
        raise SignatureError
    if not hmac.compare_digest(sign(secret, timestamp=int(timestamp), nonce=nonce, body=body), given.lower()):
        raise SignatureError
    return nonce
