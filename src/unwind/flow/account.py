"""What people do about their own account: sign out, another password, a second factor."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyotp

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.errors import Refusal, require
from unwind.domain.sign_in import require_good_password
from unwind.flow.chronicle import clock
from unwind.flow.passwords import hash_password, is_password
from unwind.flow.second_factor import context_of, digest_of, new_recovery_codes, step_of
from unwind.flow.services import Services
from unwind.flow.sign_in import Opened, count_guess, let_in
from unwind.storage import door, staff

ISSUER = "Unwind"


async def sign_out(services: Services, principal: Principal, *, session_id: str | None = None) -> None:
    """This session, or another one of the same person."""
    authorise(principal, Scope.ACCOUNT)
    async with services.database.transaction() as conn:
        named = session_id or principal.session_id
        ended = await staff.end_sessions(conn, principal.principal_id, why="signed_out", session_id=named)
        require(ended == 1, "not_found")
        await door.note(
            conn, "signed_out", principal_id=principal.principal_id, actor=principal.actor, detail=named or ""
        )


async def require_account(services: Services, principal: Principal) -> Mapping[str, Any]:
    async with services.database.connection() as conn:
        account = await staff.read_account(conn, principal.principal_id)
    if account is None:
        raise Refusal("not_found")
    return account


async def change_password(services: Services, principal: Principal, *, current: str, new: str, source: str) -> Opened:
    """Every session ends, this one too; the new one is in the answer."""
    authorise(principal, Scope.ACCOUNT)
    account = await require_account(services, principal)
    require(account["login"] is not None, "account_is_elsewhere")
    require_good_password(new, login=account["login"], rules=services.sign_in)
    await count_guess(services, account["login"], source)
    require(await is_password(account["password_hash"], current), "sign_in_refused")
    require(new != current, "password_is_the_same")
    hashed = await hash_password(new)
    async with services.database.transaction() as conn:
        locked = await staff.lock_account(conn, principal.principal_id)
        if locked is None or locked["password_hash"] != account["password_hash"]:
            raise Refusal("stale")
        await staff.set_password(conn, principal.principal_id, hashed, must_change=False)
        await staff.end_sessions(conn, principal.principal_id, why="password")
        await door.note(conn, "password_changed", principal_id=principal.principal_id, actor=principal.actor)
        return await let_in(conn, services, {**locked, "must_change": False}, source)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Enrolment:
    """Shown once, for the app."""

    secret: str
    address: str
    """`otpauth://`, as the QR code carries it."""


async def begin_second_factor(services: Services, principal: Principal, *, password: str, source: str) -> Enrolment:
    """A new secret that waits for its first code. The password is asked again: a screen left open must not lose its owner the account."""
    authorise(principal, Scope.ACCOUNT)
    account = await require_account(services, principal)
    require(account["login"] is not None, "account_is_elsewhere")
    await count_guess(services, account["login"], source)
    require(await is_password(account["password_hash"], password), "sign_in_refused")
    secret = pyotp.random_base32()
    async with services.database.transaction() as conn:
        await door.forget_attempts(conn, "account", services.vault.blind("login", account["login"]))
        await door.give_back_attempt(conn, "source", services.vault.blind("source", source))
        await staff.begin_second_factor(
            conn, principal.principal_id, services.vault.seal(context_of(principal.principal_id), secret.encode())
        )
    uri = pyotp.TOTP(secret).provisioning_uri(name=account["login"], issuer_name=ISSUER)
    return Enrolment(secret=secret, address=uri)


async def confirm_second_factor(services: Services, principal: Principal, *, code: str) -> list[str]:
    """The app shows the right code, so it holds from now on. Returns new recovery codes; every other session ends."""
    authorise(principal, Scope.ACCOUNT)
    async with services.database.transaction() as conn:
        account = await staff.lock_account(conn, principal.principal_id)
        if account is None or account["totp_pending"] is None:
            raise Refusal("no_enrolment")
        secret = services.vault.unseal(context_of(principal.principal_id), account["totp_pending"]).decode()
        step = step_of(secret, code, await clock(conn), after=0)
        if step is None:
            raise Refusal("code_wrong")
        codes = new_recovery_codes()
        digests = [digest_of(services.vault, one) for one in codes]
        await staff.confirm_second_factor(conn, principal.principal_id, step=step, codes=digests)
        await staff.has_second_factor_now(conn, principal.session_id or "")
        await staff.end_sessions(conn, principal.principal_id, why="second_factor", besides=principal.session_id)
        await door.note(conn, "second_factor_set", principal_id=principal.principal_id, actor=principal.actor)
    return codes
