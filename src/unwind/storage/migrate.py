"""Brings a database to this program's schema: numbered plain SQL under an advisory lock, expand / contract only.

Alembic keeps the version; SQLAlchemy is used by it alone.
"""

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from unwind.domain.transitions import TABLE

MIGRATIONS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 0x756E77696E64


def migrate(owner_url: str) -> str:
    """Applies what is missing; returns the version the database is at. Safe to call from several processes at once."""
    config = _config(owner_url)
    with psycopg.connect(owner_url, autocommit=True) as guard:
        guard.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))
        command.upgrade(config, "head")
        with guard.transaction(), guard.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO allowed_move (from_state, event, to_state) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                [(state.value, event.value, target.value) for (state, event), target in TABLE.items()],
            )
    return current_version(owner_url)


def current_version(owner_url: str) -> str:
    engine = create_engine(_sqlalchemy_url(owner_url), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision() or ""
    finally:
        engine.dispose()


def newest_version() -> str:
    return ScriptDirectory.from_config(_config("")).get_current_head() or ""


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = _sqlalchemy_url(url)
    return config


def _sqlalchemy_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)
