"""Secrets that verify the other side: the present one, and its predecessor while it is still accepted."""

import hmac
from collections.abc import Iterable

from pydantic import SecretStr


def accepted_secrets(present: SecretStr, previous: SecretStr | None) -> list[str]:
    """The present one first; an empty predecessor is none."""
    return [present.get_secret_value(), *([previous.get_secret_value()] if previous else [])]


def fits_any(given: str, expected: Iterable[str]) -> bool:
    """Whether a signature is one of those that would be right. Every one is compared, so the time it takes tells nothing."""
    return any([hmac.compare_digest(one.encode(), given.encode()) for one in expected])  # noqa: C419 - compare every one
