"""Look-ups among many orders, over the HTTP interface: `make bench-lookup`.

    POST /api/v1/desk/lookups -> counted -> the ids by one index -> what may be shown of each -> logged -> answer

One web application in this process, one client after another; every figure holds the whole way: authorisation, limit, query, decryption of
the masked telephone, log row and its commit. Nothing is asserted here: machines differ. The aim is 50 ms.
"""

import argparse
import asyncio
import itertools
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator

import httpx
import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.server import fresh_server
from unwind.domain.access import SCOPES_OF, Role
from unwind.flow.lookup import TURNS_MAX, By
from unwind.flow.services import Services
from unwind.policy.engine import load_default
from unwind.storage import principals
from unwind.storage.database import Database
from unwind.storage.privacy import NONCE_BYTES, Vault, tail_kind
from unwind.web.app import build_app

MERCHANT = "bench"
CLERK = "clerk{}"
AIM_MS = 50
PHONES_OF = 0.9
"""Distinct telephones per order: some people order twice."""

FILL = """
INSERT INTO merchants (merchant_id, name) VALUES ('bench', 'bench') ON CONFLICT DO NOTHING;
INSERT INTO orders (order_id, merchant_id, buyer_ref, currency, placed_at, released_stage, promise, shipping_minor, revision, is_paid)
SELECT 'K' || n, 'bench', 'B' || n, 'CNY', unwind_now() - n % 200 * interval '12 hours', 'none', 'none', 0, 1, true
FROM generate_series(0, %(orders)s - 1) AS n;
INSERT INTO order_lines (order_id, line_id, sku, location, pool, title, quantity, unit_price_minor, traits, reserved)
SELECT 'K' || n, 'L1', 'S' || n % 500, 'main', 'normal', '双肩背包', 1, 1000, '{}', 1 FROM generate_series(0, %(orders)s - 1) AS n;
INSERT INTO shipments (order_id, shipment_id, carrier, waybill_no, reported_stage, picked_up_at, fed_at, return_waybill_no)
SELECT 'K' || n, 'P' || n, 'sf', 'SF' || n, 'in_transit', unwind_now(), unwind_now(), CASE WHEN n % 50 = 0 THEN 'RT' || n ELSE '' END
FROM generate_series(0, %(orders)s - 1) AS n;
INSERT INTO cases (case_id, kind, order_id, merchant_id, channel, state, event_seq, head, reason, stated_reason, tags, verdict, rule,
    policy_version, facts, priority, opened_at, next_check_at, closed_at)
SELECT 'UW261101-' || lpad(n::text, 10, '0'), 'cancellation', 'K' || n, 'bench', 'app', CASE WHEN n % 8 = 0 THEN 'review' ELSE 'archived' END,
    1, '', 'OTHER', 'OTHER', '{}', 'review', 'x', 'x', '[]', 1, unwind_now(), CASE WHEN n % 8 = 0 THEN unwind_now() END,
    CASE WHEN n % 8 <> 0 THEN unwind_now() END
FROM generate_series(0, %(orders)s - 1, 2) AS n;
"""


def phone_of(n: int, orders: int) -> str:
    return f"138{n % int(orders * PHONES_OF):08d}"


def fill(owner_url: str, vault: Vault, *, orders: int) -> None:
    """Everything a look-up reads, in sets: the rows by the database, what is keyed or sealed by COPY."""
    with psycopg.connect(owner_url, autocommit=True) as conn:
        for statement in filter(str.strip, FILL.split(";\n")):
            conn.execute(statement.replace("%(orders)s", str(orders)))
        with conn.cursor() as cursor:
            with cursor.copy("COPY blind_index (kind, digest, order_id) FROM STDIN") as copy:
                for row in _entries(vault, orders):
                    copy.write_row(row)
            keys = [vault.new_order_key(f"K{n}") for n in range(orders)]
            with cursor.copy("COPY order_keys (order_id, wrapped_key) FROM STDIN") as copy:
                for n, (_, wrapped) in enumerate(keys):
                    copy.write_row((f"K{n}", wrapped))
            with cursor.copy("COPY private_data (order_id, field, ciphertext) FROM STDIN") as copy:
                for n, (key, _) in enumerate(keys):
                    nonce = os.urandom(NONCE_BYTES)
                    context = f"K{n}\nphone".encode()
                    copy.write_row(
                        (f"K{n}", "phone", nonce + AESGCM(key).encrypt(nonce, phone_of(n, orders).encode(), context))
                    )
        conn.execute(
            "UPDATE blind_index i SET at = o.placed_at FROM orders o WHERE o.order_id = i.order_id AND i.at IS NULL"
        )
        conn.execute("VACUUM ANALYZE")


