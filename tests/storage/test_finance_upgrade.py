"""A database of the version before: what has been paid back says how, and when, as far as its history tells."""

from alembic import command
from psycopg import Connection, connect

from unwind.storage.embedded import EmbeddedPostgres
from unwind.storage.migrate import _config, migrate

PAID = "2026-03-01T00:00:00+00"
TOLD = "2026-03-02T00:00:00+00"


def furnish(conn: Connection) -> None:
    """One order with a refund of every sort: (part, payment, number, state, kind of its leg, code of its leg)."""
    conn.execute("INSERT INTO merchants (merchant_id, name) VALUES ('m', 'm')")
    conn.execute(
        "INSERT INTO orders (order_id, merchant_id, buyer_ref, currency, placed_at, released_stage, promise, shipping_minor, revision)"
        " VALUES ('O', 'm', 'b', 'CNY', now(), 'none', 'none', 0, 1)"
    )
    conn.execute(
        """
        INSERT INTO cases (case_id, kind, order_id, merchant_id, channel, state, event_seq, head, reason, stated_reason, tags, verdict, rule,
            policy_version, facts, priority, opened_at, next_check_at)
        VALUES ('C', 'cancellation', 'O', 'm', 'app', 'settling', 9, '', 'OTHER', 'OTHER', '{}', 'auto', 'x', 'x', '[]', 1, now(), now())
        """
    )
    conn.execute("INSERT INTO allowed_move VALUES ('settling', 'leg_recorded', 'settling') ON CONFLICT DO NOTHING")
    rows = [
        (1, "wx", 1, "final", "refund", "SUCCESS"),
        (2, "points", None, "final", "restore_benefit", ""),
        (3, "cash", None, "final", "refund", "by_hand"),
        (4, "found", None, "final", "refund", "adopted"),
        (5, "wx", 2, "adopted", "refund", ""),
        (6, "wx", 3, "sent", "refund", ""),
        (7, "", None, None, "compensate", "by_hand"),
    ]
    for payment_id in ("wx", "points", "cash", "found"):
        conn.execute(
            "INSERT INTO payments (payment_id, connection, trade_no, method, currency, state, funder, returns_as, captured_minor)"
            " VALUES (%s, 'c', %s, 'x', 'CNY', 'captured', 'buyer', 'cash', 100)",
            (payment_id, payment_id),
        )
    for part_no, payment_id, n, state, kind, code in rows:
        conn.execute(
            "INSERT INTO case_parts (case_id, part_no, kind, state, stage, verdict, rule, refund_on, returned_minor, completes_order)"
            " VALUES ('C', %s, 'unshipped', 'executing', 'none', 'auto', 'x', 'recall_confirmed', 1, false)",
            (part_no,),
        )
        is_final = state == "final" or kind == "compensate"
        conn.execute(
            "INSERT INTO legs (case_id, leg_no, part_no, kind, rank, is_local, state, target, amount_minor, code)"
            " VALUES ('C', %s, %s, %s, 30, false, %s, %s, 1, %s)",
            (part_no, part_no, kind, "succeeded" if is_final else "accepted", payment_id, code),
        )
        if state is not None:
            conn.execute(
                "INSERT INTO refunds (payment_id, order_id, case_id, part_no, n, refund_no, amount_minor, currency, state, sent_at,"
                " adopted_minor) VALUES (%s, 'O', 'C', %s, %s, %s, 1, 'CNY', %s, %s, %s)",
                (payment_id, part_no, n, n and f"R{n}", state, n and PAID, 1 if state == "adopted" else None),
            )
        if is_final:
            conn.execute(
                "INSERT INTO case_events (case_id, seq, at, from_state, event, to_state, actor, data, hash)"
                " VALUES ('C', %s, %s, 'settling', 'leg_recorded', 'settling', 'x', jsonb_build_object('leg', %s::int, 'state', 'succeeded'), '')",
                (part_no, TOLD, part_no),
            )


def test_what_was_paid_back_before_says_how_and_when(postgres: EmbeddedPostgres) -> None:
    postgres.create_database("before_finance")
    url = postgres.url_for(role="owner", database="before_finance")
    try:
        command.upgrade(_config(url), "0012")
        with connect(url, autocommit=True) as conn:
            furnish(conn)
        migrate(url)
        with connect(url) as conn:
            rows = conn.execute(
                "SELECT part_no, how, final_at = %s::timestamptz, final_at = %s::timestamptz FROM refunds ORDER BY part_no",
                (TOLD, PAID),
            ).fetchall()
            [ended] = conn.execute("SELECT ended_at = %s::timestamptz FROM legs WHERE kind = 'compensate'", (TOLD,))
        assert rows == [
            (1, "gateway", True, False),
            (2, "own_books", True, False),
            (3, "off_line", True, False),
            (4, "adopted", True, False),
            (5, "adopted", False, True),
            (6, "gateway", None, None),
        ]
        assert ended == (True,)
    finally:
        postgres.drop_database("before_finance")
