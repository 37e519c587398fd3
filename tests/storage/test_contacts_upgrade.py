"""A database of the version before: keys go on doing what they did, and people of old orders are found again."""

import psycopg
from alembic import command

from unwind.storage.embedded import EmbeddedPostgres
from unwind.storage.migrate import _config, migrate


def test_keys_and_indexes_survive_the_upgrade(postgres: EmbeddedPostgres) -> None:
    postgres.create_database("before_contacts")
    url = postgres.url_for(role="owner", database="before_contacts")
    try:
        command.upgrade(_config(url), "0004")
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("INSERT INTO merchants (merchant_id, name) VALUES ('m', 'm')")
            for name, role, scopes in (
                ("ann", "agent", ["cases:read", "cases:decide"]),
                ("reader", "agent", ["cases:read"]),
                ("shop", "integrator", ["orders:write", "cases:request"]),
                ("seller", "merchant", ["cases:read"]),
                ("stray", "merchant", ["cases:read"]),
                ("bench", "warehouse", ["tasks:answer"]),
            ):
                conn.execute(
                    "INSERT INTO principals (principal_id, key_hash, role, scopes, display_name, merchant_id) VALUES (%s, %s, %s, %s, '', %s)",
                    (name, name.encode(), role, scopes, "m" if name == "seller" else None),
                )
            conn.execute(
                "INSERT INTO orders (order_id, merchant_id, buyer_ref, currency, placed_at, released_stage, promise, shipping_minor, revision)"
                " VALUES ('O', 'm', 'b', 'CNY', now(), 'none', 'none', 0, 1)"
            )
            conn.execute("INSERT INTO blind_index (kind, digest, order_id) VALUES ('phone', 'x', 'O')")
        migrate(url)
        with psycopg.connect(url) as conn:
            rows = conn.execute("SELECT principal_id, scopes FROM principals").fetchall()
            added = {name: set(scopes) & {"contacts:handle", "cases:cancel_own"} for name, scopes in rows}
            behind = conn.execute("SELECT count(*) FROM blind_index WHERE at IS NULL").fetchone()
        assert added == {
            "ann": {"contacts:handle"},
            "reader": set(),
            "shop": {"cases:cancel_own"},
            "seller": {"cases:cancel_own"},
            "stray": set(),
            "bench": set(),
        }
        assert behind == (1,), "left for the worker"
    finally:
        postgres.drop_database("before_contacts")
