"""The database of one benchmark: made for it, migrated, and gone with it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unwind.storage.embedded import EmbeddedPostgres
from unwind.storage.migrate import migrate


@contextmanager
def fresh_server() -> Iterator[tuple[EmbeddedPostgres, Path]]:
    """The server, and the folder it and whatever else the benchmark starts live in."""
    with tempfile.TemporaryDirectory(prefix="unwind-bench-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o755)
        with EmbeddedPostgres(home) as server:
            migrate(server.owner_url)
            yield server, home
