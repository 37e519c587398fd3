"""Live hints for open desks: which case of the queue has changed, never what has. A screen that hears one fetches the case.

Each web process looks at the open queue itself, while somebody listens, and compares it with what it saw last. So a hint comes after the
commit by construction, however many processes there are; what happens between two looks is one hint; and nothing can be missed for longer
than it takes to look again. Nobody's transaction carries a NOTIFY.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from fastapi import APIRouter
from psycopg_pool import PoolTimeout
from starlette.requests import Request
from starlette.responses import StreamingResponse

from unwind.domain.access import Scope, authorise
from unwind.domain.errors import Refusal
from unwind.storage.database import Database, to_json
from unwind.storage.queue import open_versions
from unwind.web.access import Caller, who
from unwind.web.responses import ERRORS

LOOK_S = 0.3
PING_S = 15.0
AGAIN_S = 15.0
"""So often the listener is asked again who they are: whoever has been signed out or revoked does not listen on."""
LIFE_S = 300.0
"""A stream ends after this and the screen comes back."""

router = APIRouter(prefix="/api/v1/desk", tags=["queue"])

Seen = Mapping[str, tuple[int, int, str]]
"""case -> version, event number, merchant."""


@dataclass(eq=False, slots=True)
class Listener:
    """`pending` holds one hint per case, so a slow screen is no heavier than the queue."""

    merchant_id: str | None
    pending: dict[str, dict[str, Any]] = field(default_factory=dict)
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, merchant_id: str, hint: dict[str, Any]) -> None:
        if self.merchant_id in {None, merchant_id}:
            self.pending[hint["case"]] = hint
            self.woken.set()


class Hints:
    """One per web process. Looks only while somebody listens."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: Seen | None = None
        self._listeners: set[Listener] = set()
        self._looking: asyncio.Task[None] | None = None

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    async def join(self, merchant_id: str | None) -> Listener:
        """From its return on nothing is missed: the queue has been looked at by then."""
        listener = Listener(merchant_id)
        if self._seen is None:
            seen = await self._read()
            if self._seen is None:  # whoever joined meanwhile is not robbed of what changed since their look
                self._seen = seen
        self._listeners.add(listener)
        if self._looking is None:
            self._looking = asyncio.create_task(self._keep_looking())
        return listener

    def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _keep_looking(self) -> None:
        """Ends with the last listener; the next one begins with a look of its own."""
        while self._listeners:
            await asyncio.sleep(LOOK_S)
            with contextlib.suppress(psycopg.Error, PoolTimeout):
                self._compare(await self._read())
        self._seen, self._looking = None, None

    async def _read(self) -> Seen:
        async with self._database.connection() as conn:
            rows = await open_versions(conn)
        return {row["case_id"]: (row["version"], row["seq"], row["merchant_id"]) for row in rows}

    def _compare(self, now: Seen) -> None:
        before = self._seen or {}
        for case_id, (version, seq, merchant_id) in now.items():
            if before.get(case_id) != (version, seq, merchant_id):
                self._tell(merchant_id, {"case": case_id, "version": version, "seq": seq, "is_waiting": True})
        for case_id in before.keys() - now.keys():
            version, seq, merchant_id = before[case_id]
            self._tell(merchant_id, {"case": case_id, "version": version, "seq": seq, "is_waiting": False})
        self._seen = now

    def _tell(self, merchant_id: str, hint: dict[str, Any]) -> None:
        for listener in self._listeners:
            listener.tell(merchant_id, hint)


@router.get("/stream", responses=ERRORS, response_class=StreamingResponse)
async def stream(request: Request, caller: Caller) -> StreamingResponse:
    """Server-sent events: `hello` (fetch the queue now), then `case` with {case, version, seq, is_waiting} for whatever changes in it.

    `version` is what decisions are bound to; `seq` also moves with claims and clocks. Without `is_waiting` the case has left the queue.
    """
    authorise(caller, Scope.CASES_DECIDE)
    hints: Hints = request.app.state.hints
    return StreamingResponse(
        _events(hints, caller.merchant_id, lambda: _is_still_in(request)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _is_still_in(request: Request) -> bool:
    try:
        await who(request)
    except Refusal:
        return False
    return True


async def _events(
    hints: Hints, merchant_id: str | None, is_still_in: Callable[[], Awaitable[bool]]
) -> AsyncIterator[str]:
    ends_at = time.monotonic() + LIFE_S
    asks_at = time.monotonic() + AGAIN_S
    listener = await hints.join(merchant_id)
    try:
        yield "retry: 1000\nevent: hello\ndata: {}\n\n"
        while time.monotonic() < ends_at:
            if time.monotonic() >= asks_at:
                if not await is_still_in():
                    return
                asks_at = time.monotonic() + AGAIN_S
            try:
                async with asyncio.timeout(PING_S):
                    await listener.woken.wait()
            except TimeoutError:
                yield ": still here\n\n"
                continue
            listener.woken.clear()
            pending, listener.pending = listener.pending, {}
            for hint in pending.values():
                yield f"event: case\ndata: {to_json(hint)}\n\n"
    finally:
        hints.leave(listener)
