"""The moving parts that every party shares: the clock, what happens later, and events for the other side."""

import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.ledger import Ledger
from sandbox.settings import Settings

CALLBACK_FAULTS = frozenset(
    {"callback_twice", "callback_50", "callbacks_out_of_order", "callback_never", "callback_signtest"}
)
COPIES = {"callback_twice": 2, "callback_50": 50}
HELD_AT_MOST_S = 120.0
"""An event held back for its successor goes out after this long when none comes."""
NONCE_KEPT_S = 600.0

LaterStep = Callable[["World", str, str, Mapping[str, Any]], None]


class World:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ledger = Ledger(settings.ledger)
        self.wake: Callable[[], None] = lambda: None
        """Told whenever something new may be due."""
        self._steps: dict[str, LaterStep] = {}
        self._nonces_since_purge = 0

    def now(self) -> float:
        return self.settings.clock()

    def scaled(self, seconds: float) -> float:
        return seconds * self.settings.time_scale

    def instant(self) -> str:
        """RFC 3339, as the contract wants instants."""
        return datetime.fromtimestamp(self.now(), UTC).isoformat(timespec="milliseconds")

    def register(self, kind: str, step: LaterStep) -> None:
        self._steps[kind] = step

    def later(self, kind: str, *, delay_s: float, connection: str, subject: str, **detail: Any) -> None:
        due_at = self.now() + self.scaled(delay_s)
        self.ledger.run(
            "INSERT INTO due (due_at, kind, connection, subject, detail) VALUES (?, ?, ?, ?, ?)",
            *(due_at, kind, connection, subject, json.dumps(detail)),
        )
        self.wake()

    def run_due(self) -> None:
        """Everything whose time has come, in order. Called before every answer, so that answers never lag behind."""
        while row := self.ledger.one("SELECT * FROM due WHERE due_at <= ? ORDER BY due_at, id LIMIT 1", self.now()):
            self._run(row)

    def run_due_of(self, connection: str, subject: str) -> None:
        """The next step of one subject at once, whatever its time."""
        query = "SELECT * FROM due WHERE connection = ? AND subject = ? ORDER BY due_at, id LIMIT 1"
        if (row := self.ledger.one(query, connection, subject)) is not None:
            self._run(row)

    def _run(self, row: sqlite3.Row) -> None:
        with self.ledger.transaction():
            self.ledger.run("DELETE FROM due WHERE id = ?", row["id"])
            self._steps[row["kind"]](self, row["connection"], row["subject"], json.loads(row["detail"]))

    def emit(self, connection: str, event_type: str, *, subject: str, data: Mapping[str, Any]) -> None:
        """Queues an event. What was dialled for its subject decides how often, when or whether it is sent."""
        event_id = f"evt_{uuid.uuid4().hex}"
        body = {"event_id": event_id, "type": event_type, "created_at": self.instant(), "data": dict(data)}
        dialled = self.ledger.one(
            "SELECT fault FROM callback_faults WHERE connection = ? AND subject = ?", connection, subject
        )
        fault = dialled["fault"] if dialled is not None else ""
        state = {"callback_never": "SUPPRESSED", "callbacks_out_of_order": "HELD"}.get(fault, "WAITING")
        delay_s = self.scaled(HELD_AT_MOST_S) if state == "HELD" else 0.0
        self.ledger.run(
            "INSERT INTO callbacks (event_id, connection, type, subject, body, state, copies, due_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *(event_id, connection, event_type, subject, json.dumps(body, ensure_ascii=False).encode()),
            *(state, COPIES.get(fault, 1), self.now() + delay_s),
        )
        self.wake()

    def take_nonce(self, connection: str, nonce: str) -> bool:
        """False when it was used before."""
        self._nonces_since_purge += 1
        if self._nonces_since_purge > 1000:  # noqa: PLR2004
            self._nonces_since_purge = 0
            self.ledger.run("DELETE FROM nonces WHERE at < ?", self.now() - NONCE_KEPT_S)
        taken = self.ledger.run(
            "INSERT INTO nonces (connection, nonce, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            *(connection, nonce, self.now()),
        )
        return taken == 1


def order_ns() -> int:
    """For the order of events within one run of the program; not a time to show."""
    return time.time_ns()
