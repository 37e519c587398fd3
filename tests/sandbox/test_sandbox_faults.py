"""Every dial once: what the caller sees, and whether it happened."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from signed_caller import CONNECTION, SECRET, Caller, Receiver, is_signed

from sandbox.dialects.generic import REPEAT_AFTER_S
from sandbox.faults import ERRORS, NAMES


async def has_happened(caller: Caller) -> bool:
    return (await caller.query()).status_code == 200


@pytest.mark.parametrize(
    ("name", "happened"), [("timeout_after_effect", True), ("timeout_before_effect", False), ("reset_mid_answer", True)]
)
async def test_broken_connections(caller: Caller, name: str, happened: bool) -> None:
    await caller.fault(name)
    with pytest.raises(ConnectionResetError):
        await caller.refund()
    assert await has_happened(caller) == happened
    assert (await caller.refund()).json()["status"] == "SUCCESS"


async def test_timeout_holds_the_answer_first(caller: Caller) -> None:
    await caller.fault("timeout_after_effect", seconds=300)
    started_at = time.monotonic()
    with pytest.raises(ConnectionResetError):
        await caller.refund()
    assert time.monotonic() - started_at >= 0.3


async def test_slow(caller: Caller) -> None:
    await caller.fault("slow", seconds=200)
    started_at = time.monotonic()
    assert (await caller.refund()).json()["status"] == "SUCCESS"
    assert time.monotonic() - started_at >= 0.2


@pytest.mark.parametrize("name", ERRORS)
async def test_server_errors(caller: Caller, name: str) -> None:
    status, when = ERRORS[name]
    await caller.fault(name)
    body = {
        "trade_no": "T1",
        "refund_no": "R1",
        "amount_minor": 100,
        "total_minor": 1000,
        "currency": "CNY",
        "reason": "X",
    }
    response = await caller.call("/payment/refunds", body, verified=status == 500)
    assert response.status_code == status
    assert await has_happened(caller) == (when == "after")


@pytest.mark.parametrize(("name", "retry_after"), [("rate_limit", "7"), ("rate_limit_bare", None)])
async def test_rate_limit(caller: Caller, name: str, retry_after: str | None) -> None:
    await caller.fault(name, retry_after_s=7)
    response = await caller.refund()
    assert (response.status_code, response.headers.get("Retry-After")) == (429, retry_after)
    assert not await has_happened(caller)


async def test_malformed_body(caller: Caller) -> None:
    await caller.fault("malformed_body")
    response = await caller.refund()
    assert response.status_code == 200
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        response.json()
    assert await has_happened(caller)


async def test_bad_signature(caller: Caller) -> None:
    await caller.fault("bad_signature", operation="payment.refund_query")
    body = {"trade_no": "T1", "refund_no": "R1"}
    await caller.refund()
    response = await caller.call("/payment/refunds/query", body, verified=False)
    assert response.json()["status"] == "SUCCESS"
    assert not is_signed(response.headers, response.content)


async def test_wrong_order_answer(caller: Caller) -> None:
    await caller.fault("wrong_order_answer")
    answer = (await caller.refund()).json()
    assert (answer["refund_no"], answer["trade_no"]) == ("OTHERR1", "OTHERT1")
    assert await has_happened(caller)
    await caller.control("/outbound", {"connection": "wms", "no": "W1"})
    await caller.fault("wrong_order_answer", operation="warehouse.cancel")
    response = await caller.call("/outbound/W1/cancel", {"request_id": "H1"}, connection="wms", verified=False)
    assert response.headers["X-Nonce"] != response.request.headers["X-Nonce"]


async def test_stays_processing(caller: Caller, receiver: Receiver) -> None:
    await caller.fault("stays_processing")
    assert (await caller.refund()).json()["status"] == "PROCESSING"
    await caller.fault("stays_processing", seconds=1)
    assert (await caller.refund("R2")).json()["status"] == "PROCESSING"
    await receiver.wait_for(1)
    assert receiver.events[0]["data"]["refund_no"] == "R2"
    assert (await caller.query()).json()["status"] == "PROCESSING"
    assert (await caller.refund("R3")).json()["status"] == "SUCCESS"


async def test_reversed_later(caller: Caller, receiver: Receiver) -> None:
    await caller.fault("reversed_later", seconds=20)
    assert (await caller.refund()).json()["status"] == "SUCCESS"
    await receiver.wait_for(2)
    assert receiver.types() == ["refund.succeeded", "refund.reversed"]
    assert (await caller.query()).json()["status"] == "ABNORMAL"


async def test_callback_before_answer(caller: Caller, receiver: Receiver) -> None:
    await caller.control(f"/connections/{CONNECTION}", {"refund_mode": "delayed", "refund_delay_s": 9999})
    await caller.fault("callback_before_answer")
    answer = (await caller.refund()).json()
    assert answer["status"] == "PROCESSING"
    assert receiver.types() == ["refund.succeeded"]


@pytest.mark.parametrize(("name", "count"), [("callback_twice", 2), ("callback_50", 50), ("callback_never", 0)])
async def test_callback_count(caller: Caller, receiver: Receiver, name: str, count: int) -> None:
    await caller.fault(name)
    await caller.refund()
    await receiver.wait_for(count)
    await asyncio.sleep(0.05)
    assert len(receiver.events) == count
    assert len({event["event_id"] for event in receiver.events}) == min(count, 1)
    assert len({headers["x-nonce"] for headers in receiver.headers}) == count


async def test_callbacks_out_of_order(caller: Caller, receiver: Receiver) -> None:
    await caller.fault("callbacks_out_of_order")
    await caller.refund("R1")
    await caller.refund("R2")
    await receiver.wait_for(2)
    assert [event["data"]["refund_no"] for event in receiver.events] == ["R2", "R1"]


async def test_callback_is_signed_and_repeated_until_204(caller: Caller, receiver: Receiver) -> None:
    receiver.statuses = [500, 200, 404]
    await caller.refund()
    await receiver.wait_for(4)
    await asyncio.sleep(0.05)
    assert len(receiver.events) == 4
    assert receiver.paths[0] == f"/callbacks/{CONNECTION}"
    assert all(is_signed(*pair) for pair in zip(receiver.headers, receiver.bodies, strict=True))
    event = receiver.events[0]
    assert set(event) == {"event_id", "type", "created_at", "data"}
    assert [callback["state"] for callback in (await caller.ledger())["callbacks"]] == ["DELIVERED"]


async def test_callback_is_given_up_after_the_whole_schedule(caller: Caller, receiver: Receiver) -> None:
    receiver.statuses = [500] * 100
    await caller.refund()
    for attempt in range(1, len(REPEAT_AFTER_S) + 2):
        await receiver.wait_for(attempt)
        await asyncio.sleep(0.01)
        await caller.control("/callbacks/hurry")
    await asyncio.sleep(0.05)
    assert len(receiver.events) == 16
    assert [callback["state"] for callback in (await caller.ledger())["callbacks"]] == ["GAVE_UP"]


async def test_dials_are_counted_and_kept_apart(caller: Caller) -> None:
    await caller.fault("rate_limit", times=2)
    await caller.fault("rate_limit", operation="payment.close")
    await caller.fault("rate_limit", connection="another")
    statuses = [(await caller.refund()).status_code for _ in range(3)]
    assert statuses == [429, 429, 200]
    waiting = (await caller.http.get("/control/faults")).json()["waiting"]
    assert len(waiting) == 2
    await caller.http.delete("/control/faults")
    assert (await caller.http.get("/control/faults")).json()["waiting"] == []


async def test_unknown_dials_are_refused(caller: Caller) -> None:
    for wrong in ({"fault": "no_such"}, {"fault": "slow", "operation": "no.such"}, {"fault": "slow", "extra": 1}):
        assert (await caller.http.post("/control/faults", json=wrong)).status_code in {400, 422}
    wrong = {"rate": 0.5, "faults": ["no_such"]}
    assert (await caller.http.post("/control/faults/random", json=wrong)).status_code == 400


async def test_random_faults_repeat_with_their_seed(caller: Caller) -> None:
    async def statuses() -> list[int]:
        await caller.control(
            "/faults/random", {"rate": 0.5, "seed": 7, "faults": ["rate_limit", "error_500_before_effect"]}
        )
        return [(await caller.query()).status_code for _ in range(30)]

    first = await statuses()
    assert await statuses() == first
    assert set(first) == {404, 429, 500}
    await caller.control("/faults/random", {"rate": 0})
    assert {(await caller.query()).status_code for _ in range(10)} == {404}


async def test_random_faults_only_draw_what_can_show(caller: Caller) -> None:
    await caller.control("/faults/random", {"rate": 1, "faults": ["reversed_later", "callback_50", "stays_processing"]})
    assert (await caller.query()).status_code == 404
    assert (await caller.ledger())["calls"][0]["fault"] == ""


def test_every_fault_of_the_list_has_a_dial() -> None:
    assert len(NAMES) == len(set(NAMES)) == 22


@pytest.fixture(scope="module")
def process_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real sandbox process, because only a real connection can break."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ledger = tmp_path_factory.mktemp("process") / "sandbox.db"
    arguments = ["--port", str(port), "--ledger", str(ledger), "--secret", SECRET, "--time-scale", "0.001"]
    command = [sys.executable, "-m", "sandbox", *arguments, "--callback-url", "http://127.0.0.1:9"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        wait_until_open(url)
        yield url
        process.terminate()


def wait_until_open(url: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/control/faults", trust_env=False)
        except httpx.ConnectError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the sandbox did not start")


@pytest.mark.parametrize("name", ["timeout_after_effect", "reset_mid_answer"])
async def test_a_real_connection_breaks(process_url: str, name: str) -> None:
    async with httpx.AsyncClient(base_url=process_url, trust_env=False) as http:
        caller = Caller(http)
        await caller.control("/trades", {"connection": CONNECTION, "trade_no": "T1", "amount_minor": 1000})
        await caller.fault(name)
        with pytest.raises(httpx.RemoteProtocolError):
            await caller.refund(f"R-{name}")
        assert (await caller.query(f"R-{name}")).json()["status"] == "SUCCESS"
