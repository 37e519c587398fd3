"""Who may call: API keys, stored as digests only."""

import hashlib
from collections.abc import Mapping
from typing import Any

from unwind.domain.access import Principal, Role, Scope
from unwind.storage.database import Connection


def digest(key: str) -> bytes:
    """Keys are random and long, so a plain hash is enough."""
    return hashlib.sha256(key.encode()).digest()


async def find_principal(conn: Connection, key: str) -> Principal | None:
    cursor = await conn.execute(
        "SELECT principal_id, role, scopes, merchant_id FROM principals WHERE key_hash = %s AND revoked_at IS NULL",
        (digest(key),),
        prepare=True,
    )
    return _principal(await cursor.fetchone())


async def read_principal(conn: Connection, principal_id: str) -> Principal | None:
    """Somebody else than the caller; None for whoever may not come any more."""
    cursor = await conn.execute(
        "SELECT principal_id, role, scopes, merchant_id FROM principals WHERE principal_id = %s AND revoked_at IS NULL",
        (principal_id,),
    )
    return _principal(await cursor.fetchone())


def _principal(row: Mapping[str, Any] | None) -> Principal | None:
    if row is None:
        return None
    return Principal(
        principal_id=row["principal_id"],
        role=Role(row["role"]),
        scopes=frozenset(Scope(scope) for scope in row["scopes"]),
        merchant_id=row["merchant_id"],
        order_id=None,
    )


async def upsert_principal(conn: Connection, principal: Mapping[str, Any], key: str) -> None:
    await conn.execute(
        """
        INSERT INTO principals (principal_id, key_hash, role, scopes, merchant_id, display_name)
        VALUES (%(principal_id)s, %(key_hash)s, %(role)s, %(scopes)s, %(merchant_id)s, %(display_name)s)
        ON CONFLICT (principal_id) DO UPDATE SET key_hash = excluded.key_hash, role = excluded.role, scopes = excluded.scopes,
            merchant_id = excluded.merchant_id, display_name = excluded.display_name
        """,
        {**principal, "key_hash": digest(key)},
    )
