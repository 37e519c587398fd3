"""Identity (RULES): hotline and store check before disclosing or acting; an address needs more; the buyer, not the recipient."""

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest

from tests.world import World
from unwind.domain.access import SCOPES_OF, Principal, Role
from unwind.domain.errors import Refusal
from unwind.domain.identity import Level
from unwind.flow.identity import require_identity

COUNTER = {"store_id": "S1", "operator_id": "op1"}
RIGHT = {"phone_tail": "1234", "item": "背包"}
SENDS, ATTEMPTS, WRONG = 3, 5, 5


async def check(world: World, order_id: str, role: str = "agent", **given: Any) -> Any:
    body = {**RIGHT, **given}
    return await world.call("POST", f"/api/v1/desk/orders/{order_id}/identity", role=role, json=body)


async def send(world: World, order_id: str, role: str = "agent") -> Any:
    return await world.call("POST", f"/api/v1/desk/orders/{order_id}/identity/code", role=role)


async def enter(world: World, order_id: str, code: str, role: str = "agent") -> Any:
    path = f"/api/v1/desk/orders/{order_id}/identity/code"
    return await world.call("PUT", path, role=role, json={"code": code})


async def newest_code(world: World, to: str = "13800001234") -> str:
    found = re.search(r"\d{6}", (await world.texts(to=to))[-1])
    assert found is not None
    return found[0]


async def cancel(world: World, order_id: str, role: str = "agent", **given: Any) -> Any:
    body = {"order_id": order_id, "channel": "hotline", **given}
    return await world.call("POST", "/api/v1/cancellations", role=role, json=body)


@pytest.mark.rule("people.identity")
async def test_nothing_is_told_or_done_before_the_check(world: World) -> None:
    order_id = await world.order(risk="suspected")
    case_id = (await world.cancel(order_id))["case_id"]
    doors = [
        ("GET", f"/api/v1/desk/orders/{order_id}", None),
        ("POST", f"/api/v1/cancellations/{case_id}/withdraw", None),
        ("POST", f"/api/v1/cancellations/{case_id}/conversation", {"text": "可以"}),
        ("POST", f"/api/v1/orders/{order_id}/erasure", None),
        *(
            ("POST", "/api/v1/cancellations", {"order_id": order_id, "channel": channel, **COUNTER})
            for channel in ("hotline", "chat", "store", "app", "api")
        ),
    ]
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/buyer-question", role="agent", json={"reason_code": "x"})
    doors.append(("POST", f"/api/v1/desk/cases/{case_id}/buyer-answer", None))
    for role in ("agent", "lead", "admin"):
        for method, path, body in doors:
            refused = await world.call(method, path, role=role, json=body)
            assert (refused.status_code, refused.json()["code"]) == (403, "identity_required"), (role, path, body)
    [row] = await world.sql("SELECT state, contacts FROM cases")
    assert (row["state"], row["contacts"]) == ("review", 1)
    assert (await check(world, order_id)).status_code == 200
    shown = await world.ok("GET", f"/api/v1/desk/orders/{order_id}", role="agent")
    assert shown["lines"][0]["title"] == "双肩背包"
    assert (await cancel(world, order_id)).status_code == 200
    assert (await world.call("POST", f"/api/v1/cancellations/{case_id}/withdraw", role="agent")).status_code == 200


async def test_the_buyers_own_doors_ask_an_agent_for_the_check_too(world: World) -> None:
    """An offer accepted, an appeal: what the buyer says on their page an agent says only for whoever they have checked."""
    order_id = await world.order(risk="suspected")
    case_id = (await world.cancel(order_id))["case_id"]
    promised = (await world.now() + timedelta(days=2)).isoformat()
    body = {"offer": "wait", "promised_at": promised}
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/offers", role="agent", json=body)
    path = f"/api/v1/cancellations/{case_id}/questions/1"
    refused = await world.call("POST", path, role="agent", json={"agree": False})
    assert (refused.status_code, refused.json().get("code")) == (403, "identity_required")
    assert (await world.call("POST", path, json={"agree": False})).status_code == 200, "the shop has checked the buyer"
    await world.decide(case_id, "decline", reason_code="x")
    await world.run(until="archived", case_id=case_id)
    path = f"/api/v1/cancellations/{case_id}/appeal"
    refused = await world.call("POST", path, role="agent", json={"text": "再看看"})
    assert (refused.status_code, refused.json().get("code")) == (403, "identity_required")
    assert (await check(world, order_id)).status_code == 200
    assert (await world.call("POST", path, role="agent", json={"text": "再看看"})).status_code == 201


