"""A harmless question to a connection: is it there, and does it take our signature?"""

from dataclasses import dataclass
from enum import StrEnum


class ProbeResult(StrEnum):
    OK = "ok"
    REFUSED = "refused"
    """It answers, and does not accept who we are."""
    UNREACHABLE = "unreachable"
    UNVERIFIED = "unverified"
    """It answers, and its signature does not hold."""
    NOT_PROBED = "not_probed"
    """The provider has no question without effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    result: ProbeResult
    code: str = ""
    """The provider's code, or what broke."""
