"""Links by which somebody without an account answers one question, until it is too late to matter."""

import base64
import hashlib
import hmac
import json

from unwind.domain.errors import Refusal

PREFIX = "ul_"
PURPOSE = b"link\n"


def mint_link(key: bytes, *, question_id: str, expires_at: int) -> str:
    """`expires_at`: Unix seconds. Whoever holds it may read and answer this one question, nothing else."""
    payload = base64.urlsafe_b64encode(json.dumps([question_id, expires_at]).encode()).decode().rstrip("=")
    return f"{PREFIX}{payload}.{_signature(key, payload)}"


def read_link(key: bytes, token: str, *, now: float) -> str:
    """The question. Raises `not_found` for anything we have not signed, `token_expired` for what is too old."""
    payload, _, signature = token.removeprefix(PREFIX).partition(".")
    if not token.startswith(PREFIX) or not hmac.compare_digest(signature.encode(), _signature(key, payload).encode()):
        raise Refusal("not_found")
    question_id, expires_at = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    if expires_at < now:
        raise Refusal("token_expired")
    return str(question_id)


def _signature(key: bytes, payload: str) -> str:
    return hmac.new(key, PURPOSE + payload.encode(), hashlib.sha256).hexdigest()
