"""The stop at the packing bench, over HTTP: every answer, what follows from it, and what a device that was offline may say."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.flow.test_situations import assert_nothing_broken, case_row, units
from tests.flow.test_stories import events_of, parcel_moves
from tests.world import World, shipment
from unwind.doctor import examine

LEG = "SELECT leg_no, state, code, evidence FROM legs WHERE case_id = %s AND kind = %s"


async def scan(world: World, code: str, kind: str = "stop", *, role: str = "warehouse", **given: Any) -> dict[str, Any]:
    body = {"code": code, "kind": kind, "event_id": f"{kind}-{code}-{(await world.now()).timestamp()}", **given}
    return await world.ok("POST", "/api/v1/warehouse/scans", role=role, json=body)


async def manual_hold(world: World, **given: Any) -> tuple[str, str]:
    """A cancelled order of a shop without a warehouse system; its hold waits for somebody's word. Returns (order, case)."""
    await world.put_merchant("small", warehouse="manual", hold_timeout_s=3600)
    order_id = await world.order(merchant_id="small", wms=None, **{"released_stage": "picking", **given})
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    return order_id, case_id


def labelled(parcel: str) -> dict[str, Any]:
    return {"released_stage": "packed", "shipments": [shipment(parcel, stage="label_printed", picked_up=False)]}


@pytest.mark.rule("goods.bench")
async def test_a_stop_scan_is_the_warehouses_word(world: World) -> None:
    order_id, case_id = await manual_hold(world)
    answer = await scan(world, order_id)
    assert (answer["verdict"], answer["effect"]) == ("stop", "hold_accepted")
    assert answer["text"] == {"zh": "已取消 勿发", "en": "Cancelled: do not ship"}
    [leg] = await world.sql(LEG, case_id, "hold_shipment")
    assert (leg["state"], leg["evidence"]["by"]) == ("succeeded", "warehouse:test-warehouse")
    assert "scan" in leg["evidence"]
    assert await world.sql("SELECT state, answered_by FROM tasks") == [
        {"state": "done", "answered_by": "warehouse:test-warehouse"}
    ]
    await world.run(until="archived", case_id=case_id)
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]
    assert await units(world, order_id) == {"restocked": 1}
    again = await scan(world, order_id)
    assert (again["verdict"], again["effect"]) == ("stop", "none"), "an archived case still says: do not ship"
    assert (await case_row(world, case_id))["state"] == "archived"
    await assert_nothing_broken(world)


async def test_what_nobody_cancelled_ships_and_is_noted_as_handed_over(world: World) -> None:
    order_id = await world.order(**labelled("S-go"))
    for kind, effect in (("stop", "none"), ("pack", "none"), ("dispatch", "dispatched")):
        answer = await scan(world, "W-S-go", kind)
        assert (answer["verdict"], answer["effect"]) == ("ship_it", effect)
    rows = await world.sql("SELECT handed_over_at IS NOT NULL AS is_out, picked_up_at FROM shipments")
    assert rows == [{"is_out": True, "picked_up_at": None}], "the carrier's own scan is another thing"
    assert await units(world, order_id) == {"reserved": 1}
    assert await world.sql("SELECT count(*) AS n FROM scans") == [{"n": 3}]
    with pytest.raises(Exception, match="append-only"):
        await world.sql("DELETE FROM scans")


async def test_a_stopped_parcel_does_not_leave_by_the_dock_and_somebody_hears_of_it(world: World) -> None:
    _, case_id = await manual_hold(world, **labelled("S-held"))
    answer = await scan(world, "W-S-held", "dispatch")
    assert (answer["verdict"], answer["effect"]) == ("stop", "alerted")
    [leg] = await world.sql(LEG, case_id, "hold_shipment")
    assert leg["state"] == "task", "the dock does not accept the hold"
    assert await world.sql("SELECT kind, code, case_id FROM alerts") == [
        {"kind": "stopped_parcel_at_dispatch", "code": "small", "case_id": case_id}
    ]
    assert "parcel_scanned" in await events_of(world, case_id)
    assert await world.sql("SELECT handed_over_at FROM shipments") == [{"handed_over_at": None}]
    packing = await scan(world, "W-S-held", "pack")
    assert (packing["verdict"], packing["effect"]) == ("stop", "none")
    assert packing["orders"][0]["holds"] == [{"case_id": case_id, "leg_no": leg["leg_no"]}]


