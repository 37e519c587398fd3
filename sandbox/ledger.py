"""Everything the outside world did and was asked, in one SQLite file.

WAL without synchronous writes: a killed process loses nothing, a power cut may. `at_ns` columns order events across tables.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS connections (
    connection TEXT PRIMARY KEY,
    balance_minor INTEGER,                       -- NULL: never short
    refund_mode TEXT NOT NULL DEFAULT 'final',   -- final, delayed, stuck
    refund_delay_s REAL NOT NULL DEFAULT 30,
    refund_final TEXT NOT NULL DEFAULT 'SUCCESS',
    message_result TEXT NOT NULL DEFAULT 'SENT');
CREATE TABLE IF NOT EXISTS trades (
    connection TEXT, trade_no TEXT, amount_minor INTEGER NOT NULL, currency TEXT NOT NULL, state TEXT NOT NULL,
    order_no TEXT NOT NULL, PRIMARY KEY (connection, trade_no)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refunds (
    connection TEXT, refund_no TEXT, trade_no TEXT NOT NULL, amount_minor INTEGER NOT NULL, currency TEXT NOT NULL,
    status TEXT NOT NULL, reference TEXT NOT NULL, final_at TEXT, reverse_after_s REAL, made_by TEXT NOT NULL,
    accepted_at_ns INTEGER NOT NULL, PRIMARY KEY (connection, refund_no)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS refunds_of_trade ON refunds (connection, trade_no);
-- One row per movement of money. No unique key on purpose: /control/assertions looks for a second one.
CREATE TABLE IF NOT EXISTS money_moves (
    id INTEGER PRIMARY KEY, connection TEXT, refund_no TEXT, trade_no TEXT, amount_minor INTEGER, at_ns INTEGER);
CREATE INDEX IF NOT EXISTS moves_of_refund ON money_moves (connection, refund_no);
CREATE TABLE IF NOT EXISTS outbound (
    connection TEXT, no TEXT, order_no TEXT NOT NULL, stage TEXT NOT NULL, behaviour TEXT NOT NULL, delay_s REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'ACTIVE', PRIMARY KEY (connection, no)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS holds (
    connection TEXT, request_id TEXT, outbound_no TEXT NOT NULL, order_no TEXT NOT NULL, result TEXT NOT NULL,
    reference TEXT NOT NULL, answered_at_ns INTEGER, PRIMARY KEY (connection, request_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS waybills (
    connection TEXT, no TEXT, order_no TEXT NOT NULL, stage TEXT NOT NULL, behaviour TEXT NOT NULL, delay_s REAL NOT NULL,
    return_after_s REAL, fed_at TEXT, return_waybill_no TEXT NOT NULL DEFAULT '', fee_minor INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (connection, no)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS route (
    id INTEGER PRIMARY KEY, connection TEXT, waybill_no TEXT, at TEXT NOT NULL, stage TEXT NOT NULL, place TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS route_of_waybill ON route (connection, waybill_no);
CREATE TABLE IF NOT EXISTS recalls (
    connection TEXT, request_id TEXT, waybill_no TEXT NOT NULL, order_no TEXT NOT NULL, kind TEXT NOT NULL,
    result TEXT NOT NULL, reference TEXT NOT NULL, answered_at_ns INTEGER,
    PRIMARY KEY (connection, request_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (
    connection TEXT, message_id TEXT, audience TEXT, channel TEXT, template TEXT, text TEXT, address_hash TEXT, result TEXT,
    reference TEXT, at_ns INTEGER, PRIMARY KEY (connection, message_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shop_orders (
    connection TEXT, order_id TEXT, behaviour TEXT NOT NULL, delay_s REAL NOT NULL,
    PRIMARY KEY (connection, order_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shop_requests (
    connection TEXT, request_id TEXT, order_id TEXT NOT NULL, quantities TEXT NOT NULL, result TEXT NOT NULL,
    PRIMARY KEY (connection, request_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY, connection TEXT, operation TEXT, number TEXT, status INTEGER, code TEXT, fault TEXT,
    at_ns INTEGER);
CREATE INDEX IF NOT EXISTS calls_of_number ON calls (connection, number);
CREATE TABLE IF NOT EXISTS keyring (
    connection TEXT, name TEXT, value TEXT NOT NULL, PRIMARY KEY (connection, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS nonces (
    connection TEXT, nonce TEXT, at REAL, PRIMARY KEY (connection, nonce)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS due (
    id INTEGER PRIMARY KEY, due_at REAL NOT NULL, kind TEXT NOT NULL, connection TEXT NOT NULL, subject TEXT NOT NULL,
    detail TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS due_next ON due (due_at);
CREATE TABLE IF NOT EXISTS callbacks (
    event_id TEXT PRIMARY KEY, connection TEXT NOT NULL, type TEXT NOT NULL, subject TEXT NOT NULL, body BLOB NOT NULL,
    state TEXT NOT NULL, copies INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, due_at REAL NOT NULL,
    last_status INTEGER);
CREATE INDEX IF NOT EXISTS callbacks_next ON callbacks (due_at) WHERE state IN ('WAITING', 'HELD');
CREATE INDEX IF NOT EXISTS callbacks_of_subject ON callbacks (connection, subject);
CREATE TABLE IF NOT EXISTS callback_faults (
    connection TEXT, subject TEXT, fault TEXT NOT NULL, PRIMARY KEY (connection, subject)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS faults (
    id INTEGER PRIMARY KEY, connection TEXT, operation TEXT, fault TEXT, times_left INTEGER, seconds REAL,
    retry_after_s INTEGER);
CREATE TABLE IF NOT EXISTS random_faults (
    connection TEXT PRIMARY KEY, rate REAL NOT NULL, seed INTEGER NOT NULL, names TEXT NOT NULL, drawn INTEGER NOT NULL);
"""

