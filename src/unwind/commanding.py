"""What every command begins with: the settings, or a message that says what is missing; and services on an open database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import typer
from rich.console import Console

from unwind.flow.services import Services
from unwind.processes import DatabaseUrls
from unwind.settings import Settings, SettingsInvalid, load_settings

console = Console()


def settings_or_exit(*, is_demo: bool = False) -> Settings:
    try:
        return load_settings(is_demo=is_demo)
    except SettingsInvalid as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(2) from error


@asynccontextmanager
async def opened(settings: Settings, urls: DatabaseUrls, *, as_owner: bool = False) -> AsyncIterator[Services]:
    """Services on an open database."""
    from unwind.bootstrap import wired
    from unwind.storage.database import Database

    db = Database(urls.owner if as_owner else urls.app, connections_max=settings.connections_max)
    async with wired(settings, db) as services:
        await db.open()
        try:
            yield services
        finally:
            await db.close()
