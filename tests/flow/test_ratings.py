"""One tap after the money is back: asked once, answered by a link, never by opening it; a bad one is somebody's work."""

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest

from tests.flow.test_situations import assert_nothing_broken
from tests.world import World
from unwind.flow.links import mint_link

PHONE = "13800001234"


@pytest.fixture(autouse=True)
async def _asks(world: World) -> None:
    await world.put_merchant("shop", asks_rating=True)


async def done(world: World, *, channel: str = "app", run: bool = True, **given: Any) -> str:
    order_id = await world.order(**given)
    role = "integrator"
    asked: dict[str, Any] = {"channel": channel, "reason": "CHANGED_MIND"}
    if channel == "store":
        asked |= {"store_id": "s1", "operator_id": "o1"}
    case_id: str = (await world.cancel(order_id, role=role, **asked))["case_id"]
    if run:
        await world.run(until="archived", case_id=case_id)
    return case_id


async def token_of(world: World, case_id: str) -> str:
    """The link of an SMS, or what the inbox message holds."""
    [row] = await world.sql("SELECT params FROM messages WHERE case_id = %s AND fact = 'satisfaction'", case_id)
    from datetime import datetime

    expires_at = int(datetime.fromisoformat(row["params"]["rate_until"]).timestamp())
    return mint_link(world.services.vault.token_key, subject=f"rate:{case_id}", expires_at=expires_at)


async def tap(world: World, token: str, score: int, path: str = "", **body: Any) -> Any:
    return await world.client.post(f"/api/v1/ratings/{token}{path}", json=body or {"score": score})


async def asked(world: World) -> list[str]:
    return [row["case_id"] for row in await world.sql("SELECT case_id FROM ratings ORDER BY asked_at")]


async def follow_ups(world: World) -> list[dict[str, Any]]:
    return await world.sql("SELECT case_id, parent_case_id, rule, state, priority FROM cases WHERE kind = 'aftermath'")


async def test_a_text_message_holds_the_link_after_the_refund_is_told(world: World) -> None:
    case_id = await done(world, channel="hotline")
    texts = await world.texts(to=PHONE)
    told = [
        row["fact"] for row in await world.sql("SELECT fact FROM messages WHERE case_id = %s ORDER BY sent_at", case_id)
    ]
    assert told[-2:] == ["refund_done:1", "satisfaction"]
    found = re.search(r"http://unwind\.test/r/(\S+?)我们", texts[-1])
    assert found is not None, texts
    seen = (await world.client.get(f"/api/v1/ratings/{found[1]}")).json()
    assert (seen["score"], seen["is_open"], seen["merchant"]) == (None, True, "shop")
    page = await world.client.get(f"/r/{found[1]}")
    assert page.headers["content-type"].startswith("text/html")
    assert "https://" not in page.text, "nothing from anywhere else"
    assert (await tap(world, found[1], 5)).json()["score"] == 5
    [row] = await world.sql("SELECT state FROM cases WHERE case_id = %s", case_id)
    assert row["state"] == "archived"
    await assert_nothing_broken(world)


async def test_opening_the_link_answers_nothing_however_often(world: World) -> None:
    token = await token_of(world, await done(world))
    for _ in range(5):
        for path in (f"/r/{token}", f"/api/v1/ratings/{token}"):
            assert (await world.client.get(path)).is_success
            await world.client.head(path)
    assert await world.sql("SELECT score, changes FROM ratings") == [{"score": None, "changes": 0}]


@pytest.mark.parametrize(
    "given",
    [
        {"channel": "merchant"},
        {"channel": "bulk"},
        {"channel": "api"},
        {"paid": False},
        {"on_delivery": True},
        {"decline": True},
        {"mute": True},
        {"is_forgotten": True},
        {"asks": False},
        {"unreachable": True},
    ],
    ids=lambda given: "-".join(given) if isinstance(given, dict) else "",
)
async def test_nobody_is_asked_who_should_not_be(world: World, given: dict[str, Any]) -> None:
    """A merchant's, a bulk or a machine's request; nothing paid; declined; no public address; forgotten; not wanted; nowhere to write to."""
    if given.get("asks") is False:
        await world.put_merchant("shop")
    if given.get("mute"):
        from dataclasses import replace

        world.services = replace(world.services, public_url="")
    channel = given.get("channel", "app")
    order: dict[str, Any] = {"paid": given.get("paid", True)}
    if given.get("unreachable"):
        channel, order["buyer"] = "hotline", {"name": "王"}
    if channel == "merchant":
        order["promise"] = "none"
        await world.sql("UPDATE merchants SET may_only_tell = true")
    if given.get("on_delivery"):
        order |= {"paid": False, "promise": "cash_on_delivery", "released_stage": "picking"}
    if given.get("decline"):
        order["risk"] = "suspected"
    order_id = await world.order(**order)
    told: dict[str, Any] = {"channel": channel, "reason": "CHANGED_MIND"}
    if channel == "merchant":
        told = {"channel": channel, "merchant_reason": "out_of_stock", "evidence_ref": "e-1"}
    role = "admin" if channel == "bulk" else "integrator"
    case_id = (await world.cancel(order_id, role=role, **told))["case_id"]
    if given.get("is_forgotten"):
        await world.ok("POST", f"/api/v1/orders/{order_id}/erasure")
    if given.get("decline"):
        await world.decide(case_id, "decline", reason_code="x")
    await world.run(until="archived", case_id=case_id)
    assert await asked(world) == []
    assert await world.sql("SELECT fact FROM messages WHERE fact = 'satisfaction'") == []


