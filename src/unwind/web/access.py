"""Who is calling: an API key (`uk_...`), somebody who has signed in (`us_...`, as bearer or cookie), or a buyer's signed, short-lived token for
one order (`ub_...`); and whether that kind of caller may use this operation at all."""

import base64
import hashlib
import hmac
import json
import time
from typing import Annotated, Any

from fastapi import Depends, Request

from unwind.domain.access import SCOPES_OF, Principal, Role, StoreEntry, may
from unwind.domain.errors import Refusal
from unwind.flow.services import Services
from unwind.flow.sign_in import SESSION_PREFIX, find_session
from unwind.storage.principals import find_principal
from unwind.web.rights import RIGHTS

KEY_CACHE_S = 15.0
"""A revoked key stops working after at most this long."""
DEMO_PREFIX = "uk_demo_"
"""Published keys; refused by every process that does not run the demo, whatever the database says."""
TOKEN_PREFIX = "ub_"  # noqa: S105 - a prefix, not a secret
LINK_PREFIX = "sl_"


SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER = "X-Unwind-Request"
"""No form and no foreign page can send it: a cookie alone changes nothing."""


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
    if payload.startswith(LINK_PREFIX) or not _is_signed(signature, _signature(key, payload)):
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

    def forget(self, principal_id: str) -> None:
        """Their keys have changed here: this process does not wait for the cache."""
        self._known = {key: held for key, held in self._known.items() if held[1].principal_id != principal_id}


def cookie_name(services: Services) -> str:
    """`__Host-` binds it to this host and to TLS; browsers refuse that prefix without TLS, which only the demo and loopback do without."""
    return "__Host-unwind" if services.sign_in.is_cookie_secure else "unwind"


async def who(request: Request) -> Principal:
    """Refuses with `unauthorised` whoever cannot show who they are, and with `forbidden` whoever may not use this operation."""
    principal = await _identify(request)
    route = request.scope.get("route")
    path = route.path_format if route is not None else request.scope["path"]
    right = RIGHTS.get((request.method, path)) or ()
    scopes = right if isinstance(right, tuple) else (right,)
    if not any(may(principal, scope) for scope in scopes):
        raise Refusal("forbidden", **({"scope": scopes[0]} if scopes else {}))
    return principal


async def _identify(request: Request) -> Principal:
    services: Services = request.app.state.services
    credential = _bearer(request)
    if credential is None:
        credential = _cookie(request, services)
    if credential.startswith(TOKEN_PREFIX):
        return read_buyer_token(services.vault.token_key, credential, now=time.time())
    if credential.startswith(SESSION_PREFIX):
        found = await find_session(services, credential)
        if found is None:
            raise Refusal("unauthorised")
        principal, request.state.session = found
        return principal
    if credential.startswith(DEMO_PREFIX) and not request.app.state.is_demo:
        raise Refusal("unauthorised")
    cache: KeyCache = request.app.state.keys
    known = await cache.find(services, credential)
    if known is None:
        raise Refusal("unauthorised")
    return known


def _bearer(request: Request) -> str | None:
    """None where no such header was sent. A header of another kind is refused: it must not fall back to a cookie."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, credential = header.partition(" ")
    if scheme.lower() != "bearer" or not credential:
        raise Refusal("unauthorised")
    return credential


def _cookie(request: Request, services: Services) -> str:
    credential = request.cookies.get(cookie_name(services), "")
    if not credential.startswith(SESSION_PREFIX):
        raise Refusal("unauthorised")
    if request.method not in SAFE_METHODS and not request.headers.get(CSRF_HEADER):
        raise Refusal("header_missing", header=CSRF_HEADER)
    return credential


Caller = Annotated[Principal, Depends(who)]
Wired = Annotated[Services, Depends(services_of)]
