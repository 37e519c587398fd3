"""What a person may decide: shown before, bound to what was seen, with its costs; and what is refused."""

from datetime import timedelta
from typing import Any

import pytest

from tests.flow.test_situations import assert_nothing_broken, case_row, finish_return, told, units
from tests.flow.test_stories import ask, click, events_of, parcel_moves
from tests.world import World, line, payment, shipment
from unwind.doctor import examine


async def in_review(world: World, **given: Any) -> tuple[str, str]:
    """A parcel on its way, and somebody who wants to cancel."""
    order_id = await world.order(**{"shipments": [shipment("S1")], **given})
    await world.ask_sandbox("waybills", {"connection": "sf", "no": "W-S1", "order_no": order_id})
    case_id = str((await world.cancel(order_id))["case_id"])
    await world.run()
    return order_id, case_id


async def everything(world: World) -> list[dict[str, Any]]:
    """A digest over every row that a decision could touch."""
    names = "cases case_parts case_lines case_events legs refunds payments orders order_lines shipment_lines stock_moves case_costs"
    rows = []
    for name in [*names.split(), "questions", "messages", "tasks", "open_lines"]:
        rows += await world.sql(
            f"SELECT '{name}' AS name, count(*) AS n, md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) AS digest FROM {name} t"
        )
    return rows


async def test_a_preview_shows_the_plan_that_is_then_executed_and_changes_nothing(world: World) -> None:
    lines = [line(price=3000, quantity=2)]
    given = {
        "lines": lines,
        "shipments": [shipment("S1", quantities={"L1": 2})],
        "payments": [
            payment("O1", 4000),
            payment("O1", 2000, connection="alipay", method="alipay"),
        ],
    }
    _, case_id = await in_review(world, **given)
    before = await everything(world)
    shown = await ask(world, case_id, "decisions/preview", choice="recall", refund_on="goods_back")
    assert await everything(world) == before, "a preview writes nothing"
    [part] = shown["parts"]
    assert [(p["method"], p["amount_minor"]) for p in part["refund"]["payments"]] == [
        ("alipay", 2000),
        ("wechat", 4000),
    ]
    assert [leg["kind"] for leg in part["legs"]][:2] == ["recall_parcel", "receive_return"]
    assert (shown["needs_consent"], shown["needs_second"], shown["default_bearer"]) == (False, [], "merchant")
    assert shown["tells"] == ["refund_on_its_way", "refund_done"]
    assert (await world.decide(case_id, "recall", refund_on="goods_back")).status_code == 200
    rows = await world.sql("SELECT kind, target, amount_minor FROM legs WHERE case_id = %s ORDER BY leg_no", case_id)
    assert [dict(row) for row in rows] == part["legs"], "the plan shown is the plan executed"


@pytest.mark.parametrize("choice", ["recall", "decline", "keep", "hand_on", "refuse_at_door"])
async def test_every_choice_can_be_looked_at_first(world: World, choice: str) -> None:
    _, case_id = await in_review(world)
    before = await everything(world)
    shown = await ask(world, case_id, "decisions/preview", choice=choice)
    assert shown["tells"]
    assert await everything(world) == before


@pytest.mark.parametrize(
    ("choice", "code"),
    [("return", "nothing_to_send_back"), ("retry", "nothing_to_retry"), ("answer", "only_for_questions")],
)
async def test_what_the_goods_do_not_allow_is_refused_in_the_preview_too(world: World, choice: str, code: str) -> None:
    _, case_id = await in_review(world)
    shown = await world.call(
        "POST", f"/api/v1/desk/cases/{case_id}/decisions/preview", role="agent", json={"choice": choice}
    )
    assert (shown.status_code, shown.json()["code"]) == (409, code)


