"""Photos and documents of cases, as ciphertext."""

from datetime import datetime
from typing import Any

from unwind.storage.database import Connection


async def add_attachment(
    conn: Connection,
    *,
    attachment_id: str,
    case_id: str,
    order_id: str,
    media_type: str,
    size_bytes: int,
    ciphertext: bytes,
    by: str,
    at: datetime,
) -> None:
    await conn.execute(
        """
        INSERT INTO attachments (attachment_id, case_id, order_id, media_type, size_bytes, ciphertext, added_by, added_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (attachment_id, case_id, order_id, media_type, size_bytes, ciphertext, by, at),
    )


async def count_of(conn: Connection, case_id: str) -> int:
    cursor = await conn.execute("SELECT count(*) AS n FROM attachments WHERE case_id = %s", (case_id,))
    row = await cursor.fetchone()
    return row["n"] if row else 0


async def attachments_of(conn: Connection, case_id: str) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        """
        SELECT attachment_id, media_type, size_bytes, added_by, added_at FROM attachments WHERE case_id = %s
        ORDER BY added_at, attachment_id
        """,
        (case_id,),
    )
    return await cursor.fetchall()


async def read_attachment(conn: Connection, attachment_id: str) -> dict[str, Any] | None:
    cursor = await conn.execute(
        """
        SELECT a.case_id, a.order_id, c.merchant_id, a.media_type, a.ciphertext
        FROM attachments a JOIN cases c USING (case_id) WHERE a.attachment_id = %s
        """,
        (attachment_id,),
    )
    return await cursor.fetchone()
