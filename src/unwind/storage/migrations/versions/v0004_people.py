"""The person in the loop: calendars, clocks, claims, presence."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    sql = (Path(__file__).parent.parent / "sql" / "0004_people.sql").read_text(encoding="utf-8")
    connection = op.get_bind().connection.driver_connection
    assert connection is not None  # noqa: S101 - Alembic runs online only
    connection.execute(sql)
