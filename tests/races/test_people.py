"""Pairs of people, and people against clocks: each pair forced in both orders, by making both wait for a row and letting them go in turn."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.world import World
from unwind.flow.queue import release_expired
from unwind.flow.strike import strike_due

BOTH_ORDERS = pytest.mark.parametrize("is_reversed", [False, True], ids=["first-second", "second-first"])
Call = Callable[[], Awaitable[Any]]
GATES = {
    "case": "SELECT FROM cases WHERE case_id = %s FOR UPDATE",
    "agent": "SELECT FROM agents WHERE principal_id = %s FOR UPDATE",
}


async def one_after_the_other(world: World, gate: str, key: str, first: Call, second: Call) -> tuple[Any, Any]:
    """Both have begun and wait for the same row, `first` in front; then the row is let go."""
    async with await psycopg.AsyncConnection.connect(world.owner_url) as conn:
        await conn.execute(GATES[gate], (key,))
        running = []
        for n, call in enumerate((first, second), start=1):
            running.append(asyncio.ensure_future(call()))
            for _ in range(200):
                [row] = await world.sql("SELECT count(DISTINCT pid) AS n FROM pg_locks WHERE NOT granted")
                if row["n"] >= n:
                    break
                await asyncio.sleep(0.01)
            else:
                raise AssertionError("it does not wait for the row")
        await conn.rollback()
        one, two = await asyncio.gather(*running)
        return one, two


async def forced(world: World, gate: str, key: str, first: Call, second: Call, *, is_reversed: bool) -> tuple[Any, Any]:
    """The answers in the order in which the calls were given, whichever ran first."""
    if not is_reversed:
        return await one_after_the_other(world, gate, key, first, second)
    two, one = await one_after_the_other(world, gate, key, second, first)
    return one, two


class Desk:
    def __init__(self, world: World) -> None:
        self.world = world
        self.case_id = ""
        self.body: dict[str, Any] = {}

    async def open(self) -> None:
        order_id = await self.world.order(risk="suspected")
        self.case_id = (await self.world.cancel(order_id))["case_id"]
        await self.world.run()
        await self.world.hire("ann", "bob")
        seen = await self.world.dossier(self.case_id)
        self.body = {
            "choice": "decline",
            "case_version": seen["version"],
            "order_version": seen["order"]["version"],
        }

    def claim(self, who: str) -> Call:
        return lambda: self.world.call("POST", f"/api/v1/desk/cases/{self.case_id}/claim", role=f"uk_{who}", json={})

    def decide(self, who: str) -> Call:
        path = f"/api/v1/desk/cases/{self.case_id}/decisions"
        return lambda: self.world.call("POST", path, role=f"uk_{who}", json=self.body)

    def transfer(self, who: str, to: str) -> Call:
        path = f"/api/v1/desk/cases/{self.case_id}/transfer"
        return lambda: self.world.call("POST", path, role=f"uk_{who}", json={"to": to})

    def presence(self, who: str, state: str) -> Call:
        return lambda: self.world.call("PUT", "/api/v1/desk/presence", role=f"uk_{who}", json={"state": state})

    async def events(self) -> list[str]:
        rows = await self.world.sql("SELECT event FROM case_events WHERE case_id = %s ORDER BY seq", self.case_id)
        return [row["event"] for row in rows if row["event"] != "message_recorded"][2:]

    async def held_by(self) -> str | None:
        [row] = await self.world.sql("SELECT claimed_by FROM cases WHERE case_id = %s", self.case_id)
        name: str | None = row["claimed_by"]
        return name


@pytest.fixture
async def desk(world: World) -> Desk:
    made = Desk(world)
    await made.open()
    return made


def said(response: Any) -> tuple[int, str]:
    return response.status_code, response.json().get("code", "")


@BOTH_ORDERS
async def test_two_agents_claim(desk: Desk, *, is_reversed: bool) -> None:
    answers = await forced(
        desk.world, "case", desk.case_id, desk.claim("ann"), desk.claim("bob"), is_reversed=is_reversed
    )
    winner, loser = reversed(answers) if is_reversed else answers
    assert (said(winner), said(loser)) == ((200, ""), (409, "claimed_by_other"))
    assert await desk.held_by() == ("bob" if is_reversed else "ann") == loser.json()["facts"]["holder"]
    assert await desk.events() == ["claimed"]


@BOTH_ORDERS
async def test_two_agents_decide(desk: Desk, *, is_reversed: bool) -> None:
    answers = await forced(
        desk.world, "case", desk.case_id, desk.decide("ann"), desk.decide("bob"), is_reversed=is_reversed
    )
    winner, loser = reversed(answers) if is_reversed else answers
    assert (said(winner), said(loser)) == ((200, ""), (409, "stale"))
    assert await desk.events() == ["declined"]


@BOTH_ORDERS
async def test_claim_and_decision(desk: Desk, *, is_reversed: bool) -> None:
    claimed, decided = await forced(
        desk.world, "case", desk.case_id, desk.claim("ann"), desk.decide("bob"), is_reversed=is_reversed
    )
    if is_reversed:
        assert (said(claimed), said(decided)) == ((409, "not_in_review"), (200, ""))
    else:
        assert (said(claimed), said(decided)) == ((200, ""), (409, "claimed_by_other"))


@BOTH_ORDERS
async def test_decision_and_clock(desk: Desk, *, is_reversed: bool) -> None:
    """Whoever is first, the decision stands; and nobody is called late who has answered."""
    await desk.world.pass_time(timedelta(minutes=16))
    decided, _ = await forced(
        desk.world,
        "case",
        desk.case_id,
        desk.decide("ann"),
        lambda: strike_due(desk.world.services),
        is_reversed=is_reversed,
    )
    assert said(decided) == (200, "")
    assert await desk.events() == (["clock_due", "declined"] if is_reversed else ["declined"])


@BOTH_ORDERS
async def test_expired_claim_and_decision(desk: Desk, *, is_reversed: bool) -> None:
    await desk.claim("ann")()
    await desk.world.pass_time(timedelta(seconds=301))
    decided, claimed = await forced(
        desk.world, "case", desk.case_id, desk.decide("ann"), desk.claim("bob"), is_reversed=is_reversed
    )
    if is_reversed:
        assert (said(decided), said(claimed)) == ((409, "claimed_by_other"), (200, ""))
        assert await desk.held_by() == "bob"
    else:
        assert (said(decided), said(claimed)) == ((200, ""), (409, "not_in_review"))
        assert await desk.held_by() is None


@BOTH_ORDERS
async def test_tidying_an_expired_claim_and_decision(desk: Desk, *, is_reversed: bool) -> None:
    await desk.claim("ann")()
    await desk.world.pass_time(timedelta(seconds=301))
    decided, _ = await forced(
        desk.world,
        "case",
        desk.case_id,
        desk.decide("ann"),
        lambda: release_expired(desk.world.services),
        is_reversed=is_reversed,
    )
    assert said(decided) == (200, "")
    released = ["claim_released"] if is_reversed else []
    assert await desk.events() == ["claimed", *released, "declined"]


@BOTH_ORDERS
async def test_transfer_and_decision(desk: Desk, *, is_reversed: bool) -> None:
    """One agent, two windows."""
    await desk.claim("ann")()
    await desk.presence("bob", "on")()
    moved, decided = await forced(
        desk.world, "case", desk.case_id, desk.transfer("ann", "bob"), desk.decide("ann"), is_reversed=is_reversed
    )
    if is_reversed:
        assert (said(moved), said(decided)) == ((409, "not_in_review"), (200, ""))
    else:
        assert (said(moved), said(decided)) == ((200, ""), (409, "claimed_by_other"))
        assert await desk.held_by() == "bob"


@BOTH_ORDERS
async def test_claim_and_off_duty(desk: Desk, *, is_reversed: bool) -> None:
    """Nobody who has gone home holds a case."""
    await desk.presence("ann", "on")()
    claimed, off = await forced(
        desk.world, "agent", "ann", desk.claim("ann"), desk.presence("ann", "off"), is_reversed=is_reversed
    )
    assert said(off) == (200, "")
    assert said(claimed) == ((409, "not_on_duty") if is_reversed else (200, ""))
    assert await desk.events() == ([] if is_reversed else ["claimed", "claim_released"])
    assert await desk.held_by() is None


@BOTH_ORDERS
async def test_transfer_and_the_other_goes_off_duty(desk: Desk, *, is_reversed: bool) -> None:
    await desk.claim("ann")()
    await desk.presence("bob", "on")()
    moved, off = await forced(
        desk.world, "agent", "bob", desk.transfer("ann", "bob"), desk.presence("bob", "off"), is_reversed=is_reversed
    )
    assert said(off) == (200, "")
    assert said(moved) == ((409, "not_on_duty") if is_reversed else (200, ""))
    assert await desk.held_by() == ("ann" if is_reversed else None)
