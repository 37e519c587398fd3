"""Every situation the trade knows, through the HTTP interface: database, the outside world's own ledger and messages are checked."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.world import World, line, payment, shipment


async def units(world: World, order_id: str, line_id: str = "L1") -> dict[str, int]:
    body = await world.ok("GET", f"/api/v1/orders/{order_id}")
    found = next(ln for ln in body["lines"] if ln["line_id"] == line_id)
    return dict(found["units"])


async def free_units(world: World, sku: str, pool: str = "normal") -> int:
    rows = await world.sql("SELECT available FROM stock WHERE sku = %s AND pool = %s", sku, pool)
    return int(rows[0]["available"])


async def told(world: World, case_id: str) -> list[str]:
    rows = await world.sql(
        "SELECT fact, state FROM messages WHERE case_id = %s AND audience = 'buyer' ORDER BY fact", case_id
    )
    assert all(row["state"] == "sent" for row in rows), rows
    return [row["fact"] for row in rows]


async def case_row(world: World, case_id: str) -> dict[str, Any]:
    return (await world.sql("SELECT * FROM cases WHERE case_id = %s", case_id))[0]


async def assert_nothing_broken(world: World) -> None:
    from unwind.doctor import examine

    async with world.services.database.survey() as conn:
        assert await examine(conn, world.services.vault) == []
    assert (await world.violations())["violations"] == []


async def in_hours(world: World, hours: float) -> str:
    return (await world.now() + timedelta(hours=hours)).isoformat()


# unpaid -------------------------------------------------------------------------------------------------------------


@pytest.mark.rule("goods.pools")
async def test_unpaid_is_cancelled_at_once_and_everything_comes_back(world: World) -> None:
    """The backpack: limited stock, unpaid; one transaction, stock back by one, 取消成功, no human."""
    await world.ok("PUT", "/api/v1/stock", role="admin", json=[{"sku": "BAG", "pool": "limited", "available": 5}])
    order_id = await world.order(
        paid=False,
        lines=[line(sku="BAG", pool="limited")],
        benefits=[
            {"benefit_id": "c1", "kind": "coupon", "account": "coupon:C1", "amount": 1},
            {"benefit_id": "q1", "kind": "quota", "account": "quota:BAG:buyer-1", "amount": 1, "line_id": "L1"},
            {"benefit_id": "p1", "kind": "points", "account": "points:buyer-1", "amount": 300},
        ],
    )
    assert await free_units(world, "BAG", "limited") == 4
    answer = await world.cancel(order_id, reason="CHANGED_MIND")
    assert (answer["outcome"], answer["state"], answer["rule"]) == ("cancelled", "archived", "unpaid")
    assert await free_units(world, "BAG", "limited") == 5
    assert await units(world, order_id) == {"restocked": 1}
    accounts = await world.sql("SELECT account, balance FROM benefit_accounts ORDER BY account")
    assert {row["account"]: row["balance"] for row in accounts} == {
        "coupon:C1": 1,
        "points:buyer-1": 300,
        "quota:BAG:buyer-1": 1,
    }
    assert await told(world, answer["case_id"]) == ["cancelled_unpaid"]
    row = await case_row(world, answer["case_id"])
    assert row["first_human_at"] is None
    assert (await world.sql("SELECT count(*) AS n FROM case_events WHERE event = 'closed_at_once'"))[0]["n"] == 1
    assert (await world.sql("SELECT count(DISTINCT xmin::text) AS n FROM case_events"))[0]["n"] == 1
    await assert_nothing_broken(world)


async def test_unpaid_with_a_payment_attempt_closes_the_trade_behind_it(world: World) -> None:
    order_id = await world.order(payments=[payment("A1", 1000, state="created")], order_id="A1")
    answer = await world.cancel(order_id)
    assert answer["outcome"] == "cancelled"
    assert (await world.ok("GET", f"/api/v1/orders/{order_id}"))["is_cancelled"]
    await world.run(until="archived", case_id=answer["case_id"])
    trades = (await world.ledger())["trades"]
    assert [trade["state"] for trade in trades] == ["CLOSED"]
    assert await told(world, answer["case_id"]) == ["cancelled:1"]
    await assert_nothing_broken(world)


async def test_payment_that_wins_the_race_is_returned_by_an_aftermath_case(world: World) -> None:
    order_id = await world.order(
        order_id="A2", payments=[payment("A2", 1000, state="created")], trades={"P-A2-wxpay": "PAID"}
    )
    answer = await world.cancel(order_id)
    assert answer["outcome"] == "cancelled"
    await world.run(until="archived", case_id=answer["case_id"])
    rows = await world.sql("SELECT case_id, rule, parent_case_id FROM cases WHERE kind = 'aftermath'")
    assert [(row["rule"], row["parent_case_id"]) for row in rows] == [("late_payment", answer["case_id"])]
    await world.run(until="archived", case_id=rows[0]["case_id"])
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]
    assert await told(world, rows[0]["case_id"]) == ["refund_done:1"]
    await assert_nothing_broken(world)


async def test_payment_reported_after_the_case_was_sealed_is_returned(world: World) -> None:
    order_id = await world.order(paid=False)
    answer = await world.cancel(order_id)
    assert answer["state"] == "archived"
    await world.ask_sandbox(
        "trades",
        {
            "connection": "alipay",
            "trade_no": "LATE",
            "amount_minor": 1000,
            "currency": "CNY",
            "state": "PAID",
            "order_no": order_id,
        },
    )
    late = payment(order_id, 1000, connection="alipay", method="alipay", trade_no="LATE")
    event = {"event_id": "e1", "kind": "payment_captured", "at": await in_hours(world, 0), "payment": late}
    for expected in (True, False):
        assert (await world.ok("POST", f"/api/v1/orders/{order_id}/events", json=event))["applied"] is expected
    row = (await world.sql("SELECT case_id FROM cases WHERE kind = 'aftermath'"))[0]
    await world.run(until="archived", case_id=row["case_id"])
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]
    await assert_nothing_broken(world)


async def test_unpaid_past_its_time_limit_is_closed_by_the_system(world: World) -> None:
    from unwind.flow.timeout import close_unpaid

    await world.ok("PUT", "/api/v1/stock", role="admin", json=[{"sku": "SKU-L1", "available": 9}])
    soon = await in_hours(world, 0.5)
    late = [await world.order(paid=False, pay_by=soon) for _ in range(3)]
    kept = await world.order(paid=False, pay_by=await in_hours(world, 2))
    paid = await world.order(pay_by=soon)
    await world.pass_time(timedelta(hours=1))
    assert await close_unpaid(world.services) == 3
    assert await close_unpaid(world.services) == 0
    rows = await world.sql("SELECT order_id, channel, state, rule FROM cases ORDER BY order_id")
    assert [(r["order_id"], r["channel"], r["state"], r["rule"]) for r in rows] == [
        (order_id, "timeout", "archived", "unpaid_time_limit") for order_id in late
    ]
    assert await free_units(world, "SKU-L1") == 9 - 2
    for order_id in (kept, paid):
        assert not (await world.ok("GET", f"/api/v1/orders/{order_id}"))["is_cancelled"]
    await assert_nothing_broken(world)


@pytest.mark.parametrize("promise", ["cash_on_delivery", "pay_later"])
async def test_promised_payment_is_treated_by_stage_without_refund(world: World, promise: str) -> None:
    order_id = await world.order(paid=False, promise=promise, released_stage="picking")
    answer = await world.cancel(order_id)
    assert (answer["outcome"], answer["rule"]) == ("cancelling", "promised_in_house")
    await world.run(until="archived", case_id=answer["case_id"])
    assert await told(world, answer["case_id"]) == ["cancelled:1"]
    assert await units(world, order_id) == {"restocked": 1}
    assert [h["state"] for h in (await world.ledger())["outbound"]] == ["CANCELLED"]

    moving = await world.order(paid=False, promise=promise, shipments=[shipment("S-cod")])
    answer = await world.cancel(moving)
    assert (answer["outcome"], answer["rule"]) == ("in_review", "shipped")
    assert (await world.ledger())["trades"] == []
    await world.run()
    await assert_nothing_broken(world)


# captured, in the house ---------------------------------------------------------------------------------------------


async def test_inside_the_window_hold_then_refund_every_payment_by_its_own_route(world: World) -> None:
    order_id = await world.order(
        order_id="W1",
        lines=[line(price=10000), line("L2", price=5000)],
        released_stage="released",
        planned_dispatch_at=await in_hours(world, 5),
        payments=[
            payment("W1", 9000),
            payment("W1", 4000, connection="alipay", method="alipay"),
            payment("W1", 2000, connection="local", method="points", returns_as="restore", funder="points"),
        ],
        benefits=[{"benefit_id": "c1", "kind": "coupon", "account": "coupon:C1", "amount": 1}],
        trades={},
    )
    answer = await world.cancel(order_id)
    assert (answer["outcome"], answer["rule"]) == ("cancelling", "inside_window")
    assert {p["method"]: p["amount_minor"] for p in answer["refund"]["payments"]} == {
        "wechat": 9000,
        "alipay": 4000,
        "points": 2000,
    }
    assert "1-3个工作日" in next(p for p in answer["refund"]["payments"] if p["method"] == "alipay")["estimate"]["zh"]
    await world.run(until="archived", case_id=answer["case_id"])
    refunds = {r["connection"]: r["amount_minor"] for r in await world.refunds(order_id)}
    assert refunds == {"wxpay": 9000, "alipay": 4000}
    balances = {r["account"]: r["balance"] for r in await world.sql("SELECT account, balance FROM benefit_accounts")}
    assert balances == {"coupon:C1": 1, "points:buyer-1": 2000}
    events = await world.sql("SELECT event, data FROM case_events WHERE case_id = %s ORDER BY seq", answer["case_id"])
    order = [(e["data"]["kind"], e["event"]) for e in events if "kind" in e["data"]]
    assert order.index(("hold_shipment", "leg_recorded")) < order.index(("refund", "leg_claimed"))
    assert await told(world, answer["case_id"]) == ["refund_done:1"]
    await assert_nothing_broken(world)


async def test_accepted_refund_is_not_called_done_until_the_gateway_says_so(world: World) -> None:
    await world.ask_sandbox("connections/wxpay", {"refund_mode": "stuck"})
    order_id = await world.order()
    answer = await world.cancel(order_id)
    await world.run(until="settling", case_id=answer["case_id"])
    assert await told(world, answer["case_id"]) == ["refund_on_its_way:1"]
    number = (await world.refunds(order_id))[0]["refund_no"]
    await world.ask_sandbox(f"refunds/wxpay/{number}/state", {"state": "SUCCESS"})
    await world.run(until="archived", case_id=answer["case_id"])
    assert await told(world, answer["case_id"]) == ["refund_done:1", "refund_on_its_way:1"]
    await assert_nothing_broken(world)


async def test_merchant_closed_nothing_released_is_automatic(world: World) -> None:
    """The tableware: ordered at 20:00, the merchant opens at 09:00; even just before dispatch, our own block is the hold."""
    await world.put_merchant("tableware", hours=[])
    now = await world.now()
    minute = (now.hour * 60 + now.minute + 8 * 60) % 1440
    opens = (minute + 120) % 1440
    await world.put_merchant("tableware", hours=[[opens, min(opens + 60, 1440)]])
    order_id = await world.order(merchant_id="tableware", planned_dispatch_at=await in_hours(world, 1))
    answer = await world.cancel(order_id)
    assert answer["rule"] == "merchant_closed"
    assert await units(world, order_id) == {"held": 1}, "blocked before any refund leaves"
    assert await world.refunds(order_id) == []
    await world.run(until="archived", case_id=answer["case_id"])
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]
    row = await case_row(world, answer["case_id"])
    assert row["closed_at"] - row["opened_at"] < timedelta(minutes=3)
    await assert_nothing_broken(world)


async def test_outside_the_window_goes_to_a_person_who_may_approve(world: World) -> None:
    order_id = await world.order(released_stage="picking", planned_dispatch_at=await in_hours(world, 1.5))
    answer = await world.cancel(order_id)
    assert (answer["outcome"], answer["rule"]) == ("in_review", "outside_window")
    await world.run()
    assert await told(world, answer["case_id"]) == ["in_review"]
    assert await world.refunds(order_id) == []
    assert (await world.decide(answer["case_id"], "approve")).status_code == 200
    await world.run(until="archived", case_id=answer["case_id"])
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]
    assert (await case_row(world, answer["case_id"]))["first_human_at"] is not None
    await assert_nothing_broken(world)


@pytest.mark.parametrize(
    ("stage", "dispatch_h", "rule", "outcome"),
    [
        ("picking", -1, "dispatch_missed", "cancelling"),
        ("packed", -1, "dispatch_missed_packed", "in_review"),
        ("picking", None, "by_stage", "cancelling"),
        ("packed", None, "by_stage_packed", "in_review"),
        ("packed", 5, "inside_window", "cancelling"),
    ],
)
async def test_dispatch_time_and_stage_decide(
    world: World, stage: str, dispatch_h: float | None, rule: str, outcome: str
) -> None:
    dispatch = None if dispatch_h is None else await in_hours(world, dispatch_h)
    order_id = await world.order(released_stage=stage, planned_dispatch_at=dispatch)
    answer = await world.cancel(order_id)
    assert (answer["rule"], answer["outcome"]) == (rule, outcome)
    await world.run(until="archived" if outcome == "cancelling" else "review", case_id=answer["case_id"])
    await assert_nothing_broken(world)


async def test_label_printed_is_pulled_and_its_label_voided(world: World) -> None:
    order_id = await world.order(
        released_stage="packed", shipments=[shipment("S-label", stage="handed_over", picked_up=False)]
    )
    await world.ask_sandbox(
        "waybills", {"connection": "sf", "no": "W-S-label", "order_no": order_id, "stage": "label_printed"}
    )
    answer = await world.cancel(order_id)
    assert answer["rule"] == "label_printed"
    await world.run(until="archived", case_id=answer["case_id"])
    ledger = await world.ledger()
    assert [o["state"] for o in ledger["outbound"] if o["no"] == "S-label"] == ["CANCELLED"]
    legs = await world.sql("SELECT kind, state FROM legs WHERE case_id = %s ORDER BY rank", answer["case_id"])
    assert [(leg["kind"], leg["state"]) for leg in legs][:3] == [
        ("hold_shipment", "succeeded"),
        ("void_waybill", "succeeded"),
        ("refund", "succeeded"),
    ]
    assert await units(world, order_id) == {"restocked": 1}
    await assert_nothing_broken(world)


async def test_hold_refused_means_the_goods_have_left_and_no_money_moves(world: World) -> None:
    order_id = await world.order(released_stage="picking", wms={"behaviour": "reject", "stage": "HANDED_OVER"})
    answer = await world.cancel(order_id)
    assert answer["outcome"] == "cancelling"
    await world.run(until="review", case_id=answer["case_id"])
    assert (await case_row(world, answer["case_id"]))["rule"] == "hold_refused"
    assert await world.refunds(order_id) == []
    rows = await world.sql("SELECT reserved_minor, sent_minor FROM payments")
    assert [(r["reserved_minor"], r["sent_minor"]) for r in rows] == [(0, 0)]
    refused = await world.decide(answer["case_id"], "recall")
    assert (refused.status_code, refused.json()["code"]) == (409, "no_parcel_to_recall")
    moved = shipment("S-late")
    event = {"event_id": "e1", "kind": "parcel_moved", "at": await in_hours(world, 0), "shipment": moved}
    await world.ok("POST", f"/api/v1/orders/{order_id}/events", json=event)
    await world.ask_sandbox(
        "waybills", {"connection": "sf", "no": "W-S-late", "order_no": order_id, "behaviour": "recall_ok"}
    )
    assert (await world.decide(answer["case_id"], "recall")).status_code == 200
    await finish_return(world, answer["case_id"])
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]
    assert await units(world, order_id) == {"restocked": 1}
    await assert_nothing_broken(world)


async def test_hold_unanswered_for_two_minutes_goes_to_a_person(world: World) -> None:
    order_id = await world.order(released_stage="picking", wms={"behaviour": "silent"})
    answer = await world.cancel(order_id)
    await world.run()
    row = await case_row(world, answer["case_id"])
    assert row["state"] == "executing"
    assert row["next_check_at"] - row["opened_at"] <= timedelta(minutes=2, seconds=5)
    await world.pass_time(timedelta(minutes=2, seconds=1))
    await world.run(until="review", case_id=answer["case_id"])
    assert (await case_row(world, answer["case_id"]))["rule"] == "hold_unanswered"
    assert await world.refunds(order_id) == []
    await assert_nothing_broken(world)


async def test_merchant_without_a_warehouse_system_stops_goods_by_hand(world: World) -> None:
    await world.put_merchant("small", warehouse="manual")
    order_id = await world.order(merchant_id="small", released_stage="picking")
    answer = await world.cancel(order_id)
    await world.run()
    tasks = (await world.ok("GET", "/api/v1/desk/tasks", role="warehouse"))["tasks"]
    assert [(t["kind"], t["audience"], t["case_id"]) for t in tasks] == [
        ("hold_shipment", "warehouse", answer["case_id"])
    ]
    assert await world.refunds(order_id) == []
    path = f"/api/v1/desk/tasks/{tasks[0]['task_id']}/result"
    await world.ok("POST", path, role="warehouse", json={"outcome": "done", "reference": "shelf-7"})
    again = await world.call("POST", path, role="warehouse", json={"outcome": "refused"})
    assert (again.status_code, again.json()["code"]) == (409, "task_answered")
    await world.run(until="archived", case_id=answer["case_id"])
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]

    second = await world.order(merchant_id="small", released_stage="picking")
    answer = await world.cancel(second)
    await world.run()
    task = (await world.ok("GET", "/api/v1/desk/tasks", role="warehouse"))["tasks"][0]
    await world.ok(
        "POST", f"/api/v1/desk/tasks/{task['task_id']}/result", role="warehouse", json={"outcome": "refused"}
    )
    await world.run(until="review", case_id=answer["case_id"])
    assert (await case_row(world, answer["case_id"]))["rule"] == "hold_refused"
    assert await world.refunds(second) == []
    rows = await world.sql("SELECT DISTINCT state FROM tasks WHERE case_id = %s", answer["case_id"])
    assert rows == [{"state": "refused"}]


# on the road --------------------------------------------------------------------------------------------------------


async def finish_return(world: World, case_id: str, scrap: dict[str, int] | None = None) -> None:
    """Until the returned parcel is in the warehouse's hands, inspected."""
    for _ in range(400):
        await world.run()
        tasks = await world.sql(
            "SELECT t.task_id FROM tasks t JOIN legs g USING (case_id, leg_no) WHERE t.case_id = %s AND t.state = 'open'"
            " AND g.kind = 'receive_return'",
            case_id,
        )
        if tasks:
            body = {"outcome": "done", "scrap": scrap or {}}
            await world.ok("POST", f"/api/v1/desk/tasks/{tasks[0]['task_id']}/result", role="warehouse", json=body)
            break
        await world.ask_sandbox("callbacks/hurry", {})
    await world.run(until="archived", case_id=case_id)


