"""Decisions with their costs, questions by link, offers that are watched, appeals, attachments."""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    sql = (Path(__file__).parent.parent / "sql" / "0008_decisions.sql").read_text(encoding="utf-8")
    connection = op.get_bind().connection.driver_connection
    assert connection is not None  # noqa: S101 - Alembic runs online only
    connection.execute(sql)
