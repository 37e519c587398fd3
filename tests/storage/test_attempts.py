"""Limits hold over any stretch of time, not from one full hour to the next; and for many at the same moment."""

import asyncio
from datetime import timedelta

from tests.world import World
from unwind.domain.errors import Refusal
from unwind.flow.turns import take_turn
from unwind.storage.attempts import count_attempt

HOUR = timedelta(hours=1)


async def test_there_is_no_border_at_which_twice_as_many_fit(world: World) -> None:
    counts = []
    async with world.services.database.connection() as conn:
        for minute in range(0, 130, 10):
            await world.sql(
                "UPDATE clock_offset SET shift = timestamptz '2026-11-24 20:05+00' + %s - clock_timestamp()",
                timedelta(minutes=minute),
            )
            counts.append(await count_attempt(conn, "k", b"x", per=HOUR))
    assert counts[:6] == [1, 2, 3, 4, 5, 6]
    assert set(counts[6:]) == {6}, "one comes, one goes"


async def test_at_the_same_moment_no_more_than_may(world: World) -> None:
    async def turn() -> bool:
        try:
            await take_turn(world.services, "k", "somebody", most=5, per=HOUR)
        except Refusal:
            return False
        return True

    assert sum(await asyncio.gather(*(turn() for _ in range(15)))) == 5
    assert await world.sql("SELECT 1 FROM attempts WHERE subject = convert_to('somebody', 'UTF8')") == []
