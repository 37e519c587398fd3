"""Costs that become known after the decision."""

from collections.abc import Sequence

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.decisions import Cost
from unwind.domain.errors import require
from unwind.domain.transitions import Event, State
from unwind.flow.chronicle import record
from unwind.flow.execute import lock_both
from unwind.flow.services import Services
from unwind.storage import costs


async def note_costs(
    services: Services,
    principal: Principal,
    case_id: str,
    noted: Sequence[Cost],
    *,
    part_no: int | None,
    reference: str,
) -> None:
    """Raises `case_closed` for a sealed case: its costs belong to an aftermath."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, case_id, token=None)
        authorise(principal, Scope.CASES_DECIDE, merchant_id=locked.case.merchant_id, order_id=locked.order.order_id)
        require(locked.case.state is not State.ARCHIVED, "case_closed")
        await costs.add_costs(
            conn,
            case_id,
            noted,
            part_no=part_no,
            currency=locked.order.currency,
            reference=reference,
            by=principal.actor,
            at=locked.now,
        )
        data = {"costs": [[cost.fee, cost.amount_minor, cost.bearer] for cost in noted], "reference": reference}
        await record(conn, case_id, Event.COST_NOTED, at=locked.now, actor=principal.actor, data=data)
