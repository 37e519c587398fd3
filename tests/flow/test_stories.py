"""The stories of the trade from first contact to archive, over HTTP, with the outside world's own ledger."""

from datetime import timedelta
from typing import Any

import pytest

from tests.flow.test_situations import assert_nothing_broken, case_row, finish_return, told, units
from tests.world import World, line, shipment

TOO_SLOW = "手机说三天到，都第五天了物流一点消息没有，太慢了，我要取消订单退款"
CAKE = "生日蛋糕地址写错了，已经发货了，必须取消！孩子明天生日，急！"


async def parcel_moves(world: World, order_id: str, shipment_id: str, stage: str, **given: Any) -> None:
    """The shop tells us where the parcel is."""
    now = await world.now()
    body = {
        **shipment(shipment_id, stage=stage),
        "moved_at": now.isoformat(),
        "fed_at": now.isoformat(),
        **given,
    }
    await world.ok(
        "POST",
        f"/api/v1/orders/{order_id}/events",
        json={
            "event_id": f"{shipment_id}-{stage}-{now.timestamp()}",
            "kind": "parcel_moved",
            "at": now.isoformat(),
            "shipment": body,
        },
    )


async def ask(world: World, case_id: str, what: str, *, role: str = "agent", **body: Any) -> dict[str, Any]:
    return await world.ok("POST", f"/api/v1/desk/cases/{case_id}/{what}", role=role, json=body)


async def click(world: World, link: str, *, agree: bool, **given: Any) -> dict[str, Any]:
    """Whoever has the link opens it and answers, without any account."""
    path = f"/api/v1/links/{link.rsplit('/', 1)[1]}"
    opened = await world.client.get(path)
    assert opened.status_code == 200, opened.text
    assert opened.json()["is_open"] is True
    answered = await world.client.post(path, json={"agree": agree, **given})
    assert answered.status_code == 200, answered.text
    body: dict[str, Any] = answered.json()
    return body


async def events_of(world: World, case_id: str) -> list[str]:
    rows = await world.sql("SELECT event FROM case_events WHERE case_id = %s ORDER BY seq", case_id)
    return [row["event"] for row in rows]


# the phone ----------------------------------------------------------------------------------------------------------


async def phone_waits(world: World, *, behaviour: str = "recall_ok") -> tuple[str, str]:
    """Day five: the buyer calls, the agent looks at the parcel, offers to wait, and the buyer agrees by link."""
    order_id = await world.order(lines=[line(price=399_900, title="手机")], shipments=[shipment("S1")])
    await world.ask_sandbox(
        "waybills", {"connection": "sf", "no": "W-S1", "order_no": order_id, "behaviour": behaviour}
    )
    answer = await world.cancel(order_id, channel="hotline", text=TOO_SLOW)
    assert (answer["outcome"], answer["reason"]) == ("in_review", "SHIPPING_TOO_SLOW")
    case_id = answer["case_id"]
    await world.run()
    allowed = await world.ok("GET", f"/api/v1/desk/cases/{case_id}/offers", role="agent")
    assert allowed["offers"] == ["wait"]
    promised_at = (await world.now() + timedelta(days=2)).isoformat()
    offer = await ask(world, case_id, "offers", offer="wait", promised_at=promised_at, words="货已到广州分拨中心")
    await world.run()
    assert "offer_wait:q1" in await told(world, case_id)
    shown = await click(world, offer["link"], agree=True)
    assert (shown["state"], shown["is_open"]) == ("agreed", False)
    await world.run()
    row = await case_row(world, case_id)
    assert (row["state"], row["watch_for"]) == ("watching", "delivered")
    return order_id, case_id


async def test_the_phone_comes_as_promised_and_the_order_is_kept(world: World) -> None:
    order_id, case_id = await phone_waits(world)
    await world.pass_time(timedelta(days=1))
    await parcel_moves(world, order_id, "S1", "out_for_delivery")
    await world.run()
    assert (await case_row(world, case_id))["state"] == "watching", "on its way is not there yet"
    await parcel_moves(world, order_id, "S1", "delivered")
    await world.run(until="archived", case_id=case_id)
    row = await case_row(world, case_id)
    assert (row["outcome"], row["money_minor"]) == ("retained", 0) or row["outcome"] == "retained"
    assert await world.refunds(order_id) == []
    assert await units(world, order_id) == {"delivered": 1}
    assert {"waiting", "retained"} <= {fact.split(":")[0] for fact in await told(world, case_id)}
    assert await world.sql("SELECT FROM open_lines WHERE order_id = %s", order_id) == []
    await assert_nothing_broken(world)


