"""Argon2id, away from the event loop. Nobody can tell from the time whether a login exists."""

import asyncio
import base64
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

HASHER = PasswordHasher()
"""The library's parameters: those of RFC 9106 for little memory."""
AT_ONCE = asyncio.Semaphore(2)
"""Each takes 64 MiB and a core for a moment; whoever sends many at once waits, and nothing else does."""


def _b64(size: int) -> str:
    return base64.b64encode(bytes(size)).decode().rstrip("=")


NOBODY = (
    f"$argon2id$v=19$m={HASHER.memory_cost},t={HASHER.time_cost},p={HASHER.parallelism}"
    f"${_b64(HASHER.salt_len)}${_b64(HASHER.hash_len)}"
)
"""The hash of no password, as much work as any: compared with where there is no account."""


async def hash_password(password: str) -> str:
    async with AT_ONCE:
        return await asyncio.to_thread(HASHER.hash, password)


async def is_password(stored: str | None, password: str) -> bool:
    """`stored`: None where there is no account, or none with a password."""
    async with AT_ONCE:
        is_right = await asyncio.to_thread(_verify, stored or NOBODY, password)
    return is_right and stored is not None


def _verify(stored: str, password: str) -> bool:
    try:
        return HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(stored: str) -> bool:
    return HASHER.check_needs_rehash(stored)


def new_password() -> str:
    """For the first sign-in only; about 95 bits, in groups that can be read out."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(5)) for _ in range(4))
