"""What one sandbox is told at its start."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from sandbox.keyring import make_rsa_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    ledger: Path
    """SQLite file; everything that happened is in it, so a killed sandbox goes on where it stood."""
    callback_url: str
    """Base of the receiver; callbacks go to `{callback_url}/callbacks/{connection}`."""
    secret: str = ""
    """Shared by every connection that `secrets` does not name; empty: only named connections exist."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    dialects: Mapping[str, str] = field(default_factory=dict)
    """Connection -> provider whose format it speaks (dialects/registry.py); every other one speaks the generic contract."""
    make_key: Callable[[str], str] = make_rsa_key
    """Makes private keys, by name; tests hand out the same ones again, since making them takes long."""
    time_scale: float = 1.0
    """Every delay, hold and retry interval is multiplied by it."""
    clock: Callable[[], float] = time.time
    """Unix seconds."""
    callback_transport: httpx.AsyncBaseTransport | None = None
    """In-process receiver for tests."""

    def secret_of(self, connection: str) -> str | None:
        return self.secrets.get(connection, self.secret) or None
