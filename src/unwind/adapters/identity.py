"""OpenID Connect: code flow with PKCE. Discovery, keys and tokens are fetched; a token proves somebody only after every check below.

The protocol's parameters are Authlib's, signatures and claims joserfc's (the same house's successor of `authlib.jose`).
"""

import time
from collections.abc import Mapping
from typing import Any

import httpx
from authlib.oauth2.rfc6749.parameters import (  # type: ignore[import-untyped]  # ships no types
    prepare_grant_uri,
    prepare_token_request,
)
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]  # same
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from unwind.domain.access import STAFF_ROLES, Role
from unwind.ports.identity import Identity, IdentityRefused

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
"""No `none`, and nothing symmetric: whoever can read our secret must not be able to sign."""
LEEWAY_S = 60
KEYS_KEPT_S = 3600.0
KEYS_AGAIN_S = 30.0
"""An unknown key makes us fetch the set again, at most this often: providers change keys, and strangers make up key ids."""
TIMEOUT_S = 10.0


class OidcSettings(BaseModel):
    """`oidc.json` in the data folder."""

    model_config = ConfigDict(extra="forbid")

    issuer: str = Field(pattern=r"^https?://")
    client_id: str = Field(min_length=1)
    client_secret: SecretStr
    scopes: str = "openid profile"
    role_claim: str = "groups"
    """The claim with the person's groups; a dot goes into an object."""
    roles: dict[str, Role] = Field(min_length=1)
    """Group -> role; the first row that fits holds."""
    merchant_claim: str = ""
    """The claim with the one merchant the person works for; left out: every merchant."""


class OidcProvider:
    def __init__(
        self, settings: OidcSettings, *, redirect_uri: str, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._settings = settings
        self._redirect_uri = redirect_uri
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S, transport=transport, follow_redirects=False)
        self._discovered: Mapping[str, Any] | None = None
        self._keys: KeySet | None = None
        self._keys_at = 0.0

    async def close(self) -> None:
        await self._client.aclose()

    async def sign_in_address(self, *, state: str, nonce: str, verifier: str) -> str:
        found = await self._discover()
        address: str = prepare_grant_uri(
            found["authorization_endpoint"],
            client_id=self._settings.client_id,
            response_type="code",
            redirect_uri=self._redirect_uri,
            scope=self._settings.scopes,
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return address

    async def redeem(self, *, code: str, nonce: str, verifier: str, now_s: int) -> Identity:
        found = await self._discover()
        body = prepare_token_request(
            "authorization_code", redirect_uri=self._redirect_uri, code=code, code_verifier=verifier
        )
        answer = await self._ask(
            "POST",
            found["token_endpoint"],
            content=body,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            auth=(self._settings.client_id, self._settings.client_secret.get_secret_value()),
        )
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise IdentityRefused("no_id_token")
        return self._identity(self._checked(await self._opened(token), nonce=nonce, now_s=now_s))

    async def _opened(self, token: str) -> dict[str, Any]:
        """Its claims, once the signature holds by one of the provider's keys."""
        for is_last in (False, True):
            keys = await self._key_set(is_fresh=is_last)
            try:
                return dict(jwt.decode(token, keys, algorithms=ALGORITHMS).claims)
            except (JoseError, ValueError, TypeError, KeyError) as error:
                if is_last:
                    raise IdentityRefused("signature") from error
        raise IdentityRefused("signature")

    def _checked(self, claims: dict[str, Any], *, nonce: str, now_s: int) -> dict[str, Any]:
        audience = claims.get("aud")
        is_shared = isinstance(audience, list) and len(audience) > 1
        checks = jwt.JWTClaimsRegistry(
            now=now_s,
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._settings.issuer},
            aud={"essential": True, "value": self._settings.client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
            azp={"essential": is_shared, "value": self._settings.client_id},
        )
        try:
            checks.validate(claims)
        except JoseError as error:
            claim = getattr(error, "claim", None) or ("exp" if "exp" in type(error).__name__.lower() else "claims")
            raise IdentityRefused(f"claim_{claim}") from error
        return claims

    def _identity(self, claims: dict[str, Any]) -> Identity:
        groups = _at(claims, self._settings.role_claim)
        held = {groups} if isinstance(groups, str) else {str(one) for one in groups or ()}
        role = next((role for group, role in self._settings.roles.items() if group in held), None)
        merchant = _at(claims, self._settings.merchant_claim) if self._settings.merchant_claim else None
        if self._settings.merchant_claim and not isinstance(merchant, str):
            role = None  # without the claim a person of one shop would be one of all shops
        return Identity(
            issuer=self._settings.issuer,
            subject=claims["sub"],
            display_name=str(claims.get("name") or claims.get("preferred_username") or "")[:100],
            role=role if role in STAFF_ROLES else None,
            merchant_id=merchant if isinstance(merchant, str) else None,
        )

    async def _discover(self) -> Mapping[str, Any]:
        if self._discovered is None:
            issuer = self._settings.issuer.rstrip("/")
            found = await self._ask("GET", f"{issuer}/.well-known/openid-configuration")
            wanted = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            if found.get("issuer") != self._settings.issuer or not all(isinstance(found.get(k), str) for k in wanted):
                raise IdentityRefused("discovery")
            self._discovered = found
        return self._discovered

    async def _key_set(self, *, is_fresh: bool) -> KeySet:
        age_s = time.monotonic() - self._keys_at
        if self._keys is None or age_s > (KEYS_AGAIN_S if is_fresh else KEYS_KEPT_S):
            found = await self._ask("GET", (await self._discover())["jwks_uri"])
            try:
                self._keys = KeySet.import_key_set({"keys": found["keys"]})
            except (JoseError, KeyError, ValueError, TypeError) as error:
                raise IdentityRefused("keys") from error
            self._keys_at = time.monotonic()
        return self._keys

    async def _ask(self, method: str, url: str, **given: Any) -> dict[str, Any]:
        try:
            response = await self._client.request(method, url, **given)
            body = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise IdentityRefused("unreachable") from error
        if not response.is_success or not isinstance(body, dict):
            raise IdentityRefused("provider_refused")
        return body


def _at(claims: Mapping[str, Any], path: str) -> Any:
    value: Any = claims
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value
