"""The carrier: voids labels, recalls parcels, tells where they are. An accepted recall is only the beginning of one."""

import hashlib
import sqlite3
from collections.abc import Mapping
from typing import Any

from sandbox.answers import Answer, Call, RefusalError, read_text
from sandbox.world import World

BEFORE_PICK_UP = frozenset({"none", "released", "picking", "packed", "label_printed"})
ON_THE_WAY = frozenset({"handed_over", "in_transit", "at_pickup_point", "out_for_delivery"})
AFTERWARDS = frozenset({"delivered", "refused", "returning", "returned", "lost"})
STAGES = BEFORE_PICK_UP | ON_THE_WAY | AFTERWARDS
NEXT_STAGE = {"recall_ok": "returning", "recall_fails": "", "delivered_first": "delivered"}
RESULT_OF_STAGE = {"returning": "RETURNING", "returned": "RETURNED", "delivered": "DELIVERED"}
RETURN_FEE_MINOR = 1200


def void_waybill(world: World, call: Call) -> Answer:
    request_id = _read_request(call)
    asked = _find_request(world, call, request_id, kind="void")
    waybill = find_waybill(world, call.connection, call.number)
    if asked is None:
        is_possible = waybill["stage"] in BEFORE_PICK_UP and waybill["behaviour"] != "refuse"
        result = "VOIDED" if is_possible else "REJECTED"
        asked = _keep_request(world, call, request_id, waybill, kind="void", result=result)
    return Answer(status=200, body={"result": asked["result"], "stage": waybill["stage"]}, subject=request_id)


def recall_parcel(world: World, call: Call) -> Answer:
    request_id = _read_request(call)
    asked = _find_request(world, call, request_id, kind="recall")
    waybill = find_waybill(world, call.connection, call.number)
    if asked is None:
        is_possible = waybill["stage"] in ON_THE_WAY and waybill["behaviour"] != "refuse"
        result = "ACCEPTED" if is_possible else "REJECTED"
        asked = _keep_request(world, call, request_id, waybill, kind="recall", result=result)
        if is_possible:
            _plan_next(world, call, request_id, waybill)
    result = "REJECTED" if asked["result"] == "REJECTED" else "ACCEPTED"
    body = {"result": result, "stage": waybill["stage"], "recall_ref": asked["reference"]}
    return Answer(status=200, body=body, subject=request_id)


def query_recall(world: World, call: Call) -> Answer:
    request_id = _read_request(call)
    asked = _find_request(world, call, request_id, kind="recall")
    if asked is None:
        raise RefusalError(404, "NOT_FOUND")
    waybill = find_waybill(world, call.connection, call.number)
    result = "FAILED" if asked["result"] == "REJECTED" else asked["result"]
    body = {
        "result": result,
        "stage": waybill["stage"],
        "return_waybill_no": waybill["return_waybill_no"],
        "fee_minor": waybill["fee_minor"],
    }
    return Answer(status=200, body=body, subject=request_id)


def track(world: World, call: Call) -> Answer:
    waybill = find_waybill(world, call.connection, call.number)
    events = world.ledger.all(
        "SELECT at, stage, place FROM route WHERE connection = ? AND waybill_no = ? ORDER BY at, id",
        *(call.connection, call.number),
    )
    body = {
        "waybill_no": waybill["no"],
        "events": [dict(event) for event in events],
        "fed_at": waybill["fed_at"],
        "return_waybill_no": waybill["return_waybill_no"],
    }
    return Answer(status=200, body=body)


def move_parcel(
    world: World, connection: str, no: str, *, stage: str, place: str, at: str | None = None, is_told: bool = True
) -> None:
    """A scan: the parcel's stage, the route, `parcel.moved`, and whatever it means for a recall that is under way."""
    waybill = find_waybill(world, connection, no)
    at = at or world.instant()
    world.ledger.run(
        "INSERT INTO route (connection, waybill_no, at, stage, place) VALUES (?, ?, ?, ?, ?)",
        *(connection, no, at, stage, place),
    )
    fed_at = world.instant() if is_told else waybill["fed_at"]
    returning = stage in {"returning", "returned"}
    return_no = waybill["return_waybill_no"] or (_return_number(connection, no) if returning else "")
    world.ledger.run(
        "UPDATE waybills SET stage = ?, fed_at = ?, return_waybill_no = ?, fee_minor = ? WHERE connection = ? AND no = ?",
        *(stage, fed_at, return_no, RETURN_FEE_MINOR if return_no else 0, connection, no),
    )
    if is_told:
        data = {"waybill_no": no, "stage": stage, "at": at, "place": place}
        world.emit(connection, "parcel.moved", subject=no, data=data)
    if stage in RESULT_OF_STAGE:
        _tell_recalls(world, connection, no, RESULT_OF_STAGE[stage])