async def test_a_new_case_by_telephone_needs_a_check_also_in_company(world: World) -> None:
    """Requests that arrive together are written together; none of them slips past the check."""
    orders = [await world.order(paid=False) for _ in range(6)]
    for order_id in orders[:3]:
        assert (await check(world, order_id)).status_code == 200
    answers = await asyncio.gather(*(cancel(world, order_id) for order_id in orders))
    assert [answer.status_code for answer in answers] == [201, 201, 201, 403, 403, 403]


async def test_the_shop_has_signed_its_buyer_in_already(world: World) -> None:
    order_id = await world.order()
    token = (await world.ok("POST", f"/api/v1/orders/{order_id}/buyer-token"))["token"]
    assert (
        await world.call("POST", "/api/v1/cancellations", role=token, json={"order_id": order_id})
    ).status_code == 201
    assert (await cancel(world, await world.order(), role="integrator")).status_code == 201


@pytest.mark.parametrize(
    ("answers", "passes"),
    [
        ({}, True),
        ({"item": "SKU-L1"}, True),
        ({"item": "sku-l1"}, True),
        ({"item": "", "amount_minor": 1000}, True),
        ({"phone_tail": "1235"}, False),
        ({"item": "雨伞"}, False),
        ({"item": "背"}, False),
        ({"item": "", "amount_minor": 999}, False),
    ],
)
async def test_number_and_tail_and_item_or_amount(world: World, answers: dict[str, Any], passes: bool) -> None:
    response = await check(world, await world.order(), **answers)
    if passes:
        assert response.status_code == 200
        assert response.json()["method"] == "questions"
    else:
        assert (response.status_code, response.json()["code"]) == (403, "identity_not_shown")
        assert set(response.json()) == {"type", "title", "status", "code", "detail"}, "no word on what was wrong"


async def test_a_check_is_for_one_order_one_agent_and_half_an_hour(world: World) -> None:
    [ann] = await world.hire("ann")
    first, second = await world.order(paid=False), await world.order(paid=False)
    await world.identify(first)
    assert (await cancel(world, second)).status_code == 403
    assert (await cancel(world, first, role=ann)).status_code == 403
    await world.pass_time(timedelta(minutes=30, seconds=1))
    assert (await cancel(world, first)).status_code == 403
    await world.identify(first)
    assert (await cancel(world, first)).status_code == 201


async def test_wrong_answers_are_counted_and_lock_the_order(world: World) -> None:
    [ann] = await world.hire("ann")
    order_id, other = await world.order(), await world.order()
    for n in range(WRONG):
        assert (await check(world, order_id, phone_tail=f"000{n}")).json()["code"] == "identity_not_shown"
    for role in ("agent", ann):
        locked = await check(world, order_id, role=role)
        assert (locked.status_code, locked.json()["code"]) == (429, "identity_locked"), "right, but too late"
    assert (await check(world, other)).status_code == 200
    await world.pass_time(timedelta(hours=1))
    assert (await check(world, order_id)).status_code == 200


async def test_an_order_there_is_not_answers_like_one_there_is(world: World) -> None:
    await world.order()
    [theirs] = await world.hire("elsewhere", merchant_id="shop")
    await world.put_merchant("other")
    await world.sql("UPDATE principals SET merchant_id = 'other' WHERE principal_id = 'elsewhere'")
    for order_id, role in (("O99", "agent"), ("O1", theirs)):
        for _ in range(WRONG):
            assert (await check(world, order_id, role=role)).json()["code"] == "identity_not_shown"
        assert (await check(world, order_id, role=role)).json()["code"] == "identity_locked"


async def test_a_code_reaches_the_buyer_and_counts_for_the_agent_who_asked(world: World) -> None:
    [ann] = await world.hire("ann")
    order_id = await world.order(paid=False, recipient={"name": "李四", "phone": "13777778888"})
    assert (await send(world, order_id)).status_code == 202
    assert await world.texts(to="13777778888") == [], "gifts: the buyer, not the recipient"
    [text] = await world.texts(to="13800001234")
    assert "主动联系客服" in text
    assert "转账" in text
    code = await newest_code(world)
    assert (await enter(world, order_id, code, role=ann)).json()["code"] == "identity_not_shown"
    assert (await enter(world, order_id, code)).json()["method"] == "code"
    assert (await enter(world, order_id, code)).json()["code"] == "identity_not_shown", "used up"
    assert (await cancel(world, order_id)).status_code == 201


