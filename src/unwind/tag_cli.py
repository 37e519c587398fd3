"""`unwind tag`: reads a text as the program would, or shows where it was wrong."""

import asyncio
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.table import Table

from unwind.commanding import console, opened, settings_or_exit
from unwind.processes import database


def tag(
    text: Annotated[str, typer.Argument(help="A buyer's words.")] = "",
    *,
    channel: Annotated[str, typer.Option()] = "app",
    corrections: Annotated[
        bool, typer.Option(help="Shows what was read against the true reasons agents found, by label.")
    ] = False,
    days: Annotated[int, typer.Option(min=1, help="With --corrections: cases opened in the last so many days.")] = 30,
) -> None:
    """Reads a buyer's words: reason, intent, urgency, emotion, each with the words that prove it."""
    if corrections:
        _show_corrections(days)
    elif text:
        _show_reading(text, channel)
    else:
        console.print("[red]请给出文字,或用 --corrections / give a text, or --corrections[/red]")
        raise typer.Exit(2)


def _show_reading(text: str, channel: str) -> None:
    from unwind.tagging import tag as read

    tags = read(text, channel=channel)
    table = Table("field", "label", "evidence")
    for name in ("reason", "intent", "urgency", "emotion"):
        words = "、".join(text[e.start : e.end] for e in tags.evidence if e.field == name)
        table.add_row(name, str(getattr(tags, name).value), words)
    for reason in tags.secondary:
        words = "、".join(text[e.start : e.end] for e in tags.evidence if e.field == "secondary" and e.label == reason)
        table.add_row("secondary", reason.value, words)
    table.add_row("confidence", f"{tags.confidence:.2f}" + ("" if tags.is_sure else " (unsure)"), "")
    console.print(table)


def _show_corrections(days: int) -> None:
    from unwind.domain.access import SYSTEM
    from unwind.flow.chronicle import clock
    from unwind.flow.corrections import read_corrections

    async def run() -> dict[str, Any]:
        async with opened(settings, urls) as services:
            async with services.database.connection() as conn:
                now = await clock(conn)
            since, until = now - timedelta(days=days), now + timedelta(seconds=1)
            return await read_corrections(services, SYSTEM, merchant_id=None, since=since, until=until)

    settings = settings_or_exit()
    with database(settings) as urls, console.status("comparing"):
        report = asyncio.run(run())
    console.print(
        f"{report['cases']} 个已核实的工单 / cases with a true reason: {report['read_right']} read right, {report['stated_right']} stated right"
    )
    confused = Table("read", "stated", "true", "cases", "words that matched")
    for row in report["confusion"]:
        words = "、".join(f"{text} x{n}" for text, n in row["words"].items())
        confused.add_row(row["read"], row["stated"], row["true"], str(row["cases"]), words)
    labels = Table("label", "read", "true", "right", "precision", "recall")
    for label, row in report["by_label"].items():
        shares = ("–" if row[name] is None else f"{row[name]:.0%}" for name in ("precision", "recall"))
        labels.add_row(label, str(row["read"]), str(row["true"]), str(row["right"]), *shares)
    console.print(confused)
    console.print(labels)