async def test_the_phone_does_not_move_and_the_case_is_back_on_top_recalled_and_refunded(world: World) -> None:
    order_id, case_id = await phone_waits(world)
    other = (await world.cancel(await world.order(shipments=[shipment("S9")])))["case_id"]
    await world.pass_time(timedelta(days=2, minutes=1))
    await world.run()
    row = await case_row(world, case_id)
    assert (row["state"], row["rule"], row["answered_at"]) == ("review", "wait_in_vain", None)
    queue = await world.ok("GET", "/api/v1/desk/cases", role="agent")
    assert [c["case_id"] for c in queue["cases"]] == [case_id, other], "on top"
    assert row["respond_due_at"] > await world.now(), "a clock of its own"
    assert (await world.decide(case_id, "recall")).status_code == 200
    await finish_return(world, case_id)
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [399_900]
    assert (await case_row(world, case_id))["outcome"] == "cancelled"
    await assert_nothing_broken(world)


async def test_a_buyer_who_does_not_want_to_wait_any_longer_is_heard_at_once(world: World) -> None:
    order_id, case_id = await phone_waits(world)
    again = await world.cancel(order_id, channel="hotline", text="不等了，直接取消退款")
    assert (again["case_id"], again["outcome"]) == (case_id, "in_review")
    row = await case_row(world, case_id)
    assert (row["state"], row["watch_for"], row["priority"] >= 90) == ("review", None, True)
    assert "reconsidered" in await events_of(world, case_id)


@pytest.mark.rule("people.outgoing")
async def test_what_is_said_with_an_offer_is_read_like_any_word_to_a_buyer(world: World) -> None:
    case_id = (await world.cancel(await world.order(shipments=[shipment("S1")]), text=TOO_SLOW))["case_id"]
    soon = (await world.now() + timedelta(hours=5)).isoformat()
    said = await world.call(
        "POST",
        f"/api/v1/desk/cases/{case_id}/offers",
        role="agent",
        json={"offer": "wait", "promised_at": soon, "words": "保证今天一定送到"},
    )
    assert (said.status_code, said.json()["code"]) == (422, "text_not_allowed")
    assert (await world.dossier(case_id))["questions"] == []


async def test_only_one_offer_and_a_no_brings_the_case_back_on_top(world: World) -> None:
    order_id = await world.order(shipments=[shipment("S1")])
    case_id = (await world.cancel(order_id, channel="hotline", text=TOO_SLOW))["case_id"]
    soon = (await world.now() + timedelta(hours=5)).isoformat()
    offer = await ask(world, case_id, "offers", offer="wait", promised_at=soon)
    clocks = (await world.dossier(case_id))["clocks"]
    assert clocks["asked_until"] is not None, "the resolve clock stands still"
    await click(world, offer["link"], agree=False)
    row = await case_row(world, case_id)
    assert (row["state"], row["priority"] >= 90) == ("review", True)
    assert (await world.dossier(case_id))["clocks"]["asked_until"] is None
    second = await world.call(
        "POST", f"/api/v1/desk/cases/{case_id}/offers", role="agent", json={"offer": "wait", "promised_at": soon}
    )
    assert (second.status_code, second.json()["code"]) == (409, "one_offer_only")


@pytest.mark.parametrize(("stage", "expected"), [("picking", "executing"), ("in_transit", "review")])
async def test_silence_falls_back_as_the_policy_says(world: World, stage: str, expected: str) -> None:
    """In the house the cancellation is carried out; on the road a person decides, with the case on top."""
    given: dict[str, Any] = {"shipments": [shipment("S1")]} if stage == "in_transit" else {"released_stage": stage}
    soon = (await world.now() + timedelta(minutes=30)).isoformat()
    order_id = await world.order(planned_dispatch_at=soon, **given)
    case_id = (await world.cancel(order_id, channel="hotline", text=TOO_SLOW))["case_id"]
    promised = (await world.now() + timedelta(days=2)).isoformat()
    await ask(world, case_id, "offers", offer="wait", promised_at=promised, minutes=60)
    await world.pass_time(timedelta(minutes=61))
    from unwind.flow.strike import strike_due, strike_questions

    await strike_questions(world.services)
    await strike_due(world.services)
    assert (await case_row(world, case_id))["state"] == expected
    assert "question_silent" in await events_of(world, case_id)


