"""Returned parcels over HTTP: scanned, inspected, and put where they belong; exact by SKU, place and pool."""

import asyncio
from typing import Any

import pytest

from tests.flow.test_bench_scans import scan
from tests.flow.test_situations import assert_nothing_broken, case_row, units
from tests.flow.test_stories import events_of
from tests.world import World, line, shipment

PHOTO = b"\x89PNG\r\n\x1a\n" + bytes(8) + b"IEND\xaeB`\x82"
POOLS = "SELECT pool, available FROM stock WHERE sku = %s ORDER BY pool"


async def recalled(world: World, parcel: str = "S1", *, behaviour: str = "recall_ok", **given: Any) -> tuple[str, str]:
    """A parcel on the road whose recall a person has decided. Returns (order, case)."""
    lines = given.pop("lines", None) or [line(quantity=4, sku="BAG", pool="limited")]
    quantities = {ln["line_id"]: ln["quantity"] for ln in lines}
    order_id = await world.order(lines=lines, shipments=[shipment(parcel, quantities=quantities)], **given)
    await world.ask_sandbox(
        "waybills",
        {"connection": "sf", "no": f"W-{parcel}", "order_no": order_id, "behaviour": behaviour, "delay_s": 10**6},
    )
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    decided = await world.decide(case_id, "recall", refund_on="goods_back")
    assert decided.status_code == 200, decided.text
    await world.run()
    return order_id, case_id


async def come_back(world: World, code: str, *, role: str = "warehouse", **given: Any) -> dict[str, Any]:
    body = {"code": code, "event_id": f"back-{code}-{(await world.now()).timestamp()}", **given}
    return await world.ok("POST", "/api/v1/warehouse/returns/scan", role=role, json=body)


async def photo(world: World, return_id: str) -> str:
    path = f"/api/v1/warehouse/returns/{return_id}/attachments"
    stored = await world.ok("POST", path, role="warehouse", content=PHOTO)
    return str(stored["attachment_id"])


async def inspect(world: World, return_id: str, *lines: dict[str, Any], photos: list[str] | None = None) -> Any:
    path = f"/api/v1/warehouse/returns/{return_id}/inspection"
    return await world.call("POST", path, role="warehouse", json={"lines": list(lines), "photos": photos or []})


async def shelve(world: World, **pools: int) -> None:
    rows = [{"sku": "BAG", "pool": pool, "available": units} for pool, units in pools.items()]
    await world.ok("PUT", "/api/v1/stock", role="admin", json=rows)


async def pools_of(world: World, sku: str = "BAG") -> dict[str, int]:
    return {row["pool"]: row["available"] for row in await world.sql(POOLS, sku)}


