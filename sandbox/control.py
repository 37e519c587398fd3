"""The hand behind the scene, under /control: makes trades and parcels, turns dials, reads the ledger. Loopback only."""

import ipaddress
import json
from datetime import date
from typing import Any, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import Response

from sandbox import assertions, carrier, payment, report, warehouse
from sandbox import control_bodies as bodies
from sandbox.answers import RefusalError
from sandbox.bills import write_bill
from sandbox.dialects.frame import OPERATIONS
from sandbox.dialects.registry import Dialects
from sandbox.faults import NAMES, OF_ONE_PROVIDER
from sandbox.world import World

Item = TypeVar("Item")


def require_loopback(request: Request) -> None:
    try:
        is_local = request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        raise HTTPException(403)


def build_router(world: World, dialects: Dialects) -> APIRouter:
    router = APIRouter(prefix="/control", dependencies=[Depends(require_loopback)])
    _add_payment(router, world)
    _add_goods(router, world)
    _add_faults(router, world)
    _add_reading(router, world)
    _add_settings(router, world, dialects)
    return router


def _as_list(items: Item | list[Item]) -> list[Item]:
    return items if isinstance(items, list) else [items]


def _add_payment(router: APIRouter, world: World) -> None:
    @router.post("/trades")
    async def create_trades(trades: bodies.Trade | list[bodies.Trade]) -> dict[str, int]:
        """Those that exist already stay as they are."""
        rows = [
            (
                *(trade.connection, trade.trade_no, trade.amount_minor, trade.currency),
                *(trade.state.upper(), trade.order_no, payment.paid_at(world, trade.state, trade.paid_at)),
            )
            for trade in _as_list(trades)
        ]
        with world.ledger.transaction():
            created = world.ledger.run_many(
                "INSERT INTO trades (connection, trade_no, amount_minor, currency, state, order_no, paid_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                rows,
            )
        return {"created": created}

    @router.post("/trades/{connection}/{trade_no}/pay")
    async def pay(connection: str, trade_no: str) -> dict[str, str]:
        with world.ledger.transaction():
            return {"state": payment.pay_trade(world, connection, trade_no)}

    @router.post("/refunds")
    async def refund_as_staff(body: bodies.StaffRefund) -> dict[str, str]:
        """A refund that the merchant's staff makes in the provider's own pages; final at once."""
        with world.ledger.transaction():
            trade = payment.find_trade(world, body.connection, body.trade_no)
            if payment.find_refund(world, body.connection, body.refund_no) is not None:
                raise RefusalError(409, "NUMBER_REUSED")
            payment.accept_refund(world, trade, body.refund_no, body.amount_minor, made_by="staff")
            payment.settle_refund(world, body.connection, body.refund_no, "SUCCESS")
        return {"status": "SUCCESS"}

    @router.post("/refunds/{connection}/{refund_no}/state")
    async def move_refund(connection: str, refund_no: str, body: bodies.RefundState) -> dict[str, str]:
        """PROCESSING -> SUCCESS, CLOSED, ABNORMAL; SUCCESS -> REVERSED."""
        with world.ledger.transaction():
            if not payment.settle_refund(world, connection, refund_no, body.state):
                raise RefusalError(409, "CONFLICT", "not possible from its present state")
        return {"status": body.state}

    @router.post("/connections/{connection}")
    async def set_modes(connection: str, body: bodies.ConnectionModes) -> dict[str, Any]:
        """Only the fields given; `balance_minor: null` means never short."""
        with world.ledger.transaction():
            payment.find_connection(world, connection)
            for name in sorted(body.model_fields_set):
                world.ledger.run(
                    f"UPDATE connections SET {name} = ? WHERE connection = ?",  # noqa: S608  a field name of ours
                    *(getattr(body, name), connection),
                )
        return dict(payment.find_connection(world, connection))


