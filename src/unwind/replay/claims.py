"""The two statements only a replay needs: the lease of one named case, and who else is working here."""

from unwind.storage.database import Connection
from unwind.storage.locks import LEASE


async def lease_case(conn: Connection, case_id: str) -> int | None:
    """The same lease a worker takes (`storage/locks.py`), on this case and no other. None when it is archived or held."""
    cursor = await conn.execute(
        """
        UPDATE cases SET lease_token = nextval('lease_tokens'), lease_until = unwind_now() + %s
        WHERE case_id = %s AND state <> 'archived' AND lease_token IS NULL RETURNING lease_token
        """,
        (LEASE, case_id),
        prepare=True,
    )
    row = await cursor.fetchone()
    return None if row is None else row["lease_token"]


async def others_at_work(conn: Connection) -> bool:
    """Whether another process of ours is connected. A worker would find cases of 2011 overdue and take them."""
    cursor = await conn.execute(
        """
        SELECT EXISTS (SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'unwind' AND pid <> pg_backend_pid()) AS found
        """
    )
    row = await cursor.fetchone()
    return row is not None and bool(row["found"])
