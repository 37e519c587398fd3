"""Sixteen ways to misbehave, by WeChat Pay, Alipay and UnionPay in their own formats: 16 x {create, query} x {before, after effect} each.

Where a fault has no variant before and after its effect, the two cells differ by the call it is dialled on: the first of its kind, or the
second, which is brought about by an unanswered first one. For the 5xx kinds the four cells take 500, 502 and 503 in turn; for 429 they are
with and without Retry-After; for repeated callbacks, twice and fifty at once.

The three providers stand in one world per cell, each with an order and a dial of its own, and their cases run side by side.

The judge is the sandbox's own ledger: one refund or none, money once or not at all, and nobody is told more than is true.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from sandbox.faults import NAMES
from tests.paid_orders import CONNECTION_OF, ROUNDS_MAX, PaidWorld, open_paid_world
from unwind.adapters.payment import alipay
from unwind.flow import execute
from unwind.storage.embedded import EmbeddedPostgres

ANSWER_WITHIN_S = 0.15
"""Our limit for one call, shortened; dials of silence last longer than this."""
SECONDS = {**dict.fromkeys(("timeout_after_effect", "timeout_before_effect", "slow"), 300), "reversed_later": 1000}
"""Of the dial, a thousandth on the wall clock; a reversal comes after the case has ended."""
PATIENCE_WITH_A_GATEWAY = timedelta(days=3, minutes=1)
CREATE, QUERY = "payment.refund", "payment.refund_query"
HARMLESS = "stays_processing"
"""As a dial on a question it has no effect: it lets the first one pass."""
FIRST, SECOND = "first", "second"


def _same(fault: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return (fault, FIRST), (fault, SECOND)


KINDS: dict[str, dict[str, tuple[tuple[str, str], tuple[str, str]]]] = {
    "time-out after success": {op: _same("timeout_after_effect") for op in (CREATE, QUERY)},
    "time-out before effect": {op: _same("timeout_before_effect") for op in (CREATE, QUERY)},
    "reset in mid-answer": {op: _same("reset_mid_answer") for op in (CREATE, QUERY)},
    "slow beyond our limit": {op: _same("slow") for op in (CREATE, QUERY)},
    "5xx with effect": {
        CREATE: (("error_500_after_effect", FIRST), ("error_502_after_effect", SECOND)),
        QUERY: (("error_503_after_effect", FIRST), ("error_500_after_effect", SECOND)),
    },
    "5xx without effect": {
        CREATE: (("error_500_before_effect", FIRST), ("error_502_before_effect", SECOND)),
        QUERY: (("error_503_before_effect", FIRST), ("error_500_before_effect", SECOND)),
    },
    "429": dict.fromkeys((CREATE, QUERY), (("rate_limit", FIRST), ("rate_limit_bare", SECOND))),
    "malformed body": {op: _same("malformed_body") for op in (CREATE, QUERY)},
    "wrong signature": {op: _same("bad_signature") for op in (CREATE, QUERY)},
    "answer for another order": {op: _same("wrong_order_answer") for op in (CREATE, QUERY)},
    "stays processing": {op: _same("stays_processing") for op in (CREATE, QUERY)},
    "reversed later": {op: _same("reversed_later") for op in (CREATE, QUERY)},
    "callback before the answer": {op: _same("callback_before_answer") for op in (CREATE, QUERY)},
    "callback twice or 50 at once": dict.fromkeys(
        (CREATE, QUERY), (("callback_twice", FIRST), ("callback_50", SECOND))
    ),
    "callbacks out of order": {op: _same("callbacks_out_of_order") for op in (CREATE, QUERY)},
    "callback never": {op: _same("callback_never") for op in (CREATE, QUERY)},
}
CELLS = [
    pytest.param(operation, fault, turn, id=f"{kind}-{operation.rpartition('.')[2]}-{'before' if n == 0 else 'after'}")
    for kind, operations in KINDS.items()
    for operation, cells in operations.items()
    for n, (fault, turn) in enumerate(cells)
]
PROVIDERS = ("wechat_pay", "alipay", "unionpay")


@pytest.fixture
async def paid(
    postgres: EmbeddedPostgres, database_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PaidWorld]:
    monkeypatch.setattr(execute, "CALL_TIMEOUT_S", ANSWER_WITHIN_S)
    monkeypatch.setattr(alipay, "ABSENT_TRUSTED_AFTER_S", 0.02)
    async with AsyncExitStack() as stack:
        yield await open_paid_world(stack, postgres=postgres, database=database_name, folder=tmp_path)


async def dial(paid: PaidWorld, fault: str, operation: str, connection: str) -> None:
    body = {"fault": fault, "operation": operation, "connection": connection}
    await paid.world.ask_sandbox("faults", {**body, "seconds": SECONDS[fault]} if fault in SECONDS else body)


async def dial_cell(paid: PaidWorld, operation: str, fault: str, turn: str, connection: str) -> None:
    """On the second call: an unanswered first sending brings about a second question; one that never arrived, a second sending."""
    if turn == SECOND and operation == CREATE:
        await dial(paid, "error_503_before_effect", CREATE, connection)
    elif turn == SECOND:
        await dial(paid, "reset_mid_answer", CREATE, connection)
        await dial(paid, HARMLESS, QUERY, connection)
    await dial(paid, fault, operation, connection)


def test_there_are_sixteen_kinds_in_four_cells_and_every_dial_is_in_one() -> None:
    assert len(KINDS) == 16
    assert len(CELLS) == 64
    assert {fault for ops in KINDS.values() for cells in ops.values() for fault, _ in cells} == set(NAMES)


@pytest.mark.parametrize(("operation", "fault", "turn"), CELLS)
async def test_money_moves_once_or_not_at_all(paid: PaidWorld, operation: str, fault: str, turn: str) -> None:
    cases: dict[str, str] = {}
    for provider in PROVIDERS:
        await dial_cell(paid, operation, fault, turn, CONNECTION_OF[provider])
        cases[provider] = await paid.cancel(await paid.order(provider, f"O-{provider[:3]}"))
    is_endless = fault == "stays_processing" and operation == CREATE
    await paid.rest(*cases.values(), rounds_max=5 if is_endless else ROUNDS_MAX)
    if is_endless:
        await assert_with_people(paid, cases)
    for provider, case_id in cases.items():
        order_id, row = f"O-{provider[:3]}", await paid.case(case_id)
        assert (row["state"], row["outcome"]) == ("archived", "cancelled"), await paid.world.timeline(case_id)
        assert await paid.moved(order_id) == [(1000, 1)], provider
        assert "refund_done" in await paid.told(case_id), provider
        number = (await paid.leg(case_id))["number"]
        assert [r["refund_no"] for r in await paid.world.refunds(order_id)] == [number], provider
        await paid.assert_honest(case_id, order_id)
    assert (await paid.world.control.get("/control/faults")).json()["waiting"] == [], "the dials were used"
    if fault == "reversed_later" and operation == CREATE:
        await assert_not_sent_again(paid, cases)


async def assert_not_sent_again(paid: PaidWorld, cases: dict[str, str]) -> None:
    """The provider takes back what it had confirmed. Whoever tells us or not: the buyer is not paid a second time by ourselves."""
    for provider, case_id in cases.items():
        order_id = f"O-{provider[:3]}"
        for _ in range(300):
            refunds = await paid.world.refunds(order_id)
            if refunds[0]["status"] != "SUCCESS":
                break
            await asyncio.sleep(0.02)
        assert [r["status"] for r in refunds] == ["ABNORMAL"], "the dial did act"
        await paid.rest(case_id)
        assert len(await paid.world.refunds(order_id)) == 1, provider


async def assert_with_people(paid: PaidWorld, cases: dict[str, str]) -> None:
    """Accepted and never final. WeChat says so; of the others it is doubt, and earlier a person's. Then it becomes final after all."""
    await paid.world.pass_time(PATIENCE_WITH_A_GATEWAY)
    await paid.rest(*cases.values())
    for provider, case_id in cases.items():
        row = await paid.case(case_id)
        assert (row["state"], row["rule"]) == ("review", "refund_unfinished"), provider
        assert "refund_done" not in await paid.told(case_id)
        [refund] = await paid.world.refunds(f"O-{provider[:3]}")
        assert (refund["status"], refund["money_moved_times"]) == ("PROCESSING", 0), provider
        path = f"refunds/{CONNECTION_OF[provider]}/{refund['refund_no']}/state"
        await paid.world.ask_sandbox(path, {"state": "SUCCESS"})
        await paid.retry(case_id)


