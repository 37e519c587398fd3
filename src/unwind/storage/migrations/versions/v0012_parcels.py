"""Which units of a line are in which parcel, and how far those are."""

from pathlib import Path

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    sql = (Path(__file__).parent.parent / "sql" / "0012_parcels.sql").read_text(encoding="utf-8")
    connection = op.get_bind().connection.driver_connection
    assert connection is not None  # noqa: S101 - Alembic runs online only
    connection.execute(sql)
