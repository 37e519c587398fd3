"""Administrators look after the accounts of people. Whatever they change ends that person's sessions in the same transaction."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unwind.domain.access import SCOPES_OF, STAFF_ROLES, Principal, Role, Scope, authorise
from unwind.domain.errors import Refusal, require
from unwind.domain.sign_in import normalise_login, require_good_password
from unwind.flow.passwords import hash_password, new_password
from unwind.flow.services import Services
from unwind.storage import door, merchants, principals, staff
from unwind.storage.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class NewPassword:
    """Shown once; its owner changes it at the first sign-in."""

    principal_id: str
    password: str


def new_principal_id() -> str:
    """Opaque, because the history and the logs carry it."""
    return f"p-{base64.b32encode(secrets.token_bytes(8)).decode().rstrip('=').lower()}"


def require_sound(role: Role, merchant_id: str | None) -> None:
    require(role in STAFF_ROLES, "role_not_allowed")
    require(role is not Role.MERCHANT or merchant_id is not None, "merchant_needed")


async def add(
    services: Services,
    by: Principal,
    *,
    login: str,
    role: Role,
    merchant_id: str | None,
    display_name: str,
    password: str | None = None,
    is_final: bool = False,
) -> NewPassword:
    """`password`: None makes one. `is_final`: it need not be changed at the first sign-in (the demo's)."""
    authorise(by, Scope.ADMIN, merchant_id=merchant_id, is_platform=merchant_id is None)
    require_sound(role, merchant_id)
    name = normalise_login(login)
    require(bool(name), "invalid")
    given = new_password() if password is None else password
    require_good_password(given, login=name, rules=services.sign_in)
    hashed = await hash_password(given)
    principal_id = new_principal_id()
    async with services.database.transaction() as conn:
        await _require_merchant(conn, merchant_id)
        row = principal_row(principal_id, role, merchant_id, display_name)
        require(await principals.add_principal(conn, row, kind="staff"), "name_taken")
        is_new = await staff.add_staff(
            conn, principal_id, by=by.actor, login=name, password_hash=hashed, must_change=not is_final
        )
        require(is_new, "login_taken")
        await door.note(conn, "account_added", principal_id=principal_id, actor=by.actor, detail=role.value)
    return NewPassword(principal_id=principal_id, password=given)


def principal_row(principal_id: str, role: Role, merchant_id: str | None, display_name: str) -> dict[str, Any]:
    return {
        "principal_id": principal_id,
        "role": role.value,
        "scopes": sorted(SCOPES_OF[role]),
        "merchant_id": merchant_id,
        "display_name": display_name,
    }


async def change(
    services: Services,
    by: Principal,
    principal_id: str,
    *,
    role: Role | None,
    merchant_id: str | None,
    display_name: str | None,
) -> None:
    """Role and shop go together: a new role says again whose it is, and a shop alone is refused rather than left out."""
    require(role is not None or merchant_id is None, "invalid", field="role")
    async with services.database.transaction() as conn:
        before = await _theirs(conn, by, principal_id)
        moved = role is not None
        new_role = role or Role(before["role"])
        new_merchant = merchant_id if moved else before["merchant_id"]
        authorise(by, Scope.ADMIN, merchant_id=new_merchant, is_platform=new_merchant is None)
        require_sound(new_role, new_merchant)
        require(not moved or principal_id != by.principal_id, "not_yourself")
        await _require_merchant(conn, new_merchant)
        name = display_name or before["display_name"]
        row = principal_row(principal_id, new_role, new_merchant, name)
        require(await principals.put_principal(conn, row, kind="staff"), "name_taken")
        if moved:
            await staff.end_sessions(conn, principal_id, why="role")
            await door.note(conn, "role_changed", principal_id=principal_id, actor=by.actor, detail=new_role.value)


async def reset_password(
    services: Services, by: Principal, principal_id: str, *, drops_second_factor: bool, password: str | None = None
) -> NewPassword:
    """For people who forgot it, or who are locked out: a new one for once, and the count of attempts begins anew."""
    given = new_password() if password is None else password
    hashed = await hash_password(given)
    async with services.database.transaction() as conn:
        await _theirs(conn, by, principal_id)
        account = await staff.lock_account(conn, principal_id)
        if account is None or account["login"] is None:
            raise Refusal("account_is_elsewhere")
        require_good_password(given, login=account["login"], rules=services.sign_in)
        await staff.set_password(conn, principal_id, hashed, must_change=True)
        if drops_second_factor:
            await staff.drop_second_factor(conn, principal_id)
        await staff.end_sessions(conn, principal_id, why="reset")
        await door.forget_attempts(conn, "account", services.vault.blind("login", account["login"]))
        detail = "with_second_factor" if drops_second_factor else ""
        await door.note(conn, "password_reset", principal_id=principal_id, actor=by.actor, detail=detail)
    return NewPassword(principal_id=principal_id, password=given)


async def deactivate(services: Services, by: Principal, principal_id: str) -> None:
    async with services.database.transaction() as conn:
        await _theirs(conn, by, principal_id)
        require(principal_id != by.principal_id, "not_yourself")
        await principals.revoke_principal(conn, principal_id)
        await staff.end_sessions(conn, principal_id, why="deactivated")
        await door.note(conn, "deactivated", principal_id=principal_id, actor=by.actor)


async def activate(services: Services, by: Principal, principal_id: str) -> None:
    async with services.database.transaction() as conn:
        await _theirs(conn, by, principal_id)
        await principals.restore_principal(conn, principal_id)
        await door.note(conn, "activated", principal_id=principal_id, actor=by.actor)


async def end_sessions(services: Services, by: Principal, principal_id: str) -> int:
    async with services.database.transaction() as conn:
        await _theirs(conn, by, principal_id)
        ended = await staff.end_sessions(conn, principal_id, why="ended_by_admin")
        await door.note(conn, "sessions_ended", principal_id=principal_id, actor=by.actor)
    return ended


async def sessions_of(services: Services, by: Principal, principal_id: str) -> list[dict[str, Any]]:
    async with services.database.transaction() as conn:
        await _theirs(conn, by, principal_id, scope=Scope.AUDIT_READ)
        return await staff.live_sessions(conn, principal_id, idle=services.sign_in.idle)


async def _theirs(
    conn: Connection, by: Principal, principal_id: str, *, scope: Scope = Scope.ADMIN
) -> Mapping[str, Any]:
    """The account, locked, if the asker may touch it."""
    authorise(by, scope)
    account = await staff.lock_account(conn, principal_id)
    if account is None:
        raise Refusal("not_found")
    require(by.merchant_id is None or account["merchant_id"] == by.merchant_id, "not_found")
    return account


async def _require_merchant(conn: Connection, merchant_id: str | None) -> None:
    if merchant_id is not None:
        require(await merchants.read_merchant(conn, merchant_id) is not None, "unknown_merchant")