async def test_the_digits_of_a_code_are_kept_nowhere(world: World) -> None:
    order_id = await world.order()
    await send(world, order_id)
    code = await newest_code(world)
    tables = await world.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for table in tables:
        rows = await world.sql(f"SELECT t::text AS row FROM {table['tablename']} t")
        assert not any(code in row["row"] for row in rows), table


async def test_a_code_has_five_attempts_five_minutes_and_three_sends_an_hour(world: World) -> None:
    order_id = await world.order()
    await send(world, order_id)
    code = await newest_code(world)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    for _ in range(ATTEMPTS):
        assert (await enter(world, order_id, wrong)).status_code == 403
    assert (await enter(world, order_id, code)).status_code == 403, "right, but spent"
    await send(world, order_id)
    code = await newest_code(world)
    await world.pass_time(timedelta(minutes=5, seconds=1))
    assert (await enter(world, order_id, code)).status_code == 403, "too old"
    assert (await send(world, order_id)).status_code == 202
    assert (await send(world, order_id)).status_code == 429
    assert len(await world.texts(to="13800001234")) == SENDS
    await world.pass_time(timedelta(hours=1))
    assert (await send(world, order_id)).status_code == 202


async def test_sends_at_the_same_moment_are_three_at_most(world: World) -> None:
    order_id = await world.order()
    answers = await asyncio.gather(*(send(world, order_id) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [202] * SENDS + [429] * 5
    assert len(await world.texts(to="13800001234")) == SENDS


async def test_attempts_at_the_same_moment_are_five_at_most(world: World) -> None:
    order_id = await world.order()
    await send(world, order_id)
    code = await newest_code(world)
    await asyncio.gather(*(enter(world, order_id, f"{n:06d}") for n in range(8)))
    assert (await enter(world, order_id, code)).status_code == 403
    [row] = await world.sql("SELECT attempts FROM identity_codes")
    assert row["attempts"] == ATTEMPTS


async def test_a_code_that_cannot_be_sent_is_said_so(world: World) -> None:
    order_id = await world.order(buyer={"name": "测试买家"})
    refused = await send(world, order_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "code_not_sent")
    assert (await send(world, "O99")).status_code == 404


def principal(role: Role, name: str) -> Principal:
    return Principal(principal_id=name, role=role, scopes=SCOPES_OF[role], merchant_id=None, order_id=None)


@pytest.mark.rule("people.address")
async def test_an_address_needs_more_than_a_cancellation(world: World) -> None:
    order_id = await world.order()
    agent = principal(Role.AGENT, "test-agent")

    async def is_enough() -> bool:
        async with world.services.database.connection() as conn:
            try:
                await require_identity(conn, agent, order_id, Level.STRONG)
            except Refusal as refusal:
                refused.append((refusal.code, refusal.facts))
                return False
            return True

    refused: list[tuple[str, object]] = []
    assert not await is_enough()
    await world.identify(order_id)
    assert not await is_enough(), "questions alone"
    await send(world, order_id)
    await enter(world, order_id, await newest_code(world))
    assert await is_enough()
    await world.sql("UPDATE identity_checks SET until = at + interval '1 s' WHERE method = 'questions'")
    await world.pass_time(timedelta(seconds=2))
    assert not await is_enough(), "a code alone"
    assert refused == [("identity_required", {"level": "strong"})] * 3


async def test_the_check_stands_in_the_history_and_leaves_decisions_alone(world: World) -> None:
    order_id = await world.order(risk="suspected")
    case_id = (await world.cancel(order_id))["case_id"]
    seen = await world.dossier(case_id)
    await world.identify(order_id)
    after = await world.dossier(case_id)
    assert after["version"] == seen["version"]
    event = after["timeline"][-1]
    assert (event["event"], event["actor"], event["data"]["method"]) == (
        "identity_checked",
        "agent:test-agent",
        "questions",
    )


async def test_only_those_who_handle_contacts_check(world: World) -> None:
    order_id = await world.order()
    for role in ("warehouse", "auditor", "finance", "integrator"):
        for response in (
            await check(world, order_id, role=role),
            await send(world, order_id, role=role),
            await enter(world, order_id, "000000", role=role),
            await world.call("GET", f"/api/v1/desk/orders/{order_id}", role=role),
        ):
            assert response.status_code == 403, role
