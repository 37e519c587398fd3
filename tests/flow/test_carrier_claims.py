"""The cost ledger, and what carriers owe: claimed by itself with every cost they bear, moved on, settled when it is paid."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.flow.test_parcels_back import PHOTO, recalled
from tests.flow.test_situations import assert_nothing_broken
from tests.world import World, order_body, shipment

CLAIMS = "/api/v1/finance/claims"


async def note(world: World, case_id: str, *costs: tuple[str, int, str], **given: Any) -> None:
    rows = [{"fee": fee, "amount_minor": amount, "bearer": bearer} for fee, amount, bearer in costs]
    body = {"costs": rows, "reference": "call-1", **given}
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/costs", role="agent", json=body)


async def claims(world: World, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await world.ok("GET", CLAIMS, role="finance", params=query))["claims"]
    return found


async def move(world: World, claim_id: str, to: str, **given: Any) -> Any:
    body = {"to": to, "reference": f"letter-{to}", **given}
    return await world.call("POST", f"{CLAIMS}/{claim_id}/moves", role="finance", json=body)


async def ledger(world: World, **query: Any) -> dict[str, Any]:
    return await world.ok("GET", "/api/v1/finance/costs", role="finance", params=query)


async def open_case(world: World, **given: Any) -> tuple[str, str]:
    order_id = await world.order(risk="suspected", **given)
    return order_id, (await world.cancel(order_id))["case_id"]


@pytest.mark.rule("operations.costs")
async def test_what_a_carrier_bears_is_claimed_once_and_settled_when_it_has_paid(world: World) -> None:
    _, case_id = await open_case(world, shipments=[shipment()])
    await note(
        world, case_id, ("freight", 1200, "carrier"), ("other", 300, "merchant"), ("goods_loss", 9900, "carrier")
    )
    found = {row["cost_n"]: row for row in await claims(world)}
    assert {n: (row["reason"], row["amount_minor"], row["carrier"], row["state"]) for n, row in found.items()} == {
        1: ("late", 1200, "sf", "open"),
        3: ("lost", 9900, "sf", "open"),
    }
    assert len(await world.sql("SELECT FROM alerts WHERE kind = 'carrier_claim' AND closed_at IS NULL")) == 2
    claim_id = found[3]["claim_id"]
    assert (await move(world, claim_id, "paid", paid_minor=9900)).json()["code"] == "claim_cannot_move"
    moved = (await move(world, claim_id, "filed", reason="damaged")).json()
    assert (moved["state"], moved["reason"]) == ("filed", "damaged")
    assert len(await world.sql("SELECT FROM alerts WHERE kind = 'carrier_claim' AND closed_at IS NULL")) == 1
    twice = await asyncio.gather(*(move(world, claim_id, "accepted") for _ in range(2)))
    assert sorted(one.status_code for one in twice) == [200, 409]
    assert (await move(world, claim_id, "paid", paid_minor=9901)).json()["code"] == "more_than_claimed"
    assert (await move(world, claim_id, "paid")).status_code == 422
    own = await world.call(
        "POST", f"/api/v1/finance/costs/{case_id}/3/settlement", role="finance", json={"reference": "V-1"}
    )
    assert own.json()["code"] == "claim_settles_it"
    paid = (await move(world, claim_id, "paid", paid_minor=9000)).json()
    assert (paid["state"], paid["paid_minor"], paid["due_at"], paid["is_overdue"]) == ("paid", 9000, None, False)
    assert [(m["from_state"], m["to_state"], m["by"], m["reference"]) for m in paid["moves"]] == [
        ("open", "filed", "finance:test-finance", "letter-filed"),
        ("filed", "accepted", "finance:test-finance", "letter-accepted"),
        ("accepted", "paid", "finance:test-finance", "letter-paid"),
    ]
    body = await ledger(world, case_id=case_id)
    assert [(row["n"], row["standing"], row["settlement_reference"]) for row in reversed(body["costs"])] == [
        (3, "settled", "letter-paid"),
        (2, "open", ""),
        (1, "open", ""),
    ]
    assert [row["claim_id"] for row in await claims(world, state="paid", carrier="sf")] == [claim_id]
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        await world.sql("DELETE FROM carrier_claim_moves")


@pytest.mark.rule("operations.costs")
async def test_the_ledger_of_a_period_adds_up(world: World) -> None:
    await world.put_merchant("other")
    began: datetime = await world.now()
    _, first = await open_case(world)
    _, second = await open_case(world, merchant_id="other")
    await note(world, first, ("freight", 100, "merchant"), ("freight", 200, "merchant"), ("recall", 50, "platform"))
    await note(world, second, ("freight", 1000, "merchant"))
    path = f"/api/v1/finance/costs/{first}/2/settlement"
    body = {"reference": "V-7"}
    answers = await asyncio.gather(*(world.call("POST", path, role="finance", json=body) for _ in range(2)))
    assert sorted((one.status_code, one.json().get("code", "")) for one in answers) == [
        (200, ""),
        (409, "cost_settled"),
    ]
    period = {"from": began.isoformat(), "to": (await world.now() + timedelta(minutes=1)).isoformat()}
    totals = (await ledger(world, **period))["totals"]
    assert [(row["fee"], row["bearer"], row["standing"], row["costs"], row["amount_minor"]) for row in totals] == [
        ("freight", "merchant", "open", 2, 1100),
        ("freight", "merchant", "settled", 1, 200),
        ("recall", "platform", "open", 1, 50),
    ]
    of_shop = await ledger(world, **period, merchant_id="shop", standing="open", limit=1)
    assert len(of_shop["costs"]) == 1
    assert sum(row["amount_minor"] for row in of_shop["totals"]) == 150, "totals count what the page does not show"
    assert (await ledger(world, **{**period, "to": period["from"], "from": "2026-01-01T00:00:00Z"}))["costs"] == []
    for wrong in ({}, {"from": period["from"]}, {"from": "2020-01-01T00:00:00Z", "to": period["to"]}):
        refused = await world.call("GET", "/api/v1/finance/costs", role="finance", params=wrong)
        assert refused.json()["code"] == "period_needed"


async def test_a_cost_names_its_proof(world: World) -> None:
    _, case_id = await open_case(world)
    stored = await world.ok("POST", f"/api/v1/cancellations/{case_id}/attachments", content=PHOTO)
    await note(world, case_id, ("other", 5, "merchant"), proof=stored["attachment_id"])
    [row] = (await ledger(world, case_id=case_id))["costs"]
    assert row["proof"] == stored["attachment_id"]
    body = {"costs": [{"fee": "other", "amount_minor": 5, "bearer": "merchant"}], "reference": "x"}
    made_up = {**body, "proof": f"{case_id}-a000000000000"}
    refused = await world.call("POST", f"/api/v1/desk/cases/{case_id}/costs", role="agent", json=made_up)
    assert refused.json()["code"] == "proof_unknown"


async def test_a_claim_of_a_decision_that_is_taken_back_is_given_up(world: World) -> None:
    """Laid back before anything happened: what nobody has told the carrier is not claimed; the rest a person ends."""
    await world.sql("UPDATE merchants SET warehouse = 'manual'")
    order_id = await world.order(risk="suspected", released_stage="released")
    case_id = (await world.cancel(order_id))["case_id"]
    cost = {"fee": "freight", "amount_minor": 700, "bearer": "carrier"}
    assert (await world.decide(case_id, "approve", part_no=1, costs=[cost])).is_success
    [claim] = await claims(world)
    assert (claim["amount_minor"], claim["state"]) == (700, "open")
    await world.run()
    await world.pass_time(timedelta(minutes=5))
    await world.run()
    assert (await world.decide(case_id, "decline")).is_success
    [given_up] = await claims(world)
    assert given_up["state"] == "written_off"
    [moved] = (await world.ok("GET", f"{CLAIMS}/{claim['claim_id']}", role="finance"))["moves"]
    assert (moved["by"], moved["reference"]) == ("system:unwind", "decision_taken_back")
    assert await world.sql("SELECT FROM alerts WHERE kind = 'carrier_claim' AND closed_at IS NULL") == []
    assert (await ledger(world, case_id=case_id))["costs"] == []


async def test_a_plan_that_is_only_looked_at_claims_nothing(world: World) -> None:
    _, case_id = await open_case(world)
    cost = {"fee": "freight", "amount_minor": 700, "bearer": "carrier"}
    path = f"/api/v1/desk/cases/{case_id}/decisions/preview"
    await world.ok("POST", path, role="agent", json={"choice": "approve", "part_no": 1, "costs": [cost]})
    assert await claims(world) == []


async def test_a_parcel_lost_on_its_way_back_is_claimed(world: World) -> None:
    order_id, case_id = await recalled(world)
    [row] = await world.sql("SELECT revision FROM orders WHERE order_id = %s", order_id)
    body = order_body(order_id, now=await world.now())
    lost = shipment(stage="lost", quantities={"L1": 4})
    lines = [{**body["lines"][0], "quantity": 4, "sku": "BAG", "pool": "limited"}]
    again = {**body, "lines": lines, "payments": [], "shipments": [lost]}
    for revision in (row["revision"] + 1, row["revision"] + 2):
        await world.ok("PUT", f"/api/v1/orders/{order_id}", json={**again, "revision": revision})
    [claim] = await claims(world)
    assert (claim["case_id"], claim["reason"], claim["amount_minor"], claim["carrier"]) == (case_id, "lost", 4000, "sf")
    assert claim["opened_by"] == "system:unwind"
    await world.run()
    await assert_nothing_broken(world)


async def test_a_claim_by_hand_also_of_a_sealed_case(world: World) -> None:
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run(until="archived", case_id=case_id)
    body = {"case_id": case_id, "reason": "late", "amount_minor": 800}
    made = await world.ok("POST", CLAIMS, role="finance", json=body)
    assert (made["state"], made["carrier"], made["moves"]) == ("open", "carrier", [])
    for wrong, code in (({"shipment_id": "S9"}, "no_such_parcel"), ({"cost_n": 1}, "no_such_cost")):
        refused = await world.call("POST", CLAIMS, role="finance", json={**body, **wrong})
        assert refused.json()["code"] == code
    assert (await world.call("POST", CLAIMS, role="agent", json=body)).status_code == 403
    missing = await world.call("POST", CLAIMS, role="finance", json={**body, "case_id": "nowhere"})
    assert missing.status_code == 404
    await assert_nothing_broken(world)


async def test_one_cost_is_claimed_once(world: World) -> None:
    _, case_id = await open_case(world)
    await note(world, case_id, ("freight", 100, "carrier"), ("other", 300, "merchant"))
    body = {"case_id": case_id, "reason": "late", "amount_minor": 100}
    again = await world.call("POST", CLAIMS, role="finance", json={**body, "cost_n": 1})
    assert again.json()["code"] == "claim_exists"
    other = await world.ok("POST", CLAIMS, role="finance", json={**body, "cost_n": 2})
    assert other["cost_n"] == 2, "the carrier's after all"


async def test_what_has_not_moved_in_time_is_listed(world: World) -> None:
    _, case_id = await open_case(world)
    await note(world, case_id, ("freight", 100, "carrier"), ("freight", 200, "carrier"))
    late, filed = (row["claim_id"] for row in await claims(world))
    in_a_year = (await world.now() + timedelta(days=365)).isoformat()
    assert (await move(world, filed, "filed", due_at=in_a_year)).is_success
    assert (await move(world, late, "filed", due_at="2026-01-01T00:00:00Z")).json()["code"] == "due_in_the_past"
    assert await claims(world, overdue=True) == []
    await world.pass_time(timedelta(days=7, minutes=1))
    assert [row["claim_id"] for row in await claims(world, overdue=True)] == [late]
    assert (await move(world, late, "written_off")).is_success
    assert await claims(world, overdue=True) == []
    assert (await move(world, late, "filed")).json()["code"] == "claim_cannot_move", "over is over"
    [row] = (await ledger(world, case_id=case_id, standing="written_off"))["costs"]
    assert row["claim_id"] == late
