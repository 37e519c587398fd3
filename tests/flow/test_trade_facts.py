"""Invoices, customs, marketplaces: what a shop knows about an order, as steps, tasks and clocks. Amounts in fen."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.flow.test_money_examples import booked
from tests.world import World, line, order_body, payment
from unwind.flow.strike import follow_timetable

pytestmark = pytest.mark.usefixtures("sound")


async def the_task(world: World) -> dict[str, Any]:
    [task] = (await world.ok("GET", "/api/v1/desk/tasks", role="finance"))["tasks"]
    return dict(task)


async def answer(world: World, task: dict[str, Any], **given: str) -> Any:
    body = {"outcome": "done", **given}
    return await world.call("POST", f"/api/v1/desk/tasks/{task['task_id']}/result", role="finance", json=body)


async def state_of(world: World, case_id: str) -> str:
    [row] = await world.sql("SELECT state FROM cases WHERE case_id = %s", case_id)
    return str(row["state"])


# invoices -----------------------------------------------------------------------------------------------------------


@pytest.mark.rule("money.invoices")
@pytest.mark.parametrize(("invoice", "amount"), [("issued", 3000), ("booked", 3000), ("requested", 0)])
async def test_an_invoice_is_reversed_before_the_case_is_sealed_and_holds_up_nothing_else(
    world: World, invoice: str, amount: int
) -> None:
    order_id = await world.order(lines=[line(price=3000)], terms={"invoice": invoice, "invoice_no": "FP-1"})
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    assert await booked(world, order_id) == {"wechat": 3000}, "the money does not wait for a red letter"
    [row] = await world.sql("SELECT cancelled_at IS NOT NULL AS gone FROM orders WHERE order_id = %s", order_id)
    assert row["gone"]
    assert await state_of(world, case_id) == "executing"
    task = await the_task(world)
    assert (task["kind"], task["audience"], task["target"], task["amount_minor"]) == (
        "reverse_invoice",
        "finance",
        "FP-1",
        amount,
    )
    path, done = f"/api/v1/desk/tasks/{task['task_id']}/result", {"outcome": "done", "reference": "RED-0"}
    for role in ("warehouse", "agent"):
        refused = await world.call("POST", path, role=role, json=done)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), "finance's to answer"
    assert (await answer(world, task)).json()["code"] == "evidence_needed"
    if invoice == "booked":
        assert (await answer(world, task, reference="RED-1")).json()["code"] == "confirmation_needed"
        assert (await answer(world, task, reference="RED-1", confirmation="CONF-1")).is_success
    else:
        assert (await answer(world, task, reference="RED-1")).is_success
    await world.run(until="archived", case_id=case_id)


@pytest.mark.rule("money.invoices")
async def test_a_part_of_an_invoice_is_reversed_by_its_amount_and_issuing_stops_only_with_the_order(
    world: World,
) -> None:
    lines = [line(price=3000), line("L2", price=2000)]
    order_id = await world.order(lines=lines, terms={"invoice": "issued"})
    await world.cancel(order_id, lines={"L2": 1})
    await world.run()
    assert (await the_task(world))["amount_minor"] == 2000
    asked_for = await world.order(lines=lines, terms={"invoice": "requested"})
    case_id = (await world.cancel(asked_for, lines={"L2": 1}))["case_id"]
    await world.run(until="archived", case_id=case_id)


async def test_while_a_red_letter_is_awaited_the_rest_of_the_order_may_go_and_the_last_coupon_comes_back(
    world: World,
) -> None:
    coupon = {"benefit_id": "C1", "kind": "coupon", "account": "coupon:b1", "amount": 1}
    lines = [line(price=3000), line("L2", price=2000)]
    order_id = await world.order(lines=lines, terms={"invoice": "issued"}, shipping_minor=500, benefits=[coupon])
    await world.cancel(order_id, lines={"L2": 1})
    await world.run()
    await world.cancel(order_id)
    await world.run()
    assert await booked(world, order_id) == {"wechat": 5500}, "the shipping too: nothing of the order is left"
    assert (await world.sql("SELECT balance FROM benefit_accounts"))[0]["balance"] == 1


@pytest.mark.rule("money.invoices")
async def test_a_red_letter_may_be_waived_by_name_and_money_and_goods_may_not(world: World) -> None:
    order_id = await world.order(terms={"invoice": "issued"}, released_stage="picking")
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    legs = {leg["kind"]: leg for part in (await world.dossier(case_id))["parts"] for leg in part["legs"]}
    why = {"why": "buyer_keeps_it"}

    def path(kind: str) -> str:
        return f"/api/v1/desk/cases/{case_id}/legs/{legs[kind]['leg_no']}/waive"

    for kind in ("refund", "hold_shipment", "release_stock"):
        refused = await world.call("POST", path(kind), role="finance", json=why)
        assert (refused.status_code, refused.json()["code"]) == (409, "not_waivable")
    assert (await world.call("POST", path("reverse_invoice"), role="agent", json=why)).status_code == 403
    assert (await world.call("POST", path("reverse_invoice"), role="finance", json={})).status_code == 422
    await world.ok("POST", path("reverse_invoice"), role="finance", json=why)
    await world.run(until="archived", case_id=case_id)
    [said] = [one for one in await world.timeline(case_id) if "waived" in one]
    assert "finance:test-finance" in said
    assert "buyer_keeps_it" in said
    again = await world.call("POST", path("reverse_invoice"), role="finance", json=why)
    assert again.json()["code"] == "nothing_to_note"


async def test_a_red_letter_that_nobody_makes_goes_to_a_person_who_may_waive_it(world: World) -> None:
    order_id = await world.order(terms={"invoice": "issued"})
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    await world.pass_time(timedelta(days=8))
    await world.run()
    assert await state_of(world, case_id) == "review"
    legs = [leg for part in (await world.dossier(case_id))["parts"] for leg in part["legs"]]
    [leg] = [leg for leg in legs if leg["kind"] == "reverse_invoice"]
    path = f"/api/v1/desk/cases/{case_id}/legs/{leg['leg_no']}/waive"
    await world.ok("POST", path, role="finance", json={"why": "too_late"})
    await world.run(until="archived", case_id=case_id)


# customs ------------------------------------------------------------------------------------------------------------


@pytest.mark.rule("money.customs")
@pytest.mark.parametrize(
    ("customs", "rule"),
    [("unknown", "customs_unknown"), ("mismatch", "customs_mismatch"), ("released", "customs_released")],
)
async def test_customs_that_are_not_simply_declared_are_a_persons(world: World, customs: str, rule: str) -> None:
    order_id = await world.order(terms={"customs": customs})
    asked = await world.cancel(order_id)
    assert (asked["outcome"], asked["rule"]) == ("in_review", rule)


@pytest.mark.rule("money.customs")
async def test_a_declaration_that_cannot_be_withdrawn_stops_the_refund(world: World) -> None:
    order_id = await world.order(terms={"customs": "declared"})
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    task = (await world.ok("GET", "/api/v1/desk/tasks", role="lead"))["tasks"][0]
    path = f"/api/v1/desk/tasks/{task['task_id']}/result"
    await world.ok("POST", path, role="lead", json={"outcome": "refused", "reference": "CUS-9"})
    await world.run()
    assert await state_of(world, case_id) == "review"
    assert await world.refunds(order_id) == []


async def test_whoever_keeps_released_taxes_may_say_that_it_does_not(world: World) -> None:
    """By the shop's own terms the taxes of released goods return with them: nothing is proposed to be kept."""
    await world.put_merchant("kind", money_terms={"keeps_released_tax": False})
    order_id = await world.order(merchant_id="kind", lines=[line(tax_minor=100)], terms={"customs": "released"})
    asked = await world.cancel(order_id)
    [part] = (await world.dossier(asked["case_id"]))["parts"]
    assert part["published"] is None
    assert (await world.decide(asked["case_id"], "approve")).is_success
    await world.run(until="archived", case_id=asked["case_id"])
    assert await booked(world, order_id) == {"wechat": 1100}