async def test_aftermath_and_time_limits_are_not_asked_about(world: World) -> None:
    order_id = await world.order(paid=False, pay_by=(await world.now()).isoformat())
    from unwind.flow.timeout import close_unpaid

    await close_unpaid(world.services)
    await world.run()
    case_id = await done(world)
    token = await token_of(world, case_id)
    await tap(world, token, 1)
    [follow_up] = await follow_ups(world)
    await world.decide(follow_up["case_id"], "answer", note="已回访")
    await world.run(until="archived", case_id=follow_up["case_id"])
    assert await asked(world) == [case_id]
    assert order_id


async def test_a_bad_score_is_somebodys_work_once_and_a_good_one_nobodys(world: World) -> None:
    token = await token_of(world, await done(world))
    for score in (3, 5):
        assert (await tap(world, token, score)).is_success
    assert await follow_ups(world) == []
    case_id = await done(world)
    token = await token_of(world, case_id)
    for score in (2, 5, 1):
        assert (await tap(world, token, score)).json()["score"] == score
    [opened] = await follow_ups(world)
    assert (opened["parent_case_id"], opened["rule"], opened["state"]) == (case_id, "bad_rating", "review")
    assert opened["priority"] < 90, "not before what is late"
    queue = await world.ok("GET", "/api/v1/desk/cases", role="agent")
    assert [row["case_id"] for row in queue["cases"]] == [opened["case_id"]]
    await tap(world, token, 0, "/comment", text="客服态度不好,请回电 137 0000 9999")
    seen = await world.dossier(opened["case_id"])
    assert (seen["rating"]["score"], seen["rating"]["comment"]) == (1, "客服态度不好,请回电 137******9999")
    await assert_nothing_broken(world)


