"""Orders paid at real providers in a whole world, and how their cases come to rest."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.paying import Interposer, dialect_of
from tests.world import World, payment
from unwind.storage.embedded import EmbeddedPostgres

SPEAKING = {"wxpay": "wechat_pay", "alipay": "alipay", "unionpay": "unionpay", "card": "stripe"}
CONNECTION_OF = {provider: connection for connection, provider in SPEAKING.items()}
PATIENCE_IN_DOUBT = timedelta(minutes=10, seconds=5)
ROUND = timedelta(seconds=2)
ROUNDS_MAX = 60


@dataclass(slots=True, kw_only=True)
class PaidWorld:
    """`world`, and the one that stands before its sandbox."""

    world: World
    before: Interposer

    def dialect(self, provider: str) -> Any:
        return dialect_of(self.before.sandbox, provider)

    async def order(self, provider: str, order_id: str = "O1", *, state: str = "captured", **given: Any) -> str:
        paid = pay(provider, order_id, 1000, state=state)
        return await self.world.order(order_id=order_id, payments=[paid], **given)

    async def cancel(self, order_id: str) -> str:
        return str((await self.world.cancel(order_id))["case_id"])

    async def case(self, case_id: str) -> dict[str, Any]:
        return (await self.world.sql("SELECT * FROM cases WHERE case_id = %s", case_id))[0]

    async def leg(self, case_id: str) -> dict[str, Any]:
        query = "SELECT * FROM legs WHERE case_id = %s AND kind = 'refund'"
        return (await self.world.sql(query, case_id))[0]

    async def rest(self, *case_ids: str, rounds_max: int = ROUNDS_MAX) -> dict[str, Any]:
        """Until the cases are sealed or with a person: the worker, the callbacks, and two seconds a round. The row of the first."""
        for _ in range(rounds_max):
            await self.world.run()
            rows = [await self.case(case_id) for case_id in case_ids]
            if all(row["state"] in {"archived", "review"} for row in rows):
                break
            await self.world.ask_sandbox("callbacks/hurry", {})
            await asyncio.sleep(0.005)
            await self.world.pass_time(ROUND)
        return rows[0]

    async def retry(self, case_id: str) -> dict[str, Any]:
        response = await self.world.decide(case_id, "retry")
        assert response.status_code == 200, response.text
        return await self.rest(case_id)

    async def told(self, case_id: str) -> set[str]:
        rows = await self.world.sql("SELECT fact FROM messages WHERE case_id = %s AND audience = 'buyer'", case_id)
        return {row["fact"].split(":")[0] for row in rows}

    async def alerts(self) -> set[tuple[str, str, str]]:
        rows = await self.world.sql("SELECT connection, kind, code FROM alerts")
        return {(row["connection"], row["kind"], row["code"]) for row in rows}

    async def moved(self, order_id: str = "O1") -> list[tuple[int, int]]:
        """(amount, how often it moved) of every refund that the outside world holds."""
        return [(r["amount_minor"], r["money_moved_times"]) for r in await self.world.refunds(order_id)]

    async def assert_honest(self, case_id: str, order_id: str = "O1") -> None:
        """No violation out there, none in our books; "refunded" is said only of money that moved, and it moved once at most."""
        from unwind.doctor import examine

        assert (await self.world.violations())["violations"] == []
        async with self.world.services.database.survey() as conn:
            assert await examine(conn, self.world.services.vault) == []
        times = [times for _, times in await self.moved(order_id)]
        assert sum(times) <= 1
        if "refund_done" in await self.told(case_id):
            assert sum(times) == 1


def trade_number(provider: str, order_id: str) -> str:
    match provider:
        case "unionpay":
            return f"PAY{order_id.replace('-', ''):0>8}:20261101115900"
        case "stripe":
            return f"pi_{order_id.replace('-', '')}"
        case _:
            return f"T-{order_id}"


def pay(provider: str, order_id: str, amount: int, *, state: str = "captured", **given: Any) -> dict[str, Any]:
    made = payment(order_id, amount, connection=CONNECTION_OF[provider], method=provider, state=state, **given)
    return {**made, "trade_no": trade_number(provider, order_id)}


async def open_paid_world(
    stack: AsyncExitStack, *, postgres: EmbeddedPostgres, database: str, folder: Path
) -> PaidWorld:
    world = await World.open(stack, postgres=postgres, database=database, folder=folder, speaking=SPEAKING)
    before = Interposer(world.outside.app)
    world.outside.app = before
    return PaidWorld(world=world, before=before)