# marketplaces -------------------------------------------------------------------------------------------------------


async def market(world: World, deadline: datetime | None, **given: Any) -> str:
    order_id = f"TB-{given.pop('n', 1)}"
    terms = {"settled_by": "platform", "platform": "taobao"}
    if deadline is not None:
        terms["platform_deadline_at"] = deadline.isoformat()
    paid = payment(order_id, 1000, connection="taobao", method="platform")
    body = order_body(order_id, now=await world.now(), payments=[paid], terms=terms, **given)
    await world.ok("PUT", f"/api/v1/orders/{order_id}", json=body)
    return order_id


@pytest.mark.rule("money.platforms")
async def test_a_platforms_money_is_approved_there_watched_and_proven(world: World) -> None:
    deadline = await world.now() + timedelta(hours=3)
    order_id = await market(world, deadline)
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    [task] = (await world.ok("GET", "/api/v1/desk/tasks", role="agent", params={"audience": "platform"}))["tasks"]
    assert (task["kind"], task["amount_minor"]) == ("refund", 1000)
    assert datetime.fromisoformat(task["due_at"]) == deadline
    assert await booked(world, order_id) == {}
    no_proof = await world.call(
        "POST", f"/api/v1/desk/tasks/{task['task_id']}/result", role="agent", json={"outcome": "done"}
    )
    assert no_proof.json()["code"] == "evidence_needed"
    done = {"outcome": "done", "reference": "TBR-1"}
    await world.ok("POST", f"/api/v1/desk/tasks/{task['task_id']}/result", role="agent", json=done)
    await world.run(until="archived", case_id=case_id)
    assert await booked(world, order_id) == {"platform": 1000}
    assert await world.sql("SELECT how FROM refunds") == [{"how": "platform"}], "not by hand, for the books"
    [told] = await world.sql("SELECT params FROM messages WHERE fact = 'refund_done:1'")
    assert told["params"]["tenders"][0]["reference"] == "TBR-1"


