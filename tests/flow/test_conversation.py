"""Buyer and agent write to each other: what is kept, what it sets in motion, who hears of it, and what may not go out."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.world import World
from unwind.web.access import mint_buyer_token

HELLO = "您好,我帮您查一下包裹,请稍等"


async def waiting(world: World, **given: Any) -> tuple[str, str]:
    order_id = await world.order(risk="suspected")
    return order_id, (await world.cancel(order_id, **given))["case_id"]


async def says(world: World, case_id: str, text: str = HELLO, *, role: str = "agent", **given: Any) -> httpx.Response:
    path = f"/api/v1/desk/cases/{case_id}/conversation"
    return await world.call("POST", path, role=role, json={"text": text, **given})


async def asks(
    world: World, case_id: str, text: str = "我的包裹到哪了", *, role: str = "integrator", **given: Any
) -> httpx.Response:
    path = f"/api/v1/cancellations/{case_id}/conversation"
    return await world.call("POST", path, role=role, json={"text": text, **given})


async def heard(world: World, case_id: str, role: str = "integrator") -> list[dict[str, Any]]:
    body = await world.ok("GET", f"/api/v1/cancellations/{case_id}/conversation", role=role)
    messages: list[dict[str, Any]] = body["messages"]
    return messages


async def buyer_of(world: World, order_id: str) -> str:
    until = int((await world.now() + timedelta(hours=1)).timestamp())
    return mint_buyer_token(world.services.vault.token_key, order_id=order_id, expires_at=until)


async def notices(world: World, case_id: str) -> list[str]:
    rows = await world.sql(
        "SELECT fact FROM messages WHERE case_id = %s AND fact LIKE 'answer_waiting%%' ORDER BY fact", case_id
    )
    return [row["fact"] for row in rows]


async def test_a_conversation_in_order_with_who_and_when_and_who_read(world: World) -> None:
    order_id, case_id = await waiting(world)
    buyer = await buyer_of(world, order_id)
    assert (await asks(world, case_id, role=buyer)).status_code == 201
    assert (await says(world, case_id)).status_code == 201
    mine = await heard(world, case_id, role=buyer)
    assert [(one["n"], one["from"], one["text"]) for one in mine] == [
        (1, "buyer", "我的包裹到哪了"),
        (2, "agent", HELLO),
    ]
    assert "actor" not in mine[0], "no names of colleagues"
    told = (await world.dossier(case_id))["conversation"]
    assert [(one["actor"], one["channel"], one["read_by"]) for one in told] == [
        (f"buyer:buyer-of-{order_id}", "app", "agent:test-agent"),
        ("agent:test-agent", "app", f"buyer:buyer-of-{order_id}"),
    ]
    assert told[1]["notice"] == "answer_waiting:2"


async def test_the_words_are_encrypted_and_the_history_commits_to_them(world: World) -> None:
    _, case_id = await waiting(world)
    await asks(world, case_id, "我住在幸福路8号")
    await says(world, case_id)
    tables = ("case_events", "conversation", "messages", "private_data", "cases", "idempotency_keys")
    dumped = str([await world.sql(f"SELECT * FROM {table}") for table in tables])
    assert "幸福路" not in dumped
    assert HELLO not in dumped
    events = await world.sql(
        "SELECT event, data FROM case_events WHERE event IN ('buyer_wrote', 'agent_wrote') ORDER BY seq"
    )
    assert [(row["event"], row["data"]["n"], len(row["data"]["words"])) for row in events] == [
        ("buyer_wrote", 1, 64),
        ("agent_wrote", 2, 64),
    ]
    await world.sql("DELETE FROM order_keys")
    assert [one["text"] for one in await heard(world, case_id)] == ["", ""], "the order's key is gone"


async def test_the_first_human_answer_stops_the_clock(world: World) -> None:
    _, case_id = await waiting(world)
    await says(world, case_id)
    [row] = await world.sql("SELECT first_human_at IS NOT NULL AS seen, answered_at IS NOT NULL AS answered FROM cases")
    assert row == {"seen": True, "answered": True}
    [clock] = await world.sql("SELECT strike_at > unwind_now() + interval '1 hour' AS late FROM case_clocks")
    assert clock["late"], "only the resolve clock strikes from now on"


async def test_what_the_buyer_writes_ends_the_question(world: World) -> None:
    _, case_id = await waiting(world)
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/buyer-question", role="agent", json={"reason_code": "photo"})
    await asks(world, case_id)
    assert [event.split(" ")[0] for event in (await world.timeline(case_id))[-2:]] == ["buyer_answered", "buyer_wrote"]
    assert await world.sql("SELECT FROM case_pauses WHERE ended_at IS NULL") == []


async def test_whoever_does_not_hold_the_case_writes_nothing(world: World) -> None:
    _, case_id = await waiting(world)
    await world.hire("bob")
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/claim", role="uk_bob", json={})
    refused = await says(world, case_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "claimed_by_other")
    assert await world.sql("SELECT FROM conversation") == []
    assert (await says(world, case_id, role="uk_bob")).status_code == 201


async def test_writing_renews_the_claim(world: World) -> None:
    _, case_id = await waiting(world)
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/claim", role="agent", json={})
    before = await world.sql("SELECT claimed_until FROM cases")
    await world.pass_time(timedelta(minutes=2))
    await says(world, case_id)
    after = await world.sql("SELECT claimed_until FROM cases")
    assert after[0]["claimed_until"] > before[0]["claimed_until"]


async def test_a_newer_word_of_the_buyer_makes_the_decision_stale(world: World) -> None:
    _, case_id = await waiting(world)
    seen = await world.dossier(case_id)
    await asks(world, case_id, "等等,先别取消")
    body = {"choice": "decline", "case_version": seen["version"], "order_version": seen["order"]["version"]}
    refused = await world.call("POST", f"/api/v1/desk/cases/{case_id}/decisions", role="agent", json=body)
    assert refused.json()["code"] == "stale"


# The notice -----------------------------------------------------------------------------------------------------------------------------------
async def test_one_notice_until_the_buyer_has_looked(world: World) -> None:
    order_id, case_id = await waiting(world, channel="hotline")
    for _ in range(3):
        await says(world, case_id)
    assert await notices(world, case_id) == ["answer_waiting:1"]
    await world.run()
    told = [m["text"] for m in (await world.ledger())["messages"] if m["template"] == "answer_waiting"]
    assert len(told) == 1
    assert HELLO not in told[0], "a text message says only that an answer is there"
    assert "验证码" in told[0]
    await heard(world, case_id, role="auditor")
    await says(world, case_id)
    assert await notices(world, case_id) == ["answer_waiting:1"], "a colleague's look is not the buyer's"
    await heard(world, case_id, role=await buyer_of(world, order_id))
    await says(world, case_id)
    assert await notices(world, case_id) == ["answer_waiting:1", "answer_waiting:5"]


async def test_the_case_closes_after_the_notice_is_out(world: World) -> None:
    _, case_id = await waiting(world)
    await says(world, case_id)
    assert (await world.decide(case_id, "decline")).is_success
    await world.run(until="archived", case_id=case_id)
    states = await world.sql("SELECT state FROM messages WHERE fact = 'answer_waiting:1'")
    assert states == [{"state": "sent"}]
    for response in (await says(world, case_id), await asks(world, case_id)):
        assert (response.status_code, response.json()["code"]) == (409, "case_closed")
    assert [one["text"] for one in await heard(world, case_id)] == [HELLO], "it can still be read"


async def test_words_go_out_where_the_channel_may_carry_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from unwind.flow import notify

    monkeypatch.setattr(notify, "FREE_TEXT", frozenset({"sms"}))
    _, case_id = await waiting(world, channel="hotline")
    await says(world, case_id)
    await world.run()
    [told] = [m["text"] for m in (await world.ledger())["messages"] if m["template"] == "answer_waiting"]
    assert told.startswith(HELLO)
    assert HELLO not in str(await world.sql("SELECT * FROM messages"))


# Twice, and too often ---------------------------------------------------------------------------------------------------------------------------
async def test_the_same_message_sent_again_is_written_once(world: World) -> None:
    _, case_id = await waiting(world)
    first, again = [await says(world, case_id, key="m-1") for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["n"] == again.json()["n"] == 1
    answers = await asyncio.gather(*(asks(world, case_id, key="b-1") for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert len(await heard(world, case_id)) == 2


async def test_twenty_in_a_row_are_enough(world: World) -> None:
    _, case_id = await waiting(world)
    for _ in range(20):
        assert (await asks(world, case_id)).status_code == 201
    assert (await asks(world, case_id)).status_code == 429
    await says(world, case_id)
    assert (await asks(world, case_id)).status_code == 201


async def test_a_buyer_who_writes_about_a_running_case_is_not_overlooked(world: World) -> None:
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    assert (await asks(world, case_id, "钱什么时候退")).status_code == 201
    [row] = (await world.ok("GET", "/api/v1/desk/waiting-buyers", role="agent"))["cases"]
    assert (row["case_id"], row["messages"], row["state"]) == (case_id, 1, "executing")
    await world.ok("GET", f"/api/v1/desk/cases/{case_id}/conversation", role="auditor")
    assert len((await world.ok("GET", "/api/v1/desk/waiting-buyers", role="agent"))["cases"]) == 1, (
        "an auditor only looks"
    )
    await says(world, case_id, "退款已提交,预计1-3个工作日到账")
    assert (await world.ok("GET", "/api/v1/desk/waiting-buyers", role="agent"))["cases"] == []


# What may not go out ------------------------------------------------------------------------------------------------------------------------------
@pytest.mark.rule("people.outgoing")
async def test_nobody_says_refunded_before_it_is_final(world: World) -> None:
    order_id, case_id = await waiting(world)
    refused = await says(world, case_id, "您好,已 退 款,请查收")
    assert (refused.status_code, refused.json()["code"], refused.json()["facts"]) == (
        422,
        "text_not_allowed",
        {"rule": "refunded_too_early", "start": 3, "end": 8},
    )
    assert "退" not in str(refused.json()["facts"])
    assert await world.sql("SELECT FROM conversation") == []
    assert await notices(world, case_id) == []
    assert (await says(world, case_id, f"订单{order_id}还没退款,我在催")).status_code == 201


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("一定给您退", "promise"),
        ("把验证码发给我", "asks_for_secret"),
        ("加我微信", "pays_outside"),
        ("您是13800001234吗", "personal_number"),
        ("运单号【缺:运单号】", "missing_value"),
    ],
)
async def test_every_rule_holds_at_the_door(world: World, text: str, rule: str) -> None:
    _, case_id = await waiting(world)
    assert (await says(world, case_id, text)).json()["facts"]["rule"] == rule


async def test_once_every_refund_is_final_it_may_be_said(world: World) -> None:
    from unwind.flow.outgoing import outgoing_facts

    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]

    async def is_final() -> bool:
        async with world.services.database.connection() as conn:
            return (await outgoing_facts(conn, case_id=case_id, order_id=order_id)).is_refund_final

    assert not await is_final()
    await world.run(until="archived", case_id=case_id)
    assert await is_final()


async def test_empty_and_endless_texts_are_refused(world: World) -> None:
    _, case_id = await waiting(world)
    for text in ("", "   ", "x" * 2001):
        assert (await says(world, case_id, text)).status_code == 422
        assert (await asks(world, case_id, text)).status_code == 422


async def test_the_demo_page_shows_no_words(world: World) -> None:
    _, case_id = await waiting(world)
    await asks(world, case_id, "我住在幸福路8号")
    assert "幸福路" not in (await world.client.get(f"/demo/cases/{case_id}")).text
