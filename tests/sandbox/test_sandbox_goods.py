"""Warehouse, carrier, shop and messages: every behaviour that a scene can be given."""

import pytest
from signed_caller import Caller, Receiver

HOLD = {"request_id": "H1", "order_no": "O1", "warehouse_code": "SH1", "reason": "CHANGED_MIND"}
RECALL = {"request_id": "K1", "order_no": "O1", "reason": "CHANGED_MIND"}


async def hold(caller: Caller, path: str = "cancel", **changes: str) -> dict[str, str]:
    return (await caller.call(f"/outbound/W1/{path}", {**HOLD, **changes}, connection="wms")).json()


async def recall(caller: Caller, path: str = "recall", **changes: str) -> dict[str, str]:
    return (await caller.call(f"/waybills/SF1/{path}", {**RECALL, **changes}, connection="sf")).json()


@pytest.mark.parametrize(
    ("behaviour", "stage", "first", "final"),
    [
        ("cancel", "NEW", "CANCELLED", "CANCELLED"),
        ("reject", "PACKED", "REJECTED", "REJECTED"),
        ("cancel", "HANDED_OVER", "REJECTED", "REJECTED"),
        ("pending_then_cancel", "PICKING", "PENDING", "CANCELLED"),
        ("pending_then_reject", "LABEL_PRINTED", "PENDING", "REJECTED"),
        ("silent", "NEW", "PENDING", "PENDING"),
    ],
)
async def test_hold(caller: Caller, receiver: Receiver, behaviour: str, stage: str, first: str, final: str) -> None:
    await caller.control("/outbound", {"connection": "wms", "no": "W1", "stage": stage, "behaviour": behaviour})
    assert (await hold(caller, "query"))["code"] == "NOT_FOUND"
    answer = await hold(caller)
    assert (answer["result"], answer["stage"]) == (first, stage)
    if first != final:
        await receiver.wait_for(1)
        assert receiver.types() == [f"hold.{final.lower()}"]
        assert receiver.events[0]["data"] == {"request_id": "H1", "outbound_no": "W1", "stage": stage}
    assert (await hold(caller, "query"))["result"] == final
    assert (await hold(caller))["wms_ref"] == answer["wms_ref"]


async def test_goods_that_left_meanwhile_turn_a_pending_hold_into_a_rejection(
    caller: Caller, receiver: Receiver
) -> None:
    await caller.control("/outbound", {"connection": "wms", "no": "W1", "behaviour": "pending_then_cancel"})
    await hold(caller)
    await caller.control("/outbound/wms/W1/stage", {"stage": "HANDED_OVER"})
    await receiver.wait_for(1)
    assert receiver.types() == ["hold.rejected"]


async def test_stopped_goods_cannot_be_shipped(caller: Caller) -> None:
    await caller.control("/outbound", {"connection": "wms", "no": "W1"})
    await hold(caller)
    shipped = await caller.http.post("/control/outbound/wms/W1/stage", json={"stage": "HANDED_OVER"})
    assert shipped.status_code == 409
    assert (await hold(caller, request_id="H2"))["result"] == "CANCELLED"


async def test_unknown_numbers_are_not_found(caller: Caller) -> None:
    assert (await hold(caller))["code"] == "NOT_FOUND"
    assert (await recall(caller))["code"] == "NOT_FOUND"
    assert (await recall(caller, "track"))["code"] == "NOT_FOUND"


async def test_request_id_belongs_to_one_request(caller: Caller) -> None:
    await caller.control("/outbound", [{"connection": "wms", "no": number} for number in ("W1", "W2")])
    await hold(caller)
    response = await caller.call("/outbound/W2/cancel", HOLD, connection="wms")
    assert (response.status_code, response.json()["code"]) == (409, "CONFLICT")


@pytest.mark.parametrize(
    ("stage", "behaviour", "voided", "recalled"),
    [
        ("label_printed", "recall_ok", "VOIDED", "REJECTED"),
        ("label_printed", "refuse", "REJECTED", "REJECTED"),
        ("in_transit", "recall_ok", "REJECTED", "ACCEPTED"),
        ("in_transit", "refuse", "REJECTED", "REJECTED"),
        ("delivered", "recall_ok", "REJECTED", "REJECTED"),
    ],
)
async def test_void_before_pick_up_recall_after_it(
    caller: Caller, stage: str, behaviour: str, voided: str, recalled: str
) -> None:
    await caller.control("/waybills", {"connection": "sf", "no": "SF1", "stage": stage, "behaviour": behaviour})
    assert (await recall(caller, "void", request_id="V1"))["result"] == voided
    assert (await recall(caller, "recall/query"))["code"] == "NOT_FOUND"
    assert (await recall(caller))["result"] == recalled