def _entries(vault: Vault, orders: int) -> Iterator[tuple[str, bytes, str]]:
    kind = tail_kind(MERCHANT)
    tails = {f"{n:04d}": vault.blind(kind, f"{n:04d}") for n in range(10_000)}
    for n in range(orders):
        phone = phone_of(n, orders)
        yield "phone", vault.blind("phone", phone), f"K{n}"
        yield "name", vault.blind("name", f"买家{n}"), f"K{n}"
        yield kind, tails[phone[-4:]], f"K{n}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=250_000)
    parser.add_argument("--times", type=int, default=500, help="look-ups of each kind")
    given = parser.parse_args()
    with fresh_server() as (server, _):
        vault = Vault(os.urandom(32))
        started = time.perf_counter()
        fill(server.owner_url, vault, orders=given.orders)
        print(f"{given.orders} orders filled in {time.perf_counter() - started:.0f} s", flush=True)
        asyncio.run(measure(server.app_url, vault, orders=given.orders, times=given.times))


async def measure(url: str, vault: Vault, *, orders: int, times: int) -> None:
    services = Services(database=Database(url), policy=load_default(), vault=vault)
    app = build_app(services)
    async with app.router.lifespan_context(app):
        clerks = -(-(times + 20) // min(TURNS_MAX.values()))
        async with services.database.connection() as conn:
            for n in range(clerks):
                await principals.upsert_principal(conn, _clerk(n), f"uk_{CLERK.format(n)}")
        kinds: dict[By, Callable[[int], str]] = {
            By.ORDER: lambda n: f"K{n}",
            By.CASE: lambda n: f"UW261101-{n - n % 2:010d}",
            By.WAYBILL: lambda n: f"SF{n}",
            By.PHONE: lambda n: phone_of(n, orders),
            By.NAME: lambda n: f"买家{n}",
            By.ORDER_TAIL: lambda n: f"K{n}"[-6:].rjust(6, "0"),
            By.TAIL: lambda n: phone_of(n, orders)[-4:],
        }
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://bench") as client:
            print(f"{'kind':>10} {'p50':>8} {'p95':>8} {'p99':>8} {'worst':>8}  ms   hits", flush=True)
            for by, value_of in kinds.items():
                await _measure_kind(client, by, value_of, orders=orders, times=times)


async def _measure_kind(
    client: httpx.AsyncClient, by: By, value_of: Callable[[int], str], *, orders: int, times: int
) -> None:
    found, hits = [], 0
    for i, n in enumerate(itertools.islice(iter(lambda: random.randrange(orders), -1), times + 20)):
        key = f"uk_{CLERK.format(i // min(TURNS_MAX.values()))}"
        body = {"q": value_of(n), "by": by.value, "merchant_id": MERCHANT}
        started = time.perf_counter()
        answer = await client.post("/api/v1/desk/lookups", headers={"Authorization": f"Bearer {key}"}, json=body)
        took_ms = 1000 * (time.perf_counter() - started)
        assert answer.status_code == 200, answer.text
        if i >= 20:
            found.append(took_ms)
            hits += len(answer.json()["orders"])
    cuts = statistics.quantiles(found, n=100)
    verdict = "" if cuts[98] < AIM_MS else f"  above {AIM_MS} ms"
    print(
        f"{by.value:>10} {cuts[49]:8.2f} {cuts[94]:8.2f} {cuts[98]:8.2f} {max(found):8.2f}      {hits / times:5.1f}{verdict}",
        flush=True,
    )


def _clerk(n: int) -> dict[str, object]:
    return {
        "principal_id": CLERK.format(n),
        "role": Role.AGENT.value,
        "scopes": sorted(SCOPES_OF[Role.AGENT]),
        "merchant_id": None,
        "display_name": "clerk",
    }


if __name__ == "__main__":
    main()
