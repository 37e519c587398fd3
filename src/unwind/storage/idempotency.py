"""Idempotency keys, scoped by principal and operation. The answer is stored in the transaction that made it true."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from unwind.storage.database import Connection, to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """`key` is empty where the caller sent none: then nothing is remembered."""

    principal_id: str
    operation: str
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    fingerprint: bytes
    status: int
    body: Mapping[str, Any]


async def stored_answer(conn: Connection, key: Key) -> StoredAnswer | None:
    cursor = await conn.execute(
        "SELECT fingerprint, status, body FROM idempotency_keys WHERE principal_id = %s AND operation = %s AND key = %s",
        (key.principal_id, key.operation, key.key),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    return StoredAnswer(fingerprint=row["fingerprint"], status=row["status"], body=orjson.loads(row["body"]))


def answer_row(key: Key, *, status: int, body: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """As `cases.create_cases` takes it; the body keeps its exact text, so that a replay is the same to the byte."""
    return {
        "principal_id": key.principal_id,
        "operation": key.operation,
        "key": key.key,
        "fingerprint": key.fingerprint.hex(),
        "status": status,
        "body": to_json(body),
        "created_at": at,
    }
