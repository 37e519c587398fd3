"""Signed batches of archived heads: nobody can rewrite an old case without breaking a later signature."""

from collections.abc import Sequence
from typing import Any

from unwind.storage.database import Connection


async def unanchored_heads(conn: Connection, *, heads_max: int) -> list[tuple[str, bytes]]:
    """Archived cases in no batch yet. Batches are made one at a time, under a lock of their own."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext('unwind.anchors'))")
    cursor = await conn.execute(
        """
        SELECT c.case_id, c.head FROM cases c LEFT JOIN anchored_cases a USING (case_id)
        WHERE c.state = 'archived' AND a.case_id IS NULL ORDER BY c.closed_at, c.case_id LIMIT %s
        """,
        (heads_max,),
    )
    return [(row["case_id"], row["head"]) for row in await cursor.fetchall()]


async def last_signature(conn: Connection) -> bytes | None:
    cursor = await conn.execute("SELECT signature FROM anchors ORDER BY batch_no DESC LIMIT 1")
    row = await cursor.fetchone()
    return row["signature"] if row else None


async def add_batch(conn: Connection, case_ids: Sequence[str], signature: bytes) -> None:
    await conn.execute(
        """
        WITH batch AS (INSERT INTO anchors (at, case_ids, signature) VALUES (unwind_now(), %s, %s) RETURNING batch_no)
        INSERT INTO anchored_cases (case_id, batch_no) SELECT unnest(%s::text[]), batch_no FROM batch
        """,
        (list(case_ids), signature, list(case_ids)),
    )


async def batches(conn: Connection) -> list[dict[str, Any]]:
    """Every batch with the present heads of its cases, in signing order."""
    cursor = await conn.execute(
        """
        SELECT a.batch_no, a.signature, (
            SELECT array_agg(c.head ORDER BY k.place) FROM unnest(a.case_ids) WITH ORDINALITY AS k(case_id, place)
            JOIN cases c USING (case_id)) AS heads
        FROM anchors a ORDER BY a.batch_no
        """
    )
    return await cursor.fetchall()