@pytest.mark.rule("money.platforms")
async def test_a_platforms_deadline_is_never_missed_in_silence(world: World) -> None:
    """Nobody approves it: when the platform decides by itself a person looks."""
    order_id = await market(world, await world.now() + timedelta(hours=3))
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    assert await state_of(world, case_id) == "executing"
    await world.pass_time(timedelta(hours=3, seconds=1))
    await world.run()
    assert await state_of(world, case_id) == "review"


@pytest.mark.rule("money.platforms")
async def test_a_case_in_review_is_due_before_the_platform_decides(world: World) -> None:
    """Fifteen minutes to answer, but the platform decides in five: due in five, also after a change of the minutes."""
    now = await world.now()
    deadline = now + timedelta(minutes=5)
    order_id = await market(world, deadline, planned_dispatch_at=(now + timedelta(minutes=30)).isoformat())
    asked = await world.cancel(order_id)
    assert asked["outcome"] == "in_review"
    assert datetime.fromisoformat(asked["respond_due_at"]) == deadline
    slower = {"respond_warn": 30, "respond_due": 40}
    await world.ok("PUT", "/api/v1/admin/clock-targets", role="admin", json=slower)
    await follow_timetable(world.services)
    [row] = await world.sql("SELECT respond_due_at FROM cases WHERE case_id = %s", asked["case_id"])
    assert row["respond_due_at"] == deadline
    far = await market(
        world, now + timedelta(days=2), n=2, planned_dispatch_at=(now + timedelta(minutes=30)).isoformat()
    )
    later = await world.cancel(far)
    due_in = datetime.fromisoformat(later["respond_due_at"]) - now
    assert timedelta(minutes=39) < due_in < timedelta(hours=1), (
        "the usual minutes, where the platform decides much later"
    )


async def test_a_deadline_that_the_platform_moves_moves_the_clock(world: World) -> None:
    now = await world.now()
    given = {"planned_dispatch_at": (now + timedelta(minutes=30)).isoformat()}
    order_id = await market(world, now + timedelta(minutes=10), **given)
    case_id = (await world.cancel(order_id))["case_id"]
    sooner = now + timedelta(minutes=4)
    await market(world, sooner, revision=2, **given)
    [row] = await world.sql("SELECT respond_due_at, version FROM cases WHERE case_id = %s", case_id)
    assert row["respond_due_at"] == sooner
    assert any(event.startswith("clocks_reset") for event in await world.timeline(case_id))
    await market(world, None, revision=3, **given)
    [row] = await world.sql("SELECT respond_due_at - opened_at AS minutes FROM cases WHERE case_id = %s", case_id)
    assert row["minutes"] == timedelta(minutes=15), "the usual minutes again"


async def test_what_a_platform_settles_is_not_reversed_here(world: World) -> None:
    await world.put_merchant("shares", has_settlement=True)
    order_id = await market(world, None, merchant_id="shares")
    await world.cancel(order_id)
    await world.run()
    tasks = (await world.ok("GET", "/api/v1/desk/tasks", role="lead"))["tasks"]
    assert [(task["kind"], task["audience"]) for task in tasks] == [("refund", "platform")]
