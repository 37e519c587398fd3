"""What a decision cannot do: promise what its plan does not carry, undo what is done, or speak for a buyer nobody has checked."""

from datetime import timedelta
from typing import Any

import pytest

from tests.flow.test_decisions import everything, in_review
from tests.flow.test_situations import assert_nothing_broken, case_row, finish_return
from tests.flow.test_stories import TOO_SLOW, ask, click, parcel_moves
from tests.world import World, line, shipment
from unwind.flow.strike import strike_questions

BUYER_PAYS = {"fee": "recall", "amount_minor": 300, "bearer": "buyer"}
ADDRESS = "杭州市西湖区文三路 1 号"


async def code_of(world: World, path: str, *, role: str = "agent", **body: Any) -> str:
    answer = await world.call("POST", f"/api/v1/{path}", role=role, json=body)
    assert answer.is_error, answer.text
    return str(answer.json()["code"])


# terms --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"choice": "decline", "costs": [BUYER_PAYS]}, "nothing_to_keep_from"),
        ({"choice": "keep", "costs": [BUYER_PAYS]}, "nothing_to_keep_from"),
        ({"choice": "decline", "compensation_minor": 500}, "nothing_to_compensate_with"),
        ({"choice": "hand_on", "compensation_minor": 500}, "nothing_to_compensate_with"),
    ],
)
async def test_terms_that_the_plan_could_not_carry_are_refused(world: World, body: dict[str, Any], code: str) -> None:
    _, case_id = await in_review(world)
    before = await everything(world)
    assert await code_of(world, f"desk/cases/{case_id}/decisions/preview", **body) == code
    assert (await world.decide(case_id, **body)).json()["code"] == code
    assert await everything(world) == before


@pytest.mark.parametrize("terms", [{"costs": [{**BUYER_PAYS, "bearer": "carrier"}]}, {"compensation_minor": 500}])
async def test_terms_belong_to_one_part(world: World, terms: dict[str, Any]) -> None:
    """Over two parts at once they would be written down, or paid, twice."""
    order_id = await world.order(
        lines=[line("L1"), line("L2")],
        shipments=[shipment("S1", quantities={"L1": 1}), shipment("S2", quantities={"L2": 1})],
    )
    case_id = str((await world.cancel(order_id))["case_id"])
    await world.run()
    assert (await world.decide(case_id, "recall", **terms)).json()["code"] == "name_one_part"
    assert (await world.decide(case_id, "recall", part_no=1, **terms)).status_code == 200


async def test_a_plan_that_could_go_on_is_made_anew_where_compensation_is_added(world: World) -> None:
    """The hold came through, the refund was halted: approving it with something on top sends back the money and pays the rest."""
    order_id = await world.order(released_stage="picking", wms={"behaviour": "pending_then_cancel"})
    case_id = str((await world.cancel(order_id))["case_id"])
    await world.sql("UPDATE merchants SET halted_at = now()")
    await world.run(until="review", case_id=case_id)
    assert (await case_row(world, case_id))["rule"] == "merchant_halted"
    shown = await ask(world, case_id, "decisions/preview", choice="approve", compensation_minor=500)
    assert ["compensate", "", 500] in [list(leg.values()) for leg in shown["parts"][0]["legs"]]


# what is done -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["decline", "hand_on", "keep"])
async def test_what_cannot_be_undone_is_not_declined(world: World, choice: str) -> None:
    """The label is void, the refund was halted: a no, or keeping the order, would leave the buyer with neither goods nor money."""
    order_id = await world.order(
        shipments=[shipment("S1", stage="handed_over", picked_up=False)], wms={"behaviour": "pending_then_cancel"}
    )
    label = {"connection": "sf", "no": "W-S1", "order_no": order_id, "stage": "label_printed"}
    await world.ask_sandbox("waybills", label)
    case_id = str((await world.cancel(order_id))["case_id"])
    await world.sql("UPDATE merchants SET halted_at = now()")
    await world.run(until="review", case_id=case_id)
    legs = (await world.dossier(case_id))["parts"][0]["legs"]
    assert ("void_waybill", "succeeded") in [(leg["kind"], leg["state"]) for leg in legs]
    before = await everything(world)
    answer = await world.decide(case_id, choice)
    assert (answer.status_code, answer.json()["code"]) == (409, "past_no_return")
    assert await everything(world) == before
    assert (await world.decide(case_id, "approve")).status_code == 200
    await world.run(until="archived", case_id=case_id)
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]


# a second person ----------------------------------------------------------------------------------------------------