async def test_a_dispatch_that_was_promised_and_missed_is_cancelled_without_asking(world: World) -> None:
    soon = (await world.now() + timedelta(minutes=30)).isoformat()
    order_id = await world.order(planned_dispatch_at=soon, released_stage="picking")
    case_id = (await world.cancel(order_id, channel="hotline", text=TOO_SLOW))["case_id"]
    promised = (await world.now() + timedelta(hours=6)).isoformat()
    offer = await ask(world, case_id, "offers", offer="faster_dispatch", promised_at=promised)
    await click(world, offer["link"], agree=True)
    await world.pass_time(timedelta(hours=6, minutes=1))
    await world.run(until="archived", case_id=case_id)
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]
    await assert_nothing_broken(world)


# the cake -----------------------------------------------------------------------------------------------------------


async def test_the_cake_to_its_end(world: World) -> None:
    """Wrong address, on its way, perishable: recall refused, cost shared with consent, half refunded with a second person's approval."""
    order_id = await world.order(
        lines=[line(price=26_800, perishable=True, title="生日蛋糕")], shipments=[shipment("S1")]
    )
    await world.ask_sandbox("waybills", {"connection": "sf", "no": "W-S1", "order_no": order_id, "behaviour": "refuse"})
    answer = await world.cancel(order_id, channel="hotline", reason="ADDRESS_ERROR", text=CAKE)
    case_id = answer["case_id"]
    row = await case_row(world, case_id)
    assert (row["rule"], row["priority"]) == ("perishable_past_dispatch", 100)
    assert row["respond_due_at"] - row["opened_at"] == timedelta(minutes=3)
    await ask(world, case_id, "claim")
    asked = await ask(world, case_id, "questions", audience="carrier", topic="can_stop", words="能不能拦下这个蛋糕？")
    await ask(
        world, case_id, f"questions/{asked['n']}/answer", agree=False, reference="call-0571-1", note="车已到站，拦不下"
    )

    plan = {
        "choice": "approve",
        "refund_on": "recall_confirmed",
        "reason_code": "cost_shared",
        "costs": [
            {"fee": "goods_loss", "amount_minor": 13_400, "bearer": "buyer"},
            {"fee": "goods_loss", "amount_minor": 13_400, "bearer": "merchant"},
        ],
    }
    first = await world.decide(case_id, "recall")
    assert first.status_code == 202, "not cancellable by rule: a second person even for the recall"
    assert (await world.agree_as_second(case_id)).status_code == 200
    await world.run()
    row = await case_row(world, case_id)
    assert (row["state"], row["rule"]) == ("review", "recall_failed")
    await parcel_moves(world, order_id, "S1", "delivered")
    await world.run()

    preview = await ask(world, case_id, "decisions/preview", **plan)
    [part] = preview["parts"]
    assert (part["paid_minor"], part["kept_minor"], part["returned_minor"]) == (26_800, 13_400, 13_400)
    assert [p["amount_minor"] for p in part["refund"]["payments"]] == [13_400]
    assert (preview["needs_consent"], "buyer_bears_cost" in preview["needs_second"]) == (True, True)
    assert await world.refunds(order_id) == [], "a preview does nothing"
    refused = await world.decide(case_id, **plan)
    assert (refused.status_code, refused.json()["code"]) == (409, "consent_needed")

    await ask(world, case_id, "claim")
    consent = await ask(world, case_id, "consents", how="link", **plan)
    await world.run()
    assert f"asked_consent:q{consent['n']}" in await told(world, case_id)
    shown = await click(world, consent["link"], agree=True)
    assert (shown["subject"]["paid_minor"], shown["subject"]["amount_minor"]) == (26_800, 13_400)
    other = {**plan, "costs": [{**plan["costs"][0], "amount_minor": 20_000}]}
    assert (await world.decide(case_id, **other)).json()["code"] == "consent_needed", "consent is for one plan only"
    assert (await world.decide(case_id, **plan)).status_code == 202
    assert await world.refunds(order_id) == []
    approved = await world.agree_as_second(case_id)
    assert approved.status_code == 200, approved.text
    await world.run(until="archived", case_id=case_id)
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [13_400]
    body = await world.dossier(case_id)
    assert [(c["fee"], c["amount_minor"], c["bearer"]) for c in body["costs"]] == [
        ("goods_loss", 13_400, "buyer"),
        ("goods_loss", 13_400, "merchant"),
    ]
    story = [(event["event"], event["actor"].partition(":")[0]) for event in body["timeline"]]
    for step in (
        ("question_asked", "agent"),
        ("question_answered", "agent"),
        ("needs_person", "system"),
        ("question_answered", "buyer"),
        ("question_answered", "lead"),
        ("approved", "lead"),
        ("told", "system"),
    ):
        assert step in story, f"{step} is missing from {story}"
    assert (await world.sql("SELECT kept_minor FROM orders WHERE order_id = %s", order_id)) == [{"kept_minor": 13_400}]
    await assert_nothing_broken(world)


