"""Who is calling: an API key (`uk_...`), or a buyer's signed, short-lived token for one order (`ub_...`)."""

import base64
import hashlib
import hmac
import json
import time
from typing import Annotated, Any

from fastapi import Depends, Request

from unwind.domain.access import SCOPES_OF, Principal, Role, StoreEntry
from unwind.domain.errors import Refusal
from unwind.flow.services import Services
from unwind.storage.principals import find_principal

KEY_CACHE_S = 15.0
"""A revoked key stops working after at most this long."""
DEMO_PREFIX = "uk_demo_"
"""Published keys; refused by every process that does not run the demo, whatever the database says."""
TOKEN_PREFIX = "ub_"  # noqa: S105 - a prefix, not a secret
LINK_PREFIX = "us_"


async def services_of(request: Request) -> Services:
    """Async although it waits for nothing: a plain function would be sent to a thread for every request."""
    services: Services = request.app.state.services
    return services


def mint_buyer_token(key: bytes, *, order_id: str, expires_at: int, store: StoreEntry | None = None) -> str:
    """`expires_at`: Unix seconds. The shop asks for it on behalf of a signed-in buyer; `store`: for one who stands at a counter."""
    claims = [] if store is None else [store.store_id, store.operator_id]
    payload = _packed([order_id, expires_at, *claims])
    return f"{TOKEN_PREFIX}{payload}.{_signature(key, payload)}"


def read_buyer_token(key: bytes, token: str, *, now: float) -> Principal:
    payload, _, signature = token.removeprefix(TOKEN_PREFIX).partition(".")
    if not _is_signed(signature, _signature(key, payload)):
        raise Refusal("unauthorised")
    order_id, expires_at, *claims = _unpacked(payload)
    if expires_at < now:
        raise Refusal("token_expired")
    return Principal(
        principal_id=f"buyer-of-{order_id}",
        role=Role.BUYER,
        scopes=SCOPES_OF[Role.BUYER],
        merchant_id=None,
        order_id=order_id,
        store=StoreEntry(store_id=claims[0], operator_id=claims[1]) if claims else None,
    )


def mint_store_link(key: bytes, *, order_id: str, store: StoreEntry, expires_at: int) -> str:
    """What a receipt shows. Signed with its prefix, so that it is no token and no token is a link."""
    signed = f"{LINK_PREFIX}{_packed([order_id, expires_at, store.store_id, store.operator_id])}"
    return f"{signed}.{_signature(key, signed)}"


def read_store_link(key: bytes, link: str, *, now: float) -> tuple[str, StoreEntry]:
    """(order, counter)."""
    signed, _, signature = link.partition(".")
    if not signed.startswith(LINK_PREFIX) or not _is_signed(signature, _signature(key, signed)):
        raise Refusal("unauthorised")
    order_id, expires_at, store_id, operator_id = _unpacked(signed.removeprefix(LINK_PREFIX))
    if expires_at < now:
        raise Refusal("token_expired")
    return order_id, StoreEntry(store_id=store_id, operator_id=operator_id)


def _packed(values: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _unpacked(payload: str) -> list[Any]:
    values: list[Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return values


def _is_signed(given: str, expected: str) -> bool:
    """As bytes: what was given may hold any character."""
    return hmac.compare_digest(given.encode(), expected.encode())


def _signature(key: bytes, payload: str) -> str:
    return hmac.new(key, payload.encode(), hashlib.sha256).hexdigest()


class KeyCache:
    """Principals by API key, for a few seconds, so that the hot path need not ask the database who is calling."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, Principal]] = {}

    async def find(self, services: Services, key: str) -> Principal | None:
        cached = self._known.get(key)
        now = time.monotonic()
        if cached is not None and now - cached[0] < KEY_CACHE_S:
            return cached[1]
        async with services.database.connection() as conn:
            principal = await find_principal(conn, key)
        if principal is None:
            self._known.pop(key, None)
            return None
        self._known[key] = (now, principal)
        return principal


async def who(request: Request) -> Principal:
    """Refuses with `unauthorised` whoever cannot show who they are."""
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not credential:
        raise Refusal("unauthorised")
    services: Services = request.app.state.services
    if credential.startswith(TOKEN_PREFIX):
        return read_buyer_token(services.vault.token_key, credential, now=time.time())
    if credential.startswith(DEMO_PREFIX) and not request.app.state.is_demo:
        raise Refusal("unauthorised")
    cache: KeyCache = request.app.state.keys
    principal = await cache.find(services, credential)
    if principal is None:
        raise Refusal("unauthorised")
    return principal


Caller = Annotated[Principal, Depends(who)]
Wired = Annotated[Services, Depends(services_of)]
