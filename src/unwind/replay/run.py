"""`unwind replay online-retail FILE`: check everything, read everything, then load, play, recount and report."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from unwind.bootstrap import wired
from unwind.processes import DatabaseUrls
from unwind.replay.book import Book, write_book
from unwind.replay.claims import others_at_work
from unwind.replay.gateway import LedgerGateway
from unwind.replay.loading import CONNECTION, load
from unwind.replay.parcels import deliver_unasked
from unwind.replay.past import DatabaseInThePast
from unwind.replay.playing import Player
from unwind.replay.recount import recount
from unwind.replay.refusal import ReplayRefused
from unwind.replay.tally import Report, print_tally
from unwind.replay.transactions import read_transactions
from unwind.settings import Settings
from unwind.storage.database import Database

DATASETS = ("online-retail",)
STAGES = ("unshipped", "modelled")
CONNECTIONS = 4


def run_replay(
    settings: Settings,
    urls: DatabaseUrls,
    *,
    dataset: str,
    file: Path,
    stages: str,
    report: Path | None,
    console: Console,
) -> Report:
    """Raises ReplayRefused before anything is written, and InvariantBroken when the books disagree at the end."""
    _require_known("数据集", "dataset", dataset, DATASETS)
    _require_known("履约方式", "stages", stages, STAGES)
    if report is not None and not report.absolute().parent.is_dir():
        raise ReplayRefused(f"报告所在文件夹不存在:{report}", f"no folder for the report: {report}")
    started = time.monotonic()
    with _progress(console) as progress:
        book = _read(file, progress)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            made, player = runner.run(_replay(settings, urls, book, stages, progress, started))
    print_tally(console, player.tally, book.kept_out, made)
    if report is not None:
        report.write_text(json.dumps(asdict(made), indent=2) + "\n", encoding="utf-8")
    return made


def _require_known(zh: str, en: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        names = ", ".join(known)
        raise ReplayRefused(f"没有这个{zh}:{given},可用:{names}", f"unknown {en} {given}, known: {names}")


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, MofNCompleteColumn(), console=console) as progress:
        yield progress


def _read(file: Path, progress: Progress) -> Book:
    size = file.stat().st_size
    task = progress.add_task("读取 reading", total=size)
    book = write_book(read_transactions(file, lambda done: progress.update(task, completed=done)))
    progress.update(task, completed=size)
    return book


async def _replay(
    settings: Settings, urls: DatabaseUrls, book: Book, stages: str, progress: Progress, started: float
) -> tuple[Report, Player]:
    database = DatabaseInThePast(urls.app, connections_max=CONNECTIONS)
    gateway = LedgerGateway()
    async with wired(replace(settings, connections=()), database) as plain:
        services = replace(plain, gateways={CONNECTION: gateway})
        player = Player(services=services, book=book, is_modelled=stages == "modelled")
        await database.open()
        try:
            await _require_alone(database)
            await load(database, book, gateway, _bar(progress, "载入 loading", len(book.invoices)))
            on_line = _bar(progress, "取消 playing", len(book.cancellations))
            await player.play(lambda: on_line(1))
            asked = [invoice for invoice in book.invoices.values() if invoice.order_id in player.asked]
            rest = [invoice for invoice in book.invoices.values() if invoice.order_id not in player.asked]
            if player.is_modelled:
                await deliver_unasked(services, rest, _bar(progress, "送达 delivering", len(rest)))
            async with database.connection() as conn:
                returned = await recount(conn, gateway, asked)
        finally:
            await database.close()
    tally = player.tally
    made = Report(
        lines=book.lines,
        orders=len(book.invoices),
        cancellation_lines=len(book.cancellations),
        auto=tally.auto.total(),
        review=tally.review.total(),
        declined=tally.declined.total(),
        unmatched=tally.unmatched.total(),
        units_back=returned.units,
        money_back_minor=returned.money_minor,
        seconds=round(time.monotonic() - started, 3),
    )
    return made, player


async def _require_alone(database: Database) -> None:
    async with database.connection() as conn:
        if await others_at_work(conn):
            raise ReplayRefused(
                "此数据库正有其他 unwind 进程在用(worker、serve 或 demo):请先停止,或换用新的 UNWIND_HOME",
                "another unwind process (worker, serve or demo) uses this database: stop it, or choose a new UNWIND_HOME",
            )


def _bar(progress: Progress, description: str, total: int) -> Callable[[int], None]:
    task = progress.add_task(description, total=total)
    return lambda done: progress.advance(task, done)