async def test_fall_through_from_recall_to_the_door_to_a_return(world: World) -> None:
    """The carrier refuses; the buyer is asked to refuse at the door; it is delivered all the same; it is sent back."""
    order_id = await world.order(shipments=[shipment("S1")])
    await world.ask_sandbox("waybills", {"connection": "sf", "no": "W-S1", "order_no": order_id, "behaviour": "refuse"})
    case_id = str((await world.cancel(order_id))["case_id"])
    await world.run()
    await world.decide(case_id, "recall")
    await world.run()
    assert (await case_row(world, case_id))["rule"] == "recall_failed"
    shown = await ask(world, case_id, "decisions/preview", choice="refuse_at_door")
    assert shown["parts"][0]["refund_on"] == "goods_back", "the money waits for the goods"
    assert (await world.decide(case_id, "refuse_at_door")).status_code == 200
    await world.run()
    assert "refuse_at_door:1" in await told(world, case_id)
    recalls = (await world.ok("GET", "/api/v1/desk/recalls", role="agent"))["recalls"]
    assert [(r["kind"], r["waybill_no"], r["state"]) for r in recalls] == [("receive_return", "W-S1", "task")]
    assert await world.refunds(order_id) == []
    await parcel_moves(world, order_id, "S1", "delivered")
    [leg] = [leg for leg in (await world.dossier(case_id))["parts"][0]["legs"] if leg["state"] == "task"]
    await ask(world, case_id, f"legs/{leg['leg_no']}/outcome", outcome="refused", reference="call-8")
    await world.run()
    assert (await case_row(world, case_id))["state"] == "review"
    assert (await world.decide(case_id, "return")).status_code == 200
    await world.run()
    assert "send_back:1" in await told(world, case_id)
    await finish_return(world, case_id)
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]
    assert await units(world, order_id) == {"restocked": 1}
    await assert_nothing_broken(world)


async def test_a_delivered_parcel_is_sent_back_and_inspected_before_the_money_returns(world: World) -> None:
    order_id = await world.order(lines=[line(quantity=2)], shipments=[shipment("S1", quantities={"L1": 2})])
    await world.ask_sandbox("waybills", {"connection": "sf", "no": "W-S1", "order_no": order_id})
    case_id = str((await world.cancel(order_id))["case_id"])
    await parcel_moves(world, order_id, "S1", "delivered", quantities={"L1": 2})
    await world.run()
    assert (await world.decide(case_id, "return")).status_code == 200
    await world.run()
    assert "send_back:1" in await told(world, case_id)
    assert await world.refunds(order_id) == []
    await finish_return(world, case_id, scrap={"L1": 1})
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [2000]
    assert await units(world, order_id) == {"restocked": 1, "lost": 1}
    await assert_nothing_broken(world)


@pytest.mark.rule("money.three_amounts")
async def test_a_deduction_is_never_returned_by_a_later_part(world: World) -> None:
    """Two parcels; 300 of the first is kept with consent. Taking back the second returns its own price and no cent of those 300."""
    lines = [line("L1", price=2000), line("L2", price=1000)]
    shipments = [shipment("S1", quantities={"L1": 1}), shipment("S2", quantities={"L2": 1})]
    order_id = await world.order(lines=lines, shipments=shipments)
    for no in ("W-S1", "W-S2"):
        await world.ask_sandbox("waybills", {"connection": "sf", "no": no, "order_no": order_id})
    first = str((await world.cancel(order_id, lines={"L1": 1}))["case_id"])
    cost = {"fee": "recall", "amount_minor": 300, "bearer": "buyer"}
    plan = {"choice": "recall", "costs": [cost]}
    await world.identify(order_id)
    await ask(world, first, "consents", how="recorded_call", reference="call-1", **plan)
    assert (await world.decide(first, **plan)).status_code == 202
    assert (await world.agree_as_second(first)).status_code == 200
    await finish_return(world, first)
    second = str((await world.cancel(order_id, lines={"L2": 1}))["case_id"])
    await world.decide(second, "recall")
    await finish_return(world, second)
    assert sorted(r["amount_minor"] for r in await world.refunds(order_id)) == [1000, 1700]
    await assert_nothing_broken(world)


