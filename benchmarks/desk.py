"""Ten agents and five hundred cases that arrive in bursts, over HTTP: `make bench-desk`.

    bursts of POST /cancellations (two web processes) -> queue -> claims/next -> a look -> decisions, twice at once, and once by a stranger
                                                           |-> one event stream per agent
    one worker: clocks, claims that run out

Targets are set so short that every rung of the respond clock is reached: the agents come on duty late, one of them goes home in the middle.
Then it is counted, from the events of the cases: answered by two, forgotten, decided without holding, taken out of order, and how late
every stroke and every hint came. Anything but none ends with exit code 1, and so does a stroke later than 5 s or a hint later than 1 s.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from benchmarks.hot_path import KEY, load, start_web, stop, wait_for
from benchmarks.server import fresh_server
from unwind.domain.access import SCOPES_OF, Role
from unwind.storage import principals
from unwind.storage.database import Database

FIRST_PORT = 18441
AGENTS = 10
BURST = 50
PAUSE_S = 2.0
ON_DUTY_AFTER_S = 125.0
THINKS_S = (0.1, 0.8)
HINT_MAX_S, STROKE_MAX_S = 1.0, 5.0
SAME_MOMENT = timedelta(seconds=0.25)
"""Two claims that close to each other saw the same queue; neither was out of order."""
TARGETS = {"respond_warn": 1, "respond_due": 2, "urgent_warn": 1, "urgent_due": 2, "resolve_due": 1440}


@dataclass(slots=True)
class Found:
    """What the clients saw."""

    asked_at: dict[str, float] = field(default_factory=dict)
    hints_s: dict[str, list[float]] = field(default_factory=dict)
    accepted: Counter[str] = field(default_factory=Counter)
    strangers: Counter[int] = field(default_factory=Counter)
    decided: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=500)
    given = parser.parse_args()
    with ExitStack() as stack:
        server, home = stack.enter_context(fresh_server())
        asyncio.run(load(server.app_url, 0))
        asyncio.run(hire(server.app_url))
        ports = [FIRST_PORT, FIRST_PORT + 1]
        for port in ports:
            stack.callback(stop, start_web(home, server.app_url, port))
        environment = {
            **os.environ,
            "DATABASE_URL": server.app_url,
            "UNWIND_HOME": str(home / "web"),
            "UNWIND_DEMO": "1",
        }
        stack.callback(stop, subprocess.Popen([sys.executable, "-m", "unwind.cli", "worker"], env=environment))
        wait_for(ports)
        found = asyncio.run(drive([f"http://127.0.0.1:{port}" for port in ports], given.cases))
        with psycopg.connect(server.owner_url, row_factory=dict_row) as conn:
            sys.exit(report(conn, found, given.cases))


async def hire(url: str) -> None:
    database = Database(url)
    await database.open()
    async with database.transaction() as conn:
        for name, role in [*((f"agent{n}", Role.AGENT) for n in range(AGENTS)), ("boss", Role.ADMIN)]:
            await principals.upsert_principal(
                conn,
                {
                    "principal_id": name,
                    "role": role.value,
                    "scopes": sorted(SCOPES_OF[role]),
                    "merchant_id": None,
                    "display_name": name,
                },
                f"uk_{name}",
            )
    await database.close()


def client_of(url: str, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30)


async def drive(urls: list[str], cases: int) -> Found:
    found = Found()
    async with client_of(urls[0], "uk_boss") as boss:
        (await boss.put("/api/v1/admin/clock-targets", json=TARGETS)).raise_for_status()
    await asyncio.sleep(1.5)  # until both processes have read them
    listening = [asyncio.create_task(listen(urls[n % 2], f"agent{n}", found)) for n in range(AGENTS)]
    await asyncio.sleep(1)
    has_all = asyncio.Event()
    working = [asyncio.create_task(work(urls[n % 2], n, has_all, found)) for n in range(AGENTS)]
    showing = asyncio.create_task(show(found, cases))
    async with client_of(urls[0], KEY) as here, client_of(urls[1], KEY) as there:
        for n in range(cases):
            await put_order(here, f"B{n}")
        for first in range(0, cases, BURST):
            names = [f"B{n}" for n in range(first, min(cases, first + BURST))]
            await asyncio.gather(*(ask((here, there)[i % 2], name, found) for i, name in enumerate(names)))
            await asyncio.sleep(PAUSE_S)
    has_all.set()
    await asyncio.gather(*working)
    await asyncio.sleep(1)
    for task in (showing, *listening):
        task.cancel()
    await asyncio.gather(showing, *listening, return_exceptions=True)
    return found


async def show(found: Found, cases: int) -> None:
    while True:
        print(f"  {len(found.asked_at)} asked, {found.decided} of {cases} decided", flush=True)
        await asyncio.sleep(10)


async def put_order(client: httpx.AsyncClient, order_id: str) -> None:
    """Paid, and under suspicion: nobody takes that back without a look."""
    payment = {
        "payment_id": f"P-{order_id}",
        "connection": "wxpay",
        "trade_no": f"T-{order_id}",
        "method": "wechat",
        "state": "captured",
        "share_minor": 9900,
        "captured_minor": 9900,
    }
    line = {"line_id": "L1", "sku": "BAG", "title": "双肩背包", "quantity": 1, "unit_price_minor": 9900}
    body = {
        "revision": 1,
        "merchant_id": "bench",
        "buyer_ref": f"buyer-{order_id}",
        "currency": "CNY",
        "placed_at": datetime.now(UTC).isoformat(),
        "risk": "suspected",
        "lines": [line],
        "payments": [payment],
    }
    (await client.put(f"/api/v1/orders/{order_id}", json=body)).raise_for_status()


async def ask(client: httpx.AsyncClient, order_id: str, found: Found) -> None:
    response = await client.post("/api/v1/cancellations", json={"order_id": order_id, "channel": "app"})
    response.raise_for_status()
    answer = response.json()
    if answer["outcome"] != "in_review":
        raise SystemExit(f"not a case for a person: {answer}")
    found.asked_at[answer["case_id"]] = time.monotonic()


async def listen(url: str, name: str, found: Found) -> None:
    """The first hint about each case, by when this desk heard it."""
    heard: set[str] = set()
    while True:
        with suppress(httpx.HTTPError):
            async with (
                client_of(url, f"uk_{name}") as client,
                client.stream("GET", "/api/v1/desk/stream", timeout=None) as stream,
            ):
                async for line in stream.aiter_lines():
                    if line.startswith("data: ") and "case" in (hint := json.loads(line[6:])):
                        case_id, now = hint["case"], time.monotonic()
                        if case_id not in heard:
                            heard.add(case_id)
                            found.hints_s.setdefault(case_id, []).append(now)


async def work(url: str, number: int, has_all: asyncio.Event, found: Found) -> None:
    async with (
        client_of(url, f"uk_agent{number}") as me,
        client_of(url, f"uk_agent{(number + 1) % AGENTS}") as stranger,
    ):
        await asyncio.sleep(ON_DUTY_AFTER_S)
        goes_home_at = time.monotonic() + 10 if number == 0 else float("inf")
        await presence(me, "on")
        while True:
            claim = (await me.post("/api/v1/desk/claims/next")).raise_for_status().json()
            if time.monotonic() > goes_home_at:
                await presence(me, "off")
                return
            case_id = claim["case_id"]
            if case_id is None:
                if has_all.is_set() and found.decided >= len(found.asked_at) and not await waiting(me):
                    return
                await asyncio.sleep(0.3)
                continue
            dossier = (await me.get(f"/api/v1/desk/cases/{case_id}")).raise_for_status().json()
            body = {
                "choice": "decline",
                "case_version": dossier["version"],
                "order_version": dossier["order"]["version"],
            }
            path = f"/api/v1/desk/cases/{case_id}/decisions"
            found.strangers[(await stranger.post(path, json=body)).status_code] += 1
            await asyncio.sleep(random.uniform(*THINKS_S))
            answers = await asyncio.gather(*(me.post(path, json=body) for _ in range(2)))
            accepted = sum(answer.status_code == 200 for answer in answers)
            found.accepted[case_id] += accepted
            found.decided += 1
            if accepted != 1:
                print(f"  {case_id}: {[(a.status_code, a.text[:200]) for a in answers]}", flush=True)


async def presence(client: httpx.AsyncClient, state: str) -> None:
    (await client.put("/api/v1/desk/presence", json={"state": state})).raise_for_status()


async def waiting(client: httpx.AsyncClient) -> int:
    response = (await client.get("/api/v1/desk/cases")).raise_for_status()
    return len(response.json()["cases"])


def report(conn: psycopg.Connection[dict[str, Any]], found: Found, cases: int) -> int:
    """Prints the figures; 1 when a promise was broken."""
    events = conn.execute(
        "SELECT case_id, seq, at, actor, event, data FROM case_events ORDER BY at, case_id, seq"
    ).fetchall()
    rows = {row["case_id"]: row for row in conn.execute("SELECT * FROM cases JOIN case_clocks USING (case_id)")}
    decisions = Counter(row["case_id"] for row in events if row["event"] in {"declined", "approved"})
    in_review = sum(row["state"] == "review" for row in rows.values())
    strokes = late_strokes(events, rows)
    hints = [
        at - found.asked_at[case] for case, heard in found.hints_s.items() for at in heard if case in found.asked_at
    ]
    broken = {
        "answered by two": sum(count > 1 for count in decisions.values()) + sum(n > 1 for n in found.accepted.values()),
        "forgotten": cases - len(decisions) + in_review,
        "decided by somebody who did not hold it": sum(n for status, n in found.strangers.items() if status != 409),
        "taken out of order": out_of_order(events, rows),
        "desks that did not hear of a case": AGENTS * cases - len(hints),
        f"strokes later than {STROKE_MAX_S:.0f} s": sum(late > STROKE_MAX_S for late in strokes),
        f"hints later than {HINT_MAX_S:.0f} s": sum(late > HINT_MAX_S for late in hints),
    }
    kinds = Counter(row["event"] for row in events)
    print(f"\n{cases} cases, {AGENTS} agents, {found.decided} decisions; events: {dict(sorted(kinds.items()))}")
    print(f"strokes, seconds late: {spread(strokes)}\nhints, seconds after the answer to the buyer: {spread(hints)}")
    for name, count in broken.items():
        print(f"{name}: {count}")
    return 1 if any(broken.values()) else 0


def late_strokes(events: list[dict[str, Any]], rows: dict[str, dict[str, Any]]) -> list[float]:
    """Seconds between the moment on the clock and the event, of every rung of the respond clock."""
    column = {
        "clock_half": "respond_half_at",
        "clock_warned": "respond_warn_at",
        "clock_again": "respond_again_at",
        "clock_due": "respond_due_at",
    }
    return [
        (row["at"] - rows[row["case_id"]][column[row["event"]]]).total_seconds()
        for row in events
        if row["event"] in column and row["data"].get("clock") == "respond"
    ]


def out_of_order(events: list[dict[str, Any]], rows: dict[str, dict[str, Any]]) -> int:
    """Claims that left a more urgent case lying which had been free for a moment and stayed so for another."""
    claims = [row for row in events if row["event"] == "claimed"]
    overdue_at = {row["case_id"]: row["at"] for row in events if row["event"] == "clock_due"}
    free = {
        case_id: [(row["opened_at"], datetime.max.replace(tzinfo=row["opened_at"].tzinfo))]
        for case_id, row in rows.items()
    }
    for row in sorted((r for r in events if r["event"] in {"claimed", "claim_released"}), key=lambda r: r["at"]):
        spans = free[row["case_id"]]
        if row["event"] == "claimed":
            spans[-1] = (spans[-1][0], row["at"])
        else:
            spans.append((row["at"], datetime.max.replace(tzinfo=row["at"].tzinfo)))

    def urgency(case_id: str, at: datetime) -> tuple[object, ...]:
        row = rows[case_id]
        is_overdue = case_id in overdue_at and overdue_at[case_id] + SAME_MOMENT < at
        return (
            -(row["priority"] >= 90),
            -is_overdue,
            -row["priority"],
            row["respond_due_at"],
            -row["money_minor"],
            case_id,
        )

    wrong = 0
    for claim in claims:
        at, mine = claim["at"], urgency(claim["case_id"], claim["at"])
        wrong += any(
            begin + SAME_MOMENT < at < end - SAME_MOMENT and urgency(case_id, at) < mine
            for case_id, spans in free.items()
            if case_id != claim["case_id"]
            for begin, end in spans
        )
    return wrong


def spread(seconds: list[float]) -> str:
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    return f"n {len(ordered)}, p50 {statistics.median(ordered):.2f}, p99 {ordered[int(len(ordered) * 0.99)]:.2f}, max {ordered[-1]:.2f}"


if __name__ == "__main__":
    main()
