"""Bills that come in: read, compared, and acted on.

    bytes -> unpacked -> the provider's reader -> reconcile.load -> payments nobody told us of go through the late-payment guard

A bill is no proof by itself: a payment it names is confirmed by a query, a refund it names wakes its case, and only a person books money elsewhere.
"""

import asyncio
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import structlog

from unwind.domain.bill import BillRow
from unwind.domain.errors import Refusal
from unwind.flow.listen import take_news
from unwind.flow.services import Services
from unwind.ports.bill import BillUnreadable
from unwind.ports.callback import News
from unwind.reconcile import BillReport, day_of, load_bill, unpacked
from unwind.storage import alerts

log = structlog.get_logger()


async def take_bill(services: Services, connection: str, raw: bytes, *, day: date | None = None) -> BillReport:
    """Raises BillUnreadable, or Refusal `not_found` for a connection without bills."""
    link = services.links.get(connection)
    if link is None or link.read_bill is None:
        raise Refusal("not_found")
    rows: Sequence[BillRow] = link.read_bill(unpacked(raw))
    on = day or day_of(rows)
    if on is None:
        raise BillUnreadable("a bill without rows needs its day named")
    report = await load_bill(services.database, connection, on, rows)
    for trade_no in report.unbooked_trades:
        news = News(event_id=f"bill:{on}:{trade_no}"[:200], kind="trade.paid", data={"trade_no": trade_no})
        try:
            await take_news(services, connection, news)
        except Refusal as refusal:
            log.warning("bill_payment_unconfirmed", connection=connection, code=refusal.code)
    return report


async def take_waiting_bills(services: Services, folder: Path) -> bool:
    """Bills laid into `folder/<connection>/` by whatever downloads them; each is moved to `done` or `refused` below it."""
    for path in await asyncio.to_thread(_waiting, folder):
        connection = path.parent.name
        try:
            report = await take_bill(services, connection, await asyncio.to_thread(path.read_bytes))
        except (BillUnreadable, Refusal) as error:
            log.warning("bill_refused", connection=connection, reason=type(error).__name__)
            async with services.database.connection() as conn:
                await alerts.raise_alert(conn, connection=connection, kind="bill_unreadable", code=type(error).__name__)
            await asyncio.to_thread(_move, path, "refused")
        else:
            log.info("bill_taken", connection=connection, day=str(report.day), agreed=report.agreed, **report.by_kind)
            await asyncio.to_thread(_move, path, "done")
    return False


def _waiting(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(one for place in folder.iterdir() if place.is_dir() for one in place.iterdir() if one.is_file())


def _move(path: Path, where: str) -> None:
    target = path.parent / where
    target.mkdir(exist_ok=True)
    path.replace(target / path.name)