async def test_nobody_is_their_own_second_person(world: World) -> None:
    order_id = await world.order(lines=[line(price=600_000)])
    case_id = (await world.cancel(order_id))["case_id"]
    seen = await world.dossier(case_id)
    body = {"choice": "approve", "case_version": seen["version"], "order_version": seen["order"]["version"]}
    path = f"/api/v1/desk/cases/{case_id}/decisions"
    assert (await world.call("POST", path, role="lead", json=body)).status_code == 202
    own = await world.agree_as_second(case_id, role="lead")
    assert (own.status_code, own.json()["code"]) == (403, "different_person_needed")
    assert await world.refunds(order_id) == []
    by_agent = await world.call("GET", "/api/v1/desk/approvals", role="agent")
    assert by_agent.status_code == 403
    [other] = await world.hire("lead-2", role="lead")
    assert (await world.agree_as_second(case_id, role=other)).status_code == 200
    await world.run(until="archived", case_id=case_id)
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [600_000]
    approved = next(e for e in (await world.dossier(case_id))["timeline"] if e["event"] == "approved")
    assert (approved["actor"], approved["data"]["first"]) == ("lead:lead-2", "lead:test-lead")


async def test_a_second_person_is_asked_about_the_plan_and_not_about_what_it_has_become(world: World) -> None:
    order_id = await world.order(lines=[line(price=600_000)], released_stage="picking")
    case_id = (await world.cancel(order_id))["case_id"]
    assert (await world.decide(case_id, "approve")).status_code == 202
    now = (await world.now()).isoformat()
    event = {"event_id": "e1", "kind": "stage_changed", "at": now, "stage": "packed"}
    await world.ok("POST", f"/api/v1/orders/{order_id}/events", json=event)
    late = await world.agree_as_second(case_id)
    assert (late.status_code, late.json()["code"]) == (409, "stale")
    refusing = await world.agree_as_second(case_id, agree=False)
    assert refusing.status_code == 200
    assert (await case_row(world, case_id))["state"] == "review"
    assert await world.refunds(order_id) == []


# asking others ------------------------------------------------------------------------------------------------------