@pytest.mark.rule("people.identity")
async def test_a_consented_deduction_that_came_to_nothing_is_the_buyers_again(world: World) -> None:
    order_id = await world.order(shipments=[shipment("S1")])
    await world.ask_sandbox("waybills", {"connection": "sf", "no": "W-S1", "order_no": order_id, "behaviour": "refuse"})
    case_id = str((await world.cancel(order_id))["case_id"])
    plan = {"choice": "recall", "costs": [{"fee": "recall", "amount_minor": 300, "bearer": "buyer"}]}
    unchecked = await world.call(
        "POST", f"/api/v1/desk/cases/{case_id}/consents", role="agent", json={"how": "chat", "reference": "m-1", **plan}
    )
    assert (unchecked.status_code, unchecked.json()["code"]) == (403, "identity_required")
    await world.identify(order_id)
    await ask(world, case_id, "consents", how="chat", reference="m-1", **plan)
    await world.decide(case_id, **plan)
    await world.agree_as_second(case_id)
    await world.run()
    assert (await case_row(world, case_id))["rule"] == "recall_failed"
    assert await world.sql("SELECT kept_minor FROM orders WHERE order_id = %s", order_id) == [{"kept_minor": 0}]
    assert (await world.dossier(case_id))["costs"] == [], "a cost that was never caused is not owed"
    assert (await world.decide(case_id, "refuse_at_door")).status_code == 200
    await finish_return(world, case_id)
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]
    await assert_nothing_broken(world)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (
            {"choice": "recall", "costs": [{"fee": "recall", "amount_minor": 1001, "bearer": "buyer"}]},
            "deduction_too_large",
        ),
        ({"choice": "keep", "how": "chat", "reference": "m-1"}, "nothing_to_consent"),
    ],
)
async def test_consent_is_only_asked_for_what_can_be(world: World, body: dict[str, Any], code: str) -> None:
    _, case_id = await in_review(world)
    asked = await world.call(
        "POST", f"/api/v1/desk/cases/{case_id}/consents", role="agent", json={"how": "link", **body}
    )
    assert (asked.status_code, asked.json()["code"]) == (409, code)
    assert (await world.dossier(case_id))["questions"] == []


@pytest.mark.rule("money.compensation")
async def test_compensation_is_a_leg_of_its_own_and_within_ones_limit(world: World) -> None:
    """RULES: compensation is never a refund; agents have a goodwill limit, above it four eyes."""
    order_id, case_id = await in_review(world)
    assert (await world.decide(case_id, "keep", compensation_minor=5001)).status_code == 202
    assert (await world.agree_as_second(case_id, agree=False)).status_code == 200
    assert (await world.decide(case_id, "keep", compensation_minor=5000)).status_code == 200
    await world.run()
    [task] = (await world.ok("GET", "/api/v1/desk/tasks", role="finance"))["tasks"]
    assert (task["kind"], task["amount_minor"], task["audience"]) == ("compensate", 5000, "finance")
    await world.ok("POST", f"/api/v1/desk/tasks/{task['task_id']}/result", role="finance", json={"outcome": "done"})
    await world.run(until="archived", case_id=case_id)
    assert (await case_row(world, case_id))["outcome"] == "retained"
    assert await world.refunds(order_id) == []
    assert await units(world, order_id) == {"shipped": 1}
    await assert_nothing_broken(world)


async def test_an_address_is_changed_by_the_buyers_own_answer_and_the_order_kept(world: World) -> None:
    order_id = await world.order(shipments=[shipment("S1")])
    case_id = str((await world.cancel(order_id, reason="ADDRESS_ERROR"))["case_id"])
    offer = await ask(world, case_id, "offers", offer="address_change")
    token = offer["link"].rsplit("/", 1)[1]
    bare = await world.client.post(f"/api/v1/links/{token}", json={"agree": True})
    assert (bare.status_code, bare.json()["code"]) == (422, "address_needed")
    await click(world, offer["link"], agree=True, address="杭州市西湖区文三路 1 号")
    await world.run()
    [task] = (await world.ok("GET", "/api/v1/desk/tasks", role="agent"))["tasks"]
    assert (task["kind"], task["audience"]) == ("redirect_parcel", "carrier")
    assert "文三路" not in str(await world.timeline(case_id)), "an address is never in the history"
    await ask(world, case_id, f"legs/{1}/outcome", outcome="done", reference="sf-1")
    await world.run(until="archived", case_id=case_id)
    assert (await case_row(world, case_id))["outcome"] == "retained"
    await assert_nothing_broken(world)


