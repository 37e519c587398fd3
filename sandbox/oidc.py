"""A company's identity provider: OpenID Connect, code flow with PKCE, tokens with real RSA signatures, and dials for what may go wrong.

Signed by hand from the specification (RFC 7515, 7517, 7636), not by the library that the program checks with.
"""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CODE_LIFE_S = 60
TOKEN_LIFE_S = 300


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@dataclass(slots=True, kw_only=True)
class IdentityProvider:
    """`person`: who is signed in at the provider's own page at the moment. `twist` and `headers` change what the next tokens say."""

    issuer: str
    client_id: str
    client_secret: str
    redirect_uri: str
    key: rsa.RSAPrivateKey
    key_id: str = "k1"
    clock: Callable[[], float] = time.time
    person: dict[str, Any] = field(default_factory=dict)
    twist: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] = field(default_factory=dict)
    published: list[tuple[str, rsa.RSAPrivateKey]] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.published = [(self.key_id, self.key)]

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.discovery),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/keys", self.keys),
            ]
        )

    async def discovery(self, _: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            }
        )

    async def keys(self, _: Request) -> Response:
        found = []
        for key_id, key in self.published:
            public = key.public_key().public_numbers()
            found.append({"kty": "RSA", "use": "sig", "kid": key_id, "n": number(public.n), "e": number(public.e)})
        return JSONResponse({"keys": found})

    async def authorize(self, request: Request) -> Response:
        """The person agrees at once."""
        asked = request.query_params
        wanted = {"response_type": "code", "client_id": self.client_id, "redirect_uri": self.redirect_uri}
        is_sound = all(asked.get(name) == value for name, value in wanted.items())
        if not is_sound or asked.get("code_challenge_method") != "S256" or "openid" not in asked.get("scope", ""):
            return JSONResponse({"error": "invalid_request"}, status_code=400)
        code = secrets.token_urlsafe(16)
        self.codes[code] = {"nonce": asked["nonce"], "challenge": asked["code_challenge"]}
        query = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{self.redirect_uri}?{query}", status_code=302)

    async def token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        secret = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {secret}":
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        grant = self.codes.pop(form.get("code", ""), None)
        challenge = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        is_sound = form.get("grant_type") == "authorization_code" and form.get("redirect_uri") == self.redirect_uri
        if grant is None or not is_sound or grant["challenge"] != challenge:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        return JSONResponse({"token_type": "Bearer", "access_token": "x", "id_token": self.signed(grant["nonce"])})

    def signed(self, nonce: str) -> str:
        now = int(self.clock())
        claims = {
            "iss": self.issuer,
            "aud": self.client_id,
            "iat": now,
            "exp": now + TOKEN_LIFE_S,
            "nonce": nonce,
            **self.person,
            **self.twist,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": "RS256", "typ": "JWT", "kid": self.key_id, **self.headers}
        text = ".".join(b64(json.dumps(part).encode()) for part in (header, claims))
        if header["alg"] == "none":
            return f"{text}."
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{b64(signature)}"
