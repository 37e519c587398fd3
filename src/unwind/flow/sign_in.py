"""People come in: password and second factor, counted before they are looked at; a session; and out again.

    count the attempt - commit - compare the password, away from the database - lock the account - second factor - session - commit

Whoever has no account is compared with a password all the same and gets the same answer.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from unwind.domain.access import SCOPES_OF, Principal, Role, Scope
from unwind.domain.errors import Refusal, require
from unwind.domain.sign_in import (
    ACCOUNT_ATTEMPTS_MAX,
    ATTEMPT_WINDOW,
    DEMO_PASSWORD_PREFIX,
    PASSWORD_LENGTH_MAX,
    SOURCE_ATTEMPTS_MAX,
    Need,
    need_of,
    normalise_login,
)
from unwind.flow.chronicle import clock
from unwind.flow.passwords import hash_password, is_outdated, is_password
from unwind.flow.second_factor import is_code
from unwind.flow.services import Services
from unwind.storage import door, staff
from unwind.storage.database import Connection
from unwind.storage.principals import digest

SESSION_PREFIX = "us_"
NOBODY = "nobody"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Opened:
    """A session that has just begun; its token is shown this once."""

    token: str
    session_id: str
    expires_at: datetime
    needs: Need


async def sign_in(services: Services, *, login: str, password: str, code: str | None, source: str) -> Opened:
    """`source`: the address the attempt comes from. Refuses with `sign_in_refused` whatever is wrong, and `too_many_attempts`."""
    name = normalise_login(login)
    await count_guess(services, name, source)
    async with services.database.connection() as conn:
        account = await staff.account_by_login(conn, name)
    is_usable = account is not None and account["revoked_at"] is None and len(password) <= PASSWORD_LENGTH_MAX
    stored = account["password_hash"] if account is not None and is_usable else None
    is_right = await is_password(stored, password[:PASSWORD_LENGTH_MAX])
    is_public = password.casefold().startswith(DEMO_PASSWORD_PREFIX) and not services.sign_in.is_demo
    if account is None or not is_right or is_public:
        await _refused(services, account, source, "password")
        raise Refusal("sign_in_refused")
    opened = await _with_second_factor(services, account, code, source)
    if is_outdated(account["password_hash"]):
        renewed = await hash_password(password)
        async with services.database.connection() as conn:
            await staff.rehash(conn, account["principal_id"], old=account["password_hash"], new=renewed)
    return opened


async def count_guess(services: Services, login: str, source: str) -> None:
    """Before anything is compared, in a transaction of its own: parallel guesses in several processes share one count."""
    by = {"account": services.vault.blind("login", login), "source": services.vault.blind("source", source)}
    limits = {"account": ACCOUNT_ATTEMPTS_MAX, "source": SOURCE_ATTEMPTS_MAX}
    async with services.database.transaction() as conn:
        counted = {kind: await door.count_attempt(conn, kind, key, window=ATTEMPT_WINDOW) for kind, key in by.items()}
        for kind, attempts in counted.items():
            if attempts == limits[kind] + 1:
                account = await staff.account_by_login(conn, login) if kind == "account" else None
                who = account["principal_id"] if account else None
                await door.note(conn, "locked", principal_id=who, actor=NOBODY, source=by["source"], detail=kind)
    require(all(attempts <= limits[kind] for kind, attempts in counted.items()), "too_many_attempts")


async def _with_second_factor(services: Services, seen: Mapping[str, Any], code: str | None, source: str) -> Opened:
    """The password was right. Everything that may have changed meanwhile is looked at again under the lock."""
    has_code = True
    async with services.database.transaction() as conn:
        account = await staff.lock_account(conn, seen["principal_id"])
        is_same = account is not None and account["revoked_at"] is None
        if account is None or not is_same or account["password_hash"] != seen["password_hash"]:
            raise Refusal("sign_in_refused")
        if account["totp_secret"] is not None:
            if not code:
                await door.give_back_attempt(conn, "source", services.vault.blind("source", source))
            has_code = bool(code) and await is_code(conn, services.vault, account, code or "", await clock(conn))
        if has_code:
            return await let_in(conn, services, account, source)
    if not code:
        raise Refusal("second_factor_needed")
    await _refused(services, seen, source, "second_factor")
    raise Refusal("sign_in_refused")


async def let_in(conn: Connection, services: Services, account: Mapping[str, Any], source: str) -> Opened:
    await door.forget_attempts(conn, "account", services.vault.blind("login", account["login"]))
    await door.give_back_attempt(conn, "source", services.vault.blind("source", source))
    return await open_session(conn, services, account, method="password", source=source)


async def _refused(services: Services, account: Mapping[str, Any] | None, source: str, detail: str) -> None:
    async with services.database.connection() as conn:
        who = account["principal_id"] if account else None
        digest_of_source = services.vault.blind("source", source)
        await door.note(conn, "refused", principal_id=who, actor=NOBODY, source=digest_of_source, detail=detail)


async def open_session(
    conn: Connection, services: Services, account: Mapping[str, Any], *, method: str, source: str
) -> Opened:
    rules = services.sign_in
    needs = Need.NOTHING
    if method == "password":
        has_second = account["totp_secret"] is not None
        needs = need_of(must_change=account["must_change"], has_second_factor=has_second, rules=rules)
    token = f"{SESSION_PREFIX}{secrets.token_urlsafe(32)}"
    session_id = f"s-{secrets.token_hex(8)}"
    expires_at = await staff.open_session(
        conn,
        session_id=session_id,
        token_digest=digest(token),
        principal_id=account["principal_id"],
        method=method,
        needs=needs,
        longest=rules.longest,
    )
    await door.note(
        conn,
        "signed_in",
        principal_id=account["principal_id"],
        actor=f"{account['role']}:{account['principal_id']}",
        source=services.vault.blind("source", source),
        detail=session_id,
    )
    return Opened(token=token, session_id=session_id, expires_at=expires_at, needs=needs)


async def find_session(services: Services, token: str) -> tuple[Principal, Mapping[str, Any]] | None:
    """Asked at every request, so that whatever ends a session ends it at once. One that still needs something may do nothing else."""
    async with services.database.connection() as conn:
        row = await staff.find_session(conn, digest(token), idle=services.sign_in.idle)
    if row is None:
        return None
    role = Role(row["role"])
    principal = Principal(
        principal_id=row["principal_id"],
        role=role,
        scopes=frozenset({Scope.ACCOUNT}) if row["needs"] else SCOPES_OF[role],
        merchant_id=row["merchant_id"],
        order_id=None,
        session_id=row["session_id"],
    )
    return principal, row
