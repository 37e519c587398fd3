"""Alipay's RSA2: of our requests, of its answers (over the exact bytes of the answer's node) and of its notifications.

Source: the official `alipay-sdk-python` 3.7; opendocs.alipay.com/open/6c0cdd7d_alipay.trade.refund.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from unwind.adapters.payment.keys import is_signed, sign

SIGN_TYPE = "RSA2"
BEIJING = timezone(timedelta(hours=8))
ERROR_NODE = "error_response"
"""Where an error may arrive instead (unverified)."""


class AnswerInvalid(Exception):
    """`reason` is one of missing, wrong, malformed. `node`: what an unsigned answer says, for what may be believed of it."""

    def __init__(self, reason: str, node: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.node = node or {}


def beijing_time(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def signed_text(parameters: Mapping[str, str]) -> bytes:
    """Sorted and joined, values as they are; of a request, `sign_type` is part of it."""
    return "&".join(f"{name}={value}" for name, value in sorted(parameters.items())).encode()


def sign_request(key: rsa.RSAPrivateKey, parameters: Mapping[str, str]) -> dict[str, str]:
    """The parameters that have a value, and their signature."""
    filled = {name: value for name, value in parameters.items() if value and name != "sign"}
    return {**filled, "sign": sign(key, signed_text(filled))}


def read_answer_node(keys: Sequence[rsa.RSAPublicKey], raw: bytes, method: str) -> dict[str, Any]:
    """The object below `<method>_response` after its signature was checked on the bytes as they came. Raises AnswerInvalid."""
    try:
        text = raw.decode()
        whole = json.loads(text)
    except (ValueError, RecursionError):
        raise AnswerInvalid("malformed") from None
    if not isinstance(whole, dict):
        raise AnswerInvalid("malformed")
    name = next((n for n in (f"{method.replace('.', '_')}_response", ERROR_NODE) if isinstance(whole.get(n), dict)), "")
    if not name:
        raise AnswerInvalid("malformed")
    signature = whole.get("sign")
    if not isinstance(signature, str) or not signature:
        raise AnswerInvalid("missing", whole[name])
    signed = _node_bytes(text, name)
    if not any(is_signed(key, signed, signature) for key in keys):
        raise AnswerInvalid("wrong")
    node = json.loads(signed)
    return dict(node)


def _node_bytes(text: str, name: str) -> bytes:
    """From the node's opening brace to the one that closes it; the name stands first in every answer, so the first one counts."""
    start = text.index("{", text.index(f'"{name}"') + len(name) + 2)
    _, end = json.JSONDecoder().raw_decode(text, start)
    return text[start:end].encode()


def is_notification_signed(keys: Sequence[rsa.RSAPublicKey], parameters: Mapping[str, str]) -> bool:
    """Of a notification, neither `sign` nor `sign_type` is part of what is signed."""
    if parameters.get("sign_type", SIGN_TYPE) != SIGN_TYPE:
        return False
    signed = signed_text({n: v for n, v in parameters.items() if n not in {"sign", "sign_type"}})
    return any(is_signed(key, signed, parameters.get("sign", "")) for key in keys)
