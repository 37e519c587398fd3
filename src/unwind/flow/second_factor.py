"""The second factor: codes of an authenticator app (RFC 6238), each good once, and recovery codes for when the telephone is lost."""

import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pyotp

from unwind.domain.sign_in import RECOVERY_CODES, steps_around
from unwind.storage import staff
from unwind.storage.database import Connection
from unwind.storage.privacy import Vault

DIGITS = 6
RECOVERY_ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"


async def is_code(conn: Connection, vault: Vault, account: Mapping[str, Any], code: str, now: datetime) -> bool:
    """True once for each code. The account row is locked."""
    principal_id = account["principal_id"]
    if code.isdigit() and len(code) == DIGITS:
        secret = vault.unseal(context_of(principal_id), account["totp_secret"]).decode()
        step = step_of(secret, code, now, after=account["totp_step"])
        return step is not None and await staff.use_step(conn, principal_id, step)
    return await staff.use_recovery_code(conn, principal_id, digest_of(vault, code))


def step_of(secret: str, code: str, now: datetime, *, after: int) -> int | None:
    """The step whose code this is. Every candidate is compared, in the same time."""
    totp = pyotp.TOTP(secret)
    found = None
    for step in steps_around(int(now.timestamp()), after=after):
        if hmac.compare_digest(totp.generate_otp(step).encode(), code.encode()):
            found = step
    return found


def digest_of(vault: Vault, recovery_code: str) -> bytes:
    plain = "".join(ch for ch in recovery_code.upper() if ch.isalnum())
    return vault.derive("recovery", plain)


def new_recovery_codes() -> list[str]:
    return [_recovery_code() for _ in range(RECOVERY_CODES)]


def _recovery_code() -> str:
    """About 49 bits; the attempts are counted."""
    return "-".join("".join(secrets.choice(RECOVERY_ALPHABET) for _ in range(5)) for _ in range(2))


def context_of(principal_id: str) -> str:
    return f"totp\n{principal_id}"
