"""Trust before automation: what the policy would have done against what people did; caps and breakers; what is switched off."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from tests.world import World, line
from unwind.domain.case import Verdict
from unwind.domain.trust import Judged, Thresholds, compare, wilson_lower_bound
from unwind.storage.trust import lock_merchant

ADMIN = "/api/v1/admin"


async def automation(world: World, merchant_id: str, **given: Any) -> Any:
    role = given.pop("role", "lead")
    body = {"why": "checked", **given}
    return await world.call("POST", f"{ADMIN}/automation/{merchant_id}", role=role, json=body)


async def limit(world: World, merchant_id: str = "shop", **limits: int) -> None:
    await world.ok("PUT", f"{ADMIN}/automation/{merchant_id}/limits", role="admin", json={"why": "sale", **limits})


async def period(world: World) -> dict[str, str]:
    now = await world.now()
    return {"from": (now - timedelta(days=1)).isoformat(), "to": (now + timedelta(minutes=1)).isoformat()}


async def history(world: World, *, agreeing: int, declined: int = 0, kept: int = 0, withdrawn: int = 0) -> list[str]:
    """A shop in shadow whose people decide by hand. Returns the cases they decided otherwise."""
    await world.put_merchant("careful", automation="shadow")
    otherwise = []
    for choice, times in (("approve", agreeing), ("decline", declined), ("keep", kept), ("withdraw", withdrawn)):
        for _ in range(times):
            order_id = await world.order(merchant_id="careful")
            case_id = (await world.cancel(order_id))["case_id"]
            if choice == "withdraw":
                await world.ok("POST", f"/api/v1/cancellations/{case_id}/withdraw")
                continue
            decided = await world.decide(case_id, choice)
            assert decided.is_success, decided.text
            if choice != "approve":
                otherwise.append(case_id)
    return sorted(otherwise)


@pytest.mark.rule("operations.trust")
async def test_shadow_counts_how_often_people_did_what_the_policy_would_have_done(world: World) -> None:
    otherwise = await history(world, agreeing=3, declined=1, kept=1, withdrawn=1)
    parts = await world.sql("SELECT DISTINCT rule, verdict, policy_rule, policy_verdict FROM case_parts")
    assert parts == [
        {
            "rule": "automation_shadow",
            "verdict": "review",
            "policy_rule": "by_stage",
            "policy_verdict": "auto",
        }
    ]
    path = f"{ADMIN}/automation/careful/report"
    report = await world.ok("GET", path, role="lead", params=await period(world))
    [rule] = report["rules"]
    assert (rule["rule"], rule["cases"], rule["decided"], rule["agreed"]) == ("by_stage", 6, 5, 3)
    assert (rule["withdrawn"], rule["waiting"], rule["minor"]) == (1, 0, 6000)
    assert (rule["agreement"], rule["disagreed"]) == (0.6, otherwise)
    assert rule["choices"] == {"approve": 3, "decline": 1, "keep": 1}
    assert rule["why_not_ready"] == ["too_few_cases", "too_little_agreement", "not_proven"]
    assert report["is_ready"] is False
    assert await world.sql("SELECT FROM automation_reports") == []


async def test_a_case_the_policy_itself_gives_to_a_person_is_no_evidence(world: World) -> None:
    await world.put_merchant("careful", automation="shadow")
    dear = await world.order(merchant_id="careful", lines=[line(price=600_000)])
    await world.cancel(dear)
    report = await world.ok("GET", f"{ADMIN}/automation/careful/report", role="admin", params=await period(world))
    assert (report["all"]["cases"], report["rules"]) == (0, [])


def judged(did: str, n: int = 0) -> Judged:
    return Judged(case_id=f"c{n}", rule="r", would=Verdict.AUTO, did=did, is_withdrawn=False, minor=1)


def test_the_lower_bound_is_wilsons() -> None:
    assert wilson_lower_bound(0, 0) == 0.0
    assert wilson_lower_bound(50, 50) == pytest.approx(0.92865, abs=1e-4)
    assert wilson_lower_bound(49, 50) == pytest.approx(0.89505, abs=1e-4)
    assert wilson_lower_bound(0, 10) == 0.0


def test_ready_is_enough_cases_and_enough_agreement() -> None:
    limits = Thresholds(decided_at_least=50, agreement_at_least=0.98, lower_bound_at_least=0.9)
    for yes, no, why in (
        (50, 0, ()),
        (99, 1, ()),
        (49, 0, ("too_few_cases",)),
        (49, 1, ("not_proven",)),
        (97, 3, ("too_little_agreement",)),
        (0, 0, ("too_few_cases", "not_proven")),
    ):
        told = [judged("approve", n) for n in range(yes)] + [judged("decline", yes + n) for n in range(no)]
        assert compare(told, limits)[0].why_not_ready[:1] == why[:1], (yes, no)
        assert compare(told, limits)[0].is_ready is (not why)
    with_deduction = compare([judged("approve_with_deduction")], limits)[0]
    assert (with_deduction.decided, with_deduction.agreed) == (1, 0)


async def test_upwards_needs_a_fresh_report_and_downwards_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = Thresholds(decided_at_least=3, agreement_at_least=0.98, lower_bound_at_least=0.3)
    monkeypatch.setattr("unwind.flow.trust.thresholds", lambda: few)
    await history(world, agreeing=2)
    params = await period(world)
    refused = await automation(world, "careful", level="confirm")
    assert (refused.status_code, refused.json()["code"]) == (409, "report_needed")
    reports = f"{ADMIN}/automation/careful/reports"
    await world.ok("POST", reports, role="lead", params=params)
    refused = await automation(world, "careful", level="confirm")
    assert (refused.status_code, refused.json()["code"]) == (409, "report_not_ready")
    await history(world, agreeing=1)
    kept = await world.ok("POST", reports, role="lead", params=await period(world))
    assert kept["is_ready"]
    await world.pass_time(timedelta(hours=25))
    assert (await automation(world, "careful", level="auto")).json()["code"] == "report_needed"
    kept = await world.ok("POST", reports, role="lead", params={**params, "to": (await world.now()).isoformat()})
    done = await automation(world, "careful", level="auto", why="report of today")
    assert (done.status_code, done.json()["level"]) == (200, "auto")
    assert (await automation(world, "careful", level="shadow", why="odd refunds")).json()["level"] == "shadow"
    seen = await world.ok("GET", f"{ADMIN}/automation/careful", role="lead")
    assert [(c["from_level"], c["to_level"], c["why"], c["by"], c["report_id"]) for c in seen["changes"]] == [
        ("auto", "shadow", "odd refunds", "lead:test-lead", None),
        ("shadow", "auto", "report of today", "lead:test-lead", kept["report_id"]),
    ]
    await world.put_merchant("careful", automation="auto")
    assert (await world.ok("GET", f"{ADMIN}/automation/careful", role="lead"))["level"] == "shadow"
    with pytest.raises(Exception, match=r"append-only|never"):
        await world.sql("UPDATE automation_changes SET why = 'x'")


async def test_without_proof_it_takes_two_different_people(world: World) -> None:
    await world.put_merchant("careful", automation="shadow")
    proposed = await automation(world, "careful", level="auto", without_proof=True)
    assert (proposed.status_code, proposed.json()["level"]) == (202, "shadow")
    path = f"{ADMIN}/automation/careful/changes/{proposed.json()['change_id']}/agree"
    order_id = await world.order(merchant_id="careful")
    assert (await world.cancel(order_id))["rule"] == "automation_shadow"
    same = await world.call("POST", path, role="lead", json={"why": "me again"})
    assert (same.status_code, same.json()["code"]) == (403, "different_person_needed")
    assert (await world.ok("POST", path, role="admin", json={"why": "agreed"}))["level"] == "auto"
    again = await world.call("POST", path, role="admin", json={"why": "twice"})
    assert again.json()["code"] == "question_closed"
    assert (await world.cancel(await world.order(merchant_id="careful")))["rule"] == "by_stage"


async def ask_all(world: World, orders: list[str]) -> Counter[str]:
    gate = asyncio.Semaphore(12)

    async def ask(order_id: str) -> str:
        async with gate:
            return str((await world.cancel(order_id))["rule"])

    return Counter(await asyncio.gather(*(ask(order_id) for order_id in orders)))


@pytest.mark.rule("operations.trust")
async def test_a_mispriced_item_stops_after_the_configured_number_and_a_person_goes_on(world: World) -> None:
    """500 buyers of one item ask within minutes; 40 are returned automatically, not one more; the rest waits for people."""
    await limit(world, sku_velocity_refunds=40, velocity_minutes=60)
    orders = [await world.order() for _ in range(500)]
    rules = await ask_all(world, orders)
    assert rules == {"by_stage": 40, "breaker_open": 460}
    other = await world.order(lines=[line("L9")])
    assert (await world.cancel(other))["rule"] == "by_stage", "other items go on"
    [breaker] = (await world.ok("GET", f"{ADMIN}/breakers", role="lead"))["breakers"]
    assert (breaker["sku"], breaker["cause"], breaker["counted"], breaker["allowed"]) == (
        "SKU-L1",
        "sku_velocity",
        41,
        40,
    )
    alerts = (await world.ok("GET", f"{ADMIN}/alerts", role="admin"))["alerts"]
    assert [(a["kind"], a["code"], a["times"]) for a in alerts] == [("breaker_open", "shop:SKU-L1:sku_velocity", 460)]
    [waiting] = await world.sql("SELECT case_id FROM cases WHERE rule = 'breaker_open' ORDER BY opened_at LIMIT 1")
    assert (await world.decide(waiting["case_id"], "approve")).is_success
    await world.run(until="archived", case_id=waiting["case_id"])
    assert await world.sql("SELECT count(*) AS n FROM refunds WHERE state IN ('reserved', 'sent', 'final')") == [
        {"n": 42}
    ]
    path = f"{ADMIN}/breakers/{breaker['breaker_id']}/close"
    assert (await world.call("POST", path, role="agent", json={"why": "x"})).status_code == 403
    await world.ok("POST", path, role="lead", json={"why": "price corrected"})
    assert (await world.call("POST", path, role="lead", json={"why": "x"})).json()["code"] == "breaker_closed"
    assert (await world.cancel(await world.order()))["rule"] == "by_stage", "counted anew"
    assert (await world.ok("GET", f"{ADMIN}/alerts", role="admin"))["alerts"] == []
    events = await world.sql("SELECT what, actor, why FROM trust_events ORDER BY event_id")
    assert events[-1] == {"what": "breaker_closed", "actor": "lead:test-lead", "why": "price corrected"}
    go = f"{ADMIN}/breakers/{breaker['breaker_id']}"
    run = await world.ok("POST", f"{go}/continue", role="lead", json={"why": "price corrected, these are right"})
    assert (run["waits_for_second"], run["minor"], run["is_more"]) == (False, 459_000, False)
    assert Counter(case["outcome"] for case in run["cases"]) == {"approved": 459}
    assert (await world.ok("GET", f"{go}/runs", role="lead"))["waiting"] == 0
    assert await world.sql(
        "SELECT count(*) AS n, sum(amount_minor)::bigint AS minor FROM refunds WHERE state IN ('reserved', 'sent', 'final')"
    ) == [{"n": 502, "minor": 502_000}], "five hundred, the other item and the one of afterwards: each once"
    decided = await world.sql(
        "SELECT count(DISTINCT case_id) AS n FROM case_events WHERE actor = 'lead:test-lead' AND data->>'reason' = 'breaker_continued'"
    )
    assert decided == [{"n": 459}], "each in its own history"


@pytest.mark.rule("operations.trust")
@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"refunds_per_day": 7}, 7),
        ({"minor_per_day": 7999}, 7),
        ({"sku_refunds_per_day": 5}, 5),
        ({"velocity_refunds": 6}, 6),
        ({"refunds_per_day": 0}, 0),
    ],
)
async def test_never_one_above_the_cap_however_many_ask_at_once(
    world: World, limits: dict[str, int], expected: int
) -> None:
    await limit(world, **limits)
    rules = await ask_all(world, [await world.order() for _ in range(24)])
    assert rules["by_stage"] == expected, rules
    assert sum(rules.values()) == 24
    [counted] = await world.sql("SELECT coalesce(sum(refunds), 0) AS n FROM automatic_days WHERE sku = ''")
    assert counted["n"] == expected


async def test_a_new_day_of_the_shop_begins_anew(world: World) -> None:
    await limit(world, refunds_per_day=1)
    assert (await world.cancel(await world.order()))["rule"] == "by_stage"
    assert (await world.cancel(await world.order()))["rule"] == "cap_reached"
    await world.pass_time(timedelta(days=1))
    assert (await world.cancel(await world.order()))["rule"] == "by_stage"


async def test_far_above_the_usual_rate_opens_the_breaker(world: World) -> None:
    await limit(world, usual_times=3, usual_at_least=4, velocity_minutes=1440)
    assert (await ask_all(world, [await world.order() for _ in range(7)])) == {"by_stage": 7}
    await world.pass_time(timedelta(days=2))
    rules = await ask_all(world, [await world.order() for _ in range(10)])
    assert rules == {"by_stage": 4, "breaker_open": 6}, "one a day is usual; three times that, at least four"
    assert (await world.sql("SELECT cause FROM breakers"))[0]["cause"] == "far_above_usual"


async def test_what_returns_no_money_is_not_counted(world: World) -> None:
    await limit(world, refunds_per_day=1)
    for _ in range(3):
        assert (await world.cancel(await world.order(paid=False)))["outcome"] == "cancelled"
    assert await world.sql("SELECT FROM automatic_totals") == []
    declined = await world.order(lines=[line(price=600_000)])
    assert (await world.cancel(declined))["outcome"] == "in_review"
    assert await world.sql("SELECT FROM automatic_totals") == []


async def switch(world: World, kind: str, **given: str) -> Any:
    body = {"kind": kind, "why": "gateway trouble", **given}
    return await world.ok("POST", f"{ADMIN}/leg-switches", role="admin", json=body)


async def leg(world: World, case_id: str, kind: str) -> dict[str, Any]:
    [row] = await world.sql("SELECT * FROM legs WHERE case_id = %s AND kind = %s", case_id, kind)
    return row


@pytest.mark.rule("operations.trust")
async def test_a_switched_off_step_waits_in_sight_and_goes_on_when_it_is_lifted(world: World) -> None:
    off = await switch(world, "refund")
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    held = await leg(world, case_id, "refund")
    assert (held["state"], held["code"], held["attempts"]) == ("planned", "switched_off", 0)
    assert (await world.refunds(order_id), (await world.dossier(case_id))["state"]) == ([], "executing")
    [shown] = (await world.ok("GET", f"{ADMIN}/leg-switches", role="lead"))["switches"]
    assert (shown["kind"], shown["off_by"], shown["why"], shown["waiting"]) == (
        "refund",
        "admin:test-admin",
        "gateway trouble",
        1,
    )
    path = f"{ADMIN}/leg-switches/{off['switch_id']}/lift"
    assert (await world.ok("POST", path, role="admin", json={"why": "mended"}))["resumed"] == 1
    await world.run(until="archived", case_id=case_id)
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]
    assert (await world.call("POST", path, role="admin", json={"why": "x"})).json()["code"] == "nothing_to_change"
    told = await world.sql("SELECT what, actor, why FROM trust_events ORDER BY event_id")
    assert [(t["what"], t["why"]) for t in told] == [("switched_off", "gateway trouble"), ("switched_on", "mended")]


async def test_after_the_usual_patience_a_person_hears_of_it_and_cannot_get_round_it(world: World) -> None:
    await switch(world, "refund", connection="wxpay")
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    await world.pass_time(world.services.pace.parked + timedelta(seconds=1))
    await world.run()
    seen = await world.dossier(case_id)
    assert (seen["state"], seen["parts"][0]["rule"]) == ("review", "switched_off")
    assert (await world.decide(case_id, "approve")).is_success
    await world.run()
    assert (await leg(world, case_id, "refund"))["code"] == "switched_off"
    assert await world.refunds(order_id) == []
    assert (await world.dossier(case_id))["state"] == "executing", "it waits again, with patience from now"
    [row] = await world.sql("SELECT switch_id FROM leg_switches")
    await world.ok("POST", f"{ADMIN}/leg-switches/{row['switch_id']}/lift", role="admin", json={"why": "mended"})
    await world.run(until="archived", case_id=case_id)
    assert len(await world.refunds(order_id)) == 1


async def test_other_connections_and_other_merchants_go_on(world: World) -> None:
    await world.put_merchant("other")
    await switch(world, "refund", connection="alipay")
    await switch(world, "refund", merchant_id="other")
    case_id = (await world.cancel(await world.order()))["case_id"]
    await world.run(until="archived", case_id=case_id)
    theirs = (await world.cancel(await world.order(merchant_id="other")))["case_id"]
    await world.run()
    assert (await leg(world, theirs, "refund"))["code"] == "switched_off"


async def test_what_has_left_is_asked_about_but_not_said_again(world: World) -> None:
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    await switch(world, "refund")
    await world.run()
    await world.sql(
        "UPDATE legs SET state = 'claimed', number = 'R1', next_try_at = NULL, due_at = NULL, code = '' WHERE case_id = %s AND kind = 'refund'",
        case_id,
    )
    await world.sql("UPDATE cases SET next_check_at = unwind_now() WHERE case_id = %s", case_id)
    await world.run()
    held = await leg(world, case_id, "refund")
    assert (held["state"], held["code"]) == ("unknown", "switched_off")
    assert await world.refunds(order_id) == []


async def test_steps_of_our_own_wait_too(world: World) -> None:
    await switch(world, "release_stock")
    case_id = (await world.cancel(await world.order()))["case_id"]
    await world.run()
    assert (await leg(world, case_id, "release_stock"))["code"] == "switched_off"
    [row] = await world.sql("SELECT switch_id FROM leg_switches")
    await world.ok("POST", f"{ADMIN}/leg-switches/{row['switch_id']}/lift", role="admin", json={"why": "ok"})
    await world.run(until="archived", case_id=case_id)


@pytest.mark.rule("operations.backlog")
async def test_whoever_waits_is_told_their_place_and_that_asking_again_changes_nothing(world: World) -> None:
    dear = [line(price=600_000)]
    buyer = {"phone": "13800001111", "name": "李雷"}
    first = (await world.cancel(await world.order(lines=dear)))["case_id"]
    order_id = await world.order(lines=dear, buyer=buyer)
    second = (await world.cancel(order_id, channel="hotline"))["case_id"]
    await world.run()
    seen = await world.ok("GET", f"/api/v1/cancellations/{second}")
    assert seen["queue"]["place"] == 2
    assert "无需再次联系" in seen["queue"]["note"]["zh"]
    assert any("排在第2位,无需再次联系" in text for text in await world.texts(to="13800001111"))
    assert (await world.decide(first, "decline")).is_success
    assert (await world.ok("GET", f"/api/v1/cancellations/{second}"))["queue"]["place"] == 1
    assert "queue" not in await world.ok("GET", f"/api/v1/cancellations/{first}")


async def test_who_only_looks_waits_for_nobody(world: World) -> None:
    """A breaker that opens, or a limit that is just being set, holds the merchant's row: that keeps no page and no report waiting."""
    when = await period(world)
    async with world.services.database.transaction() as conn:
        await lock_merchant(conn, "shop")
        async with asyncio.timeout(5):
            await world.ok("GET", f"{ADMIN}/automation/shop", role="lead")
            await world.ok("POST", f"{ADMIN}/automation/shop/reports", role="lead", params=when)