def _add_goods(router: APIRouter, world: World) -> None:
    @router.post("/outbound")
    async def create_outbound(orders: bodies.Outbound | list[bodies.Outbound]) -> dict[str, int]:
        rows = [(o.connection, o.no, o.order_no, o.stage, o.behaviour, o.delay_s) for o in _as_list(orders)]
        with world.ledger.transaction():
            created = world.ledger.run_many(
                "INSERT INTO outbound (connection, no, order_no, stage, behaviour, delay_s) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                rows,
            )
        return {"created": created}

    @router.post("/outbound/{connection}/{no}/stage")
    async def move_outbound(connection: str, no: str, body: bodies.OutboundStage) -> dict[str, str]:
        """Refused for goods that were stopped."""
        with world.ledger.transaction():
            order = warehouse.find_outbound(world, connection, no)
            if order["state"] == "CANCELLED":
                raise RefusalError(409, "CONFLICT", "stopped at the warehouse")
            world.ledger.run(
                "UPDATE outbound SET stage = ? WHERE connection = ? AND no = ?", body.stage, connection, no
            )
        return {"stage": body.stage}

    @router.post("/waybills")
    async def create_waybills(waybills: bodies.Waybill | list[bodies.Waybill]) -> dict[str, int]:
        created = 0
        with world.ledger.transaction():
            for waybill in _as_list(waybills):
                created += _create_waybill(world, waybill)
        return {"created": created}

    @router.post("/waybills/{connection}/{no}/events")
    async def add_event(connection: str, no: str, body: bodies.RouteEvent) -> dict[str, str]:
        _check_stage(body.stage)
        with world.ledger.transaction():
            carrier.move_parcel(
                world, connection, no, stage=body.stage, place=body.place, at=body.at, is_told=body.is_told
            )
        return {"stage": body.stage}

    @router.post("/waybills/{connection}/{no}/fed_at")
    async def set_fed_at(connection: str, no: str, body: bodies.FedAt) -> dict[str, str | None]:
        carrier.find_waybill(world, connection, no)
        world.ledger.run("UPDATE waybills SET fed_at = ? WHERE connection = ? AND no = ?", body.fed_at, connection, no)
        return {"fed_at": body.fed_at}

    @router.post("/shop_orders")
    async def create_shop_orders(orders: bodies.ShopOrder | list[bodies.ShopOrder]) -> dict[str, int]:
        rows = [(o.connection, o.order_id, o.behaviour, o.delay_s) for o in _as_list(orders)]
        with world.ledger.transaction():
            created = world.ledger.run_many(
                "INSERT INTO shop_orders (connection, order_id, behaviour, delay_s) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                rows,
            )
        return {"created": created}


def _create_waybill(world: World, waybill: bodies.Waybill) -> int:
    _check_stage(waybill.stage)
    created = world.ledger.run(
        "INSERT INTO waybills (connection, no, order_no, stage, behaviour, delay_s, return_after_s, fed_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        *(waybill.connection, waybill.no, waybill.order_no, waybill.stage, waybill.behaviour, waybill.delay_s),
        *(waybill.return_after_s, waybill.fed_at or world.instant()),
    )
    for event in waybill.events if created else []:
        _check_stage(event.stage)
        world.ledger.run(
            "INSERT INTO route (connection, waybill_no, at, stage, place) VALUES (?, ?, ?, ?, ?)",
            *(waybill.connection, waybill.no, event.at or world.instant(), event.stage, event.place),
        )
    return created


def _check_stage(stage: str) -> None:
    if stage not in carrier.STAGES:
        raise RefusalError(400, "PARAM_ERROR", f"stage: one of {', '.join(sorted(carrier.STAGES))}")


