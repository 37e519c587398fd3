"""Who is calling: an API key (`uk_...`), or a buyer's signed, short-lived token for one order (`ub_...`)."""

import base64
import hashlib
import hmac
import json
import time
from typing import Annotated

from fastapi import Depends, Request

from unwind.domain.access import SCOPES_OF, Principal, Role
from unwind.domain.errors import Refusal
from unwind.flow.services import Services
from unwind.storage.principals import find_principal

KEY_CACHE_S = 15.0
"""A revoked key stops working after at most this long."""
DEMO_PREFIX = "uk_demo_"
"""Published keys; refused by every process that does not run the demo, whatever the database says."""
TOKEN_PREFIX = "ub_"  # noqa: S105 - a prefix, not a secret


async def services_of(request: Request) -> Services:
    """Async although it waits for nothing: a plain function would be sent to a thread for every request."""
    services: Services = request.app.state.services
    return services


def mint_buyer_token(key: bytes, *, order_id: str, expires_at: int) -> str:
    """`expires_at`: Unix seconds. The shop asks for it on behalf of a signed-in buyer."""
    payload = base64.urlsafe_b64encode(json.dumps([order_id, expires_at]).encode()).decode().rstrip("=")
    return f"{TOKEN_PREFIX}{payload}.{_signature(key, payload)}"


def read_buyer_token(key: bytes, token: str, *, now: float) -> Principal:
    payload, _, signature = token.removeprefix(TOKEN_PREFIX).partition(".")
    if not hmac.compare_digest(signature, _signature(key, payload)):
        raise Refusal("unauthorised")
    order_id, expires_at = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    if expires_at < now:
        raise Refusal("token_expired")
    return Principal(
        principal_id=f"buyer-of-{order_id}",
        role=Role.BUYER,
        scopes=SCOPES_OF[Role.BUYER],
        merchant_id=None,
        order_id=order_id,
    )


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
