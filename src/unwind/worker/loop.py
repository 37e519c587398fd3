"""Polls every 250 ms for due cases and unpaid orders; anchors archived heads; forgets what has been kept long enough.

Any number of these run side by side: what one has leased the others do not see.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from unwind.doctor import halt_broken_merchants
from unwind.domain.sign_in import ATTEMPT_WINDOW, OIDC_ROUND_TRIP
from unwind.flow.archive import anchor_archived
from unwind.flow.balances import watch_balances
from unwind.flow.erasure import erase_due
from unwind.flow.false_dispatch import find_false_dispatches
from unwind.flow.lookup import index_people
from unwind.flow.notify import tell_alerts
from unwind.flow.payouts import drop_lapsed
from unwind.flow.promises import strike_promises
from unwind.flow.queue import push_cases, release_expired
from unwind.flow.retention import forget_due
from unwind.flow.run import work_once
from unwind.flow.services import Services
from unwind.flow.strike import follow_timetable, strike_due, strike_questions
from unwind.flow.timeout import close_unpaid
from unwind.flow.timetable import warn_of_missing_holidays
from unwind.storage import connections, door, identity, trust
from unwind.worker.bills import take_waiting_bills

POLL_S = 0.25
TIMETABLE_S = 1.0
QUEUE_S = 1.0
HEALTH_S = 5.0
HOUSEKEEPING_S = 60.0
CHECKUP_S = 300.0
CALENDAR_S = 3600.0
BALANCES_S = 300.0
ROWS_PER_ROUND = 1000
CODES_KEPT = timedelta(days=1)

log = structlog.get_logger()


async def run_forever(services: Services, stop: asyncio.Event, *, bills: Path) -> None:
    """Until `stop` is set. A database that is away is waited for; nothing is lost meanwhile. `bills`: where downloaded bills are laid."""
    await asyncio.gather(
        _repeat("cases", POLL_S, stop, lambda: _cases(services)),
        _repeat("clocks", POLL_S, stop, lambda: strike_due(services)),
        _repeat("questions", QUEUE_S, stop, lambda: strike_questions(services)),
        _repeat("promises", POLL_S, stop, lambda: strike_promises(services)),
        _repeat("claims", QUEUE_S, stop, lambda: release_expired(services)),
        _repeat("payouts", QUEUE_S, stop, lambda: drop_lapsed(services)),
        _repeat("push", QUEUE_S, stop, lambda: push_cases(services)),
        _repeat("timetable", TIMETABLE_S, stop, lambda: follow_timetable(services)),
        _repeat("phrases", TIMETABLE_S, stop, lambda: _phrases(services)),
        _repeat("unpaid", POLL_S, stop, lambda: _unpaid(services)),
        _repeat("health", HEALTH_S, stop, lambda: _health(services)),
        _repeat("bills", HOUSEKEEPING_S, stop, lambda: take_waiting_bills(services, bills)),
        _repeat("people", HOUSEKEEPING_S, stop, lambda: index_people(services)),
        _repeat("false_dispatch", HOUSEKEEPING_S, stop, lambda: find_false_dispatches(services)),
        _repeat("housekeeping", HOUSEKEEPING_S, stop, lambda: _housekeeping(services)),
        _repeat("balances", BALANCES_S, stop, lambda: watch_balances(services)),
        _repeat("retention", HOUSEKEEPING_S, stop, lambda: forget_due(services)),
        _repeat("calendar", CALENDAR_S, stop, lambda: warn_of_missing_holidays(services.database)),
        _repeat("checkup", CHECKUP_S, stop, lambda: halt_broken_merchants(services)),
    )


async def _cases(services: Services) -> bool:
    return await work_once(services) > 0


async def _phrases(services: Services) -> bool:
    await services.taught.refresh(services.database)
    return False


async def _unpaid(services: Services) -> bool:
    return await close_unpaid(services) > 0


async def _health(services: Services) -> bool:
    await services.health.store(services.database)
    return await tell_alerts(services)


async def _housekeeping(services: Services) -> bool:
    async with services.database.connection() as conn:
        await connections.forget_old_minutes(conn)
        await trust.forget_old_counts(conn, rows_max=ROWS_PER_ROUND)
        await door.forget_old(conn, window=ATTEMPT_WINDOW, life=OIDC_ROUND_TRIP)
        await identity.forget_codes(conn, after=CODES_KEPT, rows_max=ROWS_PER_ROUND)
    is_busy = await erase_due(services)
    return await anchor_archived(services) > 0 or is_busy


async def _repeat(name: str, every_s: float, stop: asyncio.Event, job: Callable[[], Awaitable[bool]]) -> None:
    """Runs the job again at once while it finds work, else after a pause."""
    while not stop.is_set():
        started = time.monotonic()
        try:
            found = await job()
        except (psycopg.OperationalError, PoolTimeout) as error:
            log.warning("database_away", job=name, error=type(error).__name__)
            found = False
        if not found:
            pause = max(0.0, every_s - (time.monotonic() - started))
            try:
                async with asyncio.timeout(pause):
                    await stop.wait()
            except TimeoutError:
                continue