@pytest.mark.parametrize(
    "fault",
    ["timeout_before_effect", "reset_mid_answer", "error_503_before_effect", "bad_signature", "wrong_order_answer"],
)
async def test_unionpays_question_for_the_payment_fails_before_a_refund_is_sent(paid: PaidWorld, fault: str) -> None:
    await dial(paid, fault, "payment.trade_query", "unionpay")
    case_id = await paid.cancel(await paid.order("unionpay"))
    assert (await paid.rest(case_id))["state"] == "archived"
    assert await paid.moved() == [(1000, 1)]
    await paid.assert_honest(case_id)


async def test_wechats_signature_tests_are_refused_and_the_true_notice_is_taken(paid: PaidWorld) -> None:
    await paid.world.ask_sandbox("connections/wxpay", {"refund_mode": "delayed", "refund_delay_s": 5})
    await dial(paid, "callback_signtest", CREATE, "wxpay")
    case_id = await paid.cancel(await paid.order("wechat_pay"))
    assert (await paid.rest(case_id))["state"] == "archived"
    for _ in range(20):
        await paid.rest(case_id, rounds_max=1)
        await paid.world.ask_sandbox("callbacks/hurry", {})
        told = (await paid.world.ledger())["callbacks"]
        if told[0]["state"] == "DELIVERED":
            break
    assert [(c["state"], c["attempts"]) for c in told] == [("DELIVERED", 2)]
    assert ("wxpay", "callback_unverified", "probe") in await paid.alerts()
    assert await paid.moved() == [(1000, 1)]
