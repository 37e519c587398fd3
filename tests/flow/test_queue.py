"""The queue of people: order of work, claims that run out, hand-overs, presence, push."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.world import World, line
from unwind.flow.queue import push_cases, release_expired
from unwind.flow.strike import strike_due
from unwind.worker.loop import run_forever


async def waiting(world: World, *, price: int = 1000, **given: Any) -> str:
    order_id = await world.order(risk="suspected", lines=[line(price=price)])
    case_id: str = (await world.cancel(order_id, **given))["case_id"]
    return case_id


async def post(world: World, who: str, path: str, body: Any = None) -> Any:
    return await world.call("POST", f"/api/v1/desk/{path}", role=who, json=body)


async def presence(world: World, who: str, state: str, **given: Any) -> dict[str, Any]:
    return await world.ok("PUT", "/api/v1/desk/presence", role=who, json={"state": state, **given})


async def holder(world: World, case_id: str) -> str | None:
    [row] = await world.sql("SELECT claimed_by FROM cases WHERE case_id = %s", case_id)
    name: str | None = row["claimed_by"]
    return name


async def history(world: World, case_id: str) -> list[tuple[str, str]]:
    rows = await world.sql("SELECT event, actor, data FROM case_events WHERE case_id = %s ORDER BY seq", case_id)
    named = ("claimed", "claim_released", "transferred", "escalated")
    return [
        (row["event"], row["data"].get("why") or row["data"].get("to") or row["data"].get("by") or "")
        for row in rows
        if row["event"] in named
    ]


async def test_list_and_claim_go_by_one_order(world: World) -> None:
    ann, _ = await world.hire("ann", "bob")
    cheap = await waiting(world)
    dear = await waiting(world, price=200_000)
    await world.sql("UPDATE cases SET respond_due_at = (SELECT min(respond_due_at) FROM cases)")
    angry = await waiting(world, text="气死我了,赶紧退钱,十万火急,不想要了")
    stolen = (await world.cancel(await world.order(), reason="PAYMENT_ISSUE"))["case_id"]
    late = await waiting(world)
    await world.sql("UPDATE cases SET is_overdue = true WHERE case_id = %s", late)
    await world.sql("UPDATE cases SET priority = 70 WHERE case_id = %s", angry)
    listed = [row["case_id"] for row in (await world.ok("GET", "/api/v1/desk/cases", role=ann))["cases"]]
    assert listed == [stolen, late, angry, dear, cheap]
    taken = [(await post(world, ann, "claims/next")).json()["case_id"] for _ in range(6)]
    assert taken == [*listed, None]


async def test_ten_agents_at_once_get_ten_different_cases(world: World) -> None:
    people = await world.hire(*(f"agent{n}" for n in range(10)))
    cases = {await waiting(world) for _ in range(10)}
    answers = await asyncio.gather(*(post(world, who, "claims/next") for who in people))
    taken = Counter(answer.json()["case_id"] for answer in answers)
    assert set(taken.values()) == {1}
    missed = cases - set(taken)
    assert set(taken) - {None} <= cases
    for who in people[: len(missed)]:
        await post(world, who, "claims/next")
    held = await world.sql("SELECT claimed_by FROM cases WHERE claimed_by IS NOT NULL")
    assert len(held) == 10


async def test_who_does_not_hold_the_case_does_not_decide_it(world: World) -> None:
    ann, bob = await world.hire("ann", "bob")
    case_id = await waiting(world)
    assert (await post(world, ann, f"cases/{case_id}/claim", {})).status_code == 200
    refused = await post(world, bob, f"cases/{case_id}/claim", {})
    assert (refused.status_code, refused.json()["code"]) == (409, "claimed_by_other")
    assert refused.json()["facts"]["holder"] == "ann"
    seen = await world.dossier(case_id)
    body = {"choice": "decline", "case_version": seen["version"], "order_version": seen["order"]["version"]}
    for who in (bob, "lead", "admin"):
        refused = await post(world, who, f"cases/{case_id}/decisions", body)
        assert (refused.status_code, refused.json()["facts"]["holder"]) == (409, "ann")
    question = await post(world, bob, f"cases/{case_id}/buyer-question", {"reason_code": "x"})
    assert question.json()["code"] == "claimed_by_other"
    refused = await post(world, bob, f"cases/{case_id}/claim", {"take_over": True})
    assert refused.status_code == 403
    assert (await post(world, "lead", f"cases/{case_id}/claim", {"take_over": True})).status_code == 200
    assert (await post(world, ann, f"cases/{case_id}/decisions", body)).json()["facts"]["holder"] == "test-lead"
    assert (await post(world, "lead", f"cases/{case_id}/decisions", body)).status_code == 200, "the same version still"
    assert await holder(world, case_id) is None


async def test_a_claim_runs_out_unless_something_renews_it(world: World) -> None:
    ann, bob = await world.hire("ann", "bob")
    case_id = await waiting(world)
    await post(world, ann, f"cases/{case_id}/claim", {})
    for renew in ("heartbeat", f"cases/{case_id}/claim", "heartbeat"):
        await world.pass_time(timedelta(seconds=200))
        body = {"cases": [case_id]} if renew == "heartbeat" else {}
        assert (await post(world, ann, renew, body)).status_code == 200
        assert not await release_expired(world.services)
    assert await holder(world, case_id) == "ann"
    await post(world, bob, "heartbeat", {"cases": [case_id]})
    await world.pass_time(timedelta(seconds=301))
    assert (await post(world, ann, "heartbeat", {"cases": [case_id]})).json()["renewed"] == 0, "too late"
    listed = (await world.ok("GET", "/api/v1/desk/cases", role=bob))["cases"]
    assert listed[0]["claimed_by"] is None, "free although nobody has tidied up"
    await release_expired(world.services)
    assert await history(world, case_id) == [("claimed", "ann"), ("claim_released", "expired")]
    assert (await post(world, bob, f"cases/{case_id}/claim", {})).status_code == 200


async def test_going_off_duty_gives_every_case_back(world: World) -> None:
    [ann] = await world.hire("ann")
    await presence(world, ann, "on")
    cases = [await waiting(world) for _ in range(2)]
    for case_id in cases:
        await post(world, ann, f"cases/{case_id}/claim", {})
    await presence(world, ann, "off")
    for case_id in cases:
        assert await history(world, case_id) == [("claimed", "ann"), ("claim_released", "off_duty")]
        assert await holder(world, case_id) is None
    refused = await post(world, ann, "claims/next")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_on_duty")


async def test_nobody_holds_more_than_they_may(world: World) -> None:
    [ann] = await world.hire("ann")
    await presence(world, ann, "on", cases_max=2)
    cases = [await waiting(world) for _ in range(4)]
    answers = await asyncio.gather(*(post(world, ann, f"cases/{case_id}/claim", {}) for case_id in cases))
    assert Counter(answer.status_code for answer in answers) == {200: 2, 409: 2}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"no_room"}
    held = {case_id: await holder(world, case_id) for case_id in cases}
    mine = next(case_id for case_id, who in held.items() if who)
    assert (await post(world, ann, f"cases/{mine}/claim", {})).status_code == 200, "one's own is renewed"


async def test_transfer_and_escalation(world: World) -> None:
    ann, bob = await world.hire("ann", "bob")
    case_id = await waiting(world)
    await post(world, ann, f"cases/{case_id}/claim", {})
    refused = await post(world, ann, f"cases/{case_id}/transfer", {"to": "bob"})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_on_duty")
    await presence(world, bob, "on")
    refused = await post(world, bob, f"cases/{case_id}/transfer", {"to": "bob"})
    assert refused.json()["code"] == "claimed_by_other"
    assert (await post(world, ann, f"cases/{case_id}/transfer", {"to": "bob"})).status_code == 200
    assert await holder(world, case_id) == "bob"
    assert (await post(world, bob, f"cases/{case_id}/escalate", {"reason_code": "too_dear"})).status_code == 200
    assert (await world.decide(case_id, "decline")).json()["code"] == "escalated"
    assert (await post(world, ann, "claims/next")).json()["case_id"] is None
    assert (await post(world, ann, f"cases/{case_id}/claim", {})).status_code == 403
    assert (await post(world, "lead", "claims/next")).json()["case_id"] == case_id
    assert await history(world, case_id) == [
        ("claimed", "ann"),
        ("transferred", "bob"),
        ("escalated", ""),
        ("claimed", "test-lead"),
    ]


async def test_an_agent_on_the_telephone_is_there_without_a_screen(world: World) -> None:
    phone, screen = await world.hire("phone", "screen")
    await presence(world, phone, "on")
    await presence(world, screen, "on")

    async def there() -> dict[str, bool]:
        rows = (await world.ok("GET", "/api/v1/desk/agents", role="lead"))["agents"]
        return {row["principal_id"]: row["is_there"] for row in rows}

    await world.pass_time(timedelta(minutes=20))
    case_id = await waiting(world)
    await post(world, phone, f"cases/{case_id}/claim", {})
    await world.pass_time(timedelta(minutes=20))
    await post(world, screen, "heartbeat", {})
    assert await there() == {"phone": True, "screen": True}
    await world.pass_time(timedelta(minutes=2))
    assert await there() == {"phone": True, "screen": False}
    await world.pass_time(timedelta(minutes=20))
    assert await there() == {"phone": False, "screen": False}
    await presence(world, phone, "break")
    assert await there() == {"phone": False, "screen": False}
    assert (await world.call("GET", "/api/v1/desk/agents", role=phone)).status_code == 403


async def test_push_is_balanced_and_a_backlog_drains_to_whoever_comes(world: World) -> None:
    ann, bob, cas = await world.hire("ann", "bob", "cas")
    cases = [await waiting(world) for _ in range(7)]
    await presence(world, cas, "on")
    await presence(world, ann, "on", takes_push=True, cases_max=2)
    drained = [case_id for case_id in cases if await holder(world, case_id)]
    assert drained == cases[:2], "oldest due first"
    await presence(world, bob, "on", cases_max=4)
    await presence(world, cas, "on", takes_push=True, cases_max=1)
    await world.sql("UPDATE agents SET takes_push = true")
    await push_cases(world.services)
    held = Counter([await holder(world, case_id) for case_id in cases])
    assert held == {"ann": 2, "bob": 4, "cas": 1}


async def test_the_third_call_is_among_the_most_urgent(world: World) -> None:
    order_id = await world.order(risk="suspected")
    case_id = (await world.cancel(order_id))["case_id"]
    levels = []
    for _ in range(2):
        await world.cancel(order_id, channel="hotline")
        [row] = await world.sql("SELECT priority, contacts FROM cases")
        levels.append((row["priority"] >= 90, row["contacts"]))
    assert levels == [(False, 2), (True, 3)]
    rows = await world.sql("SELECT data->'contact' AS n FROM case_events WHERE event = 'contacted_again'")
    assert [row["n"] for row in rows] == [2, 3]
    assert case_id


async def test_who_is_asked_is_not_in_the_way(world: World) -> None:
    """A case that waits for the buyer is nobody's next case. Once they have spoken it is again, also when whoever asked has gone home."""
    await world.hire("bob")
    order_id = await world.order(risk="suspected")
    case_id = (await world.cancel(order_id))["case_id"]
    await post(world, "agent", f"cases/{case_id}/claim", {})
    await post(world, "agent", f"cases/{case_id}/buyer-question", {"reason_code": "photo"})
    await world.pass_time(timedelta(seconds=301))
    assert (await post(world, "uk_bob", "claims/next")).json()["case_id"] is None
    await world.cancel(order_id, channel="chat")
    assert (await post(world, "uk_bob", "claims/next")).json()["case_id"] == case_id


