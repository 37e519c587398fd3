"""How far a shop is trusted to act by itself: steps of trust, the proof for the next one, and how much it may do in a day."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from math import sqrt

from unwind.domain.case import Verdict
from unwind.domain.decisions import Choice
from unwind.domain.errors import require

Z_95 = 1.96
"""Two-sided 95 %."""


class Level(StrEnum):
    SHADOW = "shadow"
    CONFIRM = "confirm"
    AUTO = "auto"


ORDER = tuple(Level)


def is_up(before: Level, after: Level) -> bool:
    return ORDER.index(after) > ORDER.index(before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may be returned automatically. None: no such limit."""

    refunds_per_day: int | None = None
    minor_per_day: int | None = None
    sku_refunds_per_day: int | None = None
    velocity_refunds: int | None = None
    """More than these within `velocity_minutes` open the breaker of the merchant; the next is of one item."""
    sku_velocity_refunds: int | None = None
    velocity_minutes: int = 60
    usual_times: int | None = None
    """More than so many times the usual number of the last seven days opens the breaker too; at least `usual_at_least`."""
    usual_at_least: int = 10

    def stored(self) -> dict[str, int]:
        """Only what is set; empty when nothing limits anything."""
        told = {one.name: getattr(self, one.name) for one in fields(Limits)}
        set_ones = {name: value for name, value in told.items() if value is not None}
        return set_ones if set_ones.keys() - {"velocity_minutes", "usual_at_least"} else {}


def merged(own: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """A promotion's limits stand before the shop's own, one by one."""
    return {**own, **more}


class Done(StrEnum):
    """What people made of a part that the policy would have done by itself."""

    AGREED = "agreed"
    OTHERWISE = "otherwise"
    WITHDRAWN = "withdrawn"
    """By the buyer: says nothing about the policy."""
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One part that a person had to look at."""

    case_id: str
    rule: str
    """Of the policy."""
    would: Verdict
    """Of the policy."""
    did: str
    """The first choice of a person; empty: none yet, or the buyer withdrew."""
    is_withdrawn: bool
    minor: int


def what_was_done(one: Judged) -> Done:
    if one.did:
        return Done.AGREED if one.did == Choice.APPROVE else Done.OTHERWISE
    return Done.WITHDRAWN if one.is_withdrawn else Done.OPEN


def wilson_lower_bound(agreed: int, decided: int, *, z: float = Z_95) -> float:
    """The share that agreement has at least, with 95 % confidence; 0 where nothing was decided."""
    if decided == 0:
        return 0.0
    require(0 <= agreed <= decided, "invalid")
    share = agreed / decided
    middle = share + z * z / (2 * decided)
    spread = z * sqrt((share * (1 - share) + z * z / (4 * decided)) / decided)
    return max(0.0, (middle - spread) / (1 + z * z / decided))


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    decided_at_least: int
    agreement_at_least: float
    lower_bound_at_least: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Of one rule, or of all."""

    rule: str
    cases: int
    decided: int
    agreed: int
    withdrawn: int
    waiting: int
    minor: int
    """What the policy would have returned by itself."""
    lower_bound: float
    choices: Mapping[str, int]
    disagreed: tuple[str, ...]
    why_not_ready: tuple[str, ...] = field(default=())

    @property
    def is_ready(self) -> bool:
        return not self.why_not_ready


def agreement_of(rule: str, judged: Sequence[Judged], thresholds: Thresholds) -> Agreement:
    done = [what_was_done(one) for one in judged]
    count = Counter(done)
    agreed, decided = count[Done.AGREED], count[Done.AGREED] + count[Done.OTHERWISE]
    bound = wilson_lower_bound(agreed, decided)
    why = []
    if decided < thresholds.decided_at_least:
        why.append("too_few_cases")
    if decided and agreed / decided < thresholds.agreement_at_least:
        why.append("too_little_agreement")
    if bound < thresholds.lower_bound_at_least:
        why.append("not_proven")
    return Agreement(
        rule=rule,
        cases=len({one.case_id for one in judged}),
        decided=decided,
        agreed=agreed,
        withdrawn=count[Done.WITHDRAWN],
        waiting=count[Done.OPEN],
        minor=sum(one.minor for one in judged),
        lower_bound=bound,
        choices=dict(sorted(Counter(one.did for one in judged if one.did).items())),
        disagreed=tuple(
            sorted({one.case_id for one, what in zip(judged, done, strict=True) if what is Done.OTHERWISE})
        ),
        why_not_ready=tuple(why),
    )


def compare(judged: Iterable[Judged], thresholds: Thresholds) -> tuple[Agreement, tuple[Agreement, ...]]:
    """All together, and rule by rule; of what the policy would have done by itself. What it gives to a person cannot disagree."""
    mine = [one for one in judged if one.would is Verdict.AUTO]
    rules = sorted({one.rule for one in mine})
    each = tuple(agreement_of(rule, [one for one in mine if one.rule == rule], thresholds) for rule in rules)
    return agreement_of("", mine, thresholds), each
