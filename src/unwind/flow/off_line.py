"""A blocked refund that people have paid off-line: booked once, as the answer to a cash task is, with what proves it."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from unwind.domain.access import Principal
from unwind.domain.case import Leg
from unwind.domain.errors import require
from unwind.domain.payouts import Proof
from unwind.flow.execute import Locked
from unwind.flow.hand_work import record_by_hand
from unwind.flow.parts import continue_case
from unwind.flow.services import Services
from unwind.storage import money, tasks
from unwind.storage.database import Connection


def require_proof(locked: Locked, leg: Leg, proof: Proof) -> None:
    """Exactly what is owed, on a day between the request and today as the shop counts days."""
    require(proof.amount_minor == leg.amount_minor, "amount_differs", amount_minor=leg.amount_minor)
    zone = ZoneInfo(locked.order.merchant.time_zone)
    first, last = (at.astimezone(zone).date() for at in (locked.case.opened_at, locked.now))
    require(first <= proof.paid_on <= last, "proof_date_unsound")


async def settle_off_line(
    conn: Connection,
    services: Services,
    locked: Locked,
    leg: Leg,
    proposal: Mapping[str, Any],
    principal: Principal,
    said: Mapping[str, object],
) -> None:
    """The case is locked, and the proposal closed. The money counts as with the buyer from now on."""
    case_id = locked.case.case_id
    refund = await money.live_refund(conn, case_id=case_id, part_no=leg.part_no, payment_id=leg.target)
    if refund is not None:
        await money.set_way(conn, refund.refund_id, "off_line")
    await tasks.withdraw_task_of(conn, case_id, leg.leg_no)
    evidence: dict[str, str | int] = {
        "reference": proposal["reference"],
        "paid_by": proposal["paid_by"],
        "paid_on": proposal["paid_on"].isoformat(),
        "proposal": proposal["proposal_id"],
        "by": principal.actor,
    }
    await record_by_hand(conn, services, locked, leg, is_done=True, evidence=evidence, code="off_line")
    await continue_case(conn, locked, leg, principal, said, is_due_now=True)