@pytest.mark.rule("people.ask")
@pytest.mark.parametrize("how", ["silent", "refuses", "agrees"])
async def test_a_merchant_is_asked_by_link_and_does_not_stop_the_buyers_clock(world: World, how: str) -> None:
    soon = (await world.now() + timedelta(minutes=30)).isoformat()
    order_id = await world.order(planned_dispatch_at=soon, released_stage="packed")
    case_id = (await world.cancel(order_id))["case_id"]
    due_before = (await case_row(world, case_id))["respond_due_at"]
    asked = await ask(world, case_id, "questions", audience="merchant", topic="may_cancel", minutes=20)
    row = await case_row(world, case_id)
    assert (row["respond_due_at"], row["answered_at"]) == (due_before, None), "only the buyer's own answer counts"
    assert (await world.dossier(case_id))["clocks"]["asked_until"] is None
    if how == "silent":
        from unwind.flow.strike import strike_questions

        await world.pass_time(timedelta(minutes=11))
        await strike_questions(world.services)
        assert (await events_of(world, case_id))[-1] == "question_reminded"
        await world.pass_time(timedelta(minutes=10))
        await strike_questions(world.services)
    else:
        await click(world, asked["link"], agree=how == "agrees", note="仓库还没封箱", reference="DD-77")
    [question] = (await world.dossier(case_id))["questions"]
    assert question["state"] == {"silent": "silent", "refuses": "refused", "agrees": "agreed"}[how]
    assert question["on_silence"] == "agreed", "a merchant who does not answer has nothing against it"
    if how == "refuses":
        assert (question["answer_words"], question["evidence"]["reference"]) == ("仓库还没封箱", "DD-77")
        decided = await world.decide(case_id, "decline", reason_code="merchant_refused")
    else:
        decided = await world.decide(case_id, "approve", reason_code="merchant_agreed")
    assert decided.status_code == 200, decided.text
    await world.run(until="archived", case_id=case_id)
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == ([] if how == "refuses" else [1000])
    late = await world.client.post(f"/api/v1/links/{asked['link'].rsplit('/', 1)[1]}", json={"agree": True})
    assert (late.status_code, late.json()["code"]) == (409, "question_closed")
    await assert_nothing_broken(world)


@pytest.mark.rule("people.ask")
async def test_a_link_opens_one_question_and_nothing_else(world: World) -> None:
    order_id = await world.order(shipments=[shipment("S1")])
    case_id = (await world.cancel(order_id, text="我不想要了"))["case_id"]
    asked = await ask(world, case_id, "questions", audience="carrier", topic="can_stop")
    token = asked["link"].rsplit("/", 1)[1]
    shown = (await world.client.get(f"/api/v1/links/{token}")).json()
    text = str(shown)
    assert "13800001234" not in text
    assert "测试买家" not in text
    assert "不想要了" not in text
    payload, _, signature = token.rpartition(".")
    question_id, _, until = payload.rpartition(".")
    later = f"{question_id}.{int(until, 16) + 1:x}.{signature}"
    for forged in (f"{payload}.{'A' * 24}", payload, f"{payload}x.{signature}", later, "ul_", "x", f"{token}é"):
        answer = await world.client.post(f"/api/v1/links/{forged}", json={"agree": True})
        assert answer.status_code == 404, forged
    as_key = await world.call("GET", "/api/v1/desk/cases", role=token)
    assert as_key.status_code == 401
    assert (await world.dossier(case_id))["questions"][0]["state"] == "open"


# appeals ------------------------------------------------------------------------------------------------------------


@pytest.mark.rule("people.no_dead_end")
async def test_an_appeal_is_decided_by_a_different_person(world: World) -> None:
    soon = (await world.now() + timedelta(minutes=30)).isoformat()
    order_id = await world.order(planned_dispatch_at=soon, released_stage="packed")
    case_id = (await world.cancel(order_id))["case_id"]
    assert (await world.decide(case_id, "decline", reason_code="too_late")).status_code == 200
    await world.run(until="archived", case_id=case_id)
    appealed = await world.ok(
        "POST", f"/api/v1/cancellations/{case_id}/appeal", json={"text": "商家说还没封箱，可以取消"}
    )
    appeal_id = appealed["case_id"]
    assert (appeal_id != case_id, appealed["outcome"]) == (True, "in_review")
    again = await world.ok("POST", f"/api/v1/cancellations/{case_id}/appeal", json={"text": "再问一次"})
    assert again["case_id"] == appeal_id, "never a second one"
    row = await case_row(world, appeal_id)
    assert (row["appeal_of"], row["barred"], row["rule"]) == (case_id, ["test-agent"], "appeal")
    assert row["respond_due_at"] is not None, "a clock of its own"
    await world.run()
    own = await world.decide(appeal_id, "approve")
    assert (own.status_code, own.json()["code"]) == (403, "different_person_needed")
    assert (await world.ok("POST", "/api/v1/desk/claims/next", role="agent"))["case_id"] is None
    claim = await world.call("POST", f"/api/v1/desk/cases/{appeal_id}/claim", role="agent", json={})
    assert (claim.status_code, claim.json()["code"]) == (403, "different_person_needed")
    [other] = await world.hire("agent-2")
    assert (await world.ok("POST", "/api/v1/desk/claims/next", role=other))["case_id"] == appeal_id
    seen = await world.dossier(appeal_id)
    body = {"choice": "approve", "case_version": seen["version"], "order_version": seen["order"]["version"]}
    await world.ok("POST", f"/api/v1/desk/cases/{appeal_id}/decisions", role=other, json=body)
    await world.run(until="archived", case_id=appeal_id)
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]
    assert (await case_row(world, case_id))["state"] == "archived", "the first case stays as it was"
    await assert_nothing_broken(world)


