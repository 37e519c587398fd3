"""The courier: brings events to the other side, again and again, on the contract's schedule."""

import asyncio
import contextlib
import sqlite3

import httpx

from sandbox.signing import new_nonce, signature_headers
from sandbox.world import World

REPEAT_AFTER_S = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
ANSWER_WITHIN_S = 5.0
ACCEPTED_STATUS = 204
IDLE_S = 5.0
AT_ONCE_MAX = 20


class Courier:
    """Lives between `start` and `stop`; what is still waiting then stays in the ledger for the next start."""

    def __init__(self, world: World) -> None:
        self._world = world
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
            statuses = await asyncio.gather(*(self._post(row) for _ in range(row["copies"])))
            self._book(row, statuses)
        finally:
            self._under_way.pop(row["event_id"], None)
            self._wake.set()

    async def _post(self, row: sqlite3.Row) -> int:
        """The receiver's status; 0 when there was no answer."""
        if self._client is None:
            return 0
        connection, body = row["connection"], row["body"]
        secret = self._world.settings.secret_of(connection)
        if secret is None:
            return 0
        headers = signature_headers(secret, now=self._world.now(), nonce=new_nonce(), body=body)
        url = f"{self._world.settings.callback_url}/callbacks/{connection}"
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                response = await self._client.post(
                    url, content=body, headers={**headers, "Content-Type": "application/json"}
                )
        except (httpx.HTTPError, OSError):
            return 0
        return response.status_code

    def _book(self, row: sqlite3.Row, statuses: list[int]) -> None:
        attempts = row["attempts"] + 1
        is_accepted = ACCEPTED_STATUS in statuses
        state, due_at = "WAITING", self._world.now()
        if is_accepted:
            state = "DELIVERED"
        elif attempts > len(REPEAT_AFTER_S):
            state = "GAVE_UP"
        else:
            due_at += self._world.scaled(REPEAT_AFTER_S[attempts - 1])
        with self._world.ledger.transaction():
            self._world.ledger.run(
                "UPDATE callbacks SET state = ?, attempts = ?, due_at = ?, last_status = ? WHERE event_id = ?",
                *(state, attempts, due_at, ACCEPTED_STATUS if is_accepted else statuses[-1], row["event_id"]),
            )
            self._world.ledger.run(
                "UPDATE callbacks SET state = 'WAITING', due_at = ? WHERE state = 'HELD' AND connection = ?",
                *(self._world.now(), row["connection"]),
            )
