"""Legs carried out by people: the answer to a task is recorded exactly as a connector's answer would be."""

from collections.abc import Mapping
from typing import Any

from unwind.domain.access import Principal, Role, Scope, authorise
from unwind.domain.case import Leg, PartState
from unwind.domain.errors import Refusal, require
from unwind.domain.legs import FINAL, HAS_LEFT, HOLDS_UP_NOTHING, LegKind, LegState
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.domain.questions import LINK_LIFE_AFTER_DUE
from unwind.domain.terms import InvoiceState
from unwind.domain.transitions import Event
from unwind.flow import calls
from unwind.flow.chronicle import record
from unwind.flow.execute import Locked, lock_both, record_outcome
from unwind.flow.links import TASK, mint_link
from unwind.flow.parts import continue_case
from unwind.flow.queue import require_hold
from unwind.flow.services import Services
from unwind.storage import cases, locks, tasks
from unwind.storage.database import Connection

BY_HAND = frozenset(
    {
        LegKind.HOLD_SHIPMENT,
        LegKind.VOID_WAYBILL,
        LegKind.REDIRECT_PARCEL,
        LegKind.RECALL_PARCEL,
        LegKind.RECEIVE_RETURN,
        LegKind.COMPENSATE,
    }
)
"""What may be noted as done, or refused, by somebody who has heard so; money goes through its gateway or its own task."""


async def note_outcome(
    services: Services,
    principal: Principal,
    case_id: str,
    leg_no: int,
    *,
    is_done: bool,
    evidence: Mapping[str, str | int],
) -> None:
    """An agent has reached the carrier or the warehouse: what they said is recorded as the outcome of the leg that waits for it."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, case_id, token=None)
        authorise(principal, Scope.CASES_DECIDE, merchant_id=locked.case.merchant_id, order_id=locked.order.order_id)
        require_hold(locked.case, principal, locked.now)
        leg = next((g for part in locked.case.parts for g in part.legs if g.leg_no == leg_no), None)
        if leg is None:
            raise Refusal("nothing_to_note")
        require(leg.kind in BY_HAND, "not_by_hand", kind=leg.kind)
        require(leg.state in HAS_LEFT, "nothing_to_note", state=leg.state)
        await tasks.withdraw_task_of(conn, case_id, leg_no)
        await record_by_hand(conn, services, locked, leg, is_done=is_done, evidence={**evidence, "by": principal.actor})


BY_LINK = frozenset({"warehouse", "carrier", "merchant", "store"})
"""Who may answer a task without an account; money is answered by people who have signed in."""


async def make_task_link(services: Services, principal: Principal, task_id: str) -> str:
    """A link by which whoever carries the task out answers it. Raises `not_by_link` for tasks that move money."""
    async with services.database.connection() as conn:
        task = await tasks.read_task(conn, task_id)
    if task is None:
        raise Refusal("not_found")
    authorise(principal, Scope.CASES_DECIDE, merchant_id=task["merchant_id"], order_id=task["order_id"])
    require(task["audience"] in BY_LINK and task["kind"] in BY_HAND - {LegKind.COMPENSATE}, "not_by_link")
    require(task["state"] == "open", "task_answered")
    expires_at = int((task["due_at"] + LINK_LIFE_AFTER_DUE).timestamp())
    return mint_link(services.vault.token_key, subject=f"{TASK}{task_id}", expires_at=expires_at)


async def answer_task_by_link(
    services: Services, task: Mapping[str, Any], *, is_done: bool, evidence: Mapping[str, str | int]
) -> None:
    """Whoever holds the link answers this one task. A done one names what proves it."""
    require(not is_done or bool(evidence.get("reference")), "evidence_needed")
    holder = Principal(
        principal_id=f"link-{task['task_id']}",
        role=Role.WAREHOUSE,
        scopes=frozenset({Scope.TASKS_ANSWER}),
        merchant_id=task["merchant_id"],
        order_id=None,
    )
    actor = f"{task['audience']}:link-{task['leg_no']}"
    await answer_task(services, holder, task["task_id"], is_done=is_done, evidence=evidence, actor=actor)


async def answer_task(
    services: Services,
    principal: Principal,
    task_id: str,
    *,
    is_done: bool,
    evidence: Mapping[str, str | int],
    actor: str | None = None,
) -> None:
    """Raises `task_answered` when somebody was faster, or the case no longer waits for it."""
    async with services.database.transaction() as conn:
        task = await tasks.read_task(conn, task_id)
        if task is None:
            raise Refusal("not_found")
        right = Scope.MONEY_SETTLE if task["audience"] == MONEY_AUDIENCE else Scope.TASKS_ANSWER
        authorise(principal, right, merchant_id=task["merchant_id"], order_id=task["order_id"])
        locked = await lock_both(conn, task["case_id"], token=None)
        if is_done:
            _require_proof(task, locked, evidence)
        state = "done" if is_done else "refused"
        is_first = await tasks.answer_task(
            conn, task_id, state=state, by=actor or principal.actor, at=locked.now, evidence=evidence
        )
        require(is_first, "task_answered")
        leg = next(g for part in locked.case.parts for g in part.legs if g.leg_no == task["leg_no"])
        require(leg.state in {LegState.TASK, LegState.BLOCKED}, "task_answered")
        await record_by_hand(conn, services, locked, leg, is_done=is_done, evidence={**evidence, "task": task_id})


MONEY_AUDIENCE = "finance"
"""Whose tasks book money or papers: only somebody who settles money answers them."""
PROVEN_MONEY = frozenset({"store", "platform"})
"""Where money goes back by hand, and something there says so: a receipt, the platform's refund number."""