async def test_shipped_is_never_automatic_and_a_recall_is_proven_before_money_moves(world: World) -> None:
    order_id = await world.order(shipments=[shipment("S1")])
    await world.ask_sandbox(
        "waybills", {"connection": "sf", "no": "W-S1", "order_no": order_id, "behaviour": "recall_ok", "delay_s": 60}
    )
    answer = await world.cancel(order_id, channel="hotline", text="我不想要了，帮我取消吧")
    assert (answer["outcome"], answer["rule"]) == ("in_review", "shipped")
    await world.run()
    assert (await world.decide(answer["case_id"], "recall")).status_code == 200
    await world.run()
    events = await world.timeline(answer["case_id"])
    await finish_return(world, answer["case_id"])
    events = await world.timeline(answer["case_id"])
    recalled = next(i for i, e in enumerate(events) if "recall_parcel" in e and "'succeeded'" in e)
    refunded = next(i for i, e in enumerate(events) if "'refund'" in e and "leg_claimed" in e)
    assert recalled < refunded
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [1000]
    assert await units(world, order_id) == {"restocked": 1}
    sent = (await world.ledger())["messages"]
    assert {m["channel"] for m in sent} == {"sms"}
    await assert_nothing_broken(world)


async def test_refund_may_wait_for_the_goods_and_follows_the_inspection(world: World) -> None:
    order_id = await world.order(lines=[line(quantity=3)], shipments=[shipment("S2", quantities={"L1": 3})])
    await world.ask_sandbox(
        "waybills", {"connection": "sf", "no": "W-S2", "order_no": order_id, "behaviour": "recall_ok"}
    )
    answer = await world.cancel(order_id)
    await world.run()
    await world.decide(answer["case_id"], "recall", refund_on="goods_back")
    for _ in range(200):
        await world.run()
        if await world.sql("SELECT FROM tasks WHERE state = 'open'"):
            break
        await world.ask_sandbox("callbacks/hurry", {})
    assert await world.refunds(order_id) == [], "the goods are not back yet"
    await finish_return(world, answer["case_id"], scrap={"L1": 1})
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [3000]
    assert await units(world, order_id) == {"restocked": 2, "lost": 1}
    await assert_nothing_broken(world)


