"""One embedded server for the whole run; a fresh database per test from a migrated template; the sandbox in-process."""

import base64
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.world import World
from unwind.doctor import examine
from unwind.storage.embedded import EmbeddedPostgres
from unwind.storage.migrate import migrate

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on reference data are left out where it is missing."""
    if not SHARED.exists():
        for item in items:
            if item.get_closest_marker("shared_data"):
                item.add_marker(pytest.mark.skip(reason="the reference data is not beside this project"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """Without fsync: tests crash processes, not machines."""
    with tempfile.TemporaryDirectory(prefix="unwind-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres(
            Path(folder), settings={"fsync": "off", "synchronous_commit": "off", "max_connections": "120"}
        )
        with server:
            server.create_database("template_unwind")
            migrate(server.url_for(role="owner", database="template_unwind"))
            yield server
            server.stop()


@pytest.fixture
def database_name(postgres: EmbeddedPostgres) -> Iterator[str]:
    name = f"t_{base64.b32encode(os.urandom(8)).decode().rstrip('=').lower()}"
    postgres.create_database(name, template="template_unwind")
    yield name
    postgres.drop_database(name)


@pytest.fixture
async def world(postgres: EmbeddedPostgres, database_name: str, tmp_path: Path) -> AsyncIterator[World]:
    """Unwind and the outside world in one process, joined by real HTTP semantics and signatures."""
    async with AsyncExitStack() as stack:
        yield await World.open(stack, postgres=postgres, database=database_name, folder=tmp_path)


@pytest.fixture
async def sound(world: World) -> AsyncIterator[None]:
    """When the test is over nothing is wrong, neither outside nor in our own books."""
    yield
    assert (await world.violations())["violations"] == []
    async with world.services.database.connection() as conn:
        assert await examine(conn, world.services.vault) == []
