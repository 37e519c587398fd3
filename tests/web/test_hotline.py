"""Hotline (DESK, channels): the card when it rings, the call's own history, and an answer only once an outcome is saved."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.world import World

SECRET = "s" * 16 + "0123456789abcdef"


async def install(world: World, **given: Any) -> None:
    body = {"vendor": "zammad", "agents": {"8001": "ann", "8002": "bob"}, "secret": SECRET, **given}
    await world.ok("PUT", "/api/v1/admin/phone-systems/pbx", role="admin", json=body)


async def tell(world: World, secret: str = SECRET, **given: Any) -> Any:
    body = {
        "event": "newCall",
        "from": "8613800001234",
        "to": "4001",
        "direction": "in",
        "callId": "c-1",
        "user[]": ["8001"],
        **given,
    }
    return await world.client.post(f"/callbacks/cti/pbx/{secret}", json=body)


async def open_case(world: World, **given: Any) -> tuple[str, str]:
    order_id = await world.order(risk="suspected", **given)
    return order_id, (await world.cancel(order_id))["case_id"]


async def calls(world: World, who: str) -> list[str]:
    return [row["call_id"] for row in (await world.ok("GET", "/api/v1/desk/calls", role=who))["calls"]]


async def contacts(world: World, case_id: str) -> int:
    [row] = await world.sql("SELECT contacts FROM cases WHERE case_id = %s", case_id)
    n: int = row["contacts"]
    return n


@pytest.mark.rule("people.second_contact")
async def test_a_caller_lands_on_their_open_case_and_that_is_one_contact(world: World) -> None:
    ann, bob = await world.hire("ann", "bob")
    await install(world)
    _, case_id = await open_case(world)
    for event in ("newCall", "newCall", "answer", "answer", "hangup", "hangup"):
        assert (await tell(world, event=event)).status_code == 200
    assert await contacts(world, case_id) == 2, "once per call"
    card = await world.ok("GET", "/api/v1/desk/calls/pbx/c-1", role=ann)
    assert (card["landed_on"], card["asks"]) == (case_id, "")
    assert card["orders"][0]["phone"] == "138****1234"
    assert await calls(world, ann) == ["c-1"]
    assert await calls(world, bob) == [], "the call names somebody else"
    refused = await world.call("GET", "/api/v1/desk/calls/pbx/c-1", role=bob)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_your_call")
    rows = await world.sql("SELECT event FROM phone_call_events ORDER BY at")
    assert [row["event"] for row in rows] == ["ring", "answered", "hung_up"]
    await tell(world, callId="c-2")
    assert await contacts(world, case_id) == 3
    [row] = await world.sql("SELECT priority FROM cases")
    assert row["priority"] >= 90, "the third call"


async def test_events_at_the_same_moment_count_once(world: World) -> None:
    await install(world)
    _, case_id = await open_case(world)
    answers = await asyncio.gather(*(tell(world) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert await contacts(world, case_id) == 2


async def test_a_caller_without_a_case_sees_what_can_be_cancelled(world: World) -> None:
    [ann] = await world.hire("ann")
    await install(world, vendor="huawei_cec")
    order_id = await world.order()
    gone = await world.order(paid=False)
    await world.cancel(gone)
    query = {"callerNum": "013800001234", "callid": "c-9", "workNo": "8001", "callskill": "vip"}
    card = await world.ok("GET", "/api/v1/desk/cti/pbx", role=ann, params=query)
    assert ([order["order_id"] for order in card["orders"]], card["landed_on"]) == ([order_id], None)
    form = await world.ok("POST", "/api/v1/desk/cti/pbx", role=ann, data={**query, "callid": "c-10"})
    document = await world.ok("POST", "/api/v1/desk/cti/pbx", role=ann, json={**query, "callid": "c-11"})
    assert form["orders"] == document["orders"] == card["orders"]
    assert "双肩背包" not in str(card), "no goods before the check"


async def test_a_pop_is_for_the_agent_it_names_only(world: World) -> None:
    ann, bob = await world.hire("ann", "bob")
    await install(world)
    query = {"from": "13800001234", "callId": "c-1", "user[]": "8001"}
    refused = await world.call("GET", "/api/v1/desk/cti/pbx", role=bob, params=query)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_your_call")
    await world.ok("GET", "/api/v1/desk/cti/pbx", role=ann, params=query)
    unnamed = {"from": "13800001234", "callId": "c-1"}
    refused = await world.call("GET", "/api/v1/desk/cti/pbx", role=bob, params=unnamed)
    assert refused.json()["code"] == "not_your_call", "it is ann's by now"


async def test_nobody_takes_a_call_that_rings_for_somebody_else_by_saying_they_have_answered(world: World) -> None:
    ann, bob = await world.hire("ann", "bob")
    await install(world)
    await tell(world)
    said = {"event": "answer", "from": "13800001234", "callId": "c-1"}
    refused = await world.call("POST", "/api/v1/desk/cti/pbx", role=bob, json=said)
    assert (refused.status_code, refused.json().get("code")) == (403, "not_your_call")
    assert await calls(world, ann) == ["c-1"]
    await world.ok("POST", "/api/v1/desk/cti/pbx", role=ann, json=said)


async def test_a_credential_in_the_address_is_refused(world: World) -> None:
    await install(world)
    for name in ("token", "api_key", "access_token"):
        query = {"from": "13800001234", "callId": "c-1", name: "uk_agent"}
        refused = await world.client.get("/api/v1/desk/cti/pbx", params=query)
        assert refused.status_code == 401
        refused = await world.call("GET", "/api/v1/desk/cti/pbx", role="agent", params=query)
        assert (refused.status_code, refused.json()["code"]) == (401, "token_in_url")


async def test_the_secret_path_is_long_and_wrong_ones_look_like_nothing(world: World) -> None:
    await install(world)
    for path in ("x" * 32, SECRET[:-1], SECRET.upper(), "é" * 40):
        assert (await tell(world, secret=path)).status_code == 404, path
    assert (await world.client.post(f"/callbacks/cti/none/{SECRET}", json={"callId": "c"})).status_code == 404
    short = {"vendor": "zammad", "secret": "s" * 31}
    assert (await world.call("PUT", "/api/v1/admin/phone-systems/x", role="admin", json=short)).status_code == 422
    await world.ok("PUT", "/api/v1/admin/phone-systems/mute", role="admin", json={"vendor": "zammad"})
    empty = await world.client.post(f"/callbacks/cti/mute/{SECRET}", json={"callId": "c"})
    assert empty.status_code == 404, "no secret, no events"
    rows = await world.sql("SELECT * FROM phone_systems")
    assert SECRET not in str(rows)
    assert await world.sql("SELECT * FROM phone_calls") == []


async def test_no_number_stands_anywhere_in_clear(world: World) -> None:
    await install(world)
    await open_case(world)
    await tell(world)
    await tell(world, event="cdr", duration="65", recording="/rec/13800001234.wav")
    for table in await world.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        rows = await world.sql(f"SELECT t::text AS row FROM {table['tablename']} t")
        assert not any("13800001234" in row["row"] for row in rows), table
    [row] = await world.sql("SELECT recording_ref, duration_s FROM phone_calls")
    assert (row["recording_ref"], row["duration_s"]) == ("", 65)
    kept = await world.sql("SELECT field FROM private_data WHERE field IN ('caller', 'recording') ORDER BY field")
    assert [row["field"] for row in kept] == ["caller", "recording"], "under the order's key"


async def test_the_record_after_the_call_is_attached_to_the_case(world: World) -> None:
    await install(world)
    _, case_id = await open_case(world)
    await tell(world)
    for _ in range(2):
        await tell(world, event="cdr", duration="65", recording="rec-2026/c-1.wav")
    shown = await world.dossier(case_id)
    assert [(c["duration_s"], c["recording_ref"]) for c in shown["calls"]] == [(65, "rec-2026/c-1.wav")]
    found = [e["data"] for e in shown["timeline"] if e["event"] == "call_recorded"]
    assert found == [{"call": "c-1", "duration_s": 65, "recording": "rec-2026/c-1.wav"}]


async def test_answering_is_no_human_answer_until_an_outcome_is_saved(world: World) -> None:
    ann, bob = await world.hire("ann", "bob")
    await install(world)
    _, case_id = await open_case(world)
    for event in ("newCall", "answer", "hangup"):
        await tell(world, event=event)
    [row] = await world.sql("SELECT answered_at, first_human_at FROM cases")
    assert (row["answered_at"], row["first_human_at"]) == (None, None)
    path = "/api/v1/desk/calls/pbx/c-1/outcome"
    assert (await world.call("POST", path, role=bob, json={"outcome": "answered"})).json()["code"] == "not_your_call"
    await world.ok("POST", path, role=ann, json={"outcome": "answered"})
    [row] = await world.sql("SELECT answered_at, first_human_at, contacts FROM cases")
    assert row["answered_at"] is not None
    assert row["first_human_at"] is not None
    assert row["contacts"] == 2
    again = await world.call("POST", path, role=ann, json={"outcome": "answered"})
    assert (again.status_code, again.json()["code"]) == (409, "outcome_saved")
    assert await calls(world, ann) == []
    [event] = [e for e in (await world.dossier(case_id))["timeline"] if e["event"] == "call_recorded"]
    assert (event["actor"], event["data"]["outcome"]) == ("agent:ann", "answered")


@pytest.mark.parametrize("outcome", ["not_reached", "wrong_person"])
async def test_whoever_did_not_speak_with_the_buyer_has_not_answered(world: World, outcome: str) -> None:
    [ann] = await world.hire("ann")
    await install(world)
    await open_case(world)
    await tell(world)
    await world.ok("POST", "/api/v1/desk/calls/pbx/c-1/outcome", role=ann, json={"outcome": outcome})
    [row] = await world.sql("SELECT answered_at FROM cases")
    assert row["answered_at"] is None


async def test_virtual_and_hidden_numbers_ask_for_the_order(world: World) -> None:
    [ann] = await world.hire("ann")
    await install(world)
    _, case_id = await open_case(world, buyer={"phone": "13800001234-5678"})
    for n, number in enumerate(("95013800001234", "13800001234转5678", "anonymous", "")):
        await tell(world, callId=f"v-{n}", **{"from": number})
        card = await world.ok("GET", f"/api/v1/desk/calls/pbx/v-{n}", role=ann)
        assert (card["asks"], card["landed_on"], card["orders"]) == ("order_tail", None, []), number
    assert await contacts(world, case_id) == 1
    body = {"outcome": "answered", "case_id": case_id}
    await world.ok("POST", "/api/v1/desk/calls/pbx/v-0/outcome", role=ann, json=body)
    assert await contacts(world, case_id) == 2, "the agent says what it was about"


async def test_with_several_open_cases_the_agent_says_which(world: World) -> None:
    [ann] = await world.hire("ann")
    await install(world)
    cases = {(await open_case(world))[1] for _ in range(2)}
    await tell(world)
    card = await world.ok("GET", "/api/v1/desk/calls/pbx/c-1", role=ann)
    assert card["landed_on"] is None
    assert {case["case_id"] for order in card["orders"] for case in order["open_cases"]} == cases


async def test_a_cancellation_of_the_same_call_is_no_further_contact(world: World) -> None:
    await install(world)
    order_id, case_id = await open_case(world)
    await tell(world)
    await world.cancel(order_id, channel="hotline", external_ref="c-1")
    assert await contacts(world, case_id) == 2
    fresh = await world.order(risk="suspected", buyer={"phone": "13911112222"})
    opened = (await world.cancel(fresh, channel="hotline", external_ref="c-5"))["case_id"]
    await tell(world, callId="c-5", **{"from": "13911112222"})
    assert await contacts(world, opened) == 1, "the call that opened it"


async def test_a_promise_on_a_call_goes_to_its_case(world: World) -> None:
    ann, bob = await world.hire("ann", "bob")
    await install(world)
    _, case_id = await open_case(world, buyer={"phone": "13911112222"})
    await tell(world)
    body = {"kind": "two_minutes", "call": {"system_id": "pbx", "call_id": "c-1"}}
    assert (await world.call("POST", "/api/v1/desk/promises", role=bob, json=body)).json()["code"] == "not_your_call"
    await world.ok("POST", "/api/v1/desk/promises", role=ann, json=body)
    await world.ok(
        "POST", "/api/v1/desk/calls/pbx/c-1/outcome", role=ann, json={"outcome": "call_back", "case_id": case_id}
    )
    assert [p["kind"] for p in (await world.dossier(case_id))["promises"]] == ["two_minutes"]


async def test_a_broken_promise_on_a_call_without_a_case_is_an_alert(world: World) -> None:
    from unwind.flow.promises import strike_promises

    [ann] = await world.hire("ann")
    await install(world)
    await tell(world)
    body = {"kind": "two_minutes", "call": {"system_id": "pbx", "call_id": "c-1"}}
    await world.ok("POST", "/api/v1/desk/promises", role=ann, json=body)
    await world.pass_time(timedelta(minutes=3))
    await strike_promises(world.services)
    rows = await world.sql("SELECT connection, kind, code FROM alerts")
    assert [tuple(row.values()) for row in rows] == [("promises", "promise_broken", "pbx:c-1")]


async def test_systems_are_set_by_administrators_of_their_merchant(world: World) -> None:
    await world.put_merchant("other")
    [theirs] = await world.hire("boss", role="admin", merchant_id="other")
    await install(world)
    body = {"vendor": "generic", "merchant_id": "shop"}
    for role in ("agent", "lead", "integrator", "auditor"):
        refused = await world.call("PUT", "/api/v1/admin/phone-systems/pbx", role=role, json=body)
        assert refused.status_code == 403, role
    for merchant in ("shop", None):
        refused = await world.call(
            "PUT", "/api/v1/admin/phone-systems/new", role=theirs, json={**body, "merchant_id": merchant}
        )
        assert refused.status_code in {403, 404}, merchant
    taken = await world.call(
        "PUT", "/api/v1/admin/phone-systems/pbx", role=theirs, json={**body, "merchant_id": "other"}
    )
    assert taken.status_code == 404
    await world.ok("PUT", "/api/v1/admin/phone-systems/new", role=theirs, json={**body, "merchant_id": "other"})
    listed = await world.ok("GET", "/api/v1/admin/phone-systems", role=theirs)
    assert [row["system_id"] for row in listed["systems"]] == ["new"]
    assert "callerNum" in listed["vendors"]["huawei_cec"]["caller"]
    wrong = {"vendor": "generic", "aliases": {"nonsense": ["x"]}}
    assert (await world.call("PUT", "/api/v1/admin/phone-systems/n", role="admin", json=wrong)).status_code == 422


async def test_a_merchants_system_finds_its_own_orders_only(world: World) -> None:
    [ann] = await world.hire("ann")
    await world.put_merchant("other")
    await install(world, merchant_id="other", aliases={"caller": ["ANI"]})
    await open_case(world)
    theirs = await world.order(merchant_id="other")
    await tell(world, ANI="13800001234", **{"from": "anonymous"})
    card = await world.ok("GET", "/api/v1/desk/calls/pbx/c-1", role=ann)
    assert [order["order_id"] for order in card["orders"]] == [theirs]


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff=1", b'{"callId": {"a": 1}}', b'{"callId": "' + b"x" * 65 + b'"}'])
async def test_nonsense_from_a_telephone_system_stores_nothing(world: World, body: bytes) -> None:
    await install(world)
    for kind in ("application/json", "application/x-www-form-urlencoded"):
        answer = await world.client.post(f"/callbacks/cti/pbx/{SECRET}", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 422, (kind, answer.text)
    large = await world.client.post(f"/callbacks/cti/pbx/{SECRET}", content=b"x" * 5000)
    assert large.status_code == 413
    assert await world.sql("SELECT * FROM phone_calls") == []


async def test_a_conversation_is_one_contact_however_many_messages_it_has(world: World) -> None:
    order_id = await world.order(risk="suspected")
    case_id = (await world.cancel(order_id, channel="chat", external_ref="talk-1", text="不想要了,取消"))["case_id"]
    for text in ("在吗", "怎么还没处理", "快点取消"):
        await world.cancel(order_id, channel="chat", external_ref="talk-1", text=text)
    assert await contacts(world, case_id) == 1
    kept = await world.sql("SELECT count(*) AS n FROM private_data WHERE field = 'words'")
    assert kept[0]["n"] == 4, "but every word is kept"
    await world.cancel(order_id, channel="chat", external_ref="talk-2")
    assert await contacts(world, case_id) == 2


async def test_nothing_of_a_contact_is_written_into_logs(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Not the number, not the name, not a code; also where something goes wrong on the way."""
    from structlog.testing import capture_logs

    await install(world)
    order_id, _ = await open_case(world)
    with capture_logs() as logs:
        await tell(world)
        for q in ("13800001234", "测试买家"):
            await world.ok("POST", "/api/v1/desk/lookups", role="agent", json={"q": q})
        await world.client.post("/api/v1/guest/codes", json={"order_id": order_id, "phone_tail": "1234"})
        await world.sql("UPDATE order_keys SET wrapped_key = %s", b"x" * 60)
        await world.client.post("/api/v1/guest/codes", json={"order_id": order_id, "phone_tail": "1234"})
        found = await world.ok("POST", "/api/v1/desk/lookups", role="agent", json={"q": "13800001234"})
        assert [order["phone"] for order in found["orders"]] == [""], "found all the same"
    printed = capsys.readouterr()
    written = f"{logs}{printed.out}{printed.err}"
    [text] = await world.texts(to="13800001234")
    assert any(entry["event"] == "guest_code_failed" for entry in logs), "the fault was met"
    for secret in ("13800001234", "测试买家", "1234'", text[3:9]):
        assert secret not in written, secret
