"""The first of the hot path's two round trips: everything a request needs to know, with its locks.

The second is `cases.create_cases` with the stock moves and the commit. A test counts round trips and statements.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from unwind.storage import idempotency, orders
from unwind.storage.database import Connection, to_json

PATIENCE = timedelta(milliseconds=250)
"""The longest that a batch waits for any one lock."""


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


async def read_what_is_free(
    conn: Connection, wanted: Sequence[tuple[idempotency.Key, str]]
) -> Mapping[str, orders.OrderRow]:
    """The same for many (key, order), none twice, by order; without those whose key is used or taken or whose order is taken.

    One round trip that waits for nobody, so it cannot be part of a deadlock. Later waits of the transaction end after `PATIENCE`.
    """
    document = [
        {"principal_id": key.principal_id, "operation": key.operation, "key": key.key, "order_id": order_id}
        for key, order_id in wanted
    ]
    claimed = await conn.execute(
        "SELECT claim_free(%s, %s) AS order_ids",
        (to_json(document), PATIENCE // timedelta(milliseconds=1)),
        prepare=True,
    )
    read = await conn.execute(orders.READ_ORDER, ([order_id for _, order_id in wanted],), prepare=True)
    claim = await claimed.fetchone()
    ours = frozenset(claim["order_ids"]) if claim else frozenset()
    return {row["order_id"]: orders.to_order_row(row) for row in await read.fetchall() if row["order_id"] in ours}
