"""An abnormal refund, sent to another account of the payer or to the merchant's own, where the gateway can do that.

    the leg is let go on, as after a retry - commit - call with the account - record - commit

The account passes through and is neither stored nor logged. If we die in between, the loop asks the gateway by the refund's own number and
comes back to "abnormal": nothing is lost and nothing is sent twice.
"""

import asyncio
from datetime import timedelta

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.case import PartState
from unwind.domain.errors import Refusal, require
from unwind.domain.legs import LegKind, LegState
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.domain.transitions import Event, State
from unwind.flow import calls
from unwind.flow.chronicle import record
from unwind.flow.execute import CALL_TIMEOUT_S, Locked, lock_both, record_outcome
from unwind.flow.queue import require_hold
from unwind.flow.services import Services
from unwind.ports.payment import PayeeAccount, PaysElsewhere
from unwind.storage import cases, money
from unwind.storage.database import Connection

ASK_NOT_BEFORE = timedelta(seconds=CALL_TIMEOUT_S + 20)
"""The loop leaves the leg alone while we call."""


async def send_elsewhere(
    services: Services, principal: Principal, case_id: str, leg_no: int, account: PayeeAccount, *, case_version: int
) -> None:
    """Raises Refusal; then nothing was sent and nothing written."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, case_id, token=None)
        authorise(principal, Scope.CASES_DECIDE, merchant_id=locked.case.merchant_id, order_id=locked.order.order_id)
        require_hold(locked.case, principal, locked.now)
        require(locked.case.version == case_version, "stale", case_version=locked.case.version)
        call, gateway = await _prepare(conn, services, locked, leg_no)
        await _let_go_on(conn, locked, call, principal, account)
    try:
        async with asyncio.timeout(CALL_TIMEOUT_S):
            outcome = await gateway.refund_elsewhere(calls.refund_call(call), account)
    except TimeoutError:
        outcome = Outcome(kind=OutcomeKind.UNKNOWN, code="timeout")
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, case_id, token=None)
        leg = next(leg for part in locked.case.parts for leg in part.legs if leg.leg_no == leg_no)
        if leg.state is LegState.UNKNOWN:
            call = calls.Call(
                case=locked.case, leg=leg, order=locked.order, number=leg.number, amount_minor=leg.amount_minor
            )
            await record_outcome(conn, services, locked, call, outcome)


async def _prepare(
    conn: Connection, services: Services, locked: Locked, leg_no: int
) -> tuple[calls.Call, PaysElsewhere]:
    require(locked.case.state is State.REVIEW, "not_in_review", state=locked.case.state)
    leg = next((leg for part in locked.case.parts for leg in part.legs if leg.leg_no == leg_no), None)
    if leg is None or leg.kind is not LegKind.REFUND:
        raise Refusal("not_found")
    require(leg.state is LegState.BLOCKED and leg.code.startswith(OutcomeKind.ABNORMAL), "not_abnormal")
    refund = await money.live_refund(conn, case_id=locked.case.case_id, part_no=leg.part_no, payment_id=leg.target)
    call = calls.Call(
        case=locked.case,
        leg=leg,
        order=locked.order,
        number=leg.number,
        amount_minor=leg.amount_minor,
        numbered_at=refund.numbered_at if refund is not None else None,
    )
    gateway: object = calls.party_of(services, call)
    if not isinstance(gateway, PaysElsewhere):
        raise Refusal("no_other_account")
    return call, gateway


async def _let_go_on(
    conn: Connection, locked: Locked, call: calls.Call, principal: Principal, account: PayeeAccount
) -> None:
    case_id, leg = locked.case.case_id, call.leg
    await cases.set_leg(
        conn,
        case_id,
        leg.leg_no,
        state=LegState.UNKNOWN,
        next_try_at=locked.now + ASK_NOT_BEFORE,
        attempts=1,
        due_at=None,
        code="other_account",
    )
    await cases.set_part(conn, case_id, leg.part_no, state=PartState.EXECUTING, is_decided=True)
    others_wait = any(part.state is PartState.REVIEW for part in locked.case.parts if part.part_no != leg.part_no)
    await record(
        conn,
        case_id,
        Event.PART_DECIDED if others_wait else Event.APPROVED,
        at=locked.now,
        actor=principal.actor,
        data={"choice": "other_account", "leg": leg.leg_no, "account": account.kind, "parts": [leg.part_no]},
        first_human_at=locked.now,
        answered_at=None if others_wait else locked.now,
        decided_at=locked.now,
        is_due_now=False,
    )
