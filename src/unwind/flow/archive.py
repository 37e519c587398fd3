"""Step 8: closed when money, stock, benefits, goods and messages agree; the head of its history is the seal.

Newly archived heads are anchored in signed batches, each signature covering the one before.
"""

from unwind.domain.errors import ensure
from unwind.domain.legs import FINAL
from unwind.domain.seal import GENESIS, anchor_signature
from unwind.domain.transitions import Event
from unwind.flow.chronicle import record
from unwind.flow.execute import Lease, lock_both
from unwind.flow.retention import kept_years
from unwind.flow.services import Services
from unwind.storage import anchors, cases, erasures

BATCH_MAX = 1000


async def archive(services: Services, lease: Lease) -> None:
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, lease.case_id, token=lease.token)
        ensure(
            all(leg.state in FINAL for part in locked.case.parts for leg in part.legs),
            "a case with an unfinished leg is not archived",
        )
        await cases.close_lines(conn, lease.case_id)
        legs = sum(len(part.legs) for part in locked.case.parts)
        await record(conn, lease.case_id, Event.TOLD, at=locked.now, data={"legs": legs}, closed_at=locked.now)
        if await erasures.read_erasure(conn, locked.order.order_id) is not None:
            years = await kept_years(conn, services)
            await erasures.keep_longer(conn, locked.order.order_id, closed_at=locked.now, years=years)


async def anchor_archived(services: Services) -> int:
    """Signs the heads archived since the last batch. Returns how many."""
    async with services.database.transaction() as conn:
        heads = await anchors.unanchored_heads(conn, heads_max=BATCH_MAX)
        if not heads:
            return 0
        previous = await anchors.last_signature(conn) or GENESIS
        joined = b"".join(head for _, head in heads)
        signature = anchor_signature(previous, joined, key=services.vault.anchor_key)
        await anchors.add_batch(conn, [case_id for case_id, _ in heads], signature)
        return len(heads)
