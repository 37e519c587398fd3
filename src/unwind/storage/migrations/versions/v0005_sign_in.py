"""Sign-in and rights: staff, second factor, sessions, API keys, the audit of the door."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    sql = (Path(__file__).parent.parent / "sql" / "0005_sign_in.sql").read_text(encoding="utf-8")
    connection = op.get_bind().connection.driver_connection
    assert connection is not None  # noqa: S101 - Alembic runs online only
    connection.execute(sql)
