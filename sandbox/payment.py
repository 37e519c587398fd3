"""The payment gateway: trades, refunds, the merchant's balance.

A number is for ever: the same refund number answers the same refund, whatever happened to trade or balance since.
"""

import hashlib
import sqlite3
from collections.abc import Mapping
from typing import Any

from sandbox.answers import Answer, Call, RefusalError, read_amount, read_text
from sandbox.world import World, order_ns

HOLDS_MONEY = "('PROCESSING', 'SUCCESS', 'ABNORMAL')"
REVERSED_AFTER_S = 3600.0

EVENT_OF_STATUS = {"SUCCESS": "refund.succeeded", "CLOSED": "refund.closed", "ABNORMAL": "refund.abnormal"}


def refund(world: World, call: Call) -> Answer:
    trade_no, refund_no = read_text(call.body, "trade_no"), read_text(call.body, "refund_no")
    amount_minor, total_minor = read_amount(call.body, "amount_minor"), read_amount(call.body, "total_minor")
    currency = read_text(call.body, "currency")
    read_text(call.body, "reason", required=False)
    detail = read_text(call.body, "detail", required=False)
    found = find_refund(world, call.connection, refund_no)
    if found is not None:
        known = (found["trade_no"], found["amount_minor"], found["currency"], found["detail"])
        if known != (trade_no, amount_minor, currency, detail):
            raise RefusalError(409, "NUMBER_REUSED", "this refund_no belongs to another refund")
        return refund_answer(found)
    trade = find_trade(world, call.connection, trade_no)
    if (total_minor, currency) != (trade["amount_minor"], trade["currency"]):
        raise RefusalError(400, "PARAM_ERROR", "total_minor or currency is not that of the trade")
    accept_refund(world, trade, refund_no, amount_minor, made_by="api", detail=detail)
    plan_final_state(world, call, refund_no)
    made = find_refund(world, call.connection, refund_no)
    if made is None:
        raise RefusalError(500, "SYSTEM_ERROR")
    return refund_answer(made)


def plan_final_state(world: World, call: Call, refund_no: str) -> None:
    """Final at once, later or never: as the connection is set, unless a fault was dialled for this call."""
    mode = find_connection(world, call.connection)
    if call.fault is not None and call.is_fault("reversed_later"):
        delay_s = REVERSED_AFTER_S if call.fault.seconds is None else call.fault.seconds
        world.ledger.run(
            "UPDATE refunds SET reverse_after_s = ? WHERE connection = ? AND refund_no = ?",
            *(delay_s, call.connection, refund_no),
        )
    final_after_s: float | None = {"final": 0.0, "delayed": mode["refund_delay_s"], "stuck": None}[mode["refund_mode"]]
    if call.fault is not None and call.is_fault("stays_processing"):
        final_after_s = call.fault.seconds
    if final_after_s == 0:
        settle_refund(world, call.connection, refund_no, mode["refund_final"])
    elif final_after_s is not None:
        world.later(
            "refund_final",
            delay_s=final_after_s,
            connection=call.connection,
            subject=refund_no,
            status=mode["refund_final"],
        )


def query_refund(world: World, call: Call) -> Answer:
    trade_no, refund_no = read_text(call.body, "trade_no"), read_text(call.body, "refund_no")
    found = find_refund(world, call.connection, refund_no)
    if found is None or found["trade_no"] != trade_no:
        raise RefusalError(404, "NOT_FOUND")
    return refund_answer(found)


def refund_elsewhere(world: World, call: Call) -> Answer:
    """An abnormal refund goes to another account: under way again, and final at once. Asked again, it is what it is."""
    refund_no = read_text(call.body, "refund_no")
    found = find_refund(world, call.connection, refund_no)
    if found is None:
        raise RefusalError(404, "NOT_FOUND")
    if found["status"] == "ABNORMAL":
        change_balance(world, call.connection, -found["amount_minor"])
        world.ledger.run(
            "UPDATE refunds SET status = 'PROCESSING', final_at = NULL WHERE connection = ? AND refund_no = ?",
            *(call.connection, refund_no),
        )
        settle_refund(world, call.connection, refund_no, "SUCCESS")
    elif found["status"] == "CLOSED":
        raise RefusalError(403, "NOT_ABNORMAL")
    return query_refund(world, call)


