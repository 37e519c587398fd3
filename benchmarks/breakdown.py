"""Where the time of one unpaid cancellation goes, part by part, in one process."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from unwind.domain.access import SYSTEM
from unwind.domain.plan import complete_wish
from unwind.flow.receipt import Origin, new_case_id, write_down
from unwind.flow.receive import Request, receive
from unwind.flow.screen import screen
from unwind.flow.services import Services
from unwind.flow.tag import read_words, tags_document
from unwind.policy.engine import load_default
from unwind.storage.database import Database
from unwind.storage.orders import read_order
from unwind.storage.privacy import Vault
from unwind.web.schemas import CancellationIn

REPEATS = 300


def print_breakdown(url: str) -> None:
    asyncio.run(_print(url))


async def _print(url: str) -> None:
    database = Database(url)
    await database.open()
    services = Services(database=database, policy=load_default(), vault=Vault(bytes(32)))
    async with database.connection() as conn:
        cursor = await conn.execute(
            "SELECT order_id FROM orders WHERE cancelled_at IS NULL ORDER BY order_id LIMIT %s", (REPEATS,)
        )
        names = [row["order_id"] for row in await cursor.fetchall()]
        if not names:
            cursor = await conn.execute("SELECT order_id FROM orders LIMIT 1")
            names = [row["order_id"] for row in await cursor.fetchall()]
        row = await read_order(conn, names[0])
    if row is None:
        return
    read = read_words(row.order, picked="CHANGED_MIND", text="", channel="app")
    wanted = complete_wish(row.order, None)
    origin = Origin(
        channel="app",
        actor="bench",
        reason="CHANGED_MIND",
        tags=tags_document(read.tags, picked=None),
        policy_version="x",
    )
    if wanted:
        screened = screen(row, wanted, policy=services.policy, words=read.words, channel="app")
        parts: list[tuple[str, Callable[[], Any]]] = [
            (
                "parse and validate the request",
                lambda: CancellationIn.model_validate({"order_id": "B1", "reason": "CHANGED_MIND"}),
            ),
            ("tag", lambda: read_words(row.order, picked="CHANGED_MIND", text="", channel="app")),
            (
                "partition, facts, policy, guards",
                lambda: screen(row, wanted, policy=services.policy, words=read.words, channel="app"),
            ),
            (
                "plan, history, receipt",
                lambda: write_down(row.order, screened, origin, case_id=new_case_id(row.now), now=row.now),
            ),
        ]
        print("breakdown, one process, microseconds each (median of repeats):")
        for name, part in parts:
            print(f"  {name:36} {_median_us(part):8.0f}")
    times = []
    for name in names:
        started = time.perf_counter()
        await receive(services, SYSTEM, Request(order_id=name, channel="app", picked="CHANGED_MIND"))
        times.append(time.perf_counter() - started)
    times.sort()
    print(f"  {'receive, database included':36} {times[len(times) // 2] * 1e6:8.0f}")
    await database.close()


def _median_us(part: Callable[[], Any]) -> float:
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        part()
        times.append(time.perf_counter() - started)
    times.sort()
    return times[len(times) // 2] * 1e6
