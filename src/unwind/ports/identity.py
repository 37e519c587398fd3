"""Whoever vouches for our staff: an OpenID Connect provider of the company."""

from dataclasses import dataclass
from typing import Protocol

from unwind.domain.access import Role


class IdentityRefused(Exception):
    """The provider's answer is none: `code` says why, and may be logged."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A person the provider has just proven."""

    issuer: str
    subject: str
    display_name: str
    role: Role | None
    """None: none of their groups is mapped to a role here."""
    merchant_id: str | None


class IdentityProvider(Protocol):
    async def sign_in_address(self, *, state: str, nonce: str, verifier: str) -> str:
        """Where the browser is sent. `verifier` stays with us; its challenge goes along (PKCE)."""
        ...

    async def redeem(self, *, code: str, nonce: str, verifier: str, now_s: int) -> Identity:
        """Raises IdentityRefused for whatever does not prove who it is."""
        ...
