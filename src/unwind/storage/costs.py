"""What cancellations cost and who bears it."""

from collections.abc import Mapping, Sequence
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
    proof: str,
    by: str,
    at: datetime,
) -> list[int]:
    """Their numbers, in order. The case row is locked by the caller."""
    if not costs:
        return []
    rows = [
        {"i": i, "fee": cost.fee.value, "amount_minor": cost.amount_minor, "bearer": cost.bearer.value}
        for i, cost in enumerate(costs, start=1)
    ]
    cursor = await conn.execute(
        """
        INSERT INTO case_costs (case_id, n, part_no, fee, amount_minor, currency, bearer, reference, proof, noted_by, noted_at)
        SELECT %(case)s, (SELECT coalesce(max(n), 0) FROM case_costs WHERE case_id = %(case)s) + c.i, %(part)s, c.fee, c.amount_minor,
            %(currency)s, c.bearer, %(reference)s, %(proof)s, %(by)s, %(at)s
        FROM jsonb_to_recordset(%(rows)s) AS c(i integer, fee text, amount_minor bigint, bearer text)
        RETURNING n
        """,
        {
            "case": case_id,
            "part": part_no,
            "currency": currency,
            "reference": reference,
            "proof": proof,
            "by": by,
            "at": at,
            "rows": to_json(rows),
        },
    )
    return sorted(row["n"] for row in await cursor.fetchall())


async def withdraw_costs(conn: Connection, case_id: str, part_no: int, at: datetime) -> None:
    """The decision about this part is taken back; what it would have cost is not owed."""
    await conn.execute(
        "UPDATE case_costs SET withdrawn_at = %s WHERE case_id = %s AND part_no = %s AND withdrawn_at IS NULL",
        (at, case_id, part_no),
    )


async def costs_of(conn: Connection, case_id: str) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        """
        SELECT n, part_no, fee, amount_minor, currency, bearer, reference, proof, noted_by, noted_at, settled_at, settled_by,
            settlement_reference
        FROM case_costs WHERE case_id = %s AND withdrawn_at IS NULL ORDER BY n
        """,
        (case_id,),
    )
    return await cursor.fetchall()


async def read_cost(conn: Connection, case_id: str, n: int) -> dict[str, Any] | None:
    """None where there is none that counts."""
    cursor = await conn.execute(
        """
        SELECT t.*, c.merchant_id, c.order_id FROM case_costs t JOIN cases c USING (case_id)
        WHERE t.case_id = %s AND t.n = %s AND t.withdrawn_at IS NULL
        """,
        (case_id, n),
    )
    return await cursor.fetchone()


async def settle_cost(
    conn: Connection, case_id: str, n: int, *, by: str, at: datetime, reference: str, proof: str
) -> bool:
    """False when it is settled already."""
    cursor = await conn.execute(
        """
        UPDATE case_costs SET settled_at = %(at)s, settled_by = %(by)s, settlement_reference = %(reference)s,
            proof = coalesce(nullif(%(proof)s, ''), proof)
        WHERE case_id = %(case)s AND n = %(n)s AND settled_at IS NULL AND withdrawn_at IS NULL
        """,
        {"case": case_id, "n": n, "at": at, "by": by, "reference": reference, "proof": proof},
    )
    return cursor.rowcount == 1


LEDGER = """
WITH ledger AS (
    SELECT t.case_id, t.n, t.part_no, c.order_id, c.merchant_id, t.fee, t.amount_minor, t.currency, t.bearer, t.reference, t.proof,
        t.noted_by, t.noted_at, t.settled_at, t.settled_by, t.settlement_reference, k.claim_id, k.state AS claim_state, k.paid_minor,
        CASE WHEN t.settled_at IS NOT NULL THEN 'settled' WHEN k.state = 'written_off' THEN 'written_off' ELSE 'open' END AS standing
    FROM case_costs t JOIN cases c USING (case_id)
        LEFT JOIN carrier_claims k ON (k.case_id, k.cost_n) = (t.case_id, t.n)
    WHERE t.withdrawn_at IS NULL AND (%(m)s::text IS NULL OR c.merchant_id = %(m)s)
      AND (%(case)s::text IS NULL OR t.case_id = %(case)s)
      AND t.noted_at >= coalesce(%(begins)s::timestamptz, '-infinity') AND t.noted_at < coalesce(%(ends)s::timestamptz, 'infinity')
      AND (%(fee)s::text IS NULL OR t.fee = %(fee)s) AND (%(bearer)s::text IS NULL OR t.bearer = %(bearer)s))
"""


async def ledger(conn: Connection, wanted: Mapping[str, Any], *, rows_max: int) -> list[dict[str, Any]]:
    """`wanted`: m, case, begins, ends, fee, bearer, standing; None where it does not matter. The newest first."""
    cursor = await conn.execute(
        f"""
        {LEDGER} SELECT * FROM ledger WHERE %(standing)s::text IS NULL OR standing = %(standing)s
        ORDER BY noted_at DESC, case_id, n LIMIT %(max)s
        """,  # noqa: S608 - a constant
        {**wanted, "max": rows_max},
    )
    return await cursor.fetchall()


async def ledger_totals(conn: Connection, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of the same rows, however many: by currency, fee, bearer and standing. `paid_minor`: what carriers have paid of them."""
    cursor = await conn.execute(
        f"""
        {LEDGER} SELECT currency, fee, bearer, standing, count(*) AS costs, sum(amount_minor)::bigint AS amount_minor,
            coalesce(sum(paid_minor), 0)::bigint AS paid_minor
        FROM ledger WHERE %(standing)s::text IS NULL OR standing = %(standing)s
        GROUP BY currency, fee, bearer, standing ORDER BY currency, fee, bearer, standing
        """,  # noqa: S608 - a constant
        wanted,
    )
    return await cursor.fetchall()


async def limits_of(conn: Connection, merchant_id: str) -> Limits:
    cursor = await conn.execute(
        "SELECT agent_limit_minor, goodwill_limit_minor FROM merchants WHERE merchant_id = %s", (merchant_id,)
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - a case's merchant is a foreign key
    return Limits(agent_minor=row["agent_limit_minor"], goodwill_minor=row["goodwill_limit_minor"])
