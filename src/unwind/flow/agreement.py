"""The merchant asks (砍单), the buyer agrees or does not: paid orders are not cancelled over their head."""

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.case import PartState
from unwind.domain.decisions import Choice, Ruling
from unwind.domain.errors import require
from unwind.domain.merchant_cancel import RULE as BUYER_MUST_AGREE
from unwind.domain.merchant_cancel import needs_agreement
from unwind.domain.transitions import Event, State
from unwind.flow import review
from unwind.flow.chronicle import record
from unwind.flow.execute import lock_both
from unwind.flow.identity import require_identity
from unwind.flow.services import Services
from unwind.storage import cases


async def answer_merchant(services: Services, principal: Principal, case_id: str, *, agrees: bool) -> None:
    """The buyer's word on a cancellation that the merchant asked for. Without it no paid order is cancelled; with a no it goes on."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, case_id, token=None)
        authorise(principal, Scope.CASES_REQUEST, merchant_id=locked.case.merchant_id, order_id=locked.order.order_id)
        await require_identity(conn, principal, locked.order.order_id)
        is_asked = locked.case.state is State.REVIEW and needs_agreement(locked.case.channel, locked.order)
        require(is_asked and not locked.case.has_buyer_agreed, "nobody_asked")
        said = {"agrees": int(agrees)}
        await record(conn, case_id, Event.BUYER_ANSWERED, at=locked.now, actor=principal.actor, data=said)
        if not agrees:
            await review.withdraw_locked(conn, locked, principal)
            return
        await cases.set_agreed(conn, case_id, locked.now)
        waiting = [part for part in locked.case.parts if part.state is PartState.REVIEW]
        by_itself = [part for part in waiting if part.rule == BUYER_MUST_AGREE]
        for part in by_itself:
            locked = await lock_both(conn, case_id, token=None)
            ruling = Ruling(
                choice=Choice.APPROVE,
                case_version=locked.case.version,
                order_version=locked.order.version,
                part_no=part.part_no,
                reason_code="buyer_agreed",
            )
            await review.decide_within(conn, services, locked, principal, ruling, data={})
