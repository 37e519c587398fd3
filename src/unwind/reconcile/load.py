"""Takes a day's bill in, compares it with the ledger, and leaves a work item for every difference.

    file -> reader of its provider -> rows of that day replaced -> compare -> differences (one row each, kept while it lasts) -> cases woken

The same file twice changes nothing; a corrected bill of the same day replaces the earlier one, and differences that it explains are closed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from unwind.domain.bill import BillKind, BillRow, Difference, DifferenceKind, OurRefund
from unwind.reconcile.compare import compare
from unwind.storage import bills, cases, locks
from unwind.storage.database import Connection, Database

BEIJING = ZoneInfo("Asia/Shanghai")
"""The providers' days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillReport:
    connection: str
    day: date
    refunds: int
    refunds_minor: int
    payments: int
    agreed: int
    """Rows that are the same on both sides."""
    differences: tuple[Difference, ...]
    unbooked_trades: tuple[str, ...] = field(default=())
    """Paid at the provider and not captured here: the caller asks the late-payment guard to look at them."""

    @property
    def by_kind(self) -> dict[str, int]:
        return dict(sorted(Counter(one.kind.value for one in self.differences).items()))


def day_of(rows: Sequence[BillRow]) -> date | None:
    """The day most rows belong to; a UnionPay day ends at 23:00 and has a few of the evening before."""
    days = Counter(row.at.astimezone(BEIJING).date() for row in rows)
    return max(days, key=lambda day: (days[day], day)) if days else None


async def load_bill(database: Database, connection: str, day: date, rows: Sequence[BillRow]) -> BillReport:
    """Everything in one transaction. Raises nothing for a bill without rows: a quiet day is a day."""
    async with database.transaction() as conn:
        await bills.replace_bill(conn, connection, day, rows)
        refunds = await bills.our_refunds(conn, connection, [r.refund_no for r in rows if r.kind is BillKind.REFUND])
        payments = await bills.our_payments(conn, connection, [r.trade_no for r in rows if r.kind is BillKind.PAYMENT])
        differences = compare(rows, refunds, payments, missing=await _missing(conn, connection, day))
        await bills.keep_differences(conn, connection, day, differences)
        for case_id in sorted({d.case_id for d in differences if d.case_id and d.kind in WAKING}):
            await locks.lock_case(conn, case_id)
            await cases.ask_again_now(conn, case_id)
            await locks.wake_case(conn, case_id)
    of_bill = sum(1 for d in differences if d.kind is not DifferenceKind.REFUND_MISSING)
    back = [row for row in rows if row.kind is BillKind.REFUND]
    return BillReport(
        connection=connection,
        day=day,
        refunds=len(back),
        refunds_minor=sum(row.amount_minor for row in back),
        payments=len(rows) - len(back),
        agreed=len(rows) - of_bill,
        differences=differences,
        unbooked_trades=tuple(d.trade_no for d in differences if d.kind is DifferenceKind.PAYMENT_NOT_BOOKED),
    )


WAKING = frozenset({DifferenceKind.REFUND_NOT_FINAL, DifferenceKind.REFUND_AMOUNT})


async def _missing(conn: Connection, connection: str, day: date) -> list[OurRefund]:
    """Refunds of the day before, once its own bill and this one are there: near midnight a refund may stand on either."""
    before = day - timedelta(days=1)
    if not await bills.has_bill(conn, connection, before):
        return []
    begins = datetime(before.year, before.month, before.day, tzinfo=BEIJING).astimezone(UTC)
    return await bills.refunds_not_on_bills(
        conn, connection, begins=begins, ends=begins + timedelta(days=1), days=[before, day]
    )
