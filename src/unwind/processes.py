"""Runs the program's processes: the embedded database where none is configured, and children for the demo."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from unwind.settings import Settings
from unwind.storage.embedded import EmbeddedPostgres, running_urls
from unwind.storage.migrate import migrate

CHILD_STOP_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseUrls:
    owner: str
    app: str


@contextmanager
def database(settings: Settings) -> Iterator[DatabaseUrls]:
    """The configured database, the embedded one another process runs, or our own for as long as the context lasts."""
    if settings.database_url is not None:
        yield DatabaseUrls(owner=settings.database_owner_url or settings.database_url, app=settings.database_url)
        return
    running = running_urls(settings.home, wait_s=0.0)
    if running is not None:
        yield DatabaseUrls(owner=running.owner_url, app=running.app_url)
        return
    with EmbeddedPostgres(settings.home) as server:
        migrate(server.owner_url)
        yield DatabaseUrls(owner=server.owner_url, app=server.app_url)


class Children:
    """Child processes that end with us, in reverse order; one that dies is started again, with a pause that grows."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**os.environ, **environment}
        self._running: list[tuple[list[str], subprocess.Popen[bytes]]] = []
        self._deaths = 0

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", *arguments]
        child = subprocess.Popen(command, env=self._environment)
        self._running.append((command, child))
        return child

    def watch(self) -> None:
        """Returns never; raises KeyboardInterrupt through."""
        while True:
            time.sleep(0.5)
            for i, (command, child) in enumerate(self._running):
                if child.poll() is not None:
                    self._deaths += 1
                    time.sleep(min(10.0, 0.5 * self._deaths))
                    self._running[i] = (command, subprocess.Popen(command, env=self._environment))

    def stop(self) -> None:
        for _, child in reversed(self._running):
            if child.poll() is None:
                child.terminate()
        for _, child in reversed(self._running):
            try:
                child.wait(CHILD_STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
