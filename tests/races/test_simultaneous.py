"""The first comparison test of all: N simultaneous cancels give one success, one closing event, stock back once."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial

import pytest

from tests.world import World, line
from unwind.domain.access import SYSTEM
from unwind.flow.intake import Intake
from unwind.flow.receive import Request, receive
from unwind.storage.database import Database

ORDERS = 500
DEVICES = 8


async def test_eight_devices_cancel_each_of_five_hundred_orders(world: World) -> None:
    await world.ok("PUT", "/api/v1/stock", role="admin", json=[{"sku": "SKU-L1", "available": ORDERS}])
    orders = [await world.order(paid=False) for _ in range(ORDERS)]
    gate = asyncio.Semaphore(16)

    async def ask(order_id: str) -> int:
        async with gate:
            response = await world.call("POST", "/api/v1/cancellations", json={"order_id": order_id})
        assert response.json()["outcome"] == "cancelled", response.text
        return response.status_code

    async def ask_at_once(order_id: str) -> Counter[int]:
        return Counter(await asyncio.gather(*(ask(order_id) for _ in range(DEVICES))))

    for first in range(0, ORDERS, 25):
        answers = await asyncio.gather(*(ask_at_once(order_id) for order_id in orders[first : first + 25]))
        assert all(count == Counter({201: 1, 200: DEVICES - 1}) for count in answers), answers
    counts = await world.sql(
        "SELECT count(*) AS closed, count(DISTINCT case_id) AS cases FROM case_events WHERE event = 'closed_at_once'"
    )
    assert counts == [{"closed": ORDERS, "cases": ORDERS}]
    assert await world.sql("SELECT available FROM stock") == [{"available": ORDERS}]
    assert await world.sql("SELECT count(*) AS n FROM cases") == [{"n": ORDERS}]
    assert await world.sql("SELECT count(*) AS n FROM stock_moves WHERE target = 'restocked'") == [{"n": ORDERS}]


async def test_twins_with_one_key_get_one_answer(world: World) -> None:
    order_id = await world.order(paid=False)
    body = {"order_id": order_id, "reason": "CHANGED_MIND"}
    answers = await asyncio.gather(
        *(
            world.call("POST", "/api/v1/cancellations", json=body, headers={"Idempotency-Key": "k1"})
            for _ in range(DEVICES)
        )
    )
    assert {a.status_code for a in answers} == {201}
    assert len({a.text for a in answers}) == 1
    assert sum("idempotent-replayed" in a.headers for a in answers) == DEVICES - 1
    other = await world.call(
        "POST", "/api/v1/cancellations", json={**body, "reason": "OTHER"}, headers={"Idempotency-Key": "k1"}
    )
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


async def test_partial_cancels_of_one_order_at_once_never_take_more_than_there_is(world: World) -> None:
    order_id = await world.order(lines=[line(quantity=5), line("L2", quantity=5)])

    async def take(line_id: str) -> int:
        response = await world.call("POST", "/api/v1/cancellations", json={"order_id": order_id, "lines": {line_id: 3}})
        return response.status_code

    codes = Counter(await asyncio.gather(*(take(line_id) for line_id in ("L1", "L2") * 4)))
    assert codes[201] == 2, codes
    await world.run()
    refunds = await world.refunds(order_id)
    assert sum(r["amount_minor"] for r in refunds) == 6000
    assert (await world.violations())["violations"] == []


async def test_two_workers_share_the_cases_and_pay_each_once(world: World) -> None:
    from unwind.flow.run import run_until_quiet

    orders = [await world.order() for _ in range(20)]
    cases = [(await world.cancel(order_id))["case_id"] for order_id in orders]
    await asyncio.gather(*(run_until_quiet(world.services) for _ in range(4)))
    for case_id in cases:
        await world.run(until="archived", case_id=case_id)
    for order_id in orders:
        refunds = await world.refunds(order_id)
        assert [(r["amount_minor"], r["money_moved_times"]) for r in refunds] == [(1000, 1)]


async def test_a_worker_that_slept_past_its_lease_writes_nothing(world: World) -> None:
    from unwind.flow.execute import Lease
    from unwind.flow.run import advance
    from unwind.storage import locks

    order_id = await world.order()
    case_id = (await world.cancel(order_id))["case_id"]
    async with world.services.database.transaction() as conn:
        [(found, zombie)] = await locks.lease_due_cases(conn, cases_max=1)
    assert found == case_id
    await world.sql("UPDATE cases SET lease_until = now() - interval '1 s'")
    await world.run(until="archived", case_id=case_id)
    before = await world.timeline(case_id)
    with pytest.raises(locks.LeaseLost):
        await advance(world.services, Lease(case_id=case_id, token=zombie))
    assert await world.timeline(case_id) == before
    assert len(await world.refunds(order_id)) == 1


async def test_two_agents_decide_and_one_is_told_so(world: World) -> None:
    order_id = await world.order(risk="suspected")
    case_id = (await world.cancel(order_id))["case_id"]
    seen = await world.dossier(case_id)
    versions = {"case_version": seen["version"], "order_version": seen["order"]["version"]}
    answers = await asyncio.gather(
        *(
            world.call(
                "POST", f"/api/v1/desk/cases/{case_id}/decisions", role=role, json={"choice": choice, **versions}
            )
            for role, choice in (("agent", "approve"), ("lead", "decline"))
        )
    )
    first, second = sorted(a.status_code for a in answers)
    assert (first, second) in {(200, 409), (202, 409)}, (
        "the agent's approval is above what one may decide, and waits for a second"
    )


class Wire:
    """Stands between the program and the database and counts what passes: statements, and turns of the conversation."""

    def __init__(self) -> None:
        self.statements = 0
        self.round_trips = 0
        self._last = "server"
        self._rest = b""

    def reset(self) -> None:
        self.statements = self.round_trips = 0
        self._last = "server"

    def from_program(self, data: bytes) -> None:
        if self._last == "server":
            self.round_trips += 1
        self._last = "program"
        self._rest += data
        while len(self._rest) >= 5:
            length = int.from_bytes(self._rest[1:5]) + 1
            if len(self._rest) < length:
                return
            self.statements += self._rest[:1] in {b"E", b"Q"}
            self._rest = self._rest[length:]

    def from_database(self) -> None:
        self._last = "server"


@contextlib.asynccontextmanager
async def wiretapped(socket_path: str, wire: Wire, port: int) -> AsyncIterator[None]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(socket_path)
        length = await reader.readexactly(4)
        up_writer.write(length + await reader.readexactly(int.from_bytes(length) - 4))

        async def upwards() -> None:
            while data := await reader.read(65536):
                wire.from_program(data)
                up_writer.write(data)
            up_writer.close()

        async def downwards() -> None:
            while data := await up_reader.read(65536):
                wire.from_database()
                writer.write(data)
            writer.close()

        await asyncio.gather(upwards(), downwards(), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        yield


@pytest.mark.parametrize(("door", "company"), [("receive", 1), ("intake", 1), ("intake", 4), ("intake", 16)])
async def test_the_hot_path_takes_at_most_three_round_trips(world: World, door: str, company: int) -> None:
    """Counted on the wire, for a request alone and for all that arrive together: the reading, and the writing with its commit."""
    from urllib.parse import parse_qs, urlsplit

    parts = urlsplit(world.url)
    folder = parse_qs(parts.query)["host"][0]
    wire = Wire()
    orders = [await world.order(paid=False) for _ in range(4 * company)]
    async with wiretapped(f"{folder}/.s.PGSQL.5432", wire, 15932):
        url = f"postgresql://{parts.username}:{parts.password}@127.0.0.1:15932{parts.path}?sslmode=disable&gssencmode=disable"
        database = Database(url, connections_max=1)
        await database.open()
        services = _with(world, database)
        ask = Intake(services).receive if door == "intake" else partial(receive, services)
        for _ in range(4):
            wire.reset()
            requests = [Request(order_id=orders.pop(), channel="app", picked="OTHER") for _ in range(company)]
            answers = await asyncio.gather(*(ask(SYSTEM, request) for request in requests))
        await database.close()
    assert {answer.body["outcome"] for answer in answers} == {"cancelled"}
    assert len({row["xmin"] for row in await world.sql("SELECT xmin::text FROM cases")}) == 4
    assert wire.round_trips <= 3, wire.round_trips
    assert wire.statements <= 8, wire.statements


def _with(world: World, database: Database):  # type: ignore[no-untyped-def]  # noqa: ANN202
    from dataclasses import replace

    return replace(world.services, database=database)
