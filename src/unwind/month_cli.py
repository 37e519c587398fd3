"""`unwind export-month`: the month's books as a file."""

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from unwind.commanding import console, opened, settings_or_exit
from unwind.domain.access import SYSTEM
from unwind.domain.errors import Refusal
from unwind.processes import database


def export_month(
    month: Annotated[str, typer.Argument(help="YYYY-MM, in each shop's own time zone")],
    *,
    out: Annotated[Path | None, typer.Option(help="the file; month.xlsx or month.zip if not named")] = None,
    merchant: Annotated[str | None, typer.Option(help="Only this merchant's.")] = None,
    form: Annotated[Literal["xlsx", "csv"], typer.Option(help="a workbook, or a ZIP of CSV files")] = "xlsx",
) -> None:
    """Writes a month's refunds, costs, claims, bill differences, compensations and red-letter tasks, with a summary."""
    from unwind.insight.month import Month
    from unwind.insight.month import export_month as export

    path = out or Path(f"{month}.{'xlsx' if form == 'xlsx' else 'zip'}")

    async def run() -> None:
        async with opened(settings, urls) as services:
            wanted = Month.read(month)
            await export(services.database, wanted, merchant_id=merchant, path=path, by=SYSTEM.actor, form=form)

    settings = settings_or_exit()
    with database(settings) as urls:
        try:
            asyncio.run(run())
        except Refusal as refusal:
            console.print(f"[red]{refusal.code}[/red]: YYYY-MM, 已开始的月份 / a month that has begun")
            raise typer.Exit(2) from refusal
    console.print(f"已导出 / exported: {path}")
