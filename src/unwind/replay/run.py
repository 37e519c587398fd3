"""`unwind replay online-retail FILE`: check everything, read everything, then load, play, recount and report."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from pathlib import Path

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from unwind.processes import DatabaseUrls
from unwind.replay.book import Book, write_book
from unwind.replay.claims import others_at_work
from unwind.replay.lanes import Played, play
from unwind.replay.loading import load
from unwind.replay.parcels import deliver_unasked
from unwind.replay.past import DatabaseInThePast
from unwind.replay.recount import Returned, recount
from unwind.replay.refusal import ReplayRefused
from unwind.replay.tally import Report, print_tally
from unwind.replay.transactions import read_transactions
from unwind.settings import Settings

DATASETS = ("online-retail",)
STAGES = ("unshipped", "modelled")


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
        is_modelled = stages == "modelled"
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_load(urls.app, book, progress))
            task = progress.add_task("取消 playing", total=len(book.cancellations))
            played = play(
                settings, urls.app, book, is_modelled=is_modelled, on_lines=lambda n: progress.update(task, completed=n)
            )
            returned = runner.run(_finish(urls.app, book, played, progress, is_modelled=is_modelled))
    tally = played.tally
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
    print_tally(console, tally, book.kept_out, made)
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


async def _load(url: str, book: Book, progress: Progress) -> None:
    async with _opened(url) as database:
        async with database.connection() as conn:
            if await others_at_work(conn):
                raise ReplayRefused(
                    "此数据库正有其他 unwind 进程在用(worker、serve 或 demo):请先停止,或换用新的 UNWIND_HOME",
                    "another unwind process (worker, serve or demo) uses this database: stop it, or choose a new UNWIND_HOME",
                )
        task = progress.add_task("载入 loading", total=len(book.invoices))
        await load(database, book, lambda orders: progress.advance(task, orders))


async def _finish(url: str, book: Book, played: Played, progress: Progress, *, is_modelled: bool) -> Returned:
    """The parcels of all other orders, then what was really returned."""
    asked = [invoice for invoice in book.invoices.values() if invoice.order_id in played.asked]
    rest = [invoice for invoice in book.invoices.values() if invoice.order_id not in played.asked]
    async with _opened(url) as database:
        if is_modelled:
            task = progress.add_task("送达 delivering", total=len(rest))
            await deliver_unasked(database, rest, lambda orders: progress.advance(task, orders))
        async with database.connection() as conn:
            return await recount(conn, played.returned_minor, played.taken_units, asked)


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[DatabaseInThePast]:
    database = DatabaseInThePast(url, connections_max=1)
    await database.open()
    try:
        yield database
    finally:
        await database.close()
