"""Every way a payment gateway can misbehave, once on sending and once on asking; and silent warehouses and carriers.

The judge is the sandbox's own ledger: money moves exactly once or not at all, and nobody is told more than is true.
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.faults import NAMES, WITHOUT_EFFECT
from tests.world import World, shipment
from unwind.flow import execute

ANSWER_WITHIN_S = 0.15
"""Our limit for one call, shortened; dials of silence last longer than this, whatever the sandbox scales."""
SILENCE = {"timeout_after_effect": 300, "timeout_before_effect": 300, "slow": 300}
NEVER_SETTLED = {("stays_processing", "payment.refund")}
PATIENCE_WITH_A_GATEWAY = timedelta(days=3, minutes=1)
PATIENCE_IN_DOUBT = timedelta(minutes=10, seconds=5)
ROUND = timedelta(seconds=2)
ROUNDS_MAX = 60


@pytest.fixture(autouse=True)
def _short_calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(execute, "CALL_TIMEOUT_S", ANSWER_WITHIN_S)
    return


async def dial(world: World, fault: str, operation: str, *, times: int = 1, connection: str = "*") -> None:
    body = {"connection": connection, "operation": operation, "fault": fault, "times": times}
    if fault in SILENCE:
        body["seconds"] = SILENCE[fault]
    await world.ask_sandbox("faults", body)


async def run_to_rest(world: World, case_id: str, *, rounds_max: int = ROUNDS_MAX) -> dict[str, Any]:
    """Until the case is sealed or with a person: the worker, the callbacks, and two seconds a round."""
    for _ in range(rounds_max):
        await world.run()
        row = await case_row(world, case_id)
        if row["state"] in {"archived", "review"}:
            return row
        await world.ask_sandbox("callbacks/hurry", {})
        await asyncio.sleep(0.005)
        await world.pass_time(ROUND)
    return row


async def case_row(world: World, case_id: str) -> dict[str, Any]:
    return (await world.sql("SELECT * FROM cases WHERE case_id = %s", case_id))[0]


async def leg_row(world: World, case_id: str, kind: str) -> dict[str, Any]:
    return (await world.sql("SELECT * FROM legs WHERE case_id = %s AND kind = %s", case_id, kind))[0]


async def told(world: World, case_id: str) -> set[str]:
    rows = await world.sql("SELECT fact FROM messages WHERE case_id = %s AND audience = 'buyer'", case_id)
    return {row["fact"].split(":")[0] for row in rows}


async def retry(world: World, case_id: str) -> dict[str, Any]:
    response = await world.decide(case_id, "retry")
    assert response.status_code == 200, response.text
    return await run_to_rest(world, case_id)


async def assert_honest(world: World, order_id: str, case_id: str) -> None:
    """No violation in the outside world, none in ours; "refunded" is said only of what the ledger has as done."""
    from unwind.doctor import examine

    assert (await world.violations())["violations"] == []
    async with world.services.database.survey() as conn:
        assert await examine(conn, world.services.vault) == []
    refunds = await world.refunds(order_id)
    assert sum(r["money_moved_times"] for r in refunds) in {0, 1}
    if "refund_done" in await told(world, case_id):
        assert [r["money_moved_times"] for r in refunds if r["money_moved_times"]] == [1]


def calls_in_order(folder: Path, connection: str) -> list[tuple[str, str, int]]:
    """(operation, number, status) of every call that reached the other side's own code."""
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as ledger:
        query = "SELECT operation, number, status FROM calls WHERE connection = ? ORDER BY id"
        return [(str(o), str(n), int(s)) for o, n, s in ledger.execute(query, (connection,))]


@pytest.mark.parametrize("operation", ["payment.refund", "payment.refund_query"])
@pytest.mark.parametrize("fault", NAMES)
async def test_a_gateway_fault_moves_money_once_or_not_at_all(world: World, fault: str, operation: str) -> None:
    await dial(world, fault, operation)
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    row = await run_to_rest(world, case_id)
    if (fault, operation) in NEVER_SETTLED:
        assert row["state"] == "settling"
        assert await told(world, case_id) == {"refund_on_its_way"}
        await world.pass_time(PATIENCE_WITH_A_GATEWAY)
        row = await run_to_rest(world, case_id)
        assert (row["state"], row["rule"]) == ("review", "refund_unfinished")
        assert [(r["status"], r["money_moved_times"]) for r in await world.refunds(order_id)] == [("PROCESSING", 0)]
    else:
        assert row["state"] == "archived", await world.timeline(case_id)
        assert row["outcome"] == "cancelled"
        [refund] = await world.refunds(order_id)
        assert (refund["amount_minor"], refund["money_moved_times"]) == (1000, 1)
        assert refund["status"] == "SUCCESS" or fault == "reversed_later"
        assert "refund_done" in await told(world, case_id)
    assert (await world.control.get("/control/faults")).json()["waiting"] == [], "the dial was used"
    await assert_honest(world, order_id, case_id)