@pytest.mark.parametrize("behaviour", ["recall_fails", "delivered_first", "refuse"])
async def test_failed_recall_goes_back_to_a_person(world: World, behaviour: str) -> None:
    order_id = await world.order(shipments=[shipment("S3")])
    await world.ask_sandbox(
        "waybills", {"connection": "sf", "no": "W-S3", "order_no": order_id, "behaviour": behaviour}
    )
    answer = await world.cancel(order_id)
    await world.run()
    await world.decide(answer["case_id"], "recall")
    for _ in range(300):
        await world.run()
        row = await case_row(world, answer["case_id"])
        if row["rule"] == "recall_failed":
            break
        await world.ask_sandbox("callbacks/hurry", {})
    assert (row["state"], row["rule"]) == ("review", "recall_failed")
    assert await world.refunds(order_id) == []
    seen = await world.dossier(answer["case_id"])
    recall = next(leg for leg in seen["parts"][0]["legs"] if leg["kind"] == "recall_parcel")
    assert recall["code"].startswith("refused")
    declined = await world.decide(answer["case_id"], "decline", reason_code="parcel_delivered")
    assert declined.status_code == 200, declined.text
    await world.run(until="archived", case_id=answer["case_id"])
    assert "declined" in await told(world, answer["case_id"])
    await assert_nothing_broken(world)


