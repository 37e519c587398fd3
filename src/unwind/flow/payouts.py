"""Four eyes for a blocked refund that reaches its payer by another way.

    one person proposes (account sealed, or proof of what was paid) -> another agrees -> carried out once, account destroyed
                                                                    -> declined, withdrawn, stale or over: account destroyed

The account stands sealed with the order's key from the proposal until it is used or dropped; events, lists and answers know its kind and last
four digits. A proposal is bound to the version of the case that was seen: whatever happens to the case, the proposal is stale.
"""

from datetime import datetime
from typing import Any

import orjson

from unwind.domain.access import SYSTEM, Principal, Scope, authorise, may
from unwind.domain.case import Leg
from unwind.domain.errors import Refusal, require
from unwind.domain.legs import LegKind, LegState
from unwind.domain.outcome import OutcomeKind
from unwind.domain.payouts import (
    LIFE,
    PayoutState,
    PayoutWay,
    Proof,
    require_not_paid,
    require_same_name,
    tail_of_account,
)
from unwind.domain.transitions import Event, State
from unwind.flow import other_account
from unwind.flow.chronicle import record
from unwind.flow.execute import Locked, lock_both
from unwind.flow.off_line import require_proof, settle_off_line
from unwind.flow.queue import require_hold
from unwind.flow.services import Services
from unwind.ports.payment import PayeeAccount
from unwind.storage import payouts, privacy
from unwind.storage.database import Connection

LAPSED_MAX = 100


async def propose_account(
    services: Services, principal: Principal, case_id: str, leg_no: int, account: PayeeAccount, *, case_version: int
) -> str:
    """Returns the proposal. Raises `not_abnormal`, `no_other_account`, `payee_name_unknown`, `payee_name_differs`, `payout_waits`."""
    async with services.database.transaction() as conn:
        locked = await _lock(conn, principal, case_id, case_version)
        leg = blocked_refund(locked, leg_no)
        require(leg.code.startswith(OutcomeKind.ABNORMAL), "not_abnormal")
        await other_account.prepare(conn, services, locked, leg)
        await _require_name(conn, services, locked, account)
        proposal_id = await _add(
            conn,
            locked,
            leg,
            principal,
            way=PayoutWay.OTHER_ACCOUNT,
            account_kind=account.kind,
            account_tail=tail_of_account(account.account_no),
        )
        sealed = {
            "kind": account.kind,
            "bank_type": account.bank_type,
            "account_no": account.account_no,
            "account_name": account.account_name,
        }
        await privacy.keep_private(
            conn,
            services.vault,
            locked.order.order_id,
            {_field(proposal_id): orjson.dumps(sealed).decode()},
            wrapped_key=locked.row.wrapped_key,
            case_id=case_id,
        )
    return proposal_id


async def propose_off_line(
    services: Services, principal: Principal, case_id: str, leg_no: int, proof: Proof, *, case_version: int
) -> str:
    """Returns the proposal. Raises `ask_gateway_first`, `amount_differs`, `proof_date_unsound`, `payout_waits`."""
    async with services.database.transaction() as conn:
        locked = await _lock(conn, principal, case_id, case_version)
        leg = blocked_refund(locked, leg_no)
        require_not_paid(leg.code, has_number=bool(leg.number))
        require_proof(locked, leg, proof)
        return await _add(
            conn,
            locked,
            leg,
            principal,
            way=PayoutWay.OFF_LINE,
            paid_by=proof.paid_by.value,
            reference=proof.reference,
            paid_on=proof.paid_on,
        )


async def second(services: Services, principal: Principal, proposal_id: str, *, is_agreed: bool) -> str:
    """Another person agrees, and it is carried out; or declines. Returns the case.

    Raises `different_person_needed`, `payout_closed`, and `stale` or `payout_expired` after having dropped it.
    """
    async with services.database.transaction() as conn:
        proposal, locked = await _lock_proposal(conn, principal, proposal_id, scope=Scope.MONEY_SETTLE)
        require(principal.principal_id not in {proposal["proposed_by"], *locked.case.barred}, "different_person_needed")
        lapsed, agreed = _lapsed(locked, proposal), None
        if lapsed is not None:
            await _drop(conn, locked, proposal, state=lapsed, principal=SYSTEM)
        elif is_agreed:
            agreed = await _carry_out(conn, services, locked, proposal, principal)
        else:
            await _drop(conn, locked, proposal, state=PayoutState.DECLINED, principal=principal)
    if lapsed is not None:
        raise Refusal("stale" if lapsed is PayoutState.STALE else "payout_expired")
    if agreed is not None:
        await other_account.send(services, locked.case.case_id, agreed)
    return locked.case.case_id


