"""The first of the hot path's two round trips: everything a request needs to know, with its locks.

The second is `cases.create_cases` with the stock moves and the commit. A test counts round trips and statements.
"""

from dataclasses import dataclass

from unwind.storage import idempotency, orders
from unwind.storage.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    is_first: bool
    """False: this idempotency key has been used; the stored answer is to be given again."""
    row: orders.OrderRow | None


async def read_for_request(conn: Connection, key: idempotency.Key, order_id: str) -> Reading:
    """One round trip: claim the key, lock the order, read it with its open cases. Locks in their order (`locks.py`)."""
    claimed = await conn.execute(
        "SELECT claim_and_lock(%s, %s, %s, %s) AS is_first",
        (key.principal_id, key.operation, key.key, order_id),
        prepare=True,
    )
    read = await conn.execute(orders.READ_ORDER, ([order_id],), prepare=True)
    claim = await claimed.fetchone()
    row = await read.fetchone()
    return Reading(is_first=bool(claim and claim["is_first"]), row=None if row is None else orders.to_order_row(row))
