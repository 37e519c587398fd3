"""Unpaid cancellation over HTTP beside the database's own limit, in one run: `make bench`.

The floor is the minimal honest transaction as one call, driven by pgbench at 8 clients: it remembers the key (a double click is one
cancel), closes the order, gives the unit back with its ledger row, and writes one event. The product path is `POST /api/v1/cancellations` with key, lock, tagging, policy, plan, history and seal, at 8 clients
over two web processes. Both run in turn, several rounds; read the ratios, not the figures: machines differ and are shared.
"""

import argparse
import asyncio
import json
import os
import random
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import psycopg
import uvloop

from benchmarks import breakdown
from benchmarks.server import fresh_server
from unwind.domain.access import SCOPES_OF, Role
from unwind.flow.order_book import is_paid
from unwind.storage import merchants, orders, principals, stock
from unwind.storage.database import Database
from unwind.storage.embedded import EmbeddedPostgres
from unwind.tagging import Reason

CLIENTS = 8
WEB_PROCESSES = 2
FIRST_PORT = 18431
SKUS = 500
WARM_UP = 1000
"""Cancellations that are not counted."""
PAUSE_S = 2.0
"""Between the two sides, so that the vacuum and the disk writes of one are not paid by the other."""
KEY = "uk_bench"
REASONS = [reason.value for reason in Reason]

