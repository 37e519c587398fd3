"""The whole ledger as one JSON document, for tests and for people."""

from typing import Any

from sandbox.world import World

Rows = list[dict[str, Any]]


def read_ledger(world: World, *, connection: str | None, trade_no: str | None) -> dict[str, Any]:
    """Trades with their refunds; per refund how often it was asked for and how often money moved."""

    def rows(query: str) -> Rows:
        """Only those of the connection that was asked for."""
        if connection is None:
            return [dict(row) for row in world.ledger.all(query)]
        filtered = f"SELECT * FROM ({query}) WHERE connection = ?"  # noqa: S608  queries of this file
        return [dict(row) for row in world.ledger.all(filtered, connection)]

    trades = rows("SELECT * FROM trades")
    refunds = rows("SELECT * FROM refunds ORDER BY accepted_at_ns")
    if trade_no is not None:
        trades = [trade for trade in trades if trade["trade_no"] == trade_no]
        refunds = [refund for refund in refunds if refund["trade_no"] == trade_no]
    calls = _count_calls(rows("SELECT connection, number, operation, count(*) AS calls FROM calls GROUP BY 1, 2, 3"))
    moves = _count_moves(
        rows("SELECT connection, refund_no, sum(amount_minor > 0) AS moves FROM money_moves GROUP BY 1, 2")
    )
    by_trade: dict[tuple[str, str], Rows] = {}
    for refund in refunds:
        key = (refund["connection"], refund["refund_no"])
        refund["calls"] = calls.get(key, {})
        refund["money_moved_times"] = moves.get(key, 0)
        by_trade.setdefault((refund["connection"], refund["trade_no"]), []).append(refund)
    for trade in trades:
        trade["refunds"] = by_trade.get((trade["connection"], trade["trade_no"]), [])
    return {
        "trades": trades,
        "outbound": rows("SELECT * FROM outbound"),
        "holds": rows("SELECT * FROM holds"),
        "waybills": rows("SELECT * FROM waybills"),
        "recalls": rows("SELECT * FROM recalls"),
        "messages": rows("SELECT * FROM messages ORDER BY at_ns"),
        "shop_requests": rows("SELECT * FROM shop_requests"),
        "callbacks": rows("SELECT event_id, connection, type, subject, state, attempts, last_status FROM callbacks"),
        "calls": rows(
            "SELECT connection, operation, status, code, fault, count(*) AS calls FROM calls GROUP BY 1, 2, 3, 4, 5"
        ),
        "connections": rows("SELECT * FROM connections"),
    }


def _count_calls(rows: Rows) -> dict[tuple[str, str], dict[str, int]]:
    counted: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows:
        counted.setdefault((row["connection"], row["number"]), {})[row["operation"]] = row["calls"]
    return counted


def _count_moves(rows: Rows) -> dict[tuple[str, str], int]:
    return {(row["connection"], row["refund_no"]): row["moves"] for row in rows}
