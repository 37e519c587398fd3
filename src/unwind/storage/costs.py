"""What cancellations cost and who bears it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from unwind.domain.decisions import Cost, Limits
from unwind.storage.database import Connection, to_json


async def add_costs(
    conn: Connection,
    case_id: str,
    costs: Sequence[Cost],
    *,
    part_no: int | None,
    currency: str,
    reference: str,
    by: str,
    at: datetime,
) -> None:
    """The case row is locked by the caller."""
    if not costs:
        return
    rows = [
        {"i": i, "fee": cost.fee.value, "amount_minor": cost.amount_minor, "bearer": cost.bearer.value}
        for i, cost in enumerate(costs, start=1)
    ]
    await conn.execute(
        """
        INSERT INTO case_costs (case_id, n, part_no, fee, amount_minor, currency, bearer, reference, noted_by, noted_at)
        SELECT %(case)s, (SELECT coalesce(max(n), 0) FROM case_costs WHERE case_id = %(case)s) + c.i, %(part)s, c.fee, c.amount_minor,
            %(currency)s, c.bearer, %(reference)s, %(by)s, %(at)s
        FROM jsonb_to_recordset(%(rows)s) AS c(i integer, fee text, amount_minor bigint, bearer text)
        """,
        {
            "case": case_id,
            "part": part_no,
            "currency": currency,
            "reference": reference,
            "by": by,
            "at": at,
            "rows": to_json(rows),
        },
    )


async def withdraw_costs(conn: Connection, case_id: str, part_no: int, at: datetime) -> None:
    """The decision about this part is taken back; what it would have cost is not owed."""
    await conn.execute(
        "UPDATE case_costs SET withdrawn_at = %s WHERE case_id = %s AND part_no = %s AND withdrawn_at IS NULL",
        (at, case_id, part_no),
    )


async def costs_of(conn: Connection, case_id: str) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        """
        SELECT n, part_no, fee, amount_minor, currency, bearer, reference, noted_by, noted_at
        FROM case_costs WHERE case_id = %s AND withdrawn_at IS NULL ORDER BY n
        """,
        (case_id,),
    )
    return await cursor.fetchall()


async def limits_of(conn: Connection, merchant_id: str) -> Limits:
    cursor = await conn.execute(
        "SELECT agent_limit_minor, goodwill_limit_minor FROM merchants WHERE merchant_id = %s", (merchant_id,)
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - a case's merchant is a foreign key
    return Limits(agent_minor=row["agent_limit_minor"], goodwill_minor=row["goodwill_limit_minor"])
