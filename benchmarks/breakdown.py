"""Where the time of one unpaid cancellation goes, part by part, in one process."""

import asyncio
import statistics
import time
import timeit
from collections.abc import Awaitable, Callable
from typing import Any

from unwind.domain.access import SYSTEM
from unwind.domain.plan import complete_wish
from unwind.flow.intake import Intake
from unwind.flow.receipt import new_case_id
from unwind.flow.receive import Request, consider, lay_out, receive
from unwind.flow.screen import screen
from unwind.flow.services import Services
from unwind.flow.tag import read_words
from unwind.policy.engine import load_default
from unwind.storage.database import Database, to_json
from unwind.storage.orders import read_order
from unwind.storage.privacy import Vault
from unwind.web.schemas.cancellations import CancellationIn

REPEATS = 300
TOGETHER = 4
"""As many as come to one process at once in the benchmark."""
ORDERS = REPEATS * (1 + TOGETHER)
"""Orders that the breakdown cancels; nobody may have cancelled them before."""


def print_breakdown(url: str) -> None:
    asyncio.run(_print(url))


async def _print(url: str) -> None:
    database = Database(url)
    await database.open()
    services = Services(database=database, policy=load_default(), vault=Vault(bytes(32)))
    async with database.connection() as conn:
        cursor = await conn.execute(
            "SELECT order_id FROM orders WHERE cancelled_at IS NULL ORDER BY order_id LIMIT %s", (ORDERS,)
        )
        names = [row["order_id"] for row in await cursor.fetchall()]
        row = await read_order(conn, names[0])
    assert row is not None
    assert len(names) == ORDERS
    request = _request(names[0])
    seen = consider(services, SYSTEM, request, row)
    wanted = complete_wish(row.order, None)
    words = seen.read.words
    receipt, body = lay_out(services, SYSTEM, request, seen, case_id=new_case_id(row.now), note={})
    parts: list[tuple[str, Callable[[], Any]]] = [
        (
            "parse and validate the request",
            lambda: CancellationIn.model_validate_json(b'{"order_id":"B1","reason":"CHANGED_MIND"}'),
        ),
        ("tag", lambda: read_words(row.order, picked="CHANGED_MIND", text="", channel="app")),
        (
            "partition, facts, policy, guards",
            lambda: screen(row, wanted, policy=services.policy, words=words, channel="app"),
        ),
        (
            "plan, history, receipt, answer",
            lambda: lay_out(services, SYSTEM, request, seen, case_id="UW", note={}),
        ),
        ("documents to JSON", lambda: (to_json(receipt.document), to_json(body))),
    ]
    print("breakdown, one process, microseconds per cancellation (median of repeats):")
    for name, part in parts:
        print(f"  {name:40} {_median_us(part):8.0f}")
    alone = [await _timed(receive(services, SYSTEM, _request(name))) for name in names[:REPEATS]]
    print(f"  {'all of it with the database, alone':40} {statistics.median(alone):8.0f}")
    intake = Intake(services)
    together = [
        await _timed(asyncio.gather(*(intake.receive(SYSTEM, _request(name)) for name in names[i : i + TOGETHER])))
        for i in range(REPEATS, ORDERS, TOGETHER)
    ]
    print(f"  {f'all of it with the database, {TOGETHER} together':40} {statistics.median(together) / TOGETHER:8.0f}")
    await database.close()


def _request(order_id: str) -> Request:
    return Request(order_id=order_id, channel="app", picked="CHANGED_MIND", idempotency_key=f"breakdown-{order_id}")


async def _timed(work: Awaitable[object]) -> float:
    """Microseconds."""
    started = time.perf_counter()
    await work
    return (time.perf_counter() - started) * 1e6


def _median_us(part: Callable[[], Any]) -> float:
    return statistics.median(timeit.repeat(part, number=1, repeat=REPEATS)) * 1e6
