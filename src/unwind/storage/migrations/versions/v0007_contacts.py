"""Contacts: look-up, identity, calls, promises, hand-overs."""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    sql = (Path(__file__).parent.parent / "sql" / "0007_contacts.sql").read_text(encoding="utf-8")
    connection = op.get_bind().connection.driver_connection
    assert connection is not None  # noqa: S101 - Alembic runs online only
    connection.execute(sql)
