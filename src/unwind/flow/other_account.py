"""An abnormal refund, sent to another account of the payer or to the merchant's own, where the gateway can do that and two people agree.

    the leg is let go on, as after a retry - commit - call with the account - record - commit

The account has been destroyed by then (`payouts.py`). If we die in between, the loop asks the gateway by the refund's own number and comes
back to "abnormal": nothing is lost and nothing is sent twice.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from unwind.domain.access import Principal
from unwind.domain.case import Leg
from unwind.domain.errors import Refusal
from unwind.domain.legs import LegState
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.flow import calls
from unwind.flow.execute import CALL_TIMEOUT_S, Locked, lock_both, record_outcome
from unwind.flow.parts import continue_case
from unwind.flow.services import Services
from unwind.ports.payment import PayeeAccount, PaysElsewhere
from unwind.storage import cases, money
from unwind.storage.database import Connection

ASK_NOT_BEFORE = timedelta(seconds=CALL_TIMEOUT_S + 20)
"""The loop leaves the leg alone while we call."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Agreed:
    """What is left to do once it is committed."""

    call: calls.Call
    gateway: PaysElsewhere
    account: PayeeAccount


async def prepare(conn: Connection, services: Services, locked: Locked, leg: Leg) -> tuple[calls.Call, PaysElsewhere]:
    """Raises `no_other_account` where the gateway has no such call."""
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


async def let_go_on(
    conn: Connection,
    locked: Locked,
    call: calls.Call,
    principal: Principal,
    said: Mapping[str, object],
    *,
    account: PayeeAccount,
) -> None:
    """The leg may go on, as after a retry; its refund is known to reach another account than it came from."""
    case_id, leg = locked.case.case_id, call.leg
    refund = await money.live_refund(conn, case_id=case_id, part_no=leg.part_no, payment_id=leg.target)
    if refund is not None:
        await money.set_way(conn, refund.refund_id, account.way)
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
    await continue_case(conn, locked, leg, principal, said)


async def send(services: Services, case_id: str, agreed: Agreed) -> None:
    """The call, after the commit; and what came of it."""
    try:
        async with asyncio.timeout(CALL_TIMEOUT_S):
            outcome = await agreed.gateway.refund_elsewhere(calls.refund_call(agreed.call), agreed.account)
    except TimeoutError:
        outcome = Outcome(kind=OutcomeKind.UNKNOWN, code="timeout")
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, case_id, token=None)
        leg = next(one for part in locked.case.parts for one in part.legs if one.leg_no == agreed.call.leg.leg_no)
        if leg.state is LegState.UNKNOWN:
            call = calls.Call(
                case=locked.case, leg=leg, order=locked.order, number=leg.number, amount_minor=leg.amount_minor
            )
            await record_outcome(conn, services, locked, call, outcome)