FLOOR = """
CREATE TABLE IF NOT EXISTS floor_orders (order_id integer PRIMARY KEY, sku integer NOT NULL, cancelled_at timestamptz)
    WITH (autovacuum_enabled = false);
CREATE TABLE IF NOT EXISTS floor_stock (sku integer PRIMARY KEY, available integer NOT NULL);
CREATE TABLE IF NOT EXISTS floor_moves (order_id integer PRIMARY KEY, sku integer NOT NULL, units integer NOT NULL);
CREATE TABLE IF NOT EXISTS floor_events (order_id integer PRIMARY KEY, at timestamptz NOT NULL, event text NOT NULL);
CREATE TABLE IF NOT EXISTS floor_keys (key text PRIMARY KEY, answer text NOT NULL);
CREATE OR REPLACE FUNCTION floor_cancel(wanted integer, wanted_key text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE found_sku integer;
BEGIN
    INSERT INTO floor_keys VALUES (wanted_key, 'cancelled') ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE floor_orders SET cancelled_at = clock_timestamp() WHERE order_id = wanted AND cancelled_at IS NULL
        RETURNING sku INTO found_sku;
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO floor_events VALUES (wanted, clock_timestamp(), 'cancelled');
    INSERT INTO floor_moves VALUES (wanted, found_sku, 1);
    UPDATE floor_stock SET available = available + 1 WHERE sku = found_sku;
    RETURN true;
END $$;
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=3000, help="orders per round")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with ExitStack() as stack:
        server, home = stack.enter_context(fresh_server())
        warm_up = given.orders * given.rounds
        total = warm_up + WARM_UP + breakdown.ORDERS
        print(f"loading {total} unpaid orders over {SKUS} SKUs ...", flush=True)
        asyncio.run(load(server.app_url, total))
        ports = [FIRST_PORT + i for i in range(WEB_PROCESSES)]
        webs = [start_web(home, server.app_url, port) for port in ports]
        for web in webs:
            stack.callback(stop, web)
        wait_for(ports)
        asyncio.run(drive(ports, [f"B{i}" for i in range(warm_up, warm_up + WARM_UP)]))
        floors, products, medians = [], [], []
        for i in range(given.rounds):
            names = [f"B{n}" for n in range(i * given.orders, (i + 1) * given.orders)]
            rate, p50_ms = asyncio.run(drive(ports, names))
            products.append(rate)
            medians.append(p50_ms)
            time.sleep(PAUSE_S)
            floors.append(run_floor(server, given.orders))
            time.sleep(PAUSE_S)
            print(
                f"round {i + 1}: floor {floors[-1]:7.0f}/s   product {rate:6.0f}/s   1/{floors[-1] / rate:.1f}",
                flush=True,
            )
        floor, product = statistics.median(floors), statistics.median(products)
        ratio = floor / product
        print(
            f"\nfloor {floor:.0f}/s, product {product:.0f}/s, p50 {statistics.median(medians):.1f} ms at {CLIENTS} clients"
        )
        verdict = "aim reached" if ratio <= 8 else "within the limit" if ratio <= 12 else "TOO SLOW"
        print(f"product path = 1/{ratio:.1f} of the floor (aim 1/8, at least 1/12): {verdict}\n")
        breakdown.print_breakdown(server.app_url)
        sys.exit(0 if ratio <= 12 else 1)


async def load(url: str, count: int) -> None:
    database = Database(url)
    await database.open()
    now = datetime.now(UTC)
    async with database.transaction() as conn:
        await principals.upsert_principal(
            conn,
            {
                "principal_id": "bench",
                "role": "integrator",
                "scopes": sorted(SCOPES_OF[Role.INTEGRATOR]),
                "merchant_id": None,
                "display_name": "bench",
            },
            KEY,
        )
        await merchants.upsert_merchant(
            conn,
            {
                "merchant_id": "bench", "name": "bench", "authority": "local", "has_settlement": False, "warehouse": "manual",
                "shop": "local", "time_zone": "Asia/Shanghai", "hours": [], "automation": "auto", "hold_timeout_s": 120,
            },
        )  # fmt: skip
        pools = [
            {"sku": f"SKU{i}", "location": "main", "pool": "normal", "available": count, "is_pool_open": True}
            for i in range(SKUS)
        ]
        await stock.set_stock(conn, pools)
    for first in range(0, count, 1000):
        batch: list[dict[str, Any]] = [order_document(f"B{n}", n, now) for n in range(first, min(count, first + 1000))]
        async with database.transaction() as conn:
            await orders.insert_orders(conn, [{**doc, "is_paid": is_paid(doc)} for doc in batch])
            names = [doc["order_id"] for doc in batch]
            await stock.book_orders(conn, names, now, from_pools=True)
            await stock.take_out(conn, names)
    async with database.connection() as conn:
        await conn.execute("ANALYZE")
    await database.close()


def order_document(order_id: str, number: int, now: datetime) -> dict[str, object]:
    return {
        "order_id": order_id, "merchant_id": "bench", "buyer_ref": f"buyer{number}", "currency": "CNY",
        "placed_at": now, "pay_by": now + timedelta(days=1), "planned_dispatch_at": None, "released_stage": "none",
        "promise": "none", "shipping_minor": 0, "risk": "none", "revision": 1,
        "lines": [{
            "line_id": "L1", "sku": f"SKU{number % SKUS}", "location": "main", "pool": "normal", "title": "双肩背包",
            "quantity": 1, "unit_price_minor": 9900, "traits": {}, "parent_line_id": None,
        }],
        "discounts": [], "payments": [], "shipments": [], "benefits": [],
    }  # fmt: skip


def start_web(home: Path, url: str, port: int) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "UNWIND_HOME": str(home / "web"),
        "UNWIND_PORT": str(port),
        "UNWIND_DEMO": "1",
    }
    return subprocess.Popen([sys.executable, "-m", "unwind.cli", "serve"], env=environment)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(10)


def wait_for(ports: list[int]) -> None:
    deadline = time.monotonic() + 30
    for port in ports:
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise SystemExit("the web process did not become ready")
            time.sleep(0.1)


class Client(asyncio.Protocol):
    """One keep-alive connection that sends its requests one after the other, as cheaply as Python can."""

    def __init__(self, names: list[str], done: asyncio.Future[list[float]]) -> None:
        self._names = names
        self._done = done
        self._buffer = b""
        self._times: list[float] = []
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def _next(self) -> None:
        if not self._names:
            self._done.set_result(self._times)
            self._transport.close()
            return
        name = self._names.pop()
        body = json.dumps({"order_id": name, "channel": "app", "reason": random.choice(REASONS)}).encode()
        head = (
            f"POST /api/v1/cancellations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nIdempotency-Key: {secrets.token_hex(8)}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._sent_at = time.perf_counter()
        self._transport.write(head.encode() + body)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = int(re.search(rb"content-length: (\d+)", self._buffer[:end].lower())[1])  # type: ignore[index]
        if len(self._buffer) < end + 4 + length:
            return
        if not self._buffer.startswith(b"HTTP/1.1 201") or b'"outcome":"cancelled"' not in self._buffer:
            self._done.set_exception(RuntimeError(self._buffer.decode()))
            self._transport.close()
            return
        self._times.append(time.perf_counter() - self._sent_at)
        self._buffer = b""
        self._next()


async def drive(ports: list[int], names: list[str]) -> tuple[float, float]:
    """(cancellations per second, median milliseconds)."""
    loop = asyncio.get_running_loop()
    shares = [names[i::CLIENTS] for i in range(CLIENTS)]
    started = time.perf_counter()
    waiting = []
    for i, share in enumerate(shares):
        done: asyncio.Future[list[float]] = loop.create_future()
        await loop.create_connection(lambda s=share, d=done: Client(s, d), "127.0.0.1", ports[i % len(ports)])  # type: ignore[misc]
        waiting.append(done)
    times = [t for share in await asyncio.gather(*waiting) for t in share]
    return len(names) / (time.perf_counter() - started), statistics.median(times) * 1000


def run_floor(server: EmbeddedPostgres, count: int) -> float:
    """Transactions per second of the floor at the same number of clients."""
    with psycopg.connect(server.owner_url, autocommit=True) as conn:
        conn.execute(FLOOR)
        conn.execute("TRUNCATE floor_orders, floor_stock, floor_events, floor_moves, floor_keys")
        conn.execute("INSERT INTO floor_stock SELECT i, 0 FROM generate_series(0, %s) i", (SKUS,))
        conn.execute("INSERT INTO floor_orders SELECT i, i %% %s FROM generate_series(1, %s) i", (SKUS, count * 10))
        conn.execute("CREATE SEQUENCE IF NOT EXISTS floor_next")
        conn.execute("ALTER SEQUENCE floor_next RESTART")
        conn.execute("ANALYZE floor_orders")
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write("SELECT floor_cancel(n::integer, 'key-' || n) FROM nextval('floor_next') AS n;\n")
        script.flush()
        command = [
            str(server.bin("pgbench")), "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-t", str(count * 5 // CLIENTS),
            "-f", script.name, server.owner_url,
        ]  # fmt: skip
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"tps = ([\d.]+)", output)
    assert found is not None, output
    return float(found[1])


if __name__ == "__main__":
    uvloop.install()
    main()
