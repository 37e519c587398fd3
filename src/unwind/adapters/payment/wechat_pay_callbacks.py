"""WeChat Pay's notices: signature and age on the raw bytes, then decryption, then of the content only what is a number or a code.

Source: github `wechatpay-apiv3/wechatpay-skills` (callbacks); `TheNorthMemory/wechatpay-openapi` (schemas of the notices).
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from unwind.adapters.fields import Malformed, parse_object, read_amount, read_choice, read_object, read_same, read_text
from unwind.adapters.payment.wechat_pay_signing import SignatureInvalid, verify
from unwind.ports.callback import CallbackAnswer, CallbackUnverified, Incoming, News

BODY_BYTES_MAX = 64_000
ALGORITHM = "AEAD_AES_256_GCM"
NONCE_BYTES = 12
CURRENCY = "CNY"
"""A refund notice does not name its currency; APIv3's domestic refunds have no other."""
REFUND_STATES: Mapping[str, str] = {
    "SUCCESS": "refund.succeeded",
    "CLOSED": "refund.closed",
    "ABNORMAL": "refund.abnormal",
}
REFUND_EVENTS = frozenset({"REFUND.SUCCESS", "REFUND.CLOSED", "REFUND.ABNORMAL"})
PAID_EVENT = "TRANSACTION.SUCCESS"


class WeChatPayNotices:
    """Implements ports.callback.CallbackVerifier. `api_v3_keys`: the present one, and its predecessor while both are in use."""

    accepted = CallbackAnswer(status=204)

    def __init__(
        self,
        *,
        mchid: str,
        platform_keys: Mapping[str, rsa.RSAPublicKey],
        api_v3_keys: Sequence[str],
        clock: Callable[[], float],
    ) -> None:
        self._mchid = mchid
        self._platform_keys = platform_keys
        self._ciphers = tuple(AESGCM(key.encode()) for key in api_v3_keys)
        self._clock = clock

    def verify(self, incoming: Incoming) -> tuple[News, ...]:
        if len(incoming.body) > BODY_BYTES_MAX:
            raise CallbackUnverified("too_large")
        try:
            verify(self._platform_keys, incoming.headers, incoming.body, now=self._clock())
        except SignatureInvalid as invalid:
            raise CallbackUnverified(invalid.reason) from None
        try:
            return (self._read(_object(incoming.body)),)
        except Malformed:
            raise CallbackUnverified("malformed") from None

    def _read(self, envelope: Mapping[str, Any]) -> News:
        event_id, event_type = read_text(envelope, "id"), read_text(envelope, "event_type")
        if event_type != PAID_EVENT and event_type not in REFUND_EVENTS:
            return News(event_id=event_id, kind="nothing", data={})
        content = _object(self._decrypt(read_object(envelope, "resource")))
        read_same(content, "mchid", self._mchid)
        amount = read_object(content, "amount")
        data: dict[str, str | int] = {"trade_no": read_text(content, "out_trade_no")}
        if event_type == PAID_EVENT:
            read_same(content, "trade_state", "SUCCESS")
            kind = "trade.paid"
            data |= {"amount_minor": read_amount(amount, "total", least_minor=1)}
            data |= {"currency": read_text(amount, "currency", required=False) or CURRENCY}
        else:
            _, kind = read_choice(content, "refund_status", REFUND_STATES)
            data |= {"refund_no": read_text(content, "out_refund_no")}
            data |= {"amount_minor": read_amount(amount, "refund", least_minor=1), "currency": CURRENCY}
        return News(event_id=event_id, kind=kind, data=data)

    def _decrypt(self, resource: Mapping[str, Any]) -> bytes:
        read_same(resource, "algorithm", ALGORITHM)
        nonce = read_text(resource, "nonce").encode()
        bound = read_text(resource, "associated_data", required=False).encode()
        sealed = resource.get("ciphertext")
        if not isinstance(sealed, str) or len(nonce) != NONCE_BYTES:
            raise Malformed("ciphertext")
        try:
            raw = base64.b64decode(sealed, validate=True)
        except (binascii.Error, ValueError):
            raise Malformed("ciphertext") from None
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(nonce, raw, bound)
            except InvalidTag:
                continue
        raise Malformed("ciphertext")


def _object(raw: bytes) -> Mapping[str, Any]:
    body = parse_object(raw)
    if body is None:
        raise Malformed("body")
    return body
