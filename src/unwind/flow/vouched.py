"""People whom the company's identity provider vouches for (OpenID Connect). Their account is made, and brought up to date, when they come in.

    state to the browser and its digest to the database -> the provider -> back with a code: state taken, once -> code against token -> account

The nonce and the PKCE verifier are worked out from the state by our own key, so nothing secret is stored on the way.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import NoReturn

from unwind.domain.errors import Refusal, require
from unwind.domain.sign_in import OIDC_ROUND_TRIP
from unwind.flow.chronicle import clock
from unwind.flow.services import Services
from unwind.flow.sign_in import NOBODY, Opened, open_session
from unwind.flow.staff import principal_row
from unwind.flow.turns import take_turn
from unwind.ports.identity import Identity, IdentityProvider, IdentityRefused
from unwind.storage import door, merchants, principals, staff
from unwind.storage.database import Connection

ROUND_TRIPS_MAX = 300
"""Of one address, in the time that one may take: a whole office at nine o'clock, and nobody who fills the record of the door."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    address: str
    state: str
    """Also kept by the browser, in a cookie: whoever comes back must be who left."""


async def depart(services: Services, *, source: str) -> Departure:
    provider = _provider(services)
    await take_turn(services, "oidc:depart", source, most=ROUND_TRIPS_MAX, per=OIDC_ROUND_TRIP)
    state = secrets.token_urlsafe(32)
    async with services.database.connection() as conn:
        await door.keep_state(conn, services.vault.derive("oidc state", state))
    try:
        address = await provider.sign_in_address(
            state=state, nonce=_derived(services, "nonce", state), verifier=_derived(services, "verifier", state)
        )
    except IdentityRefused:
        raise Refusal("unavailable") from None
    return Departure(address=address, state=state)


async def arrive(services: Services, *, state: str, left_with: str, code: str, source: str) -> Opened:
    """Refuses with `sign_in_refused`; why stands in the record of the door."""
    provider = _provider(services)
    await take_turn(services, "oidc:arrive", source, most=ROUND_TRIPS_MAX, per=OIDC_ROUND_TRIP)
    async with services.database.transaction() as conn:
        is_ours = await door.take_state(conn, services.vault.derive("oidc state", state), life=OIDC_ROUND_TRIP)
        now = await clock(conn)
    if not is_ours or not hmac.compare_digest(state.encode(), left_with.encode()):
        await _refused(services, source, "state")
    try:
        identity = await provider.redeem(
            code=code,
            nonce=_derived(services, "nonce", state),
            verifier=_derived(services, "verifier", state),
            now_s=int(now.timestamp()),
        )
    except IdentityRefused as refused:
        await _refused(services, source, refused.code)
    if identity.role is None:
        await _shut_out(services, identity)
        await _refused(services, source, "no_role")
    async with services.database.transaction() as conn:
        return await _welcome(conn, services, identity, source)


async def _refused(services: Services, source: str, why: str) -> NoReturn:
    async with services.database.connection() as conn:
        where = services.vault.blind("source", source)
        await door.note(conn, "refused", principal_id=None, actor=NOBODY, source=where, detail=why)
    raise Refusal("sign_in_refused")


async def _welcome(conn: Connection, services: Services, identity: Identity, source: str) -> Opened:
    """Role and shop are what the provider says today; sessions from before a change end."""
    assert identity.role is not None  # noqa: S101 - refused before
    principal_id = _principal_id(identity)
    known_shop = identity.merchant_id is None or await merchants.read_merchant(conn, identity.merchant_id) is not None
    require(known_shop and (identity.role != "merchant" or identity.merchant_id is not None), "sign_in_refused")
    before = await staff.lock_account(conn, principal_id)
    row = principal_row(principal_id, identity.role, identity.merchant_id, identity.display_name)
    require(before is None or before["revoked_at"] is None, "sign_in_refused")
    require(await principals.put_principal(conn, row, kind="staff"), "sign_in_refused")
    if before is None:
        await staff.add_staff(conn, principal_id, by="system:oidc", issuer=identity.issuer, subject=identity.subject)
        await door.note(
            conn, "account_added", principal_id=principal_id, actor="system:oidc", detail=identity.role.value
        )
    elif (before["role"], before["merchant_id"]) != (identity.role, identity.merchant_id):
        await staff.end_sessions(conn, principal_id, why="role")
        await door.note(
            conn, "role_changed", principal_id=principal_id, actor="system:oidc", detail=identity.role.value
        )
    account = await staff.lock_account(conn, principal_id)
    assert account is not None  # noqa: S101 - made above
    return await open_session(conn, services, account, method="oidc", source=source)


async def _shut_out(services: Services, identity: Identity) -> None:
    """They had a role and have none any more."""
    async with services.database.transaction() as conn:
        await staff.end_sessions(conn, _principal_id(identity), why="role")


def _principal_id(identity: Identity) -> str:
    """The same person is the same principal, for good, and says nothing about them."""
    of = hashlib.sha256(f"{identity.issuer}\n{identity.subject}".encode()).digest()
    return f"p-{base64.b32encode(of[:10]).decode().lower()}"


def _derived(services: Services, purpose: str, state: str) -> str:
    return base64.urlsafe_b64encode(services.vault.derive(f"oidc {purpose}", state)).decode().rstrip("=")


def _provider(services: Services) -> IdentityProvider:
    if services.identity is None:
        raise Refusal("not_found")
    return services.identity
