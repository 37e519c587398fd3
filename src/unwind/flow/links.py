"""Links by which somebody without an account answers one question or task, until it is too late to matter. Short: most travel in a text message."""

import base64
import hashlib
import hmac

from unwind.domain.errors import Refusal

PREFIX = "ul_"
TASK = "task:"
RATING = "rate:"
PURPOSE = b"link\n"
SIGNATURE_BYTES = 18
"""144 bits, 24 characters."""


def mint_link(key: bytes, *, subject: str, expires_at: int) -> str:
    """`subject`: a question, a task after `TASK`, or a case after `RATING`. `expires_at`: Unix seconds. Whoever holds it answers this one thing, nothing else."""
    payload = f"{subject}.{expires_at:x}"
    return f"{PREFIX}{payload}.{_signature(key, payload)}"


def read_link(key: bytes, token: str, *, now: float) -> str:
    """The subject. Raises `not_found` for anything we have not signed, `token_expired` for what is too old."""
    payload, _, signature = token.removeprefix(PREFIX).rpartition(".")
    if not token.startswith(PREFIX) or not hmac.compare_digest(signature.encode(), _signature(key, payload).encode()):
        raise Refusal("not_found")
    subject, _, expires_at = payload.rpartition(".")
    if int(expires_at, 16) < now:
        raise Refusal("token_expired")
    return subject


def _signature(key: bytes, payload: str) -> str:
    digest = hmac.new(key, PURPOSE + payload.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:SIGNATURE_BYTES]).decode()
