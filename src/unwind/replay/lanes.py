"""Plays the book in lanes, one process each, as many as there are processors.

A replayed case is about a hundred statements one after the other, so one process leaves most of a machine idle. Customers share nothing
here, no order, payment or stock pool: each lane plays some of them from beginning to end, with a clock and a gateway of its own,
and what comes out does not depend on how many lanes there were.
"""

import asyncio
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, replace
from multiprocessing.sharedctypes import Synchronized

import uvloop

from unwind.bootstrap import wired
from unwind.replay.book import Book
from unwind.replay.gateway import LedgerGateway
from unwind.replay.loading import CONNECTION
from unwind.replay.past import DatabaseInThePast
from unwind.replay.playing import Player
from unwind.replay.tally import Tally
from unwind.settings import Settings

LINES_PER_LANE_MIN = 300
"""Fewer are not worth a process."""
LANES_MAX = 8
CONNECTIONS_PER_LANE = 4
TICK_S = 0.2


@dataclass(slots=True)
class Played:
    """What became of the lines, and what the gateway of each lane paid back, by order."""

    tally: Tally = field(default_factory=Tally)
    asked: set[str] = field(default_factory=set)
    taken_units: dict[tuple[str, str], int] = field(default_factory=dict)
    """By order and line."""
    returned_minor: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Played") -> None:
        self.tally.add(other.tally)
        self.asked |= other.asked
        self.taken_units |= other.taken_units
        self.returned_minor |= other.returned_minor


def play(settings: Settings, url: str, book: Book, *, is_modelled: bool, on_lines: Callable[[int], None]) -> Played:
    """All cancellation lines of the book. `on_lines` hears how many are done."""
    lanes = max(1, min(os.cpu_count() or 1, LANES_MAX, len(book.cancellations) // LINES_PER_LANE_MIN))
    played = Played()
    if lanes == 1:
        done = iter(range(1, len(book.cancellations) + 1))
        played.add(play_share(settings, url, book, is_modelled, lambda: on_lines(next(done))))
        return played
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    with ProcessPoolExecutor(lanes, mp_context=context, initializer=_count_with, initargs=(counter,)) as pool:
        waiting = {
            pool.submit(_play_in_lane, settings, url, share, is_modelled) for share in shares_of(book, lanes=lanes)
        }
        while waiting:
            finished, waiting = wait(waiting, timeout=TICK_S)
            on_lines(counter.value)
            _gather(played, finished)
    return played


def _gather(played: Played, finished: set[Future[Played]]) -> None:
    for future in finished:
        played.add(future.result())


def shares_of(book: Book, *, lanes: int) -> list[Book]:
    """Customers dealt out by their number of cancellation lines, the busiest first, each to the lane with least to do."""
    busy = Counter(line.key[0] for line in book.cancellations)
    loads = [0] * lanes
    customers: list[set[str]] = [set() for _ in range(lanes)]
    for customer, lines in sorted(busy.items(), key=lambda item: (-item[1], item[0])):
        lane = loads.index(min(loads))
        loads[lane] += lines
        customers[lane].add(customer)
    return [book.only(some) for some in customers]


_counter: "Synchronized[int] | None" = None
"""Of the lane this process is; lines played by all lanes together."""


def _count_with(counter: "Synchronized[int]") -> None:
    global _counter  # noqa: PLW0603 - set once, when the process begins
    _counter = counter


def _tick() -> None:
    if _counter is not None:
        with _counter.get_lock():
            _counter.value += 1


def _play_in_lane(settings: Settings, url: str, share: Book, is_modelled: bool) -> Played:  # noqa: FBT001 - crosses a process
    return play_share(settings, url, share, is_modelled, _tick)


def play_share(
    settings: Settings,
    url: str,
    share: Book,
    is_modelled: bool,  # noqa: FBT001 - see above
    on_line: Callable[[], None],
) -> Played:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_play(settings, url, share, is_modelled=is_modelled, on_line=on_line))


async def _play(settings: Settings, url: str, share: Book, *, is_modelled: bool, on_line: Callable[[], None]) -> Played:
    """No connection of the settings is opened: nobody outside hears of a replay."""
    database = DatabaseInThePast(url, connections_max=CONNECTIONS_PER_LANE)
    gateway = LedgerGateway({invoice.order_id: invoice.total_minor for invoice in share.invoices.values()})
    async with wired(replace(settings, connections=()), database) as plain:
        player = Player(services=replace(plain, gateways={CONNECTION: gateway}), book=share, is_modelled=is_modelled)
        await database.open()
        try:
            await player.play(on_line)
        finally:
            await database.close()
    return Played(
        tally=player.tally,
        asked=player.asked,
        taken_units={
            (purchase.order_id, purchase.line_id): purchase.taken_units
            for invoice in share.invoices.values()
            for purchase in invoice.purchases
            if purchase.taken_units
        },
        returned_minor=gateway.returned_minor,
    )
