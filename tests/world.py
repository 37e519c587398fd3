"""A whole world for a test: Unwind's HTTP interface, its worker step by step, and the sandbox with its own ledger."""

import functools
import hashlib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from sandbox.app import running
from sandbox.keyring import make_rsa_key
from sandbox.settings import Settings as SandboxSettings
from unwind.bootstrap import wired
from unwind.domain.access import SCOPES_OF, Role
from unwind.flow.run import run_until_quiet
from unwind.flow.services import Services
from unwind.settings import ConnectionSettings, Settings
from unwind.storage.database import Database
from unwind.storage.embedded import EmbeddedPostgres
from unwind.storage.principals import upsert_principal
from unwind.web.app import build_app

SECRET = "test-secret"
CONNECTIONS = {
    "wxpay": "generic_payment",
    "alipay": "generic_payment",
    "unionpay": "generic_payment",
    "wms": "generic_warehouse",
    "sf": "generic_carrier",
    "sms": "generic_messages",
    "remote-shop": "generic_shop",
}
"""The world of most tests speaks the generic contract; a test of a provider names others (`World.open`)."""

KEYS = {role: f"uk_{role}" for role in ("integrator", "agent", "lead", "finance", "warehouse", "admin", "auditor")}


class Switch(httpx.AsyncBaseTransport):
    """Delivers to whatever application is behind it at the moment."""

    def __init__(self) -> None:
        self.app: Any = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await httpx.ASGITransport(app=self.app).handle_async_request(request)


@functools.cache
def private_key(name: str) -> str:
    """The same key for the same name in the whole run."""
    return make_rsa_key(name)


async def read_connections(to_sandbox: httpx.AsyncBaseTransport) -> tuple[ConnectionSettings, ...]:
    """What the sandbox's providers hand to the merchant, as `connections.json` would hold it."""
    async with httpx.AsyncClient(transport=to_sandbox, base_url="http://sandbox.test") as client:
        rows = (await client.get("/control/settings")).json()
    return tuple(
        ConnectionSettings(connection_id=row.pop("connection_id"), provider=row.pop("provider"), values=row)
        for row in rows
    )


