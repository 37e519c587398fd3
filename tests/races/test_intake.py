"""Requests that arrive together get exactly what each would have got alone, and leave the same rows."""

import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.world import World, line
from unwind.domain.access import SCOPES_OF, SYSTEM, Principal, Role
from unwind.domain.errors import Refusal
from unwind.flow import intake as intake_module
from unwind.flow.intake import TOGETHER_MAX, Intake
from unwind.flow.receive import Answer, Request, receive
from unwind.storage import receipts

Asked = tuple[Principal, Request]
Outcome = Answer | BaseException

STRANGER = Principal(
    principal_id="buyer-of-other", role=Role.BUYER, scopes=SCOPES_OF[Role.BUYER], merchant_id=None, order_id="other"
)
TABLES = (
    "cases", "case_parts", "case_lines", "open_lines", "case_events", "legs", "messages", "idempotency_keys", "stock_moves",
    "orders", "order_lines", "payments", "refunds", "private_data", "benefits", "benefit_accounts",
)  # fmt: skip


def ask(order_id: str, *, key: str | None = None, by: Principal = SYSTEM, **given: Any) -> Asked:
    return by, Request(order_id=order_id, channel="app", picked="CHANGED_MIND", idempotency_key=key, **given)


async def together(intake: Intake, asked: Sequence[Asked]) -> list[Outcome]:
    """All of them come to an idle intake in one turn of the loop: they are one batch."""
    return await asyncio.gather(*(intake.receive(*one) for one in asked), return_exceptions=True)


async def one_by_one(world: World, asked: Sequence[Asked]) -> list[Outcome]:
    answers: list[Outcome] = []
    for one in asked:
        try:
            answers.append(await receive(world.services, *one))
        except Refusal as refusal:
            answers.append(refusal)
    return answers


async def cases_per_transaction(world: World) -> list[int]:
    return sorted(Counter(row["xmin"] for row in await world.sql("SELECT xmin::text FROM cases")).values())


async def everything_at_once(world: World, family: str) -> list[Asked]:
    """Orders of one family, some with a past, and requests of every kind; those that depend on each other stand in order."""

    async def put(name: str, **given: Any) -> str:
        return await world.order(order_id=f"{family}-{name}", **given)

    unpaid = {
        name: await put(name, paid=False)
        for name in ("plain", "twice", "twin", "partly", "words", "used", "spent", "fresh")
    }
    paid = {name: await put(name) for name in ("paid", "other")}
    dear = await put("dear", lines=[line(price=600_000)])
    coupon = {"benefit_id": "b", "kind": "coupon", "account": f"{family}-coupon", "amount": 1}
    with_coupon = await put("coupon", paid=False, benefits=[coupon], lines=[line(), line("L2", quantity=2)])
    reviewed = await put("reviewed", lines=[line(price=600_000)])
    await receive(world.services, *ask(unpaid["used"], key=f"{family}-k1"))
    await receive(world.services, *ask(unpaid["spent"], key=f"{family}-k0"))
    await receive(world.services, *ask(dear))
    return [
        ask(unpaid["plain"], key=f"{family}-k2"),
        ask(f"{family}-unknown", key=f"{family}-k3"),
        ask(with_coupon),
        ask(unpaid["used"], key=f"{family}-k1"),
        ask(unpaid["fresh"], key=f"{family}-k0"),
        ask(unpaid["twice"]),
        ask(unpaid["twice"]),
        ask(unpaid["twin"], key=f"{family}-k4"),
        ask(unpaid["twin"], key=f"{family}-k4"),
        ask(unpaid["partly"], wish={"L1": 7}),
        ask(unpaid["words"], text="拍错了,不想要了"),
        ask(paid["paid"], key=f"{family}-k5"),
        ask(paid["other"], by=STRANGER),
        ask(dear, key=f"{family}-k6"),
        ask(reviewed, key=f"{family}-k7", external_ref="ref"),
        ask(unpaid["used"]),
    ]