async def test_the_newest_proposal_is_the_one_that_waits_for_a_second_person(world: World) -> None:
    order_id = await world.order(lines=[line(price=600_000)])
    case_id = str((await world.cancel(order_id))["case_id"])
    assert (await world.decide(case_id, "approve", reason_code="first")).status_code == 202
    assert (await world.decide(case_id, "approve", reason_code="second")).status_code == 202
    states = [(q["n"], q["state"]) for q in (await world.dossier(case_id))["questions"]]
    assert sorted(states) == [(1, "withdrawn"), (2, "open")]
    assert (await world.agree_as_second(case_id)).status_code == 200
    await world.run(until="archived", case_id=case_id)
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [600_000]
    await assert_nothing_broken(world)


async def test_somebody_whose_name_begins_alike_is_another_person(world: World) -> None:
    first, other = await world.hire("lead-10", "lead-1", role="lead")
    case_id = str((await world.cancel(await world.order(lines=[line(price=600_000)])))["case_id"])
    seen = await world.dossier(case_id)
    body = {"choice": "approve", "case_version": seen["version"], "order_version": seen["order"]["version"]}
    proposed = await world.call("POST", f"/api/v1/desk/cases/{case_id}/decisions", role=first, json=body)
    assert proposed.status_code == 202
    assert (await world.agree_as_second(case_id, role=first)).status_code == 403
    assert (await world.agree_as_second(case_id, role=other)).status_code == 200


async def test_why_a_case_waits_now_does_not_hide_what_the_policy_said(world: World) -> None:
    """Perishable goods past dispatch take a second person, also once the recall has failed and that is why the case waits."""
    order_id = await world.order(lines=[line(perishable=True)], shipments=[shipment("S1")])
    await world.ask_sandbox("waybills", {"connection": "sf", "no": "W-S1", "order_no": order_id, "behaviour": "refuse"})
    case_id = str((await world.cancel(order_id))["case_id"])
    assert (await world.decide(case_id, "recall")).status_code == 202
    assert (await world.agree_as_second(case_id)).status_code == 200
    await world.run()
    assert (await case_row(world, case_id))["rule"] == "recall_failed"
    shown = await ask(world, case_id, "decisions/preview", choice="refuse_at_door")
    assert shown["needs_second"] == ["outside_rules"]


# waiting ------------------------------------------------------------------------------------------------------------


async def one_waits(world: World, *, behaviour: str = "cancel") -> tuple[str, str]:
    """Two lines: one in the house, cancelled by itself, one on the road, for which the buyer agrees to wait."""
    order_id = await world.order(
        lines=[line(price=3000), line("L2", price=7000)],
        shipments=[shipment("S1", quantities={"L2": 1})],
        released_stage="picking",
        wms={"behaviour": behaviour},
    )
    case_id = str((await world.cancel(order_id, channel="hotline", text=TOO_SLOW))["case_id"])
    promised_at = (await world.now() + timedelta(hours=6)).isoformat()
    offer = await ask(world, case_id, "offers", offer="wait", promised_at=promised_at)
    await click(world, offer["link"], agree=True)
    assert (await case_row(world, case_id))["state"] == "watching"
    return order_id, case_id


async def test_what_came_as_promised_is_kept_and_the_rest_goes_on(world: World) -> None:
    order_id, case_id = await one_waits(world)
    await world.run()
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [3000]
    await parcel_moves(world, order_id, "S1", "delivered", quantities={"L2": 1})
    await world.run(until="archived", case_id=case_id)
    assert (await case_row(world, case_id))["outcome"] == "partly_cancelled"
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [3000]
    await assert_nothing_broken(world)


async def test_while_one_part_waits_another_may_need_a_person(world: World) -> None:
    order_id, case_id = await one_waits(world, behaviour="silent")
    await world.run()
    await world.pass_time(timedelta(minutes=2, seconds=1))
    await world.run(until="review", case_id=case_id)
    row = await case_row(world, case_id)
    assert (row["rule"], row["watch_for"]) == ("hold_unanswered", None)
    await world.decide(case_id, "decline", part_no=1)
    await world.decide(case_id, "recall", part_no=2)
    await world.ask_sandbox("waybills", {"connection": "sf", "no": "W-S1", "order_no": order_id})
    await finish_return(world, case_id)
    await assert_nothing_broken(world)


