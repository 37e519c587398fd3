"""Starts, watches and stops the embedded server on behalf of the process that owns it."""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
import structlog

from unwind.storage.embedded import layout as places
from unwind.storage.embedded import roles
from unwind.storage.embedded.errors import AlreadyOwnedError, EmbeddedPostgresError
from unwind.storage.embedded.layout import Layout, ServerUser
from unwind.storage.embedded.roles import Passwords, Role, Urls

log = structlog.get_logger(__name__)

READY_WITHIN_S = 60.0
RECOVERED_WITHIN_S = 600.0
"""A server that answers "starting up" is replaying its log after a crash, and is given this long."""
STOPPED_WITHIN_S = 40.0
DEAD_OWNER_GRACE_S = 40.0
"""How long the server of a killed owner may take to stop before a new start gives up."""
LIVE_OWNER_GRACE_S = 1.0
START_DEATHS_MAX = 3
"""A server that was never ready is not tried for as long as one that was."""
POLL_S = 0.05
LOG_BYTES_MAX = 10_000_000

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    # Failing statements and DETAIL lines carry buyers' data; the log must not.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


class EmbeddedPostgres:
    """One server on one home. `settings` are extra server settings, e.g. {"fsync": "off"} for tests.

    `start` returns when a real connection works and roles and database exist. While it runs, a server that dies is
    started again (bounded; `restarts` counts, `failure` says that it was given up). It ends with `stop`, or when this
    process ends, however that happens.
    """

    def __init__(self, home: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self._home = home
        self._settings = {**SETTINGS, **(settings or {})}
        self._layout: Layout | None = None
        self._passwords: Passwords | None = None
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._stopping = False
        self.restarts = 0
        self.failure: str | None = None
        self.server_pid: int | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def owner_url(self) -> str:
        """For migrations and administration of database `unwind`."""
        return self.url_for(role="owner", database=roles.DATABASE)

    @property
    def app_url(self) -> str:
        """For the running service: may do what migrations granted, owns nothing."""
        return self.url_for(role="app", database=roles.DATABASE)

    def url_for(self, *, role: Role, database: str) -> str:
        layout, passwords = self._started()
        return roles.make_url(layout, passwords, role=role, database=database)

    def bin(self, name: str) -> Path:
        """A client program of the same version: pg_dump, pg_restore, pgbench, psql ..."""
        program = places.find_programs() / name
        if not program.is_file():
            raise EmbeddedPostgresError(f"there is no program {name} beside the embedded server")
        return program

    def create_database(self, name: str, *, template: str | None = None) -> None:
        """Owned by `unwind_owner`; `unwind_app` may connect. Nobody may be connected to the template meanwhile."""
        with roles.superuser_connection(*self._started()) as connection:
            roles.ensure_database(connection, name, template=template)

    def drop_database(self, name: str) -> None:
        """Connections to it are ended; no error when there is none."""
        with roles.superuser_connection(*self._started()) as connection:
            roles.drop_database(connection, name)

    def start(self) -> None:
        if self._supervisor is not None:
            return
        user = places.find_server_user()
        layout = places.choose_layout(self._home)
        places.make_folders(layout, user)
        lock = _take_lock(layout)
        try:
            passwords = roles.read_or_make_passwords(layout)
            programs = places.find_server_programs(user)
            is_durable = self._settings.get("fsync") != "off"
            _prepare_data(layout, passwords, programs, user, lock, is_durable=is_durable)
            self._layout, self._passwords = layout, passwords
            self._start_supervisor(programs, user, lock)
        finally:
            os.close(lock)  # from here on the server's own processes hold it
        try:
            self._wait_until_ready()
            with roles.superuser_connection(layout, passwords) as connection:
                roles.ensure_roles(connection, passwords)
                roles.ensure_database(connection, roles.DATABASE)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Fast, clean shutdown; safe to repeat."""
        supervisor, reader = self._supervisor, self._reader
        if supervisor is None:
            return
        self._stopping = True
        if supervisor.stdin is not None:
            supervisor.stdin.close()
        try:
            supervisor.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            log.warning("embedded_postgres.supervisor_killed", pid=supervisor.pid)
            supervisor.kill()
            supervisor.wait()
        if reader is not None:
            reader.join()
        if supervisor.stdout is not None:
            supervisor.stdout.close()
        self._supervisor = self._reader = self.server_pid = None
        self._stopping = False

    def destroy(self) -> None:
        """Stops and deletes the server's files. For tests: nothing can bring the data back."""
        self.stop()
        layout = self._layout or places.find_layout(self._home)
        if layout is not None:
            places.forget_layout(self._home, layout)

    def _started(self) -> tuple[Layout, Passwords]:
        if self._layout is None or self._passwords is None:
            raise EmbeddedPostgresError("the embedded server was not started")
        return self._layout, self._passwords

    def _start_supervisor(self, programs: Path, user: ServerUser | None, lock: int) -> None:
        layout, _ = self._started()
        _trim_log(layout.log)
        settings = {
            **self._settings,
            "unix_socket_directories": str(layout.socket_dir),
            "port": str(places.PORT),
            "hba_file": str(layout.access_rules),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        task = {
            "argv": [str(programs / "postgres"), "-D", str(layout.data), *options],
            "uid": user.uid if user else None,
            "gid": user.gid if user else None,
            "data_dir": str(layout.data),
            "socket": str(layout.socket),
            "log": str(layout.log),
            "lock_fd": lock,
            "owner_pid": os.getpid(),
            "environment": _environment(),
        }
        self.restarts, self.failure = 0, None
        script = Path(__file__).with_name("supervisor.py")
        self._supervisor = subprocess.Popen(
            [sys.executable, "-I", "-S", str(script), json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[lock],
            start_new_session=True,  # Ctrl-C in the terminal is for the owner, which then stops the server in order
        )
        self._reader = threading.Thread(target=self._read_reports, args=[self._supervisor], daemon=True)
        self._reader.start()

    def _read_reports(self, supervisor: subprocess.Popen[bytes]) -> None:
        """Until the supervisor ends. An end that nobody asked for is a failure of its own."""
        for line in supervisor.stdout or ():
            self._take_report(json.loads(line))
        if not self._stopping and self.failure is None:
            self.failure = "the supervisor of the embedded server was killed"
            log.error("embedded_postgres.supervisor_gone")

    def _take_report(self, report: dict[str, Any]) -> None:
        match report["event"]:
            case "started":
                self.server_pid = report["pid"]
            case "died":
                self.restarts += 1
                log.warning("embedded_postgres.died", **{k: v for k, v in report.items() if k != "event"})
            case "gave_up":
                self.failure = f"the embedded server died {report['deaths']} times in a row (status {report['status']})"
                log.error("embedded_postgres.gave_up", deaths=report["deaths"], status=report["status"])
            case _:
                self.server_pid = None

    def _wait_until_ready(self) -> None:
        layout, passwords = self._started()
        started_at = time.monotonic()
        patience_s = READY_WITHIN_S
        while True:
            try:
                with roles.superuser_connection(layout, passwords) as connection:
                    connection.execute("SELECT 1")
            except psycopg.OperationalError as error:
                if "starting up" in str(error) or "recovery" in str(error):
                    patience_s = RECOVERED_WITHIN_S
                elif "authentication failed" in str(error):
                    raise EmbeddedPostgresError(f"{layout.passwords} does not belong to {layout.data}") from None
            else:
                return
            waited_s = time.monotonic() - started_at
            if self.failure is not None or self.restarts >= START_DEATHS_MAX or waited_s > patience_s:
                reason = self.failure or f"the server took no connection in {waited_s:.0f} s, {self.restarts} restarts"
                raise EmbeddedPostgresError(f"{reason}; end of {layout.log}:\n{_tail(layout.log)}")
            time.sleep(POLL_S)


def running_urls(home: Path, *, wait_s: float = 10.0) -> Urls | None:
    """For other processes of the same user (worker, command line): the addresses of the server that some live process
    runs for this home. None when nobody does, or when it does not take connections within `wait_s`.
    """
    layout = places.find_layout(home)
    deadline = time.monotonic() + wait_s
    while layout is not None and _is_locked(layout):
        passwords = roles.read_passwords(layout)
        with contextlib.suppress(psycopg.OperationalError):
            if passwords is not None:
                urls = roles.make_urls(layout, passwords)
                psycopg.connect(urls.app_url, connect_timeout=5).close()
                return urls
        if time.monotonic() > deadline:
            return None
        time.sleep(POLL_S)
    return None


def _take_lock(layout: Layout) -> int:
    """The descriptor that holds the folder.

    While a live process has it we give up after a moment (a reader may be probing the lock); the server of a dead
    owner is given time to stop.
    """
    descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    started_at = time.monotonic()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _read_owner(layout)
            grace_s = LIVE_OWNER_GRACE_S if owner is not None and _is_alive(owner) else DEAD_OWNER_GRACE_S
            if time.monotonic() - started_at > grace_s:
                os.close(descriptor)
                raise AlreadyOwnedError(layout.root, owner) from None
            time.sleep(POLL_S)
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return descriptor


def _is_locked(layout: Layout) -> bool:
    try:
        descriptor = os.open(layout.lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _read_owner(layout: Layout) -> int | None:
    try:
        return int(layout.lock.read_text(encoding="ascii"))
    except (ValueError, OSError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _prepare_data(
    layout: Layout, passwords: Passwords, programs: Path, user: ServerUser | None, lock: int, *, is_durable: bool
) -> None:
    """A data folder made by initdb whole or not at all, of the version we are about to run, and run by nobody else."""
    version_file = layout.data / "PG_VERSION"
    if not version_file.exists():
        _init_data(layout, passwords, programs, user, lock, is_durable=is_durable)
    version = version_file.read_text(encoding="ascii").strip()
    if version != "18":
        raise EmbeddedPostgresError(
            f"{layout.data} was made by PostgreSQL {version}; this program brings PostgreSQL 18"
        )
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int((layout.data / "postmaster.pid").read_text(encoding="ascii").split()[0])
        if Path(f"/proc/{pid}/cwd").resolve() == layout.data.resolve() and _is_alive(pid):
            raise AlreadyOwnedError(layout.root, pid)
    rules = "# Written at every start: sockets only, SCRAM only.\nlocal all all scram-sha-256\n"
    layout.access_rules.write_text(rules, encoding="ascii")
    layout.access_rules.chmod(0o644)  # the server's user reads it and must not change it


def _init_data(
    layout: Layout, passwords: Passwords, programs: Path, user: ServerUser | None, lock: int, *, is_durable: bool
) -> None:
    draft = layout.root / "data.new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    account: dict[str, Any] = {}
    if user is not None:
        os.chown(draft, user.uid, user.gid)
        account = {"user": user.uid, "group": user.gid, "extra_groups": []}
    with tempfile.TemporaryFile() as password_file:
        password_file.write(f"{passwords.superuser}\n".encode())
        password_file.seek(0)
        if user is not None:
            os.fchown(password_file.fileno(), user.uid, user.gid)
        done = subprocess.run(
            [
                *(str(programs / "initdb"), "-D", str(draft), "-U", roles.SUPERUSER),
                *("--auth=scram-sha-256", f"--pwfile=/dev/fd/{password_file.fileno()}"),
                *("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
                *(["--no-instructions"] if is_durable else ["--no-instructions", "--no-sync"]),
            ],
            capture_output=True,
            check=False,
            cwd="/",
            env=_environment(),
            pass_fds=[lock, password_file.fileno()],
            **account,
        )
    if done.returncode != 0:
        raise EmbeddedPostgresError(f"initdb ended with {done.returncode}:\n{done.stderr.decode(errors='replace')}")
    draft.rename(layout.data)


def _environment() -> dict[str, str]:
    """Nothing of ours reaches the server: PGDATA, PGPORT and friends would change what it does."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _trim_log(path: Path) -> None:
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_suffix(".log.old"))
    path.touch(mode=0o600)


def _tail(path: Path, lines: int = 5) -> str:
    try:
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"