def close_trade(world: World, call: Call) -> Answer:
    trade = find_trade(world, call.connection, read_text(call.body, "trade_no"))
    state = "PAID" if trade["state"] == "PAID" else "CLOSED"
    world.ledger.run(
        "UPDATE trades SET state = ? WHERE connection = ? AND trade_no = ?", state, call.connection, trade["trade_no"]
    )
    return Answer(status=200, body={"trade_no": trade["trade_no"], "state": state})


def query_trade(world: World, call: Call) -> Answer:
    trade = find_trade(world, call.connection, read_text(call.body, "trade_no"))
    refunded_minor = world.ledger.number(
        "SELECT sum(amount_minor) FROM money_moves WHERE connection = ? AND trade_no = ?",
        *(call.connection, trade["trade_no"]),
    )
    shown = {name: trade[name] for name in ("trade_no", "state", "amount_minor", "currency")}
    return Answer(status=200, body={**shown, "refunded_minor": refunded_minor})


def tell_balance(world: World, call: Call) -> Answer:
    """One that is never short keeps no account to ask about."""
    currency = read_text(call.body, "currency")
    balance_minor = find_connection(world, call.connection)["balance_minor"]
    if balance_minor is None:
        raise RefusalError(404, "NOT_FOUND")
    return Answer(status=200, body={"currency": currency, "balance_minor": balance_minor})


def accept_refund(
    world: World, trade: sqlite3.Row, refund_no: str, amount_minor: int, *, made_by: str, detail: str = ""
) -> None:
    """Books a new refund as PROCESSING, or says why not."""
    connection, trade_no = trade["connection"], trade["trade_no"]
    if trade["state"] != "PAID":
        raise RefusalError(403, "TRADE_CLOSED" if trade["state"] == "CLOSED" else "NOT_PAID")
    taken_minor = world.ledger.number(
        f"SELECT sum(amount_minor) FROM refunds WHERE connection = ? AND trade_no = ? AND status IN {HOLDS_MONEY}",  # noqa: S608
        *(connection, trade_no),
    )
    if taken_minor + amount_minor > trade["amount_minor"]:
        raise RefusalError(403, "OVER_REFUND")
    modes = find_connection(world, connection)
    if made_by == "api" and _is_too_soon(world, trade, modes["refund_spacing_s"]):
        raise RefusalError(429, "RATE_LIMITED", "too soon after the last refund of this trade")
    balance_minor = modes["balance_minor"]
    if balance_minor is not None and balance_minor < amount_minor:
        raise RefusalError(403, "NOT_ENOUGH")
    change_balance(world, connection, -amount_minor)
    reference = "rf_" + hashlib.sha256(f"{connection}/{refund_no}".encode()).hexdigest()[:20]
    world.ledger.run(
        "INSERT INTO refunds (connection, refund_no, trade_no, amount_minor, currency, status, reference, made_by,"
        " accepted_at_ns, detail) VALUES (?, ?, ?, ?, ?, 'PROCESSING', ?, ?, ?, ?)",
        *(connection, refund_no, trade_no, amount_minor, trade["currency"], reference, made_by, order_ns(), detail),
    )


