"""Providers of payments in their own formats, for tests: one connected to the sandbox, answers of our choice under its own signature, and
the sandbox behind a real port for the providers' own SDKs."""

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sandbox.__main__ import QuietBreaks
from sandbox.app import running
from sandbox.dialects.registry import DIALECTS
from sandbox.keyring import Keyring
from sandbox.settings import Settings as SandboxSettings
from tests.world import Switch, private_key
from unwind.adapters.provider import Connected, Surroundings
from unwind.adapters.registry import PROVIDERS
from unwind.ports.callback import Incoming, News
from unwind.ports.payment import RefundCall

REFUND = RefundCall(
    trade_no="T1",
    refund_no="R" + "7" * 29,
    numbered_at=datetime(2026, 11, 1, 4, 5, 6, tzinfo=UTC),
    amount_minor=234,
    captured_minor=1000,
    currency="CNY",
    reason_code="CHANGED_MIND",
)
UNIONPAY_TRADE = "PAY20261101000001:20261101115900"
TRADES = {"wechat_pay": "T1", "alipay": "T1", "unionpay": UNIONPAY_TRADE, "stripe": "pi_T1"}
Answerer = Callable[[Request], Response | None]


class Interposer:
    """Stands before the sandbox: answers in its place while it has something to say, and keeps what was asked."""

    def __init__(self, sandbox: Any) -> None:
        self.sandbox = sandbox
        self.answerer: Answerer | None = None
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        """Method, path with query, headers, body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/c/"):
            await self.sandbox(scope, receive, send)
            return
        raw = await Request(scope, receive).body()

        async def replay() -> dict[str, Any]:
            return {"type": "http.request", "body": raw, "more_body": False}

        request = Request(scope, replay)
        await request.body()
        query = scope["query_string"].decode()
        path = scope["path"] + (f"?{query}" if query else "")
        self.seen.append((scope["method"], path, dict(request.headers), raw))
        response = self.answerer(request) if self.answerer is not None else None
        await (response or self.sandbox)(scope, replay, send)


def dialect_of(sandbox: Any, provider: str) -> Any:
    """The dialect with the keys of that sandbox."""
    world = sandbox.state.world
    return DIALECTS[provider](world, Keyring(world.ledger, private_key))


@dataclass
class Bench:
    provider: str
    values: dict[str, Any]
    connected: Connected
    control: httpx.AsyncClient
    outside: Interposer
    inside: Any
    """The sandbox's application."""
    callbacks: list[Incoming] = field(default_factory=list)
    is_deaf: bool = False
    """Callbacks are kept and not taken."""

    @property
    def gateway(self) -> Any:
        return self.connected.party

    @property
    def call(self) -> RefundCall:
        """At Stripe a number as fresh as most are; the others are tried with one of a fixed time."""
        numbered_at = datetime.now(UTC) if self.provider == "stripe" else REFUND.numbered_at
        return replace(REFUND, trade_no=TRADES[self.provider], numbered_at=numbered_at)

    @property
    def dialect(self) -> Any:
        return dialect_of(self.inside, self.provider)

    async def tell(self, path: str, body: Any) -> Any:
        response = await self.control.post(f"/control/{path}", json=body)
        assert response.is_success, response.text
        return response.json()

    async def ledger(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.control.get("/control/ledger")).json()
        return found

    async def wait_for_callbacks(self, count: int) -> list[Incoming]:
        async with asyncio.timeout(5):
            while len(self.callbacks) < count:  # noqa: ASYNC110  the list is the sandbox's to fill
                await asyncio.sleep(0.005)
        return self.callbacks

    async def wait_for_news(self, count: int) -> list[News]:
        assert self.connected.verifier is not None
        taken = await self.wait_for_callbacks(count)
        return [news for incoming in taken for news in self.connected.verifier.verify(incoming)]

    def reconnect(self, **changes: Any) -> Connected:
        return connect(self.provider, {**self.values, **changes}, httpx.ASGITransport(self.outside))

    async def violations(self) -> Any:
        return (await self.control.get("/control/assertions")).json()["violations"]


def connect(
    provider: str,
    values: dict[str, Any],
    transport: httpx.AsyncBaseTransport,
    *,
    clock: Callable[[], float] = time.time,
    callback_url: str = "http://unwind.test/callbacks/one",
) -> Connected:
    found = PROVIDERS[provider]
    around = Surroundings(
        connection_id="one",
        clock=clock,
        nonces=lambda: secrets.token_hex(16),
        callback_url=callback_url,
        transport=transport,
    )
    return found.connect(found.settings.model_validate(values), around)


@asynccontextmanager
async def open_bench(provider: str, folder: Path, *, currency: str = "CNY") -> AsyncIterator[Bench]:
    """One connection `one` with a paid trade of 1000 minor units, and a receiver that keeps every callback."""
    async with AsyncExitStack() as stack:
        bench: Bench

        async def receive(scope: Scope, receive_part: Receive, send: Send) -> None:
            request = Request(scope, receive_part)
            incoming = Incoming(
                headers={name.lower(): value for name, value in request.headers.items()}, body=await request.body()
            )
            bench.callbacks.append(incoming)
            verifier = bench.connected.verifier
            assert verifier is not None
            accepted = verifier.accepted
            response = Response(accepted.body, status_code=500 if bench.is_deaf else accepted.status)
            await response(scope, receive_part, send)

        settings = SandboxSettings(
            ledger=folder / "ledger.sqlite",
            callback_url="http://unwind.test",
            time_scale=0.001,
            dialects={"one": provider},
            make_key=private_key,
            callback_transport=httpx.ASGITransport(receive),
        )
        inside = await stack.enter_async_context(running(settings))
        outside = Interposer(inside)
        switch = Switch()
        switch.app = outside
        control = await stack.enter_async_context(httpx.AsyncClient(transport=switch, base_url="http://sandbox.test"))
        values = (await control.get("/control/settings")).json()[0]
        del values["connection_id"], values["provider"]
        connected = connect(provider, values, switch)
        stack.push_async_callback(connected.close)
        bench = Bench(
            provider=provider, values=values, connected=connected, control=control, outside=outside, inside=inside
        )
        trade = {"connection": "one", "trade_no": TRADES[provider], "amount_minor": 1000, "currency": currency}
        await bench.tell("trades", trade)
        yield bench


@asynccontextmanager
async def on_a_port(app: Any) -> AsyncIterator[str]:
    """The sandbox for clients that want a socket; its lifespan is entered elsewhere."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = uvicorn.Config(QuietBreaks(app), lifespan="off", ws="none", log_level="critical")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task
        listener.close()


def always(response: Response) -> Answerer:
    return lambda _: response