async def test_a_buyer_is_not_asked_beyond_the_moment_that_is_promised(world: World) -> None:
    case_id = str((await world.cancel(await world.order(shipments=[shipment("S1")]), text=TOO_SLOW))["case_id"])
    promised_at = await world.now() + timedelta(minutes=90)
    offer = await ask(world, case_id, "offers", offer="wait", promised_at=promised_at.isoformat(), minutes=600)
    [asked] = (await world.dossier(case_id))["questions"]
    assert asked["due_at"] <= promised_at.isoformat()
    assert offer["n"] == asked["n"]


async def test_one_busy_case_does_not_hold_up_the_questions_of_the_others(world: World) -> None:
    case_ids = []
    for n in range(2):
        order_id = await world.order(shipments=[shipment(f"S{n}")])
        case_ids.append(str((await world.cancel(order_id, text=TOO_SLOW))["case_id"]))
        soon = (await world.now() + timedelta(hours=5)).isoformat()
        await ask(world, case_ids[-1], "offers", offer="wait", promised_at=soon, minutes=60)
    await world.pass_time(timedelta(minutes=61))
    async with world.services.database.transaction() as conn:
        await conn.execute("SELECT FROM cases WHERE case_id = %s FOR UPDATE", (case_ids[0],))
        await strike_questions(world.services)
    states = [(await world.dossier(case_id))["questions"][0]["state"] for case_id in case_ids]
    assert states == ["open", "silent"]
    await strike_questions(world.services)
    assert (await world.dossier(case_ids[0]))["questions"][0]["state"] == "silent"


# who speaks for the buyer -------------------------------------------------------------------------------------------


async def test_an_address_is_taken_only_with_a_yes_to_an_offer_of_one(world: World) -> None:
    case_id = str((await world.cancel(await world.order(shipments=[shipment("S1")]), text=TOO_SLOW))["case_id"])
    soon = (await world.now() + timedelta(hours=5)).isoformat()
    await ask(world, case_id, "offers", offer="wait", promised_at=soon)
    path = f"cancellations/{case_id}/questions/1"
    assert await code_of(world, path, role="integrator", agree=True, address=ADDRESS) == "address_needed"
    assert (await world.dossier(case_id))["questions"][0]["state"] == "open"
    order_id = await world.order(shipments=[shipment("S2")])
    case_id = str((await world.cancel(order_id, reason="ADDRESS_ERROR"))["case_id"])
    await ask(world, case_id, "offers", offer="address_change")
    path = f"cancellations/{case_id}/questions/1"
    assert await code_of(world, path, role="integrator", agree=False, address=ADDRESS) == "address_needed"
    stored = await world.sql("SELECT FROM private_data WHERE order_id = %s AND field = 'address'", order_id)
    assert stored == []


async def test_staff_answer_for_a_buyer_only_once_they_have_checked_who_asks(world: World) -> None:
    order_id, case_id = await in_review(world)
    soon = (await world.now() + timedelta(hours=5)).isoformat()
    await world.sql("UPDATE cases SET reason = 'SHIPPING_TOO_SLOW' WHERE case_id = %s", case_id)
    await ask(world, case_id, "offers", offer="wait", promised_at=soon)
    path = f"cancellations/{case_id}/questions/1"
    assert await code_of(world, path, agree=False) == "identity_required"
    assert await code_of(world, f"orders/{order_id}/erasure") == "identity_required"
    await world.identify(order_id)
    await world.ok("POST", f"/api/v1/{path}", role="agent", json={"agree": False})
    assert (await world.decide(case_id, "decline", reason_code="no")).status_code == 200
    [other] = await world.hire("unchecked")
    assert await code_of(world, f"cancellations/{case_id}/appeal", role=other, text="x") == "identity_required"
    await world.ok("POST", f"/api/v1/cancellations/{case_id}/appeal", role="agent", json={"text": "再看一次"})
    await world.ok("POST", f"/api/v1/orders/{order_id}/erasure", role="agent")


async def test_an_address_for_goods_in_the_house_is_the_warehouses_to_change(world: World) -> None:
    soon = (await world.now() + timedelta(minutes=30)).isoformat()
    order_id = await world.order(planned_dispatch_at=soon, released_stage="packed")
    case_id = str((await world.cancel(order_id, reason="ADDRESS_ERROR"))["case_id"])
    offer = await ask(world, case_id, "offers", offer="address_change")
    await click(world, offer["link"], agree=True, address=ADDRESS)
    await world.run()
    [task] = (await world.ok("GET", "/api/v1/desk/tasks", role="agent"))["tasks"]
    assert (task["kind"], task["audience"]) == ("redirect_parcel", "warehouse")
