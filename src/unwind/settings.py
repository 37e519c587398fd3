"""What the program is told from outside: environment variables and files in its data folder. Nothing secret has a default outside the demo."""

import base64
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MASTER_KEY_BYTES = 32


class SettingsInvalid(ValueError):
    """The program refuses to start; the message says what to set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """One outside party. `kind`: payment, warehouse, carrier, messages or shop."""

    connection_id: str
    kind: str
    base_url: str
    secret: str
    channel: str = ""
    """For messages: the channel it carries (sms, webhook)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    home: Path
    is_demo: bool
    database_url: str | None
    """None: the embedded server in `home`."""
    database_owner_url: str | None
    master_key: bytes
    connections: tuple[ConnectionSettings, ...]
    host: str
    port: int
    connections_max: int
    pace_scale: float
    """Multiplies every wait between questions to the outside; 1 in production."""


def load_settings(environ: Mapping[str, str] | None = None, *, is_demo: bool = False) -> Settings:
    """Reads `UNWIND_HOME`, `DATABASE_URL`, `DATABASE_OWNER_URL`, `UNWIND_MASTER_KEY[_FILE]`, `UNWIND_HOST`, `UNWIND_PORT` ..."""
    env = os.environ if environ is None else environ
    home = Path(env.get("UNWIND_HOME", "var")).resolve()
    is_demo = is_demo or env.get("UNWIND_DEMO") == "1"
    return Settings(
        home=home,
        is_demo=is_demo,
        database_url=env.get("DATABASE_URL"),
        database_owner_url=env.get("DATABASE_OWNER_URL") or env.get("DATABASE_URL"),
        master_key=_master_key(env, home, is_demo=is_demo),
        connections=_connections(env, home),
        host=env.get("UNWIND_HOST", "127.0.0.1"),
        port=_integer(env, "UNWIND_PORT", 8080),
        connections_max=_integer(env, "UNWIND_DATABASE_CONNECTIONS", 10),
        pace_scale=float(env.get("UNWIND_PACE", "0.25" if is_demo else "1")),
    )


def _integer(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, str(default))
    if not text.isdigit() or int(text) == 0:
        raise SettingsInvalid(f"{name} must be a positive whole number")
    return int(text)


def _master_key(env: Mapping[str, str], home: Path, *, is_demo: bool) -> bytes:
    text = env.get("UNWIND_MASTER_KEY")
    if text is None and "UNWIND_MASTER_KEY_FILE" in env:
        text = Path(env["UNWIND_MASTER_KEY_FILE"]).read_text(encoding="ascii")
    if text is None:
        path = home / "demo-master-key"
        if not is_demo:
            raise SettingsInvalid(
                "set UNWIND_MASTER_KEY or UNWIND_MASTER_KEY_FILE to 32 bytes in Base64; without it nothing personal can be stored"
            )
        text = _make_demo_key(path) if not path.exists() else path.read_text(encoding="ascii")
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != MASTER_KEY_BYTES:
        raise SettingsInvalid("UNWIND_MASTER_KEY must be 32 bytes in Base64")
    return key


def _make_demo_key(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = base64.b64encode(secrets.token_bytes(MASTER_KEY_BYTES)).decode()
    path.touch(mode=0o600)
    path.write_text(text, encoding="ascii")
    return text


def _connections(env: Mapping[str, str], home: Path) -> tuple[ConnectionSettings, ...]:
    """`connections.json` in the data folder: a list of objects; each secret by value, environment variable or file."""
    path = Path(env.get("UNWIND_CONNECTIONS", str(home / "connections.json")))
    if not path.exists():
        return ()
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return tuple(
            ConnectionSettings(
                connection_id=row["connection_id"],
                kind=row["kind"],
                base_url=row["base_url"],
                secret=_secret(env, row),
                channel=row.get("channel", ""),
            )
            for row in rows
        )
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise SettingsInvalid(f"connections.json: {type(error).__name__}: {error}") from error


def _secret(env: Mapping[str, str], row: Mapping[str, Any]) -> str:
    if "secret_env" in row:
        return env[row["secret_env"]]
    if "secret_file" in row:
        return Path(row["secret_file"]).read_text(encoding="utf-8").strip()
    return str(row["secret"])