@pytest.mark.parametrize("fault", sorted(set(NAMES) - WITHOUT_EFFECT - {"stays_processing", "reversed_later"}))
async def test_a_gateway_that_misbehaves_three_times_in_a_row_is_sent_one_refund(
    world: World, fault: str, tmp_path: Path
) -> None:
    """Whatever had its effect is asked for, not sent again."""
    await dial(world, fault, "payment.refund")
    await dial(world, "callback_twice", "payment.refund_query")
    await dial(world, fault, "payment.refund_query", times=3)
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    assert (await run_to_rest(world, case_id))["state"] == "archived"
    operations = [operation for operation, _, _ in calls_in_order(tmp_path, "wxpay")]
    assert operations[:2] == ["payment.refund_query", "payment.refund"]
    assert operations.count("payment.refund") == 1
    await assert_honest(world, order_id, case_id)


async def test_a_refund_that_is_reversed_later_belongs_to_a_person(world: World) -> None:
    await dial(world, "reversed_later", "payment.refund")
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    assert (await run_to_rest(world, case_id))["state"] == "archived"
    for _ in range(100):
        await world.ask_sandbox("callbacks/hurry", {})
        await world.run()
        rows = await world.sql("SELECT rule, state, parent_case_id FROM cases WHERE kind = 'aftermath'")
        if rows:
            break
        await asyncio.sleep(0.01)
    assert [(r["rule"], r["state"], r["parent_case_id"]) for r in rows] == [("refund_reversed", "review", case_id)]
    await assert_honest(world, order_id, case_id)


async def test_a_merchant_short_of_funds_is_topped_up_and_pays_once(world: World) -> None:
    await world.ask_sandbox("connections/wxpay", {"balance_minor": 0})
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    row = await run_to_rest(world, case_id)
    assert (row["state"], row["rule"]) == ("review", "refund_needs_funds")
    assert await world.refunds(order_id) == []
    assert "refund_done" not in await told(world, case_id)
    number = (await leg_row(world, case_id, "refund"))["number"]
    assert (await retry(world, case_id))["rule"] == "refund_needs_funds", "still short"

    await world.ask_sandbox("connections/wxpay", {"balance_minor": 100_000})
    assert (await retry(world, case_id))["state"] == "archived"
    refunds = await world.refunds(order_id)
    assert [(r["refund_no"], r["amount_minor"], r["money_moved_times"]) for r in refunds] == [(number, 1000, 1)]
    await assert_honest(world, order_id, case_id)


async def test_an_account_that_cannot_receive_goes_to_a_person(world: World) -> None:
    await world.ask_sandbox("connections/wxpay", {"refund_final": "ABNORMAL"})
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    row = await run_to_rest(world, case_id)
    assert (row["state"], row["rule"]) == ("review", "refund_abnormal")
    assert [(r["status"], r["money_moved_times"]) for r in await world.refunds(order_id)] == [("ABNORMAL", 0)]
    assert "refund_done" not in await told(world, case_id)
    refused = await world.decide(case_id, "decline")
    assert (refused.status_code, refused.json()["code"]) == (409, "past_no_return")
    await assert_honest(world, order_id, case_id)


async def test_a_dead_number_is_followed_by_the_next_one(world: World) -> None:
    await world.ask_sandbox("connections/wxpay", {"refund_mode": "stuck"})
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    first = (await leg_row(world, case_id, "refund"))["number"]
    await world.ask_sandbox(f"refunds/wxpay/{first}/state", {"state": "CLOSED"})
    await world.ask_sandbox("connections/wxpay", {"refund_mode": "final"})
    assert (await run_to_rest(world, case_id))["state"] == "archived"
    refunds = await world.refunds(order_id)
    assert [(r["status"], r["money_moved_times"]) for r in refunds] == [("CLOSED", 0), ("SUCCESS", 1)]
    assert refunds[0]["refund_no"] == first
    rows = await world.sql("SELECT n, state FROM refunds ORDER BY n")
    assert [(r["n"], r["state"]) for r in rows] == [(1, "dead"), (2, "final")]
    await assert_honest(world, order_id, case_id)


async def test_a_gateway_that_closes_every_number_is_not_tried_for_ever(world: World) -> None:
    await world.ask_sandbox("connections/wxpay", {"refund_final": "CLOSED"})
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    row = await run_to_rest(world, case_id)
    assert row["state"] == "review"
    refunds = await world.refunds(order_id)
    assert 1 < len(refunds) <= execute.NUMBERS_MAX + 1
    assert sum(r["money_moved_times"] for r in refunds) == 0
    await assert_honest(world, order_id, case_id)


