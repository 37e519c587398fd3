"""Claims against carriers: opened by every cost that a carrier bears, or by hand, and moved on until they are paid or given up.

cost the carrier bears -> open -> filed -> accepted -> paid: its cost is settled
                                        -> rejected -> filed again, or written off: the cost stays with the shop
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from unwind.domain.access import SYSTEM, Principal, Scope, authorise
from unwind.domain.carrier_claims import DUE_AFTER, MOVES, ClaimReason, ClaimState
from unwind.domain.errors import Refusal, require
from unwind.domain.order import Shipment
from unwind.flow.chronicle import clock
from unwind.flow.execute import Locked, lock_both
from unwind.flow.services import Services
from unwind.storage import alerts, carrier_claims, costs
from unwind.storage.database import Connection

CLAIM_ALERT = "carrier_claim"
NOBODYS = "carrier"
"""Stands for the carrier where the case does not say which parcel it was."""
TAKEN_BACK = "decision_taken_back"


async def open_claim(
    conn: Connection,
    locked: Locked,
    *,
    part_no: int | None,
    cost_n: int | None,
    reason: ClaimReason,
    amount_minor: int,
    by: str,
    shipment_id: str = "",
) -> str:
    """The case is locked. Raises `claim_exists` where that cost has been claimed."""
    case_id = locked.case.case_id
    parcel = _parcel(locked, part_no, shipment_id)
    carrier = parcel.carrier if parcel else NOBODYS
    claim_id = f"{case_id}-K{await carrier_claims.next_n(conn, case_id)}"
    row = {
        "claim_id": claim_id,
        "merchant_id": locked.case.merchant_id,
        "carrier": carrier,
        "case_id": case_id,
        "cost_n": cost_n,
        "waybill_no": parcel.waybill_no if parcel else "",
        "reason": reason.value,
        "amount_minor": amount_minor,
        "currency": locked.order.currency,
        "due_at": locked.now + DUE_AFTER[ClaimState.OPEN],
        "opened_at": locked.now,
        "opened_by": by,
    }
    require(await carrier_claims.add_claim(conn, row), "claim_exists")
    await alerts.raise_alert(conn, connection=carrier, kind=CLAIM_ALERT, code=claim_id, case_id=case_id)
    return claim_id


def _parcel(locked: Locked, part_no: int | None, shipment_id: str) -> Shipment | None:
    """The one that was named, the one of the part, or the only one there is."""
    parcels = locked.order.shipments
    wanted = shipment_id or next((p.shipment_id for p in locked.case.parts if p.part_no == part_no), "")
    named = next((s for s in parcels if s.shipment_id == wanted), None)
    return named or (parcels[0] if len(parcels) == 1 and not shipment_id else None)


async def claim_by_hand(
    services: Services,
    principal: Principal,
    case_id: str,
    *,
    reason: ClaimReason,
    amount_minor: int,
    cost_n: int | None,
    shipment_id: str,
) -> str:
    """For what was known too late for the case, or noted as somebody else's to bear. Sealed cases too."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, case_id, token=None)
        authorise(principal, Scope.MONEY_SETTLE, merchant_id=locked.case.merchant_id, order_id=locked.order.order_id)
        require(not shipment_id or _parcel(locked, None, shipment_id) is not None, "no_such_parcel")
        known = {row["n"] for row in await costs.costs_of(conn, case_id)}
        require(cost_n is None or cost_n in known, "no_such_cost")
        return await open_claim(
            conn,
            locked,
            part_no=None,
            cost_n=cost_n,
            reason=reason,
            amount_minor=amount_minor,
            by=principal.actor,
            shipment_id=shipment_id,
        )


async def move_claim(
    services: Services,
    principal: Principal,
    claim_id: str,
    to: ClaimState,
    *,
    reference: str,
    paid_minor: int | None,
    reason: ClaimReason | None,
    due_at: datetime | None,
) -> None:
    """Raises `claim_cannot_move`, `more_than_claimed`, `due_in_the_past`."""
    async with services.database.transaction() as conn:
        claim = await _own(conn, principal, claim_id)
        now = await clock(conn)
        state = ClaimState(claim["state"])
        require(to in MOVES[state], "claim_cannot_move", state=state)
        require((paid_minor or 0) <= claim["amount_minor"], "more_than_claimed", amount_minor=claim["amount_minor"])
        require(due_at is None or due_at > now, "due_in_the_past")
        if to in DUE_AFTER:
            due_at = due_at or now + DUE_AFTER[to]
        is_first = await carrier_claims.move_claim(
            conn,
            claim_id,
            from_state=state,
            to_state=to,
            by=principal.actor,
            at=now,
            reference=reference,
            due_at=due_at if to in DUE_AFTER else None,
            reason=reason,
            paid_minor=paid_minor if to is ClaimState.PAID else None,
        )
        require(is_first, "claim_cannot_move", state=state)
        if to is ClaimState.PAID and claim["cost_n"] is not None:
            await costs.settle_cost(
                conn, claim["case_id"], claim["cost_n"], by=principal.actor, at=now, reference=reference, proof=""
            )
        await _quieten(conn, claim, principal.actor)


async def give_up_of_part(conn: Connection, case_id: str, part_no: int, at: datetime) -> None:
    """The decision that made the cost is taken back: nobody claims it. What the carrier has been told of, a person ends."""
    for claim in await carrier_claims.unfiled_of_part(conn, case_id, part_no):
        await carrier_claims.move_claim(
            conn,
            claim["claim_id"],
            from_state=ClaimState.OPEN,
            to_state=ClaimState.WRITTEN_OFF,
            by=SYSTEM.actor,
            at=at,
            reference=TAKEN_BACK,
            due_at=None,
        )
        await _quieten(conn, claim, SYSTEM.actor)


async def read_with_moves(services: Services, principal: Principal, claim_id: str) -> dict[str, Any]:
    async with services.database.connection() as conn:
        claim = await _own(conn, principal, claim_id, scope=Scope.MONEY_READ)
        return {**claim, "moves": await carrier_claims.moves_of(conn, claim_id)}


async def _own(
    conn: Connection, principal: Principal, claim_id: str, *, scope: Scope = Scope.MONEY_SETTLE
) -> dict[str, Any]:
    claim = await carrier_claims.read_claim(conn, claim_id)
    if claim is None:
        raise Refusal("not_found")
    authorise(principal, scope, merchant_id=claim["merchant_id"], order_id=claim["order_id"])
    return claim


async def _quieten(conn: Connection, claim: Mapping[str, Any], by: str) -> None:
    """Somebody has taken it up."""
    await alerts.close_alerts_about(conn, claim["carrier"], kind=CLAIM_ALERT, code=claim["claim_id"], by=by)
