"""RULES, "People and rights": records that are kept and forgotten, and what is known of a buyer."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.flow.test_situations import assert_nothing_broken
from tests.flow.test_stories import parcel_moves
from tests.world import World, line, shipment
from unwind.flow.erasure import erase_due
from unwind.flow.lookup import index_people


async def found(world: World, phone: str = "13800001234") -> list[str]:
    body = await world.ok("POST", "/api/v1/desk/lookups", role="agent", json={"q": phone, "by": "phone"})
    return [order["order_id"] for order in body["orders"]]


@pytest.mark.rule("people.records")
async def test_records_a_request_to_erase_restricts_at_once_and_destroys_the_key_on_its_day(world: World) -> None:
    """RULES: records are kept three years; a request to erase restricts at once and destroys the key on the retention date."""
    order_id = await world.order()
    case_id = (await world.cancel(order_id, text="我不想要了，地址也写错了"))["case_id"]
    await world.run(until="archived", case_id=case_id)
    assert await found(world) == [order_id]
    before = await world.dossier(case_id)
    assert (before["buyer"]["phone"], bool(before["words"])) == ("138****1234", True)
    asked = await world.ok("POST", f"/api/v1/orders/{order_id}/erasure")
    closed_at = (await world.sql("SELECT closed_at FROM cases WHERE case_id = %s", case_id))[0]["closed_at"]
    day = datetime.fromisoformat(asked["erase_at"])
    assert day.replace(year=day.year - 3) == closed_at
    assert day.date().isoformat() in asked["answer"]["zh"]
    assert await found(world) == []
    after = await world.dossier(case_id)
    assert (after["buyer"]["phone"], after["words"], after["buyer"]["is_restricted"]) == ("", "", True)
    again = await world.ok("POST", f"/api/v1/orders/{order_id}/erasure")
    assert again == asked, "the same answer"
    assert await erase_due(world.services) is False
    assert await world.sql("SELECT order_id FROM order_keys") == [{"order_id": order_id}], "not before its day"
    await world.pass_time(timedelta(days=3 * 366))
    await erase_due(world.services)
    for name in ("order_keys", "private_data", "blind_index"):
        assert await world.sql(f"SELECT order_id FROM {name}") == [], name
    await assert_nothing_broken(world)


async def test_records_a_look_up_by_number_shows_no_telephone_of_whoever_asked_to_be_forgotten(world: World) -> None:
    order_id = await world.order()
    await world.ok("POST", f"/api/v1/orders/{order_id}/erasure")
    body = await world.ok("POST", "/api/v1/desk/lookups", role="agent", json={"q": order_id, "by": "order"})
    assert [(order["order_id"], order["phone"]) for order in body["orders"]] == [(order_id, "")]


async def test_records_who_asks_to_be_forgotten_at_this_moment_is_not_indexed_anew(world: World) -> None:
    order_id = await world.order()
    await world.sql("UPDATE blind_index SET at = NULL")
    async with await psycopg.AsyncConnection.connect(world.owner_url) as asking:
        await asking.execute("SELECT FROM orders WHERE order_id = %s FOR UPDATE", (order_id,))
        await asking.execute(
            "INSERT INTO erasures (order_id, asked_by, asked_at, erase_at) VALUES (%s, 'x', now(), now())", (order_id,)
        )
        await asking.execute("DELETE FROM blind_index")
        indexing = asyncio.ensure_future(index_people(world.services))
        await asyncio.sleep(0.3)
        await asking.commit()
        await indexing
    assert await world.sql("SELECT kind FROM blind_index") == []


@pytest.mark.rule("people.records")
async def test_records_an_open_case_still_tells_the_buyer_and_is_finished_first(world: World) -> None:
    order_id = await world.order(risk="suspected")
    case_id = (await world.cancel(order_id, channel="hotline"))["case_id"]
    await world.ok("POST", f"/api/v1/orders/{order_id}/erasure")
    await world.pass_time(timedelta(days=4 * 366))
    await erase_due(world.services)
    assert await world.sql("SELECT order_id FROM order_keys") == [{"order_id": order_id}], "open: its end comes first"
    await world.decide(case_id, "decline", reason_code="x")
    await world.run(until="archived", case_id=case_id)
    sent = {(m["template"], m["result"]) for m in (await world.ledger())["messages"]}
    assert ("declined", "SENT") in sent, "the answer reached them"
    asked = await world.ok("POST", f"/api/v1/orders/{order_id}/erasure")
    [ended] = await world.sql("SELECT closed_at + interval '3 years' AS day FROM cases")
    assert datetime.fromisoformat(asked["erase_at"]) == ended["day"], "the day counts from the end of the last case"
    await erase_due(world.services)
    assert await world.sql("SELECT order_id FROM order_keys") == [{"order_id": order_id}], "kept for three years now"
    await world.pass_time(timedelta(days=3 * 366))
    await erase_due(world.services)
    assert await world.sql("SELECT order_id FROM order_keys") == []


async def test_records_a_case_that_ends_at_once_after_the_request_moves_the_day_too(world: World) -> None:
    """Nobody archives it apart, so the day is worked out again when it comes."""
    order_id = await world.order(paid=False)
    await world.ok("POST", f"/api/v1/orders/{order_id}/erasure")
    await world.pass_time(timedelta(days=2 * 366))
    await world.cancel(order_id)
    await world.pass_time(timedelta(days=2 * 366))
    await erase_due(world.services)
    assert await world.sql("SELECT order_id FROM order_keys") == [{"order_id": order_id}]
    asked = await world.ok("POST", f"/api/v1/orders/{order_id}/erasure")
    [ended] = await world.sql("SELECT closed_at + interval '3 years' AS day FROM cases")
    assert datetime.fromisoformat(asked["erase_at"]) == ended["day"]
    await world.pass_time(timedelta(days=2 * 366))
    await erase_due(world.services)
    assert await world.sql("SELECT order_id FROM order_keys") == []


async def test_records_after_the_key_is_destroyed_no_other_is_made(world: World) -> None:
    order_id = await world.order(lines=[line("L1"), line("L2")])
    case_id = (await world.cancel(order_id, lines={"L1": 1}))["case_id"]
    await world.run(until="archived", case_id=case_id)
    await world.ok("POST", f"/api/v1/orders/{order_id}/erasure")
    await world.pass_time(timedelta(days=4 * 366))
    await erase_due(world.services)
    asked = {"order_id": order_id, "text": "我是欧阳金丝雀,不要了"}
    refused = await world.call("POST", "/api/v1/cancellations", json=asked)
    assert (refused.status_code, refused.json()["code"]) == (409, "records_erased")
    from tests.world import order_body

    body = {**order_body(order_id, now=await world.now(), lines=[line("L1"), line("L2")]), "revision": 2}
    await world.ok("PUT", f"/api/v1/orders/{order_id}", json=body)
    for name in ("order_keys", "private_data", "blind_index"):
        assert await world.sql(f"SELECT order_id FROM {name}") == [], name
    assert (await world.cancel(order_id))["case_id"], "without words it is taken as ever"


async def test_records_what_the_shop_sends_again_is_not_kept_again(world: World) -> None:
    order_id = await world.order()
    await world.ok("POST", f"/api/v1/orders/{order_id}/erasure")
    from tests.world import order_body

    body = {**order_body(order_id, now=await world.now()), "revision": 2}
    await world.ok("PUT", f"/api/v1/orders/{order_id}", json=body)
    assert await found(world) == []


async def cancelled(world: World, reason: str = "CHANGED_MIND", **given: Any) -> str:
    case_id = str((await world.cancel(await world.order(**given), reason=reason))["case_id"])
    await world.run(until="archived", case_id=case_id)
    return case_id


@pytest.mark.rule("people.abuse")
async def test_abuse_facts_are_counted_and_what_was_not_the_buyers_fault_never_is(world: World) -> None:
    """RULES: facts, not adjectives; cases at the merchant's fault never count; the buyer is not shamed."""
    for reason in ("CHANGED_MIND", "CHANGED_MIND", "SHIPPING_TOO_SLOW", "NOT_AS_DESCRIBED", "OUT_OF_STOCK"):
        last = await cancelled(world, reason)
    await world.ok("PUT", "/api/v1/stock", role="admin", json=[{"sku": "BAG", "pool": "limited", "available": 9}])
    for _ in range(3):
        last = await cancelled(world, paid=False, lines=[line(sku="BAG", pool="limited")])
    await cancelled(world, buyer_ref="somebody-else")
    buyer = (await world.dossier(last))["buyer"]
    assert buyer["record"] == {
        "paid_orders_30": 5,
        "paid_cancelled_30": 2,
        "paid_orders_90": 5,
        "paid_cancelled_90": 2,
        "unpaid_limited": 3,
        "refusals": 0,
        "recalls": 0,
        "other_buyers_same_phone": 1,
    }
    assert buyer["effects"] == ["review", "tell_shop"]
    told = await world.sql("SELECT fact, params FROM messages WHERE audience = 'buyer'")
    assert not any(word in str(told) for word in ("abuse", "恶意", "review")), "nobody is shamed"
    seen_by_buyer = await world.ok("GET", f"/api/v1/cancellations/{last}")
    assert "record" not in str(seen_by_buyer)