async def test_half_of_the_time_is_told_to_the_holder(world: World) -> None:
    [ann] = await world.hire("ann")
    case_id = await waiting(world)
    await world.pass_time(timedelta(minutes=6))
    await post(world, ann, f"cases/{case_id}/claim", {})
    await world.pass_time(timedelta(minutes=2))
    await strike_due(world.services)
    [row] = await world.sql("SELECT data->>'to' AS told FROM case_events WHERE event = 'clock_half'")
    assert row["told"] == "agent:ann"


async def test_the_worker_frees_what_nobody_renews(world: World, tmp_path: Path) -> None:
    case_id = await waiting(world)
    await post(world, "agent", f"cases/{case_id}/claim", {})
    await world.pass_time(timedelta(seconds=301))
    stop = asyncio.Event()
    running = asyncio.create_task(run_forever(world.services, stop, bills=tmp_path / "bills"))
    try:
        for _ in range(400):
            if await holder(world, case_id) is None:
                break
            await asyncio.sleep(0.05)
    finally:
        stop.set()
        await running
    assert (await history(world, case_id))[-1] == ("claim_released", "expired")


async def test_strangers_to_the_desk_take_nothing(world: World) -> None:
    [theirs] = await world.hire("elsewhere", merchant_id="shop")
    case_id = await waiting(world)
    await world.put_merchant("other")
    await world.sql("UPDATE principals SET merchant_id = 'other' WHERE principal_id = 'elsewhere'")
    for path, body in (
        ("claims/next", None),
        (f"cases/{case_id}/claim", {}),
        (f"cases/{case_id}/transfer", {"to": "test-agent"}),
        (f"cases/{case_id}/escalate", {"reason_code": "x"}),
        ("heartbeat", {}),
    ):
        for role in ("warehouse", "auditor", "integrator", "finance"):
            assert (await post(world, role, path, body)).status_code == 403, (role, path)
        if "cases" in path:
            assert (await post(world, theirs, path, body)).status_code == 404, path
    assert (await post(world, theirs, "claims/next")).json()["case_id"] is None
    assert await holder(world, case_id) is None
    assert await history(world, case_id) == []
