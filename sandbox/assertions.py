"""What must never have happened, read from the ledger alone: the outside world's own view of the other side's promises."""

from collections.abc import Iterator
from typing import Any

from sandbox.world import World

Finding = dict[str, Any]


def find_violations(world: World) -> list[Finding]:
    return [
        *_money_moved_twice(world),
        *_refunded_more_than_paid(world),
        *_numbers_reused(world),
        *_refunded_before_answer(world),
    ]


def find_suspicions(world: World) -> list[Finding]:
    """Not wrong by themselves: two numbers of one trade moved the same amount."""
    rows = world.ledger.all(
        "SELECT connection, trade_no, amount_minor, count(DISTINCT refund_no) AS numbers FROM money_moves"
        " WHERE amount_minor > 0 GROUP BY connection, trade_no, amount_minor HAVING numbers > 1"
    )
    return [{"kind": "same_amount_under_two_numbers", **dict(row)} for row in rows]


def _money_moved_twice(world: World) -> Iterator[Finding]:
    rows = world.ledger.all(
        "SELECT connection, refund_no, sum(CASE WHEN amount_minor > 0 THEN 1 ELSE -1 END) AS times FROM money_moves"
        " GROUP BY connection, refund_no HAVING times > 1"
    )
    for row in rows:
        yield {"kind": "money_moved_twice", **dict(row)}


def _refunded_more_than_paid(world: World) -> Iterator[Finding]:
    rows = world.ledger.all(
        "SELECT m.connection, m.trade_no, sum(m.amount_minor) AS refunded_minor, t.amount_minor AS paid_minor"
        " FROM money_moves m LEFT JOIN trades t ON t.connection = m.connection AND t.trade_no = m.trade_no"
        " GROUP BY m.connection, m.trade_no HAVING refunded_minor > coalesce(paid_minor, 0)"
    )
    for row in rows:
        yield {"kind": "refunded_more_than_paid", **dict(row)}


def _numbers_reused(world: World) -> Iterator[Finding]:
    rows = world.ledger.all(
        "SELECT connection, number, count(*) AS times FROM calls WHERE operation = 'payment.refund'"
        " AND code = 'NUMBER_REUSED' GROUP BY connection, number"
    )
    for row in rows:
        yield {"kind": "refund_number_with_other_amount", **dict(row)}


def _refunded_before_answer(world: World) -> Iterator[Finding]:
    """The trade's order is at a warehouse, and money was asked for before any hold or recall of it had an answer."""
    rows = world.ledger.all(
        "SELECT DISTINCT r.connection, r.refund_no, t.order_no FROM refunds r"
        " JOIN trades t ON t.connection = r.connection AND t.trade_no = r.trade_no"
        " JOIN outbound o ON o.order_no = t.order_no AND o.order_no <> ''"
        " WHERE r.made_by = 'api'"
        " AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.order_no = t.order_no AND h.answered_at_ns <= r.accepted_at_ns)"
        " AND NOT EXISTS (SELECT 1 FROM recalls c WHERE c.order_no = t.order_no AND c.answered_at_ns <= r.accepted_at_ns)"
    )
    for row in rows:
        yield {"kind": "refund_before_hold_answered", **dict(row)}