async def withdraw(services: Services, principal: Principal, proposal_id: str) -> None:
    """By whoever proposed it."""
    async with services.database.transaction() as conn:
        proposal, locked = await _lock_proposal(conn, principal, proposal_id, scope=_scope_of(principal))
        require(principal.principal_id == proposal["proposed_by"], "payout_not_yours")
        await _drop(conn, locked, proposal, state=PayoutState.WITHDRAWN, principal=principal)


async def drop_lapsed(services: Services, *, proposals_max: int = LAPSED_MAX) -> bool:
    """Proposals whose time is over or whose case has moved on: nobody has to look for their account to be destroyed."""
    async with services.database.connection() as conn:
        rows = await payouts.lapsed_proposals(conn, proposals_max=proposals_max)
    for row in rows:
        async with services.database.transaction() as conn:
            locked = await lock_both(conn, row["case_id"], token=None)
            proposal = await payouts.read_proposal(conn, row["proposal_id"])
            state = _lapsed(locked, proposal) if proposal is not None else None
            if proposal is not None and state is not None and proposal["state"] == PayoutState.OPEN:
                await _drop(conn, locked, proposal, state=state, principal=SYSTEM)
    return len(rows) == proposals_max


def blocked_refund(locked: Locked, leg_no: int) -> Leg:
    """Raises `not_found`, `not_in_review` or `not_blocked`."""
    require(locked.case.state is State.REVIEW, "not_in_review", state=locked.case.state)
    leg = next((leg for part in locked.case.parts for leg in part.legs if leg.leg_no == leg_no), None)
    if leg is None or leg.kind is not LegKind.REFUND:
        raise Refusal("not_found")
    require(leg.state is LegState.BLOCKED, "not_blocked", state=leg.state)
    return leg


async def _lock(conn: Connection, principal: Principal, case_id: str, case_version: int) -> Locked:
    locked = await lock_both(conn, case_id, token=None)
    authorise(
        principal,
        _scope_of(principal),
        merchant_id=locked.case.merchant_id,
        order_id=locked.order.order_id,
    )
    require_hold(locked.case, principal, locked.now)
    require(locked.case.version == case_version, "stale", case_version=locked.case.version)
    return locked


def _scope_of(principal: Principal) -> Scope:
    """Whoever decides on cases proposes, and whoever settles money."""
    return Scope.CASES_DECIDE if may(principal, Scope.CASES_DECIDE) else Scope.MONEY_SETTLE


async def _lock_proposal(
    conn: Connection, principal: Principal, proposal_id: str, *, scope: Scope
) -> tuple[dict[str, Any], Locked]:
    """Whose it is, is asked before how it stands."""
    seen = await payouts.read_proposal(conn, proposal_id)
    if seen is None:
        raise Refusal("not_found")
    authorise(principal, scope, merchant_id=seen["merchant_id"], order_id=seen["order_id"])
    locked = await lock_both(conn, seen["case_id"], token=None)
    proposal = await payouts.read_proposal(conn, proposal_id) or seen
    require(proposal["state"] == PayoutState.OPEN, "payout_closed", state=proposal["state"])
    return proposal, locked


def _lapsed(locked: Locked, proposal: dict[str, Any]) -> PayoutState | None:
    expires_at: datetime = proposal["expires_at"]
    if expires_at <= locked.now:
        return PayoutState.EXPIRED
    return None if locked.case.version == proposal["case_version"] else PayoutState.STALE


