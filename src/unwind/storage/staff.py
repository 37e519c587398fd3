"""Accounts of people: what proves who they are, and the sessions in which they work."""

from datetime import datetime, timedelta
from typing import Any

from unwind.storage.database import Connection

ACCOUNT = """
    SELECT s.*, p.role, p.merchant_id, p.display_name, p.revoked_at FROM staff s JOIN principals p USING (principal_id)
"""


async def add_staff(
    conn: Connection,
    principal_id: str,
    *,
    by: str,
    login: str | None = None,
    password_hash: str | None = None,
    must_change: bool = False,
    issuer: str | None = None,
    subject: str | None = None,
) -> bool:
    """False where the login, or the subject of that issuer, has an account already."""
    cursor = await conn.execute(
        """
        INSERT INTO staff (principal_id, login, password_hash, password_at, must_change, issuer, subject, created_at, created_by)
        VALUES (%(id)s, %(login)s, %(hash)s, CASE WHEN %(hash)s::text IS NULL THEN NULL ELSE unwind_now() END, %(must)s, %(issuer)s,
            %(subject)s, unwind_now(), %(by)s)
        ON CONFLICT DO NOTHING
        """,
        {
            "id": principal_id,
            "login": login,
            "hash": password_hash,
            "must": must_change,
            "issuer": issuer,
            "subject": subject,
            "by": by,
        },
    )
    return cursor.rowcount == 1


async def account_by_login(conn: Connection, login: str) -> dict[str, Any] | None:
    cursor = await conn.execute(f"{ACCOUNT} WHERE s.login = %s", (login,))
    return await cursor.fetchone()


async def account_by_subject(conn: Connection, *, issuer: str, subject: str) -> dict[str, Any] | None:
    cursor = await conn.execute(f"{ACCOUNT} WHERE s.issuer = %s AND s.subject = %s", (issuer, subject))
    return await cursor.fetchone()


async def read_account(conn: Connection, principal_id: str) -> dict[str, Any] | None:
    cursor = await conn.execute(f"{ACCOUNT} WHERE s.principal_id = %s", (principal_id,))
    return await cursor.fetchone()


async def lock_account(conn: Connection, principal_id: str) -> dict[str, Any] | None:
    """For the change of it, or for the use of one of its codes."""
    cursor = await conn.execute(f"{ACCOUNT} WHERE s.principal_id = %s FOR NO KEY UPDATE OF s", (principal_id,))
    return await cursor.fetchone()


async def list_staff(conn: Connection, *, merchant_id: str | None) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        """
        SELECT s.principal_id, s.login, s.issuer, p.role, p.merchant_id, p.display_name, p.revoked_at AS deactivated_at, s.must_change,
            s.totp_secret IS NOT NULL AS has_second_factor, s.created_at, s.created_by,
            (SELECT count(*) FROM sessions e WHERE e.principal_id = s.principal_id AND e.ended_at IS NULL
                AND e.expires_at > unwind_now()) AS sessions
        FROM staff s JOIN principals p USING (principal_id)
        WHERE %(m)s::text IS NULL OR p.merchant_id = %(m)s ORDER BY p.role, s.principal_id
        """,
        {"m": merchant_id},
    )
    return await cursor.fetchall()


async def set_password(conn: Connection, principal_id: str, password_hash: str, *, must_change: bool) -> None:
    await conn.execute(
        "UPDATE staff SET password_hash = %s, password_at = unwind_now(), must_change = %s WHERE principal_id = %s",
        (password_hash, must_change, principal_id),
    )


async def rehash(conn: Connection, principal_id: str, *, old: str, new: str) -> None:
    """The same password by today's parameters, unless it has changed meanwhile."""
    await conn.execute(
        "UPDATE staff SET password_hash = %s WHERE principal_id = %s AND password_hash = %s", (new, principal_id, old)
    )


async def begin_second_factor(conn: Connection, principal_id: str, sealed: bytes) -> None:
    await conn.execute("UPDATE staff SET totp_pending = %s WHERE principal_id = %s", (sealed, principal_id))


async def confirm_second_factor(conn: Connection, principal_id: str, *, step: int, codes: list[bytes]) -> None:
    """What was pending holds from now on, with new recovery codes; the code that confirmed it is used."""
    await conn.execute(
        "UPDATE staff SET totp_secret = totp_pending, totp_pending = NULL, totp_step = %s WHERE principal_id = %s",
        (step, principal_id),
    )
    await conn.execute("DELETE FROM recovery_codes WHERE principal_id = %s", (principal_id,))
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO recovery_codes (principal_id, digest) VALUES (%s, %s)",
            [(principal_id, code) for code in codes],
        )


