"""Finding the order: every way, nothing more than may be said, limited and logged."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.world import World, shipment
from unwind.flow.lookup import TURNS_MAX, By, index_people, ways_of


async def look(world: World, q: str, *, role: str = "agent", **given: Any) -> dict[str, Any]:
    return await world.ok("POST", "/api/v1/desk/lookups", role=role, json={"q": q, **given})


def ids(found: dict[str, Any]) -> list[str]:
    return [order["order_id"] for order in found["orders"]]


async def test_an_order_is_found_in_every_way(world: World) -> None:
    order_id = await world.order(
        risk="suspected",
        shipments=[shipment(quantities={"L1": 1})],
        buyer={"name": "王小明", "phone": "+86 139-1111-2222"},
    )
    other = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    for q, by in (
        (order_id, "order"),
        (case_id.lower(), "case"),
        ("W-S1", "waybill"),
        ("008613911112222", "phone"),
        ("王小明", "name"),
    ):
        found = await look(world, q)
        assert (found["by"], ids(found)) == (by, [order_id]), q
        assert ids(await look(world, q, by=by)) == [order_id]
    found = await look(world, "2222", merchant_id="shop")
    assert (found["by"], ids(found)) == ("tail", [order_id])
    assert ids(await look(world, "1234", merchant_id="shop")) == [other]
    [hit] = (await look(world, order_id))["orders"]
    assert [case["case_id"] for case in hit["open_cases"]] == [case_id]
    assert hit["phone"] == "139****2222"
    assert hit["parcels"][0]["stage"] == "in_transit"
    assert ids(await look(world, "nothing-like-it")) == []


@pytest.mark.rule("people.identity")
async def test_before_the_check_neither_goods_nor_money_nor_names_are_told(world: World) -> None:
    order_id = await world.order()
    answer = await world.call("POST", "/api/v1/desk/lookups", role="agent", json={"q": order_id})
    for secret in ("双肩背包", "SKU-L1", "13800001234", "测试买家", "1000", "wechat"):
        assert secret not in answer.text, secret


async def test_a_tail_is_looked_up_within_one_merchant_and_its_recent_orders(world: World) -> None:
    await world.put_merchant("other")
    mine = await world.order()
    theirs = await world.order(merchant_id="other")
    old = await world.order(placed_at=((await world.now()) - timedelta(days=91)).isoformat())
    refused = await world.call("POST", "/api/v1/desk/lookups", role="agent", json={"q": "1234"})
    assert (refused.status_code, refused.json()["code"]) == (422, "merchant_needed")
    assert ids(await look(world, "1234", merchant_id="shop")) == [mine]
    assert ids(await look(world, "1234", merchant_id="other")) == [theirs]
    assert set(ids(await look(world, "13800001234"))) == {mine, theirs, old}
    [elsewhere] = await world.hire("elsewhere", merchant_id="other")
    assert ids(await look(world, "1234", role=elsewhere)) == [theirs]
    assert ids(await look(world, "13800001234", role=elsewhere)) == [theirs]
    assert ids(await look(world, mine, role=elsewhere)) == []
    foreign = await world.call(
        "POST", "/api/v1/desk/lookups", role=elsewhere, json={"q": "1234", "merchant_id": "shop"}
    )
    assert foreign.status_code == 404


async def test_an_order_number_is_found_by_its_end_within_one_merchant(world: World) -> None:
    await world.put_merchant("other")
    mine = await world.order(order_id="2026112400123456")
    await world.order(order_id="2026112499123456", merchant_id="other")
    assert ids(await look(world, "123456", merchant_id="shop")) == [mine]
    assert ids(await look(world, "123456", by="order_tail", merchant_id="shop")) == [mine]
    assert ids(await look(world, "123456")) == [], "without a merchant a whole number only"
    refused = await world.call("POST", "/api/v1/desk/lookups", role="agent", json={"q": "123456", "by": "order_tail"})
    assert refused.json()["code"] == "merchant_needed"
    await world.pass_time(timedelta(days=91))
    assert ids(await look(world, "123456", merchant_id="shop")) == []


async def test_lookups_are_limited_and_logged_without_what_was_looked_for(world: World) -> None:
    await world.order()
    for _ in range(TURNS_MAX[By.TAIL]):
        await look(world, "1234", merchant_id="shop")
    refused = await world.call("POST", "/api/v1/desk/lookups", role="agent", json={"q": "1234", "merchant_id": "shop"})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert ids(await look(world, "1234", role="lead", merchant_id="shop")), "counted for each principal"
    await world.pass_time(timedelta(minutes=10))
    await look(world, "1234", merchant_id="shop")
    rows = await world.sql("SELECT * FROM lookups ORDER BY lookup_id")
    assert len(rows) == TURNS_MAX[By.TAIL] + 2
    assert {(row["principal_id"], row["kind"], row["hits"]) for row in rows} == {
        ("test-agent", "tail", 1),
        ("test-lead", "tail", 1),
    }
    for table in ("lookups", "attempts"):
        assert "1234" not in str([list(row.values()) for row in await world.sql(f"SELECT * FROM {table}")])
    for forbidden in ("DELETE FROM lookups", "UPDATE lookups SET hits = 0", "TRUNCATE lookups"):
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            await world.sql(forbidden)


async def test_only_those_who_handle_contacts_look_up(world: World) -> None:
    await world.order()
    for role in ("warehouse", "auditor", "finance", "integrator"):
        assert (await world.call("POST", "/api/v1/desk/lookups", role=role, json={"q": "O1"})).status_code == 403
    token = (await world.ok("POST", "/api/v1/orders/O1/buyer-token"))["token"]
    assert (await world.call("POST", "/api/v1/desk/lookups", role=token, json={"q": "O1"})).status_code == 403


async def test_a_number_that_changed_hands_finds_nothing_any_more(world: World) -> None:
    order_id = await world.order()
    body = {"revision": 2, "buyer": {"phone": "13922223333"}}
    [row] = await world.sql("SELECT placed_at FROM orders")
    from tests.world import order_body

    sent = order_body(order_id, now=row["placed_at"] + timedelta(minutes=5), **body)
    await world.ok("PUT", f"/api/v1/orders/{order_id}", json=sent)
    assert ids(await look(world, "13922223333")) == [order_id]
    assert ids(await look(world, "3333", merchant_id="shop")) == [order_id]
    assert ids(await look(world, "13800001234")) == []
    assert ids(await look(world, "1234", merchant_id="shop")) == []


@pytest.mark.rule("people.gifts")
async def test_gifts_are_not_found_by_whoever_receives_them(world: World) -> None:
    order_id = await world.order(recipient={"name": "李四", "phone": "13777778888"})
    for q in ("13777778888", "李四"):
        assert ids(await look(world, q)) == []
    assert ids(await look(world, "8888", merchant_id="shop")) == []
    assert ids(await look(world, "13800001234")) == [order_id]


async def test_a_lookup_that_lands_on_a_case_is_a_contact_once_per_call(world: World) -> None:
    order_id = await world.order(risk="suspected")
    case_id = (await world.cancel(order_id))["case_id"]
    for n, ref in enumerate(("call-1", "call-1", "call-2", "call-2"), start=1):
        found = await look(world, order_id, contact_ref=ref)
        assert found["landed_on"] == case_id, n
    await look(world, order_id)
    [row] = await world.sql("SELECT contacts, priority FROM cases")
    assert (row["contacts"], row["priority"] >= 90) == (3, True), "the third call"


async def test_orders_of_the_version_before_are_indexed_by_and_by(world: World) -> None:
    order_id = await world.order()
    await world.sql("DELETE FROM blind_index WHERE kind LIKE 'tail:%%'")
    await world.sql("UPDATE blind_index SET at = NULL, digest = decode('00', 'hex') WHERE kind = 'phone'")
    assert ids(await look(world, "13800001234")) == []
    while await index_people(world.services):
        pass
    assert ids(await look(world, "13800001234")) == [order_id]
    assert ids(await look(world, "1234", merchant_id="shop")) == [order_id]
    [left] = await world.sql("SELECT count(*) AS n FROM blind_index")
    assert left["n"] == 3


async def test_what_cannot_be_opened_any_more_keeps_nobody_waiting(world: World) -> None:
    lost, kept = await world.order(), await world.order()
    await world.sql("UPDATE order_keys SET wrapped_key = %s WHERE order_id = %s", b"x" * 60, lost)
    await world.sql("UPDATE blind_index SET at = NULL")
    while await index_people(world.services):
        pass
    rows = await world.sql("SELECT DISTINCT order_id FROM blind_index")
    assert [row["order_id"] for row in rows] == [kept]


@pytest.mark.parametrize(
    ("text", "ways"),
    [
        ("UW261124-ABCDEFGHJK", (By.CASE,)),
        ("1234", (By.TAIL,)),
        ("13800001234", (By.PHONE, By.ORDER, By.WAYBILL)),
        ("王小明", (By.NAME,)),
        ("SF1234567890123", (By.ORDER, By.WAYBILL)),
        ("123456", (By.ORDER, By.WAYBILL, By.ORDER_TAIL)),
    ],
)
def test_a_text_is_what_it_looks_like(text: str, ways: tuple[By, ...]) -> None:
    assert ways_of(text) == ways