def _require_proof(task: Mapping[str, Any], locked: Locked, evidence: Mapping[str, str | int]) -> None:
    """Money paid over a counter or by a platform, and a red letter, are done when their number is named; what the buyer has booked, when they
    have confirmed it too."""
    is_money = task["kind"] == LegKind.REFUND and task["audience"] in PROVEN_MONEY
    is_invoice = task["kind"] == LegKind.REVERSE_INVOICE
    require(not (is_money or is_invoice) or bool(evidence.get("reference")), "evidence_needed")
    is_booked = is_invoice and locked.order.terms.invoice is InvoiceState.BOOKED
    require(not is_booked or bool(evidence.get("confirmation")), "confirmation_needed")


async def waive(services: Services, principal: Principal, case_id: str, leg_no: int, *, why: str) -> None:
    """A red letter or a claw-back is given up by name. Raises `not_waivable`, `nothing_to_note`."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, case_id, token=None)
        authorise(principal, Scope.MONEY_SETTLE, merchant_id=locked.case.merchant_id, order_id=locked.order.order_id)
        leg = next((g for part in locked.case.parts for g in part.legs if g.leg_no == leg_no), None)
        if leg is None:
            raise Refusal("nothing_to_note")
        require(leg.kind in HOLDS_UP_NOTHING, "not_waivable", kind=leg.kind)
        require(leg.state in {LegState.TASK, LegState.BLOCKED}, "nothing_to_note", state=leg.state)
        await tasks.withdraw_task_of(conn, case_id, leg_no)
        said = {"by": principal.actor, "why": why}
        evidence = {**leg.evidence, **said}
        await cases.set_leg(
            conn,
            case_id,
            leg_no,
            state=LegState.WAIVED,
            code="waived",
            next_try_at=None,
            due_at=None,
            evidence=evidence,
        )
        await _go_on_without(conn, locked, leg, principal, said)


async def _go_on_without(
    conn: Connection, locked: Locked, leg: Leg, principal: Principal, said: Mapping[str, object]
) -> None:
    """A part that waited for a person because of this leg alone goes on; the case with it, where nothing else waits."""
    part, case = locked.part_of(leg), locked.case
    is_freed = part.state is PartState.REVIEW and all(g is leg or g.state in FINAL for g in part.legs)
    data = {"leg": leg.leg_no, "kind": leg.kind, "state": LegState.WAIVED, **said}
    if not is_freed:
        event = Event.LEG_RECORDED
        await record(conn, case.case_id, event, at=locked.now, actor=principal.actor, data=data, is_due_now=True)
        return
    said = {"choice": "waive", "parts": [part.part_no], **data}
    await continue_case(conn, locked, leg, principal, said, is_due_now=True)


async def record_by_hand(
    conn: Connection,
    services: Services,
    locked: Locked,
    leg: Leg,
    *,
    is_done: bool,
    evidence: Mapping[str, str | int],
    code: str = "by_hand",
) -> None:
    """The case is locked. What a person brings counts as the other side's answer would."""
    call = calls.Call(case=locked.case, leg=leg, order=locked.order, number=leg.number, amount_minor=leg.amount_minor)
    kind = OutcomeKind.SUCCEEDED if is_done else OutcomeKind.REFUSED
    await record_outcome(conn, services, locked, call, Outcome(kind=kind, code=code, evidence=evidence))
    await locks.wake_case(conn, locked.case.case_id)