def plain(value: object) -> str:
    """As text, without what differs between two runs: the family, case ids, instants, hashes and ciphertexts."""
    text = json.dumps(value, sort_keys=True, default=str)
    for pattern, name in (
        (r"UW\d{6}-[0-9A-Z]{10}", "CASE"),
        (r"\b(alone|company)-", ""),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*(Z|[+-]\d\d:\d\d)?", "AT"),
        (r'\\\\x[0-9a-f]+|"[0-9a-f]{64}"', "HEX"),
        (r'"(move_id|private_id|refund_id)": \d+', "ID"),
    ):
        text = re.sub(pattern, name, text)
    return text


def told(outcome: Outcome) -> str:
    if isinstance(outcome, Refusal):
        return plain([outcome.code, outcome.facts])
    assert isinstance(outcome, Answer), outcome
    return plain([outcome.status, outcome.is_replay, dict(outcome.body)])


async def rows_of(world: World, family: str) -> dict[str, list[str]]:
    cases = [
        row["case_id"] for row in await world.sql("SELECT case_id FROM cases WHERE order_id LIKE %s", f"{family}-%")
    ]
    found: dict[str, list[str]] = {}
    for table in TABLES:
        rows = await world.sql(f"SELECT to_jsonb(t) AS row FROM {table} t")
        texts = [json.dumps(row["row"]) for row in rows]
        ours = [text for text in texts if f"{family}-" in text or any(case_id in text for case_id in cases)]
        found[table] = sorted(plain(json.loads(text)) for text in ours)
    return found


async def test_company_changes_neither_answers_nor_rows(world: World) -> None:
    await world.ok("PUT", "/api/v1/stock", role="admin", json=[{"sku": "SKU-L1", "available": 100}])
    alone = await one_by_one(world, await everything_at_once(world, "alone"))
    assert await world.sql("SELECT available FROM stock") == [{"available": 94}]
    company = await together(Intake(world.services), await everything_at_once(world, "company"))
    assert [told(one) for one in company] == [told(one) for one in alone]
    assert [one.code for one in company if isinstance(one, Refusal)] == [
        "not_found",
        "idempotency_mismatch",
        "quantity_too_large",
        "not_found",
    ]
    expected = await rows_of(world, "alone")
    assert all(expected[table] for table in TABLES), [table for table in TABLES if not expected[table]]
    assert await rows_of(world, "company") == expected
    assert max(await cases_per_transaction(world)) == 5, "plain, coupon, twice, twin and reviewed travel together"
    assert await world.sql("SELECT available FROM stock") == [{"available": 88}]


async def test_a_batch_that_cannot_be_written_is_answered_one_by_one(world: World) -> None:
    orders = [await world.order(paid=False) for _ in range(4)]
    await world.sql("""
        CREATE FUNCTION refuse_company() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF (SELECT count(*) FROM added) > 1 THEN RAISE EXCEPTION 'no company'; END IF; RETURN NULL; END $$;
        CREATE TRIGGER alone AFTER INSERT ON cases REFERENCING NEW TABLE AS added EXECUTE FUNCTION refuse_company()
    """)
    answers = await together(Intake(world.services), [ask(order_id, key=order_id) for order_id in orders])
    assert [(a.status, a.body["order_id"], a.is_replay) for a in answers if isinstance(a, Answer)] == [
        (201, order_id, False) for order_id in orders
    ]
    assert await cases_per_transaction(world) == [1, 1, 1, 1]


@contextlib.asynccontextmanager
async def held(world: World, *statements: str) -> AsyncIterator[None]:
    """Somebody else's transaction, open meanwhile; nothing of it stays."""
    async with await psycopg.AsyncConnection.connect(world.owner_url) as conn:
        for statement in statements:
            await conn.execute(statement)
        yield
        await conn.rollback()


async def until_waiting(world: World, sessions: int) -> None:
    """Until so many sessions wait for a lock."""
    for _ in range(1000):
        if (await world.sql("SELECT count(DISTINCT pid) AS n FROM pg_locks WHERE NOT granted"))[0]["n"] >= sessions:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")