async def test_birthday_cake_is_on_top_of_the_queue(world: World) -> None:
    """Perishable, shipped, wrong address: not cancellable by rule, yet an urgent review instead of a flat no."""
    shirt = await world.order(shipments=[shipment("S-shirt")])
    await world.cancel(shirt, reason="CHANGED_MIND", text="你们马上给我拦截!!不然我投诉")
    cake = await world.order(lines=[line(perishable=True, title="生日蛋糕")], shipments=[shipment("S-cake")])
    answer = await world.cancel(cake, channel="hotline", text="孩子的生日蛋糕地址填错了，必须马上取消")
    assert (answer["rule"], answer["reason"]) == ("perishable_past_dispatch", "ADDRESS_ERROR")
    queue = (await world.ok("GET", "/api/v1/desk/cases", role="agent"))["cases"]
    assert [c["order_id"] for c in queue] == [cake, shirt]
    row = await case_row(world, answer["case_id"])
    assert row["respond_due_at"] - row["opened_at"] == timedelta(minutes=3)
    await world.pass_time(timedelta(minutes=3, seconds=1))
    await world.run()
    assert (await case_row(world, answer["case_id"]))["is_overdue"]


async def test_phone_whose_feed_was_late_is_not_cancelled_by_itself(world: World) -> None:
    """ "第5天还没物流信息": the parcel had reached the distribution centre; the carrier's news was late."""
    now = await world.now()
    scanned, fed = now - timedelta(days=3), now - timedelta(hours=1)
    order_id = await world.order(
        lines=[line(title="手机")], shipments=[shipment("S-phone", at=now - timedelta(days=4))]
    )
    await world.ask_sandbox(
        "waybills",
        {
            "connection": "sf",
            "no": "W-S-phone",
            "order_no": order_id,
            "fed_at": fed.isoformat(),
            "events": [
                {"stage": "handed_over", "place": "深圳", "at": (now - timedelta(days=4)).isoformat()},
                {"stage": "in_transit", "place": "北京分拨中心", "at": scanned.isoformat()},
            ],
        },
    )
    answer = await world.cancel(order_id, channel="hotline", text="第5天还没物流信息")
    assert answer["outcome"] in {"in_review", "inquiry"}
    await world.run()
    seen = await world.dossier(answer["case_id"])
    assert seen["state"] == "review"
    parcel = seen["parcels"][0]
    assert (parcel["last_place"], parcel["verdict"]) == ("北京分拨中心", "feed_late")
    assert await world.refunds(order_id) == []
    assert not (await world.ok("GET", f"/api/v1/orders/{order_id}"))["is_cancelled"]