def settle_refund(world: World, connection: str, refund_no: str, status: str) -> bool:
    """Moves a refund to its final state, once. False when that move is not possible from where it stands."""
    found = find_refund(world, connection, refund_no)
    needed = "SUCCESS" if status == "REVERSED" else "PROCESSING"
    if found is None or found["status"] != needed:
        return False
    amount_minor = found["amount_minor"]
    stored = "ABNORMAL" if status == "REVERSED" else status
    world.ledger.run(
        "UPDATE refunds SET status = ?, final_at = ? WHERE connection = ? AND refund_no = ?",
        *(stored, world.instant(), connection, refund_no),
    )
    if status in {"SUCCESS", "REVERSED"}:
        moved_minor = amount_minor if status == "SUCCESS" else -amount_minor
        world.ledger.run(
            "INSERT INTO money_moves (connection, refund_no, trade_no, amount_minor, at_ns) VALUES (?, ?, ?, ?, ?)",
            *(connection, refund_no, found["trade_no"], moved_minor, order_ns()),
        )
    if status != "SUCCESS":
        change_balance(world, connection, amount_minor)
    data = {name: found[name] for name in ("trade_no", "refund_no", "amount_minor", "currency")}
    event_type = EVENT_OF_STATUS.get(status, "refund.reversed")
    world.emit(connection, event_type, subject=refund_no, data={**data, "status": stored})
    if status == "SUCCESS" and found["reverse_after_s"] is not None:
        world.later(
            "refund_final",
            delay_s=found["reverse_after_s"],
            connection=connection,
            subject=refund_no,
            status="REVERSED",
        )
    return True


def pay_trade(world: World, connection: str, trade_no: str) -> str:
    """The buyer pays. Also possible for a trade that the gateway did not know yet; never for a closed one."""
    query = "SELECT * FROM trades WHERE connection = ? AND trade_no = ?"
    trade = world.ledger.one(query, connection, trade_no)
    if trade is None:
        raise RefusalError(404, "NOT_FOUND")
    if trade["state"] == "CLOSED":
        raise RefusalError(409, "TRADE_CLOSED")
    if trade["state"] != "PAID":
        world.ledger.run(
            "UPDATE trades SET state = 'PAID', paid_at = ? WHERE connection = ? AND trade_no = ?",
            *(world.now(), connection, trade_no),
        )
        data = {name: trade[name] for name in ("trade_no", "amount_minor", "currency")}
        world.emit(connection, "trade.paid", subject=trade_no, data=data)
    return "PAID"


def paid_at(world: World, state: str, given: float | None) -> float | None:
    """When a trade that is made in this state was paid; NULL for one that was not."""
    return None if state != "PAID" else world.now() if given is None else given


def _is_too_soon(world: World, trade: sqlite3.Row, spacing_s: float) -> bool:
    last_ns = world.ledger.number(
        "SELECT max(accepted_at_ns) FROM refunds WHERE connection = ? AND trade_no = ?",
        *(trade["connection"], trade["trade_no"]),
    )
    return bool(spacing_s) and last_ns > 0 and order_ns() - last_ns < world.scaled(spacing_s) * 1e9


def find_trade(world: World, connection: str, trade_no: str) -> sqlite3.Row:
    trade = world.ledger.one("SELECT * FROM trades WHERE connection = ? AND trade_no = ?", connection, trade_no)
    if trade is None or trade["state"] == "NONE":
        raise RefusalError(404, "NOT_FOUND")
    return trade


def find_refund(world: World, connection: str, refund_no: str) -> sqlite3.Row | None:
    return world.ledger.one("SELECT * FROM refunds WHERE connection = ? AND refund_no = ?", connection, refund_no)


def find_connection(world: World, connection: str) -> sqlite3.Row:
    world.ledger.run("INSERT INTO connections (connection) VALUES (?) ON CONFLICT DO NOTHING", connection)
    found = world.ledger.one("SELECT * FROM connections WHERE connection = ?", connection)
    if found is None:
        raise RefusalError(500, "SYSTEM_ERROR")
    return found


def change_balance(world: World, connection: str, by_minor: int) -> None:
    world.ledger.run(
        "UPDATE connections SET balance_minor = balance_minor + ? WHERE connection = ?", by_minor, connection
    )


def refund_answer(found: sqlite3.Row) -> Answer:
    names = ("refund_no", "trade_no", "amount_minor", "currency", "status", "reference")
    body: dict[str, Any] = {name: found[name] for name in names}
    if found["final_at"] is not None:
        body["final_at"] = found["final_at"]
    return Answer(status=200, body=body, subject=found["refund_no"])


def _refund_becomes_final(world: World, connection: str, refund_no: str, detail: Mapping[str, Any]) -> None:
    settle_refund(world, connection, refund_no, detail["status"])


def register(world: World) -> None:
    world.register("refund_final", _refund_becomes_final)
