"""The doctor finds every kind of damage, calls it by its name, and finds nothing where nothing is wrong.

Damage is planted by the owner of the tables inside a transaction that is rolled back, so that one furnished database serves all.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.world import World, line, shipment
from unwind.doctor import HALTING, Finding, examine, halt_broken_merchants
from unwind.domain.history import first_break
from unwind.domain.seal import GENESIS, event_hash
from unwind.flow.archive import anchor_archived
from unwind.storage import checks
from unwind.storage.database import to_json
from unwind.storage.embedded import EmbeddedPostgres


@dataclass(frozen=True, slots=True)
class Town:
    """One case of each sort: sealed and anchored, waiting for the gateway, in review; and a second anchored batch."""

    world: World
    names: dict[str, str]


@pytest.fixture(scope="module")
async def town(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    name = "t_doctor"
    postgres.create_database(name, template="template_unwind")
    folder: Path = tmp_path_factory.mktemp("doctor")
    async with AsyncExitStack() as stack:
        world = await World.open(stack, postgres=postgres, database=name, folder=folder)
        yield Town(world, await furnish(world))
    postgres.drop_database(name)


async def furnish(world: World) -> dict[str, str]:
    await world.ok("PUT", "/api/v1/stock", role="admin", json=[{"sku": "SKU-L1", "available": 20}])
    names: dict[str, str] = {}
    for sort in ("sealed", "later"):
        names[f"{sort}_order"] = await world.order()
        names[sort] = (await world.cancel(names[f"{sort}_order"]))["case_id"]
        await world.run(until="archived", case_id=names[sort])
        assert await anchor_archived(world.services) == 1
    await world.ask_sandbox("connections/wxpay", {"refund_mode": "stuck"})
    names["settling_order"] = await world.order(lines=[line(quantity=2)])
    names["settling"] = (await world.cancel(names["settling_order"]))["case_id"]
    names["review_order"] = await world.order(shipments=[shipment("S1")])
    names["review"] = (await world.cancel(names["review_order"]))["case_id"]
    await world.run(until="settling", case_id=names["settling"])
    await world.run(until="review", case_id=names["review"])
    return names


async def examined(town: Town, *statements: str) -> list[Finding]:
    """What the doctor says of the database as these statements leave it. `{sealed}` and the like are case and order ids."""
    async with await psycopg.AsyncConnection.connect(town.world.owner_url, row_factory=dict_row) as conn:
        for statement in statements:
            await conn.execute(statement.format(**town.names))
        findings = await examine(conn, town.world.services.vault)
        await conn.rollback()
    return findings


OPEN_HISTORY = "ALTER TABLE case_events DISABLE TRIGGER USER"
OPEN_REFUNDS = "ALTER TABLE refunds DISABLE TRIGGER USER"
OF_SEALED = "WHERE order_id = '{sealed_order}'"
PAYMENT_OF_SEALED = "WHERE payment_id IN (SELECT payment_id FROM order_payments WHERE order_id = '{sealed_order}')"
PAYMENT_OF_SETTLING = "WHERE payment_id IN (SELECT payment_id FROM order_payments WHERE order_id = '{settling_order}')"
PROPOSAL = (
    "INSERT INTO payout_proposals (proposal_id, case_id, leg_no, order_id, merchant_id, way, case_version, amount_minor, currency, proposed_by,"
    " proposed_at, expires_at, state, closed_at) SELECT 'P', case_id, leg_no, '{sealed_order}', 'shop', 'other_account', 1, 1, 'CNY', 'x',"
    " unwind_now(), unwind_now(), 'open', NULL FROM legs WHERE case_id = '{sealed}' LIMIT 1"
)

DAMAGES: list[tuple[str, str, tuple[str, ...]]] = [
    (
        "I1",
        "a balance that its refunds do not explain",
        (f"UPDATE payments SET captured_minor = 2000, reserved_minor = 1 {PAYMENT_OF_SEALED}",),
    ),
    (
        "I1",
        "sent money that no refund has",
        (f"UPDATE payments SET sent_minor = sent_minor - 1 {PAYMENT_OF_SETTLING}",),
    ),
    ("I1", "final money that is missing", (f"UPDATE payments SET final_minor = 0 {PAYMENT_OF_SEALED}",)),
    (
        "I1",
        "more than was captured",
        (
            "ALTER TABLE payments DROP CONSTRAINT never_more_than_captured",
            f"UPDATE payments SET elsewhere_minor = 1 {PAYMENT_OF_SEALED}",
        ),
    ),
    (
        "I1",
        "an adopted refund that is not booked as returned elsewhere",
        (
            (
                "INSERT INTO refunds (payment_id, order_id, amount_minor, currency, state, adopted_minor)"
                f" SELECT payment_id, order_id, 5, 'CNY', 'adopted', 5 FROM refunds {OF_SEALED}"
            ),
        ),
    ),
    (
        "I2",
        "a finished leg whose refund is not final",
        (
            f"UPDATE refunds SET state = 'sent' {OF_SEALED}",
            f"UPDATE payments SET sent_minor = final_minor, final_minor = 0 {PAYMENT_OF_SEALED}",
        ),
    ),
    (
        "I2",
        "a finished leg under another number",
        (("UPDATE legs SET number = 'OTHER' WHERE kind = 'refund' AND case_id = '{sealed}'"),),
    ),
    (
        "I2",
        "a finished leg of another amount",
        (("UPDATE legs SET amount_minor = 999 WHERE kind = 'refund' AND case_id = '{sealed}'"),),
    ),
    ("I2", "a number that the payment has not given yet", (f"UPDATE payments SET last_n = 0 {PAYMENT_OF_SEALED}",)),
    (
        "I4",
        "units in a bucket without a move",
        (("UPDATE order_lines SET shipped = 0, recalled = 1 WHERE order_id = '{review_order}'"),),
    ),
    (
        "I4",
        "units that do not add up",
        (
            "ALTER TABLE order_lines DROP CONSTRAINT stock_conserved",
            "UPDATE order_lines SET lost = 1 WHERE order_id = '{review_order}'",
        ),
    ),
    ("I4", "a pool that has more than its moves", ("UPDATE stock SET available = available + 1",)),
    (
        "I5",
        "a unit that is both refunded and delivered",
        (
            f"UPDATE order_lines SET restocked = 0, delivered = 1 {OF_SEALED}",
            (
                "INSERT INTO stock_moves (order_id, line_id, source, target, units, sku, location, pool, at)"
                " SELECT order_id, line_id, 'restocked', 'delivered', 1, sku, location, pool, unwind_now()"
                f" FROM order_lines {OF_SEALED}"
            ),
        ),
    ),
    (
        "I6",
        "a wake-up that nobody heard",
        (("UPDATE cases SET next_check_at = unwind_now() - interval '61 s' WHERE case_id = '{review}'"),),
    ),
    (
        "I6",
        "a lease whose holder is gone",
        (
            (
                "UPDATE cases SET next_check_at = unwind_now() - interval '200 s', lease_token = 1,"
                " lease_until = unwind_now() - interval '61 s' WHERE case_id = '{review}'"
            ),
        ),
    ),
    (
        "I6",
        "no wake-up at all",
        (
            "ALTER TABLE cases DROP CONSTRAINT open_means_woken",
            "UPDATE cases SET next_check_at = NULL WHERE case_id = '{review}'",
        ),
    ),
    (
        "I7",
        "a line held by a sealed case",
        (f"INSERT INTO open_lines SELECT order_id, line_id, case_id FROM case_lines {OF_SEALED}",),
    ),
    ("I7", "a line of an open case that nobody holds", ("DELETE FROM open_lines WHERE case_id = '{review}'",)),
    (
        "I8",
        "a case that stands elsewhere than its history",
        ("UPDATE cases SET state = 'settling' WHERE case_id = '{review}'",),
    ),
    (
        "I9",
        "an event told differently",
        (OPEN_HISTORY, "UPDATE case_events SET data = '{{}}' WHERE case_id = '{sealed}' AND seq = 2"),
    ),
    (
        "I9",
        "another actor",
        (OPEN_HISTORY, "UPDATE case_events SET actor = 'agent:x' WHERE case_id = '{sealed}' AND seq = 1"),
    ),
    (
        "I9",
        "another moment",
        (OPEN_HISTORY, "UPDATE case_events SET at = at + interval '1 us' WHERE case_id = '{settling}' AND seq = 3"),
    ),
    ("I9", "an event that is gone", (OPEN_HISTORY, "DELETE FROM case_events WHERE case_id = '{sealed}' AND seq = 3")),
    (
        "I9",
        "another hash",
        (OPEN_HISTORY, "UPDATE case_events SET hash = sha256('x') WHERE case_id = '{sealed}' AND seq = 2"),
    ),
    ("I9", "another signature", ("UPDATE anchors SET signature = sha256('x') WHERE batch_no = 2",)),
    (
        "I9",
        "a batch that is gone",
        ("DELETE FROM anchored_cases WHERE batch_no = 1", "DELETE FROM anchors WHERE batch_no = 1"),
    ),
    ("I9", "a batch that names another case", ("UPDATE anchors SET case_ids = ARRAY['{later}'] WHERE batch_no = 1",)),
    (
        "I12",
        "a buyer who was told too early",
        (
            (
                "INSERT INTO messages (message_id, case_id, order_id, audience, channel, fact, params, state)"
                " VALUES ('m', '{settling}', '{settling_order}', 'buyer', 'inbox', 'refund_done:1', '{{}}', 'sent')"
            ),
        ),
    ),
    (
        "I13",
        "a number that was sent and given up",
        (
            "UPDATE refunds SET state = 'released' WHERE order_id = '{settling_order}'",
            f"UPDATE payments SET sent_minor = 0 {PAYMENT_OF_SETTLING}",
        ),
    ),
    ("I14", "a refund in another currency", (OPEN_REFUNDS, f"UPDATE refunds SET currency = 'USD' {OF_SEALED}")),
    (
        "consent",
        "something kept that nobody agreed to",
        (
            "UPDATE case_parts SET kept_minor = 5 WHERE case_id = '{sealed}' AND part_no = 1",
            "UPDATE orders SET kept_minor = 5 WHERE order_id = '{sealed_order}'",
        ),
    ),
    (
        "consent",
        "something kept on an order that no part explains",
        ("UPDATE orders SET kept_minor = 5 WHERE order_id = '{sealed_order}'",),
    ),
    (
        "payouts",
        "an off-line refund that nobody proposed",
        (f"UPDATE refunds SET how = 'off_line' {OF_SEALED}",),
    ),
    (
        "payouts",
        "another account that one person agreed to alone",
        (
            "ALTER TABLE payout_proposals DROP CONSTRAINT two_people",
            PROPOSAL.replace("'open', NULL", "'agreed', unwind_now()"),
            "UPDATE payout_proposals SET closed_by = proposed_by",
        ),
    ),
    (
        "payouts",
        "an account that outlived its proposal",
        ("INSERT INTO private_data (order_id, field, ciphertext) VALUES ('{sealed_order}', 'payee.gone', '')",),
    ),
    (
        "parcels",
        "a parcel that left without its units",
        (("UPDATE shipment_lines SET left_units = 0 WHERE order_id = '{review_order}'"),),
    ),
    (
        "parcels",
        "units on the road in no parcel",
        (("UPDATE shipment_lines SET landed_units = quantity WHERE order_id = '{review_order}'"),),
    ),
    (
        "erasure",
        "a key that was made again",
        (
            (
                "INSERT INTO erasures (order_id, asked_by, asked_at, erase_at, erased_at)"
                " VALUES ('{sealed_order}', 'x', now(), now(), now())"
            ),
        ),
    ),
    (
        "archive",
        "a sealed case with an unfinished leg",
        (("UPDATE legs SET state = 'unknown' WHERE kind = 'release_stock' AND case_id = '{sealed}'"),),
    ),
]


async def test_a_healthy_database_has_no_findings(town: Town) -> None:
    assert await examined(town) == []
    states = {row["state"] for row in await town.world.sql("SELECT state FROM cases")}
    assert states == {"archived", "settling", "review"}, "the doctor had something to look at"


def test_every_check_has_its_damage() -> None:
    assert {invariant for invariant, _, _ in DAMAGES} == set(checks.CHECKS) | {"I9"}


@pytest.mark.parametrize(("invariant", "name", "statements"), DAMAGES, ids=[f"{i}: {name}" for i, name, _ in DAMAGES])
async def test_damage_is_found_and_called_by_its_name(
    town: Town, invariant: str, name: str, statements: tuple[str, ...]
) -> None:
    findings = await examined(town, *statements)
    assert {finding.invariant for finding in findings} == {invariant}, findings
    assert all(finding.subject and finding.promise for finding in findings)
    owners = {finding.merchant_id for finding in findings}
    assert owners == {"shop"} or "pool" in name or "batch" in name or "signature" in name


async def test_a_case_that_a_worker_holds_is_not_overdue(town: Town) -> None:
    held = (
        "UPDATE cases SET next_check_at = unwind_now() - interval '90 s', lease_token = 1,"
        " lease_until = unwind_now() - interval '1 s' WHERE case_id = '{review}'"
    )
    assert await examined(town, held) == []


async def test_a_history_without_its_last_events_is_found(town: Town) -> None:
    """Cut off at the end, the rest is still a chain; the head is not its last link."""
    cut = "DELETE FROM case_events e WHERE case_id = '{sealed}' AND seq = (SELECT event_seq FROM cases WHERE case_id = e.case_id)"
    findings = await examined(town, OPEN_HISTORY, cut)
    assert {f.invariant for f in findings} == {"I8", "I9"}
    assert any(f.subject.endswith("event head") for f in findings)


async def test_a_history_that_was_forged_whole_is_found_by_its_anchor(town: Town) -> None:
    """Every hash computed anew, the head as well: the chain is sound, and it is not the one that was signed."""
    case_id = town.names["sealed"]
    async with await psycopg.AsyncConnection.connect(town.world.owner_url, row_factory=dict_row) as conn:
        await conn.execute(OPEN_HISTORY)
        cursor = await conn.execute("SELECT * FROM case_events WHERE case_id = %s ORDER BY seq", (case_id,))
        events = forge(await cursor.fetchall())
        assert first_break(case_id, events) is None
        for event in events:
            await conn.execute(
                "UPDATE case_events SET data = %s::jsonb, hash = %s WHERE case_id = %s AND seq = %s",
                (to_json(event["data"]), event["hash"], case_id, event["seq"]),
            )
        await conn.execute("UPDATE cases SET head = %s WHERE case_id = %s", (events[-1]["hash"], case_id))
        findings = await examine(conn, town.world.services.vault)
        await conn.rollback()
    assert [(f.invariant, f.subject) for f in findings] == [("I9", "anchor batch 1")]


def forge(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    events[1]["data"] = {**events[1]["data"], "rule": "by_stage_forged"}
    head = GENESIS
    for event in events:
        at: datetime = event["at"]
        head = event_hash(
            head,
            case_id=event["case_id"],
            seq=event["seq"],
            at=at,
            move=(event["from_state"], event["event"], event["to_state"]),
            actor=event["actor"],
            data=event["data"],
        )
        event["hash"] = head
    return events


@pytest.mark.parametrize("invariant", sorted(HALTING))
async def test_broken_money_halts_refunds_and_never_the_intake(world: World, invariant: str) -> None:
    await world.put_merchant("sound")
    case_id = (await world.cancel(await world.order()))["case_id"]
    await world.run(until="archived", case_id=case_id)
    open_id = (await world.cancel(await world.order(shipments=[shipment("S1")])))["case_id"]
    await world.run(until="review", case_id=open_id)
    await halt_broken_merchants(world.services)
    assert await world.sql("SELECT FROM merchants WHERE halted_at IS NOT NULL") == [], "healthy: nobody is halted"

    damage = {
        "I1": ("UPDATE payments SET final_minor = final_minor - 1 WHERE final_minor > 0",),
        "I2": ("UPDATE payments SET last_n = 0",),
        "I4": ("UPDATE order_lines SET shipped = 0, held = 1 WHERE shipped = 1",),
        "I6": ("UPDATE cases SET next_check_at = unwind_now() - interval '5 min' WHERE state = 'review'",),
        "I9": (OPEN_HISTORY, "UPDATE case_events SET actor = 'x' WHERE seq = 1"),
    }
    for statement in damage[invariant]:
        await world.sql(statement)
    await halt_broken_merchants(world.services)
    halted = await world.sql("SELECT merchant_id, halted_at FROM merchants WHERE halted_at IS NOT NULL")
    assert [row["merchant_id"] for row in halted] == ["shop"], "the other merchant goes on"

    paid = await world.order()
    answer = await world.cancel(paid)
    assert (answer["outcome"], answer["rule"]) == ("in_review", "merchant_halted")
    await world.run()
    assert await world.refunds(paid) == []
    elsewhere = await world.cancel(await world.order(merchant_id="sound"))
    assert elsewhere["outcome"] == "cancelling"
    await world.pass_time(timedelta(minutes=5))
    await halt_broken_merchants(world.services)
    again = await world.sql("SELECT halted_at FROM merchants WHERE merchant_id = 'shop'")
    assert again[0]["halted_at"] == halted[0]["halted_at"], "the first moment stays"


@pytest.mark.parametrize("invariant", sorted(set(checks.CHECKS) - HALTING))
def test_other_findings_do_not_stop_refunds(invariant: str) -> None:
    assert invariant in {"I5", "I7", "I8", "I12", "I13", "I14", "archive", "consent", "erasure", "parcels", "payouts"}


async def test_a_refund_that_was_planned_before_the_halt_does_not_leave_after_it(world: World) -> None:
    order_id = await world.order(released_stage="picking", wms={"behaviour": "pending_then_cancel", "delay_s": 3_600})
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run()
    await world.sql("UPDATE merchants SET halted_at = unwind_now() WHERE merchant_id = 'shop'")
    for _ in range(10):
        await world.ask_sandbox("callbacks/hurry", {})
        await world.run()
        await world.pass_time(timedelta(seconds=5))
    held = await world.sql("SELECT state FROM legs WHERE case_id = %s AND kind = 'hold_shipment'", case_id)
    assert held == [{"state": "succeeded"}]
    assert await world.refunds(order_id) == []