async def test_double_taps_and_two_devices_leave_one_answer(world: World) -> None:
    token = await token_of(world, await done(world))
    answers = await asyncio.gather(*(tap(world, token, 1) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert await world.sql("SELECT score, changes FROM ratings") == [{"score": 1, "changes": 0}], "the same tap, again"
    both = await asyncio.gather(*(tap(world, token, score) for score in (5, 2, 5, 2)))
    assert {answer.status_code for answer in both} == {200}
    [row] = await world.sql("SELECT score FROM ratings")
    assert row["score"] in {2, 5}
    assert len(await follow_ups(world)) == 1


async def test_it_may_be_changed_for_seven_days_and_first_given_for_fourteen(world: World) -> None:
    early, late, never = [await token_of(world, await done(world)) for _ in range(3)]
    assert (await tap(world, early, 4)).is_success
    await world.pass_time(timedelta(days=6, hours=23))
    assert (await tap(world, early, 3)).json()["score"] == 3
    await world.pass_time(timedelta(hours=2))
    refused = await tap(world, early, 5)
    assert (refused.status_code, refused.json()["code"]) == (409, "rating_closed")
    assert (await tap(world, early, 0, "/comment", text="晚了")).json()["code"] == "rating_closed"
    assert (await world.client.get(f"/api/v1/ratings/{early}")).json() | {"closes_at": 0, "merchant": 0, "order_id": 0} == {
        "closes_at": 0, "merchant": 0, "order_id": 0, "score": 3, "is_open": False, "has_comment": False, "time_zone": "Asia/Shanghai",
    }  # fmt: skip
    await world.pass_time(timedelta(days=6, hours=22))
    assert (await tap(world, late, 5)).is_success
    await world.pass_time(timedelta(hours=3))
    assert (await tap(world, never, 5)).json()["code"] == "rating_closed", "fourteen days are over"
    assert (await tap(world, late, 4)).is_success
    await world.pass_time(timedelta(days=8))
    gone = await tap(world, late, 5)
    assert (gone.status_code, gone.json()["code"]) == (401, "token_expired")


async def test_a_forged_link_opens_nothing(world: World) -> None:
    case_id = await done(world)
    other = await done(world)
    token = await token_of(world, case_id)
    key = world.services.vault.token_key
    until = int((await world.now() + timedelta(days=9)).timestamp())
    forged = [
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        token.replace(case_id, other),
        mint_link(bytes(32), subject=f"rate:{case_id}", expires_at=until),
        mint_link(key, subject=case_id, expires_at=until),
        mint_link(key, subject=f"task:{case_id}", expires_at=until),
        mint_link(key, subject="rate:UW000000-0000000000", expires_at=until),
        "ul_",
        "x",
    ]
    for link in forged:
        for answer in (await world.client.get(f"/api/v1/ratings/{link}"), await tap(world, link, 1)):
            assert answer.status_code == 404, link
    assert await world.sql("SELECT score FROM ratings WHERE score IS NOT NULL") == []
    assert (await world.client.get(f"/api/v1/links/{token}")).status_code == 404, "and it is no link to a question"


async def test_what_is_no_score_changes_nothing(world: World) -> None:
    token = await token_of(world, await done(world))
    for body in ({"score": 0}, {"score": 6}, {"score": "5"}, {"score": True}, {}, {"score": 5, "x": 1}, []):
        assert (await world.client.post(f"/api/v1/ratings/{token}", json=body)).status_code == 422, body
    for text in ("", " ", "a\nb", "x" * 201):
        assert (await world.client.post(f"/api/v1/ratings/{token}/comment", json={"text": text})).status_code == 422
    first = await tap(world, token, 0, "/comment", text="先说一句")
    assert (first.status_code, first.json()["code"]) == (409, "rate_first")
    assert await world.sql("SELECT score, has_comment FROM ratings") == [{"score": None, "has_comment": False}]


async def test_the_comment_is_encrypted_and_goes_with_the_buyer(world: World) -> None:
    case_id = await done(world)
    token = await token_of(world, case_id)
    await tap(world, token, 4)
    assert (await tap(world, token, 0, "/comment", text="我是王小明,谢谢")).json()["has_comment"] is True
    assert "王小明" not in str(await world.sql("SELECT * FROM ratings"))
    assert (await world.dossier(case_id))["rating"]["comment"] == "我是王小明,谢谢"
    [row] = await world.sql("SELECT order_id FROM ratings")
    await world.ok("POST", f"/api/v1/orders/{row['order_id']}/erasure")
    for answer in (await world.client.get(f"/api/v1/ratings/{token}"), await tap(world, token, 1)):
        assert answer.status_code == 404
    assert (await world.dossier(case_id))["rating"]["comment"] == ""
    assert await follow_ups(world) == []


async def test_nobody_is_woken_at_night(world: World) -> None:
    await world.put_merchant("shop", asks_rating=True, quiet_from=0, quiet_to=1439)
    order_id = await world.order()
    case_id = (await world.cancel(order_id, channel="hotline", reason="CHANGED_MIND"))["case_id"]
    await world.pass_time(timedelta(hours=3))
    await world.run()
    assert await world.sql("SELECT state FROM messages WHERE fact = 'satisfaction'") == [{"state": "due"}]
    assert len([text for text in await world.texts(to=PHONE) if "/r/" in text]) == 0
    await world.put_merchant("shop", asks_rating=True)
    await world.pass_time(timedelta(days=1))
    await world.run(until="archived", case_id=case_id)
    assert len([text for text in await world.texts(to=PHONE) if "/r/" in text]) == 1


async def test_the_results_are_counted_by_channel_decision_and_rule(world: World) -> None:
    since = await world.now()
    by_app = [await done(world) for _ in range(3)]
    by_phone = await done(world, channel="hotline")
    decided = await done(world, run=False, risk="suspected")
    await world.decide(decided, "approve")
    await world.run(until="archived", case_id=decided)
    for case_id, score in ((by_app[0], 5), (by_app[1], 4), (by_phone, 1), (decided, 2)):
        assert (await tap(world, await token_of(world, case_id), score)).is_success
    unreached = await done(world)
    await world.sql("UPDATE messages SET state = 'undelivered' WHERE case_id = %s AND fact = 'satisfaction'", unreached)
    until = await world.now() + timedelta(seconds=1)
    period = {"from": since.isoformat(), "to": until.isoformat()}
    shown = await world.ok("GET", "/api/v1/insights/satisfaction", role="auditor", params=period)
    assert (shown["asked"], shown["answered"], shown["answered_share"], shown["mean"]) == (5, 4, 0.8, 3.0)
    assert shown["scores"] == {"1": 1, "2": 1, "3": 0, "4": 1, "5": 1}
    assert {name: (one["asked"], one["answered"]) for name, one in shown["by_channel"].items()} == {
        "app": (4, 3),
        "hotline": (1, 1),
    }
    assert {name: one["mean"] for name, one in shown["by_decided_by"].items()} == {"person": 2.0, "policy": 3.33}
    assert sum(one["asked"] for one in shown["by_rule"].values()) == 5
    empty = {"from": "2020-01-01T00:00:00Z", "to": "2020-02-01T00:00:00Z"}
    before = await world.ok("GET", "/api/v1/insights/satisfaction", role="auditor", params=empty)
    assert (before["asked"], before["answered_share"], before["mean"]) == (0, None, None)
    await world.put_merchant("other")
    [boss] = await world.hire("boss", role="lead", merchant_id="other")
    other = await world.ok("GET", "/api/v1/insights/satisfaction", role=boss, params=period)
    assert other["asked"] == 0, "their own shop only"
    turned = {"from": period["to"], "to": period["from"]}
    assert (await world.call("GET", "/api/v1/insights/satisfaction", role="auditor", params=turned)).status_code == 422
