"""How every connection fares: each call is counted, a breaker per connection parks what can wait, and people see a figure.

    call -> note -> breaker opens or closes (an alert that stands until then) ; counts -> every few seconds -> `connection_minutes`

In memory and per process; the counts of all processes meet in the table.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from unwind.domain.breaker import Breaker
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.storage import alerts, connections
from unwind.storage.database import Database

DOWN = "connection_down"
REFUSALS_EVERY_S = 1.0
OUR_OWN = frozenset({"paced"})
"""Codes with which nobody was asked."""


@dataclass(slots=True)
class Tally:
    calls: int = 0
    failed: int = 0


@dataclass(slots=True)
class Health:
    breakers: dict[str, Breaker] = field(default_factory=dict)
    _tallies: dict[str, Tally] = field(default_factory=dict)
    _refusal_told_s: dict[tuple[str, str], float] = field(default_factory=dict)

    def waits_until(self, connection: str, now: datetime) -> datetime | None:
        """When a call over this connection may be tried again; None: now."""
        breaker = self.breakers.get(connection)
        return None if breaker is None else breaker.waits_until(now)

    async def note(self, database: Database, connection: str, outcome: Outcome, *, subject: str, now: datetime) -> None:
        """`subject`: the case the call was about."""
        if outcome.code in OUR_OWN:
            return
        is_answered = is_answer(outcome)
        tally = self._tallies.setdefault(connection, Tally())
        tally.calls += 1
        tally.failed += not is_answered
        breaker = self.breakers.setdefault(connection, Breaker())
        if not breaker.note(is_answered=is_answered, subject=subject, now=now):
            return
        async with database.connection() as conn:
            if breaker.is_open:
                await alerts.raise_alert(conn, connection=connection, kind=DOWN, code=outcome.code)
            else:
                await alerts.close_alerts_of(conn, connection, kind=DOWN, by="system:unwind")

    def may_tell_refusal(self, connection: str, reason: str) -> bool:
        """Strangers may knock as often as they like; the database hears of it once a second and kind, the log every time."""
        now_s = time.monotonic()
        if now_s - self._refusal_told_s.get((connection, reason), -REFUSALS_EVERY_S) < REFUSALS_EVERY_S:
            return False
        self._refusal_told_s[connection, reason] = now_s
        return True

    async def store(self, database: Database) -> None:
        """Adds what was counted since the last time to the minute that runs."""
        counted = {name: tally for name, tally in self._tallies.items() if tally.calls}
        self._tallies = {}
        if counted:
            rows: list[Mapping[str, object]] = [
                {"connection": name, "calls": tally.calls, "failed": tally.failed} for name, tally in counted.items()
            ]
            async with database.connection() as conn:
                await connections.add_counts(conn, rows)


def is_answer(outcome: Outcome) -> bool:
    """Whether the other side said anything that can be trusted. A refusal is an answer, and so is "too often"."""
    if outcome.kind is OutcomeKind.RETRY_SAME_NUMBER:
        return not outcome.code.startswith("never_sent")
    return outcome.kind is not OutcomeKind.UNKNOWN
