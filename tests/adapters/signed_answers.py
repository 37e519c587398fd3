"""The other side of the contract as one function per test: answers what it is told to, properly signed unless told not."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx

from unwind.adapters.generic import SignedClient
from unwind.ports.carrier import ParcelCall
from unwind.ports.notifier import MessageCall
from unwind.ports.payment import RefundCall
from unwind.ports.shop import ShopCall
from unwind.ports.warehouse import HoldCall

SECRET = "shared-by-both"
NOW = 1_800_000_000.0

REFUND = RefundCall(
    trade_no="T1",
    refund_no="R1",
    numbered_at=datetime.fromtimestamp(NOW, UTC),
    amount_minor=100,
    captured_minor=1000,
    currency="CNY",
    reason_code="CHANGED_MIND",
)
HOLD = HoldCall(request_id="H1", outbound_no="W1", order_id="O1", warehouse_code="SH1", reason_code="CHANGED_MIND")
PARCEL = ParcelCall(request_id="K1", waybill_no="SF1", order_id="O1", reason_code="CHANGED_MIND")
SHOP = ShopCall(request_id="C1", order_id="O1", quantities={"L1": 2}, reason_code="CHANGED_MIND")
MESSAGE = MessageCall(
    message_id="M1",
    audience="buyer",
    channel="sms",
    address="13800001234",
    template="refunded",
    text="王小明，款项已退回",
    params={"amount": 100},
)


def sign(body: bytes, *, nonce: str, timestamp: int = int(NOW), secret: str = SECRET) -> dict[str, str]:
    signed = f"{timestamp}\n{nonce}\n".encode() + body
    signature = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return {"X-Timestamp": str(timestamp), "X-Nonce": nonce, "X-Signature": signature}


def answering(
    status: int,
    body: Any,
    *,
    secret: str = SECRET,
    nonce: str | None = None,
    timestamp: int = int(NOW),
    headers: dict[str, str] | None = None,
    is_signed: bool = True,
) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        used = nonce or request.headers["X-Nonce"]
        signed = sign(raw, nonce=used, timestamp=timestamp, secret=secret) if is_signed else {}
        return httpx.Response(status, stream=httpx.ByteStream(raw), headers={**signed, **(headers or {})})

    return httpx.MockTransport(answer)


def failing(error: Exception) -> httpx.MockTransport:
    def answer(_: httpx.Request) -> httpx.Response:
        raise error

    return httpx.MockTransport(answer)


def make_client(
    transport: httpx.AsyncBaseTransport,
    *,
    base_url: str = "http://provider/c/pay1",
    secret: str = SECRET,
    clock: Callable[[], float] = lambda: NOW,
    timeout_s: float = 10.0,
) -> SignedClient:
    return SignedClient(
        base_url=base_url,
        secret=secret,
        clock=clock,
        nonces=lambda: secrets.token_hex(16),
        transport=transport,
        timeout_s=timeout_s,
    )
