"""Live hints: two web processes on one database, every open desk hears of every change in the queue."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.world import KEYS, World
from unwind.storage.database import Database
from unwind.web.app import build_app
from unwind.web.stream import LOOK_S


class Screen:
    """An open stream, spoken over ASGI as a server would."""

    def __init__(self) -> None:
        self.hints: list[dict[str, Any]] = []
        self.status = 0
        self.has_asked = False
        self.is_open = asyncio.Event()
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if not self.has_asked:
            self.has_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        for block in message.get("body", b"").decode().split("\n\n"):
            if "event: hello" in block:
                self.is_open.set()
            if block.startswith("event: case"):
                self.hints.append(json.loads(block.partition("data: ")[2]))

    async def hears(self, case_id: str, **expected: Any) -> dict[str, Any]:
        """The first hint about a case that says this; waits generously."""
        for _ in range(1000):
            for hint in self.hints:
                if hint["case"] == case_id and expected.items() <= hint.items():
                    return hint
            await asyncio.sleep(0.01)
        raise AssertionError((expected, self.hints))


@asynccontextmanager
async def watching(app: Any, role: str = "agent") -> AsyncIterator[Screen]:
    screen = Screen()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "method": "GET",
        "path": "/api/v1/desk/stream",
        "raw_path": b"/api/v1/desk/stream",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {KEYS.get(role, role)}".encode())],
        "scheme": "http",
        "server": ("unwind.test", 80),
        "client": ("test", 1),
        "http_version": "1.1",
        "root_path": "",
    }
    running = asyncio.create_task(app(scope, screen.receive, screen.send))
    try:
        async with asyncio.timeout(20):
            await screen.is_open.wait()
        yield screen
    finally:
        screen.gone.set()
        await running


def app_of(world: World) -> Any:
    transport = world.client._transport
    assert isinstance(transport, httpx.ASGITransport)
    return transport.app


@pytest.fixture
async def second(world: World) -> AsyncIterator[Any]:
    """Another web process, as far as the database can tell."""
    async with AsyncExitStack() as stack:
        database = Database(world.url, connections_max=4)
        app = build_app(replace(world.services, database=database), is_demo=True)
        await stack.enter_async_context(app.router.lifespan_context(app))
        yield app


async def test_a_new_case_reaches_every_open_desk(world: World, second: Any) -> None:
    order_id = await world.order(risk="suspected")
    async with watching(app_of(world)) as here, watching(second) as there, watching(second, "lead") as lead:
        case_id = (await world.cancel(order_id))["case_id"]
        heard = await asyncio.gather(*(screen.hears(case_id) for screen in (here, there, lead)))
    assert all(hint["is_waiting"] for hint in heard)
    assert {(hint["version"], hint["seq"]) for hint in heard} == {(1, 2)}
    assert LOOK_S <= 0.5, "a second is promised, and a look takes time too"


async def test_claims_decisions_and_second_contacts_are_heard_elsewhere(world: World, second: Any) -> None:
    order_id = await world.order(risk="suspected")
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    seen = await world.dossier(case_id)
    async with watching(second) as there:
        await asyncio.sleep(2 * LOOK_S)
        assert there.hints == [], "what is there already is fetched, not hinted at"
        await world.ok("POST", f"/api/v1/desk/cases/{case_id}/claim", role="agent", json={})
        claimed = await there.hears(case_id, version=seen["version"])
        [row] = await world.sql("SELECT event_seq FROM cases")
        assert claimed["seq"] == row["event_seq"], "the claim is the first that is heard"
        await world.cancel(order_id, channel="hotline")
        raised = await there.hears(case_id, version=seen["version"] + 1)
        assert raised["seq"] > claimed["seq"]
        assert (await world.decide(case_id, "decline")).status_code == 200
        await there.hears(case_id, is_waiting=False)


async def test_many_changes_between_two_looks_are_one_hint(world: World, second: Any) -> None:
    case_id = (await world.cancel(await world.order(risk="suspected")))["case_id"]
    async with watching(second) as there:
        await world.sql("UPDATE cases SET version = version + 1, event_seq = event_seq + 1")
        await there.hears(case_id, version=2)
        listener = next(iter(second.state.hints._listeners))
        for version in range(3, 30):
            listener.tell("shop", {"case": case_id, "version": version, "seq": version, "is_waiting": True})
        await there.hears(case_id, version=29)
        assert [hint["version"] for hint in there.hints] == [2, 29]


async def test_a_merchants_own_people_hear_of_their_own_cases_only(world: World, second: Any) -> None:
    await world.put_merchant("other")
    [theirs] = await world.hire("elsewhere", merchant_id="other")
    ours = await world.order(risk="suspected")
    async with watching(second, theirs) as elsewhere, watching(second) as everywhere:
        case_id = (await world.cancel(ours))["case_id"]
        await everywhere.hears(case_id)
        own = (await world.cancel(await world.order(risk="suspected", merchant_id="other")))["case_id"]
        await elsewhere.hears(own)
    assert {hint["case"] for hint in elsewhere.hints} == {own}
    assert {hint["case"] for hint in everywhere.hints} >= {case_id}


async def test_two_who_join_at_once_miss_nothing_that_changes_between_their_looks(world: World, second: Any) -> None:
    """The later look must not replace the earlier one, or the first screen never hears what came in between."""
    hints = second.state.hints
    read, is_asked, may_look = hints._read, asyncio.Event(), asyncio.Event()

    async def late_read() -> Any:
        is_asked.set()
        await may_look.wait()
        return await read()

    hints._read = late_read
    later = asyncio.create_task(hints.join(None))
    await is_asked.wait()
    hints._read = read
    earlier = await hints.join(None)
    hints._looking.cancel()  # its next look would come by chance before or after
    case_id = (await world.cancel(await world.order(risk="suspected")))["case_id"]
    may_look.set()
    await later
    hints._compare(await read())
    assert list(earlier.pending) == [case_id]


async def test_nobody_listens_nobody_looks(world: World, second: Any) -> None:
    hints = second.state.hints
    async with watching(second):
        assert hints.listeners == 1
        assert hints._looking is not None
    assert hints.listeners == 0
    for _ in range(500):
        if hints._looking is None:
            break
        await asyncio.sleep(0.01)
    assert (hints._looking, hints._seen) == (None, None)
    case_id = (await world.cancel(await world.order(risk="suspected")))["case_id"]
    async with watching(second) as again:
        await world.ok("POST", f"/api/v1/desk/cases/{case_id}/claim", role="agent", json={})
        await again.hears(case_id)


@pytest.mark.parametrize("role", ["warehouse", "finance", "auditor", "integrator", "nobody"])
async def test_only_the_desk_listens(world: World, role: str) -> None:
    response = await world.call("GET", "/api/v1/desk/stream", role=role)
    assert response.status_code == (401 if role == "nobody" else 403)


async def test_who_has_been_signed_out_does_not_listen_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from unwind.web import stream

    monkeypatch.setattr(stream, "PING_S", 0.05)
    monkeypatch.setattr(stream, "AGAIN_S", 0.0)
    still_in = iter([True, False])

    async def is_still_in() -> bool:
        return next(still_in)

    hints = world.inwards.app.state.hints
    async with asyncio.timeout(10):
        heard = [event async for event in stream._events(hints, None, is_still_in)]
    assert heard[0].startswith("retry")
    assert hints.listeners == 0
