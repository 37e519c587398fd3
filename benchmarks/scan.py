"""Scans at the packing bench among many orders, over the HTTP interface: `make bench-scan`.

    POST /api/v1/warehouse/scans -> known event? -> whose code is it -> verdict -> row -> commit -> answer

One web application in this process, one handheld after another. Every figure holds the whole way, and every scan is a new event; stop scans
with a consequence (the hold accepted, under the locks of order and case) are measured apart. Nothing is asserted here: machines differ.
The aim is 100 ms.
"""

import argparse
import asyncio
import itertools
import os
import random
import statistics
import time
from collections.abc import Callable

import httpx
import psycopg

from benchmarks.lookup import FILL
from benchmarks.server import fresh_server
from unwind.domain.access import SCOPES_OF, Role
from unwind.flow.services import Services
from unwind.policy.engine import load_default
from unwind.storage import principals
from unwind.storage.database import Database
from unwind.storage.privacy import Vault
from unwind.web.app import build_app

AIM_MS = 100
WAREHOUSE = """
INSERT INTO shipment_lines (order_id, shipment_id, line_id, quantity) SELECT order_id, shipment_id, 'L1', 1 FROM shipments;
UPDATE shipments SET reported_stage = 'label_printed', picked_up_at = NULL;
INSERT INTO case_parts (case_id, part_no, kind, shipment_id, state, stage, verdict, rule, refund_on, returned_minor, completes_order)
SELECT case_id, 1, 'parcel', 'P' || substr(order_id, 2), CASE WHEN state = 'archived' THEN 'done' ELSE 'executing' END, 'label_printed',
    'auto', 'x', 'recall_confirmed', 0, false FROM cases;
INSERT INTO case_lines (case_id, part_no, order_id, line_id, units) SELECT case_id, 1, order_id, 'L1', 1 FROM cases;
INSERT INTO legs (case_id, leg_no, part_no, kind, rank, is_local, state, target, amount_minor)
SELECT case_id, 1, 1, 'hold_shipment', 10, false, CASE WHEN state = 'archived' THEN 'succeeded' ELSE 'task' END,
    'P' || substr(order_id, 2), 0 FROM cases;
UPDATE cases SET state = 'executing' WHERE state <> 'archived';
INSERT INTO order_keys (order_id, wrapped_key) SELECT order_id, '' FROM orders;
UPDATE order_lines l SET taken_units = 1 FROM cases c WHERE c.order_id = l.order_id AND c.state = 'executing'
"""


def fill(owner_url: str, *, orders: int) -> None:
    """Orders with labelled parcels; half of them with a case, an eighth with a hold that waits."""
    with psycopg.connect(owner_url, autocommit=True) as conn:
        for statement in filter(str.strip, f"{FILL}{WAREHOUSE}".split(";\n")):
            conn.execute(statement.replace("%(orders)s", str(orders)))
        conn.execute("VACUUM ANALYZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=120_000)
    parser.add_argument("--times", type=int, default=1000, help="scans of each kind")
    given = parser.parse_args()
    with fresh_server() as (server, _):
        started = time.perf_counter()
        fill(server.owner_url, orders=given.orders)
        print(f"{given.orders} orders filled in {time.perf_counter() - started:.0f} s", flush=True)
        asyncio.run(measure(server.app_url, orders=given.orders, times=given.times))


async def measure(url: str, *, orders: int, times: int) -> None:
    services = Services(database=Database(url), policy=load_default(), vault=Vault(os.urandom(32)))
    app = build_app(services)
    async with app.router.lifespan_context(app):
        async with services.database.connection() as conn:
            handheld = {
                "principal_id": "handheld",
                "role": Role.WAREHOUSE.value,
                "scopes": sorted(SCOPES_OF[Role.WAREHOUSE]),
                "merchant_id": None,
                "display_name": "handheld",
            }
            await principals.upsert_principal(conn, handheld, "uk_handheld")
        kinds: dict[str, tuple[str, Callable[[int], str]]] = {
            "ships": ("stop", lambda n: f"SF{n - n % 2 + 1}"),
            "stopped": ("pack", lambda n: f"SF{n - n % 8}"),
            "accepted": ("stop", lambda n: f"SF{n - n % 8}"),
            "by order": ("pack", lambda n: f"K{n}"),
            "dispatched": ("dispatch", lambda n: f"SF{n - n % 2 + 1}"),
            "unknown": ("stop", lambda n: f"NO{n}"),
        }
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://bench") as client:
            print(f"{'scan':>10} {'p50':>8} {'p95':>8} {'p99':>8} {'worst':>8}  ms", flush=True)
            for name, (kind, code_of) in kinds.items():
                await _measure_kind(client, name, kind, code_of, orders=orders, times=times)


async def _measure_kind(
    client: httpx.AsyncClient, name: str, kind: str, code_of: Callable[[int], str], *, orders: int, times: int
) -> None:
    took = []
    for i, n in enumerate(itertools.islice(iter(lambda: random.randrange(orders), -1), times + 20)):
        body = {"code": code_of(n), "kind": kind, "event_id": f"{name.replace(' ', '-')}-{i}"}
        started = time.perf_counter()
        answer = await client.post(
            "/api/v1/warehouse/scans", headers={"Authorization": "Bearer uk_handheld"}, json=body
        )
        took_ms = 1000 * (time.perf_counter() - started)
        assert answer.status_code == 200, answer.text
        if i >= 20:
            took.append(took_ms)
    cuts = statistics.quantiles(took, n=100)
    verdict = "" if cuts[98] < AIM_MS else f"  above {AIM_MS} ms"
    print(f"{name:>10} {cuts[49]:8.2f} {cuts[94]:8.2f} {cuts[98]:8.2f} {max(took):8.2f}{verdict}", flush=True)


if __name__ == "__main__":
    main()