@dataclass(slots=True, kw_only=True)
class World:
    services: Services
    client: httpx.AsyncClient
    """Unwind's HTTP interface."""
    control: httpx.AsyncClient
    """The sandbox's control interface."""
    url: str
    """Of the database, as the application role."""
    owner_url: str
    outside: Switch
    """What stands behind every connection: the sandbox, or what a test puts before it."""
    inwards: Switch
    """What the outside world reaches when it calls us back."""
    next_order: int = field(default=0)

    @classmethod
    async def open(
        cls,
        stack: AsyncExitStack,
        *,
        postgres: EmbeddedPostgres,
        database: str,
        folder: Path,
        speaking: Mapping[str, str] | None = None,
    ) -> "World":
        """`speaking`: connection -> provider, instead of or besides the usual ones."""
        connections = {**CONNECTIONS, **(speaking or {})}
        app_url = postgres.url_for(role="app", database=database)
        to_us, to_sandbox = Switch(), Switch()
        sandbox = await stack.enter_async_context(
            running(
                SandboxSettings(
                    ledger=folder / "ledger.sqlite",
                    callback_url="http://unwind.test",
                    secret=SECRET,
                    time_scale=0.001,
                    callback_transport=to_us,
                    dialects=connections,
                    make_key=private_key,
                )
            )
        )
        to_sandbox.app = sandbox
        settings = Settings(
            home=folder,
            is_demo=True,
            database_url=app_url,
            database_owner_url=None,
            master_key=bytes(range(32)),
            connections=await read_connections(to_sandbox),
            public_url="http://unwind.test",
            host="127.0.0.1",
            port=0,
            connections_max=20,
            pace_scale=0.005,
        )
        db = Database(app_url, connections_max=20)
        services = await stack.enter_async_context(wired(settings, db, transport=to_sandbox))
        app = build_app(services, is_demo=True)
        await stack.enter_async_context(app.router.lifespan_context(app))
        to_us.app = app
        client = await stack.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app=app, raise_app_exceptions=False), base_url="http://unwind.test"
            )
        )
        control = await stack.enter_async_context(
            httpx.AsyncClient(transport=to_sandbox, base_url="http://sandbox.test")
        )
        world = cls(
            services=services,
            client=client,
            control=control,
            url=app_url,
            owner_url=postgres.url_for(role="owner", database=database),
            outside=to_sandbox,
            inwards=to_us,
        )
        await world._furnish()
        return world

    async def _furnish(self) -> None:
        async with self.services.database.connection() as conn:
            for role, key in KEYS.items():
                await upsert_principal(
                    conn,
                    {
                        "principal_id": f"test-{role}",
                        "role": role,
                        "scopes": sorted(SCOPES_OF[Role(role)]),
                        "merchant_id": None,
                        "display_name": role,
                    },
                    key,
                )
        await self.put_merchant("shop")

    async def now(self) -> datetime:
        rows = await self.sql("SELECT unwind_now() AS now")
        at: datetime = rows[0]["now"]
        return at

    async def pass_time(self, by: timedelta) -> None:
        """Moves the one clock."""
        await self.sql("UPDATE clock_offset SET shift = shift + %s", by)

    async def sql(self, statement: str, *arguments: object) -> list[dict[str, Any]]:
        """Looks (or meddles) behind the program's back, as the owner."""
        async with await psycopg.AsyncConnection.connect(self.owner_url, autocommit=True, row_factory=dict_row) as conn:
            cursor = await conn.execute(statement, arguments or None)
            has_rows = (cursor.statusmessage or "").startswith("SELECT") or cursor.description
            return await cursor.fetchall() if has_rows else []

    async def call(self, method: str, path: str, *, role: str = "integrator", **given: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {KEYS.get(role, role)}", **given.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, **given)

    async def ok(self, method: str, path: str, *, role: str = "integrator", **given: Any) -> dict[str, Any]:
        response = await self.call(method, path, role=role, **given)
        assert response.is_success, f"{response.status_code} {response.text}"
        body: dict[str, Any] = response.json() if response.content else {}
        return body

    async def hire(self, *names: str, role: str = "agent", merchant_id: str | None = None) -> list[str]:
        """More people; the keys they call with (`role=` of `call`)."""
        async with self.services.database.connection() as conn:
            for name in names:
                await upsert_principal(
                    conn,
                    {
                        "principal_id": name,
                        "role": role,
                        "scopes": sorted(SCOPES_OF[Role(role)]),
                        "merchant_id": merchant_id,
                        "display_name": name,
                    },
                    f"uk_{name}",
                )
        return [f"uk_{name}" for name in names]

    async def put_merchant(self, merchant_id: str, **given: Any) -> None:
        body = {"name": merchant_id, "warehouse": "wms", "quiet_from": None, **given}
        await self.ok("PUT", f"/api/v1/merchants/{merchant_id}", role="admin", json=body)

    async def order(self, **given: Any) -> str:
        """Puts an order, with its trades and outbound order in the sandbox. Returns its id. See `order_body`. `wms=None`: no system has it."""
        self.next_order += 1
        order_id = given.pop("order_id", f"O{self.next_order}")
        wms = given.pop("wms", {})
        trades = given.pop("trades", {})
        now = await self.now()
        body = order_body(order_id, now=now, **given)
        for payment in body["payments"]:
            amount = max(payment["share_minor"], payment.get("captured_minor", 0))
            await self.ask_sandbox(
                "trades",
                {
                    "connection": payment["connection"],
                    "trade_no": payment["trade_no"],
                    "amount_minor": amount,
                    "currency": body["currency"],
                    "state": trades.get(payment["payment_id"], "PAID" if payment["state"] == "captured" else "UNPAID"),
                    "order_no": order_id,
                },
            )
        if wms is not None and body.get("released_stage", "none") != "none":
            await self.ask_sandbox("outbound", {"connection": "wms", "no": order_id, "order_no": order_id, **wms})
        for shipment in (s for s in body["shipments"] if wms is not None and s["picked_up_at"] is None):
            await self.ask_sandbox(
                "outbound", {"connection": "wms", "no": shipment["shipment_id"], "order_no": order_id, **wms}
            )
        await self.ok("PUT", f"/api/v1/orders/{order_id}", json=body)
        return str(order_id)

    async def ask_sandbox(self, path: str, body: Any) -> Any:
        response = await self.control.post(f"/control/{path}", json=body)
        assert response.is_success, f"{response.status_code} {response.text}"
        return response.json()

    async def cancel(
        self, order_id: str, *, role: str = "integrator", key: str | None = None, **given: Any
    ) -> dict[str, Any]:
        headers = {"Idempotency-Key": key} if key else {}
        return await self.ok(
            "POST", "/api/v1/cancellations", role=role, headers=headers, json={"order_id": order_id, **given}
        )

    async def identify(self, order_id: str, *, role: str = "agent", **given: Any) -> dict[str, Any]:
        """Whoever speaks with the agent has shown that the order is theirs."""
        body = {"phone_tail": "1234", "item": "双肩背包", **given}
        return await self.ok("POST", f"/api/v1/desk/orders/{order_id}/identity", role=role, json=body)

    async def texts(self, *, to: str) -> list[str]:
        """Text messages that reached a telephone."""
        address_hash = hashlib.sha256(to.encode()).hexdigest()[:12]
        sent = (await self.ledger())["messages"]
        return [message["text"] for message in sent if message["address_hash"] == address_hash]

    async def run(self, *, until: str | None = None, case_id: str = "", seconds: float = 20.0) -> None:
        """The worker, step by step, until nothing is due; or until a case reaches a state, waiting for callbacks meanwhile."""
        import asyncio

        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            await run_until_quiet(self.services)
            if until is None:
                return
            rows = await self.sql("SELECT state FROM cases WHERE case_id = %s", case_id)
            if rows and rows[0]["state"] == until:
                return
            assert asyncio.get_running_loop().time() < deadline, f"{case_id} is {rows}: {await self.timeline(case_id)}"
            await asyncio.sleep(0.01)

    async def timeline(self, case_id: str) -> list[str]:
        rows = await self.sql("SELECT event, data FROM case_events WHERE case_id = %s ORDER BY seq", case_id)
        return [f"{row['event']} {row['data']}" for row in rows]

    async def dossier(self, case_id: str) -> dict[str, Any]:
        return await self.ok("GET", f"/api/v1/desk/cases/{case_id}", role="agent")

    async def decide(self, case_id: str, choice: str, **given: Any) -> httpx.Response:
        seen = await self.dossier(case_id)
        body = {"choice": choice, "case_version": seen["version"], "order_version": seen["order"]["version"], **given}
        return await self.call("POST", f"/api/v1/desk/cases/{case_id}/decisions", role="agent", json=body)

    async def agree_as_second(self, case_id: str, *, role: str = "lead", agree: bool = True) -> httpx.Response:
        """The second person of a decision that waits for one."""
        waiting = await self.ok("GET", "/api/v1/desk/approvals", role=role)
        [question_id] = [row["question_id"] for row in waiting["approvals"] if row["case_id"] == case_id]
        return await self.call("POST", f"/api/v1/desk/approvals/{question_id}", role=role, json={"agree": agree})

    async def ledger(self) -> dict[str, Any]:
        body: dict[str, Any] = (await self.control.get("/control/ledger")).json()
        return body

    async def refunds(self, order_id: str) -> list[dict[str, Any]]:
        """Refunds in the sandbox's own ledger, by the order's trades."""
        trades = [t for t in (await self.ledger())["trades"] if t["order_no"] == order_id]
        return [refund for trade in trades for refund in trade["refunds"]]

    async def violations(self) -> Any:
        return (await self.control.get("/control/assertions")).json()


def line(line_id: str = "L1", *, price: int = 1000, quantity: int = 1, **given: Any) -> dict[str, Any]:
    traits = {
        k: given.pop(k)
        for k in list(given)
        if k
        in {"perishable", "made_to_order", "production_started", "presale", "virtual", "dependence", "kept_price_minor"}
    }
    return {
        "line_id": line_id,
        "sku": f"SKU-{line_id}",
        "title": "双肩背包",
        "quantity": quantity,
        "unit_price_minor": price,
        "traits": traits,
        **given,
    }


def payment(
    order_id: str,
    amount: int,
    *,
    connection: str = "wxpay",
    method: str = "wechat",
    state: str = "captured",
    **given: Any,
) -> dict[str, Any]:
    name = f"{order_id}-{connection}"
    return {
        "payment_id": f"P-{name}",
        "connection": connection,
        "trade_no": f"T-{name}",
        "method": method,
        "state": state,
        "share_minor": amount,
        "captured_minor": amount if state == "captured" else 0,
        **given,
    }


def order_body(order_id: str, *, now: datetime, **given: Any) -> dict[str, Any]:
    """An order of one line, paid by WeChat, unless told otherwise. `paid=False`: nothing captured, no attempt."""
    lines = given.pop("lines", None) or [line()]
    shipping = given.pop("shipping_minor", 0)
    discounts = given.pop("discounts", [])
    total = (
        sum(ln["quantity"] * ln["unit_price_minor"] + ln.get("tax_minor", 0) for ln in lines)
        + shipping
        - sum(d["amount_minor"] for d in discounts)
    )
    is_paid = given.pop("paid", True)
    payments = given.pop("payments", [payment(order_id, total)] if is_paid else [])
    return {
        "revision": 1,
        "merchant_id": "shop",
        "buyer_ref": "buyer-1",
        "currency": "CNY",
        "placed_at": (now - timedelta(minutes=5)).isoformat(),
        "lines": lines,
        "shipping_minor": shipping,
        "discounts": discounts,
        "payments": payments,
        "shipments": [],
        "buyer": {"name": "测试买家", "phone": "13800001234"},
        **given,
    }


def shipment(
    shipment_id: str = "S1",
    *,
    stage: str = "in_transit",
    picked_up: bool = True,
    quantities: dict[str, int] | None = None,
    at: datetime | None = None,
) -> dict[str, Any]:
    moment = (at or datetime.now(UTC) - timedelta(days=1)).isoformat()
    return {
        "shipment_id": shipment_id,
        "carrier": "sf",
        "waybill_no": f"W-{shipment_id}",
        "stage": stage,
        "picked_up_at": moment if picked_up else None,
        "quantities": quantities or {"L1": 1},
    }