@pytest.mark.parametrize(
    ("behaviour", "events", "result", "stage"),
    [
        ("recall_ok", ["parcel.moved", "recall.returning"], "RETURNING", "returning"),
        ("recall_fails", ["recall.failed"], "FAILED", "in_transit"),
        ("delivered_first", ["parcel.moved", "recall.delivered"], "DELIVERED", "delivered"),
    ],
)
async def test_recall_is_decided_later(
    caller: Caller, receiver: Receiver, behaviour: str, events: list[str], result: str, stage: str
) -> None:
    await caller.control("/waybills", {"connection": "sf", "no": "SF1", "behaviour": behaviour})
    assert (await recall(caller))["result"] == "ACCEPTED"
    await receiver.wait_for(len(events))
    assert sorted(receiver.types()) == events
    answer = await recall(caller, "recall/query")
    assert (answer["result"], answer["stage"]) == (result, stage)
    assert bool(answer["return_waybill_no"]) == (result == "RETURNING")


async def test_parcel_comes_all_the_way_back(caller: Caller, receiver: Receiver) -> None:
    waybill = {"connection": "sf", "no": "SF1", "delay_s": 1, "return_after_s": 1}
    await caller.control("/waybills", {**waybill, "events": [{"stage": "handed_over", "place": "杭州"}]})
    await recall(caller)
    await receiver.wait_for(4)
    assert (await recall(caller, "recall/query"))["result"] == "RETURNED"
    track = (await caller.call("/waybills/SF1/track", {}, connection="sf")).json()
    assert [event["stage"] for event in track["events"]] == ["handed_over", "returning", "returned"]
    assert track["return_waybill_no"].startswith("RT")


async def test_scan_that_the_carrier_keeps_to_itself(caller: Caller, receiver: Receiver) -> None:
    fed_at = "2026-01-01T00:00:00+00:00"
    await caller.control("/waybills", {"connection": "sf", "no": "SF1", "fed_at": fed_at})
    await caller.control("/waybills/sf/SF1/events", {"stage": "delivered", "is_told": False})
    track = (await caller.call("/waybills/SF1/track", {}, connection="sf")).json()
    assert track["fed_at"] == fed_at
    assert (await caller.control("/waybills/sf/SF1/fed_at", {"fed_at": None})) == {"fed_at": None}
    wrong = await caller.http.post("/control/waybills/sf/SF1/events", json={"stage": "lost_in_space"})
    assert wrong.status_code == 400
    assert receiver.events == []


@pytest.mark.parametrize(
    ("behaviour", "first", "final"),
    [
        ("cancel", "DONE", "DONE"),
        ("reject", "REJECTED", "REJECTED"),
        ("pending_then_cancel", "PENDING", "DONE"),
        ("pending_then_reject", "PENDING", "REJECTED"),
        ("silent", "PENDING", "PENDING"),
    ],
)
async def test_shop(caller: Caller, behaviour: str, first: str, final: str) -> None:
    await caller.control("/shop_orders", {"connection": "shop", "order_id": "O1", "behaviour": behaviour})
    body = {"request_id": "C1", "quantities": {"L1": 2}, "reason": "CHANGED_MIND"}
    answer = await caller.call("/orders/O1/cancel", body, connection="shop")
    assert answer.json() == {"request_id": "C1", "result": first}
    await caller.control("/callbacks/hurry")
    asked = await caller.call("/orders/O1/cancel/query", body, connection="shop")
    assert asked.json()["result"] == final
    other = {**body, "quantities": {"L1": 1}}
    assert (await caller.call("/orders/O1/cancel", other, connection="shop")).status_code == 409
    for quantities in ({}, {"L1": 0}, {"L1": True}, []):
        wrong = {**body, "request_id": "C2", "quantities": quantities}
        assert (await caller.call("/orders/O1/cancel", wrong, connection="shop")).status_code == 400


async def test_messages_are_sent_once_and_kept_without_the_address(caller: Caller) -> None:
    body = {
        "message_id": "M1",
        "audience": "buyer",
        "channel": "sms",
        "address": "13800001234",
        "template": "refunded",
        "text": "款项已退回",
        "params": {"amount": 100},
    }
    first = (await caller.call("/messages", body, connection="sms")).json()
    assert first["result"] == "SENT"
    assert (await caller.call("/messages", body, connection="sms")).json() == first
    await caller.control("/connections/sms", {"message_result": "FAILED"})
    failed = await caller.call("/messages", {**body, "message_id": "M2"}, connection="sms")
    assert failed.json()["result"] == "FAILED"
    ledger = await caller.ledger(connection="sms")
    assert [message["message_id"] for message in ledger["messages"]] == ["M1", "M2"]
    assert "13800001234" not in str(ledger)
    assert (await caller.call("/messages", {**body, "params": []}, connection="sms")).status_code == 400
