"""What a person does about a difference between a bill and our ledger."""

from enum import StrEnum

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.bill import DifferenceKind
from unwind.domain.errors import Refusal, require
from unwind.storage import bills, locks
from unwind.storage.database import Database


class Resolution(StrEnum):
    BOOK_ELSEWHERE = "book_elsewhere"
    """The provider paid it back without us: it counts against what may still go back."""
    EXPLAINED = "explained"
    """A person knows why, and nothing is to be booked."""


async def settle_difference(
    database: Database, principal: Principal, difference_id: int, resolution: Resolution, *, reference: str
) -> None:
    """`reference`: the voucher it is explained by. Raises Refusal; nothing is written then."""
    authorise(principal, Scope.MONEY_SETTLE, is_platform=True)
    async with database.transaction() as conn:
        difference = await bills.read_difference(conn, difference_id)
        if difference is None:
            raise Refusal("not_found")
        if resolution is Resolution.BOOK_ELSEWHERE:
            is_foreign = difference["kind"] == DifferenceKind.REFUND_NOT_OURS
            require(is_foreign and difference["payment_id"] is not None, "nothing_to_book")
            for order_id in difference["order_ids"] or ():
                await locks.lock_order(conn, order_id)
            has_room = await bills.book_elsewhere(conn, difference["payment_id"], difference["theirs_minor"])
            require(has_room, "more_than_left")
        await bills.close_difference(
            conn, difference_id, by=principal.actor, resolution=resolution.value, reference=reference
        )
