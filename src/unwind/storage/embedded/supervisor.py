"""Runs one postgres for as long as its owner lives. A process of its own, started by file name; standard library.

stdin: a pipe from the owner; end of file means stop. stdout: one JSON object per line, what happened.
argv[1]: JSON with `argv, uid, gid, data_dir, socket, log, lock_fd, owner_pid, environment`.
Ends with 0 after an orderly stop, 1 after giving up.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

RESTARTS_MAX = 10
"""Deaths in a row, each sooner than HEALTHY_AFTER_S after the start, before giving up."""
HEALTHY_AFTER_S = 3.0
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 5.0
POLL_S = 0.5
FAST_STOP_S = 20.0
IMMEDIATE_STOP_S = 5.0

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def load_libc() -> ctypes.CDLL | None:
    """For prctl, which only Linux has."""
    if sys.platform != "linux":
        return None
    return ctypes.CDLL(None)


class Supervisor:
    def __init__(self, task: dict[str, Any]) -> None:
        self.task = task
        self.postgres: subprocess.Popen[bytes] | None = None
        self.libc = load_libc()
        self.stop_wanted = False
        self.wake_read, self.wake_write = os.pipe()
        os.set_blocking(self.wake_read, False)
        os.set_blocking(self.wake_write, False)
        signal.set_wakeup_fd(self.wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self.ask_to_stop)
        signal.signal(signal.SIGINT, self.ask_to_stop)
        if self.libc is not None:
            self.libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def ask_to_stop(self, *_: object) -> None:
        self.stop_wanted = True

    def run(self) -> int:
        deaths_in_row = 0
        while True:
            started_at = time.monotonic()
            self.start()
            if self.wait(None):
                self.stop()
                return 0
            status = self.bury()
            deaths_in_row = 1 if time.monotonic() - started_at >= HEALTHY_AFTER_S else deaths_in_row + 1
            if deaths_in_row > RESTARTS_MAX:
                self.tell(event="gave_up", deaths=deaths_in_row, status=status)
                return 1
            delay_s = min(BACKOFF_FIRST_S * 2 ** (deaths_in_row - 1), BACKOFF_MAX_S)
            self.tell(event="died", status=status, deaths=deaths_in_row, restart_in_s=delay_s)
            if self.wait(delay_s):
                self.tell(event="stopped", status=status)
                return 0

    def start(self) -> None:
        """Only the holder of the lock comes here, so what an earlier server left behind is stale by definition."""
        for leftover in (Path(self.task["data_dir"]) / "postmaster.pid", Path(self.task["socket"] + ".lock")):
            leftover.unlink(missing_ok=True)
        account: dict[str, Any] = {}
        if self.task["uid"] is not None:
            account = {"user": self.task["uid"], "group": self.task["gid"], "extra_groups": []}
        with Path(self.task["log"]).open("ab") as log:
            self.postgres = subprocess.Popen(
                self.task["argv"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.task["data_dir"],
                env=self.task["environment"],
                pass_fds=[self.task["lock_fd"]],
                preexec_fn=self.tie_to_supervisor,  # noqa: PLW1509  single-threaded
                **account,
            )
        self.tell(event="started", pid=self.postgres.pid)

    def tie_to_supervisor(self) -> None:
        """In the child, after the change of user (which clears it): a fast stop should the supervisor be killed."""
        if self.libc is not None:
            self.libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)

    def wait(self, delay_s: float | None) -> bool:
        """Until postgres has ended (no delay given) or the delay is over; at once True when a stop is wanted."""
        deadline = None if delay_s is None else time.monotonic() + delay_s
        while not self.stop_wanted:
            left_s = POLL_S if deadline is None else min(POLL_S, deadline - time.monotonic())
            if left_s <= 0 or (deadline is None and self.has_ended()):
                return False
            ready, _, _ = select.select([0, self.wake_read], [], [], left_s)
            if self.wake_read in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self.wake_read, 512)
            owner_gone = os.getppid() != self.task["owner_pid"]
            if owner_gone or (0 in ready and not os.read(0, 512)):
                self.stop_wanted = True
        return True

    def has_ended(self) -> bool:
        return self.postgres is None or self.postgres.poll() is not None

    def bury(self) -> int:
        """The exit status of the dead server, once nothing of it is left that could still write to the data."""
        status = self.postgres.wait() if self.postgres is not None else 0
        for signal_no, patience_s in ((signal.SIGQUIT, 3.0), (signal.SIGKILL, 3.0)):
            deadline = time.monotonic() + patience_s
            while orphans := self.adopted():
                for pid in orphans:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal_no)
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(pid, os.WNOHANG)
                if time.monotonic() > deadline:
                    break
                time.sleep(0.02)
        return status

    def adopted(self) -> list[int]:
        """Processes that became our children when postgres died (Linux; elsewhere they end by themselves)."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parent = entry.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[1]
                if int(parent) == os.getpid():
                    found.append(int(entry.parent.name))
        return found

    def stop(self) -> None:
        """Fast (roll back, checkpoint), then immediate (recovery at the next start), then kill."""
        if self.postgres is None:
            return
        for signal_no, patience_s in (
            (signal.SIGINT, FAST_STOP_S),
            (signal.SIGQUIT, IMMEDIATE_STOP_S),
            (signal.SIGKILL, IMMEDIATE_STOP_S),
        ):
            if self.has_ended():
                break
            self.postgres.send_signal(signal_no)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.postgres.wait(patience_s)
        self.tell(event="stopped", status=self.bury())

    def tell(self, **happening: object) -> None:
        """The owner may be gone: then nobody needs to know."""
        with contextlib.suppress(OSError):
            os.write(1, (json.dumps(happening) + "\n").encode())


if __name__ == "__main__":
    sys.exit(Supervisor(json.loads(sys.argv[1])).run())