@pytest.mark.rule("people.no_dead_end")
async def test_an_automatic_decline_may_be_taken_to_a_person_and_a_decided_appeal_not_again(world: World) -> None:
    order_id = await world.order(shipments=[shipment("S1", stage="delivered")])
    answer = await world.cancel(order_id, reason="CHANGED_MIND")
    assert answer["outcome"] == "declined"
    await world.run()
    case_id = answer["case_id"]
    appeal_id = (await world.ok("POST", f"/api/v1/cancellations/{case_id}/appeal", json={"text": "想请人工看一下"}))[
        "case_id"
    ]
    assert (await world.decide(appeal_id, "decline", reason_code="delivered")).status_code == 200
    await world.run(until="archived", case_id=appeal_id)
    third = await world.call("POST", f"/api/v1/cancellations/{appeal_id}/appeal", json={"text": "不服"})
    assert (third.status_code, third.json()["code"]) == (409, "appeal_decided")
    still = await world.call("POST", f"/api/v1/cancellations/{await retained_case(world)}/appeal", json={})
    assert (still.status_code, still.json()["code"]) == (409, "not_declined")


async def retained_case(world: World) -> str:
    order_id = await world.order(shipments=[shipment("S7")])
    case_id = str((await world.cancel(order_id))["case_id"])
    assert (await world.decide(case_id, "keep", reason_code="buyer_keeps")).status_code == 200
    await world.run(until="archived", case_id=case_id)
    assert (await case_row(world, case_id))["outcome"] == "retained"
    return case_id


# signed, not received -----------------------------------------------------------------------------------------------


@pytest.mark.rule("people.facts_decline")
@pytest.mark.parametrize("has_proof", [False, True])
async def test_signed_but_not_received_is_never_declined_by_itself(world: World, *, has_proof: bool) -> None:
    """The carrier is asked for the proof by link; without one the money goes back and the carrier bears it."""
    order_id = await world.order(shipments=[shipment("S1", stage="delivered")])
    answer = await world.cancel(order_id, channel="hotline", text="物流显示已签收，可是我根本没收到货，要退款")
    assert (answer["outcome"], answer["rule"]) == ("in_review", "signed_not_received")
    case_id = answer["case_id"]
    asked = await ask(world, case_id, "questions", audience="carrier", topic="proof_of_delivery")
    note = "签收底单有本人签名" if has_proof else "快递员放在门口，没有签名"
    await click(world, asked["link"], agree=has_proof, note=note, reference="POD-9")
    if has_proof:
        decided = await world.decide(case_id, "decline", reason_code="proof_of_delivery")
    else:
        preview = await ask(world, case_id, "decisions/preview", choice="approve")
        assert preview["default_bearer"] == "carrier"
        cost = {"fee": "goods_loss", "amount_minor": 1000, "bearer": "carrier"}
        decided = await world.decide(case_id, "approve", costs=[cost], reason_code="no_proof")
    assert decided.status_code == 200, decided.text
    await world.run(until="archived", case_id=case_id)
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == ([] if has_proof else [1000])
    if has_proof:
        appealed = await world.call("POST", f"/api/v1/cancellations/{case_id}/appeal", json={"text": "签名不是我的"})
        assert appealed.status_code == 201, "a decline is no dead end"
    else:
        assert [c["bearer"] for c in (await world.dossier(case_id))["costs"]] == ["carrier"]
    await assert_nothing_broken(world)