async def test_delivered_is_declined_with_the_way_to_a_return(world: World) -> None:
    order_id = await world.order(shipments=[shipment("S4", stage="delivered")])
    answer = await world.cancel(order_id)
    assert (answer["outcome"], answer["rule"]) == ("declined", "delivered")
    assert "退货" in answer["explanation"]["zh"]
    await world.run(until="archived", case_id=answer["case_id"])
    assert await told(world, answer["case_id"]) == ["declined"]
    assert await units(world, order_id) == {"delivered": 1}
    await assert_nothing_broken(world)


async def test_signed_but_not_received_is_never_declined_by_itself(world: World) -> None:
    order_id = await world.order(shipments=[shipment("S5", stage="delivered")])
    answer = await world.cancel(order_id, channel="chat", text="显示已签收，可是我根本没收到货，我要退款")
    assert (answer["rule"], answer["state"]) == ("signed_not_received", "review")
    assert await world.refunds(order_id) == []


async def test_partly_shipped_runs_in_two_parts_days_apart_on_one_payment(world: World) -> None:
    order_id = await world.order(
        lines=[line(price=3333), line("L2", price=6667)],
        shipping_minor=500,
        shipments=[shipment("S6", quantities={"L2": 1})],
    )
    await world.ask_sandbox(
        "waybills", {"connection": "sf", "no": "W-S6", "order_no": order_id, "behaviour": "recall_ok"}
    )
    answer = await world.cancel(order_id)
    assert [(p["kind"], p["verdict"]) for p in answer["parts"]] == [("unshipped", "auto"), ("parcel", "review")]
    await world.run()
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [3333]
    assert "refund_done:1" in await told(world, answer["case_id"])
    assert (await case_row(world, answer["case_id"]))["state"] == "review"
    await world.pass_time(timedelta(days=3))
    await world.run()
    await world.decide(answer["case_id"], "recall")
    await finish_return(world, answer["case_id"])
    refunds = await world.refunds(order_id)
    assert [r["amount_minor"] for r in refunds] == [3333, 7167]
    assert len({r["refund_no"] for r in refunds}) == 2
    assert (await case_row(world, answer["case_id"]))["outcome"] == "cancelled"
    await assert_nothing_broken(world)


