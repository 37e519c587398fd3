"""Connections: one pool per process, JSON in and out by orjson, prepared statements, explicit transactions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool

SESSION_OPTIONS = "-c jit=off -c plan_cache_mode=force_generic_plan -c enable_hashjoin=off -c enable_mergejoin=off -c enable_seqscan=off"
"""Our statements are prepared and touch a handful of rows by key. Left alone, the planner plans them anew at every call (milliseconds) and
scans tables for JSON documents whose size it cannot know; so nested loops over indexes it is. `survey` undoes this for whole-table questions."""

SURVEY = """
SET TRANSACTION READ ONLY;
SET LOCAL plan_cache_mode = auto; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; SET LOCAL enable_seqscan = on
"""

Connection = AsyncConnection[DictRow]


def to_json(value: Any) -> str:
    """Compact JSON; the database parses it into jsonb."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z).decode()


set_json_loads(orjson.loads)
set_json_dumps(to_json)


class Database:
    """A pool of connections in autocommit; every transaction is opened by name."""

    def __init__(self, url: str, *, connections_max: int = 10, fixed_clock: bool = False) -> None:
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            connection_class=AsyncConnection[DictRow],
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "prepare_threshold": 2,
                "application_name": "unwind",
                "options": SESSION_OPTIONS,
            },
            min_size=1,
            max_size=connections_max,
            open=False,
            timeout=10,
        )
        self.fixed_clock = fixed_clock
        """True where the caller sets `unwind.at` on each connection (replay)."""
        self.clock_at: str | None = None

    async def open(self) -> None:
        await self._pool.open(wait=True, timeout=30)

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        async with self._pool.connection() as conn:
            if self.fixed_clock:
                await conn.execute("SELECT set_config('unwind.at', %s, false)", (self.clock_at or "",))
            yield conn

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Commits on the way out; everything in it happens or nothing does."""
        async with self.connection() as conn, conn.transaction():
            yield conn

    @asynccontextmanager
    async def survey(self) -> AsyncIterator[Connection]:
        """A read-only transaction for questions about whole tables, planned as such."""
        async with self.transaction() as conn:
            await conn.execute(SURVEY)
            yield conn

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """The same, and everything in it sees the database as it was at one moment, however long it takes."""
        async with self.transaction() as conn:
            await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            await conn.execute(SURVEY)
            yield conn

    @asynccontextmanager
    async def pipelined(self) -> AsyncIterator[Connection]:
        """A transaction whose statements travel together: a round trip only where a result is read, and one for the commit.

        PostgreSQL runs everything up to the pipeline's one Sync as one transaction, without BEGIN or COMMIT of its own. What is
        given up half-way is undone by a statement that fails on purpose.
        """
        failure: BaseException | None = None
        async with self.connection() as conn:
            try:
                async with conn.pipeline():
                    try:
                        yield conn
                    except BaseException as error:  # noqa: BLE001 - raised again below, once everything is undone
                        failure = error
                        await conn.execute("SELECT give_up()")
            except psycopg.Error:
                if failure is None:
                    raise
        if failure is not None:
            raise failure