async def test_too_late_the_part_becomes_a_recall_for_a_person(world: World) -> None:
    order_id, case_id = await manual_hold(world, **labelled("S-gone"))
    await parcel_moves(world, order_id, "S-gone", "in_transit")
    accept = await world.call(
        "POST", f"/api/v1/warehouse/holds/{case_id}/1", role="warehouse", json={"outcome": "accept"}
    )
    assert (accept.status_code, accept.json()["code"]) == (409, "already_left")
    answer = await scan(world, "W-S-gone")
    assert (answer["verdict"], answer["effect"]) == ("too_late", "hold_refused")
    await world.run(until="review", case_id=case_id)
    assert (await case_row(world, case_id))["rule"] == "hold_refused"
    assert await world.refunds(order_id) == []
    assert await units(world, order_id) == {"shipped": 1}, "not lost sight of"
    assert (await world.decide(case_id, "recall")).status_code == 200
    await world.run()
    assert [leg["state"] for leg in await world.sql(LEG, case_id, "recall_parcel")] != []
    assert (await scan(world, "W-S-gone"))["verdict"] == "too_late"
    await assert_nothing_broken(world)


async def test_the_same_event_is_the_same_answer_and_another_code_is_refused(world: World) -> None:
    order_id, case_id = await manual_hold(world)
    first = await scan(world, order_id, event_id="e-1")
    again = await scan(world, order_id, event_id="e-1")
    assert (first["is_replay"], again["is_replay"]) == (False, True)
    assert {**first, "is_replay": True} == again
    other = await world.call(
        "POST", "/api/v1/warehouse/scans", role="warehouse", json={"code": "X", "kind": "stop", "event_id": "e-1"}
    )
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert await world.sql("SELECT count(*) AS n FROM scans") == [{"n": 1}]
    assert (await events_of(world, case_id)).count("leg_recorded") == 1


async def test_the_same_event_at_the_same_moment_counts_once(world: World) -> None:
    order_id, case_id = await manual_hold(world)
    answers = await asyncio.gather(*(scan(world, order_id, event_id="e-1") for _ in range(6)))
    assert {answer["verdict"] for answer in answers} == {"stop"}
    assert sorted(answer["is_replay"] for answer in answers) == [False] + [True] * 5
    assert await world.sql("SELECT count(*) AS n FROM scans") == [{"n": 1}]
    assert (await events_of(world, case_id)).count("leg_recorded") == 1


async def test_codes(world: World) -> None:
    """Order, waybill, outbound number, pick label; nonsense is refused, an unknown one said to be so and kept as a digest."""
    order_id = await world.order(pick_label="TOTE-7", wave="W1", **labelled("S-x"))
    for code in (order_id, "W-S-x", "S-x", "TOTE-7"):
        assert [o["order_id"] for o in (await scan(world, code))["orders"]] == [order_id]
    assert (await scan(world, "13800001234", event_id="e"))["verdict"] == "unknown"
    kept = await world.sql("SELECT row_to_json(s)::text AS text FROM scans s")
    assert not any("13800001234" in row["text"] for row in kept)
    for code in ("", "a" * 65, "x y", "'; DROP", None, 7):
        body = {"code": code, "kind": "stop", "event_id": "e"}
        assert (await world.call("POST", "/api/v1/warehouse/scans", role="warehouse", json=body)).status_code == 422
    body = {"code": "x", "kind": "eat", "event_id": "e"}
    assert (await world.call("POST", "/api/v1/warehouse/scans", role="warehouse", json=body)).status_code == 422