async def test_one_who_must_wait_keeps_nobody_else(world: World) -> None:
    """Somebody holds an order, and somebody the key of another; everybody else is answered meanwhile."""
    orders = [await world.order(paid=False) for _ in range(6)]
    intake = Intake(world.services)
    busy = world.services.vault.derive("idempotency", "busy").hex()
    async with held(
        world,
        f"SELECT FROM orders WHERE order_id = '{orders[0]}' FOR UPDATE",
        f"SELECT claim_and_lock('{SYSTEM.principal_id}', 'cancellations', '{busy}', '')",
    ):
        waiting = [asyncio.create_task(intake.receive(*one)) for one in (ask(orders[0]), ask(orders[1], key="busy"))]
        first = await together(intake, [ask(orders[2]), ask(orders[3])])
        await until_waiting(world, 2)
        second = await together(intake, [ask(orders[4]), ask(orders[5])])
        assert not any(task.done() for task in waiting)
    late = await asyncio.gather(*waiting)
    assert {a.status for a in (*first, *second, *late) if isinstance(a, Answer)} == {201}
    assert await cases_per_transaction(world) == [1, 1, 2, 2]


async def test_a_pool_that_somebody_holds_delays_only_those_who_need_it(world: World) -> None:
    stock = [{"sku": f"SKU-{name}", "available": 5} for name in ("L1", "L2")]
    await world.ok("PUT", "/api/v1/stock", role="admin", json=stock)
    needs = await world.order(paid=False)
    others = [await world.order(paid=False, lines=[line("L2")]) for _ in range(2)]
    intake = Intake(world.services)
    async with held(world, "SELECT FROM stock WHERE sku = 'SKU-L1' FOR UPDATE"):
        waiting = asyncio.create_task(intake.receive(*ask(needs)))
        answers = await together(intake, [ask(order_id) for order_id in others])
        assert not waiting.done()
    assert {a.status for a in (*answers, await waiting) if isinstance(a, Answer)} == {201}
    assert await world.sql("SELECT available FROM stock ORDER BY sku") == [{"available": 5}, {"available": 5}]


async def test_a_client_that_goes_away_disturbs_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "PATIENCE", timedelta(seconds=60))
    await world.ok("PUT", "/api/v1/stock", role="admin", json=[{"sku": "SKU-L1", "available": 5}])
    orders = [await world.order(paid=False) for _ in range(5)]
    intake = Intake(world.services)
    async with held(world, "SELECT FROM stock FOR UPDATE"):
        tasks = [asyncio.create_task(intake.receive(*ask(order_id, key=order_id))) for order_id in orders[:3]]
        await until_waiting(world, 1)
        tasks += [asyncio.create_task(intake.receive(*ask(order_id, key=order_id))) for order_id in orders[3:]]
        await asyncio.sleep(0)
        tasks[1].cancel("while it is being written")
        tasks[3].cancel("while it waits for the next batch")
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(a, asyncio.CancelledError) for a in answers] == [False, True, False, True, False]
    assert {a.status for a in answers if isinstance(a, Answer)} == {201}
    again = [await intake.receive(*ask(order_id, key=order_id)) for order_id in (orders[1], orders[3])]
    assert [(a.status, a.is_replay) for a in again] == [(201, True), (201, False)]


async def test_batches_are_bounded_and_so_is_the_queue(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "WAITING_MAX", TOGETHER_MAX + 4)
    orders = [await world.order(paid=False) for _ in range(TOGETHER_MAX + 7)]
    answers = await together(Intake(world.services), [ask(order_id) for order_id in orders])
    assert {a.status for a in answers if isinstance(a, Answer)} == {201}
    assert await cases_per_transaction(world) == [1, 1, 1, 4, TOGETHER_MAX]


async def test_a_stopped_intake_lets_everybody_go_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stop(*_: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(intake_module, "_answer_together", stop)
    orders = [await world.order(paid=False) for _ in range(TOGETHER_MAX + 2)]
    answers = await together(Intake(world.services), [ask(order_id) for order_id in orders])
    assert Counter(a.status for a in answers if isinstance(a, Answer)) == {201: len(orders)}
