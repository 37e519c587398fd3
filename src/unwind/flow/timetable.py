"""When people work and how long a case may take: set by administrators, remembered by every process, re-read when it has changed."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from unwind.domain.access import Principal, authorise
from unwind.domain.access import Scope as Right
from unwind.domain.calendar import require_sound
from unwind.domain.errors import require
from unwind.domain.promotion import NOTHING, Overlay, Promotion, overlay_at
from unwind.domain.timetable import Queue, Scope, Targets, Timetable, require_sensible
from unwind.storage import alerts, merchants, promotions, timetables
from unwind.storage.database import Connection, Database

CHANNELS = frozenset({"app", "hotline", "chat", "store", "merchant", "api", "bulk", "timeout"})
ALERT_SOURCE, ALERT_KIND = "calendar", "holidays_missing"


class Hours:
    """The newest timetable this process has seen. Old by a moment at most; what was worked out by an old one is worked out again."""

    def __init__(self) -> None:
        self.timetable = Timetable()
        self.promotions: tuple[Promotion, ...] = ()

    def overlay_at(self, merchant_id: str, at: datetime) -> Overlay:
        """What promotions change for a merchant at this moment. Begins and ends to the moment, whoever has counted it on."""
        return overlay_at(self.promotions, merchant_id=merchant_id, at=at) if self.promotions else NOTHING

    async def refresh(self, database: Database) -> bool:
        """True when there was something new. The version is read first, so what is read after it is never older than it says."""
        async with database.connection() as conn:
            if await timetables.current_version(conn) == self.timetable.version:
                return False
            timetable = await timetables.read_timetable(conn)
            self.promotions = await promotions.read_promotions(conn)
            self.timetable = timetable
            return True


async def set_calendar(
    database: Database, hours: Hours, principal: Principal, scope: Scope, scope_id: str, rules: Mapping[str, Any] | None
) -> int:
    """A new version of one scope's calendar; None takes it back. Returns the version of the timetable."""
    is_own = scope is Scope.MERCHANT
    authorise(principal, Right.ADMIN, merchant_id=scope_id if is_own else None, is_platform=not is_own)
    require(scope is not Scope.QUEUE or scope_id in set(Queue), "not_found")
    require(scope is not Scope.CHANNEL or scope_id in CHANNELS, "not_found")
    if rules is not None:
        require_sound(timetables.calendar_of(rules, {}))
    async with database.transaction() as conn:
        if scope is Scope.MERCHANT:
            await _require_merchant(conn, scope_id)
        version = await timetables.next_version(conn)
        stored_id = "" if scope is Scope.ALL else scope_id
        await timetables.add_calendar(conn, scope, stored_id, version=version, rules=rules, by=principal.actor)
    await hours.refresh(database)
    return version


async def set_year(database: Database, hours: Hours, principal: Principal, year: int, days: Mapping[date, str]) -> int:
    """The official days of one year, as a whole."""
    authorise(principal, Right.ADMIN, is_platform=True)
    require(all(day.year == year for day in days), "invalid")
    async with database.transaction() as conn:
        version = await timetables.next_version(conn)
        told = {day.isoformat(): kind for day, kind in sorted(days.items())}
        await timetables.add_year(conn, year, version=version, days=told, by=principal.actor)
        if await timetables.missing_year(conn) is None:
            await alerts.close_alerts_of(conn, ALERT_SOURCE, kind=ALERT_KIND, by=principal.actor)
    await hours.refresh(database)
    return version


async def set_targets(
    database: Database, hours: Hours, principal: Principal, merchant_id: str, targets: Targets | None
) -> int:
    """The minutes of one merchant, or of all with an empty id; None takes them back."""
    authorise(principal, Right.ADMIN, merchant_id=merchant_id or None, is_platform=not merchant_id)
    if targets is not None:
        require_sensible(targets)
    async with database.transaction() as conn:
        if merchant_id:
            await _require_merchant(conn, merchant_id)
        version = await timetables.next_version(conn)
        minutes = None if targets is None else asdict(targets)
        await timetables.add_targets(conn, merchant_id, version=version, minutes=minutes, by=principal.actor)
    await hours.refresh(database)
    return version


async def _require_merchant(conn: Connection, merchant_id: str) -> None:
    require(await merchants.read_merchant(conn, merchant_id) is not None, "unknown_merchant")


async def warn_of_missing_holidays(database: Database) -> bool:
    """An alert from December on while next year's table is missing and a calendar goes by it."""
    async with database.transaction() as conn:
        year = await timetables.missing_year(conn)
        if year is not None:
            await alerts.raise_alert(conn, connection=ALERT_SOURCE, kind=ALERT_KIND, code=str(year))
    return False
