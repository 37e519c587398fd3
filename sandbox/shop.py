"""A remote shop with its own orders. It has no callbacks: what is pending is learnt by asking."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from sandbox.answers import Answer, Call, RefusalError, read_text
from sandbox.world import World

FIRST_RESULT = {
    "cancel": "DONE",
    "reject": "REJECTED",
    "pending_then_cancel": "PENDING",
    "pending_then_reject": "PENDING",
    "silent": "PENDING",
}
LATER_RESULT = {"pending_then_cancel": "DONE", "pending_then_reject": "REJECTED"}


def cancel_lines(world: World, call: Call) -> Answer:
    request_id, quantities = read_text(call.body, "request_id"), _read_quantities(call)
    read_text(call.body, "reason", required=False)
    asked = _find(world, call.connection, request_id)
    if asked is not None and (asked["order_id"], asked["quantities"]) != (call.number, quantities):
        raise RefusalError(409, "CONFLICT", "this request_id belongs to another request")
    if asked is not None:
        return _answer(asked)
    order = world.ledger.one(
        "SELECT * FROM shop_orders WHERE connection = ? AND order_id = ?", call.connection, call.number
    )
    if order is None:
        raise RefusalError(404, "NOT_FOUND")
    result = "PENDING" if call.is_fault("stays_processing") else FIRST_RESULT[order["behaviour"]]
    world.ledger.run(
        "INSERT INTO shop_requests (connection, request_id, order_id, quantities, result) VALUES (?, ?, ?, ?, ?)",
        *(call.connection, request_id, call.number, quantities, result),
    )
    later, delay_s = LATER_RESULT.get(order["behaviour"]), order["delay_s"]
    if call.fault is not None and call.is_fault("stays_processing"):
        later, delay_s = later or "DONE", call.fault.seconds
    if result == "PENDING" and later is not None and delay_s is not None:
        world.later("shop_final", delay_s=delay_s, connection=call.connection, subject=request_id, result=later)
    return Answer(status=200, body={"request_id": request_id, "result": result}, subject=request_id)


def query_cancel(world: World, call: Call) -> Answer:
    asked = _find(world, call.connection, read_text(call.body, "request_id"))
    if asked is None or asked["order_id"] != call.number:
        raise RefusalError(404, "NOT_FOUND")
    return _answer(asked)


def _read_quantities(call: Call) -> str:
    quantities = call.body.get("quantities")
    if not isinstance(quantities, dict) or not quantities:
        raise RefusalError(400, "PARAM_ERROR", "quantities: units by line id")
    for units in quantities.values():
        if not isinstance(units, int) or isinstance(units, bool) or units <= 0:
            raise RefusalError(400, "PARAM_ERROR", "quantities: positive units by line id")
    return json.dumps(quantities, sort_keys=True)


def _find(world: World, connection: str, request_id: str) -> sqlite3.Row | None:
    query = "SELECT * FROM shop_requests WHERE connection = ? AND request_id = ?"
    return world.ledger.one(query, connection, request_id)


def _answer(asked: sqlite3.Row) -> Answer:
    body = {"request_id": asked["request_id"], "result": asked["result"]}
    return Answer(status=200, body=body, subject=asked["request_id"])


def _request_is_decided(world: World, connection: str, request_id: str, detail: Mapping[str, Any]) -> None:
    world.ledger.run(
        "UPDATE shop_requests SET result = ? WHERE connection = ? AND request_id = ? AND result = 'PENDING'",
        *(detail["result"], connection, request_id),
    )


def register(world: World) -> None:
    world.register("shop_final", _request_is_decided)