async def test_another_merchants_parcel_is_as_unknown_as_none(world: World) -> None:
    await manual_hold(world, **labelled("S-theirs"))
    [own] = await world.hire("bench", role="warehouse", merchant_id="shop")
    for code in ("W-S-theirs", "nothing"):
        body = {"code": code, "kind": "stop", "event_id": f"e-{code}"}
        answer = await world.call("POST", "/api/v1/warehouse/scans", role=own, json=body)
        assert (answer.status_code, answer.json()["facts"]) == (404, {"verdict": "unknown"})
    assert await world.sql("SELECT FROM scans") == []
    assert [leg["state"] for leg in await world.sql("SELECT state FROM legs WHERE kind = 'hold_shipment'")] == ["task"]
    assert (await world.ok("GET", "/api/v1/warehouse/stops", role=own))["stops"] == []


# offline ------------------------------------------------------------------------------------------------------------


async def test_a_scan_of_before_the_case_says_nothing_about_it(world: World) -> None:
    order_id, case_id = await manual_hold(world)
    before = (await world.now() - timedelta(minutes=10)).isoformat()
    answer = await scan(world, order_id, scanned_at=before)
    assert (answer["verdict"], answer["effect"]) == ("stop", "none")
    assert [leg["state"] for leg in await world.sql(LEG, case_id, "hold_shipment")] == ["task"]


async def test_an_offline_stop_counts_until_the_carrier_says_something_later(world: World) -> None:
    order_id, _ = await manual_hold(world, **labelled("S-late"))
    await world.pass_time(timedelta(minutes=20))
    scanned_at = (await world.now() - timedelta(minutes=10)).isoformat()
    await parcel_moves(world, order_id, "S-late", "in_transit")
    answer = await scan(world, "W-S-late", scanned_at=scanned_at, shown="stop")
    assert (answer["verdict"], answer["effect"]) == ("too_late", "hold_refused")

    other, case_id = await manual_hold(world, **labelled("S-here"))
    await world.ask_sandbox(
        "waybills", {"connection": "sf", "no": "W-S-here", "order_no": other, "stage": "label_printed"}
    )
    await world.pass_time(timedelta(minutes=20))
    scanned_at = (await world.now() - timedelta(minutes=10)).isoformat()
    assert (await scan(world, "W-S-here", scanned_at=scanned_at, shown="stop"))["effect"] == "hold_accepted"
    await world.run(until="archived", case_id=case_id)
    await assert_nothing_broken(world)


async def test_an_offline_dispatch_that_should_not_have_been_is_a_recall(world: World) -> None:
    """The list on the device was old: the parcel has left, the hold is refused, and somebody hears of it."""
    order_id, case_id = await manual_hold(world, **labelled("S-slip"))
    await world.pass_time(timedelta(minutes=20))
    scanned_at = (await world.now() - timedelta(minutes=10)).isoformat()
    answer = await scan(world, "W-S-slip", "dispatch", scanned_at=scanned_at, shown="ship_it")
    assert (answer["verdict"], answer["effect"]) == ("too_late", "hold_refused")
    await world.run(until="review", case_id=case_id)
    assert await world.refunds(order_id) == []
    assert [a["kind"] for a in await world.sql("SELECT kind FROM alerts")] == ["stopped_parcel_at_dispatch"]


@pytest.mark.parametrize(
    ("off", "code"), [(timedelta(minutes=6), "scan_from_the_future"), (-timedelta(days=7, minutes=1), "scan_too_old")]
)
async def test_no_honest_clock_says_that(world: World, off: timedelta, code: str) -> None:
    body = {
        "code": await world.order(),
        "kind": "stop",
        "event_id": "e",
        "scanned_at": (await world.now() + off).isoformat(),
    }
    answer = await world.call("POST", "/api/v1/warehouse/scans", role="warehouse", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


# holds and the list -------------------------------------------------------------------------------------------------


@pytest.mark.rule("goods.bench")
@pytest.mark.parametrize("reason", ["already_packed_elsewhere", "handed_over", "not_found", "damaged"])
async def test_a_refused_hold_goes_to_a_person(world: World, reason: str) -> None:
    order_id, case_id = await manual_hold(world)
    path = f"/api/v1/warehouse/holds/{case_id}/1"
    bare = await world.call("POST", path, role="warehouse", json={"outcome": "refuse"})
    assert bare.status_code == 422
    await world.ok("POST", path, role="warehouse", json={"outcome": "refuse", "reason": reason})
    await world.run(until="review", case_id=case_id)
    assert (await case_row(world, case_id))["rule"] == "hold_refused"
    handed = [e for e in (await world.dossier(case_id))["timeline"] if e["event"] == "needs_person"]
    assert handed[-1]["data"]["code"] == f"refused:{reason}"
    assert await world.refunds(order_id) == []
    again = await world.call("POST", path, role="warehouse", json={"outcome": "accept"})
    assert (again.status_code, again.json()["code"]) == (409, "nothing_to_note")
    await assert_nothing_broken(world)


async def test_a_word_beside_a_warehouse_system_that_is_silent(world: World) -> None:
    order_id = await world.order(released_stage="picking", wms={"behaviour": "silent"})
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    assert (await scan(world, order_id))["effect"] == "hold_accepted"
    await world.run(until="archived", case_id=case_id)
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]
    async with world.services.database.survey() as conn:
        assert await examine(conn, world.services.vault) == []


