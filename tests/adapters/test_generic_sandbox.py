"""The adapters against the sandbox, an independent reading of the same contract, with every fault it can play.

What must hold whatever goes wrong: an outcome is the truth, or UNKNOWN, or "certainly not executed" when it was not; and a
query by the same number tells the truth afterwards.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from time import time
from typing import Any

import httpx
import pytest
from signed_answers import HOLD, MESSAGE, PARCEL, REFUND, SECRET, SHOP

from sandbox.app import running
from sandbox.faults import NAMES, WITHOUT_EFFECT
from sandbox.settings import Settings
from unwind.adapters.generic import (
    CallbackEvent,
    GenericCarrier,
    GenericNotifier,
    GenericPaymentGateway,
    GenericShop,
    GenericWarehouse,
    SignedClient,
    verify_callback,
)
from unwind.domain.outcome import Outcome, OutcomeKind, TradeState
from unwind.ports.carrier import Tracking

CERTAIN = {"rate_limit", "rate_limit_bare"}
HARMLESS = {"reversed_later", "stays_processing", "callback_before_answer"} | {
    name for name in NAMES if name.startswith("callback")
}


@dataclass
class World:
    http: httpx.AsyncClient
    client: SignedClient
    events: list[CallbackEvent] = field(default_factory=list)

    async def control(self, path: str, body: Any) -> None:
        response = await self.http.post(f"/control{path}", json=body)
        assert response.status_code == 200, response.text

    async def wait_for_events(self, count: int) -> list[str]:
        async with asyncio.timeout(5):
            while len(self.events) < count:  # noqa: ASYNC110  the list is the sandbox's to fill
                await asyncio.sleep(0.005)
        return [event.type for event in self.events]

    async def violations(self) -> list[object]:
        found: list[object] = (await self.http.get("/control/assertions")).json()["violations"]
        return found


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """One paid trade, one outbound order, one parcel on its way and one shop order."""
    events: list[CallbackEvent] = []

    async def receive(scope: Any, receive_part: Any, send: Any) -> None:
        body = (await receive_part())["body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        events.append(verify_callback([SECRET], headers, body, time()))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    settings = Settings(
        ledger=tmp_path / "sandbox.db",
        callback_url="http://unwind",
        secret=SECRET,
        time_scale=0.001,
        callback_transport=httpx.ASGITransport(receive),
    )
    async with running(settings) as app:
        transport = httpx.ASGITransport(app)
        client = SignedClient(
            base_url="http://sandbox/c/one",
            secret=SECRET,
            clock=time,
            nonces=lambda: token_hex(16),
            transport=transport,
            timeout_s=0.4,
        )
        async with client, httpx.AsyncClient(transport=transport, base_url="http://sandbox") as http:
            made = World(http, client, events)
            await made.control("/trades", {"connection": "one", "trade_no": "T1", "amount_minor": 1000})
            await made.control("/outbound", {"connection": "one", "no": "W1", "order_no": "O1"})
            await made.control("/waybills", {"connection": "one", "no": "SF1"})
            await made.control("/shop_orders", {"connection": "one", "order_id": "O1"})
            yield made


async def test_everything_well(world: World) -> None:
    gateway, carrier = GenericPaymentGateway(world.client), GenericCarrier(world.client)
    assert (await gateway.query_refund(REFUND)).kind is OutcomeKind.NOT_FOUND
    refunded = await gateway.refund(REFUND)
    assert (refunded.kind, refunded.amount_minor) == (OutcomeKind.SUCCEEDED, 100)
    assert await gateway.query_refund(REFUND) == refunded
    assert (await gateway.close_trade("T1")).state is TradeState.PAID
    assert (await gateway.query_trade("T1")).paid_minor == 1000
    assert (await gateway.query_trade("T9")).state is TradeState.NOT_FOUND
    assert (await GenericWarehouse(world.client).hold(HOLD)).kind is OutcomeKind.SUCCEEDED
    assert (await GenericShop(world.client).cancel_lines(SHOP)).kind is OutcomeKind.SUCCEEDED
    assert (await GenericNotifier(world.client).send(MESSAGE)).kind is OutcomeKind.SUCCEEDED
    assert (await carrier.void_waybill(PARCEL)).kind is OutcomeKind.REFUSED


async def test_recall_from_asking_to_the_way_back(world: World) -> None:
    carrier = GenericCarrier(world.client)
    assert (await carrier.query_recall(PARCEL)).kind is OutcomeKind.NOT_FOUND
    assert (await carrier.recall(PARCEL)).kind is OutcomeKind.PROCESSING
    assert sorted(await world.wait_for_events(2)) == ["parcel.moved", "recall.returning"]
    proven = await carrier.query_recall(PARCEL)
    assert (proven.kind, proven.evidence["fee_minor"]) == (OutcomeKind.SUCCEEDED, 1200)
    tracking = await carrier.track("SF1")
    assert isinstance(tracking, Tracking)
    assert tracking is not None
    assert tracking.return_waybill_no == proven.evidence["return_waybill_no"]
    assert [event.stage for event in tracking.events] == ["returning"]
    assert tracking.events[0].at <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("modes", "kind"),
    [
        ({"balance_minor": 99}, OutcomeKind.NEEDS_FUNDS),
        ({"refund_final": "CLOSED"}, OutcomeKind.NEEDS_NEW_NUMBER),
        ({"refund_final": "ABNORMAL"}, OutcomeKind.ABNORMAL),
        ({"refund_mode": "stuck"}, OutcomeKind.PROCESSING),
    ],
)
async def test_gateway_modes(world: World, modes: dict[str, object], kind: OutcomeKind) -> None:
    await world.control("/connections/one", modes)
    assert (await GenericPaymentGateway(world.client).refund(REFUND)).kind is kind


@pytest.mark.parametrize("name", NAMES)
async def test_every_fault_on_a_refund(world: World, name: str) -> None:
    gateway = GenericPaymentGateway(world.client)
    seconds = 5_000 if name == "slow" else None
    await world.control(
        "/faults", {"fault": name, "operation": "payment.refund", "seconds": seconds, "retry_after_s": 7}
    )
    outcome, asked = await gateway.refund(REFUND), await gateway.query_refund(REFUND)
    if name in CERTAIN:
        expected = (OutcomeKind.RETRY_SAME_NUMBER, OutcomeKind.NOT_FOUND)
        assert outcome.retry_after_s == (7.0 if name == "rate_limit" else None)
    elif name == "stays_processing":
        expected = (OutcomeKind.PROCESSING, OutcomeKind.PROCESSING)
    elif name in HARMLESS:
        expected = (OutcomeKind.SUCCEEDED, OutcomeKind.SUCCEEDED)
    elif name in WITHOUT_EFFECT:
        expected = (OutcomeKind.UNKNOWN, OutcomeKind.NOT_FOUND)
    else:
        expected = (OutcomeKind.UNKNOWN, OutcomeKind.SUCCEEDED)
    assert (outcome.kind, asked.kind) == expected
    if name != "stays_processing":
        assert (await gateway.refund(REFUND)).kind is OutcomeKind.SUCCEEDED
    assert await world.violations() == []


Step = Callable[[SignedClient], Awaitable[Any]]
STEPS: dict[str, tuple[Step, object]] = {
    "payment.refund_query": (lambda c: GenericPaymentGateway(c).query_refund(REFUND), OutcomeKind.NOT_FOUND),
    "payment.close": (lambda c: GenericPaymentGateway(c).close_trade("T1"), TradeState.PAID),
    "payment.trade_query": (lambda c: GenericPaymentGateway(c).query_trade("T1"), TradeState.PAID),
    "warehouse.cancel": (lambda c: GenericWarehouse(c).hold(HOLD), OutcomeKind.SUCCEEDED),
    "warehouse.query": (lambda c: GenericWarehouse(c).query_hold(HOLD), OutcomeKind.NOT_FOUND),
    "carrier.void": (lambda c: GenericCarrier(c).void_waybill(PARCEL), OutcomeKind.REFUSED),
    "carrier.recall": (lambda c: GenericCarrier(c).recall(PARCEL), OutcomeKind.PROCESSING),
    "carrier.recall_query": (lambda c: GenericCarrier(c).query_recall(PARCEL), OutcomeKind.NOT_FOUND),
    "messages.send": (lambda c: GenericNotifier(c).send(MESSAGE), OutcomeKind.SUCCEEDED),
    "shop.cancel": (lambda c: GenericShop(c).cancel_lines(SHOP), OutcomeKind.SUCCEEDED),
    "shop.cancel_query": (lambda c: GenericShop(c).query_cancel(SHOP), OutcomeKind.NOT_FOUND),
}


@pytest.mark.parametrize("operation", STEPS)
@pytest.mark.parametrize("name", [name for name in NAMES if name not in HARMLESS and name != "slow"])
async def test_every_breaking_fault_on_every_call(world: World, name: str, operation: str) -> None:
    """Never a wrong answer: doubt under the fault, the truth on the next try. An error answer has no number to be wrong about,
    but it is bound to the call by its nonce."""
    step, truth = STEPS[operation]
    await world.control("/faults", {"fault": name, "operation": operation})
    doubtful = await step(world.client)
    kind = getattr(doubtful, "kind", None) or doubtful.state
    certain = {OutcomeKind.RETRY_SAME_NUMBER} if name in CERTAIN else set()
    assert kind in {OutcomeKind.UNKNOWN, TradeState.UNKNOWN} | certain
    clear = await step(world.client)
    assert (getattr(clear, "kind", None) or clear.state) == truth


async def test_a_bad_day_moves_every_refund_exactly_once(world: World) -> None:
    """Half of all calls fail somehow; asking after doubt and repeating the same number is enough."""
    await world.control("/connections/one", {"refund_mode": "delayed", "refund_delay_s": 5})
    await world.control("/faults/random", {"rate": 0.5, "seed": 20})
    gateway = GenericPaymentGateway(world.client)

    async def drive(number: int) -> OutcomeKind:
        call = replace(REFUND, refund_no=f"R{number}", amount_minor=10)
        outcome = await gateway.query_refund(call)
        for _ in range(60):
            match outcome.kind:
                case OutcomeKind.NOT_FOUND:
                    outcome = await gateway.refund(call)
                case OutcomeKind.UNKNOWN | OutcomeKind.PROCESSING | OutcomeKind.RETRY_SAME_NUMBER:
                    await asyncio.sleep(0.01)
                    outcome = await gateway.query_refund(call)
                case _:
                    return outcome.kind
        return outcome.kind

    await asyncio.gather(*(drive(number) for number in range(40)))
    await world.http.delete("/control/faults")
    calls = [replace(REFUND, refund_no=f"R{number}", amount_minor=10) for number in range(40)]
    kinds = [(await gateway.query_refund(call)).kind for call in calls]
    assert set(kinds) <= {OutcomeKind.SUCCEEDED, OutcomeKind.PROCESSING, OutcomeKind.ABNORMAL}
    ledger = (await world.http.get("/control/ledger")).json()
    refunds = ledger["trades"][0]["refunds"]
    assert len(refunds) == 40
    assert max(refund["money_moved_times"] for refund in refunds) == 1
    assert await world.violations() == []


async def test_slow_track_is_none_and_then_there(world: World) -> None:
    await world.control("/faults", {"fault": "slow", "operation": "carrier.track", "seconds": 5_000})
    carrier = GenericCarrier(world.client)
    late = await carrier.track("SF1")
    assert isinstance(late, Outcome)
    assert late.kind is OutcomeKind.UNKNOWN
    assert isinstance(await carrier.track("SF1"), Tracking)


async def test_reversed_refund_is_told_and_found(world: World) -> None:
    await world.control("/faults", {"fault": "reversed_later", "operation": "payment.refund", "seconds": 20})
    gateway = GenericPaymentGateway(world.client)
    assert (await gateway.refund(REFUND)).kind is OutcomeKind.SUCCEEDED
    assert await world.wait_for_events(2) == ["refund.succeeded", "refund.reversed"]
    assert (await gateway.query_refund(REFUND)).kind is OutcomeKind.ABNORMAL


async def test_a_number_with_another_amount_is_found_by_the_query(world: World) -> None:
    gateway = GenericPaymentGateway(world.client)
    body = {"connection": "one", "trade_no": "T1", "refund_no": "R1", "amount_minor": 40}
    await world.control("/refunds", body)
    outcome = await gateway.refund(REFUND)
    assert (outcome.kind, outcome.code) == (OutcomeKind.UNKNOWN, "NUMBER_REUSED")
    assert (await gateway.query_refund(REFUND)).amount_minor == 40


async def test_wrong_secret_is_doubt_not_failure(world: World) -> None:
    stranger = SignedClient(
        base_url="http://sandbox/c/one",
        secret="another",
        clock=time,
        nonces=lambda: token_hex(16),
        transport=world.client._outbound._http._transport,
    )
    async with stranger:
        outcome = await GenericPaymentGateway(stranger).refund(REFUND)
    assert (outcome.kind, outcome.code, outcome.evidence) == (
        OutcomeKind.UNKNOWN,
        "unverified:wrong",
        {"http_status": 401},
    )


async def test_skewed_clock_is_a_signature_error(world: World) -> None:
    late = SignedClient(
        base_url="http://sandbox/c/one",
        secret=SECRET,
        clock=lambda: time() - 290,
        nonces=lambda: token_hex(16),
        transport=world.client._outbound._http._transport,
    )
    async with late:
        assert (await GenericPaymentGateway(late).refund(REFUND)).kind is OutcomeKind.SUCCEEDED
        late._clock = lambda: time() - 310
        assert (await GenericPaymentGateway(late).query_refund(REFUND)).code == "unverified:expired"


def test_contract_words_are_the_same_on_both_sides() -> None:
    """The two sides share no code; this is the one place where their words are laid side by side."""
    from sandbox import carrier, warehouse
    from unwind.adapters.generic.warehouse import STAGES
    from unwind.domain.stage import Stage

    assert set(STAGES) == set(warehouse.STAGES)
    assert {stage.value for stage in Stage} - {"unknown"} == carrier.STAGES
