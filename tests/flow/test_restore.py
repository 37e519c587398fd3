"""Restoring yesterday's database while the gateway already holds today's refunds must not pay anybody twice."""

import asyncio
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from tests.world import World, line, payment
from unwind.storage.embedded import EmbeddedPostgres


def dump(postgres: EmbeddedPostgres, database: str, file: Path) -> None:
    url = postgres.url_for(role="owner", database=database)
    subprocess.run([postgres.bin("pg_dump"), "--format=custom", f"--file={file}", url], check=True)


async def restore(world: World, postgres: EmbeddedPostgres, file: Path) -> None:
    """Puts the copy back into the same database, as an operator would."""
    await world.services.database.close()
    url = world.owner_url
    await asyncio.to_thread(
        subprocess.run,
        [postgres.bin("pg_restore"), "--clean", "--if-exists", "--single-transaction", f"--dbname={url}", str(file)],
        check=True,
    )
    world.services.database.__init__(world.url, connections_max=20)  # type: ignore[misc]
    await world.services.database.open()


def name_of(world: World) -> str:
    return urlsplit(world.url).path.lstrip("/")


async def test_cases_asked_for_again_adopt_what_the_gateway_holds(
    world: World, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    """Two partial refunds and a whole one; asked for again in another order. 0 new refunds."""
    parts = await world.order(
        order_id="R1", lines=[line("L1", price=3000), line("L2", price=5000), line("L3", price=2000)]
    )
    whole = await world.order(
        order_id="R2",
        lines=[line(price=7000)],
        payments=[payment("R2", 4000), payment("R2", 3000, connection="alipay")],
    )
    dump(postgres, name_of(world), tmp_path / "yesterday")
    for order_id, lines in ((parts, {"L1": 1}), (parts, {"L2": 1}), (whole, None)):
        answer = await world.cancel(order_id, lines=lines)
        await world.run(until="archived", case_id=answer["case_id"])
    before = {r["refund_no"]: r["amount_minor"] for o in (parts, whole) for r in await world.refunds(o)}
    assert sorted(before.values()) == [3000, 3000, 4000, 5000]

    await restore(world, postgres, tmp_path / "yesterday")
    assert await world.sql("SELECT FROM cases") == []
    for order_id, lines in ((parts, {"L2": 1}), (whole, None), (parts, {"L1": 1})):
        answer = await world.cancel(order_id, lines=lines)
        await world.run(until="archived", case_id=answer["case_id"])
    after = [r for o in (parts, whole) for r in await world.refunds(o)]
    assert {r["refund_no"]: r["amount_minor"] for r in after} == before, "0 new refunds"
    assert all(r["money_moved_times"] == 1 and r["calls"]["payment.refund"] == 1 for r in after)

    answer = await world.cancel(parts)
    await world.run(until="archived", case_id=answer["case_id"])
    assert sum(r["amount_minor"] for r in await world.refunds(parts)) == 10000, "and the rest is still paid"
    assert (await world.violations())["violations"] == []
    from unwind.doctor import examine

    async with world.services.database.survey() as conn:
        assert await examine(conn, world.services.vault) == []


async def test_a_whole_refund_asked_again_after_a_part_was_paid_never_exceeds_what_was_captured(
    world: World, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    order_id = await world.order(order_id="R3", lines=[line("L1", price=3000), line("L2", price=7000)])
    dump(postgres, name_of(world), tmp_path / "yesterday")
    answer = await world.cancel(order_id, lines={"L1": 1})
    await world.run(until="archived", case_id=answer["case_id"])
    await restore(world, postgres, tmp_path / "yesterday")
    answer = await world.cancel(order_id)
    await world.run(until="archived", case_id=answer["case_id"])
    assert sorted(r["amount_minor"] for r in await world.refunds(order_id)) == [3000, 7000]
    row = (await world.sql("SELECT * FROM payments"))[0]
    assert row["final_minor"] + row["elsewhere_minor"] == row["captured_minor"] == 10000
