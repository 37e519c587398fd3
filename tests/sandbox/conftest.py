"""A sandbox with one paid trade, a caller for it, and a receiver of its callbacks."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from signed_caller import CONNECTION, SECRET, Caller, Receiver

from sandbox.app import running
from sandbox.settings import Settings


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def make_settings(tmp_path: Path, receiver: Receiver) -> Callable[..., Settings]:
    def make(**changes: Any) -> Settings:
        defaults: dict[str, Any] = {
            "ledger": tmp_path / "sandbox.db",
            "callback_url": "http://receiver",
            "secret": SECRET,
            "time_scale": 0.001,
            "callback_transport": httpx.ASGITransport(receiver),
        }
        return Settings(**{**defaults, **changes})

    return make


@pytest.fixture
async def caller(make_settings: Callable[..., Settings]) -> AsyncIterator[Caller]:
    """With one paid trade T1 of 10.00."""
    async with (
        running(make_settings()) as app,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sandbox") as http,
    ):
        made = Caller(http)
        await made.control("/trades", {"connection": CONNECTION, "trade_no": "T1", "amount_minor": 1000})
        yield made