@pytest.mark.rule("goods.returns")
async def test_what_came_back_goes_where_it_belongs(world: World) -> None:
    """The recall is not confirmed yet: the parcel itself proves it. Good, second, scrap and short each go their own way."""
    await shelve(world, limited=10, normal=5)
    order_id, case_id = await recalled(world)
    assert await units(world, order_id) == {"shipped": 4}
    answer = await come_back(world, "W-S1")
    assert (answer["verdict"], answer["effect"], answer["return"]["state"]) == ("take_in", "taken_in", "scanned")
    assert await units(world, order_id) == {"quarantine": 4}
    [recall] = await world.sql("SELECT state, code FROM legs WHERE kind = 'recall_parcel'")
    assert (recall["state"], recall["code"]) == ("succeeded", "arrived")
    await world.run()
    assert await world.refunds(order_id) == [], "not inspected yet"
    assert await pools_of(world) == {"limited": 6, "normal": 5}
    return_id = answer["return"]["return_id"]
    [open_row] = (await world.ok("GET", "/api/v1/warehouse/returns", role="warehouse"))["returns"]
    assert open_row["awaited"] == [{"line_id": "L1", "sku": "BAG", "title": "双肩背包", "units": 4}]
    found = {"line_id": "L1", "good": 1, "second": 1, "scrap": 1, "short": 1}
    inspected = await inspect(world, return_id, found, photos=[await photo(world, return_id)])
    assert inspected.status_code == 200, inspected.text
    await world.run(until="archived", case_id=case_id)
    assert await units(world, order_id) == {"restocked": 2, "lost": 2}
    assert await pools_of(world) == {"limited": 7, "normal": 5, "second": 1}
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [4000]
    assert [(c["fee"], c["amount_minor"], c["bearer"]) for c in (await world.dossier(case_id))["costs"]] == [
        ("goods_loss", 1000, "carrier")
    ]
    assert await world.sql("SELECT connection, kind, code FROM alerts WHERE kind = 'carrier_claim'") == [
        {"connection": "sf", "kind": "carrier_claim", "code": f"{case_id}-K1"}
    ]
    [claim] = (await world.ok("GET", "/api/v1/finance/claims", role="finance"))["claims"]
    assert (claim["reason"], claim["amount_minor"], claim["waybill_no"]) == ("short", 1000, "W-S1")
    assert {"return_scanned", "return_inspected", "attached", "cost_noted"} <= set(await events_of(world, case_id))
    again = await inspect(world, return_id, found)
    assert (again.status_code, again.json()["state"]) == (200, "inspected")
    other = await inspect(world, return_id, {**found, "good": 2, "short": 0})
    assert (other.status_code, other.json()["code"]) == (409, "return_inspected")
    await assert_nothing_broken(world)


@pytest.mark.rule("goods.pools")
async def test_a_pool_that_has_closed_meanwhile_takes_nothing_back(world: World) -> None:
    await shelve(world, limited=10, normal=5)
    _, case_id = await recalled(world)
    row = [{"sku": "BAG", "pool": "limited", "available": 6, "is_pool_open": False}]
    await world.ok("PUT", "/api/v1/stock", role="admin", json=row)
    return_id = (await come_back(world, "W-S1"))["return"]["return_id"]
    found = {"line_id": "L1", "good": 3, "second": 1}
    await inspect(world, return_id, found, photos=[await photo(world, return_id)])
    await world.run(until="archived", case_id=case_id)
    assert await pools_of(world) == {"limited": 6, "normal": 8, "second": 1}
    await assert_nothing_broken(world)


async def test_inspections_that_are_refused_change_nothing(world: World) -> None:
    order_id, _ = await recalled(world)
    before = await world.call("POST", "/api/v1/warehouse/returns/none/inspection", role="warehouse", json={"lines": []})
    assert before.status_code == 422
    return_id = (await come_back(world, "W-S1"))["return"]["return_id"]
    for found, code in (
        ([{"line_id": "L1", "good": 3}], "inspection_does_not_add_up"),
        ([{"line_id": "L1", "good": 5}], "inspection_does_not_add_up"),
        ([{"line_id": "L9", "good": 4}], "inspection_does_not_add_up"),
        ([{"line_id": "L1", "good": 4}, {"line_id": "L2", "good": 1}], "inspection_does_not_add_up"),
        ([{"line_id": "L1", "good": 3, "second": 1}], "photo_needed"),
        ([{"line_id": "L1", "good": 3, "scrap": 1}], "photo_needed"),
        ([{"line_id": "L1", "good": 3, "short": 1}], "photo_needed"),
        ([{"line_id": "L1", "good": -1}], "invalid"),
        ([{"line_id": "L1", "good": 4}, {"line_id": "L1", "good": 4}], "invalid"),
    ):
        refused = await inspect(world, return_id, *found)
        assert (refused.status_code, refused.json()["code"]) == (422, code), found
    invented = await inspect(world, return_id, {"line_id": "L1", "good": 3, "short": 1}, photos=["nothing"])
    assert invented.json()["code"] == "photo_needed"
    assert await units(world, order_id) == {"quarantine": 4}
    assert [r["state"] for r in await world.sql("SELECT state FROM returns")] == ["scanned"]


