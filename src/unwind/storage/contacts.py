"""The calls and conversations a case has heard of."""

from datetime import datetime

from unwind.storage.database import Connection


async def add_contact(conn: Connection, case_id: str, ref: str, *, at: datetime) -> bool:
    """False when the case knew it. The case row is locked by the caller.

    Asked by its row, not by a count: within a pipeline a count is not known yet.
    """
    cursor = await conn.execute(
        "INSERT INTO case_contacts (case_id, ref, at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING RETURNING ref",
        (case_id, ref, at),
    )
    return await cursor.fetchone() is not None
