"""The door: what gets in, and that answers and callbacks carry a signature of their own."""

import json
import time
from collections.abc import Callable

import httpx
import pytest
from signed_caller import Caller

from sandbox.__main__ import read_settings
from sandbox.settings import Settings
from sandbox.signing import sign as sandbox_sign

BODY = {"trade_no": "T1", "refund_no": "R1"}


def test_signature_of_a_fixed_message() -> None:
    """Computed with `printf '1700000000\\nabcdefghijklmnop\\n{"a":1}' | openssl dgst -sha256 -hmac k`."""
    expected = "1b6b470bdbfe467524a4ef79f610b35f8a082d0d99853860cf2332de97e44775"
    assert sandbox_sign("k", timestamp=1700000000, nonce="abcdefghijklmnop", body=b'{"a":1}') == expected


async def test_signed_call_gets_a_signed_answer(caller: Caller) -> None:
    assert (await caller.call("/payment/trades/query", {"trade_no": "T1"})).json() == {
        "trade_no": "T1",
        "state": "PAID",
        "amount_minor": 1000,
        "currency": "CNY",
        "refunded_minor": 0,
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Signature": "0" * 64},
        {"X_Signature": ""},
        {"X_Signature": "é" * 10},
        {"X_Timestamp": str(int(time.time()) - 301)},
        {"X_Timestamp": str(int(time.time()) + 400)},
        {"X_Timestamp": "soon"},
        {"X_Nonce": "short"},
        {"X_Nonce": "spaces are not allowed"},
    ],
)
async def test_wrong_signature_is_refused(caller: Caller, headers: dict[str, str]) -> None:
    raw = {name: value.encode() for name, value in headers.items()}
    response = await caller.call("/payment/refunds/query", BODY, verified=False, **raw)
    assert (response.status_code, response.json()["code"]) == (401, "SIGN_ERROR")


async def test_another_secret_is_refused(caller: Caller) -> None:
    caller.secret = "another"
    response = await caller.call("/payment/refunds/query", BODY, verified=False)
    assert response.json()["code"] == "SIGN_ERROR"


async def test_nonce_can_be_used_once_per_connection(caller: Caller) -> None:
    first = await caller.call("/payment/refunds/query", BODY)
    assert first.status_code == 404
    request = first.request
    again = await caller.http.send(httpx.Request("POST", request.url, content=request.content, headers=request.headers))
    assert (again.status_code, again.json()["code"]) == (401, "NONCE_REUSED")
    elsewhere = str(request.url).replace("/c/pay1/", "/c/pay2/")
    other = await caller.http.send(httpx.Request("POST", elsewhere, content=request.content, headers=request.headers))
    assert other.json()["code"] == "NOT_FOUND"


async def test_body_that_is_no_object_is_a_parameter_error(caller: Caller) -> None:
    response = await caller.call("/payment/refunds", ["not", "an", "object"])
    assert (response.status_code, response.json()["code"]) == (400, "PARAM_ERROR")


async def test_control_is_for_this_machine_only(caller: Caller) -> None:
    transport = httpx.ASGITransport(caller.http._transport.app, client=("10.0.0.8", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as stranger:
        assert (await stranger.get("/control/ledger")).status_code == 403


def test_settings_from_the_command_line() -> None:
    arguments = ["--port", "8090", "--ledger", "a.db", "--callback-url", "http://127.0.0.1:8080/"]
    settings, port = read_settings([*arguments, "--secret", "common==", "--secret", "wms=own=", "--time-scale", "0.5"])
    assert (port, settings.callback_url, settings.time_scale) == (8090, "http://127.0.0.1:8080", 0.5)
    assert (settings.secret_of("pay"), settings.secret_of("wms")) == ("common==", "own=")


def test_without_a_common_secret_only_named_connections_exist(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(secret="", secrets={"pay1": "x"})
    assert settings.secret_of("pay2") is None
    assert json.dumps(settings.secret_of("pay1")) == '"x"'
