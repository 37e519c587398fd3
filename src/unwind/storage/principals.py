"""Who may call by API key. Keys are stored as digests only; a principal may have two, so that they can be changed without a gap."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from unwind.domain.access import Principal, Role, Scope, with_following
from unwind.domain.errors import require
from unwind.storage.database import Connection


def digest(key: str) -> bytes:
    """Keys are random and long, so a plain hash is enough."""
    return hashlib.sha256(key.encode()).digest()


async def find_principal(conn: Connection, key: str) -> Principal | None:
    cursor = await conn.execute(
        """
        SELECT p.principal_id, p.role, p.scopes, p.merchant_id FROM api_keys k JOIN principals p USING (principal_id)
        WHERE k.key_hash = %s AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > unwind_now()) AND p.revoked_at IS NULL
        """,
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
    role = Role(row["role"])
    return Principal(
        principal_id=row["principal_id"],
        role=role,
        scopes=with_following(role, frozenset(Scope(scope) for scope in row["scopes"])),
        merchant_id=row["merchant_id"],
        order_id=None,
    )


async def upsert_principal(conn: Connection, principal: Mapping[str, Any], key: str) -> None:
    """The principal and its one key; keys it had before end."""
    require(await put_principal(conn, principal, kind="key"), "name_taken")
    await conn.execute(
        "UPDATE api_keys SET revoked_at = unwind_now() WHERE principal_id = %s AND revoked_at IS NULL AND key_hash <> %s",
        (principal["principal_id"], digest(key)),
    )
    await conn.execute(
        """
        INSERT INTO api_keys (key_id, principal_id, key_hash, created_at, created_by)
        VALUES (%s, %s, %s, unwind_now(), 'system:unwind') ON CONFLICT (key_hash) DO UPDATE SET revoked_at = NULL
        """,
        (f"k-{digest(key).hex()[:12]}", principal["principal_id"], digest(key)),
    )


async def put_principal(conn: Connection, principal: Mapping[str, Any], *, kind: str) -> bool:
    """False where the name is one of another kind: a key must not rise with the person whose name it bears."""
    cursor = await conn.execute(
        """
        INSERT INTO principals AS p (principal_id, kind, role, scopes, merchant_id, display_name)
        VALUES (%(principal_id)s, %(kind)s, %(role)s, %(scopes)s, %(merchant_id)s, %(display_name)s)
        ON CONFLICT (principal_id) DO UPDATE SET role = excluded.role, scopes = excluded.scopes,
            merchant_id = excluded.merchant_id, display_name = excluded.display_name WHERE p.kind = excluded.kind
        """,
        {**principal, "kind": kind},
    )
    return cursor.rowcount == 1


async def add_principal(conn: Connection, principal: Mapping[str, Any], *, kind: str) -> bool:
    """False where the name is taken, also by somebody who takes it at this moment."""
    cursor = await conn.execute(
        """
        INSERT INTO principals (principal_id, kind, role, scopes, merchant_id, display_name)
        VALUES (%(principal_id)s, %(kind)s, %(role)s, %(scopes)s, %(merchant_id)s, %(display_name)s)
        ON CONFLICT (principal_id) DO NOTHING
        """,
        {**principal, "kind": kind},
    )
    return cursor.rowcount == 1


async def lock_principal(conn: Connection, principal_id: str, *, kind: str) -> dict[str, Any] | None:
    """For its change. None where there is none of that kind."""
    cursor = await conn.execute(
        "SELECT principal_id, role, scopes, merchant_id, display_name, revoked_at FROM principals"
        " WHERE principal_id = %s AND kind = %s FOR NO KEY UPDATE",
        (principal_id, kind),
    )
    return await cursor.fetchone()


async def revoke_principal(conn: Connection, principal_id: str) -> None:
    await conn.execute(
        "UPDATE principals SET revoked_at = unwind_now() WHERE principal_id = %s AND revoked_at IS NULL",
        (principal_id,),
    )


async def restore_principal(conn: Connection, principal_id: str) -> None:
    await conn.execute("UPDATE principals SET revoked_at = NULL WHERE principal_id = %s", (principal_id,))


async def add_key(
    conn: Connection, principal_id: str, key: str, *, key_id: str, by: str, expires_at: datetime | None
) -> None:
    await conn.execute(
        """
        INSERT INTO api_keys (key_id, principal_id, key_hash, created_at, created_by, expires_at)
        VALUES (%s, %s, %s, unwind_now(), %s, %s)
        """,
        (key_id, principal_id, digest(key), by, expires_at),
    )


async def end_older_keys(conn: Connection, principal_id: str, *, keep: int) -> int:
    """All but the newest `keep` valid ones end now."""
    cursor = await conn.execute(
        """
        UPDATE api_keys SET revoked_at = unwind_now() WHERE revoked_at IS NULL AND key_id IN (
            SELECT key_id FROM api_keys WHERE principal_id = %s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > unwind_now())
            ORDER BY created_at DESC, key_id OFFSET %s)
        """,
        (principal_id, keep),
    )
    return cursor.rowcount


async def end_key(conn: Connection, principal_id: str, key_id: str) -> bool:
    cursor = await conn.execute(
        "UPDATE api_keys SET revoked_at = unwind_now() WHERE principal_id = %s AND key_id = %s AND revoked_at IS NULL",
        (principal_id, key_id),
    )
    return cursor.rowcount == 1


async def list_keys(conn: Connection, *, merchant_id: str | None) -> list[dict[str, Any]]:
    """Principals that call by key, with their keys, ended ones too: ids and times, nothing of a key itself."""
    cursor = await conn.execute(
        """
        SELECT p.principal_id, p.role, p.scopes, p.merchant_id, p.display_name, p.revoked_at,
            coalesce(jsonb_agg(jsonb_build_object('key_id', k.key_id, 'created_at', k.created_at, 'created_by', k.created_by,
                'expires_at', k.expires_at, 'revoked_at', k.revoked_at) ORDER BY k.created_at) FILTER (WHERE k.key_id IS NOT NULL), '[]') AS keys
        FROM principals p LEFT JOIN api_keys k USING (principal_id)
        WHERE p.kind = 'key' AND (%(m)s::text IS NULL OR p.merchant_id = %(m)s)
        GROUP BY p.principal_id ORDER BY p.principal_id
        """,
        {"m": merchant_id},
    )
    return await cursor.fetchall()