async def test_a_photo_from_before_shows_something_else(world: World) -> None:
    _, case_id = await recalled(world)
    stored = await world.ok("POST", f"/api/v1/cancellations/{case_id}/attachments", content=PHOTO)
    return_id = (await come_back(world, "W-S1"))["return"]["return_id"]
    refused = await inspect(
        world, return_id, {"line_id": "L1", "good": 3, "scrap": 1}, photos=[stored["attachment_id"]]
    )
    assert refused.json()["code"] == "photo_needed"


async def test_a_parcel_that_comes_twice_counts_once(world: World) -> None:
    order_id, _ = await recalled(world)
    answers = await asyncio.gather(*(come_back(world, "W-S1", event_id=f"e{n}") for n in range(5)))
    assert sorted(answer["effect"] for answer in answers) == ["none"] * 4 + ["taken_in"]
    again = await scan(world, order_id, "return")
    assert (again["verdict"], again["effect"], again["return"]["times"]) == ("take_in", "none", 6)
    assert await units(world, order_id) == {"quarantine": 4}
    moved = await world.sql("SELECT sum(units) AS n FROM stock_moves WHERE target = 'quarantine'")
    assert moved == [{"n": 4}]
    replay = await come_back(world, "W-S1", event_id="e0")
    assert replay["is_replay"]


async def test_two_parcels_of_one_line_are_not_mixed_up(world: World) -> None:
    """One comes back while the other is still on its way to the buyer."""
    order_id = await world.order(
        lines=[line(quantity=2)],
        shipments=[shipment("S1", quantities={"L1": 1}), shipment("S2", quantities={"L1": 1})],
    )
    for parcel in ("S1", "S2"):
        await world.ask_sandbox(
            "waybills",
            {"connection": "sf", "no": f"W-{parcel}", "order_no": order_id, "behaviour": "recall_ok", "delay_s": 10**6},
        )
    case_id = (await world.cancel(order_id, lines={"L1": 1}))["case_id"]
    await world.run()
    assert (await world.decide(case_id, "recall", refund_on="goods_back")).status_code == 200
    await world.run()
    return_id = (await come_back(world, "W-S1"))["return"]["return_id"]
    assert await units(world, order_id) == {"shipped": 1, "quarantine": 1}
    await inspect(world, return_id, {"line_id": "L1", "good": 1})
    await world.run(until="archived", case_id=case_id)
    assert await units(world, order_id) == {"shipped": 1, "restocked": 1}
    await assert_nothing_broken(world)


@pytest.mark.rule("goods.returns")
async def test_a_return_under_its_new_waybill_number(world: World) -> None:
    order_id, _ = await recalled(world)
    await world.sql("UPDATE shipments SET return_waybill_no = 'RT-1'")
    assert (await come_back(world, "RT-1"))["effect"] == "taken_in"
    assert await units(world, order_id) == {"quarantine": 4}


