"""A shift of the warehouse lead, over HTTP: thirty stops, twenty returns, five refused holds; and the tableware story with and without a system."""

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.flow.test_bench_scans import labelled, manual_hold, scan
from tests.flow.test_parcels_back import come_back, inspect, photo
from tests.flow.test_situations import assert_nothing_broken, case_row, told, units
from tests.flow.test_stories import parcel_moves
from tests.world import World, line, shipment

SKUS = ("CUP", "BOWL", "PAN")
LOCATIONS = ("east", "west")
POOLS = ("normal", "limited")
Shelf = tuple[str, str, str]


async def stock_now(world: World) -> Counter[Shelf]:
    rows = await world.sql("SELECT sku, location, pool, available FROM stock")
    return Counter({(r["sku"], r["location"], r["pool"]): r["available"] for r in rows if r["available"]})


async def where_units_are(world: World) -> Counter[str]:
    """The books' own sums, bucket by bucket."""
    buckets = ("reserved", "held", "shipped", "recalled", "quarantine", "restocked", "lost", "delivered")
    [row] = await world.sql(f"SELECT {', '.join(f'sum({b})::int AS {b}' for b in buckets)} FROM order_lines")
    return Counter({bucket: row[bucket] for bucket in buckets if row[bucket]})


async def run_until_archived(world: World, case_ids: list[str]) -> None:
    for case_id in case_ids:
        await world.run(until="archived", case_id=case_id)


async def fill_shelves(world: World) -> Counter[Shelf]:
    shelves = [(sku, place, pool) for sku in SKUS for place in LOCATIONS for pool in POOLS]
    rows = [{"sku": s, "location": at, "pool": p, "available": 100} for s, at, p in shelves]
    await world.ok("PUT", "/api/v1/stock", role="admin", json=rows)
    return Counter(dict.fromkeys(shelves, 100))


async def bench(world: World, expected: Counter[Shelf]) -> tuple[list[str], list[str]]:
    """Thirty cancelled orders in three waves, scanned as the list says; three of them were faster. (stopped, gone)."""
    small = {"merchant_id": "small", "wms": None}
    orders: dict[str, tuple[str, Shelf]] = {}
    for n in range(30):
        shelf = (SKUS[n % 3], LOCATIONS[n % 2], POOLS[n % 5 == 0])
        given: dict[str, Any] = labelled(f"S{n}") if n < 3 else {"released_stage": "picking"}
        lines = [line(sku=shelf[0], location=shelf[1], pool=shelf[2])]
        order_id = await world.order(lines=lines, wave=f"W{n % 3}", **small, **given)
        expected[shelf] -= 1
        orders[order_id] = ((await world.cancel(order_id))["case_id"], shelf)
    await world.run()
    for n, order_id in enumerate(list(orders)[:3]):
        await parcel_moves(world, order_id, f"S{n}", "in_transit", waybill_no=f"W-S{n}")
    stops = (await world.ok("GET", "/api/v1/warehouse/stops", role="warehouse"))["stops"]
    assert len(stops) == 30
    assert [(s["wave"], s["location"]) for s in stops] == sorted((s["wave"], s["location"]) for s in stops)
    assert sum(s["verdict"] == "too_late" for s in stops) == 3
    said = Counter[tuple[str, str]]()
    for stop in stops:
        answer = await scan(world, stop["codes"][0])
        said[answer["verdict"], answer["effect"]] += 1
        if answer["verdict"] == "stop":
            expected[orders[stop["order_id"]][1]] += 1
    assert said == {("stop", "hold_accepted"): 27, ("too_late", "hold_refused"): 3}
    gone = [case_id for case_id, _ in list(orders.values())[:3]]
    return [case_id for case_id, _ in orders.values() if case_id not in gone], gone


async def back_office(world: World, expected: Counter[Shelf], lost: Counter[str]) -> list[str]:
    """Twenty parcels come back and are inspected, each with its own result. Returns their cases."""
    dice = random.Random(20)
    case_ids = []
    for n in range(20):
        sku, place, pool = dice.choice(SKUS), dice.choice(LOCATIONS), dice.choice(POOLS)
        parcel = shipment(f"R{n}", quantities={"L1": 3, "L2": 1})
        order_id = await world.order(
            lines=[
                line("L1", sku=sku, location=place, pool=pool, quantity=3),
                line("L2", sku="CUP", location="east", price=500),
            ],
            shipments=[parcel],
        )
        expected[sku, place, pool] -= 3
        expected["CUP", "east", "normal"] -= 1
        await world.ask_sandbox(
            "waybills",
            {"connection": "sf", "no": f"W-R{n}", "order_no": order_id, "behaviour": "recall_ok", "delay_s": 10**6},
        )
        case_id = (await world.cancel(order_id))["case_id"]
        case_ids.append(case_id)
        await world.run()
        decided = await world.decide(case_id, "recall", refund_on="goods_back")
        assert decided.status_code == 200, decided.text
        await world.run()
        answer = await come_back(world, f"W-R{n}" if n % 2 else order_id)
        assert answer["effect"] == "taken_in"
        result = Counter(dice.choice(("good", "good", "second", "scrap", "short")) for _ in range(3))
        photos = [await photo(world, answer["return"]["return_id"])] if set(result) != {"good"} else []
        inspected = await inspect(
            world,
            answer["return"]["return_id"],
            {"line_id": "L1", **result},
            {"line_id": "L2", "good": 1},
            photos=photos,
        )
        assert inspected.status_code == 200, inspected.text
        expected[sku, place, pool] += result["good"]
        expected[sku, place, "second"] += result["second"]
        expected["CUP", "east", "normal"] += 1
        lost["scrap"] += result["scrap"]
        lost["short"] += result["short"]
    return case_ids


