"""Trades and refunds: a number is for ever, money never leaves twice, and never more than came in."""

from collections.abc import Callable

import httpx
import pytest
from signed_caller import CONNECTION, Caller, Receiver

from sandbox.app import running
from sandbox.settings import Settings


async def test_refund_is_final_at_once_and_told(caller: Caller, receiver: Receiver) -> None:
    answer = (await caller.refund()).json()
    assert answer["status"] == "SUCCESS"
    assert answer["final_at"].endswith("+00:00")
    assert (await caller.query()).json() == answer
    await receiver.wait_for(1)
    event = receiver.events[0]
    assert event["type"] == "refund.succeeded"
    assert event["data"] == {
        "trade_no": "T1",
        "refund_no": "R1",
        "amount_minor": 100,
        "currency": "CNY",
        "status": "SUCCESS",
    }


async def test_same_number_is_the_same_refund(caller: Caller, receiver: Receiver) -> None:
    first = await caller.refund()
    second = await caller.refund()
    assert first.json() == second.json()
    reused = await caller.refund(amount_minor=101)
    assert (reused.status_code, reused.json()["code"]) == (409, "NUMBER_REUSED")
    refund = (await caller.ledger())["trades"][0]["refunds"][0]
    assert refund["calls"] == {"payment.refund": 3}
    assert refund["money_moved_times"] == 1
    assert await caller.violations() == ["refund_number_with_other_amount"]
    await receiver.wait_for(1)


async def test_never_more_than_was_paid(caller: Caller) -> None:
    assert (await caller.refund("R1", 600)).status_code == 200
    over = await caller.refund("R2", 401)
    assert (over.status_code, over.json()["code"]) == (403, "OVER_REFUND")
    assert (await caller.refund("R3", 400)).status_code == 200
    trade = (await caller.call("/payment/trades/query", {"trade_no": "T1"})).json()
    assert trade["refunded_minor"] == 1000
    assert await caller.violations() == []


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"trade_no": "T9"}, 404, "NOT_FOUND"),
        ({"currency": "USD"}, 400, "PARAM_ERROR"),
        ({"total_minor": 999}, 400, "PARAM_ERROR"),
        ({"amount_minor": 0}, 400, "PARAM_ERROR"),
        ({"amount_minor": 1.5}, 400, "PARAM_ERROR"),
        ({"amount_minor": True}, 400, "PARAM_ERROR"),
        ({"amount_minor": "100"}, 400, "PARAM_ERROR"),
        ({"refund_no": ""}, 400, "PARAM_ERROR"),
        ({"refund_no": "R" * 129}, 400, "PARAM_ERROR"),
        ({"reason": 5}, 400, "PARAM_ERROR"),
    ],
)
async def test_refusals(caller: Caller, changes: dict[str, object], status: int, code: str) -> None:
    response = await caller.refund(**changes)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert (await caller.query()).status_code == 404


async def test_balance_too_low_is_answered_until_topped_up(caller: Caller) -> None:
    await caller.control(f"/connections/{CONNECTION}", {"balance_minor": 99})
    short = await caller.refund()
    assert (short.status_code, short.json()["code"]) == (403, "NOT_ENOUGH")
    await caller.control(f"/connections/{CONNECTION}", {"balance_minor": 150})
    assert (await caller.refund()).json()["status"] == "SUCCESS"
    assert (await caller.refund("R2")).json()["code"] == "NOT_ENOUGH"
    await caller.control(f"/connections/{CONNECTION}", {"balance_minor": None})
    assert (await caller.refund("R2")).status_code == 200


@pytest.mark.parametrize(
    ("final", "event"),
    [("SUCCESS", "refund.succeeded"), ("CLOSED", "refund.closed"), ("ABNORMAL", "refund.abnormal")],
)
async def test_processing_then_final(caller: Caller, receiver: Receiver, final: str, event: str) -> None:
    mode = {"refund_mode": "delayed", "refund_delay_s": 30, "refund_final": final}
    await caller.control(f"/connections/{CONNECTION}", mode)
    assert (await caller.refund()).json()["status"] == "PROCESSING"
    await receiver.wait_for(1)
    assert receiver.types() == [event]
    assert (await caller.query()).json()["status"] == final


async def test_stuck_refund_is_moved_by_hand(caller: Caller, receiver: Receiver) -> None:
    await caller.control(f"/connections/{CONNECTION}", {"refund_mode": "stuck"})
    await caller.refund()
    assert (await caller.query()).json()["status"] == "PROCESSING"
    too_early = await caller.http.post(f"/control/refunds/{CONNECTION}/R1/state", json={"state": "REVERSED"})
    assert too_early.status_code == 409
    await caller.control(f"/refunds/{CONNECTION}/R1/state", {"state": "SUCCESS"})
    await caller.control(f"/refunds/{CONNECTION}/R1/state", {"state": "REVERSED"})
    assert (await caller.query()).json()["status"] == "ABNORMAL"
    await receiver.wait_for(2)
    assert set(receiver.types()) == {"refund.succeeded", "refund.reversed"}
    trade = (await caller.call("/payment/trades/query", {"trade_no": "T1"})).json()
    assert trade["refunded_minor"] == 0


async def test_closed_number_frees_the_amount_but_stays_dead(caller: Caller) -> None:
    mode = {"refund_mode": "stuck", "balance_minor": 1000}
    await caller.control(f"/connections/{CONNECTION}", mode)
    await caller.refund("R1", 1000)
    await caller.control(f"/refunds/{CONNECTION}/R1/state", {"state": "CLOSED"})
    assert (await caller.refund("R1", 1000)).json()["status"] == "CLOSED"
    assert (await caller.refund("R2", 1000)).json()["status"] == "PROCESSING"


