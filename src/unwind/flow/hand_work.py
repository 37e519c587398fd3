"""Legs carried out by people: the answer to a task is recorded exactly as a connector's answer would be."""

from collections.abc import Mapping

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.errors import Refusal, require
from unwind.domain.legs import LegKind, LegState
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.flow import calls
from unwind.flow.execute import lock_both, record_outcome
from unwind.flow.services import Services
from unwind.storage import locks, tasks


async def answer_task(
    services: Services, principal: Principal, task_id: str, *, is_done: bool, evidence: Mapping[str, str | int]
) -> None:
    """Raises `task_answered` when somebody was faster, or the case no longer waits for it."""
    async with services.database.transaction() as conn:
        task = await tasks.read_task(conn, task_id)
        if task is None:
            raise Refusal("not_found")
        authorise(principal, Scope.TASKS_ANSWER, merchant_id=task["merchant_id"], order_id=task["order_id"])
        is_cash_paid = is_done and task["kind"] == LegKind.REFUND and task["audience"] == "store"
        require(not is_cash_paid or bool(evidence.get("reference")), "evidence_needed")
        locked = await lock_both(conn, task["case_id"], token=None)
        state = "done" if is_done else "refused"
        is_first = await tasks.answer_task(
            conn, task_id, state=state, by=principal.actor, at=locked.now, evidence=evidence
        )
        require(is_first, "task_answered")
        leg = next(g for part in locked.case.parts for g in part.legs if g.leg_no == task["leg_no"])
        require(leg.state in {LegState.TASK, LegState.BLOCKED}, "task_answered")
        call = calls.Call(
            case=locked.case, leg=leg, order=locked.order, number=leg.number, amount_minor=leg.amount_minor
        )
        kind = OutcomeKind.SUCCEEDED if is_done else OutcomeKind.REFUSED
        outcome = Outcome(kind=kind, code="by_hand", evidence={**evidence, "task": task_id})
        await record_outcome(conn, services, locked, call, outcome)
        await locks.wake_case(conn, task["case_id"])
