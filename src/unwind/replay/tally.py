"""The count of what became of every cancellation line, and the report made of it."""

from collections import Counter
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from unwind.replay.screening import words_of

CARRIED_OUT = frozenset({"cancelled", "cancelling"})
WAITING = frozenset({"in_review", "inquiry"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`lines` of the file; `orders` loaded; every cancellation line is auto, review, declined or unmatched, exactly once.

    `units_back` are in stock again, `money_back_minor` (pence) is finally with the customers; both from the ledgers.
    """

    lines: int
    orders: int
    cancellation_lines: int
    auto: int
    review: int
    declined: int
    unmatched: int
    units_back: int
    money_back_minor: int
    seconds: float


@dataclass(slots=True)
class Tally:
    auto: Counter[str] = field(default_factory=Counter)
    """By the rule that decided; so are the next two."""
    review: Counter[str] = field(default_factory=Counter)
    declined: Counter[str] = field(default_factory=Counter)
    unmatched: Counter[str] = field(default_factory=Counter)
    """By reason."""

    def add(self, other: "Tally") -> None:
        self.auto += other.auto
        self.review += other.review
        self.declined += other.declined
        self.unmatched += other.unmatched

    def answered(self, outcome: str, rule: str) -> bool:
        """Counts one answer of the service; True when it carries the request out by itself.

        A request that joins an open case gets that case's answer, so one that joins a review waits too.
        """
        if outcome in CARRIED_OUT:
            self.auto[rule] += 1
            return True
        (self.review if outcome in WAITING else self.declined)[rule] += 1
        return False


def print_tally(console: Console, tally: Tally, kept_out: Counter[str], report: Report) -> None:
    table = Table("行数 lines", "结果 result", "原因 reason")
    for result, counts in (
        ("自动 auto", tally.auto),
        ("人工 review", tally.review),
        ("拒绝 declined", tally.declined),
    ):
        for rule, lines in counts.most_common():
            table.add_row(f"{lines:,}", result, rule)
    for result, counts in (("未匹配 unmatched", tally.unmatched), ("未载入 kept out", kept_out)):
        for reason, lines in counts.most_common():
            table.add_row(f"{lines:,}", result, " / ".join(words_of(reason)))
    console.print(table)
    money = f"£{report.money_back_minor // 100:,}.{report.money_back_minor % 100:02}"
    console.print(
        f"{report.lines:,} 行 lines, {report.orders:,} 订单 orders, {report.cancellation_lines:,} 取消行 cancellation lines = "
        f"{report.auto:,} auto + {report.review:,} review + {report.declined:,} declined + {report.unmatched:,} unmatched"
    )
    console.print(f"退回 {report.units_back:,} 件, {money} / {report.units_back:,} units and {money} returned")
    rate = report.lines / max(report.seconds, 0.001)
    console.print(f"{report.seconds:.1f} 秒 s, 每秒 {rate:,.0f} 行 / {rate:,.0f} lines per second", highlight=False)