@pytest.mark.rule("people.address")
async def test_another_address_by_an_agent_takes_both_checks(world: World) -> None:
    """RULES, identity: changing an address needs more than cancelling."""
    order_id, case_id = await in_review(world)
    bare = await world.decide(case_id, "redirect")
    assert (bare.status_code, bare.json()["code"]) == (422, "address_needed")
    unchecked = await world.decide(case_id, "redirect", address="杭州市西湖区文三路 1 号")
    assert (unchecked.status_code, unchecked.json()["code"]) == (403, "identity_required")
    await world.identify(order_id)
    once = await world.decide(case_id, "redirect", address="杭州市西湖区文三路 1 号")
    assert (once.status_code, once.json()["facts"]) == (403, {"level": "strong"})
    await world.call("POST", f"/api/v1/desk/orders/{order_id}/identity/code", role="agent")
    digits = "".join(ch for ch in (await world.texts(to="13800001234"))[-1] if ch.isdigit())[:6]
    await world.ok("PUT", f"/api/v1/desk/orders/{order_id}/identity/code", role="agent", json={"code": digits})
    assert (await world.decide(case_id, "redirect", address="杭州市西湖区文三路 1 号")).status_code == 200
    await world.run()
    assert "文三路" not in str(await world.timeline(case_id))
    [task] = (await world.ok("GET", "/api/v1/desk/tasks", role="agent"))["tasks"]
    assert (task["kind"], task["audience"]) == ("redirect_parcel", "carrier")


async def test_price_protection_pays_the_difference_and_keeps_the_order(world: World) -> None:
    soon = (await world.now() + timedelta(minutes=30)).isoformat()
    order_id = await world.order(planned_dispatch_at=soon, released_stage="packed")
    case_id = str((await world.cancel(order_id, reason="PRICE_DROP"))["case_id"])
    path = f"/api/v1/desk/cases/{case_id}/offers"
    much = await world.call("POST", path, role="agent", json={"offer": "price_protection", "amount_minor": 5001})
    assert (much.status_code, much.json()["code"]) == (409, "goodwill_exceeded")
    other = await world.call("POST", path, role="agent", json={"offer": "wait"})
    assert (other.status_code, other.json()["code"]) == (409, "offer_not_allowed")
    offer = await ask(world, case_id, "offers", offer="price_protection", amount_minor=300)
    await click(world, offer["link"], agree=True)
    row = await case_row(world, case_id)
    assert row["state"] == "executing"
    assert "approved" in await events_of(world, case_id)
    assert await world.refunds(order_id) == []


async def test_part_of_it_is_cancelled_because_the_buyer_chose_so(world: World) -> None:
    soon = (await world.now() + timedelta(minutes=30)).isoformat()
    lines = [line("L1", quantity=2), line("L2", price=500)]
    order_id = await world.order(lines=lines, planned_dispatch_at=soon, released_stage="packed")
    case_id = str((await world.cancel(order_id, reason="WRONG_ITEM_ORDERED"))["case_id"])
    offer = await ask(world, case_id, "offers", offer="partial_cancel", lines={"L2": 1})
    await click(world, offer["link"], agree=True)
    await world.run(until="archived", case_id=case_id)
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [500]
    assert (await case_row(world, case_id))["outcome"] == "partly_cancelled"
    await assert_nothing_broken(world)


@pytest.mark.rule("people.no_dead_end")
async def test_a_decline_names_the_ways_on_in_the_same_message(world: World) -> None:
    """RULES: a parcel in transit is never a bare no: refuse at the door or return, in the same message."""
    _, case_id = await in_review(world)
    await world.decide(case_id, "decline", reason_code="cannot_stop")
    await world.run(until="archived", case_id=case_id)
    [params] = await world.sql("SELECT params FROM messages WHERE case_id = %s AND fact = 'declined'", case_id)
    assert params["params"]["ways"] == "appeal refuse_at_door return"
    declined = next(e for e in (await world.dossier(case_id))["timeline"] if e["event"] == "declined")
    assert declined["data"]["ways"] == ["appeal", "refuse_at_door", "return"]


