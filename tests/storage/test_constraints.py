"""The database itself refuses what must never be: by check, key, trigger and right, whatever a program asks of it."""

from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.world import World, line
from unwind.domain.refund_split import RefundShare
from unwind.domain.transitions import TABLE
from unwind.storage import money

NEW_REFUND = """
INSERT INTO refunds (payment_id, order_id, case_id, part_no, n, refund_no, amount_minor, currency, state)
SELECT payment_id, order_id, case_id, {part_no}, {n}, {refund_no}, {amount}, currency, {state} FROM refunds
"""


def new_refund(
    *, n: str = "9", refund_no: str = "'OTHER'", state: str = "'sent'", part_no: str = "9", amount: str = "1"
) -> str:
    return NEW_REFUND.format(n=n, refund_no=refund_no, state=state, part_no=part_no, amount=amount)


async def as_app(world: World, statement: str) -> None:
    async with await psycopg.AsyncConnection.connect(world.url, autocommit=True) as conn:
        await conn.execute(statement)


async def refuses(world: World, error: type[Exception], statement: str, *, match: str | None = None) -> None:
    """To the owner and to the program alike."""
    for ask in (world.sql, lambda text: as_app(world, text)):
        with pytest.raises(error, match=match):
            await ask(statement)


async def a_finished_case(world: World) -> dict[str, Any]:
    order_id = await world.order(lines=[line(price=500, quantity=2)])
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run(until="archived", case_id=case_id)
    return {"order_id": order_id, "case_id": case_id}


async def test_never_more_than_captured(world: World) -> None:
    """I1."""
    await world.cancel(await world.order())
    assert await world.sql("SELECT reserved_minor, captured_minor FROM payments") == [
        {"reserved_minor": 1000, "captured_minor": 1000}
    ]
    for column in ("reserved_minor", "sent_minor", "final_minor", "elsewhere_minor"):
        await refuses(
            world, errors.CheckViolation, f"UPDATE payments SET {column} = {column} + 1", match="never_more_than"
        )
        await refuses(world, errors.CheckViolation, f"UPDATE payments SET {column} = -1")
    await refuses(world, errors.CheckViolation, "UPDATE payments SET captured_minor = 999", match="never_more_than")


async def test_money_cannot_be_set_aside_twice(world: World) -> None:
    """I1, through the program's own statement: the whole transaction is gone."""
    order_id = await world.order()
    payment_id = (await world.sql("SELECT payment_id FROM payments"))[0]["payment_id"]
    case_id = (await world.cancel(order_id))["case_id"]
    with pytest.raises(errors.CheckViolation):
        async with world.services.database.transaction() as conn:
            await money.reserve_refunds(
                conn,
                order_id=order_id,
                case_id=case_id,
                part_no=2,
                currency="CNY",
                shares=[RefundShare(payment_id=payment_id, amount_minor=1)],
            )
    assert await world.sql("SELECT amount_minor FROM refunds") == [{"amount_minor": 1000}]


async def test_one_number_one_n_one_live_refund_per_part(world: World) -> None:
    """I2."""
    await a_finished_case(world)
    unique = errors.UniqueViolation
    await refuses(world, unique, new_refund(refund_no="refund_no"), match="refunds_refund_no_key")
    await refuses(world, unique, new_refund(n="n"), match="refunds_payment_id_n_key")
    for state in ("reserved", "sent", "final"):
        statement = new_refund(part_no="part_no", state=f"'{state}'", n="NULL", refund_no="NULL")
        await refuses(world, unique, statement, match="one_refund_per_part")
    for state in ("dead", "released", "adopted", "assigned"):
        await as_app(world, new_refund(part_no="part_no", state=f"'{state}'", n="NULL", refund_no="NULL"))


async def test_the_intent_of_a_refund_never_changes(world: World) -> None:
    """I3."""
    await a_finished_case(world)
    for change in (
        "amount_minor = amount_minor - 1",
        "currency = 'USD'",
        "payment_id = 'P-other'",
        "refund_no = 'OTHER'",
        "refund_no = NULL",
        "n = n + 1",
        "n = NULL",
    ):
        await refuses(world, errors.RaiseException, f"UPDATE refunds SET {change}", match="I3")
    await as_app(world, "UPDATE refunds SET state = state, amount_minor = amount_minor")
    await refuses(world, errors.CheckViolation, new_refund(amount="0"))
    await refuses(world, errors.CheckViolation, new_refund(state="'failed'"))


async def test_units_add_up_and_are_never_negative(world: World) -> None:
    """I4."""
    await world.ok("PUT", "/api/v1/stock", role="admin", json=[{"sku": "SKU-L1", "available": 5}])
    await world.order(lines=[line(quantity=2)])
    for change in ("reserved = reserved - 1", "held = 1", "quantity = 3", "delivered = 2"):
        await refuses(world, errors.CheckViolation, f"UPDATE order_lines SET {change}", match="stock_conserved")
    for bucket in ("held", "shipped", "recalled", "quarantine", "restocked", "lost", "delivered"):
        await refuses(
            world, errors.CheckViolation, f"UPDATE order_lines SET reserved = 3, {bucket} = -1", match=f"{bucket}_check"
        )
    await refuses(world, errors.CheckViolation, "UPDATE order_lines SET taken_units = 3")
    await refuses(world, errors.CheckViolation, "UPDATE order_lines SET taken_units = -1")
    await refuses(world, errors.CheckViolation, "UPDATE stock SET available = -1")
    await refuses(
        world,
        errors.CheckViolation,
        "INSERT INTO stock_moves (order_id, line_id, source, target, units, sku, location, pool, at)"
        " VALUES ('', '', 'free', 'counted', 0, 'S', 'main', 'normal', unwind_now())",
    )


