"""The warehouse's word on a hold, with or without a system of its own: stopped; or not, and why. A refusal goes to a person like a system's."""

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.errors import Refusal, require
from unwind.domain.legs import LegKind
from unwind.domain.scans import ANSWERABLE, LEFT_THE_HOUSE, RefusedBecause
from unwind.flow.execute import lock_both
from unwind.flow.scan import give_word
from unwind.flow.services import Services

ANSWERED_HERE = frozenset({LegKind.HOLD_SHIPMENT, LegKind.VOID_WAYBILL})


async def answer_hold(
    services: Services,
    principal: Principal,
    case_id: str,
    leg_no: int,
    *,
    refused: RefusedBecause | None,
    reference: str,
) -> None:
    """`refused`: None accepts. Raises `nothing_to_note` where no word is waited for, `already_left` for goods the carrier has."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, case_id, token=None)
        authorise(principal, Scope.WAREHOUSE_WORK, merchant_id=locked.case.merchant_id)
        leg = next((g for part in locked.case.parts for g in part.legs if g.leg_no == leg_no), None)
        if leg is None or leg.kind not in ANSWERED_HERE:
            raise Refusal("nothing_to_note")
        require(leg.state in ANSWERABLE, "nothing_to_note", state=leg.state)
        parcel = next((s for s in locked.order.shipments if s.shipment_id == leg.target), None)
        is_out = parcel is not None and parcel.stage in LEFT_THE_HOUSE
        require(refused is not None or not is_out, "already_left")
        require(leg.kind is not LegKind.VOID_WAYBILL or refused is not None or bool(reference), "evidence_needed")
        evidence = {"reference": reference} if reference else {}
        code = "by_hand" if refused is None else refused.value
        is_taken = await give_word(
            conn, services, principal, case_id, leg_no, is_done=refused is None, code=code, evidence=evidence
        )
        require(is_taken, "nothing_to_note", state=leg.state)