def _add_faults(router: APIRouter, world: World) -> None:
    @router.post("/faults")
    async def dial(dials: bodies.FaultDial | list[bodies.FaultDial]) -> dict[str, int]:
        """For the next `times` calls of that connection and operation ("*": any), in the order dialled."""
        rows = []
        for fault in _as_list(dials):
            _check_faults([fault.fault])
            if fault.operation not in {*OPERATIONS, "*"}:
                raise RefusalError(400, "PARAM_ERROR", f"operation: one of {', '.join(OPERATIONS)}")
            rows.append(
                (fault.connection, fault.operation, fault.fault, fault.times, fault.seconds, fault.retry_after_s)
            )
        with world.ledger.transaction():
            world.ledger.run_many(
                "INSERT INTO faults (connection, operation, fault, times_left, seconds, retry_after_s)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
        return {"dialled": len(rows)}

    @router.post("/faults/random")
    async def dial_random(body: bodies.RandomFaults) -> dict[str, float]:
        """A share of all calls, repeatable by its seed; rate 0 ends it."""
        names = list(NAMES) if body.faults is None else body.faults
        _check_faults(names)
        with world.ledger.transaction():
            world.ledger.run("DELETE FROM random_faults WHERE connection = ?", body.connection)
            world.ledger.run(
                "INSERT INTO random_faults (connection, rate, seed, names, drawn) VALUES (?, ?, ?, ?, 0)",
                *(body.connection, body.rate, body.seed, json.dumps(names)),
            )
        return {"rate": body.rate}

    @router.delete("/faults")
    async def end_faults() -> dict[str, bool]:
        with world.ledger.transaction():
            world.ledger.run("DELETE FROM faults")
            world.ledger.run("DELETE FROM random_faults")
        return {"ended": True}


def _check_faults(names: list[str]) -> None:
    unknown = sorted(set(names) - {*NAMES, *OF_ONE_PROVIDER})
    if unknown:
        raise RefusalError(400, "PARAM_ERROR", f"unknown {unknown}; known: {', '.join(NAMES)}")


def _add_reading(router: APIRouter, world: World) -> None:
    @router.get("/ledger")
    async def read_ledger(connection: str | None = None, trade_no: str | None = None) -> dict[str, Any]:
        world.run_due()
        return report.read_ledger(world, connection=connection, trade_no=trade_no)

    @router.get("/assertions")
    async def read_assertions() -> dict[str, Any]:
        world.run_due()
        return {
            "violations": assertions.find_violations(world),
            "suspicions": assertions.find_suspicions(world),
        }

    @router.get("/faults")
    async def read_faults() -> dict[str, Any]:
        waiting = world.ledger.all("SELECT * FROM faults WHERE times_left > 0 ORDER BY id")
        return {"known": NAMES, "waiting": [dict(row) for row in waiting]}

    @router.post("/callbacks/hurry")
    async def hurry() -> dict[str, int]:
        """Everything that waits for its time, events and later steps alike, is due now."""
        with world.ledger.transaction():
            hurried = world.ledger.run("UPDATE due SET due_at = ?", world.now())
            hurried += world.ledger.run(
                "UPDATE callbacks SET due_at = ? WHERE state IN ('WAITING', 'HELD')", world.now()
            )
        world.wake()
        return {"hurried": hurried}

    @router.post("/reset")
    async def reset() -> dict[str, bool]:
        world.ledger.erase()
        return {"empty": True}


def _add_settings(router: APIRouter, world: World, dialects: Dialects) -> None:
    @router.get("/settings")
    async def read_settings(request: Request) -> list[dict[str, Any]]:
        """What the providers hand to the merchant: rows for `connections.json`, keys and secrets included."""
        rows = []
        for connection in world.settings.dialects:
            dialect = dialects.of(connection)
            if dialect is not None:
                base_url = f"{str(request.base_url).rstrip('/')}/c/{connection}"
                rows.append({"connection_id": connection, **dialect.settings(connection, base_url)})
        return rows

    @router.get("/bills/{connection}")
    async def read_bill(connection: str, day: date) -> Response:
        """The provider's bill of that day, Beijing time, as it would be downloaded."""
        provider = world.settings.dialects.get(connection, "")
        bill = write_bill(world, connection, provider, day)
        if bill is None:
            raise RefusalError(404, "NOT_FOUND", "no bills here")
        return Response(bill, media_type="application/octet-stream")
