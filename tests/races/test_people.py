"""Pairs of people, and people against clocks: each pair forced in both orders, by making both wait for a row and letting them go in turn."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.flow.test_parcels_back import come_back, recalled
from tests.flow.test_situations import assert_nothing_broken, units
from tests.world import World, shipment
from unwind.flow.queue import release_expired
from unwind.flow.run import run_until_quiet
from unwind.flow.strike import strike_due, strike_questions

BOTH_ORDERS = pytest.mark.parametrize("is_reversed", [False, True], ids=["first-second", "second-first"])
Call = Callable[[], Awaitable[Any]]
GATES = {
    "order": "SELECT FROM orders WHERE order_id = %s FOR UPDATE",
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
        self.order_id = ""
        self.body: dict[str, Any] = {}

    async def open(self) -> None:
        self.order_id = await self.world.order(risk="suspected")
        self.case_id = (await self.world.cancel(self.order_id))["case_id"]
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


# buyers, second persons, answers ------------------------------------------------------------------------------------


def withdraw(desk: Desk) -> Call:
    return lambda: desk.world.call("POST", f"/api/v1/cancellations/{desk.case_id}/withdraw")


def link_answer(desk: Desk, link: str, *, agree: bool) -> Call:
    path = f"/api/v1/links/{link.rsplit('/', 1)[1]}"
    return lambda: desk.world.client.post(path, json={"agree": agree})


async def asked(desk: Desk, what: str, **body: Any) -> dict[str, Any]:
    return await desk.world.ok("POST", f"/api/v1/desk/cases/{desk.case_id}/{what}", role="uk_ann", json=body)


async def refunded(desk: Desk) -> list[int]:
    await desk.world.run(until="archived", case_id=desk.case_id)
    [row] = await desk.world.sql("SELECT order_id FROM cases WHERE case_id = %s", desk.case_id)
    return [refund["amount_minor"] for refund in await desk.world.refunds(row["order_id"])]


@BOTH_ORDERS
async def test_the_buyer_withdraws_and_a_person_approves(desk: Desk, *, is_reversed: bool) -> None:
    desk.body["choice"] = "approve"
    withdrawn, approved = await forced(
        desk.world, "case", desk.case_id, withdraw(desk), desk.decide("ann"), is_reversed=is_reversed
    )
    if is_reversed:
        assert (said(withdrawn), said(approved)) == ((409, "past_no_return"), (200, ""))
        assert await refunded(desk) == [1000]
    else:
        assert (said(withdrawn)[0], said(approved)) == (200, (409, "stale"))
        assert await refunded(desk) == []


@BOTH_ORDERS
async def test_the_buyer_withdraws_and_the_worker_begins(desk: Desk, *, is_reversed: bool) -> None:
    """An approved case is on its way; whoever withdraws now is told so, and the refund is made once."""
    desk.body["choice"] = "approve"
    assert said(await desk.decide("ann")()) == (200, "")
    withdrawn, _ = await forced(
        desk.world,
        "order",
        desk.order_id,
        withdraw(desk),
        lambda: run_until_quiet(desk.world.services),
        is_reversed=is_reversed,
    )
    assert said(withdrawn) == (409, "past_no_return")
    assert await refunded(desk) == [1000]


@BOTH_ORDERS
async def test_a_double_click_decides_once(desk: Desk, *, is_reversed: bool) -> None:
    desk.body["choice"] = "approve"
    answers = await forced(
        desk.world, "case", desk.case_id, desk.decide("ann"), desk.decide("ann"), is_reversed=is_reversed
    )
    assert sorted(said(answer) for answer in answers) == [(200, ""), (409, "stale")]
    assert (await desk.events()).count("approved") == 1
    assert await refunded(desk) == [1000]


@BOTH_ORDERS
async def test_two_second_persons_answer(desk: Desk, *, is_reversed: bool) -> None:
    await desk.world.sql("UPDATE merchants SET agent_limit_minor = 0")
    desk.body["choice"] = "approve"
    assert said(await desk.decide("ann")()) == (202, "")
    one, two = await desk.world.hire("lea", "leo", role="lead")
    agreed, refused = await forced(
        desk.world,
        "case",
        desk.case_id,
        lambda: desk.world.agree_as_second(desk.case_id, role=one),
        lambda: desk.world.agree_as_second(desk.case_id, role=two, agree=False),
        is_reversed=is_reversed,
    )
    if is_reversed:
        assert (said(agreed), said(refused)[0]) == ((409, "question_closed"), 200)
        assert (await desk.events())[-1] == "question_answered"
    else:
        assert (said(agreed)[0], said(refused)) == (200, (409, "question_closed"))
        assert await refunded(desk) == [1000]


@BOTH_ORDERS
async def test_a_second_persons_yes_and_the_buyers_withdrawal(desk: Desk, *, is_reversed: bool) -> None:
    await desk.world.sql("UPDATE merchants SET agent_limit_minor = 0")
    desk.body["choice"] = "approve"
    await desk.decide("ann")()
    agreed, withdrawn = await forced(
        desk.world,
        "case",
        desk.case_id,
        lambda: desk.world.agree_as_second(desk.case_id),
        withdraw(desk),
        is_reversed=is_reversed,
    )
    if is_reversed:
        assert (said(agreed), said(withdrawn)[0]) == ((409, "question_closed"), 200)
        assert await refunded(desk) == []
    else:
        assert (said(agreed)[0], said(withdrawn)) == (200, (409, "past_no_return"))
        assert await refunded(desk) == [1000]


@BOTH_ORDERS
async def test_two_devices_answer_one_offer(desk: Desk, *, is_reversed: bool) -> None:
    soon = (await desk.world.now() + timedelta(days=1)).isoformat()
    link = (await asked(desk, "offers", offer="wait", promised_at=soon))["link"]
    yes, no = await forced(
        desk.world,
        "case",
        desk.case_id,
        link_answer(desk, link, agree=True),
        link_answer(desk, link, agree=False),
        is_reversed=is_reversed,
    )
    [row] = await desk.world.sql("SELECT state FROM cases WHERE case_id = %s", desk.case_id)
    if is_reversed:
        assert (said(yes), said(no)[0], row["state"]) == ((409, "question_closed"), 200, "review")
    else:
        assert (said(yes)[0], said(no), row["state"]) == (200, (409, "question_closed"), "watching")


@pytest.mark.rule("people.ask")
@BOTH_ORDERS
async def test_an_answer_and_the_end_of_its_time(desk: Desk, *, is_reversed: bool) -> None:
    link = (await asked(desk, "questions", audience="merchant", topic="may_cancel", minutes=5))["link"]
    await desk.world.pass_time(timedelta(minutes=6))
    answered, _ = await forced(
        desk.world,
        "case",
        desk.case_id,
        link_answer(desk, link, agree=False),
        lambda: strike_questions(desk.world.services),
        is_reversed=is_reversed,
    )
    told = [event for event in await desk.events() if event.startswith("question_") and event != "question_asked"]
    if is_reversed:
        assert (said(answered), told) == ((409, "question_closed"), ["question_silent"])
    else:
        assert (said(answered)[0], told) == (200, ["question_answered"])


@BOTH_ORDERS
async def test_an_answer_and_a_decision(desk: Desk, *, is_reversed: bool) -> None:
    """The person decides by what they saw: an answer that came first makes them look again, one that came later is not heard."""
    link = (await asked(desk, "questions", audience="merchant", topic="may_cancel"))["link"]
    desk.body["case_version"] = (await desk.world.dossier(desk.case_id))["version"]
    answered, decided = await forced(
        desk.world,
        "case",
        desk.case_id,
        link_answer(desk, link, agree=True),
        desk.decide("ann"),
        is_reversed=is_reversed,
    )
    if is_reversed:
        assert (said(answered), said(decided)) == ((409, "question_closed"), (200, ""))
    else:
        assert (said(answered)[0], said(decided)) == (200, (409, "stale"))


@BOTH_ORDERS
async def test_two_devices_appeal(desk: Desk, *, is_reversed: bool) -> None:
    await desk.decide("ann")()
    await desk.world.run(until="archived", case_id=desk.case_id)
    path = f"/api/v1/cancellations/{desk.case_id}/appeal"

    def appeal() -> Any:
        return desk.world.call("POST", path, json={"text": "请再看一下"})

    answers = await forced(desk.world, "order", desk.order_id, appeal, appeal, is_reversed=is_reversed)
    assert [answer.status_code for answer in answers] == [201, 201]
    assert len({answer.json()["case_id"] for answer in answers}) == 1
    assert len(await desk.world.sql("SELECT case_id FROM cases WHERE appeal_of = %s", desk.case_id)) == 1


@BOTH_ORDERS
async def test_a_broken_promise_and_the_parcel_that_comes_after_all(desk: Desk, *, is_reversed: bool) -> None:
    """The promised moment is over just when the parcel is delivered: kept or broken, never both, and never left waiting."""
    world = desk.world
    order_id = await world.order(shipments=[shipment("S1")], risk="none")
    desk.case_id = (await world.cancel(order_id))["case_id"]
    now = await world.now()
    link = (await asked(desk, "offers", offer="wait", promised_at=(now + timedelta(hours=1)).isoformat()))["link"]
    await link_answer(desk, link, agree=True)()
    await world.run()
    await world.pass_time(timedelta(hours=1, minutes=1))
    await world.sql("UPDATE shipments SET tracked_at = unwind_now()")
    moved = {**shipment("S1", stage="delivered"), "moved_at": now.isoformat()}
    event = {"event_id": "e1", "kind": "parcel_moved", "at": now.isoformat(), "shipment": moved}
    await forced(
        world,
        "order",
        order_id,
        lambda: run_until_quiet(world.services),
        lambda: world.call("POST", f"/api/v1/orders/{order_id}/events", json=event),
        is_reversed=is_reversed,
    )
    await world.run()
    told = {"wait_rewarded", "wait_in_vain"} & set(await desk.events())
    assert told == ({"wait_rewarded"} if is_reversed else {"wait_in_vain"})


@BOTH_ORDERS
async def test_a_parcel_is_scanned_and_its_return_closed_by_hand(world: World, *, is_reversed: bool) -> None:
    """A scan that comes behind the word of a person is of a parcel nobody awaits any more; no unit moves twice."""
    order_id, case_id = await recalled(world)
    legs = {leg["kind"]: leg["leg_no"] for leg in (await world.dossier(case_id))["parts"][0]["legs"]}
    path = f"/api/v1/desk/cases/{case_id}/legs"
    said = {"outcome": "done", "reference": "call-1"}
    await world.ok("POST", f"{path}/{legs['recall_parcel']}/outcome", role="agent", json=said)
    await world.run()
    by_hand, scanned = await forced(
        world,
        "order",
        order_id,
        lambda: world.call("POST", f"{path}/{legs['receive_return']}/outcome", role="agent", json=said),
        lambda: come_back(world, "W-S1"),
        is_reversed=is_reversed,
    )
    assert by_hand.status_code == 200
    assert scanned["verdict"] == ("take_in" if is_reversed else "unexpected")
    assert scanned["return"]["state"] == ("scanned" if is_reversed else "unexpected")
    await world.run(until="archived", case_id=case_id)
    assert await units(world, order_id) == {"restocked": 4}
    await assert_nothing_broken(world)