async def test_close_or_pay_whoever_is_first(caller: Caller, receiver: Receiver) -> None:
    trades = [
        {"connection": CONNECTION, "trade_no": number, "amount_minor": 5, "state": state}
        for number, state in (("A", "UNPAID"), ("B", "UNPAID"), ("C", "none"))
    ]
    assert await caller.control("/trades", trades) == {"created": 3}
    assert await caller.control("/trades", trades) == {"created": 0}

    async def close(number: str) -> tuple[int, str]:
        response = await caller.call("/payment/trades/close", {"trade_no": number})
        return response.status_code, response.json().get("state", response.json().get("code"))

    assert (await close("A"), await close("A")) == ((200, "CLOSED"), (200, "CLOSED"))
    assert (await caller.http.post(f"/control/trades/{CONNECTION}/A/pay")).status_code == 409
    await caller.control(f"/trades/{CONNECTION}/B/pay")
    assert await close("B") == (200, "PAID")
    assert await close("C") == (404, "NOT_FOUND")
    await caller.control(f"/trades/{CONNECTION}/C/pay")
    assert await close("C") == (200, "PAID")
    assert (await caller.refund("R5", 5, trade_no="A", total_minor=5)).json()["code"] == "TRADE_CLOSED"
    assert (await caller.refund("R6", 5, trade_no="C", total_minor=5)).status_code == 200
    await receiver.wait_for(3)
    assert sorted(receiver.types()) == ["refund.succeeded", "trade.paid", "trade.paid"]


async def test_unpaid_trade_cannot_be_refunded(caller: Caller) -> None:
    await caller.control(
        "/trades", {"connection": CONNECTION, "trade_no": "U", "amount_minor": 1000, "state": "UNPAID"}
    )
    assert (await caller.refund(trade_no="U")).json()["code"] == "NOT_PAID"


async def test_staff_refund_counts_against_the_trade(caller: Caller) -> None:
    staff = {"connection": CONNECTION, "trade_no": "T1", "refund_no": "STAFF1", "amount_minor": 950}
    await caller.control("/refunds", staff)
    assert (await caller.refund()).json()["code"] == "OVER_REFUND"
    assert (await caller.http.post("/control/refunds", json=staff)).status_code == 409


async def test_refund_before_the_hold_is_answered_is_a_violation(caller: Caller) -> None:
    await caller.control(
        "/trades",
        [
            {"connection": CONNECTION, "trade_no": number, "amount_minor": 1000, "order_no": f"O{number}"}
            for number in ("EARLY", "RIGHT")
        ],
    )
    await caller.control(
        "/outbound",
        [{"connection": "wms", "no": f"W{number}", "order_no": f"O{number}"} for number in ("EARLY", "RIGHT")],
    )
    await caller.refund("R1", 1000, trade_no="EARLY")
    hold = {"request_id": "H1", "order_no": "ORIGHT", "warehouse_code": "SH1", "reason": "X"}
    assert (await caller.call("/outbound/WRIGHT/cancel", hold, connection="wms")).json()["result"] == "CANCELLED"
    await caller.refund("R2", 1000, trade_no="RIGHT")
    assert await caller.violations() == ["refund_before_hold_answered"]


async def test_ledger_survives_a_restart(make_settings: Callable[..., Settings], receiver: Receiver) -> None:
    """Also what was still to happen: the later final state and its event."""
    settings = make_settings(time_scale=1.0)

    async def start_and(step: Callable[[Caller], object]) -> object:
        async with (
            running(settings) as app,
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sandbox") as http,
        ):
            return await step(Caller(http))  # type: ignore[misc]

    async def ask(caller: Caller) -> None:
        await caller.control("/trades", {"connection": CONNECTION, "trade_no": "T1", "amount_minor": 1000})
        await caller.control(f"/connections/{CONNECTION}", {"refund_mode": "delayed", "refund_delay_s": 0.2})
        assert (await caller.refund()).json()["status"] == "PROCESSING"

    async def look(caller: Caller) -> None:
        await receiver.wait_for(1)
        assert (await caller.query()).json()["status"] == "SUCCESS"
        assert (await caller.refund()).json()["status"] == "SUCCESS"
        assert (await caller.ledger())["trades"][0]["refunds"][0]["money_moved_times"] == 1
        await caller.control("/reset")
        assert (await caller.ledger())["trades"] == []

    await start_and(ask)
    assert receiver.events == []
    await start_and(look)


async def test_the_checker_sees_money_that_moved_twice(caller: Caller) -> None:
    """Planted in the ledger, because the sandbox itself would not do it."""
    await caller.refund("R1", 600)
    await caller.refund("R2", 400)
    world = caller.http._transport.app.state.world  # type: ignore[attr-defined]
    world.ledger.run(
        "INSERT INTO money_moves (connection, refund_no, trade_no, amount_minor, at_ns) VALUES (?, 'R1', 'T1', 600, 1)",
        CONNECTION,
    )
    assert await caller.violations() == ["money_moved_twice", "refunded_more_than_paid"]


async def test_two_numbers_with_one_amount_are_only_suspicious(caller: Caller) -> None:
    await caller.refund("R1", 100)
    await caller.refund("R2", 100)
    found = (await caller.http.get("/control/assertions")).json()
    assert found["violations"] == []
    assert [suspicion["kind"] for suspicion in found["suspicions"]] == ["same_amount_under_two_numbers"]
