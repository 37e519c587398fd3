"""kill -9 of worker and web in mid-execution, 20 times at random: everything ends, each payment refunded exactly once.

The judge is the sandbox's own ledger, in a process of its own that is never killed. The seed is printed; a failure names it.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from tests.world import CONNECTIONS, SECRET, line, order_body, payment
from unwind.domain.access import SCOPES_OF, Role
from unwind.storage.embedded import EmbeddedPostgres
from unwind.storage.principals import digest

KILLS = 20
ORDERS = 40
pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Town:
    """Real processes on loopback."""

    def __init__(self, folder: Path, url: str, owner_url: str) -> None:
        self.owner_url = owner_url
        self.web_port, self.sandbox_port = free_port(), free_port()
        (folder / "connections.json").write_text(
            json.dumps(
                [
                    {
                        "connection_id": name,
                        "provider": provider,
                        "secret": SECRET,
                        **({"channel": name} if provider == "generic_messages" else {}),
                        "base_url": f"http://127.0.0.1:{self.sandbox_port}/c/{name}",
                    }
                    for name, provider in CONNECTIONS.items()
                ]
            )
        )
        self._environment = {
            **os.environ,
            "UNWIND_HOME": str(folder),
            "UNWIND_DEMO": "1",
            "UNWIND_PORT": str(self.web_port),
            "UNWIND_PACE": "0.02",
            "DATABASE_URL": url,
        }
        self._log = (folder / "processes.log").open("wb")
        self._commands = {
            "sandbox": [
                "sandbox", "--port", str(self.sandbox_port), "--ledger", str(folder / "ledger.sqlite"),
                "--secret", SECRET, "--callback-url", f"http://127.0.0.1:{self.web_port}", "--time-scale", "0.02",
            ],
            "web": ["unwind.cli", "serve"],
            "worker": ["unwind.cli", "worker"],
        }  # fmt: skip
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        command = [sys.executable, "-m", *self._commands[name]]
        self._running[name] = subprocess.Popen(
            command, env=self._environment, stdout=self._log, stderr=subprocess.STDOUT
        )

    def kill(self, name: str) -> None:
        self._running[name].send_signal(signal.SIGKILL)
        self._running[name].wait()

    def stop(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()
        self._log.close()

    def persist(self, client: httpx.Client, method: str, url: str, **given: object) -> httpx.Response:
        """As a shop would: the same request again until it is answered."""
        deadline = time.monotonic() + 60
        while True:
            try:
                response = client.request(method, url, **given)  # type: ignore[arg-type]
                if response.status_code < 500:
                    return response
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, f"{method} {url} is never answered"
            time.sleep(0.05)

    def sql(self, statement: str) -> list[dict[str, object]]:
        with psycopg.connect(self.owner_url, autocommit=True, row_factory=dict_row) as conn:
            cursor = conn.execute(statement)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def town(postgres: EmbeddedPostgres, database_name: str, tmp_path: Path) -> Iterator[Town]:
    town = Town(
        tmp_path,
        postgres.url_for(role="app", database=database_name),
        postgres.url_for(role="owner", database=database_name),
    )
    with psycopg.connect(town.owner_url) as conn:
        for role in ("integrator", "admin"):
            conn.execute(
                "INSERT INTO principals (principal_id, role, scopes, display_name) VALUES (%s, %s, %s, %s)",
                (role, role, sorted(SCOPES_OF[Role(role)]), role),
            )
            conn.execute(
                "INSERT INTO api_keys (key_id, principal_id, key_hash, created_at, created_by) VALUES (%s, %s, %s, now(), 'test')",
                (f"k-{role}", role, digest(f"uk_{role}")),
            )
        conn.execute(
            "INSERT INTO merchants (merchant_id, name, warehouse) VALUES ('shop', 'shop', 'wms'), ('none', 'none', 'manual')"
        )
    try:
        for name in ("sandbox", "web", "worker"):
            town.start(name)
        yield town
    finally:
        town.stop()


def place_order(town: Town, client: httpx.Client, number: int) -> str:
    """Three ways to be paid, held by the warehouse or by ourselves."""
    from datetime import UTC, datetime

    order_id = f"K{number}"
    payments = [payment(order_id, 700), payment(order_id, 300, connection="alipay", method="alipay")]
    stage = "picking" if number % 2 else "none"
    body = order_body(
        order_id, now=datetime.now(UTC), lines=[line(price=1000)], payments=payments, released_stage=stage
    )
    control = f"http://127.0.0.1:{town.sandbox_port}/control"
    for paid in payments:
        trade = {"connection": paid["connection"], "trade_no": paid["trade_no"], "amount_minor": paid["share_minor"]}
        town.persist(client, "POST", f"{control}/trades", json={**trade, "order_no": order_id})
    if stage != "none":
        behaviour = "pending_then_cancel" if number % 3 == 0 else "cancel"
        outbound = {"connection": "wms", "no": order_id, "order_no": order_id, "behaviour": behaviour}
        town.persist(client, "POST", f"{control}/outbound", json=outbound)
    url = f"http://127.0.0.1:{town.web_port}/api/v1/orders/{order_id}"
    assert town.persist(client, "PUT", url, json=body).status_code in {200, 201}
    return order_id


def test_twenty_kills_and_every_payment_is_refunded_exactly_once(town: Town) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    base = f"http://127.0.0.1:{town.web_port}"
    with httpx.Client(timeout=20, headers={"Authorization": "Bearer uk_integrator"}) as client:
        control = f"http://127.0.0.1:{town.sandbox_port}/control"
        for connection in ("wxpay", "alipay"):
            modes = {"refund_mode": "delayed", "refund_delay_s": 20}
            town.persist(client, "POST", f"{control}/connections/{connection}", json=modes)
        faults = {"rate": 0.1, "seed": seed, "faults": ["error_502_after_effect", "reset_mid_answer", "callback_twice"]}
        town.persist(client, "POST", f"{control}/faults/random", json=faults)
        orders = [place_order(town, client, n) for n in range(ORDERS)]
        kills = 0
        for order_id in orders:
            headers = {"Idempotency-Key": f"once-{order_id}"}
            answer = town.persist(
                client, "POST", f"{base}/api/v1/cancellations", json={"order_id": order_id}, headers=headers
            )
            assert answer.status_code == 201, answer.text
            if kills < KILLS and chance.random() < 0.6:
                name = chance.choice(["worker", "worker", "web"])
                time.sleep(chance.uniform(0, 0.3))
                town.kill(name)
                town.start(name)
                kills += 1
        while kills < KILLS:
            time.sleep(chance.uniform(0.2, 0.8))
            town.kill("worker")
            town.start("worker")
            kills += 1
        town.persist(client, "POST", f"{control}/faults/random", json={"rate": 0})
        deadline = time.monotonic() + 180
        while left := town.sql("SELECT case_id, state FROM cases WHERE state <> 'archived'"):
            assert time.monotonic() < deadline, f"seed {seed}: {left}"
            time.sleep(2)
            town.sql("UPDATE clock_offset SET shift = shift + interval '16 s'")
        ledger = client.get(f"{control}/ledger").json()
        violations = client.get(f"{control}/assertions").json()["violations"]
    assert violations == [], f"seed {seed}"
    refunds = [refund for trade in ledger["trades"] for refund in trade["refunds"]]
    assert sorted(r["amount_minor"] for r in refunds) == sorted([700, 300] * ORDERS), f"seed {seed}"
    assert all(r["money_moved_times"] == 1 for r in refunds), f"seed {seed}"
    environment = {
        **os.environ,
        "UNWIND_DEMO": "1",
        "DATABASE_URL": town.owner_url,
        "UNWIND_HOME": town._environment["UNWIND_HOME"],
    }
    command = [sys.executable, "-m", "unwind.cli", "doctor"]
    doctor = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
