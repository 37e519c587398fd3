"""Reviewed phrases under one counter, and what agents found to be true."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from unwind.storage.database import Connection, to_json


async def current_version(conn: Connection) -> int:
    cursor = await conn.execute("SELECT version FROM phrase_book", prepare=True)
    row = await cursor.fetchone()
    return row["version"] if row else 0


async def next_version(conn: Connection) -> int:
    """Whoever changes what is in force waits here for everybody before them to commit."""
    cursor = await conn.execute("UPDATE phrase_book SET version = version + 1 RETURNING version")
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - the table has one row
    return int(row["version"])


async def phrases_in_force(conn: Connection) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        "SELECT phrase_id, merchant_id, folded, label FROM phrases WHERE state = 'in_force' ORDER BY phrase_id"
    )
    return await cursor.fetchall()


async def list_phrases(conn: Connection, *, merchant_id: str | None, phrases_max: int) -> list[dict[str, Any]]:
    """Newest first; of a shop its own and everybody's."""
    cursor = await conn.execute(
        """
        SELECT phrase_id, merchant_id, phrase, label, state, proposed_by, proposed_at, why, evaluation, agreed_by, agreed_at,
            since_version, retired_by, retired_at, retired_why
        FROM phrases WHERE %(m)s::text IS NULL OR merchant_id IS NULL OR merchant_id = %(m)s
        ORDER BY phrase_id DESC LIMIT %(n)s
        """,
        {"m": merchant_id, "n": phrases_max},
    )
    return await cursor.fetchall()


async def read_phrase(conn: Connection, phrase_id: int) -> dict[str, Any] | None:
    cursor = await conn.execute("SELECT * FROM phrases WHERE phrase_id = %s", (phrase_id,))
    return await cursor.fetchone()


async def propose(conn: Connection, phrase: Mapping[str, Any]) -> int | None:
    """Its number; None where the same phrase is proposed or in force already."""
    cursor = await conn.execute(
        """
        INSERT INTO phrases (merchant_id, phrase, folded, label, state, proposed_by, proposed_at, why, evaluation)
        VALUES (%(merchant_id)s, %(phrase)s, %(folded)s, %(label)s, 'proposed', %(by)s, %(at)s, %(why)s, %(evaluation)s::jsonb)
        ON CONFLICT DO NOTHING RETURNING phrase_id
        """,
        {**phrase, "evaluation": to_json(phrase["evaluation"])},
    )
    row = await cursor.fetchone()
    return None if row is None else int(row["phrase_id"])


async def put_in_force(
    conn: Connection, phrase_id: int, *, by: str, at: datetime, version: int, evaluation: Mapping[str, Any]
) -> None:
    await conn.execute(
        """
        UPDATE phrases SET state = 'in_force', agreed_by = %s, agreed_at = %s, since_version = %s, evaluation = %s::jsonb
        WHERE phrase_id = %s
        """,
        (by, at, version, to_json(evaluation), phrase_id),
    )


async def retire(conn: Connection, phrase_id: int, *, by: str, at: datetime, why: str) -> None:
    await conn.execute(
        "UPDATE phrases SET state = 'retired', retired_by = %s, retired_at = %s, retired_why = %s WHERE phrase_id = %s",
        (by, at, why, phrase_id),
    )


async def is_name_known(conn: Connection, digests: Sequence[bytes]) -> list[bytes]:
    """Which of these are digests of the name of somebody who has ordered."""
    cursor = await conn.execute(
        "SELECT DISTINCT digest FROM blind_index WHERE kind = 'name' AND digest = ANY(%s)", (list(digests),)
    )
    return [bytes(row["digest"]) for row in await cursor.fetchall()]


async def corrected_cases(
    conn: Connection, *, merchant_id: str | None, since: datetime, until: datetime, cases_max: int
) -> list[dict[str, Any]]:
    """Cases of the period whose true reason an agent has found, with what was read and said; `words` still sealed, null where they may not be opened."""
    cursor = await conn.execute(
        """
        SELECT c.case_id, c.order_id, c.reason, c.stated_reason, c.true_reason, c.tags->'evidence' AS evidence,
            w.ciphertext AS words, k.wrapped_key
        FROM cases c
        LEFT JOIN LATERAL (
            SELECT d.ciphertext FROM private_data d WHERE d.order_id = c.order_id AND d.field = 'words' AND d.case_id = c.case_id
              AND NOT EXISTS (SELECT FROM erasures e WHERE e.order_id = c.order_id)
            ORDER BY d.private_id LIMIT 1) w ON true
        LEFT JOIN order_keys k ON k.order_id = c.order_id
        WHERE c.true_reason IS NOT NULL AND c.opened_at >= %(since)s AND c.opened_at < %(until)s
          AND (%(m)s::text IS NULL OR c.merchant_id = %(m)s)
        ORDER BY c.opened_at DESC, c.case_id LIMIT %(n)s
        """,
        {"m": merchant_id, "since": since, "until": until, "n": cases_max},
    )
    return await cursor.fetchall()
