"""Starts the database, the outside world, the web and the worker, fills an empty demo, then lets buyers ask now and then."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import Progress

from unwind.demo.catalog import DEMO_KEYS, DEMO_PASSWORD, DEMO_STAFF, WISHES
from unwind.demo.seed import ORDERS, STORY_ORDERS, Seeder
from unwind.domain.access import SYSTEM, Role, key_scopes
from unwind.domain.errors import Refusal
from unwind.domain.sign_in import SignInRules
from unwind.flow import staff
from unwind.flow.services import Services
from unwind.policy.engine import load_default
from unwind.processes import Children
from unwind.settings import Settings
from unwind.storage.database import Database
from unwind.storage.embedded import EmbeddedPostgres
from unwind.storage.migrate import migrate
from unwind.storage.principals import upsert_principal
from unwind.storage.privacy import Vault

CONNECTIONS = {
    "wxpay": "wechat_pay",
    "alipay": "alipay",
    "unionpay": "unionpay",
    "wms": "qimen",
    "sf": "sf",
    "zto": "zto",
    "yto": "yto",
    "sms": "aliyun_sms",
    "wechat": "wechat_subscribe",
    "dingtalk": "dingtalk",
}
"""Which provider's format each party of the demo speaks."""
REQUEST_EVERY_S = 6.0
REQUESTS_MAX = 120
READY_S = 60.0


def run_demo(settings: Settings, *, console: Console, is_fresh: bool) -> None:
    """Until interrupted. The second start finds the data of the first."""
    home = settings.home
    home.mkdir(parents=True, exist_ok=True)
    sandbox_port = int(os.environ.get("UNWIND_SANDBOX_PORT", "8090"))
    for port in (settings.port, sandbox_port):
        _require_free(port)
    server = EmbeddedPostgres(home)
    if is_fresh:
        server.destroy()
        for path in home.glob("sandbox*"):
            path.unlink() if path.is_file() else shutil.rmtree(path)
    signal.signal(signal.SIGTERM, _interrupt)
    with console.status("starting the embedded PostgreSQL"):
        server.start()
    try:
        with console.status("bringing the schema up to date"):
            migrate(server.owner_url)
            asyncio.run(_demo_keys(server.app_url))
        _run_children(settings, console, sandbox_port=sandbox_port, app_url=server.app_url)
    except KeyboardInterrupt:
        console.print("stopped")
    finally:
        server.stop()


def _require_free(port: int) -> None:
    """Somebody else's program on our port must not be taken for ours."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise SystemExit(
                f"端口 {port} 已被占用 / port {port} is in use; set UNWIND_PORT and UNWIND_SANDBOX_PORT to free ones"
            ) from None


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _run_children(settings: Settings, console: Console, *, sandbox_port: int, app_url: str) -> None:
    base = f"http://127.0.0.1:{settings.port}"
    children = Children(
        {
            "UNWIND_DEMO": "1",
            "UNWIND_HOME": str(settings.home),
            "UNWIND_PORT": str(settings.port),
            "UNWIND_HOST": "127.0.0.1",
            "UNWIND_PUBLIC_URL": base,
        }
    )
    try:
        ledger = str(settings.home / "sandbox.sqlite")
        speak = [word for pair in CONNECTIONS.items() for word in ("--speak", "=".join(pair))]
        children.start("sandbox", "--port", str(sandbox_port), "--ledger", ledger, "--callback-url", base, *speak)
        with (
            httpx.Client(base_url=base, timeout=30) as unwind,
            httpx.Client(base_url=f"http://127.0.0.1:{sandbox_port}", timeout=30) as sandbox,
        ):
            _wait(sandbox, "/control/assertions", console)
            _write_connections(settings.home, sandbox)
            children.start("unwind.cli", "serve")
            children.start("unwind.cli", "worker")
            _wait(unwind, "/ready", console)
            _fill(unwind, sandbox, console)
            asyncio.run(_demo_staff(settings, app_url))
        console.print(
            f"[bold green]Unwind 原路 is running: {base}[/bold green]   (sandbox: http://127.0.0.1:{sandbox_port})"
        )
        names = ", ".join(f"{login} ({role})" for login, role, _, _ in DEMO_STAFF)
        console.print(f"登录 sign in: {names}; 密码 password: {DEMO_PASSWORD}")
        console.print("Ctrl+C stops everything; the data stays.")
        threading.Thread(target=_traffic, args=(base,), daemon=True).start()
        children.watch()
    finally:
        children.stop()


def _wait(client: httpx.Client, path: str, console: Console) -> None:
    deadline = time.monotonic() + READY_S
    with console.status(f"waiting for {client.base_url}"):
        while True:
            with contextlib.suppress(httpx.TransportError):
                if client.get(path).is_success:
                    return
            if time.monotonic() > deadline:
                raise SystemExit(f"{client.base_url} did not become ready; is its port free?")
            time.sleep(0.1)


def _fill(unwind: httpx.Client, sandbox: httpx.Client, console: Console) -> None:
    """Once. The last order that is put says that all of it is there."""
    key = {"Authorization": f"Bearer {DEMO_KEYS['integrator']}"}
    if unwind.get(f"/api/v1/orders/{STORY_ORDERS[-1]}", headers=key).is_success:
        return
    with Progress(console=console) as progress:
        task = progress.add_task("filling the demo shop", total=ORDERS + len(STORY_ORDERS))
        Seeder(unwind, sandbox, datetime.now(UTC)).seed(lambda n: progress.advance(task, n))


def _traffic(base: str) -> None:
    """A buyer asks every few seconds, so that the page lives. Stops by itself."""
    with httpx.Client(
        base_url=base, timeout=30, headers={"Authorization": f"Bearer {DEMO_KEYS['integrator']}"}
    ) as client:
        for n in range(REQUESTS_MAX):
            channel, reason, text = WISHES[n % len(WISHES)]
            order_id = f"D{(n * 37) % ORDERS + 1:04d}"
            body = {"order_id": order_id, "channel": channel, "reason": reason, "text": text}
            with contextlib.suppress(httpx.TransportError):
                client.post("/api/v1/cancellations", json=body, headers={"Idempotency-Key": f"traffic-{order_id}-{n}"})
            time.sleep(REQUEST_EVERY_S)


async def _demo_keys(url: str) -> None:
    database = Database(url)
    await database.open()
    async with database.transaction() as conn:
        for role, key in DEMO_KEYS.items():
            principal = {
                "principal_id": f"demo-{role}",
                "role": role,
                "scopes": sorted(key_scopes(Role(role))),
                "merchant_id": None,
                "display_name": f"demo {role}",
            }
            await upsert_principal(conn, principal, key)
    await database.close()


async def _demo_staff(settings: Settings, url: str) -> None:
    """Accounts to sign in with, once: after the shops, because one of them belongs to a shop."""
    database = Database(url)
    await database.open()
    rules = SignInRules(is_demo=True, needs_second_factor=False)
    services = Services(database=database, policy=load_default(), vault=Vault(settings.master_key), sign_in=rules)
    for login, role, merchant_id, name in DEMO_STAFF:
        with contextlib.suppress(Refusal):  # there since the first start
            await staff.add(
                services,
                SYSTEM,
                login=login,
                role=Role(role),
                merchant_id=merchant_id,
                display_name=name,
                password=DEMO_PASSWORD,
                is_final=True,
            )
    await database.close()


def _write_connections(home: Path, sandbox: httpx.Client) -> None:
    """`connections.json` as the simulated providers hand it out: their addresses, keys and secrets."""
    path = home / "connections.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(sandbox.get("/control/settings").json(), indent=1), encoding="utf-8")