async def test_a_parcel_that_nobody_awaits_is_put_on_a_list(world: World) -> None:
    order_id = await world.order(shipments=[shipment("S7")])
    case_id = (await world.cancel(order_id))["case_id"]
    for code in ("W-S7", "W-S7", "RT-UNKNOWN"):
        answer = await come_back(world, code)
        assert (answer["verdict"], answer["effect"]) == ("unexpected", "noted")
    assert await units(world, order_id) == {"shipped": 1}, "what nobody has decided on is not moved"
    rows = (await world.ok("GET", "/api/v1/warehouse/returns", role="warehouse"))["returns"]
    assert [(r["code"], r["times"], r["order_id"]) for r in rows] == [("W-S7", 2, order_id), ("RT-UNKNOWN", 1, "")]
    assert "return_scanned" in await events_of(world, case_id)
    refused = await inspect(world, rows[0]["return_id"], {"line_id": "L1", "good": 1})
    assert (refused.status_code, refused.json()["code"]) == (409, "return_unexpected")
    closing = f"/api/v1/warehouse/returns/{rows[1]['return_id']}/close"
    await world.ok("POST", closing, role="warehouse", json={"closed_as": "not_ours"})
    twice = await world.call("POST", closing, role="warehouse", json={"closed_as": "not_ours"})
    assert (twice.status_code, twice.json()["code"]) == (409, "return_closed")
    await world.ask_sandbox(
        "waybills", {"connection": "sf", "no": "W-S7", "order_no": order_id, "behaviour": "recall_ok", "delay_s": 10**6}
    )
    await world.run()
    assert (await world.decide(case_id, "recall")).status_code == 200
    await world.run()
    assert (await come_back(world, "W-S7"))["effect"] == "taken_in", "awaited after all"
    assert [r["state"] for r in await world.sql("SELECT state FROM returns ORDER BY received_at")] == [
        "closed",
        "closed",
        "scanned",
    ]
    await world.run()
    await assert_nothing_broken(world)


async def test_another_merchants_return_is_not_moved(world: World) -> None:
    order_id, _ = await recalled(world)
    await world.put_merchant("other")
    [theirs] = await world.hire("far", role="warehouse", merchant_id="other")
    answer = await come_back(world, "W-S1", role=theirs)
    assert (answer["verdict"], answer["return"]["order_id"]) == ("unexpected", "")
    assert await units(world, order_id) == {"shipped": 4}
    return_id = (await come_back(world, "W-S1"))["return"]["return_id"]
    for path, body in (
        ("inspection", {"lines": [{"line_id": "L1", "good": 4}]}),
        ("close", {"closed_as": "kept"}),
        ("attachments", {}),
    ):
        refused = await world.call("POST", f"/api/v1/warehouse/returns/{return_id}/{path}", role=theirs, json=body)
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found"), path


async def test_an_order_with_several_parcels_has_to_be_told_apart(world: World) -> None:
    second = shipment("S2", quantities={"L2": 1})
    order_id = await world.order(
        lines=[line("L1"), line("L2")],
        shipments=[shipment("S5", quantities={"L1": 1}), {**second, "waybill_no": "W-S6"}],
    )
    case_id = (await world.cancel(order_id))["case_id"]
    for no in ("W-S5", "W-S6"):
        await world.ask_sandbox(
            "waybills", {"connection": "sf", "no": no, "order_no": order_id, "behaviour": "recall_ok", "delay_s": 10**6}
        )
    await world.run()
    assert (await world.decide(case_id, "recall")).status_code == 200
    await world.run()
    body = {"code": order_id, "event_id": "e"}
    refused = await world.call("POST", "/api/v1/warehouse/returns/scan", role="warehouse", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "name_the_parcel")
    assert (await come_back(world, "W-S6"))["effect"] == "taken_in"


async def test_the_old_way_still_works_after_a_scan(world: World) -> None:
    """`scrap` of a task result, for a parcel that was scanned in before: nothing is moved twice."""
    await shelve(world, limited=10)
    order_id, case_id = await recalled(world)
    await come_back(world, "W-S1")
    await world.run()
    [task] = await world.sql("SELECT task_id FROM tasks WHERE state = 'open'")
    body = {"outcome": "done", "scrap": {"L1": 1}}
    await world.ok("POST", f"/api/v1/desk/tasks/{task['task_id']}/result", role="warehouse", json=body)
    await world.run(until="archived", case_id=case_id)
    assert await units(world, order_id) == {"restocked": 3, "lost": 1}
    assert [r["state"] for r in await world.sql("SELECT state FROM returns")] == ["inspected"]
    assert (await come_back(world, "W-S1"))["effect"] == "none", "of an archived case, and known"
    assert (await case_row(world, case_id))["state"] == "archived"
    await assert_nothing_broken(world)
