"""Calendars, holiday years and target minutes: versions under one counter, never changed once written."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from unwind.domain.calendar import Calendar
from unwind.domain.timetable import Scope, Targets, Timetable
from unwind.storage.database import Connection, to_json

NEWEST_CALENDARS = """
    SELECT DISTINCT ON (scope, scope_id) scope, scope_id, version, rules, set_by, set_at FROM calendars
    ORDER BY scope, scope_id, version DESC
"""
NEWEST_YEARS = """
    SELECT DISTINCT ON (year) year, version, days, set_by, set_at FROM holiday_years ORDER BY year, version DESC
"""
NEWEST_TARGETS = """
    SELECT DISTINCT ON (merchant_id) merchant_id, version, minutes, set_by, set_at FROM clock_targets
    ORDER BY merchant_id, version DESC
"""


async def current_version(conn: Connection) -> int:
    cursor = await conn.execute("SELECT version FROM timetable", prepare=True)
    row = await cursor.fetchone()
    return row["version"] if row else 0


async def read_timetable(conn: Connection) -> Timetable:
    """Everything that holds now, at one version. The connection is in a transaction that sees one snapshot, or reads the version first."""
    version = await current_version(conn)
    years = {row["year"]: row["days"] for row in await newest_years(conn)}
    calendars = await newest_calendars(conn)
    targets = await newest_targets(conn)
    return Timetable(
        version=version,
        calendars={(Scope(row["scope"]), row["scope_id"]): calendar_of(row["rules"], years) for row in calendars},
        targets={row["merchant_id"]: Targets(**row["minutes"]) for row in targets},
    )


def calendar_of(rules: Mapping[str, Any], years: Mapping[int, Mapping[str, str]]) -> Calendar:
    """Its own days come after the official ones, and so before them in rank."""
    days: dict[date, str] = {}
    if rules["observes_holidays"]:
        days |= {date.fromisoformat(day): kind for year in years.values() for day, kind in year.items()}
    days |= {date.fromisoformat(day): kind for day, kind in rules["days"].items()}
    return Calendar(
        time_zone=rules["time_zone"],
        week=tuple(_windows(windows) for windows in rules["week"]),
        make_up=_windows(rules["make_up"]),
        days_off=frozenset(day for day, kind in days.items() if kind == "off"),
        days_on=frozenset(day for day, kind in days.items() if kind == "work"),
    )


def _windows(pairs: list[list[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((opens, closes) for opens, closes in pairs)


async def newest_calendars(conn: Connection) -> list[dict[str, Any]]:
    cursor = await conn.execute(f"SELECT * FROM ({NEWEST_CALENDARS}) AS newest WHERE rules IS NOT NULL")  # noqa: S608 - our own text
    return await cursor.fetchall()


async def newest_years(conn: Connection) -> list[dict[str, Any]]:
    cursor = await conn.execute(NEWEST_YEARS)
    return await cursor.fetchall()


async def newest_targets(conn: Connection) -> list[dict[str, Any]]:
    cursor = await conn.execute(f"SELECT * FROM ({NEWEST_TARGETS}) AS newest WHERE minutes IS NOT NULL")  # noqa: S608 - our own text
    return await cursor.fetchall()


async def next_version(conn: Connection) -> int:
    """Counts one on. Whoever else sets something waits here until we have committed, so a version is seen only after those before it."""
    cursor = await conn.execute("UPDATE timetable SET version = version + 1 RETURNING version")
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - the migration made the row
    return int(row["version"])


async def add_calendar(
    conn: Connection, scope: Scope, scope_id: str, *, version: int, rules: Mapping[str, Any] | None, by: str
) -> None:
    await conn.execute(
        "INSERT INTO calendars (scope, scope_id, version, rules, set_by, set_at) VALUES (%s, %s, %s, %s::jsonb, %s, unwind_now())",
        (scope.value, scope_id, version, None if rules is None else to_json(rules), by),
    )


async def add_year(conn: Connection, year: int, *, version: int, days: Mapping[str, str], by: str) -> None:
    await conn.execute(
        "INSERT INTO holiday_years (year, version, days, set_by, set_at) VALUES (%s, %s, %s::jsonb, %s, unwind_now())",
        (year, version, to_json(days), by),
    )


async def add_targets(
    conn: Connection, merchant_id: str, *, version: int, minutes: Mapping[str, int] | None, by: str
) -> None:
    await conn.execute(
        "INSERT INTO clock_targets (merchant_id, version, minutes, set_by, set_at) VALUES (%s, %s, %s::jsonb, %s, unwind_now())",
        (merchant_id, version, None if minutes is None else to_json(minutes), by),
    )


async def missing_year(conn: Connection) -> int | None:
    """The year whose holidays somebody's calendar will need within a month and nobody has entered: from December on, the next one."""
    cursor = await conn.execute(
        f"""
        SELECT wanted.year FROM (
            SELECT extract(year FROM (unwind_now() + interval '31 days') AT TIME ZONE 'Asia/Shanghai')::integer AS year) AS wanted
        WHERE EXISTS (SELECT FROM ({NEWEST_CALENDARS}) AS newest WHERE (rules->>'observes_holidays')::boolean)
          AND NOT EXISTS (SELECT FROM holiday_years h WHERE h.year = wanted.year)
        """  # noqa: S608 - our own text
    )
    row = await cursor.fetchone()
    return row["year"] if row else None