async def test_an_open_case_always_has_a_wake_up_and_a_sealed_one_never(world: World) -> None:
    """I6."""
    sealed = await a_finished_case(world)
    await world.cancel(await world.order(lines=[line(price=600_000)]))
    still_open = f"case_id <> '{sealed['case_id']}'"
    match = "open_means_woken"
    await refuses(
        world, errors.CheckViolation, f"UPDATE cases SET next_check_at = NULL WHERE {still_open}", match=match
    )
    await refuses(
        world,
        errors.CheckViolation,
        f"UPDATE cases SET next_check_at = unwind_now() WHERE NOT {still_open}",
        match=match,
    )
    await refuses(
        world,
        errors.CheckViolation,
        f"UPDATE cases SET state = 'archived', next_check_at = NULL WHERE {still_open}",
        match="archived_means_closed",
    )


async def test_one_open_case_per_line(world: World) -> None:
    """I7."""
    sealed = await a_finished_case(world)
    await world.cancel(await world.order(lines=[line(price=600_000)]))
    await refuses(
        world,
        errors.UniqueViolation,
        f"INSERT INTO open_lines SELECT order_id, line_id, '{sealed['case_id']}' FROM open_lines",
        match="open_lines_pkey",
    )


async def test_only_moves_of_the_table_are_history(world: World) -> None:
    """I8."""
    sealed = await a_finished_case(world)
    moves = await world.sql("SELECT from_state, event, to_state FROM allowed_move")
    assert {tuple(move.values()) for move in moves} == {
        (state.value, event.value, target.value) for (state, event), target in TABLE.items()
    }
    for move in (
        ("archived", "approved", "executing"),
        ("review", "approved", "archived"),
        ("review", "guessed", "review"),
    ):
        await refuses(
            world,
            errors.ForeignKeyViolation,
            "INSERT INTO case_events (case_id, seq, at, from_state, event, to_state, actor, data, hash)"
            f" VALUES ('{sealed['case_id']}', 99, unwind_now(), '{move[0]}', '{move[1]}', '{move[2]}', 'x', '{{}}', '')",
        )


async def test_history_is_append_only_even_for_the_owner(world: World) -> None:
    """I9."""
    await a_finished_case(world)
    for table, column in (("case_events", "actor"), ("stock_moves", "sku")):
        for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
            with pytest.raises(errors.RaiseException, match="append-only"):
                await world.sql(statement)


@pytest.mark.parametrize("table", ["case_events", "stock_moves"])
async def test_history_is_not_emptied_even_by_the_owner(world: World, table: str) -> None:
    """I9."""
    await a_finished_case(world)
    with pytest.raises(errors.RaiseException, match="append-only"):
        await world.sql(f"TRUNCATE {table}")


async def test_the_program_has_no_right_to_rewrite_history_or_the_rules(world: World) -> None:
    """I9, I8."""
    from unwind.flow.archive import anchor_archived

    await a_finished_case(world)
    assert await anchor_archived(world.services) == 1
    denied = errors.InsufficientPrivilege
    for table in ("case_events", "stock_moves", "anchors", "anchored_cases"):
        column = {"case_events": "actor", "stock_moves": "sku", "anchors": "at", "anchored_cases": "batch_no"}[table]
        for statement in (
            f"UPDATE {table} SET {column} = {column}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table} CASCADE",
            f"ALTER TABLE {table} DISABLE TRIGGER ALL",
            f"DROP TABLE {table} CASCADE",
        ):
            with pytest.raises(denied):
                await as_app(world, statement)
    for statement in (
        "INSERT INTO allowed_move VALUES ('archived', 'approved', 'executing')",
        "UPDATE allowed_move SET to_state = 'archived'",
        "DELETE FROM allowed_move",
        "CREATE TABLE mine (id integer)",
        "SET session_replication_role = replica",
    ):
        with pytest.raises(denied):
            await as_app(world, statement)


async def test_one_fact_is_told_once_and_one_callback_is_kept_once(world: World) -> None:
    """I11, I12."""
    await a_finished_case(world)
    await refuses(
        world,
        errors.UniqueViolation,
        "INSERT INTO messages (message_id, case_id, order_id, audience, channel, fact, params, state)"
        " SELECT 'again', case_id, order_id, audience, channel, fact, params, 'due' FROM messages",
    )
    keep = (
        "INSERT INTO callback_inbox (connection, event_id, kind, received_at, data)"
        " VALUES ('wxpay', 'e1', 'refund.succeeded', unwind_now(), '{}')"
    )
    await as_app(world, keep)
    await refuses(world, errors.UniqueViolation, keep)