@pytest.mark.rule("people.abuse")
async def test_what_is_found_to_be_the_merchants_fault_no_longer_counts(world: World) -> None:
    """A reason that was put into the buyer's mouth, and a parcel that was only called shipped."""
    last, false_dispatch, said = [await cancelled(world, "CHANGED_MIND") for _ in range(3)]

    async def counted() -> int:
        return int((await world.dossier(last))["buyer"]["record"]["paid_cancelled_30"])

    assert await counted() == 3
    await world.sql("UPDATE cases SET fault = 'merchant' WHERE case_id = %s", false_dispatch)
    await world.sql("UPDATE cases SET true_reason = 'MERCHANT_ASKED' WHERE case_id = %s", said)
    assert await counted() == 1


@pytest.mark.rule("people.abuse")
async def test_abuse_recalls_and_refusals_count_and_old_orders_do_not(world: World) -> None:
    for n in range(3):
        order_id = await world.order(shipments=[shipment(f"S{n}")])
        await world.ask_sandbox(
            "waybills", {"connection": "sf", "no": f"W-S{n}", "order_no": order_id, "behaviour": "refuse"}
        )
        case_id = str((await world.cancel(order_id, reason="CHANGED_MIND"))["case_id"])
        await world.decide(case_id, "recall")
        await world.run()
        await parcel_moves(world, order_id, f"S{n}", "refused")
    buyer = (await world.dossier(case_id))["buyer"]
    assert (buyer["record"]["recalls"], buyer["record"]["refusals"], buyer["effects"]) == (3, 3, ["prepaid_recall"])
    await world.pass_time(timedelta(days=91))
    buyer = (await world.dossier(case_id))["buyer"]
    assert (buyer["record"]["recalls"], buyer["record"]["paid_orders_90"], buyer["effects"]) == (0, 0, [])


