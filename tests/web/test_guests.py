"""Buyers without an account, and buyers who hold a receipt: doors without a credential."""

import re
from datetime import timedelta
from typing import Any

import pytest

from tests.world import World
from unwind.domain.access import StoreEntry
from unwind.flow.guest import PER_ORDER, PER_SOURCE
from unwind.web.access import mint_store_link


async def post(world: World, path: str, body: Any) -> Any:
    return await world.client.post(f"/api/v1/guest/{path}", json=body)


async def newest_code(world: World) -> str:
    found = re.search(r"\d{6}", (await world.texts(to="13800001234"))[-1])
    assert found is not None
    return found[0]


async def test_a_guest_cancels_with_number_tail_and_code(world: World) -> None:
    order_id = await world.order(paid=False)
    who = {"order_id": order_id, "phone_tail": "1234"}
    assert (await post(world, "codes", who)).status_code == 202
    [text] = await world.texts(to="13800001234")
    assert "不要告诉任何人" in text
    assert "不会索要验证码或要求转账" in text
    code = await newest_code(world)
    given = (await post(world, "tokens", {**who, "code": code})).json()
    assert "验证码" in given["warning"]["zh"]
    cancelled = await world.call("POST", "/api/v1/cancellations", role=given["token"], json={"order_id": order_id})
    assert (cancelled.status_code, cancelled.json()["outcome"]) == (201, "cancelled")
    other = await world.order()
    refused = await world.call("POST", "/api/v1/cancellations", role=given["token"], json={"order_id": other})
    assert refused.status_code == 404, "for that order only"
    again = await post(world, "tokens", {**who, "code": code})
    assert (again.status_code, again.json()["code"]) == (403, "identity_not_shown"), "once"


async def test_whether_number_and_tail_belong_together_is_never_said(world: World) -> None:
    order_id = await world.order()
    answers = [
        await post(world, "codes", {"order_id": name, "phone_tail": tail})
        for name, tail in ((order_id, "1234"), (order_id, "9999"), ("O99", "1234"))
    ]
    assert len({(answer.status_code, answer.content) for answer in answers}) == 1
    assert len(await world.texts(to="13800001234")) == 1
    code = await newest_code(world)
    refusals = [
        await post(world, "tokens", {"order_id": name, "phone_tail": tail, "code": digits})
        for name, tail, digits in (
            (order_id, "9999", code),
            (order_id, "1234", f"{(int(code) + 1) % 1_000_000:06d}"),
            ("O99", "1234", code),
        )
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in refusals} == {(403, "identity_not_shown")}
    assert len({answer.content for answer in refusals}) == 1


async def test_an_agents_code_is_no_guests_code(world: World) -> None:
    order_id = await world.order()
    await world.ok("POST", f"/api/v1/desk/orders/{order_id}/identity/code", role="agent")
    body = {"order_id": order_id, "phone_tail": "1234", "code": await newest_code(world)}
    assert (await post(world, "tokens", body)).status_code == 403
    await post(world, "codes", {"order_id": order_id, "phone_tail": "1234"})
    path = f"/api/v1/desk/orders/{order_id}/identity/code"
    refused = await world.call("PUT", path, role="agent", json={"code": await newest_code(world)})
    assert refused.status_code == 403


async def test_attempts_are_limited_for_an_order_and_for_a_source(world: World) -> None:
    orders = [await world.order() for _ in range(3)]
    for _ in range(PER_ORDER):
        assert (await post(world, "codes", {"order_id": orders[0], "phone_tail": "1234"})).status_code == 202
    limited = await post(world, "codes", {"order_id": orders[0], "phone_tail": "1234"})
    assert (limited.status_code, limited.json()["code"]) == (429, "too_many_requests")
    assert len(await world.texts(to="13800001234")) == 3, "and the telephone rings three times an hour at most"
    for _ in range(PER_SOURCE - PER_ORDER - 1):
        assert (await post(world, "codes", {"order_id": orders[1], "phone_tail": "1234"})).status_code == 202
    assert (await post(world, "codes", {"order_id": orders[2], "phone_tail": "1234"})).status_code == 429, "source"
    rows = await world.sql("SELECT subject FROM attempts")
    assert not any(b"127.0.0.1" in bytes(row["subject"]) for row in rows)