# never automatic ----------------------------------------------------------------------------------------------------


@pytest.mark.rule("goods.virtual", "goods.made_to_order")
@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"lines": [line(made_to_order=True, production_started=True)]}, "made_to_order_started"),
        ({"lines": [line(made_to_order=True)]}, "made_to_order_started"),
        ({"lines": [line(presale="deposit")]}, "presale_deposit"),
        ({"lines": [line(virtual="redeemed")]}, "virtual_used"),
        ({"lines": [line(virtual="in_flight")]}, "virtual_in_flight"),
        ({"lines": [line(price=500_001)]}, "over_limit"),
        ({"risk": "suspected"}, "abuse_suspected"),
        ({"released_stage": "unknown"}, "stage_unknown"),
    ],
)
async def test_some_things_always_go_to_a_person(world: World, given: dict[str, Any], rule: str) -> None:
    order_id = await world.order(**given)
    answer = await world.cancel(order_id)
    assert (answer["outcome"], answer["rule"]) == ("in_review", rule)
    await world.run()
    assert await world.refunds(order_id) == []
    await assert_nothing_broken(world)


@pytest.mark.rule("goods.made_to_order")
async def test_made_to_order_not_started_is_automatic(world: World) -> None:
    order_id = await world.order(lines=[line(made_to_order=True, production_started=False)])
    answer = await world.cancel(order_id)
    assert (answer["outcome"], answer["rule"]) == ("cancelling", "by_stage")