async def drop_second_factor(conn: Connection, principal_id: str) -> None:
    await conn.execute(
        "UPDATE staff SET totp_secret = NULL, totp_pending = NULL, totp_step = 0 WHERE principal_id = %s",
        (principal_id,),
    )
    await conn.execute("DELETE FROM recovery_codes WHERE principal_id = %s", (principal_id,))


async def use_step(conn: Connection, principal_id: str, step: int) -> bool:
    """False where this step or a later one was used: a code is good once."""
    cursor = await conn.execute(
        "UPDATE staff SET totp_step = %s WHERE principal_id = %s AND totp_step < %s", (step, principal_id, step)
    )
    return cursor.rowcount == 1


async def use_recovery_code(conn: Connection, principal_id: str, digest: bytes) -> bool:
    cursor = await conn.execute(
        "UPDATE recovery_codes SET used_at = unwind_now() WHERE principal_id = %s AND digest = %s AND used_at IS NULL",
        (principal_id, digest),
    )
    return cursor.rowcount == 1


async def open_session(
    conn: Connection,
    *,
    session_id: str,
    token_digest: bytes,
    principal_id: str,
    method: str,
    needs: str,
    longest: timedelta,
) -> datetime:
    """Returns when it ends, however busy it is."""
    cursor = await conn.execute(
        """
        INSERT INTO sessions (session_id, token_digest, principal_id, method, needs, created_at, seen_at, expires_at)
        SELECT %s, %s, %s, %s, %s, now, now, now + %s FROM (SELECT unwind_now() AS now) AS clock RETURNING expires_at
        """,
        (session_id, token_digest, principal_id, method, needs, longest),
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an INSERT of one row returns one
    expires_at: datetime = row["expires_at"]
    return expires_at


async def find_session(conn: Connection, token_digest: bytes, *, idle: timedelta) -> dict[str, Any] | None:
    """A live one, with its person as they are at this moment; noted as seen, at most once a minute."""
    cursor = await conn.execute(
        """
        WITH live AS (
            SELECT e.session_id, e.needs, e.method, e.expires_at, e.seen_at, p.principal_id, p.role, p.merchant_id, p.display_name, unwind_now() AS now
            FROM sessions e JOIN principals p USING (principal_id)
            WHERE e.token_digest = %(digest)s AND e.ended_at IS NULL AND e.expires_at > unwind_now() AND e.seen_at > unwind_now() - %(idle)s
              AND p.revoked_at IS NULL),
        seen AS (
            UPDATE sessions e SET seen_at = live.now FROM live
            WHERE e.session_id = live.session_id AND e.ended_at IS NULL AND e.seen_at < live.now - interval '1 minute')
        SELECT * FROM live
        """,
        {"digest": token_digest, "idle": idle},
        prepare=True,
    )
    return await cursor.fetchone()


async def has_second_factor_now(conn: Connection, session_id: str) -> None:
    """The second factor is there; a password that has to be changed still has to be."""
    await conn.execute(
        "UPDATE sessions SET needs = '' WHERE session_id = %s AND needs = 'second_factor'", (session_id,)
    )


async def live_sessions(conn: Connection, principal_id: str, *, idle: timedelta) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        """
        SELECT session_id, method, created_at, seen_at, expires_at FROM sessions
        WHERE principal_id = %s AND ended_at IS NULL AND expires_at > unwind_now() AND seen_at > unwind_now() - %s
        ORDER BY created_at DESC
        """,
        (principal_id, idle),
    )
    return await cursor.fetchall()


async def end_sessions(
    conn: Connection, principal_id: str, *, why: str, session_id: str | None = None, besides: str | None = None
) -> int:
    """All of a person's, or the one named, or all but one."""
    cursor = await conn.execute(
        """
        UPDATE sessions SET ended_at = unwind_now(), ended_why = %(why)s
        WHERE principal_id = %(who)s AND ended_at IS NULL AND (%(one)s::text IS NULL OR session_id = %(one)s)
          AND session_id IS DISTINCT FROM %(but)s::text
        """,
        {"who": principal_id, "why": why, "one": session_id, "but": besides},
    )
    return cursor.rowcount
