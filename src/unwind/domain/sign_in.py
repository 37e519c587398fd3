"""How people prove who they are: rules of passwords, limits of attempts, lives of sessions. Numbers only; nothing here knows a person."""

import unicodedata
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from unwind.domain.errors import require

PASSWORD_LENGTH_MIN = 12
PASSWORD_LENGTH_MAX = 200
"""A longer one is refused before anybody spends a second of hashing on it."""
DEMO_PASSWORD_PREFIX = "unwind-demo"  # noqa: S105 - what the published ones begin with
"""Published passwords; refused by every process that does not run the demo, whatever the database says."""

ACCOUNT_ATTEMPTS_MAX = 5
SOURCE_ATTEMPTS_MAX = 30
"""Of one address: more than an office behind one address mistypes, fewer than a list of stolen passwords has."""
ATTEMPT_WINDOW = timedelta(minutes=15)

TOTP_STEP_S = 30
TOTP_DRIFT_STEPS = 1
"""A telephone's clock may be so many steps off."""
RECOVERY_CODES = 10
OIDC_ROUND_TRIP = timedelta(minutes=10)


class Need(StrEnum):
    """What a session has to do before it may do anything else."""

    NOTHING = ""
    PASSWORD = "password"  # noqa: S105 - a word
    SECOND_FACTOR = "second_factor"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInRules:
    """Of this process. The defaults are those of production."""

    is_demo: bool = False
    needs_second_factor: bool = True
    """Of local accounts; an identity provider has its own."""
    is_cookie_secure: bool = True
    idle: timedelta = timedelta(hours=2)
    longest: timedelta = timedelta(hours=12)


def normalise_login(text: str) -> str:
    """The same name however it is typed."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


def require_good_password(password: str, *, login: str, rules: SignInRules) -> None:
    """Long and not the name: no demands on its characters, which only make people write it down."""
    folded = unicodedata.normalize("NFKC", password).casefold()
    require(len(password) >= PASSWORD_LENGTH_MIN, "password_too_short", length_min=PASSWORD_LENGTH_MIN)
    require(len(password) <= PASSWORD_LENGTH_MAX, "invalid")
    require(login not in folded, "password_has_login")
    require(len(set(folded)) > 3, "password_too_simple")  # noqa: PLR2004 - aaaa…, abab…
    require(rules.is_demo or not folded.startswith(DEMO_PASSWORD_PREFIX), "password_is_public")


def need_of(*, must_change: bool, has_second_factor: bool, rules: SignInRules) -> Need:
    """Of a session that begins now, in the order in which things have to be done."""
    if must_change:
        return Need.PASSWORD
    if rules.needs_second_factor and not has_second_factor:
        return Need.SECOND_FACTOR
    return Need.NOTHING


def steps_around(unix_s: int, *, after: int) -> list[int]:
    """Steps whose codes are taken now: the present one and its neighbours, none that is used already."""
    now = unix_s // TOTP_STEP_S
    return [step for step in range(now - TOTP_DRIFT_STEPS, now + TOTP_DRIFT_STEPS + 1) if step > after]