@pytest.mark.rule("operations.costs")
async def test_costs_known_later_are_noted_and_never_the_buyers(world: World) -> None:
    _, case_id = await in_review(world)
    cost = {"fee": "freight", "amount_minor": 800, "bearer": "carrier"}
    body = await ask(world, case_id, "costs", costs=[cost], reference="claim-1")
    assert [(c["fee"], c["amount_minor"], c["bearer"], c["reference"]) for c in body["costs"]] == [
        ("freight", 800, "carrier", "claim-1")
    ]
    mine = await world.call(
        "POST",
        f"/api/v1/desk/cases/{case_id}/costs",
        role="agent",
        json={"costs": [{**cost, "bearer": "buyer"}], "reference": "x"},
    )
    assert mine.status_code == 422


async def test_an_outcome_by_hand_names_its_proof_and_touches_no_money(world: World) -> None:
    order_id, case_id = await in_review(world)
    await world.decide(case_id, "recall", refund_on="goods_back")
    await world.run()
    legs = {leg["kind"]: leg for leg in (await world.dossier(case_id))["parts"][0]["legs"]}
    path = f"/api/v1/desk/cases/{case_id}/legs/{legs['refund']['leg_no']}/outcome"
    refused = await world.call("POST", path, role="agent", json={"outcome": "done", "reference": "r"})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_by_hand")
    nameless = await world.call("POST", path, role="agent", json={"outcome": "done"})
    assert nameless.status_code == 422
    assert await world.refunds(order_id) == []
    gone = await world.call(
        "POST",
        f"/api/v1/desk/cases/{case_id}/legs/99/outcome",
        role="agent",
        json={"outcome": "done", "reference": "r"},
    )
    assert (gone.status_code, gone.json()["code"]) == (409, "nothing_to_note")


# attachments --------------------------------------------------------------------------------------------------------


async def attach(world: World, case_id: str, content: bytes, *, role: str = "integrator") -> Any:
    return await world.call("POST", f"/api/v1/cancellations/{case_id}/attachments", role=role, content=content)


async def test_a_photo_is_kept_encrypted_without_the_place_it_was_taken(world: World) -> None:
    order_id, case_id = await in_review(world)
    exif = b"Exif\x00\x00GPS-BEIJING"
    photo = (
        b"\xff\xd8\xff\xe1"
        + (len(exif) + 2).to_bytes(2, "big")
        + exif
        + b"\xff\xdb\x00\x04ab\xff\xda\x00\x02scan\xff\xd9"
    )
    stored = await attach(world, case_id, photo)
    assert stored.status_code == 201, stored.text
    assert stored.json()["media_type"] == "image/jpeg"
    [row] = await world.sql("SELECT ciphertext FROM attachments WHERE case_id = %s", case_id)
    assert b"scan" not in bytes(row["ciphertext"])
    name = stored.json()["attachment_id"]
    opened = await world.call("GET", f"/api/v1/cancellations/{case_id}/attachments/{name}", role="agent")
    assert opened.content == b"\xff\xd8\xff\xdb\x00\x04ab\xff\xda\x00\x02scan\xff\xd9"
    assert opened.headers["content-disposition"] == "attachment"
    assert opened.headers["x-content-type-options"] == "nosniff"
    other_order, other_case = await in_review(world, order_id="O77", shipments=[shipment("S77")])
    assert other_order != order_id
    wrong = await world.call("GET", f"/api/v1/cancellations/{other_case}/attachments/{name}", role="agent")
    assert wrong.status_code == 404
    await world.sql("DELETE FROM order_keys WHERE order_id = %s", order_id)
    gone = await world.call("GET", f"/api/v1/cancellations/{case_id}/attachments/{name}", role="agent")
    assert gone.status_code == 404, "with the key the photo is gone"


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 413, "attachment_too_large"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", 422, "attachment_type"),
        (b"MZ\x90\x00", 422, "attachment_type"),
        (b"\xff\xd8\xff only the beginning", 422, "attachment_type"),
        (b"%PDF-1.7 without an end", 422, "attachment_type"),
        (b"\xff\xd8\xff" + b"0" * (5 * 1024 * 1024) + b"\xff\xd9", 413, "body_too_large"),
    ],
)
async def test_what_nobody_should_open_is_not_kept(world: World, content: bytes, status: int, code: str) -> None:
    _, case_id = await in_review(world)
    refused = await attach(world, case_id, content)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert await world.sql("SELECT FROM attachments") == []


