"""What somebody should look at: one open row per connection, kind and code, however often it happens. Written last in its transaction."""

from typing import Any

from unwind.storage.database import Connection


async def raise_alert(conn: Connection, *, connection: str, kind: str, code: str, case_id: str | None = None) -> None:
    await conn.execute(
        """
        INSERT INTO alerts AS a (connection, kind, code, case_id, first_at, last_at)
        SELECT %(connection)s, %(kind)s, %(code)s, %(case_id)s, now, now FROM (SELECT unwind_now() AS now) AS clock
        ON CONFLICT (connection, kind, code) WHERE closed_at IS NULL
        DO UPDATE SET times = a.times + 1, last_at = excluded.last_at, case_id = coalesce(excluded.case_id, a.case_id)
        """,
        {"connection": connection, "kind": kind, "code": code, "case_id": case_id},
    )


async def open_alerts(conn: Connection, *, alerts_max: int) -> list[dict[str, Any]]:
    """Newest first."""
    cursor = await conn.execute(
        """
        SELECT alert_id, connection, kind, code, case_id, first_at, last_at, times FROM alerts
        WHERE closed_at IS NULL ORDER BY last_at DESC, alert_id DESC LIMIT %s
        """,
        (alerts_max,),
    )
    return await cursor.fetchall()


async def close_alert(conn: Connection, alert_id: int, *, by: str) -> bool:
    """False when it is closed already or never was."""
    cursor = await conn.execute(
        "UPDATE alerts SET closed_at = unwind_now(), closed_by = %s WHERE alert_id = %s AND closed_at IS NULL",
        (by, alert_id),
    )
    return cursor.rowcount == 1


async def close_alerts_of(conn: Connection, connection: str, *, kind: str, by: str) -> None:
    """What the alert was about has ended by itself."""
    await conn.execute(
        "UPDATE alerts SET closed_at = unwind_now(), closed_by = %s WHERE connection = %s AND kind = %s AND closed_at IS NULL",
        (by, connection, kind),
    )


async def untold_alerts(conn: Connection, *, alerts_max: int = 20) -> list[dict[str, Any]]:
    """Open ones that the staff's chat has not heard of."""
    cursor = await conn.execute(
        """
        SELECT alert_id, connection, kind, code FROM alerts WHERE closed_at IS NULL AND told_at IS NULL
        ORDER BY alert_id LIMIT %s
        """,
        (alerts_max,),
    )
    return await cursor.fetchall()


async def mark_told(conn: Connection, alert_id: int) -> None:
    await conn.execute("UPDATE alerts SET told_at = unwind_now() WHERE alert_id = %s", (alert_id,))


async def close_alerts_about(conn: Connection, connection: str, *, kind: str, code: str, by: str) -> None:
    """The same for one subject: `code`, alone or followed by its cause."""
    await conn.execute(
        """
        UPDATE alerts SET closed_at = unwind_now(), closed_by = %s
        WHERE connection = %s AND kind = %s AND (code = %s OR code LIKE %s) AND closed_at IS NULL
        """,
        (by, connection, kind, code, code.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + ":%"),
    )