async def test_amounts_that_do_not_fit_are_never_automatic(world: World) -> None:
    order_id = await world.order(order_id="M1", payments=[payment("M1", 1500)])
    answer = await world.cancel(order_id)
    assert (answer["outcome"], answer["rule"]) == ("in_review", "money_inconsistent")


@pytest.mark.rule("goods.dependents")
async def test_one_part_of_a_bundle_is_priced_by_a_person(world: World) -> None:
    order_id = await world.order(lines=[line("L1"), line("L2", parent_line_id="L1", dependence="bundle")])
    answer = await world.cancel(order_id, lines={"L2": 1})
    assert (answer["outcome"], answer["rule"]) == ("in_review", "bundle_part")


async def test_a_gift_goes_with_its_parent(world: World) -> None:
    order_id = await world.order(
        lines=[line("L1"), line("L2"), line("G1", price=0, parent_line_id="L1", dependence="gift")]
    )
    answer = await world.cancel(order_id, lines={"L1": 1})
    await world.run(until="archived", case_id=answer["case_id"])
    assert await units(world, order_id, "G1") == {"restocked": 1}
    assert await units(world, order_id, "L2") == {"reserved": 1}
    assert (await case_row(world, answer["case_id"]))["outcome"] == "partly_cancelled"


@pytest.mark.parametrize("mode", ["shadow", "confirm"])
async def test_a_shop_that_does_not_trust_the_machine_yet_decides_itself(world: World, mode: str) -> None:
    await world.put_merchant("careful", automation=mode)
    order_id = await world.order(merchant_id="careful")
    answer = await world.cancel(order_id)
    assert (answer["outcome"], answer["rule"]) == ("in_review", f"automation_{mode}")
    await world.run()
    assert await world.refunds(order_id) == []


# again and again ----------------------------------------------------------------------------------------------------


async def test_the_same_request_again_is_the_same_case(world: World) -> None:
    order_id = await world.order(shipments=[shipment("S7")])
    first = await world.cancel(order_id)
    again = await world.call("POST", "/api/v1/cancellations", json={"order_id": order_id, "text": "怎么还没取消"})
    assert again.status_code == 200
    assert again.json()["case_id"] == first["case_id"]
    row = await case_row(world, first["case_id"])
    assert row["contacts"] == 2
    assert row["priority"] > 60
    assert (await world.sql("SELECT count(*) AS n FROM cases"))[0]["n"] == 1

    done = await world.order(paid=False)
    first = await world.cancel(done)
    again = await world.call("POST", "/api/v1/cancellations", json={"order_id": done})
    assert (again.status_code, again.json()["case_id"], again.json()["outcome"]) == (200, first["case_id"], "cancelled")


async def test_a_request_that_mixes_free_and_open_lines_makes_one_case_for_the_free_ones(world: World) -> None:
    order_id = await world.order(lines=[line("L1", price=600_000), line("L2")])
    first = await world.cancel(order_id, lines={"L1": 1})
    assert first["outcome"] == "in_review"
    second = await world.cancel(order_id)
    assert second["case_id"] != first["case_id"]
    assert second["already_open"] == {"L1": first["case_id"]}
    assert second["parts"][0]["lines"] == {"L2": 1}


async def test_inquiry_is_answered_and_nothing_is_cancelled(world: World) -> None:
    order_id = await world.order(shipments=[shipment("S8")])
    answer = await world.cancel(order_id, channel="chat", text="我的包裹到哪了？")
    assert answer["outcome"] == "inquiry"
    await world.run()
    assert (await world.decide(answer["case_id"], "answer")).status_code == 200
    await world.run(until="archived", case_id=answer["case_id"])
    assert await told(world, answer["case_id"]) == ["answered", "inquiry_received"]
    assert await units(world, order_id) == {"shipped": 1}
    await assert_nothing_broken(world)


