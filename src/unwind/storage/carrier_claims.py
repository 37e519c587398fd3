"""Claims against carriers, and every move they made."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from unwind.storage.database import Connection

SHOWN = """
SELECT k.claim_id, k.merchant_id, k.carrier, k.case_id, k.cost_n, k.waybill_no, k.reason, k.amount_minor, k.currency, k.state,
    k.paid_minor, k.due_at, k.opened_at, k.opened_by, coalesce(k.due_at < unwind_now(), false) AS is_overdue, c.order_id
FROM carrier_claims k JOIN cases c USING (case_id)
"""


async def next_n(conn: Connection, case_id: str) -> int:
    """The case row is locked by the caller."""
    cursor = await conn.execute("SELECT count(*) + 1 AS n FROM carrier_claims WHERE case_id = %s", (case_id,))
    row = await cursor.fetchone()
    return row["n"] if row else 1


async def add_claim(conn: Connection, row: Mapping[str, Any]) -> bool:
    """False when its cost has been claimed before."""
    cursor = await conn.execute(
        """
        INSERT INTO carrier_claims (claim_id, merchant_id, carrier, case_id, cost_n, waybill_no, reason, amount_minor, currency, due_at,
            opened_at, opened_by)
        VALUES (%(claim_id)s, %(merchant_id)s, %(carrier)s, %(case_id)s, %(cost_n)s, %(waybill_no)s, %(reason)s, %(amount_minor)s,
            %(currency)s, %(due_at)s, %(opened_at)s, %(opened_by)s)
        ON CONFLICT (case_id, cost_n) WHERE cost_n IS NOT NULL DO NOTHING
        """,
        row,
    )
    return cursor.rowcount == 1


async def read_claim(conn: Connection, claim_id: str) -> dict[str, Any] | None:
    cursor = await conn.execute(f"{SHOWN} WHERE k.claim_id = %s", (claim_id,))
    return await cursor.fetchone()


async def move_claim(
    conn: Connection,
    claim_id: str,
    *,
    from_state: str,
    to_state: str,
    by: str,
    at: datetime,
    reference: str,
    due_at: datetime | None,
    reason: str | None = None,
    paid_minor: int | None = None,
) -> bool:
    """False when somebody was faster. The move is kept with who, when and by which document."""
    cursor = await conn.execute(
        """
        WITH moved AS (
            UPDATE carrier_claims SET state = %(to)s, due_at = %(due)s, reason = coalesce(%(reason)s, reason), paid_minor = %(paid)s
            WHERE claim_id = %(claim)s AND state = %(from)s RETURNING claim_id)
        INSERT INTO carrier_claim_moves (claim_id, n, from_state, to_state, by, at, reference, amount_minor)
        SELECT claim_id, (SELECT count(*) + 1 FROM carrier_claim_moves m WHERE m.claim_id = moved.claim_id), %(from)s, %(to)s, %(by)s,
            %(at)s, %(reference)s, %(paid)s
        FROM moved
        """,
        {
            "claim": claim_id,
            "from": from_state,
            "to": to_state,
            "by": by,
            "at": at,
            "reference": reference,
            "due": due_at,
            "reason": reason,
            "paid": paid_minor,
        },
    )
    return cursor.rowcount == 1


async def moves_of(conn: Connection, claim_id: str) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        "SELECT n, from_state, to_state, by, at, reference, amount_minor FROM carrier_claim_moves WHERE claim_id = %s ORDER BY n",
        (claim_id,),
    )
    return await cursor.fetchall()


async def unfiled_of_part(conn: Connection, case_id: str, part_no: int) -> list[dict[str, Any]]:
    """Claims for costs of a part that nobody has told the carrier of."""
    cursor = await conn.execute(
        """
        SELECT k.claim_id, k.carrier FROM carrier_claims k JOIN case_costs t ON (t.case_id, t.n) = (k.case_id, k.cost_n)
        WHERE k.case_id = %s AND t.part_no = %s AND k.state = 'open' ORDER BY k.claim_id
        """,
        (case_id, part_no),
    )
    return await cursor.fetchall()


async def list_claims(
    conn: Connection,
    *,
    merchant_id: str | None,
    carrier: str | None,
    case_id: str | None,
    state: str | None,
    is_overdue: bool,
    claims_max: int,
) -> list[dict[str, Any]]:
    """What is due first comes first, what is over last."""
    cursor = await conn.execute(
        f"""
        {SHOWN}
        WHERE (%(m)s::text IS NULL OR k.merchant_id = %(m)s) AND (%(carrier)s::text IS NULL OR k.carrier = %(carrier)s)
          AND (%(case)s::text IS NULL OR k.case_id = %(case)s) AND (%(state)s::text IS NULL OR k.state = %(state)s)
          AND (NOT %(overdue)s OR k.due_at < unwind_now())
        ORDER BY k.due_at NULLS LAST, k.opened_at DESC, k.claim_id LIMIT %(n)s
        """,
        {
            "m": merchant_id,
            "carrier": carrier,
            "case": case_id,
            "state": state,
            "overdue": is_overdue,
            "n": claims_max,
        },
    )
    return await cursor.fetchall()
