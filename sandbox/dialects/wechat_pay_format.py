"""How WeChat Pay writes numbers, instants and bodies."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from starlette.requests import Request

BEIJING = timezone(timedelta(hours=8))


def transaction_id(connection: str, trade_no: str) -> str:
    digest = hashlib.sha256(f"{connection}/{trade_no}".encode()).digest()
    return f"42000{int.from_bytes(digest[:10]) % 10**23:023d}"


def beijing(instant: str) -> str:
    return datetime.fromisoformat(instant).astimezone(BEIJING).isoformat(timespec="seconds")


def raw_path(request: Request, connection: str) -> str:
    """Path and query as they were sent, without what is ours."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    query: bytes = request.scope.get("query_string", b"")
    path = raw.decode("latin-1").removeprefix(f"/c/{connection}")
    return f"{path.partition('?')[0]}?{query.decode('latin-1')}" if query else path


def dump(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def parse(raw: bytes) -> dict[str, Any] | None:
    if not raw:
        return {}
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None