async def test_no_more_than_ten_attachments(world: World) -> None:
    _, case_id = await in_review(world)
    pdf = b"%PDF-1.7\n...\n%%EOF\n"
    for _ in range(10):
        assert (await attach(world, case_id, pdf)).status_code == 201
    last = await attach(world, case_id, pdf)
    assert (last.status_code, last.json()["code"]) == (409, "too_many_attachments")


async def test_a_stale_decision_is_told_what_has_happened_since(world: World) -> None:
    order_id, case_id = await in_review(world)
    seen = await world.dossier(case_id)
    await ask(world, case_id, "claim")
    await ask(
        world, case_id, "costs", costs=[{"fee": "freight", "amount_minor": 1, "bearer": "carrier"}], reference="r"
    )
    await world.cancel(order_id, channel="hotline", text="还没处理吗")
    body = {"choice": "recall", "case_version": seen["version"], "order_version": seen["order"]["version"]}
    late = await world.call("POST", f"/api/v1/desk/cases/{case_id}/decisions", role="agent", json=body)
    assert (late.status_code, late.json()["code"]) == (409, "stale")
    assert late.json()["facts"]["changed"] == "cost_noted,contacted_again", "a claim is beside the point"


# tasks by link ------------------------------------------------------------------------------------------------------


async def open_task(world: World, case_id: str) -> dict[str, Any]:
    rows = (await world.ok("GET", "/api/v1/desk/tasks", role="agent"))["tasks"]
    return next(row for row in rows if row["case_id"] == case_id)


async def test_a_task_is_answered_by_link_with_what_proves_it(world: World) -> None:
    await world.put_merchant("shop", warehouse="manual")
    order_id = await world.order(released_stage="picking")
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    task = await open_task(world, case_id)
    assert (task["kind"], task["audience"]) == ("hold_shipment", "warehouse")
    made = await world.ok("POST", f"/api/v1/desk/tasks/{task['task_id']}/link", role="agent")
    path = f"/api/v1/links/{made['link'].rsplit('/', 1)[1]}"
    shown = (await world.client.get(path)).json()
    assert (shown["kind"], shown["subject"], shown["is_open"]) == ("task", {"leg": "hold_shipment"}, True)
    assert "13800001234" not in str(shown)
    bare = await world.client.post(path, json={"agree": True})
    assert (bare.status_code, bare.json()["code"]) == (422, "evidence_needed")
    done = await world.client.post(path, json={"agree": True, "reference": "shelf-7"})
    assert (done.status_code, done.json()["state"]) == (200, "done")
    twice = await world.client.post(path, json={"agree": False})
    assert (twice.status_code, twice.json()["code"]) == (409, "task_answered")
    await world.run(until="archived", case_id=case_id)
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]
    [row] = (await world.dossier(case_id))["tasks"]
    assert (row["answered_by"], row["evidence"]["reference"]) == ("warehouse:link-1", "shelf-7")
    async with world.services.database.survey() as conn:
        assert await examine(conn, world.services.vault) == [], (
            "the warehouse's own books know nothing of a hold by hand"
        )


async def test_a_task_refused_by_link_goes_to_a_person_and_moves_no_money(world: World) -> None:
    await world.put_merchant("shop", warehouse="manual")
    order_id = await world.order(released_stage="picking")
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    task = await open_task(world, case_id)
    made = await world.ok("POST", f"/api/v1/desk/tasks/{task['task_id']}/link", role="agent")
    refused = await world.client.post(f"/api/v1/links/{made['link'].rsplit('/', 1)[1]}", json={"agree": False})
    assert refused.json()["state"] == "refused"
    await world.run()
    row = await case_row(world, case_id)
    assert (row["state"], row["rule"]) == ("review", "hold_refused")
    assert await world.refunds(order_id) == []


async def test_a_task_that_moves_money_has_no_link(world: World) -> None:
    _, case_id = await in_review(world)
    await world.decide(case_id, "keep", compensation_minor=100)
    await world.run()
    task = (await world.ok("GET", "/api/v1/desk/tasks", role="finance"))["tasks"][0]
    refused = await world.call("POST", f"/api/v1/desk/tasks/{task['task_id']}/link", role="agent")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_by_link")
