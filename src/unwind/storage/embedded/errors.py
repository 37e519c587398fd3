"""What can go wrong around the embedded server, said so that a person can act on it."""

from pathlib import Path


class EmbeddedPostgresError(RuntimeError):
    """The embedded server cannot be started or used; the message says what to do."""


class AlreadyOwnedError(EmbeddedPostgresError):
    """Another live process already runs the server of this home."""

    def __init__(self, root: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid is not None else "another process"
        super().__init__(f"the database in {root} is already run by {who}; stop it first or use another UNWIND_HOME")
        self.pid = pid
