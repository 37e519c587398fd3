"""The embedded server: who may run it, who may enter it, and what is left when somebody is killed."""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from unwind.storage.embedded import AlreadyOwnedError, EmbeddedPostgres, EmbeddedPostgresError, running_urls
from unwind.storage.embedded.layout import find_layout

FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "16MB"}

OWNER_PROGRAM = """
import sys, time
from pathlib import Path
from unwind.storage.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), settings={"fsync": "off"})
server.start()
print(server.server_pid, flush=True)
time.sleep(60)
"""


def wait_until(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def is_reachable(url: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=5).close()
        return True
    return False


def exists(pid: int) -> bool:
    """Zombies count as gone: who reaps them is not the question here."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Open to others, so that as root the server's own user may enter it."""
    folder = Path(tempfile.mkdtemp(prefix="unwind-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(home, settings=FAST)
    made.start()
    yield made
    made.destroy()


@pytest.fixture
def fresh_home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="unwind-test-"))
    folder.chmod(0o755)
    yield folder
    EmbeddedPostgres(folder).destroy()
    shutil.rmtree(folder)


def test_stops_and_starts_again_with_the_same_data(fresh_home: Path) -> None:
    server = EmbeddedPostgres(fresh_home, settings=FAST)
    assert running_urls(fresh_home) is None
    with server:
        urls = running_urls(fresh_home)
        assert urls is not None
        assert (urls.owner_url, urls.app_url) == (server.owner_url, server.app_url)
        with psycopg.connect(server.owner_url) as connection:
            connection.execute("CREATE TABLE kept (n int)")
    assert running_urls(fresh_home) is None
    assert not is_reachable(server.app_url)
    server.start()
    with psycopg.connect(server.owner_url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    server.stop()
    server.stop()


def test_second_owner_is_refused_with_the_pid_of_the_first(server: EmbeddedPostgres, home: Path) -> None:
    with pytest.raises(AlreadyOwnedError, match=str(os.getpid())) as refusal:
        EmbeddedPostgres(home).start()
    assert refusal.value.pid == os.getpid()
    assert is_reachable(server.app_url)


def test_killed_postgres_comes_back(server: EmbeddedPostgres) -> None:
    first, restarts = server.server_pid, server.restarts
    assert first is not None
    with psycopg.connect(server.app_url) as connection:
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: server.restarts > restarts and is_reachable(server.app_url))
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert server.server_pid != first
    assert server.failure is None


@pytest.mark.crash
def test_server_ends_with_its_killed_owner_and_the_next_start_works(fresh_home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER_PROGRAM, str(fresh_home)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        postgres_pid = int(owner.stdout.readline())
        urls = running_urls(fresh_home)
        assert urls is not None
        owner.kill()
    successor = EmbeddedPostgres(fresh_home, settings=FAST)
    with successor:  # at once: it waits for the old server to let go of the folder
        assert not exists(postgres_pid)
        assert is_reachable(successor.app_url)


@pytest.mark.crash
def test_everything_killed_at_once_leaves_nothing_that_hinders_a_start(fresh_home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER_PROGRAM, str(fresh_home)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        postgres_pid = int(owner.stdout.readline())
        supervisor_pid = int(Path(f"/proc/{postgres_pid}/stat").read_text("ascii").rpartition(")")[2].split()[1])
        for pid in (owner.pid, supervisor_pid, postgres_pid):
            os.kill(pid, signal.SIGKILL)
    layout = find_layout(fresh_home)
    assert layout is not None
    assert (layout.data / "postmaster.pid").exists()
    (layout.data / "postmaster.pid").write_text(f"{os.getpid()}\n{layout.data}\n", encoding="ascii")  # reused pid
    with EmbeddedPostgres(fresh_home, settings=FAST) as successor:
        assert is_reachable(successor.app_url)


def test_gives_up_and_says_why_when_the_server_cannot_run(fresh_home: Path) -> None:
    server = EmbeddedPostgres(fresh_home, settings={"no_such_setting": "1"})
    with pytest.raises(EmbeddedPostgresError, match="no_such_setting"):
        server.start()
    assert running_urls(fresh_home) is None


def test_data_of_another_version_is_left_alone(fresh_home: Path) -> None:
    with EmbeddedPostgres(fresh_home, settings=FAST):
        pass
    layout = find_layout(fresh_home)
    assert layout is not None
    (layout.data / "PG_VERSION").write_text("17\n", encoding="ascii")
    with pytest.raises(EmbeddedPostgresError, match="17"):
        EmbeddedPostgres(fresh_home).start()


def test_lost_or_damaged_passwords_are_said_and_nothing_is_made_up(fresh_home: Path) -> None:
    with EmbeddedPostgres(fresh_home, settings=FAST):
        pass
    layout = find_layout(fresh_home)
    assert layout is not None
    kept = layout.passwords.read_text(encoding="utf-8")
    layout.passwords.unlink()
    with pytest.raises(EmbeddedPostgresError, match="missing"):
        EmbeddedPostgres(fresh_home).start()
    layout.passwords.write_text("{", encoding="utf-8")
    with pytest.raises(EmbeddedPostgresError, match="damaged"):
        EmbeddedPostgres(fresh_home).start()
    layout.passwords.write_text(kept.replace('"superuser": "', '"superuser": "x'), encoding="utf-8")
    with pytest.raises(EmbeddedPostgresError, match="does not belong"):
        EmbeddedPostgres(fresh_home, settings=FAST).start()


@pytest.mark.crash
def test_killed_supervisor_takes_the_server_with_it_and_is_reported(fresh_home: Path) -> None:
    server = EmbeddedPostgres(fresh_home, settings=FAST)
    server.start()
    assert server._supervisor is not None
    server._supervisor.kill()
    wait_until(lambda: server.failure is not None and not is_reachable(server.app_url))
    server.stop()
    server.start()
    assert is_reachable(server.app_url)
    server.stop()


def test_app_may_connect_and_nothing_else(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.app_url, autocommit=True) as connection:
        for statement in (
            "CREATE TABLE mine (n int)",
            "CREATE TEMPORARY TABLE mine (n int)",
            "CREATE SCHEMA mine",
            "CREATE DATABASE mine",
            "CREATE ROLE mine",
            "SET ROLE unwind_owner",
            "SELECT pg_read_file('postmaster.pid')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    assert not is_reachable(server.url_for(role="app", database="postgres"))


def test_owner_owns_its_database_and_no_more(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.owner_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE theirs (n int); DROP TABLE theirs")
        for statement in ("CREATE ROLE mine", "CREATE DATABASE mine", "ALTER SYSTEM SET fsync = off"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_databases_can_be_made_from_a_template_and_dropped(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.owner_url) as connection:
        connection.execute("CREATE TABLE copied (n int)")
    server.create_database("copy_1", template="unwind")
    url = server.url_for(role="owner", database="copy_1")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO copied VALUES (1)")
        server.drop_database("copy_1")  # although somebody is connected
    server.drop_database("copy_1")
    assert not is_reachable(url)


@pytest.mark.parametrize("password", ["", "wrong"])
@pytest.mark.parametrize("role", ["unwind_owner", "unwind_app", "unwind_root"])
def test_wrong_password_is_refused(server: EmbeddedPostgres, home: Path, role: str, password: str) -> None:
    layout = find_layout(home)
    assert layout is not None
    host = quote(str(layout.socket_dir), safe="")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://{role}:{password}@/postgres?host={host}&port=5432")


def test_files_are_closed_to_others(server: EmbeddedPostgres, home: Path) -> None:
    layout = find_layout(home)
    assert layout is not None
    for folder in (layout.socket_dir, layout.data):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(layout.socket.stat().st_mode) == 0o700
    for file in (layout.passwords, layout.log):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with psycopg.connect(server.owner_url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        stored = connection.execute("SHOW password_encryption").fetchone()
    assert stored == ("scram-sha-256",)


def test_long_homes_get_a_short_socket_folder(fresh_home: Path) -> None:
    deep = fresh_home / ("a" * 60) / ("b" * 60)
    with EmbeddedPostgres(deep, settings=FAST) as server:
        assert is_reachable(server.app_url)
        layout = find_layout(deep)
        assert layout is not None
        assert stat.S_IMODE(layout.socket_dir.stat().st_mode) == 0o700
        assert not layout.socket_dir.is_relative_to(deep)
    server.destroy()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has homes that the server's user cannot enter")
def test_a_home_closed_to_others_keeps_its_data_elsewhere(fresh_home: Path) -> None:
    fresh_home.chmod(0o700)
    with EmbeddedPostgres(fresh_home, settings=FAST) as server:
        layout = find_layout(fresh_home)
        assert layout is not None
        assert layout.root.is_relative_to("/var/lib/unwind")
        assert server.server_pid is not None
        assert Path(f"/proc/{server.server_pid}").stat().st_uid != 0
    assert find_layout(fresh_home) == layout
    server.destroy()
    assert not layout.root.exists()


def test_client_programs_are_found(server: EmbeddedPostgres) -> None:
    done = subprocess.run([server.bin("pg_dump"), "--schema-only", server.owner_url], capture_output=True, check=True)
    assert b"PostgreSQL database dump" in done.stdout
    with pytest.raises(EmbeddedPostgresError, match="no_such_program"):
        server.bin("no_such_program")
