"""A database of the version before: cases that wait for a person keep the clocks they had."""

from alembic import command

from unwind.storage.embedded import EmbeddedPostgres
from unwind.storage.migrate import _config, migrate


def test_open_cases_get_their_clocks_on_upgrade(postgres: EmbeddedPostgres) -> None:
    import psycopg

    postgres.create_database("before_people")
    url = postgres.url_for(role="owner", database="before_people")
    try:
        command.upgrade(_config(url), "0003")
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("INSERT INTO merchants (merchant_id, name) VALUES ('m', 'm')")
            conn.execute(
                "INSERT INTO orders (order_id, merchant_id, buyer_ref, currency, placed_at, released_stage, promise, shipping_minor, revision)"
                " VALUES ('O', 'm', 'b', 'CNY', now(), 'none', 'none', 0, 1)"
            )
            for case_id, minutes, is_warned in (("calm", (10, 15), True), ("urgent", (2, 3), False)):
                conn.execute(
                    """
                    INSERT INTO cases (case_id, kind, order_id, merchant_id, channel, state, event_seq, head, reason, stated_reason, tags,
                        verdict, rule, policy_version, facts, priority, opened_at, respond_warn_at, respond_due_at, is_warned, next_check_at)
                    VALUES (%s, 'cancellation', 'O', 'm', 'app', 'review', 2, '', 'OTHER', 'OTHER', '{}', 'review', 'x', 'x', '[]', 1,
                        now(), now() + %s * interval '1 min', now() + %s * interval '1 min', %s, now())
                    """,
                    (case_id, *minutes, is_warned),
                )
        migrate(url)
        with psycopg.connect(url) as conn:
            rows = conn.execute(
                """
                SELECT case_id, is_urgent, respond_rung, respond_from = opened_at, resolve_from = opened_at, strike_at IS NOT NULL
                FROM case_clocks JOIN cases USING (case_id) ORDER BY case_id
                """
            ).fetchall()
        assert rows == [("calm", False, 2, True, True, True), ("urgent", True, 0, True, True, True)]
    finally:
        postgres.drop_database("before_people")