async def test_nonsense_for_ten_minutes_is_a_doubt_and_never_a_failure(world: World) -> None:
    """The refund was carried out, and nothing that the gateway says about it can be understood."""
    await dial(world, "malformed_body", "payment.refund", times=10_000)
    await dial(world, "callback_never", "payment.refund_query")
    await dial(world, "malformed_body", "payment.refund_query", times=10_000)
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    row = await run_to_rest(world, case_id, rounds_max=20)
    assert row["state"] == "executing", "still asking"
    assert (await leg_row(world, case_id, "refund"))["state"] == "unknown"
    await world.pass_time(PATIENCE_IN_DOUBT)
    row = await run_to_rest(world, case_id)
    assert (row["state"], row["rule"]) == ("review", "refund_unfinished")
    assert (await leg_row(world, case_id, "refund"))["state"] == "blocked"
    assert await world.sql("SELECT state FROM refunds") == [{"state": "sent"}], "the money stays spoken for"
    assert await told(world, case_id) & {"refund_done", "refund_on_its_way"} == set()
    for choice in ("decline", "approve"):
        assert (await world.decide(case_id, choice)).status_code == 409, choice
    await assert_honest(world, order_id, case_id)

    await world.control.delete("/control/faults")
    assert (await retry(world, case_id))["state"] == "archived"
    assert [(r["status"], r["money_moved_times"]) for r in await world.refunds(order_id)] == [("SUCCESS", 1)]
    await assert_honest(world, order_id, case_id)


async def test_nonsense_before_anything_was_sent_sends_nothing(world: World, tmp_path: Path) -> None:
    """The first question under a number has no answer, so nothing is sent under it."""
    await dial(world, "bad_signature", "payment.refund_query", times=10_000)
    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    await run_to_rest(world, case_id, rounds_max=10)
    await world.pass_time(PATIENCE_IN_DOUBT)
    row = await run_to_rest(world, case_id)
    assert (row["state"], row["rule"]) == ("review", "refund_unfinished")
    assert {operation for operation, _, _ in calls_in_order(tmp_path, "wxpay")} == {"payment.refund_query"}
    await assert_honest(world, order_id, case_id)


HOLD_FAULTS = ("timeout_after_effect", "timeout_before_effect", "reset_mid_answer", "error_503_after_effect")


@pytest.mark.parametrize("fault", [*HOLD_FAULTS, "error_503_before_effect", "wrong_order_answer", "rate_limit"])
async def test_a_warehouse_in_doubt_is_asked_first_under_one_request(world: World, fault: str, tmp_path: Path) -> None:
    await dial(world, fault, "warehouse.cancel")
    order_id = await world.order(released_stage="picking")
    case_id = (await world.cancel(order_id))["case_id"]
    assert (await run_to_rest(world, case_id))["state"] == "archived", await world.timeline(case_id)
    number = (await leg_row(world, case_id, "hold_shipment"))["number"]
    assert [h["request_id"] for h in (await world.ledger())["holds"]] == [number]
    calls = [(operation, status) for operation, _, status in calls_in_order(tmp_path, "wms")]
    assert [operation for operation, _ in calls].count("warehouse.cancel") == 1
    if fault in WITHOUT_EFFECT:
        assert calls == [("warehouse.query", 404), ("warehouse.cancel", 200)], "asked before it was sent again"
    else:
        assert calls == [("warehouse.cancel", 200), ("warehouse.query", 200)]
    assert [r["money_moved_times"] for r in await world.refunds(order_id)] == [1]
    await assert_honest(world, order_id, case_id)


@pytest.mark.parametrize("fault", HOLD_FAULTS)
async def test_a_carrier_in_doubt_is_asked_first_under_one_request(world: World, fault: str, tmp_path: Path) -> None:
    order_id = await world.order(shipments=[shipment("S1")])
    waybill = {"connection": "sf", "no": "W-S1", "order_no": order_id, "behaviour": "recall_ok"}
    await world.ask_sandbox("waybills", waybill)
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    await dial(world, fault, "carrier.recall")
    assert (await world.decide(case_id, "recall")).status_code == 200
    for _ in range(ROUNDS_MAX):
        await run_to_rest(world, case_id, rounds_max=1)
        leg = await leg_row(world, case_id, "recall_parcel")
        if leg["state"] == "succeeded":
            break
    assert leg["state"] == "succeeded"
    await run_to_rest(world, case_id, rounds_max=5)
    assert [r["request_id"] for r in (await world.ledger())["recalls"]] == [leg["number"]]
    calls = [operation for operation, _, _ in calls_in_order(tmp_path, "sf") if "recall" in operation]
    assert calls.count("carrier.recall") == 1
    first = "carrier.recall_query" if fault in WITHOUT_EFFECT else "carrier.recall"
    assert calls[0] == first
    assert [r["money_moved_times"] for r in await world.refunds(order_id)] == [1]
    await assert_honest(world, order_id, case_id)
