"""Nonsense gets problem details in the asker's language, and the tables are as they were."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.world import KEYS, World, order_body


async def everything(world: World) -> dict[str, Any]:
    """A fingerprint of every table but the one that notes that somebody tried."""
    tables = await world.sql(
        "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        " AND table_name <> 'alerts'"
    )
    prints = {}
    for table in tables:
        rows = await world.sql(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) AS print FROM {table['name']} t")
        prints[table["name"]] = rows[0]["print"]
    return prints


@pytest.fixture
async def unchanged(world: World) -> AsyncIterator[str]:
    """An order that stays exactly as it is, whatever is thrown at the program."""
    order_id = await world.order()
    before = await everything(world)
    yield order_id
    assert await everything(world) == before


CANCELLATIONS: list[tuple[dict[str, Any], int, str]] = [
    ({"order_id": "NO-SUCH"}, 404, "not_found"),
    ({"order_id": ""}, 422, "invalid"),
    ({"order_id": "x" * 65}, 422, "invalid"),
    ({"order_id": "O1; DROP TABLE cases"}, 422, "invalid"),
    ({"order_id": "O1", "lines": {"L1": -1}}, 422, "invalid"),
    ({"order_id": "O1", "lines": {"L1": 0}}, 422, "invalid"),
    ({"order_id": "O1", "lines": {"L1": 1.5}}, 422, "invalid"),
    ({"order_id": "O1", "lines": {"L1": "1"}}, 422, "invalid"),
    ({"order_id": "O1", "lines": {"L1": 2}}, 422, "quantity_too_large"),
    ({"order_id": "O1", "lines": {"L9": 1}}, 422, "unknown_line"),
    ({"order_id": "O1", "lines": {}}, 422, "invalid"),
    ({"order_id": "O1", "channel": "telepathy"}, 422, "invalid"),
    ({"order_id": "O1", "reason": "BECAUSE"}, 422, "invalid"),
    ({"order_id": "O1", "text": "长" * 2001}, 422, "invalid"),
    ({"order_id": "O1", "resaon": "OTHER"}, 422, "invalid"),
    ({"order_id": "O1", "text": None}, 422, "invalid"),
    ({}, 422, "invalid"),
]


@pytest.mark.parametrize(("body", "status", "code"), CANCELLATIONS)
async def test_nonsensical_requests_change_nothing(
    world: World, unchanged: str, body: dict[str, Any], status: int, code: str
) -> None:
    response = await world.call("POST", "/api/v1/cancellations", json=body)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"


ORDERS: list[tuple[dict[str, Any], int, str]] = [
    ({"currency": "yuan"}, 422, "invalid"),
    ({"currency": "USD", "revision": 2}, 409, "currency_changed"),
    ({"shipping_minor": -1, "revision": 2}, 422, "invalid"),
    ({"shipping_minor": 1.5, "revision": 2}, 422, "invalid"),
    ({"shipping_minor": 10**13, "revision": 2}, 422, "invalid"),
    ({"lines": [], "revision": 2}, 422, "invalid"),
    ({"placed_at": "yesterday", "revision": 2}, 422, "invalid"),
    ({"placed_at": "2026-01-01T00:00:00", "revision": 2}, 422, "invalid"),
    ({"merchant_id": "nobody", "revision": 2}, 404, "unknown_merchant"),
    ({"discounts": [{"discount_id": "d", "amount_minor": 9_999_999}], "revision": 2}, 422, "discount_above_goods"),
    ({"colour": "red", "revision": 2}, 422, "invalid"),
]


@pytest.mark.parametrize(("change", "status", "code"), ORDERS)
async def test_nonsensical_orders_change_nothing(
    world: World, unchanged: str, change: dict[str, Any], status: int, code: str
) -> None:
    body = {**order_body("O1", now=await world.now()), **change}
    response = await world.call("PUT", f"/api/v1/orders/{unchanged}", json=body)
    assert (response.status_code, response.json()["code"]) == (status, code), response.text


async def test_changed_quantity_is_refused(world: World, unchanged: str) -> None:
    body = order_body(unchanged, now=await world.now(), revision=2)
    body["lines"][0]["quantity"] = 2
    response = await world.call("PUT", f"/api/v1/orders/{unchanged}", json=body)
    assert (response.status_code, response.json()["code"]) == (409, "lines_changed")


async def test_stale_revision_is_ignored(world: World, unchanged: str) -> None:
    for revision in (0, 1):
        body = order_body(unchanged, now=await world.now(), revision=revision, released_stage="packed")
        response = await world.ok("PUT", f"/api/v1/orders/{unchanged}", json=body)
        assert response == {"order_id": unchanged, "revision": 1, "applied": False}


async def test_shop_facts_never_undo_a_cancellation(world: World) -> None:
    order_id = await world.order(paid=False)
    await world.cancel(order_id)
    body = order_body(order_id, now=await world.now(), revision=7, paid=False, released_stage="picking")
    assert (await world.ok("PUT", f"/api/v1/orders/{order_id}", json=body))["applied"]
    seen = await world.ok("GET", f"/api/v1/orders/{order_id}")
    assert seen["is_cancelled"]
    assert seen["lines"][0]["units"] == {"restocked": 1}


@pytest.mark.parametrize("size", [1024 * 1024 + 1, 10 * 1024 * 1024])
async def test_a_huge_body_is_refused(world: World, unchanged: str, size: int) -> None:
    headers = {"content-type": "application/json"}
    response = await world.call("POST", "/api/v1/cancellations", content=b"x" * size, headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")

    async def dribble() -> AsyncIterator[bytes]:
        for _ in range(size // 65536 + 1):
            yield b"x" * 65536

    response = await world.call("POST", "/api/v1/cancellations", content=dribble(), headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'{"order_id": NaN}', b'{"a":' * 5000])
async def test_broken_json_is_refused(world: World, unchanged: str, body: bytes) -> None:
    response = await world.call(
        "POST", "/api/v1/cancellations", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 422
    assert response.json()["code"] in {"invalid", "not_json"}


async def test_problem_speaks_the_askers_language_and_never_quotes_the_request(world: World, unchanged: str) -> None:
    secret = "13912345678"
    for language, title in (("zh-CN", "请求内容不正确"), ("en-GB", "The request is not valid")):
        response = await world.call(
            "POST",
            "/api/v1/cancellations",
            json={"order_id": secret * 10, "text": secret},
            headers={"Accept-Language": language},
        )
        assert response.json()["title"] == title
        assert secret not in response.text


@pytest.mark.parametrize("credential", ["", "Bearer", "Bearer nobody", "Basic abc", "Bearer ub_x.y", "Bearer ub_"])
async def test_without_a_credential_nothing_is_said(world: World, unchanged: str, credential: str) -> None:
    headers = {"Authorization": credential} if credential else {}
    for method, path in (
        ("GET", f"/api/v1/orders/{unchanged}"),
        ("GET", "/api/v1/desk/cases"),
        ("PUT", "/api/v1/stock"),
    ):
        response = await world.client.request(method, path, headers=headers, json=[])
        assert (response.status_code, response.json()["code"]) == (401, "unauthorised")


async def test_somebody_elses_order_does_not_exist(world: World) -> None:
    mine = await world.order()
    other = await world.order()
    token = (await world.ok("POST", f"/api/v1/orders/{mine}/buyer-token"))["token"]
    before = await everything(world)
    for method, path, body in (
        ("POST", "/api/v1/cancellations", {"order_id": other}),
        ("GET", f"/api/v1/orders/{other}", None),
        ("GET", f"/api/v1/orders/{other}/cancellability", None),
        ("POST", "/api/v1/cancellations", {"order_id": "NO-SUCH"}),
    ):
        response = await world.call(method, path, role=token, json=body)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert await everything(world) == before
    assert (await world.call("POST", "/api/v1/cancellations", role=token, json={"order_id": mine})).status_code == 201


async def test_a_buyer_may_not_do_what_staff_does(world: World) -> None:
    order_id = await world.order(lines=None)
    token = (await world.ok("POST", f"/api/v1/orders/{order_id}/buyer-token"))["token"]
    case_id = (await world.cancel(order_id))["case_id"]
    before = await everything(world)
    decision = {"choice": "approve", "case_version": 1, "order_version": 1}
    for method, path, body in (
        ("GET", "/api/v1/desk/cases", None),
        ("GET", f"/api/v1/desk/cases/{case_id}", None),
        ("POST", f"/api/v1/desk/cases/{case_id}/decisions", decision),
        ("PUT", f"/api/v1/orders/{order_id}", order_body(order_id, now=await world.now(), revision=9)),
        ("POST", f"/api/v1/orders/{order_id}/buyer-token", None),
        ("PUT", "/api/v1/stock", []),
    ):
        response = await world.call(method, path, role=token, json=body)
        assert response.status_code in {403, 404}, (path, response.text)
    assert await everything(world) == before


async def test_an_expired_token_says_so(world: World) -> None:
    from unwind.web.access import mint_buyer_token

    order_id = await world.order()
    token = mint_buyer_token(world.services.vault.token_key, order_id=order_id, expires_at=1)
    response = await world.call("GET", f"/api/v1/orders/{order_id}", role=token)
    assert (response.status_code, response.json()["code"]) == (401, "token_expired")


async def test_callbacks_that_do_not_verify_are_refused(world: World, unchanged: str) -> None:
    body = b'{"event_id":"e1","type":"refund.succeeded","created_at":"2026-01-01T00:00:00Z","data":{}}'
    for headers in ({}, {"X-Timestamp": "1", "X-Nonce": "n" * 16, "X-Signature": "0" * 64}):
        response = await world.client.post("/callbacks/wxpay", content=body, headers=headers)
        assert (response.status_code, response.json()["code"]) == (401, "callback_refused")
    alerts = await world.sql("SELECT connection, kind, code, times FROM alerts")
    assert alerts == [{"connection": "wxpay", "kind": "callback_unverified", "code": "sign_error", "times": 1}], (
        "once a second"
    )
    response = await world.client.post("/callbacks/nobody", content=body)
    assert response.status_code == 404


def test_keys_of_the_tests_are_all_different() -> None:
    assert len(set(KEYS.values())) == len(KEYS)


async def test_an_admin_of_one_shop_may_not_touch_another(world: World) -> None:
    from unwind.storage.principals import upsert_principal

    principal = {
        "principal_id": "bound",
        "role": "admin",
        "scopes": ["admin"],
        "merchant_id": "shop",
        "display_name": "b",
    }
    async with world.services.database.connection() as conn:
        await upsert_principal(conn, principal, "uk_bound")
    before = await everything(world)
    for path, body, status in (("/api/v1/merchants/other", {"name": "x"}, 404), ("/api/v1/stock", [], 403)):
        response = await world.call("PUT", path, role="uk_bound", json=body)
        assert response.status_code == status, response.text
    assert await everything(world) == before
    await world.ok("PUT", "/api/v1/merchants/shop", role="uk_bound", json={"name": "mine"})


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/session", {"login": "a\x00b", "password": "x" * 12}),
        ("POST", "/api/v1/desk/lookups", {"q": "a\x00b", "by": "order"}),
        ("GET", "/api/v1/desk/cases/a%00b/conversation", None),
        ("PUT", "/api/v1/admin/scripts/x", {"title": "a\x00b", "zh": "您好", "en": "Hello"}),
    ],
)
async def test_a_nul_is_the_askers_mistake(world: World, method: str, path: str, body: Any) -> None:
    answer = await world.call(method, path, role="admin", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
