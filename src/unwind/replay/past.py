"""A database whose clock stands where the replay puts it.

Every session is told once per moment, not once per statement. Commits do not wait for the disk: a machine that dies in the middle
of a replay leaves a database to be thrown away, whatever its last tenth of a second held.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from unwind.storage.database import Connection, Database


class DatabaseInThePast(Database):
    """Set `clock_at` (ISO 8601) before each step; None is the present."""

    def __init__(self, url: str, *, connections_max: int) -> None:
        super().__init__(url, connections_max=connections_max, fixed_clock=False)
        self._told: WeakKeyDictionary[Connection, str] = WeakKeyDictionary()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        at = self.clock_at or ""
        async with super().connection() as conn:
            if self._told.get(conn) != at:
                await conn.execute(
                    "SELECT set_config('unwind.at', %s, false), set_config('synchronous_commit', 'off', false)", (at,)
                )
                self._told[conn] = at
            yield conn
