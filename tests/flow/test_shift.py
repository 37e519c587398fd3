"""Promise timers for "two minutes" and call-backs, the hand-over list, the true reason (RULES: People and rights)."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.world import World, shipment
from unwind.flow.promises import strike_promises
from unwind.worker.loop import run_forever


async def waiting(world: World) -> str:
    case_id: str = (await world.cancel(await world.order(risk="suspected")))["case_id"]
    return case_id


async def promise(world: World, role: str = "agent", **given: Any) -> Any:
    return await world.call("POST", "/api/v1/desk/promises", role=role, json={"kind": "two_minutes", **given})


async def told(world: World, case_id: str) -> list[tuple[str, str]]:
    rows = await world.sql("SELECT event, data FROM case_events WHERE case_id = %s ORDER BY seq", case_id)
    return [(row["event"], row["data"].get("to", "")) for row in rows if row["event"].startswith("promise")]


@pytest.mark.rule("people.promises")
async def test_two_minutes_warn_the_holder_then_group_and_lead(world: World) -> None:
    case_id = await waiting(world)
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/claim", role="agent", json={})
    made = (await promise(world, case_id=case_id)).json()
    await world.pass_time(timedelta(seconds=95))
    await strike_promises(world.services)
    assert await told(world, case_id) == [("promise_made", "")]
    await world.pass_time(timedelta(seconds=2))
    for _ in range(2):
        await strike_promises(world.services)
    assert (await told(world, case_id))[1:] == [("promise_warned", "agent:test-agent")]
    await world.pass_time(timedelta(seconds=25))
    for _ in range(2):
        await strike_promises(world.services)
    assert (await told(world, case_id))[2:] == [("promise_broken", "group,lead")]
    late = await world.ok("POST", f"/api/v1/desk/promises/{made['promise_id']}/kept", role="agent")
    assert late["state"] == "kept_late"
    again = await world.call("POST", f"/api/v1/desk/promises/{made['promise_id']}/kept", role="agent")
    assert (again.status_code, again.json()["code"]) == (409, "promise_closed")
    assert [name for name, _ in await told(world, case_id)][3:] == ["promise_kept"]


async def test_a_promise_kept_in_time_is_never_struck(world: World) -> None:
    case_id = await waiting(world)
    made = (await promise(world, case_id=case_id)).json()
    kept = await world.ok("POST", f"/api/v1/desk/promises/{made['promise_id']}/kept", role="agent")
    assert kept["state"] == "kept"
    await world.pass_time(timedelta(minutes=5))
    await strike_promises(world.services)
    assert [name for name, _ in await told(world, case_id)] == ["promise_made", "promise_kept"]


@pytest.mark.rule("people.promises")
async def test_a_promise_survives_a_transfer_and_reminds_the_new_holder(world: World) -> None:
    ann, bob = await world.hire("ann", "bob")
    case_id = await waiting(world)
    await world.ok("PUT", "/api/v1/desk/presence", role=bob, json={"state": "on"})
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/claim", role=ann, json={})
    due_at = (await world.now() + timedelta(minutes=4)).isoformat()
    made = (await promise(world, role=ann, kind="call_back", case_id=case_id, due_at=due_at)).json()
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/transfer", role=ann, json={"to": "bob"})
    await world.pass_time(timedelta(seconds=200))
    await strike_promises(world.services)
    assert (await told(world, case_id))[-1] == ("promise_warned", "agent:bob")
    shown = await world.dossier(case_id)
    assert [(p["kind"], p["promised_by"], p["state"]) for p in shown["promises"]] == [("call_back", "ann", "open")]
    [row] = (await world.ok("GET", "/api/v1/desk/cases", role=bob))["cases"]
    assert row["promise_due_at"] == made["due_at"], "in the live queue"
    assert (await world.ok("POST", f"/api/v1/desk/promises/{made['promise_id']}/kept", role=bob))["state"] == "kept"
    [row] = (await world.ok("GET", "/api/v1/desk/cases", role=bob))["cases"]
    assert row["promise_due_at"] is None


async def test_a_promise_leaves_decisions_alone_and_a_broken_one_raises_the_case(world: World) -> None:
    case_id = await waiting(world)
    before = await world.dossier(case_id)
    await promise(world, case_id=case_id)
    await world.pass_time(timedelta(minutes=2, seconds=1))
    await strike_promises(world.services)
    after = await world.dossier(case_id)
    assert after["version"] == before["version"]
    assert after["priority"] == before["priority"] + 10


@pytest.mark.parametrize("given", [{}, {"minutes": -1}, {"minutes": 0.2}, {"minutes": 60 * 24 * 15}])
async def test_a_promise_has_a_sensible_time(world: World, given: dict[str, float]) -> None:
    case_id = await waiting(world)
    due = None if not given else (await world.now() + timedelta(minutes=given["minutes"])).isoformat()
    refused = await promise(world, kind="call_back", case_id=case_id, due_at=due)
    assert (refused.status_code, refused.json()["code"]) == (422, "promise_out_of_range")


async def test_strangers_promise_nothing(world: World) -> None:
    case_id = await waiting(world)
    made = (await promise(world, case_id=case_id)).json()
    await world.put_merchant("other")
    [theirs] = await world.hire("elsewhere", merchant_id="other")
    for role, status in (("warehouse", 403), ("auditor", 403), ("integrator", 403), (theirs, 404)):
        assert (await promise(world, role=role, case_id=case_id)).status_code == status, role
        kept = await world.call("POST", f"/api/v1/desk/promises/{made['promise_id']}/kept", role=role)
        assert kept.status_code == status, role


async def test_a_sealed_case_takes_no_promise_and_ends_an_open_one(world: World) -> None:
    case_id = await waiting(world)
    await promise(world, case_id=case_id)
    await world.decide(case_id, "decline")
    await world.run(until="archived", case_id=case_id)
    await world.pass_time(timedelta(minutes=3))
    await strike_promises(world.services)
    [row] = await world.sql("SELECT state, strike_at FROM promises")
    assert (row["state"], row["strike_at"]) == ("lapsed", None)
    assert (await promise(world, case_id=case_id)).json()["code"] == "case_sealed"


async def test_the_worker_strikes_within_seconds(world: World, tmp_path: Path) -> None:
    case_id = await waiting(world)
    await promise(world, case_id=case_id)
    await world.pass_time(timedelta(minutes=2))
    stop = asyncio.Event()
    running = asyncio.create_task(run_forever(world.services, stop, bills=tmp_path / "bills"))
    try:
        for _ in range(100):
            if ("promise_broken", "group,lead") in await told(world, case_id):
                break
            await asyncio.sleep(0.05)
    finally:
        stop.set()
        await running
    [row] = await world.sql(
        "SELECT extract(epoch FROM e.at - p.due_at) AS late FROM promises p JOIN case_events e USING (case_id)"
        " WHERE e.event = 'promise_broken'"
    )
    assert row["late"] < 5


async def test_two_workers_strike_once(world: World) -> None:
    cases = [await waiting(world) for _ in range(4)]
    for case_id in cases:
        await promise(world, case_id=case_id)
    await world.pass_time(timedelta(minutes=3))
    await asyncio.gather(*(strike_promises(world.services) for _ in range(4)))
    for case_id in cases:
        assert [name for name, _ in await told(world, case_id)] == ["promise_made", "promise_broken"]


@pytest.mark.rule("people.true_reason")
async def test_the_true_reason_stands_beside_the_stated_one(world: World) -> None:
    order_id = await world.order(risk="suspected")
    case_id = (await world.cancel(order_id, reason="CHANGED_MIND"))["case_id"]
    path = f"/api/v1/desk/cases/{case_id}/true-reason"
    before = await world.dossier(case_id)
    for _ in range(2):
        await world.ok("PUT", path, role="agent", json={"reason": "MERCHANT_ASKED"})
    await world.ok("PUT", path, role="agent", json={"reason": "OUT_OF_STOCK"})
    shown = await world.dossier(case_id)
    assert (shown["stated_reason"], shown["true_reason"]) == ("CHANGED_MIND", "OUT_OF_STOCK")
    assert shown["version"] == before["version"]
    found = [e["data"] for e in shown["timeline"] if e["event"] == "true_reason_set"]
    assert [(e["reason"], e["was"], e["stated"]) for e in found] == [
        ("MERCHANT_ASKED", "", "CHANGED_MIND"),
        ("OUT_OF_STOCK", "MERCHANT_ASKED", "CHANGED_MIND"),
    ]
    for role in ("warehouse", "auditor", "integrator"):
        assert (await world.call("PUT", path, role=role, json={"reason": "OTHER"})).status_code == 403
    assert (await world.call("PUT", path, role="agent", json={"reason": "BORED"})).status_code == 422
    await world.decide(case_id, "decline")
    await world.run(until="archived", case_id=case_id)
    assert (await world.call("PUT", path, role="agent", json={"reason": "OTHER"})).json()["code"] == "case_sealed"


@pytest.mark.rule("people.handover")
async def test_the_next_shift_knows_what_this_one_leaves(world: World) -> None:
    ann, bob = await world.hire("ann", "bob")
    held, asked, recalled = await waiting(world), await waiting(world), ""
    for case_id in (held, asked):
        await world.ok("POST", f"/api/v1/desk/cases/{case_id}/claim", role=ann, json={})
    await promise(world, role=ann, case_id=held)
    await world.ok("POST", f"/api/v1/desk/cases/{asked}/buyer-question", role=ann, json={"reason_code": "photo"})
    shipped = await world.order(shipments=[shipment(quantities={"L1": 1})])
    recalled = (await world.cancel(shipped))["case_id"]
    seen = await world.dossier(recalled)
    body = {"choice": "recall", "case_version": seen["version"], "order_version": seen["order"]["version"]}
    await world.ok("POST", f"/api/v1/desk/cases/{recalled}/decisions", role=ann, json=body)
    listed = await world.ok("GET", "/api/v1/desk/handover", role=ann)
    assert {row["case_id"] for row in listed["cases"]} == {held, asked}
    assert [row["case_id"] for row in listed["promises"]] == [held]
    assert [row["case_id"] for row in listed["waiting_for_buyer"]] == [asked]
    assert [row["case_id"] for row in listed["recalls"]] == [recalled]
    empty = await world.ok("GET", "/api/v1/desk/handover", role=bob)
    assert all(rows == [] for rows in empty.values())


@pytest.mark.rule("people.handover")
async def test_a_case_is_handed_over_with_a_note_and_confirmed(world: World) -> None:
    ann, bob, cas = await world.hire("ann", "bob", "cas")
    case_id, foreign = await waiting(world), await waiting(world)
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/claim", role=ann, json={})
    await world.ok("POST", f"/api/v1/desk/cases/{foreign}/claim", role=cas, json={})
    note = "王女士下午三点后才方便接电话"
    body = {"to": "bob", "cases": [{"case_id": case_id, "note": note}, {"case_id": foreign}]}
    answer = await world.ok("POST", "/api/v1/desk/handover", role=ann, json=body)
    assert answer["cases"] == {case_id: "", foreign: "claimed_by_other"}
    again = await world.ok("POST", "/api/v1/desk/handover", role=ann, json=body)
    assert again["cases"][case_id] == "handed_over_already"
    [offered] = (await world.ok("GET", "/api/v1/desk/handover", role=bob))["offered"]
    assert (offered["case_id"], offered["given_by"], offered["note"]) == (case_id, "ann", note)
    for table in ("handovers", "case_events"):
        assert note not in str(await world.sql(f"SELECT * FROM {table}")), "free text is private"
    path = f"/api/v1/desk/cases/{case_id}/handover-taken"
    assert (await world.call("POST", path, role=cas)).json()["code"] == "nothing_to_take"
    assert (await world.ok("POST", path, role=bob))["is_claimed"]
    assert (await world.call("POST", path, role=bob)).json()["code"] == "nothing_to_take"
    [row] = await world.sql("SELECT claimed_by FROM cases WHERE case_id = %s", case_id)
    assert row["claimed_by"] == "bob"
    rows = await world.sql(
        "SELECT event, actor, data FROM case_events WHERE case_id = %s ORDER BY seq DESC LIMIT 2", case_id
    )
    assert [(row["event"], row["actor"]) for row in rows] == [
        ("handover_taken", "agent:bob"),
        ("handed_over", "agent:ann"),
    ]


async def test_a_hand_over_reaches_only_those_who_may_take_it(world: World) -> None:
    [ann] = await world.hire("ann")
    await world.put_merchant("other")
    await world.hire("elsewhere", merchant_id="other")
    case_id = await waiting(world)
    for to in ("nobody", "elsewhere", "test-warehouse"):
        answer = await world.ok(
            "POST", "/api/v1/desk/handover", role=ann, json={"to": to, "cases": [{"case_id": case_id}]}
        )
        assert answer["cases"] == {case_id: "nobody_there"}, to
    for role in ("warehouse", "auditor", "integrator", "finance"):
        assert (await world.call("GET", "/api/v1/desk/handover", role=role)).status_code == 403


async def test_a_case_taken_by_somebody_else_meanwhile_stays_theirs(world: World) -> None:
    ann, bob, cas = await world.hire("ann", "bob", "cas")
    case_id = await waiting(world)
    await world.ok("POST", "/api/v1/desk/handover", role=ann, json={"to": "bob", "cases": [{"case_id": case_id}]})
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/claim", role=cas, json={})
    taken = await world.ok("POST", f"/api/v1/desk/cases/{case_id}/handover-taken", role=bob)
    assert not taken["is_claimed"]
    [row] = await world.sql("SELECT claimed_by FROM cases")
    assert row["claimed_by"] == "cas"