async def test_wrong_codes_close_the_order_for_an_hour(world: World) -> None:
    order_id = await world.order()
    who = {"order_id": order_id, "phone_tail": "1234"}
    for _ in range(2):
        await post(world, "codes", who)
        right = await newest_code(world)
        wrong = f"{(int(right) + 1) % 1_000_000:06d}"
        for _ in range(5):
            assert (await post(world, "tokens", {**who, "code": wrong})).status_code == 403
        await world.pass_time(timedelta(minutes=10))
    await post(world, "codes", who)
    assert len(await world.texts(to="13800001234")) == 2, "closed: not even a code leaves"


async def test_open_doors_take_small_bodies_only(world: World) -> None:
    for path in ("codes", "tokens", "store-tokens"):
        large = await world.client.post(f"/api/v1/guest/{path}", content=b"{" + b" " * 5000 + b"}")
        assert large.status_code == 413, path
        for body in ({}, {"order_id": "O1"}, {"order_id": "O1", "phone_tail": "12345"}, {"link_token": 1}, []):
            assert (await post(world, path, body)).status_code == 422, (path, body)


async def test_a_receipt_leads_to_its_order_over_its_counter(world: World) -> None:
    order_id = await world.order(risk="suspected")
    link = await world.ok(
        "POST", f"/api/v1/orders/{order_id}/store-link", json={"store_id": "S12", "operator_id": "op7"}
    )
    given = (await post(world, "store-tokens", {"link_token": link["link_token"]})).json()
    body = {"order_id": order_id, "channel": "app", "store_id": "S99", "operator_id": "forged"}
    case = await world.ok("POST", "/api/v1/cancellations", role=given["token"], json=body)
    [row] = await world.sql("SELECT channel FROM cases")
    assert row["channel"] == "store"
    [event] = await world.sql("SELECT data FROM case_events WHERE event = 'received'")
    assert (event["data"]["store_id"], event["data"]["operator_id"]) == ("S12", "op7")
    assert case["outcome"] == "in_review"


async def test_links_are_signed_short_lived_and_no_tokens(world: World) -> None:
    order_id = await world.order()
    path = f"/api/v1/orders/{order_id}/store-link"
    counter = {"store_id": "S12", "operator_id": "op7"}
    for role in ("agent", "warehouse", "auditor"):
        assert (await world.call("POST", path, role=role, json=counter)).status_code == 403
    link = (await world.ok("POST", path, json=counter))["link_token"]
    as_token = await world.call("POST", "/api/v1/cancellations", role=link, json={"order_id": order_id})
    assert as_token.status_code == 401
    as_token = await world.call("POST", "/api/v1/cancellations", role=f"ub_{link}", json={"order_id": order_id})
    assert as_token.status_code == 401, "its signature holds, and is of something else"
    token = (await world.ok("POST", f"/api/v1/orders/{order_id}/buyer-token"))["token"]
    forged = [token, f"sl_{token}", link[:-1] + "0" * 2, link.replace("sl_", "ub_"), "sl_", "", "sl_é.ü"]
    for text in forged:
        assert (await post(world, "store-tokens", {"link_token": text})).status_code == 401, text
    old = mint_store_link(
        world.services.vault.token_key,
        order_id=order_id,
        store=StoreEntry(store_id="S", operator_id="o"),
        expires_at=1,
    )
    assert (await post(world, "store-tokens", {"link_token": old})).json()["code"] == "token_expired"


@pytest.mark.parametrize("token", ["ub_", "ub_x.y", "ub_é.ü", "us_x.y"])
async def test_nonsense_tokens_are_refused(world: World, token: str) -> None:
    response = await world.client.get(
        "/api/v1/cancellations/UW1", headers={"Authorization": f"Bearer {token}".encode("latin-1", "replace")}
    )
    assert response.status_code == 401
