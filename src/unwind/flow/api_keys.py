"""API keys: made by administrators, shown once, changed without a gap, ended at once."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from unwind.domain.access import KEY_ROLES, Principal, Role, Scope, authorise, key_scopes
from unwind.domain.errors import Refusal, require
from unwind.flow.chronicle import clock
from unwind.flow.services import Services
from unwind.storage import door, merchants, principals
from unwind.storage.database import Connection

KEY_PREFIX = "uk_"
VALID_AT_ONCE = 2


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class NewKey:
    principal_id: str
    key_id: str
    key: str
    """Shown this once."""


async def create(
    services: Services,
    by: Principal,
    *,
    principal_id: str,
    role: Role,
    scopes: Collection[Scope] | None,
    merchant_id: str | None,
    display_name: str,
    expires_at: datetime | None,
) -> NewKey:
    """`scopes`: None for all that a key of the role may hold."""
    authorise(by, Scope.ADMIN, merchant_id=merchant_id, is_platform=merchant_id is None)
    require(role in KEY_ROLES, "role_not_allowed")
    require(role is not Role.MERCHANT or merchant_id is not None, "merchant_needed")
    wanted = key_scopes(role) if scopes is None else frozenset(scopes)
    require(bool(wanted) and wanted <= key_scopes(role), "scopes_exceed_role")
    async with services.database.transaction() as conn:
        if merchant_id is not None:
            require(await merchants.read_merchant(conn, merchant_id) is not None, "unknown_merchant")
        row = {
            "principal_id": principal_id,
            "role": role.value,
            "scopes": sorted(wanted),
            "merchant_id": merchant_id,
            "display_name": display_name,
        }
        require(await principals.add_principal(conn, row, kind="key"), "name_taken")
        made = await _add(conn, by, principal_id, expires_at)
        await door.note(conn, "key_created", principal_id=principal_id, actor=by.actor, detail=made.key_id)
    return made


async def rotate(services: Services, by: Principal, principal_id: str, *, expires_at: datetime | None) -> NewKey:
    """A second key; the one before it stays valid until it is ended, an older one ends now."""
    async with services.database.transaction() as conn:
        row = await _theirs(conn, by, principal_id)
        require(row["revoked_at"] is None, "not_found")
        made = await _add(conn, by, principal_id, expires_at)
        await principals.end_older_keys(conn, principal_id, keep=VALID_AT_ONCE)
        await door.note(conn, "key_rotated", principal_id=principal_id, actor=by.actor, detail=made.key_id)
    return made


async def end_key(services: Services, by: Principal, principal_id: str, key_id: str) -> None:
    async with services.database.transaction() as conn:
        await _theirs(conn, by, principal_id)
        require(await principals.end_key(conn, principal_id, key_id), "not_found")
        await door.note(conn, "key_ended", principal_id=principal_id, actor=by.actor, detail=key_id)


async def revoke(services: Services, by: Principal, principal_id: str) -> None:
    """All of its keys, and the name itself: nobody calls by it any more."""
    async with services.database.transaction() as conn:
        await _theirs(conn, by, principal_id)
        await principals.end_older_keys(conn, principal_id, keep=0)
        await principals.revoke_principal(conn, principal_id)
        await door.note(conn, "key_revoked", principal_id=principal_id, actor=by.actor)


async def _add(conn: Connection, by: Principal, principal_id: str, expires_at: datetime | None) -> NewKey:
    require(expires_at is None or expires_at > await clock(conn), "already_over")
    key, key_id = f"{KEY_PREFIX}{secrets.token_urlsafe(32)}", f"k-{secrets.token_hex(6)}"
    await principals.add_key(conn, principal_id, key, key_id=key_id, by=by.actor, expires_at=expires_at)
    return NewKey(principal_id=principal_id, key_id=key_id, key=key)


async def _theirs(conn: Connection, by: Principal, principal_id: str) -> dict[str, Any]:
    authorise(by, Scope.ADMIN)
    row = await principals.lock_principal(conn, principal_id, kind="key")
    if row is None:
        raise Refusal("not_found")
    require(by.merchant_id is None or row["merchant_id"] == by.merchant_id, "not_found")
    return row
