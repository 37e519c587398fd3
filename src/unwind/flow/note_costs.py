"""What cancellations cost, written down once, by one way: whatever a carrier bears is claimed from it at the same moment.

Only what was published and a buyer has agreed to comes with the case itself (`receipt.py`).
"""

from collections.abc import Mapping, Sequence

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.carrier_claims import ClaimReason, reason_of
from unwind.domain.case import Part
from unwind.domain.decisions import Bearer, Cost, Fee
from unwind.domain.errors import Refusal, require
from unwind.domain.order import LineId
from unwind.domain.transitions import Event, State
from unwind.flow.carrier_claims import open_claim
from unwind.flow.chronicle import clock, record
from unwind.flow.execute import Locked, lock_both
from unwind.flow.services import Services
from unwind.storage import attachments, carrier_claims, costs
from unwind.storage.database import Connection


async def book_costs(
    conn: Connection,
    locked: Locked,
    noted: Sequence[Cost],
    *,
    part_no: int | None,
    reference: str,
    by: str,
    proof: str = "",
    claim_reason: ClaimReason | None = None,
) -> None:
    """The case is locked. `claim_reason`: where it is known better than the case says."""
    numbers = await costs.add_costs(
        conn,
        locked.case.case_id,
        noted,
        part_no=part_no,
        currency=locked.order.currency,
        reference=reference,
        proof=proof,
        by=by,
        at=locked.now,
    )
    for n, cost in zip(numbers, noted, strict=True):
        if cost.bearer is Bearer.CARRIER:
            await open_claim(
                conn,
                locked,
                part_no=part_no,
                cost_n=n,
                reason=claim_reason or reason_of(cost.fee, rule=locked.case.rule),
                amount_minor=cost.amount_minor,
                by=by,
            )


async def note_costs(
    services: Services,
    principal: Principal,
    case_id: str,
    noted: Sequence[Cost],
    *,
    part_no: int | None,
    reference: str,
    proof: str = "",
    claim_reason: ClaimReason | None = None,
) -> None:
    """Known after the decision. Raises `case_closed` for a sealed case: its costs belong to an aftermath."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, case_id, token=None)
        authorise(principal, Scope.CASES_DECIDE, merchant_id=locked.case.merchant_id, order_id=locked.order.order_id)
        require(locked.case.state is not State.ARCHIVED, "case_closed")
        await _require_proof(conn, case_id, proof)
        await record_costs(
            conn,
            locked,
            noted,
            part_no=part_no,
            reference=reference,
            by=principal.actor,
            proof=proof,
            claim_reason=claim_reason,
        )


async def record_costs(
    conn: Connection,
    locked: Locked,
    noted: Sequence[Cost],
    *,
    part_no: int | None,
    reference: str,
    by: str,
    proof: str = "",
    claim_reason: ClaimReason | None = None,
) -> None:
    """The same with its own line in the history of the locked case."""
    data = {"costs": [[cost.fee, cost.amount_minor, cost.bearer] for cost in noted], "reference": reference}
    await record(conn, locked.case.case_id, Event.COST_NOTED, at=locked.now, actor=by, data=data)
    await book_costs(
        conn,
        locked,
        noted,
        part_no=part_no,
        reference=reference,
        by=by,
        proof=proof,
        claim_reason=claim_reason,
    )


async def note_goods_lost(
    conn: Connection,
    locked: Locked,
    part: Part,
    units: Mapping[LineId, int],
    *,
    reference: str,
    by: str,
    reason: ClaimReason,
) -> None:
    """Units that a carrier did not bring back, at their price: the carrier's to pay."""
    amount_minor = sum(locked.order.line(line_id).unit_price_minor * n for line_id, n in units.items())
    if amount_minor > 0:
        await record_costs(
            conn,
            locked,
            [Cost(fee=Fee.GOODS_LOSS, amount_minor=amount_minor, bearer=Bearer.CARRIER)],
            part_no=part.part_no,
            reference=reference,
            by=by,
            claim_reason=reason,
        )


async def settle_cost(
    services: Services, principal: Principal, case_id: str, n: int, *, reference: str, proof: str
) -> None:
    """Somebody has paid it. Raises `claim_settles_it` while a carrier is to: a paid claim settles its cost by itself."""
    async with services.database.transaction() as conn:
        cost = await costs.read_cost(conn, case_id, n)
        if cost is None:
            raise Refusal("not_found")
        authorise(principal, Scope.MONEY_SETTLE, merchant_id=cost["merchant_id"], order_id=cost["order_id"])
        await _require_proof(conn, case_id, proof)
        claims = await carrier_claims.list_claims(
            conn, merchant_id=None, carrier=None, case_id=case_id, state=None, is_overdue=False, claims_max=100
        )
        require(all(claim["cost_n"] != n for claim in claims), "claim_settles_it")
        is_first = await costs.settle_cost(
            conn, case_id, n, by=principal.actor, at=await clock(conn), reference=reference, proof=proof
        )
        require(is_first, "cost_settled")


async def _require_proof(conn: Connection, case_id: str, proof: str) -> None:
    """What looks like an attachment of the case is one."""
    if proof.startswith(f"{case_id}-a"):
        found = await attachments.read_attachment(conn, proof)
        require(found is not None and found["case_id"] == case_id, "proof_unknown")
