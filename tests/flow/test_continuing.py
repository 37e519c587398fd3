"""What a breaker stopped goes on in one go: every case on its own versions, what one person may return and four eyes still holding."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from tests.flow.test_situations import assert_nothing_broken
from tests.flow.test_trust import ADMIN, ask_all, limit
from tests.world import World, line


async def stopped(world: World, *, cases: int = 6, price: int = 1000, **given: Any) -> int:
    """A breaker that stopped so many cases after the first two. Returns its number."""
    await limit(world, sku_velocity_refunds=2)
    orders = [await world.order(lines=[line(price=price)], **given) for _ in range(cases + 2)]
    rules = await ask_all(world, orders)
    assert rules["breaker_open"] == cases, rules
    [breaker] = (await world.ok("GET", f"{ADMIN}/breakers", role="lead"))["breakers"]
    number: int = breaker["breaker_id"]
    return number


async def go_on(world: World, breaker: int, role: str = "lead", **given: Any) -> Any:
    body = {"why": "checked", **given}
    return await world.call("POST", f"{ADMIN}/breakers/{breaker}/continue", role=role, json=body)


async def agree(world: World, breaker: int, run: int, role: str = "admin") -> Any:
    path = f"{ADMIN}/breakers/{breaker}/runs/{run}/agree"
    return await world.call("POST", path, role=role, json={"why": "checked too"})


async def waiting(world: World, breaker: int) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = (await world.ok("GET", f"{ADMIN}/breakers/{breaker}/runs", role="lead"))["cases"]
    return cases


def outcomes(answer: Any) -> Counter[tuple[str, str]]:
    return Counter((case["outcome"], case["code"]) for case in answer.json()["cases"])


@pytest.mark.rule("operations.trust")
async def test_all_that_wait_go_on_and_every_refund_leaves_once(world: World) -> None:
    breaker = await stopped(world)
    done = await go_on(world, breaker)
    assert (done.status_code, outcomes(done)) == (200, {("approved", ""): 6})
    for _ in range(3):
        await world.run()
        await asyncio.sleep(0.05)
    sent = [refund for trade in (await world.ledger())["trades"] for refund in trade["refunds"]]
    assert len(sent) == 8
    assert (await world.violations())["violations"] == []
    again = await go_on(world, breaker)
    assert (again.status_code, again.json()["code"]) == (409, "nothing_to_decide")
    [run] = (await world.ok("GET", f"{ADMIN}/breakers/{breaker}/runs", role="auditor"))["runs"]
    assert (run["cases"], run["minor"], run["started_by"], len(run["result"])) == (6, 6000, "lead:test-lead", 6)
    await assert_nothing_broken(world)


async def test_each_case_is_decided_on_the_versions_that_were_seen(world: World) -> None:
    breaker = await stopped(world)
    seen = await waiting(world, breaker)
    first, second, held, theirs, *_ = seen
    await world.cancel(first["order_id"], text="怎么还没退")
    assert (await world.decide(second["case_id"], "decline", reason_code="x")).is_success
    [bob] = await world.hire("bob")
    await world.ok("POST", f"/api/v1/desk/cases/{held['case_id']}/claim", role=bob, json={})
    other = (await world.cancel(await world.order(risk="suspected")))["case_id"]
    named = [{name: one[name] for name in ("case_id", "case_version", "order_version")} for one in seen]
    named.append({"case_id": other, "case_version": 1, "order_version": 1})
    named.append({"case_id": "UW000000-0000000000", "case_version": 1, "order_version": 1})
    done = await go_on(world, breaker, cases=[*named, named[3]])
    assert done.status_code == 200
    told = {case["case_id"]: (case["outcome"], case["code"]) for case in done.json()["cases"]}
    assert told[first["case_id"]] == ("refused", "stale"), "something was said meanwhile"
    assert told[second["case_id"]] == ("refused", "not_of_breaker"), "decided meanwhile"
    assert told[held["case_id"]] == ("refused", "claimed_by_other")
    assert told[other] == told["UW000000-0000000000"] == ("refused", "not_of_breaker"), "not what this breaker stopped"
    assert told[theirs["case_id"]] == ("approved", "")
    assert Counter(told.values())["approved", ""] == 3
    assert {one["case_id"] for one in await waiting(world, breaker)} == {first["case_id"], held["case_id"]}


async def test_above_what_one_person_may_return_together_a_second_one_agrees(world: World) -> None:
    await world.put_merchant("shop", agent_limit_minor=5_000)
    breaker = await stopped(world)
    proposed = await go_on(world, breaker)
    assert (proposed.status_code, proposed.json()["waits_for_second"], proposed.json()["minor"]) == (202, True, 6000)
    assert len(await waiting(world, breaker)) == 6, "nothing is done"
    run = proposed.json()["run_id"]
    same = await agree(world, breaker, run, role="lead")
    assert (same.status_code, same.json()["code"]) == (403, "different_person_needed")
    assert (await agree(world, breaker, run, role="agent")).status_code == 403
    assert (await agree(world, breaker + 1, run)).status_code == 404
    done = await agree(world, breaker, run)
    assert outcomes(done) == {("approved", ""): 6}
    assert (await agree(world, breaker, run)).json()["code"] == "nothing_to_change"
    events = await world.sql("SELECT what, actor FROM trust_events WHERE what LIKE 'breaker_run%' ORDER BY event_id")
    assert [(row["what"], row["actor"]) for row in events] == [
        ("breaker_run_proposed", "lead:test-lead"),
        ("breaker_run_agreed", "admin:test-admin"),
    ]


async def test_a_case_that_alone_needs_a_second_person_still_does(world: World) -> None:
    await world.put_merchant("shop", agent_limit_minor=1_500)
    await limit(world, sku_velocity_refunds=0)
    for price in (1000, 2000):
        order_id = await world.order(lines=[line(price=price)])
        assert (await world.cancel(order_id))["rule"] == "breaker_open"
    [breaker] = (await world.ok("GET", f"{ADMIN}/breakers", role="lead"))["breakers"]
    proposed = await go_on(world, breaker["breaker_id"])
    assert proposed.status_code == 202
    done = await agree(world, breaker["breaker_id"], proposed.json()["run_id"])
    assert outcomes(done) == {("approved", ""): 1, ("waits_for_second", ""): 1}
    [asked] = (await world.ok("GET", "/api/v1/desk/approvals", role="lead"))["approvals"]
    assert (await world.agree_as_second(asked["case_id"])).is_success


async def test_a_proposal_is_good_for_a_day(world: World) -> None:
    await world.put_merchant("shop", agent_limit_minor=0)
    breaker = await stopped(world, cases=1)
    run = (await go_on(world, breaker)).json()["run_id"]
    await world.pass_time(timedelta(days=1, minutes=1))
    late = await agree(world, breaker, run)
    assert (late.status_code, late.json()["code"]) == (409, "stale")
    assert len(await waiting(world, breaker)) == 1


async def test_two_who_continue_at_once_decide_each_case_once(world: World) -> None:
    breaker = await stopped(world)
    both = await asyncio.gather(*(go_on(world, breaker, role=role) for role in ("lead", "admin")))
    approved = sum(outcomes(one)["approved", ""] for one in both if one.status_code == 200)
    assert approved == 6
    reserved = await world.sql("SELECT count(*) AS n FROM refunds WHERE state IN ('reserved', 'sent', 'final')")
    assert reserved == [{"n": 8}]


async def test_an_interrupted_run_is_carried_on_by_whoever_agreed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.put_merchant("shop", agent_limit_minor=0)
    breaker = await stopped(world, cases=4)
    run = (await go_on(world, breaker)).json()["run_id"]
    from unwind.flow import continuing

    decide, left = continuing.review.decide, [2]

    async def dies(*given: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("the process ends here")
        return await decide(*given, **named)

    monkeypatch.setattr(continuing.review, "decide", dies)
    assert (await agree(world, breaker, run)).status_code == 500
    monkeypatch.undo()
    await world.put_merchant("shop", agent_limit_minor=5_000)
    done = await agree(world, breaker, run)
    assert done.status_code == 200
    assert outcomes(done)["approved", ""] >= 1
    assert await waiting(world, breaker) == []


async def test_items_and_shops_are_kept_apart(world: World) -> None:
    breaker = await stopped(world, cases=2)
    await world.put_merchant("other")
    [boss] = await world.hire("boss", role="lead", merchant_id="other")
    assert (await go_on(world, breaker, role=boss)).status_code == 404
    assert (await world.call("GET", f"{ADMIN}/breakers/{breaker}/runs", role=boss)).status_code == 404
    assert (await go_on(world, breaker, role="agent")).status_code == 403
    await world.ok("POST", f"{ADMIN}/breakers/{breaker}/close", role="lead", json={"why": "x"})
    later = await ask_all(world, [await world.order(lines=[line("L9")]) for _ in range(3)])
    assert later["breaker_open"] == 1
    newest = (await world.ok("GET", f"{ADMIN}/breakers", role="lead"))["breakers"][0]["breaker_id"]
    assert len(await waiting(world, newest)) == 1, "its own only"
    assert outcomes(await go_on(world, breaker)) == {("approved", ""): 2}
    assert len(await waiting(world, newest)) == 1
