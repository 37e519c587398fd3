"""The courier: brings events to the other side, again and again, on the provider's schedule and in its format."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

from sandbox.world import World

ANSWER_WITHIN_S = 5.0
NO_ANSWER = 0
IDLE_S = 5.0
AT_ONCE_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One callback as the provider sends it: signed for this very attempt."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    tail: str = ""
    """What follows the connection in the receiver's path, with its slash."""


class Sender(Protocol):
    """The part of a dialect that the courier needs (dialects/frame.py)."""

    repeat_after_s: tuple[float, ...]

    def letter(self, connection: str, event: Mapping[str, Any]) -> Letter | None: ...

    def is_taken(self, status: int, body: bytes) -> bool: ...


class Courier:
    """Lives between `start` and `stop`; what is still waiting then stays in the ledger for the next start."""

    def __init__(self, world: World, sender_of: Callable[[str], Sender | None]) -> None:
        self._world = world
        self._sender_of = sender_of
        self._wake = asyncio.Event()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._client: httpx.AsyncClient | None = None
        self._loop_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._client = httpx.AsyncClient(
            transport=self._world.settings.callback_transport,
            timeout=ANSWER_WITHIN_S,
            trust_env=False,
            follow_redirects=False,
        )
        self._world.wake = self._wake.set
        self._loop_task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self._world.wake = lambda: None
        tasks = [*self._under_way.values(), *([self._loop_task] if self._loop_task is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    async def deliver_now(self, connection: str, subject: str) -> None:
        """One attempt for everything that waits for this subject; returns when it is over."""
        rows = self._world.ledger.all(
            "SELECT * FROM callbacks WHERE connection = ? AND subject = ? AND state = 'WAITING'", connection, subject
        )
        await asyncio.gather(*(self._begin(row) for row in rows if row["event_id"] not in self._under_way))

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            self._world.run_due()
            free = AT_ONCE_MAX - len(self._under_way)
            for row in self._due_rows(free):
                self._begin(row)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._idle_s()):  # wait_for of Python 3.11 can swallow a cancellation
                    await self._wake.wait()

    def _due_rows(self, limit: int) -> list[sqlite3.Row]:
        rows = self._world.ledger.all(
            "SELECT * FROM callbacks WHERE state IN ('WAITING', 'HELD') AND due_at <= ? ORDER BY due_at, rowid LIMIT ?",
            *(self._world.now(), limit + len(self._under_way)),
        )
        return [row for row in rows if row["event_id"] not in self._under_way][:limit]

    def _idle_s(self) -> float:
        """Until the next thing is due that is not under way already; whatever ends earlier wakes us."""
        now = self._world.now()
        next_step = self._world.ledger.one("SELECT min(due_at) FROM due")
        next_event = self._world.ledger.one(
            "SELECT min(due_at) FROM callbacks WHERE state IN ('WAITING', 'HELD') AND due_at > ?", now
        )
        times: list[float] = [row[0] for row in (next_step, next_event) if row is not None and row[0] is not None]
        return max(0.001, min([IDLE_S, *(due_at - now for due_at in times)]))

    def _begin(self, row: sqlite3.Row) -> asyncio.Task[None]:
        task = asyncio.create_task(self._deliver(row))
        self._under_way[row["event_id"]] = task
        return task

    async def _deliver(self, row: sqlite3.Row) -> None:
        try:
            sender = self._sender_of(row["connection"])
            answers = await asyncio.gather(*(self._post(row, sender) for _ in range(row["copies"])))
            self._book(row, sender, answers)
        finally:
            self._under_way.pop(row["event_id"], None)
            self._wake.set()

    async def _post(self, row: sqlite3.Row, sender: Sender | None) -> tuple[int, bytes] | None:
        """The receiver's answer; status 0 when there was none; None where this provider does not tell such a thing."""
        connection = row["connection"]
        letter = sender.letter(connection, json.loads(row["body"])) if sender is not None else None
        if letter is None:
            return None
        if self._client is None:
            return NO_ANSWER, b""
        url = f"{self._world.settings.callback_url}/callbacks/{connection}{letter.tail}"
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                response = await self._client.post(url, content=letter.body, headers=dict(letter.headers))
        except (httpx.HTTPError, OSError):
            return NO_ANSWER, b""
        return response.status_code, response.content

    def _book(self, row: sqlite3.Row, sender: Sender | None, answers: list[tuple[int, bytes] | None]) -> None:
        given = [answer for answer in answers if answer is not None]
        taken = [status for status, body in given if sender is not None and sender.is_taken(status, body)]
        attempts = row["attempts"] + 1
        state, due_at = "WAITING", self._world.now()
        if sender is None or not given:
            state = "NOT_TOLD"
        elif taken:
            state = "DELIVERED"
        elif attempts > len(sender.repeat_after_s):
            state = "GAVE_UP"
        else:
            due_at += self._world.scaled(sender.repeat_after_s[attempts - 1])
        last_status = taken[0] if taken else (given[-1][0] if given else NO_ANSWER)
        with self._world.ledger.transaction():
            self._world.ledger.run(
                "UPDATE callbacks SET state = ?, attempts = ?, due_at = ?, last_status = ? WHERE event_id = ?",
                *(state, attempts, due_at, last_status, row["event_id"]),
            )
            self._world.ledger.run(
                "UPDATE callbacks SET state = 'WAITING', due_at = ? WHERE state = 'HELD' AND connection = ?",
                *(self._world.now(), row["connection"]),
            )
