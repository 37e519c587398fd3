"""The warehouse: stops an outbound order that has not left, at once, later, or never says a word."""

import hashlib
import sqlite3
from collections.abc import Mapping
from typing import Any

from sandbox.answers import Answer, Call, RefusalError, read_text
from sandbox.world import World

STAGES = ("NEW", "PICKING", "PACKED", "LABEL_PRINTED", "HANDED_OVER")
FIRST_RESULT = {
    "cancel": "CANCELLED",
    "reject": "REJECTED",
    "pending_then_cancel": "PENDING",
    "pending_then_reject": "PENDING",
    "silent": "PENDING",
}
LATER_RESULT = {"pending_then_cancel": "CANCELLED", "pending_then_reject": "REJECTED"}


def cancel_outbound(world: World, call: Call) -> Answer:
    request_id = _read_request(call)
    held = find_hold(world, call.connection, request_id)
    if held is not None and held["outbound_no"] != call.number:
        raise RefusalError(409, "CONFLICT", "this request_id belongs to another outbound order")
    if held is not None:
        return _answer(world, held)
    order = find_outbound(world, call.connection, call.number)
    result = FIRST_RESULT[order["behaviour"]]
    if order["state"] == "CANCELLED":
        result = "CANCELLED"
    elif order["stage"] == "HANDED_OVER":
        result = "REJECTED"
    elif call.is_fault("stays_processing"):
        result = "PENDING"
    reference = "wms_" + hashlib.sha256(f"{call.connection}/{request_id}".encode()).hexdigest()[:16]
    world.ledger.run(
        "INSERT INTO holds (connection, request_id, outbound_no, order_no, result, reference) VALUES (?, ?, ?, ?, ?, ?)",
        *(call.connection, request_id, call.number, order["order_no"], result, reference),
    )
    if result == "CANCELLED":
        _stop_goods(world, order)
    if result == "PENDING":
        _plan_result(world, call, request_id, order)
    made = find_hold(world, call.connection, request_id)
    if made is None:
        raise RefusalError(500, "SYSTEM_ERROR")
    return _answer(world, made)


def query_outbound(world: World, call: Call) -> Answer:
    held = find_hold(world, call.connection, _read_request(call))
    if held is None or held["outbound_no"] != call.number:
        raise RefusalError(404, "NOT_FOUND")
    return _answer(world, held)


def show_outbound(world: World, call: Call) -> Answer:
    """How far an outbound order is, whoever has asked for what."""
    order = find_outbound(world, call.connection, call.number)
    return Answer(status=200, body={"stage": order["stage"], "state": order["state"]})


def decide_hold(world: World, connection: str, request_id: str, result: str) -> None:
    """The later answer to a pending request. Goods that have left meanwhile make it a rejection."""
    held = find_hold(world, connection, request_id)
    if held is None or held["result"] != "PENDING":
        return
    order = find_outbound(world, connection, held["outbound_no"])
    if order["stage"] == "HANDED_OVER":
        result = "REJECTED"
    if result == "CANCELLED":
        _stop_goods(world, order)
    world.ledger.run(
        "UPDATE holds SET result = ? WHERE connection = ? AND request_id = ?", result, connection, request_id
    )
    data = {"request_id": request_id, "outbound_no": order["no"], "stage": order["stage"]}
    event_type = "hold.cancelled" if result == "CANCELLED" else "hold.rejected"
    world.emit(connection, event_type, subject=request_id, data=data)


def find_outbound(world: World, connection: str, no: str) -> sqlite3.Row:
    order = world.ledger.one("SELECT * FROM outbound WHERE connection = ? AND no = ?", connection, no)
    if order is None:
        raise RefusalError(404, "NOT_FOUND")
    return order


def find_hold(world: World, connection: str, request_id: str) -> sqlite3.Row | None:
    return world.ledger.one("SELECT * FROM holds WHERE connection = ? AND request_id = ?", connection, request_id)


def _read_request(call: Call) -> str:
    for name in ("order_no", "warehouse_code", "reason"):
        read_text(call.body, name, required=False)
    return read_text(call.body, "request_id")


def _stop_goods(world: World, order: sqlite3.Row) -> None:
    world.ledger.run(
        "UPDATE outbound SET state = 'CANCELLED' WHERE connection = ? AND no = ?", order["connection"], order["no"]
    )


def _plan_result(world: World, call: Call, request_id: str, order: sqlite3.Row) -> None:
    result, delay_s = LATER_RESULT.get(order["behaviour"]), order["delay_s"]
    if call.fault is not None and call.is_fault("stays_processing"):
        result, delay_s = result or "CANCELLED", call.fault.seconds
    if result is not None and delay_s is not None:
        world.later("hold_final", delay_s=delay_s, connection=call.connection, subject=request_id, result=result)


def _answer(world: World, held: sqlite3.Row) -> Answer:
    stage = find_outbound(world, held["connection"], held["outbound_no"])["stage"]
    body = {"result": held["result"], "stage": stage, "wms_ref": held["reference"], "message": ""}
    return Answer(status=200, body=body, subject=held["request_id"])


def _hold_is_decided(world: World, connection: str, request_id: str, detail: Mapping[str, Any]) -> None:
    decide_hold(world, connection, request_id, detail["result"])


def register(world: World) -> None:
    world.register("hold_final", _hold_is_decided)
