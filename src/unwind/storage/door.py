"""What happens at the door: attempts of the present window, sign-ins that are at the identity provider, and the record of both."""

from datetime import timedelta
from typing import Any

from unwind.storage.database import Connection

FORGET_AFTER = timedelta(days=30)
"""Ended sessions. The record of the door stays."""


async def count_attempt(conn: Connection, kind: str, digest: bytes, *, window: timedelta) -> int:
    """How many there are now in the window, this one counted. One statement, so that processes agree and nobody slips between them."""
    cursor = await conn.execute(
        """
        INSERT INTO sign_in_attempts AS a (kind, digest, attempts, since) VALUES (%(kind)s, %(digest)s, 1, unwind_now())
        ON CONFLICT (kind, digest) DO UPDATE SET
            attempts = CASE WHEN a.since + %(window)s <= unwind_now() THEN 1 ELSE a.attempts + 1 END,
            since = CASE WHEN a.since + %(window)s <= unwind_now() THEN unwind_now() ELSE a.since END
        RETURNING attempts
        """,
        {"kind": kind, "digest": digest, "window": window},
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an upsert returns its row
    return int(row["attempts"])


async def give_back_attempt(conn: Connection, kind: str, digest: bytes) -> None:
    """It was no guess."""
    await conn.execute(
        "UPDATE sign_in_attempts SET attempts = attempts - 1 WHERE kind = %s AND digest = %s AND attempts > 0",
        (kind, digest),
    )


async def forget_attempts(conn: Connection, kind: str, digest: bytes) -> None:
    await conn.execute("DELETE FROM sign_in_attempts WHERE kind = %s AND digest = %s", (kind, digest))


async def note(
    conn: Connection, event: str, *, principal_id: str | None, actor: str, source: bytes | None = None, detail: str = ""
) -> None:
    await conn.execute(
        """
        INSERT INTO sign_in_events (at, event, principal_id, actor, source_digest, detail) VALUES (unwind_now(), %s, %s, %s, %s, %s)
        """,
        (event, principal_id, actor, source, detail),
    )


async def events(conn: Connection, *, before: int | None, events_max: int) -> list[dict[str, Any]]:
    """Newest first; `before`: the number of the last one seen."""
    cursor = await conn.execute(
        """
        SELECT event_no, at, event, principal_id, actor, encode(source_digest, 'hex') AS source, detail FROM sign_in_events
        WHERE %(before)s::bigint IS NULL OR event_no < %(before)s ORDER BY event_no DESC LIMIT %(n)s
        """,
        {"before": before, "n": events_max},
    )
    return await cursor.fetchall()


async def keep_state(conn: Connection, digest: bytes) -> None:
    await conn.execute("INSERT INTO oidc_states (state_digest, created_at) VALUES (%s, unwind_now())", (digest,))


async def take_state(conn: Connection, digest: bytes, *, life: timedelta) -> bool:
    """True for the first who comes back with it in time."""
    cursor = await conn.execute(
        "DELETE FROM oidc_states WHERE state_digest = %s RETURNING created_at > unwind_now() - %s AS is_live",
        (digest, life),
    )
    row = await cursor.fetchone()
    return bool(row and row["is_live"])


async def forget_old(conn: Connection, *, window: timedelta, life: timedelta) -> None:
    await conn.execute("DELETE FROM sign_in_attempts WHERE since < unwind_now() - %s", (window,))
    await conn.execute("DELETE FROM oidc_states WHERE created_at < unwind_now() - %s", (life,))
    await conn.execute("DELETE FROM sessions WHERE expires_at < unwind_now() - %s", (FORGET_AFTER,))
