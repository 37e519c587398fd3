"""A database of the version before: keys go on working, revoked ones stay revoked, and leads may lead."""

from alembic import command

from unwind.domain.access import Scope
from unwind.storage.database import Database
from unwind.storage.embedded import EmbeddedPostgres
from unwind.storage.migrate import _config, migrate
from unwind.storage.principals import digest, find_principal


async def test_keys_survive_the_upgrade(postgres: EmbeddedPostgres) -> None:
    import psycopg

    postgres.create_database("before_sign_in")
    url = postgres.url_for(role="owner", database="before_sign_in")
    try:
        command.upgrade(_config(url), "0004")
        with psycopg.connect(url, autocommit=True) as conn:
            for name, role, scopes, revoked in (
                ("web", "integrator", ["orders:read", "orders:write"], False),
                ("lead", "lead", ["cases:read", "cases:decide"], False),
                ("gone", "agent", ["cases:read"], True),
            ):
                conn.execute(
                    "INSERT INTO principals (principal_id, key_hash, role, scopes, display_name, revoked_at)"
                    " VALUES (%s, %s, %s, %s, 'x', CASE WHEN %s THEN now() END)",
                    (name, digest(f"uk_{name}"), role, scopes, revoked),
                )
        migrate(url)
        database = Database(postgres.url_for(role="app", database="before_sign_in"), connections_max=1)
        await database.open()
        async with database.connection() as conn:
            web = await find_principal(conn, "uk_web")
            lead = await find_principal(conn, "uk_lead")
            assert await find_principal(conn, "uk_gone") is None
        await database.close()
        assert web is not None
        assert web.scopes == {Scope.ORDERS_READ, Scope.ORDERS_WRITE, Scope.STOCK_READ}
        assert lead is not None
        assert lead.scopes == {
            Scope.CASES_READ,
            Scope.CASES_DECIDE,
            Scope.DESK_READ,
            Scope.CASES_LEAD,
            Scope.CONTACTS_HANDLE,
        }
    finally:
        postgres.drop_database("before_sign_in")
