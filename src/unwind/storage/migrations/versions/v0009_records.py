"""Requests to erase."""

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    sql = (Path(__file__).parent.parent / "sql" / "0009_records.sql").read_text(encoding="utf-8")
    connection = op.get_bind().connection.driver_connection
    assert connection is not None  # noqa: S101 - Alembic runs online only
    connection.execute(sql)
