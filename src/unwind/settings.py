"""What the program is told from outside: environment variables and files in its data folder. Nothing secret has a default outside the demo."""

import base64
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MASTER_KEY_BYTES = 32
CONNECTION_ID = re.compile(r"[0-9A-Za-z._-]{1,64}")


class SettingsInvalid(ValueError):
    """The program refuses to start; the message says what to set."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ConnectionSettings:
    """One outside party, as `connections.json` names it. The provider's own model checks `values` (`bootstrap.py`); they hold secrets, hence no repr."""

    connection_id: str
    provider: str
    values: Mapping[str, Any]
    merchant_id: str | None = None
    """The one merchant whose orders may use it; None: any."""


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
    needs_second_factor: bool = True
    """Of local staff accounts."""
    oidc: Mapping[str, Any] | None = None
    """The identity provider, as `oidc.json` describes it; its adapter's model checks it."""
    records_kept_years: int = 3
    """How long the record of a transaction is kept after the last thing that happened to it."""
    tail_days: int = 90
    """Orders are found by the last four digits of a telephone for so long."""
    public_url: str = ""
    """How providers reach us from outside; their callbacks go to `{public_url}/callbacks/{connection}`."""


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
        tail_days=_integer(env, "UNWIND_TAIL_DAYS", 90),
        public_url=env.get("UNWIND_PUBLIC_URL", "").rstrip("/"),
        records_kept_years=_integer(env, "UNWIND_RECORDS_YEARS", 3),
        needs_second_factor=_second_factor(env, is_demo=is_demo),
        oidc=_oidc(env, home),
    )


def _integer(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, str(default))
    if not text.isdigit() or int(text) == 0:
        raise SettingsInvalid(f"{name} must be a positive whole number")
    return int(text)


def _second_factor(env: Mapping[str, str], *, is_demo: bool) -> bool:
    text = env.get("UNWIND_SECOND_FACTOR", "optional" if is_demo else "required")
    if text not in {"required", "optional"}:
        raise SettingsInvalid("UNWIND_SECOND_FACTOR is required or optional")
    return text == "required"


def _oidc(env: Mapping[str, str], home: Path) -> Mapping[str, Any] | None:
    """`oidc.json` in the data folder, its secret in an environment variable or a file as in `connections.json`."""
    path = Path(env.get("UNWIND_OIDC", str(home / "oidc.json")))
    if not path.exists():
        return None
    try:
        row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {name: _resolved(env, value, name, of="oidc.json") for name, value in row.items()}
    except (AttributeError, json.JSONDecodeError) as error:
        raise SettingsInvalid(f"oidc.json: {type(error).__name__}") from None


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
    """`connections.json` in the data folder: a list of objects. Any value may stand in an environment variable or a file."""
    path = Path(env.get("UNWIND_CONNECTIONS", str(home / "connections.json")))
    if not path.exists():
        return ()
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        found = tuple(_connection(env, row) for row in rows)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise SettingsInvalid(f"connections.json: {type(error).__name__}: {error}") from None
    names = [one.connection_id for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsInvalid(f"connections.json: {', '.join(twice)} stands there twice")
    return found


def _connection(env: Mapping[str, str], row: Mapping[str, Any]) -> ConnectionSettings:
    own = {"connection_id", "provider", "merchant_id"}
    connection_id = str(row["connection_id"])
    if not CONNECTION_ID.fullmatch(connection_id):
        raise SettingsInvalid("connections.json: connection_id has 1 to 64 characters of 0-9 A-Z a-z . _ -")
    return ConnectionSettings(
        connection_id=connection_id,
        provider=str(row["provider"]),
        merchant_id=row.get("merchant_id"),
        values={
            name: _resolved(env, value, f"{connection_id}.{name}") for name, value in row.items() if name not in own
        },
    )


def _resolved(env: Mapping[str, str], value: Any, place: str, *, of: str = "connections.json") -> Any:
    """The value itself, or what `{"env": ...}` or `{"file": ...}` point at; inside lists and objects too."""
    match value:
        case {"env": str(name), **rest} if not rest:
            if name not in env:
                raise SettingsInvalid(f"{of}: {place}: the environment has no {name}")
            return env[name]
        case {"file": str(name), **rest} if not rest:
            try:
                return Path(name).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsInvalid(f"{of}: {place}: {name}: {type(error).__name__}") from None
        case dict():
            return {key: _resolved(env, one, f"{place}.{key}", of=of) for key, one in value.items()}
        case list():
            return [_resolved(env, one, place, of=of) for one in value]
        case _:
            return value
