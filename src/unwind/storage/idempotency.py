"""Idempotency keys, scoped by principal and operation. The answer is stored in the transaction that made it true."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from unwind.storage.database import Connection, to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    principal_id: str
    operation: str
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    fingerprint: bytes
    status: int | None
    body: Mapping[str, Any] | None


async def stored_answer(conn: Connection, key: Key) -> StoredAnswer | None:
    cursor = await conn.execute(
        "SELECT fingerprint, status, body FROM idempotency_keys WHERE principal_id = %s AND operation = %s AND key = %s",
        (key.principal_id, key.operation, key.key),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    body = None if row["body"] is None else orjson.loads(row["body"])
    return StoredAnswer(fingerprint=row["fingerprint"], status=row["status"], body=body)


async def store_answer(conn: Connection, key: Key, *, status: int, body: Mapping[str, Any]) -> None:
    await conn.execute(
        "UPDATE idempotency_keys SET status = %s, body = %s WHERE principal_id = %s AND operation = %s AND key = %s",
        (status, to_json(body), key.principal_id, key.operation, key.key),
    )


async def forget_old_keys(conn: Connection, *, days: int, keys_max: int) -> int:
    cursor = await conn.execute(
        """
        DELETE FROM idempotency_keys WHERE ctid IN (
            SELECT ctid FROM idempotency_keys WHERE created_at < unwind_now() - make_interval(days => %s) LIMIT %s)
        """,
        (days, keys_max),
    )
    return cursor.rowcount