async def _add(
    conn: Connection, locked: Locked, leg: Leg, principal: Principal, *, way: PayoutWay, **columns: Any
) -> str:
    case_id = locked.case.case_id
    proposal_id = f"{case_id}-P{await payouts.next_n(conn, case_id)}"
    row = {
        "proposal_id": proposal_id,
        "case_id": case_id,
        "leg_no": leg.leg_no,
        "order_id": locked.order.order_id,
        "merchant_id": locked.case.merchant_id,
        "way": way.value,
        "case_version": locked.case.version,
        "amount_minor": leg.amount_minor,
        "currency": locked.order.currency,
        "account_kind": "",
        "account_tail": "",
        "paid_by": "",
        "reference": "",
        "paid_on": None,
        "proposed_by": principal.principal_id,
        "proposed_at": locked.now,
        "expires_at": locked.now + LIFE,
        **columns,
    }
    require(await payouts.add_proposal(conn, row), "payout_waits")
    data = {"proposal": proposal_id, "leg": leg.leg_no, "way": way.value, "amount_minor": leg.amount_minor}
    await record(conn, case_id, Event.PAYOUT_PROPOSED, at=locked.now, actor=principal.actor, data=data)
    return proposal_id


async def _drop(
    conn: Connection, locked: Locked, proposal: dict[str, Any], *, state: PayoutState, principal: Principal
) -> None:
    """Closed, its account destroyed. A sealed case has no more history to write."""
    await _close(conn, locked, proposal, state=state, principal=principal)
    if locked.case.state is not State.ARCHIVED:
        data = {"proposal": proposal["proposal_id"], "leg": proposal["leg_no"], "state": state.value}
        await record(conn, locked.case.case_id, Event.PAYOUT_DROPPED, at=locked.now, actor=principal.actor, data=data)


async def _close(
    conn: Connection, locked: Locked, proposal: dict[str, Any], *, state: PayoutState, principal: Principal
) -> None:
    is_first = await payouts.close_proposal(
        conn, proposal["proposal_id"], state=state.value, by=principal.principal_id, at=locked.now
    )
    require(is_first, "payout_closed")
    await privacy.forget_private(conn, locked.order.order_id, _field(proposal["proposal_id"]))


async def _carry_out(
    conn: Connection, services: Services, locked: Locked, proposal: dict[str, Any], principal: Principal
) -> other_account.Agreed | None:
    """Everything that one transaction can do; what is left is the call to the gateway."""
    leg = blocked_refund(locked, proposal["leg_no"])
    said = {
        "choice": proposal["way"],
        "leg": leg.leg_no,
        "proposal": proposal["proposal_id"],
        "first": proposal["proposed_by"],
        "second": principal.principal_id,
        "parts": [leg.part_no],
    }
    if proposal["way"] == PayoutWay.OFF_LINE:
        await _close(conn, locked, proposal, state=PayoutState.AGREED, principal=principal)
        require_not_paid(leg.code, has_number=bool(leg.number))
        await settle_off_line(conn, services, locked, leg, proposal, principal, said)
        return None
    account = await _open(conn, services, locked, proposal)
    await _close(conn, locked, proposal, state=PayoutState.AGREED, principal=principal)
    await _require_name(conn, services, locked, account)
    gateway_call, gateway = await other_account.prepare(conn, services, locked, leg)
    said["account"] = account.kind
    await other_account.let_go_on(conn, locked, gateway_call, principal, said, account=account)
    return other_account.Agreed(call=gateway_call, gateway=gateway, account=account)


async def _open(conn: Connection, services: Services, locked: Locked, proposal: dict[str, Any]) -> PayeeAccount:
    """Raises `payout_closed` where the order's key, and with it the account, is gone."""
    text = await privacy.open_private(
        conn,
        services.vault,
        locked.order.order_id,
        _field(proposal["proposal_id"]),
        case_id=locked.case.case_id,
        is_restricted_too=True,
    )
    if text is None:
        raise Refusal("payout_closed")
    return PayeeAccount(**orjson.loads(text))


async def _require_name(conn: Connection, services: Services, locked: Locked, account: PayeeAccount) -> None:
    """The merchant's own account has no name to compare."""
    if account.is_merchants:
        return
    known = await privacy.open_private(conn, services.vault, locked.order.order_id, "name", is_restricted_too=True)
    require_same_name(account.account_name, known)


def _field(proposal_id: str) -> str:
    return f"payee.{proposal_id}"