LATER_COLUMNS = (
    ("trades", "paid_at", "REAL"),  # Unix seconds; NULL: unpaid
    ("refunds", "detail", "TEXT NOT NULL DEFAULT ''"),  # what else belongs to the number (UnionPay: its time and type)
    ("connections", "refund_spacing_s", "REAL NOT NULL DEFAULT 0"),  # least time between two refunds of one trade
)
"""What came after the first ledgers were written."""

TABLES = (
    *(
        "connections",
        "trades",
        "refunds",
        "money_moves",
        "outbound",
        "holds",
        "waybills",
        "route",
        "recalls",
        "messages",
    ),
    *(
        "shop_orders",
        "shop_requests",
        "calls",
        "nonces",
        "due",
        "callbacks",
        "callback_faults",
        "faults",
        "random_faults",
    ),
)


class Ledger:
    """One connection, used by one event loop; an effect runs without an await inside `transaction`, so it is atomic."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = OFF", "busy_timeout = 5000"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(SCHEMA)
        for table, column, kind in LATER_COLUMNS:
            if column not in {row["name"] for row in self.all(f"PRAGMA table_info({table})")}:
                self._db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")

    def close(self) -> None:
        self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; inside another one it is part of that one."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def run(self, statement: str, *values: Any) -> int:
        """The number of rows written."""
        return self._db.execute(statement, values).rowcount

    def run_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> int:
        return self._db.executemany(statement, rows).rowcount

    def one(self, query: str, *values: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute(query, values).fetchone()
        return row

    def all(self, query: str, *values: Any) -> list[sqlite3.Row]:
        return self._db.execute(query, values).fetchall()

    def number(self, query: str, *values: Any) -> int:
        """The single integer that the query answers; 0 for NULL."""
        row = self.one(query, *values)
        return int(row[0] or 0) if row is not None else 0

    def erase(self) -> None:
        with self.transaction():
            for table in TABLES:
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608  names from the list above
