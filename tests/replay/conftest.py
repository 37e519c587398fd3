"""A fresh database per replay."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from tests.replay.shop_file import Bench
from unwind.doctor import Finding, examine
from unwind.storage.database import Database
from unwind.storage.embedded import EmbeddedPostgres
from unwind.storage.privacy import Vault


@pytest.fixture
def bench(postgres: EmbeddedPostgres, database_name: str, tmp_path: Path) -> Bench:
    return Bench(postgres, database_name, tmp_path)


@pytest.fixture
def findings(bench: Bench) -> Callable[[], list[Finding]]:
    """`unwind doctor`, at the real time."""

    async def look() -> list[Finding]:
        database = Database(bench.urls.app, connections_max=1)
        await database.open()
        try:
            async with database.survey() as conn:
                return await examine(conn, Vault(bench.settings.master_key))
        finally:
            await database.close()

    def run() -> list[Finding]:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(look())

    return run