@pytest.mark.rule("goods.bench")
async def test_a_shift(world: World) -> None:
    expected, lost = await fill_shelves(world), Counter[str]()
    await world.put_merchant("small", warehouse="manual", hold_timeout_s=3600)
    stopped, gone = await bench(world, expected)
    await run_until_archived(world, stopped)
    for case_id in gone:
        await world.run(until="review", case_id=case_id)
        assert (await case_row(world, case_id))["rule"] == "hold_refused"
        assert (await world.decide(case_id, "recall")).status_code == 200
    await world.run()
    recalls = await world.sql("SELECT case_id FROM legs WHERE kind = 'recall_parcel' AND case_id = ANY(%s)", gone)
    assert {row["case_id"] for row in recalls} == set(gone), "each is a person's recall now"

    back = await back_office(world, expected, lost)
    await run_until_archived(world, back)

    refused = []
    for reason in ("already_packed_elsewhere", "handed_over", "not_found", "damaged", "other"):
        sku = SKUS[len(refused) % 3]
        order_id, case_id = await manual_hold(world, lines=[line(sku=sku, location="west")])
        expected[sku, "west", "normal"] -= 1
        body = {"outcome": "refuse", "reason": reason}
        await world.ok("POST", f"/api/v1/warehouse/holds/{case_id}/1", role="warehouse", json=body)
        await world.run(until="review", case_id=case_id)
        assert await world.refunds(order_id) == []
        refused.append(case_id)

    assert await stock_now(world) == +expected, "by SKU, place and pool, counted by this test on its own"
    assert await where_units_are(world) == {
        "reserved": 5,
        "shipped": 3,
        "restocked": 27 + 80 - lost.total(),
        "lost": lost.total(),
    }
    shorts = await world.sql("SELECT coalesce(sum(amount_minor), 0)::int AS n FROM case_costs WHERE bearer = 'carrier'")
    assert shorts == [{"n": lost["short"] * 1000}]
    assert lost["scrap"] > 0
    assert lost["short"] > 0
    assert (await world.ok("GET", "/api/v1/warehouse/returns", role="warehouse"))["returns"] == []
    listed = (await world.ok("GET", "/api/v1/warehouse/stops", role="warehouse"))["stops"]
    assert {stop["case_id"] for stop in listed} == set(gone)
    assert len(await world.sql("SELECT FROM scans")) == 30 + 20
    await assert_nothing_broken(world)


async def to_eight_in_the_evening(world: World) -> None:
    """20:00 in the shop's own time; it opens at 09:00."""
    now: datetime = (await world.now()).astimezone(ZoneInfo("Asia/Shanghai"))
    evening = now.replace(hour=20, minute=0, second=0, microsecond=0)
    await world.pass_time((evening if evening > now else evening + timedelta(days=1)) - now)


@pytest.mark.rule("goods.bench")
@pytest.mark.parametrize("warehouse", ["wms", "manual"])
@pytest.mark.parametrize("released", ["none", "released"])
async def test_the_tableware_with_a_system_and_with_nothing_but_this_interface(
    world: World, warehouse: str, released: str
) -> None:
    """Paid at 20:00, the shop is closed, packing not begun: money back within three minutes, nothing leaves in the morning."""
    await world.put_merchant("tableware", warehouse=warehouse, hours=[[540, 1260]], hold_timeout_s=180)
    await to_eight_in_the_evening(world)
    soon = (await world.now() + timedelta(hours=14)).isoformat()
    row = [{"sku": "PLATES", "location": "east", "available": 3}]
    await world.ok("PUT", "/api/v1/stock", role="admin", json=row)
    order_id = await world.order(
        merchant_id="tableware",
        lines=[line(price=29_900, sku="PLATES", location="east", title="餐具套装")],
        released_stage=released,
        planned_dispatch_at=soon,
        wave="MORNING",
        **({"wms": None} if warehouse == "manual" else {}),
    )
    opened = await world.now()
    answer = await world.cancel(order_id, reason="CHANGED_MIND")
    case_id = answer["case_id"]
    assert answer["outcome"] == "cancelling"
    await world.run()
    if warehouse == "manual" and released == "released":
        assert await world.refunds(order_id) == []
        [stop] = (await world.ok("GET", "/api/v1/warehouse/stops", role="warehouse"))["stops"]
        assert (stop["order_id"], stop["wave"], stop["lines"]) == (order_id, "MORNING", [["PLATES", 1]])
        assert (await scan(world, order_id))["effect"] == "hold_accepted"
    await world.run(until="archived", case_id=case_id)
    assert (await case_row(world, case_id))["closed_at"] - opened < timedelta(minutes=3)
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [29_900]
    assert await units(world, order_id) == {"restocked": 1}
    assert await stock_now(world) == {("PLATES", "east", "normal"): 3}
    assert "refund_done:1" in await told(world, case_id)
    morning = await scan(world, order_id, "pack")
    assert morning["verdict"] == "stop", "whoever packs in the morning is told"
    await assert_nothing_broken(world)
