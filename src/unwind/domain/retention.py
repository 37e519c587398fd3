"""How long what is kept. Each kind of record has a period that an administrator may change, and a least time below which it never goes.

Records of a transaction are kept three years at least (E-Commerce Law, article 31), logs of who did what six months (Cybersecurity Law,
article 21). Histories of cases, money, stock and their seals are no kind of this table: they hold no person and are kept for good.
"""

from dataclasses import dataclass
from enum import StrEnum

from unwind.domain.errors import require

PERIOD_MAX = {"days": 36_500, "years": 100}


class Unit(StrEnum):
    DAYS = "days"
    YEARS = "years"


class Kind(StrEnum):
    PRIVATE_DATA = "private_data"
    """Names, phones, addresses, words: the key of an order, counted from the last thing that happened to it."""
    ATTACHMENTS = "attachments"
    CALLS = "calls"
    """Calls about a case."""
    OTHER_CALLS = "other_calls"
    """Calls that were about no case."""
    REVEALS = "reveals"
    LOOKUPS = "lookups"
    SIGN_IN_EVENTS = "sign_in_events"
    IDENTITY_CHECKS = "identity_checks"
    IDENTITY_CODES = "identity_codes"
    CALLBACKS = "callbacks"
    IDEMPOTENCY_KEYS = "idempotency_keys"
    ATTEMPTS = "attempts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """`usual`: where nobody has said anything; None: the years that records are kept by the program's settings."""

    unit: Unit
    least: int
    usual: int | None


RECORD = Spec(unit=Unit.YEARS, least=3, usual=None)
SPECS: dict[Kind, Spec] = {
    Kind.PRIVATE_DATA: RECORD,
    Kind.ATTACHMENTS: RECORD,
    Kind.CALLS: RECORD,
    Kind.REVEALS: Spec(unit=Unit.DAYS, least=1096, usual=1096),
    Kind.OTHER_CALLS: Spec(unit=Unit.DAYS, least=30, usual=180),
    Kind.LOOKUPS: Spec(unit=Unit.DAYS, least=180, usual=365),
    Kind.SIGN_IN_EVENTS: Spec(unit=Unit.DAYS, least=180, usual=365),
    Kind.IDENTITY_CHECKS: Spec(unit=Unit.DAYS, least=180, usual=1096),
    Kind.IDENTITY_CODES: Spec(unit=Unit.DAYS, least=1, usual=180),
    Kind.CALLBACKS: Spec(unit=Unit.DAYS, least=30, usual=1096),
    Kind.IDEMPOTENCY_KEYS: Spec(unit=Unit.DAYS, least=7, usual=7),
    Kind.ATTEMPTS: Spec(unit=Unit.DAYS, least=1, usual=1),
}
"""`least` of reveals, look-ups and sign-ins is enforced by the database too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    kind: Kind
    n: int

    @property
    def unit(self) -> Unit:
        return SPECS[self.kind].unit


def usual_period(kind: Kind, *, records_kept_years: int) -> Period:
    spec = SPECS[kind]
    return Period(kind=kind, n=max(spec.least, records_kept_years) if spec.usual is None else spec.usual)


def require_sound(period: Period) -> None:
    """Refuses with `period_too_short` what the law wants longer, and with `invalid` what is no period."""
    spec = SPECS[period.kind]
    require(period.n >= spec.least, "period_too_short", least=spec.least, unit=spec.unit)
    require(period.n <= PERIOD_MAX[spec.unit], "invalid", field="n")
