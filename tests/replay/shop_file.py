"""Small files in the shape of the real one, and replays of them."""

import csv
import gzip
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from rich.console import Console

from unwind.processes import DatabaseUrls
from unwind.replay import run_replay
from unwind.replay.tally import Report
from unwind.settings import Settings
from unwind.storage.embedded import EmbeddedPostgres
from unwind.storage.privacy import Vault

ROWS_MAX = 600_000
"""More than the real file has."""
HEADER = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]


def row(
    invoice: str, at: str, *, code: str = "85123A", units: object = 6, price: object = "2.55", who: str = "17850"
) -> list[str]:
    return [invoice, code, f"THING {code}", str(units), at, str(price), who, "United Kingdom"]


def as_csv(rows: Sequence[Sequence[str]], *, header: Sequence[str] = HEADER) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


class Bench:
    """One database, and replays into it."""

    def __init__(self, postgres: EmbeddedPostgres, database: str, folder: Path) -> None:
        self.urls = DatabaseUrls(
            owner=postgres.url_for(role="owner", database=database), app=postgres.url_for(role="app", database=database)
        )
        self.folder = folder
        self.printed = io.StringIO()
        self.settings = Settings(
            home=folder,
            is_demo=True,
            database_url=self.urls.app,
            database_owner_url=self.urls.owner,
            master_key=bytes(range(32)),
            connections=(),
            host="127.0.0.1",
            port=0,
            connections_max=4,
            pace_scale=1.0,
        )

    def replay(
        self, given: Sequence[Sequence[str]] | bytes | Path, *, stages: str = "unshipped", **more: Any
    ) -> Report:
        path = given if isinstance(given, Path) else self.folder / "given.csv"
        if not isinstance(given, Path):
            path.write_bytes(given if isinstance(given, bytes) else as_csv(given))
        console = Console(file=self.printed, width=200)
        arguments: dict[str, Any] = {"dataset": "online-retail", "report": None, **more}
        return run_replay(self.settings, self.urls, file=path, stages=stages, console=console, **arguments)

    def sql(self, statement: str, *arguments: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.urls.owner, autocommit=True, row_factory=dict_row) as conn:
            cursor = conn.execute(statement, arguments or None)
            return cursor.fetchall() if cursor.description else []

    def answers(self) -> dict[int, dict[str, Any]]:
        """By row of the file: what the service said."""
        rows = self.sql("SELECT key, body::text AS body FROM idempotency_keys")
        bodies = {row["key"]: json.loads(row["body"]) for row in rows}
        vault = Vault(self.settings.master_key)
        found: dict[int, dict[str, Any]] = {}
        for number in range(1, ROWS_MAX):
            if len(found) == len(bodies):
                break
            body = bodies.get(vault.derive("idempotency", f"online-retail-{number}").hex())
            if body is not None:
                found[number] = body
        assert len(found) == len(bodies), "every key is that of a row"
        return found

    def is_untouched(self) -> bool:
        return self.sql("SELECT (SELECT count(*) FROM merchants) + (SELECT count(*) FROM orders) AS n")[0]["n"] == 0

    @contextmanager
    def somebody_at_work(self) -> Iterator[None]:
        with psycopg.connect(self.urls.app, application_name="unwind"):
            yield


def zipped(content: bytes) -> bytes:
    return gzip.compress(content)