async def test_buyer_withdraws_while_nothing_has_left(world: World) -> None:
    order_id = await world.order(shipments=[shipment("S9")])
    answer = await world.cancel(order_id)
    withdrawn = await world.ok("POST", f"/api/v1/cancellations/{answer['case_id']}/withdraw")
    assert withdrawn["outcome"] == "withdrawn"
    await world.run(until="archived", case_id=answer["case_id"])
    assert "withdrawn" in await told(world, answer["case_id"])
    again = await world.cancel(order_id)
    assert again["case_id"] != answer["case_id"]
    paid = await world.order()
    running = await world.cancel(paid)
    refused = await world.call("POST", f"/api/v1/cancellations/{running['case_id']}/withdraw")
    assert (refused.status_code, refused.json()["code"]) == (409, "past_no_return")


async def test_agent_approves_a_part_of_what_was_asked(world: World) -> None:
    order_id = await world.order(lines=[line("L1", price=300_000, quantity=2)])
    answer = await world.cancel(order_id)
    assert answer["rule"] == "over_limit"
    response = await world.decide(answer["case_id"], "approve_part", lines={"L1": 1})
    assert response.status_code == 200, response.text
    await world.run(until="archived", case_id=answer["case_id"])
    assert [r["amount_minor"] for r in await world.refunds(order_id)] == [300_000]
    assert await units(world, order_id) == {"reserved": 1, "restocked": 1}
    assert (await case_row(world, answer["case_id"]))["outcome"] == "partly_cancelled"
    await assert_nothing_broken(world)


async def test_a_decision_on_what_has_changed_is_refused(world: World) -> None:
    order_id = await world.order(shipments=[shipment("S10")])
    answer = await world.cancel(order_id)
    seen = await world.dossier(answer["case_id"])
    body = {"choice": "decline", "case_version": seen["version"], "order_version": seen["order"]["version"]}
    path = f"/api/v1/desk/cases/{answer['case_id']}/decisions"
    await world.cancel(order_id, text="第三次打电话了")
    stale = await world.call("POST", path, role="agent", json=body)
    assert (stale.status_code, stale.json()["code"]) == (409, "stale")
    assert stale.json()["facts"]["case_version"] > seen["version"]


async def test_goods_that_ship_after_an_acknowledged_hold_stop_the_refund(world: World) -> None:
    """The hold is acknowledged, the refund not yet claimed; then the parcel is seen on the road."""
    order_id = await world.order(merchant_id="shop", released_stage="none")
    answer = await world.cancel(order_id)
    assert await units(world, order_id) == {"held": 1}
    moved = {"event_id": "e1", "kind": "parcel_moved", "at": await in_hours(world, 0), "shipment": shipment("S11")}
    await world.ok("POST", f"/api/v1/orders/{order_id}/events", json=moved)
    await world.run(until="review", case_id=answer["case_id"])
    assert (await case_row(world, answer["case_id"]))["rule"] == "hold_refused"
    assert await units(world, order_id) == {"shipped": 1}
    assert await world.refunds(order_id) == []
    await assert_nothing_broken(world)


async def test_goods_that_arrive_after_their_refund_belong_to_a_person(world: World) -> None:
    order_id = await world.order(released_stage="picking")
    answer = await world.cancel(order_id)
    await world.run(until="archived", case_id=answer["case_id"])
    moved = {
        "event_id": "e1",
        "kind": "parcel_moved",
        "at": await in_hours(world, 0),
        "shipment": shipment("S12", stage="delivered"),
    }
    await world.ok("POST", f"/api/v1/orders/{order_id}/events", json=moved)
    rows = await world.sql("SELECT rule, state, parent_case_id FROM cases WHERE kind = 'aftermath'")
    assert [(r["rule"], r["state"], r["parent_case_id"]) for r in rows] == [
        ("delivered_after_refund", "review", answer["case_id"])
    ]
    await assert_nothing_broken(world)


async def test_a_reversed_refund_opens_an_aftermath_case(world: World) -> None:
    order_id = await world.order()
    answer = await world.cancel(order_id)
    await world.run(until="archived", case_id=answer["case_id"])
    number = (await world.refunds(order_id))[0]["refund_no"]
    await world.ask_sandbox(f"refunds/wxpay/{number}/state", {"state": "REVERSED"})
    await world.ask_sandbox("callbacks/hurry", {})
    for _ in range(100):
        await world.run()
        rows = await world.sql("SELECT rule FROM cases WHERE kind = 'aftermath'")
        if rows:
            break
        await asyncio.sleep(0.02)
    assert [r["rule"] for r in rows] == ["refund_reversed"]