def find_waybill(world: World, connection: str, no: str) -> sqlite3.Row:
    waybill = world.ledger.one("SELECT * FROM waybills WHERE connection = ? AND no = ?", connection, no)
    if waybill is None:
        raise RefusalError(404, "NOT_FOUND")
    return waybill


def _tell_recalls(world: World, connection: str, no: str, result: str) -> None:
    """Open recalls of this parcel follow it; a recall never goes back."""
    waybill = find_waybill(world, connection, no)
    recalls = world.ledger.all(
        "SELECT * FROM recalls WHERE connection = ? AND waybill_no = ? AND kind = 'recall'"
        " AND result IN ('ACCEPTED', 'RETURNING')",
        *(connection, no),
    )
    for recall in recalls:
        world.ledger.run(
            "UPDATE recalls SET result = ? WHERE connection = ? AND request_id = ?",
            *(result, connection, recall["request_id"]),
        )
        data = {
            "request_id": recall["request_id"],
            "waybill_no": no,
            "stage": waybill["stage"],
            "return_waybill_no": waybill["return_waybill_no"],
        }
        world.emit(connection, f"recall.{result.lower()}", subject=recall["request_id"], data=data)


def _read_request(call: Call) -> str:
    for name in ("order_no", "reason"):
        read_text(call.body, name, required=False)
    return read_text(call.body, "request_id")


def _find_request(world: World, call: Call, request_id: str, *, kind: str) -> sqlite3.Row | None:
    query = "SELECT * FROM recalls WHERE connection = ? AND request_id = ?"
    asked = world.ledger.one(query, call.connection, request_id)
    if asked is not None and (asked["waybill_no"], asked["kind"]) != (call.number, kind):
        raise RefusalError(409, "CONFLICT", "this request_id belongs to another request")
    return asked


def _keep_request(
    world: World, call: Call, request_id: str, waybill: sqlite3.Row, *, kind: str, result: str
) -> sqlite3.Row:
    reference = "rcl_" + hashlib.sha256(f"{call.connection}/{request_id}".encode()).hexdigest()[:16]
    world.ledger.run(
        "INSERT INTO recalls (connection, request_id, waybill_no, order_no, kind, result, reference)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        *(call.connection, request_id, call.number, waybill["order_no"], kind, result, reference),
    )
    made = _find_request(world, call, request_id, kind=kind)
    if made is None:
        raise RefusalError(500, "SYSTEM_ERROR")
    return made


def _plan_next(world: World, call: Call, request_id: str, waybill: sqlite3.Row) -> None:
    delay_s: float | None = waybill["delay_s"]
    if call.fault is not None and call.is_fault("stays_processing"):
        delay_s = call.fault.seconds
    if delay_s is not None:
        stage = NEXT_STAGE[waybill["behaviour"]]
        world.later("parcel_step", delay_s=delay_s, connection=call.connection, subject=request_id, stage=stage)


def _parcel_steps(world: World, connection: str, request_id: str, detail: Mapping[str, Any]) -> None:
    query = "SELECT * FROM recalls WHERE connection = ? AND request_id = ?"
    recall = world.ledger.one(query, connection, request_id)
    if recall is None or recall["result"] not in {"ACCEPTED", "RETURNING"}:
        return
    if not detail["stage"]:
        _tell_recalls(world, connection, recall["waybill_no"], "FAILED")
        return
    move_parcel(world, connection, recall["waybill_no"], stage=detail["stage"], place="")
    return_after_s = find_waybill(world, connection, recall["waybill_no"])["return_after_s"]
    if detail["stage"] == "returning" and return_after_s is not None:
        world.later("parcel_step", delay_s=return_after_s, connection=connection, subject=request_id, stage="returned")


def _return_number(connection: str, no: str) -> str:
    """Letters and thirteen digits, as such numbers are."""
    return f"RT{int(hashlib.sha256(f'{connection}/{no}'.encode()).hexdigest(), 16) % 10**13:013d}"


def register(world: World) -> None:
    world.register("parcel_step", _parcel_steps)
