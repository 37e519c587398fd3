"""The buyer's consent to a plan that returns less than they paid: for exactly that plan, by link, in a chat or in a recorded call."""

from typing import Any

from unwind.domain.access import Principal
from unwind.domain.decisions import Ruling
from unwind.domain.errors import require
from unwind.domain.questions import Audience, Kind, Question
from unwind.domain.ruling_documents import plan_document
from unwind.domain.transitions import State
from unwind.flow import review
from unwind.flow.answers import take_answer
from unwind.flow.execute import lock_both
from unwind.flow.identity import require_identity
from unwind.flow.questions import ask
from unwind.flow.queue import require_hold
from unwind.flow.services import Services


async def ask_consent(
    services: Services,
    principal: Principal,
    case_id: str,
    ruling: Ruling,
    *,
    how: str,
    reference: str = "",
    minutes: int | None = None,
) -> Question:
    """`how`: link (the buyer is asked), chat or recorded_call (they have said yes; `reference` proves it). Raises `nothing_to_consent`."""
    async with services.database.transaction() as conn:
        locked = await review.lock_for(conn, principal, case_id)
        require(locked.case.state is State.REVIEW, "not_in_review", state=locked.case.state)
        require_hold(locked.case, principal, locked.now)
        async with conn.transaction(force_rollback=True):
            seen = await review.attempt(conn, locked, principal, ruling)
        require(review.taken_from_buyer(ruling, seen.carried) > 0, "nothing_to_consent")
        question = await ask(
            conn,
            services,
            locked,
            kind=Kind.CONSENT,
            audience=Audience.BUYER,
            subject=_subject(ruling, seen),
            by=principal,
            digest=seen.digest,
            minutes=minutes,
        )
        if how != "link":
            await require_identity(conn, principal, locked.order.order_id)
            again = await lock_both(conn, case_id, token=None)
            said = {"how": how, "reference": reference}
            await take_answer(conn, services, again, question, is_agreed=True, actor=principal.actor, said=said)
        return question


def _subject(ruling: Ruling, seen: review.Rehearsal) -> dict[str, Any]:
    """The three amounts, what each deduction is for, and the whole plan."""
    return {
        "paid_minor": sum(part.paid_minor for part in seen.carried.parts),
        "kept_minor": review.taken_from_buyer(ruling, seen.carried),
        "amount_minor": sum(part.returned_minor for part in seen.carried.parts),
        "costs": [[cost.fee, cost.amount_minor, cost.bearer] for cost in ruling.costs],
        "plan": plan_document(seen.carried.parts),
    }
