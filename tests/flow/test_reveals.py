"""Staff see people masked; whoever needs more works on the case, has a reason, and leaves a trace without the values."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.world import World
from unwind.flow.reveal import TURNS_MAX

BUYER = {
    "name": "王小明",
    "phone": "13800001234",
    "email": "wang@example.com",
    "address": "上海市浦东新区世纪大道100号",
}
RECIPIENT = {"name": "李雷", "phone": "13900005678"}
MASKED = {
    "name": "王*",
    "phone": "138****1234",
    "email": "w****@example.com",
    "address": "上海市浦东新区****",
    "recipient_name": "李*",
    "recipient_phone": "139****5678",
}


async def waiting(world: World, **given: Any) -> tuple[str, str]:
    order_id = await world.order(risk="suspected", buyer=BUYER, recipient=RECIPIENT, **given)
    asked = await world.cancel(order_id, text="请打13700009999,卡号6225880137706777")
    return order_id, asked["case_id"]


async def ask(world: World, order_id: str, case_id: str, *fields: str, role: str = "agent", why: str = "") -> Any:
    body = {"case_id": case_id, "fields": list(fields) or ["phone"], "why": why or "call_buyer"}
    return await world.call("POST", f"/api/v1/desk/orders/{order_id}/reveal", role=role, json=body)


async def claim(world: World, case_id: str, role: str = "agent") -> None:
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/claim", role=role, json={})


async def reveals(world: World, role: str = "auditor", **query: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await world.ok("GET", "/api/v1/admin/reveals", role=role, params=query))["reveals"]
    return rows


@pytest.mark.rule("people.masked")
async def test_people_are_masked_wherever_staff_read_them(world: World) -> None:
    order_id, case_id = await waiting(world)
    await world.ok("POST", f"/api/v1/cancellations/{case_id}/conversation", json={"text": "或者打 137-0000-9999"})
    dossier = await world.dossier(case_id)
    assert {name: dossier["buyer"][name] for name in MASKED} == MASKED
    assert dossier["words"] == "请打137****9999,卡号622*********6777"
    assert dossier["conversation"][0]["text"] == "或者打 137******9999"
    await world.identify(order_id)
    seen = await world.ok("GET", f"/api/v1/desk/orders/{order_id}", role="agent")
    assert seen["buyer"] == MASKED
    looked = await world.ok("POST", "/api/v1/desk/lookups", role="agent", json={"q": order_id})
    for role, path in (
        ("agent", f"/api/v1/desk/cases/{case_id}/conversation"),
        ("agent", f"/api/v1/cancellations/{case_id}/conversation"),
        ("auditor", f"/api/v1/desk/cases/{case_id}"),
    ):
        text = (await world.call("GET", path, role=role)).text
        for value in (*BUYER.values(), *RECIPIENT.values(), "9999,"):
            assert value not in text or value == "9999,", (path, value)
        assert "137-0000-9999" not in text
    assert "13800001234" not in str(looked)
    token = (await world.ok("POST", f"/api/v1/orders/{order_id}/buyer-token"))["token"]
    own = await world.ok("GET", f"/api/v1/cancellations/{case_id}/conversation", role=token)
    assert own["messages"][0]["text"] == "或者打 137-0000-9999", "their own words are theirs"


@pytest.mark.rule("people.masked")
async def test_whoever_works_on_the_case_sees_what_the_reason_needs_and_is_on_record(world: World) -> None:
    order_id, case_id = await waiting(world)
    await claim(world, case_id)
    shown = await ask(world, order_id, case_id, "phone", "name", "words")
    assert shown.json()["values"] == {
        "phone": "13800001234",
        "name": "王小明",
        "words": "请打13700009999,卡号6225880137706777",
    }
    assert shown.headers["cache-control"] == "no-store"
    [row] = await reveals(world)
    assert {name: row[name] for name in ("principal_id", "order_id", "case_id", "fields", "why", "merchant_id")} == {
        "principal_id": "test-agent",
        "order_id": order_id,
        "case_id": case_id,
        "fields": ["name", "phone", "words"],
        "why": "call_buyer",
        "merchant_id": "shop",
    }
    assert "13800001234" not in str(row)
    assert await reveals(world, role="lead") == [row]
    for role in ("agent", "ops", "warehouse"):
        assert (await world.call("GET", "/api/v1/admin/reveals", role=role)).status_code in {401, 403}, role
    parcel = await ask(world, order_id, case_id, "address", "recipient_phone", why="arrange_parcel")
    assert parcel.json()["values"] == {"address": BUYER["address"], "recipient_phone": "13900005678"}


@pytest.mark.parametrize(
    ("fields", "why", "status", "code"),
    [
        (["address"], "call_buyer", 422, "not_for_this_reason"),
        (["words"], "arrange_parcel", 422, "not_for_this_reason"),
        (["phone"], "curiosity", 422, "invalid"),
        (["openid"], "call_buyer", 422, "invalid"),
        ([], "call_buyer", 422, "invalid"),
        (["phone"], "answer_buyer", 403, "identity_required"),
        (["phone"], "authority", 403, "forbidden"),
    ],
)
async def test_no_more_than_the_reason_needs(world: World, fields: list[str], why: str, status: int, code: str) -> None:
    order_id, case_id = await waiting(world)
    await claim(world, case_id)
    body = {"case_id": case_id, "fields": fields, "why": why}
    refused = await world.call("POST", f"/api/v1/desk/orders/{order_id}/reveal", role="agent", json=body)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert "1380000" not in refused.text
    assert await reveals(world) == []


async def test_looking_is_not_working(world: World) -> None:
    """A case of somebody else, of nobody, of another order, and one that is over."""
    [bob] = await world.hire("bob")
    order_id, case_id = await waiting(world)
    other, _ = await waiting(world)
    await world.dossier(case_id)
    assert (await ask(world, order_id, case_id)).json()["code"] == "not_your_case"
    await claim(world, case_id)
    assert (await ask(world, order_id, case_id, role=bob)).json()["code"] == "not_your_case"
    assert (await ask(world, other, case_id)).status_code == 404
    assert (await ask(world, order_id, "UW000000-0000000000")).status_code == 404
    await world.pass_time(timedelta(minutes=6))
    assert (await ask(world, order_id, case_id)).is_success, "it is free again, and they have worked on it"
    await claim(world, case_id, role=bob)
    assert (await ask(world, order_id, case_id)).json()["code"] == "not_your_case", "now it is bob's"
    await world.pass_time(timedelta(minutes=6))
    await world.decide(case_id, "decline", reason_code="x")
    await world.run(until="archived", case_id=case_id)
    assert (await ask(world, order_id, case_id)).json()["code"] == "case_closed"
    assert len(await reveals(world)) == 1
    asked = await ask(world, order_id, case_id, "name", "address", role="lead", why="authority")
    assert asked.json()["values"] == {"name": "王小明", "address": BUYER["address"]}, "a court asks about old cases too"
    assert (await reveals(world))[0]["why"] == "authority"


async def test_a_checked_buyer_is_told_what_is_stored(world: World) -> None:
    order_id, case_id = await waiting(world)
    await claim(world, case_id)
    await world.identify(order_id, phone_tail="1234")
    assert (await ask(world, order_id, case_id, "address", why="answer_buyer")).json()["values"] == {
        "address": BUYER["address"]
    }


async def test_nothing_of_whoever_asked_to_be_forgotten(world: World) -> None:
    order_id, case_id = await waiting(world)
    await claim(world, case_id)
    await world.ok("POST", f"/api/v1/orders/{order_id}/erasure")
    refused = await ask(world, order_id, case_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "order_restricted")
    assert (await world.dossier(case_id))["buyer"]["name"] == ""


async def test_nobody_reveals_without_end(world: World) -> None:
    order_id, case_id = await waiting(world)
    await claim(world, case_id)
    for _ in range(TURNS_MAX):
        assert (await ask(world, order_id, case_id)).is_success
    limited = await ask(world, order_id, case_id)
    assert (limited.status_code, limited.json()["code"]) == (429, "too_many_requests")
    assert len(await reveals(world, limit=500)) == TURNS_MAX


async def test_whoever_looks_at_unusually_many_raises_one_alert(world: World) -> None:
    async def told() -> list[tuple[str, int]]:
        rows = (await world.ok("GET", "/api/v1/admin/alerts", role="admin"))["alerts"]
        return [(row["code"], row["times"]) for row in rows if row["kind"] == "unusually_many"]

    body = {"orders_per_day": 2, "why": "试运行"}
    await world.ok("PUT", "/api/v1/admin/reveals/threshold", role="admin", json=body)
    cases = [await waiting(world) for _ in range(4)]
    for order_id, case_id in cases[:2]:
        await claim(world, case_id)
        for _ in range(3):
            assert (await ask(world, order_id, case_id)).is_success
    assert await told() == [], "the same two orders, however often"
    for order_id, case_id in cases[2:]:
        await claim(world, case_id)
        assert (await ask(world, order_id, case_id)).is_success, "seen to by people, not stopped"
    assert await told() == [("test-agent", 2)]
    await world.pass_time(timedelta(days=2))
    await world.sql("UPDATE alerts SET closed_at = now(), closed_by = 'x'")
    order_id, case_id = cases[0]
    await claim(world, case_id)
    assert (await ask(world, order_id, case_id)).is_success
    assert await told() == [], "a day later it is counted anew"


async def test_the_record_of_reveals_cannot_be_changed(world: World) -> None:
    order_id, case_id = await waiting(world)
    await claim(world, case_id)
    await ask(world, order_id, case_id)
    for url in (world.url, world.owner_url):
        for statement in ("UPDATE reveals SET why = 'x'", "DELETE FROM reveals", "TRUNCATE reveals"):
            async with await psycopg.AsyncConnection.connect(url) as conn:
                with pytest.raises(psycopg.Error):
                    await conn.execute(statement)
    assert len(await reveals(world, principal_id="test-agent")) == 1
    assert await reveals(world, principal_id="somebody") == await reveals(world, order_id="O99") == []
