"""Plays the cancellation lines through the service, moment by moment, on one clock that is set before each step.

    next moment -> what happened to goods -> cases whose time has come -> the request itself -> its case, until it waits

Everything goes by the front doors: `flow.receive` for requests, `flow.order_book` for parcels, `flow.run` for cases. A case that waits is
woken at its own moment, as a worker would; only the hourly look at a case that waits for a person, and for nothing else, is left
out. When all is played the clock is let go, and every case still open is looked at once by the real one: from then on it waits in
the present and an ordinary worker takes over.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from unwind.domain.access import SYSTEM
from unwind.domain.errors import Refusal
from unwind.domain.stage import Stage
from unwind.domain.transitions import State
from unwind.flow import run
from unwind.flow.execute import Lease
from unwind.flow.receive import Request, receive
from unwind.flow.services import Services
from unwind.replay.book import Book, CancellationLine, Invoice, Purchase
from unwind.replay.claims import lease_case
from unwind.replay.parcels import Parcel, move_parcel
from unwind.replay.screening import NO_FIT
from unwind.replay.tally import Tally
from unwind.storage import cases

AFTER_THE_LAST = timedelta(days=7)
"""Parcels arrive and clocks strike for this long after the last request."""


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    at: datetime
    rank: int
    """At one moment the goods move first, then cases are looked at."""
    turn: int
    parcel: Parcel | None = field(default=None, compare=False)
    stage: Stage = field(default=Stage.UNKNOWN, compare=False)
    case_id: str = field(default="", compare=False)


@dataclass(slots=True, kw_only=True)
class Player:
    services: Services
    book: Book
    is_modelled: bool
    tally: Tally = field(default_factory=Tally)
    asked: set[str] = field(default_factory=set)
    """Orders that any request was about."""
    _ahead: list[Moment] = field(default_factory=list)
    _turns: "count[int]" = field(default_factory=count)
    _open_cases: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    async def play(self, on_line: Callable[[], None]) -> None:
        """Every cancellation line once, by its own time."""
        invoices = {invoice.order_id: invoice for invoice in self.book.invoices.values()}
        for line in self.book.cancellations:
            purchase = None if line.left_out else self.book.fitting(line)
            if purchase is None:
                self.tally.unmatched[line.left_out or NO_FIT] += 1
            else:
                await self._catch_up(line.at)
                await self._begin(invoices[purchase.order_id], line.at)
                await self._ask(line, purchase)
            on_line()
        if self.book.cancellations:
            await self._catch_up(self.book.cancellations[-1].at + AFTER_THE_LAST)
        await self._return_to_the_present()

    async def _catch_up(self, until: datetime) -> None:
        while self._ahead and self._ahead[0].at <= until:
            moment = heapq.heappop(self._ahead)
            if moment.parcel is None:
                await self._advance(moment.case_id, moment.at)
            else:
                await self._move(moment.parcel, moment.stage, moment.at)

    async def _begin(self, invoice: Invoice, now: datetime) -> None:
        """The first request about an order: its goods have moved since, or are going to."""
        if not self.is_modelled or invoice.order_id in self.asked:
            self.asked.add(invoice.order_id)
            return
        self.asked.add(invoice.order_id)
        parcel = Parcel(invoice=invoice)
        for at, stage in parcel.moves:
            if at <= now:
                await self._move(parcel, stage, at)
            else:
                heapq.heappush(self._ahead, Moment(at=at, rank=0, turn=next(self._turns), parcel=parcel, stage=stage))

    async def _move(self, parcel: Parcel, stage: Stage, at: datetime) -> None:
        self._set_clock(at)
        await move_parcel(self.services, parcel, stage, at)
        for case_id in sorted(self._open_cases[parcel.invoice.order_id]):
            await self._advance(case_id, at)

    async def _ask(self, line: CancellationLine, purchase: Purchase) -> None:
        """The request as the customer made it, then its case as far as it goes by itself."""
        self._set_clock(line.at)
        request = Request(
            order_id=purchase.order_id,
            channel="api",
            wish={purchase.line_id: line.units},  # type: ignore[dict-item]
            external_ref=f"row-{line.row}",
            idempotency_key=f"online-retail-{line.row}",
        )
        try:
            answer = await receive(self.services, SYSTEM, request)
        except Refusal as refusal:
            self.tally.answered("declined", refusal.code)
            return
        body = answer.body
        if self.tally.answered(body["outcome"], body["rule"]):
            purchase.taken_units += line.units
        self._open_cases[purchase.order_id].add(body["case_id"])
        await self._advance(body["case_id"], line.at)

    async def _advance(self, case_id: str, at: datetime | None) -> None:
        """The worker's loop on this one case; remembers when it wants to be looked at again."""
        self._set_clock(at)
        async with self.services.database.transaction() as conn:
            token = await lease_case(conn, case_id)
        if token is not None:
            await run.advance(self.services, Lease(case_id=case_id, token=token))
        async with self.services.database.connection() as conn:
            row = await cases.read_case_row(conn, case_id)
        if row is None or row["state"] == State.ARCHIVED:
            for open_cases in self._open_cases.values():
                open_cases.discard(case_id)
            return
        if row["state"] == State.REVIEW and (row["is_overdue"] or row["answered_at"]):
            return
        heapq.heappush(self._ahead, Moment(at=row["next_check_at"], rank=1, turn=next(self._turns), case_id=case_id))

    async def _return_to_the_present(self) -> None:
        for case_id in sorted(case_id for some in self._open_cases.values() for case_id in some):
            await self._advance(case_id, None)

    def _set_clock(self, at: datetime | None) -> None:
        self.services.database.clock_at = at.isoformat() if at else None
