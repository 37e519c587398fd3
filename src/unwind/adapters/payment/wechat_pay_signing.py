"""WeChat Pay APIv3's signatures: of our requests, and of its answers and notices.

Source: pay.weixin.qq.com/doc/v3/merchant/4012556398 and github `wechatpay-apiv3/wechatpay-skills` (signature, callbacks).
"""

import re
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import rsa

from unwind.adapters.payment.keys import is_signed, sign

SCHEME = "WECHATPAY2-SHA256-RSA2048"
WINDOW_S = 300
PROBE_PREFIX = "WECHATPAY/SIGNTEST/"
"""WeChat now and then sends such a signature to see whether it is refused."""
PUBLIC_KEY_PREFIX = "PUB_KEY_ID_"
_TIMESTAMP_PATTERN = re.compile(r"[0-9]{1,12}")
_NONCE_PATTERN = re.compile(r"[!-~]{1,128}")


class SignatureInvalid(Exception):
    """`reason` is one of missing, probe, unknown_serial, wrong, expired."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def authorization(
    key: rsa.RSAPrivateKey,
    *,
    mchid: str,
    serial_no: str,
    method: str,
    path: str,
    timestamp: int,
    nonce: str,
    body: bytes,
) -> str:
    """`path` with its query, as it is sent."""
    signature = sign(key, f"{method}\n{path}\n{timestamp}\n{nonce}\n".encode() + body + b"\n")
    return (
        f'{SCHEME} mchid="{mchid}",nonce_str="{nonce}",signature="{signature}",'
        f'timestamp="{timestamp}",serial_no="{serial_no}"'
    )


def verify(keys: Mapping[str, rsa.RSAPublicKey], headers: Mapping[str, str], body: bytes, *, now: float) -> None:
    """Answers and notices alike. `keys` by serial in upper case; header names in lower case; raises SignatureInvalid."""
    signature = headers.get("wechatpay-signature", "")
    timestamp, nonce = headers.get("wechatpay-timestamp", ""), headers.get("wechatpay-nonce", "")
    if signature.startswith(PROBE_PREFIX):
        raise SignatureInvalid("probe")
    if not signature or not _TIMESTAMP_PATTERN.fullmatch(timestamp) or not _NONCE_PATTERN.fullmatch(nonce):
        raise SignatureInvalid("missing")
    if headers.get("wechatpay-signature-type", SCHEME) != SCHEME:
        raise SignatureInvalid("wrong")
    key = keys.get(headers.get("wechatpay-serial", "").upper())
    if key is None:
        raise SignatureInvalid("unknown_serial")
    if not is_signed(key, f"{timestamp}\n{nonce}\n".encode() + body + b"\n", signature):
        raise SignatureInvalid("wrong")
    if abs(now - int(timestamp)) >= WINDOW_S:
        raise SignatureInvalid("expired")