@pytest.mark.rule("people.facts_decline")
@pytest.mark.parametrize("stage", ["none", "packed"])
async def test_abuse_figures_alone_never_decline(world: World, stage: str) -> None:
    answer = await world.cancel(await world.order(risk="suspected", released_stage=stage))
    assert (answer["outcome"], answer["rule"]) == ("in_review", "abuse_suspected")


@pytest.mark.rule("people.second_contact")
async def test_any_second_contact_raises_the_case_and_a_third_is_among_the_most_urgent(world: World) -> None:
    """RULES: any second contact raises the case ("third call")."""
    order_id = await world.order(shipments=[shipment("S1")])
    other = (await world.cancel(await world.order(shipments=[shipment("S2")], risk="suspected")))["case_id"]
    case_id = (await world.cancel(order_id, channel="app", text="我不想要了"))["case_id"]
    seen = [(await world.dossier(case_id))["priority"]]
    for channel in ("hotline", "chat"):
        again = await world.cancel(order_id, channel=channel, text="怎么还没人处理")
        assert again["case_id"] == case_id
        seen.append((await world.dossier(case_id))["priority"])
    assert seen[0] < seen[1] < seen[2]
    assert seen[2] >= 90
    queue = (await world.ok("GET", "/api/v1/desk/cases", role="agent"))["cases"]
    assert [c["case_id"] for c in queue] == [case_id, other]
    assert queue[0]["contacts"] == 3
