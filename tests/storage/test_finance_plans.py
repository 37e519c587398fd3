"""What finance asks of big tables reads what is open, or of the time in question: planned as the program's own sessions plan."""

import re
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.world import World
from unwind.domain.decisions import Fee
from unwind.storage import month_export
from unwind.storage.costs import LEDGER
from unwind.storage.database import SESSION_OPTIONS

ORDERS = 8000
BIG = "orders|refunds|payments|legs|cases|case_costs"
FILL = """
INSERT INTO orders (order_id, merchant_id, buyer_ref, currency, placed_at, released_stage, promise, shipping_minor, revision)
SELECT 'K' || i, 'shop', 'b', 'CNY', now(), 'none', 'none', 0, 1 FROM generate_series(1, {n}) i;
INSERT INTO payments (payment_id, connection, trade_no, method, currency, state, funder, returns_as, captured_minor, final_minor)
SELECT 'P' || i, 'wxpay', 'T' || i, 'wechat', 'CNY', 'captured', 'buyer', 'cash', 100, 100 FROM generate_series(1, {n}) i;
INSERT INTO cases (case_id, kind, order_id, merchant_id, channel, state, event_seq, head, reason, stated_reason, tags, verdict, rule,
    policy_version, facts, priority, opened_at, closed_at)
SELECT 'C' || i, 'cancellation', 'K' || i, 'shop', 'app', 'archived', 1, '', 'OTHER', 'OTHER', '{{}}', 'auto', 'x', 'x', '[]', 1, now(), now()
FROM generate_series(1, {n}) i;
INSERT INTO case_parts (case_id, part_no, kind, state, stage, verdict, rule, refund_on, returned_minor, completes_order)
SELECT 'C' || i, 1, 'unshipped', 'done', 'none', 'auto', 'x', 'recall_confirmed', 100, true FROM generate_series(1, {n}) i;
INSERT INTO legs (case_id, leg_no, part_no, kind, rank, is_local, state, target, amount_minor, number)
SELECT 'C' || i, 1, 1, 'refund', 30, false, 'succeeded', 'P' || i, 100, 'R' || i FROM generate_series(1, {n}) i;
INSERT INTO refunds (payment_id, order_id, case_id, part_no, n, refund_no, amount_minor, currency, state, sent_at, final_at)
SELECT 'P' || i, 'K' || i, 'C' || i, 1, 1, 'R' || i, 100, 'CNY', 'final', now() - i * interval '1 hour', now() - i * interval '1 hour'
FROM generate_series(1, {n}) i;
INSERT INTO case_costs (case_id, n, fee, amount_minor, currency, bearer, noted_by, noted_at)
SELECT 'C' || i, 1, 'other', 1, 'CNY', 'merchant', 'x', now() - i * interval '1 hour' FROM generate_series(1, {n}) i;
UPDATE legs SET state = 'blocked', code = 'needs_funds' WHERE case_id = 'C7';
ANALYZE
"""


@pytest.fixture
async def filled(world: World) -> World:
    for statement in FILL.format(n=ORDERS).split(";"):
        await world.sql(statement)
    return world


class Recorder:
    """Stands for a connection: keeps what is asked, and answers nothing."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    async def execute(self, statement: str, given: Any = None, **_: Any) -> "Recorder":
        self.asked.append((statement, given))
        return self

    async def fetchall(self) -> list[Any]:
        return []


async def statements() -> list[tuple[str, Any]]:
    from unwind.storage import balances, desk, payouts

    recorder: Any = Recorder()
    await balances.owed(recorder)
    await balances.outflow_by_hour(recorder, days=7)
    await desk.refund_exceptions(
        recorder, merchant_id=None, connection="wxpay", kind="needs_funds", kinds=("needs_funds",), refunds_max=50
    )
    await balances.known_balances(recorder)
    await payouts.lapsed_proposals(recorder, proposals_max=10)
    of_case = {"m": None, "case": "C7", "begins": None, "ends": None, "fee": Fee.OTHER.value, "bearer": None}
    recorder.asked.append((f"{LEDGER} SELECT * FROM ledger", of_case))
    return list(recorder.asked)


async def test_open_work_is_read_without_what_is_done(filled: World) -> None:
    async with await psycopg.AsyncConnection.connect(
        filled.url, autocommit=True, row_factory=dict_row, options=SESSION_OPTIONS
    ) as conn:
        for statement, given in await statements():
            rows = await (await conn.execute(f"EXPLAIN {statement}", given)).fetchall()
            plan = "\n".join(row["QUERY PLAN"] for row in rows)
            assert not re.search(rf"Seq Scan on ({BIG})\b", plan), f"{statement}\n{plan}"


async def test_a_month_reads_the_refunds_of_that_month(filled: World) -> None:
    from datetime import UTC, date, datetime, timedelta

    first = date(2026, 3, 1)
    at = datetime(2026, 3, 1, tzinfo=UTC)
    given = {
        "first": first,
        "next": date(2026, 4, 1),
        "low": at,
        "high": at + timedelta(days=32),
        "merchant": None,
    }
    async with await psycopg.AsyncConnection.connect(filled.url, autocommit=True, row_factory=dict_row) as conn:
        for name in ("refunds", "costs"):
            rows = await (await conn.execute(f"EXPLAIN {month_export.STATEMENTS[name]}", given)).fetchall()
            plan = "\n".join(row["QUERY PLAN"] for row in rows)
            assert not re.search(r"Seq Scan on (refunds|case_costs)\b", plan), plan