async def test_a_hold_that_the_system_has_not_been_told_of_is_left_to_it(world: World) -> None:
    order_id = await world.order(released_stage="picking")
    case_id = (await world.cancel(order_id))["case_id"]
    answer = await scan(world, order_id)
    assert (answer["verdict"], answer["effect"]) == ("stop", "none")
    await world.run(until="archived", case_id=case_id)
    assert [o["state"] for o in (await world.ledger())["outbound"]] == ["CANCELLED"]


async def test_the_stop_list_is_whole_in_order_and_has_a_version(world: World) -> None:
    soon = [(await world.now() + timedelta(hours=h)).isoformat() for h in (5, 4, 3)]
    _, first = await manual_hold(world, wave="W2", planned_dispatch_at=soon[2])
    _, second = await manual_hold(world, wave="W1", planned_dispatch_at=soon[0])
    gone, third = await manual_hold(world, wave="W1", planned_dispatch_at=soon[1], **labelled("S-3"))
    await parcel_moves(world, gone, "S-3", "in_transit")
    path = "/api/v1/warehouse/stops"
    listed = await world.call("GET", path, role="warehouse")
    body = listed.json()
    assert [(s["case_id"], s["verdict"]) for s in body["stops"]] == [
        (third, "too_late"),
        (second, "stop"),
        (first, "stop"),
    ]
    assert body["stops"][0]["codes"] == ["W-S-3", "S-3"]
    assert (body["is_complete"], body["stops"][1]["lines"]) == (True, [["SKU-L1", 1]])
    same = await world.call("GET", path, role="warehouse", headers={"If-None-Match": listed.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    wave = await world.ok("GET", path, role="warehouse", params={"wave": "W2"})
    assert [s["case_id"] for s in wave["stops"]] == [first]
    await scan(world, body["stops"][1]["order_id"])
    changed = await world.call("GET", path, role="warehouse", headers={"If-None-Match": listed.headers["etag"]})
    assert changed.status_code == 200
    held = next(s for s in changed.json()["stops"] if s["case_id"] == second)
    assert held["is_stopped"], "accepted, and still in the house"
    await world.run(until="archived", case_id=second)
    assert second not in [s["case_id"] for s in (await world.ok("GET", path, role="warehouse"))["stops"]]


async def test_a_label_that_the_carrier_cannot_void_is_a_task_answered_by_a_scan(world: World) -> None:
    parcel = {**shipment("S-l", stage="handed_over", picked_up=False), "carrier": "unconnected"}
    order_id, case_id = await manual_hold(world, released_stage="packed", shipments=[parcel])
    assert (await scan(world, "W-S-l"))["effect"] == "hold_accepted"
    await world.run()
    assert await world.refunds(order_id) == [], "a label that is still good could ship"
    [leg] = await world.sql(LEG, case_id, "void_waybill")
    path = f"/api/v1/warehouse/holds/{case_id}/{leg['leg_no']}"
    bare = await world.call("POST", path, role="warehouse", json={"outcome": "accept"})
    assert (bare.status_code, bare.json()["code"]) == (422, "evidence_needed")
    answer = await scan(world, "W-S-l")
    assert (answer["verdict"], answer["effect"]) == ("stop", "label_voided")
    await world.run(until="archived", case_id=case_id)
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]
    await assert_nothing_broken(world)
