"""A caller that signs on its own, and a receiver of callbacks, both independent of the sandbox's code."""

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

SECRET = "s3cret-of-the-test"
CONNECTION = "pay1"


def sign(secret: str, timestamp: str, nonce: str, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{timestamp}\n{nonce}\n".encode() + body, hashlib.sha256).hexdigest()


def is_signed(headers: httpx.Headers | dict[str, str], body: bytes, secret: str = SECRET) -> bool:
    found = httpx.Headers(headers)
    expected = sign(secret, found.get("X-Timestamp", ""), found.get("X-Nonce", ""), body)
    return hmac.compare_digest(expected, found.get("X-Signature", ""))


@dataclass
class Receiver:
    """Our side of the callbacks: answers `statuses` one after the other, then 204."""

    statuses: list[int] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        self.bodies.append(body)
        self.events.append(json.loads(body))
        self.paths.append(scope["path"])
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        status = self.statuses.pop(0) if self.statuses else 204
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def wait_for(self, count: int, timeout_s: float = 5.0) -> None:
        deadline = time.monotonic() + timeout_s
        while len(self.events) < count:
            assert time.monotonic() < deadline, f"{len(self.events)} of {count} events: {self.types()}"
            await asyncio.sleep(0.005)


@dataclass
class Caller:
    http: httpx.AsyncClient
    secret: str = SECRET

    async def call(
        self, path: str, body: dict[str, Any], *, connection: str = CONNECTION, verified: bool = True, **headers: str
    ) -> httpx.Response:
        raw = json.dumps(body).encode()
        timestamp, nonce = str(int(time.time())), secrets.token_hex(16)
        signed = {"X-Timestamp": timestamp, "X-Nonce": nonce, "X-Signature": sign(self.secret, timestamp, nonce, raw)}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        response = await self.http.post(f"/c/{connection}{path}", content=raw, headers={**signed, **given})
        if verified:
            assert is_signed(response.headers, response.content, self.secret)
            assert response.headers["X-Nonce"] == nonce
        return response

    async def control(self, path: str, body: Any = None) -> Any:
        response = await self.http.post(f"/control{path}", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    async def ledger(self, **query: str) -> Any:
        return (await self.http.get("/control/ledger", params=query)).json()

    async def violations(self) -> list[str]:
        found = (await self.http.get("/control/assertions")).json()
        return [violation["kind"] for violation in found["violations"]]

    async def refund(self, number: str = "R1", amount_minor: int = 100, **changes: Any) -> httpx.Response:
        body = {
            "trade_no": "T1",
            "refund_no": number,
            "amount_minor": amount_minor,
            "total_minor": 1000,
            "currency": "CNY",
            "reason": "CHANGED_MIND",
        }
        return await self.call("/payment/refunds", {**body, **changes})

    async def query(self, number: str = "R1") -> httpx.Response:
        return await self.call("/payment/refunds/query", {"trade_no": "T1", "refund_no": number})

    async def fault(self, name: str, operation: str = "payment.refund", **options: Any) -> None:
        await self.control("/faults", {"fault": name, "operation": operation, **options})
