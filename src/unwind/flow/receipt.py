"""A new case as one document: rows for every table, ready for one statement (`storage/cases.py`).

Legs that need nobody outside are done in the same transaction, up to the first that does.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from unwind.domain.case import CaseOutcome, Kind, PartState, Verdict
from unwind.domain.history import History
from unwind.domain.legs import LegKind, LegState
from unwind.domain.merchant_cancel import REASON_WORDS, MerchantReason, needs_agreement
from unwind.domain.order import LineId, Order
from unwind.domain.plan import LegDraft, PartPlan, build_legs, local_prefix
from unwind.domain.promotion import NOTHING, Overlay
from unwind.domain.refund_split import RefundShare
from unwind.domain.stock import Bucket
from unwind.domain.terms import reissue_until
from unwind.domain.timetable import Timetable
from unwind.domain.transitions import Event, State
from unwind.flow.clocks import WorkedOut, start_clocks
from unwind.flow.screen import Screened, case_verdict, kind_of, leading
from unwind.storage import cases, locks, money
from unwind.storage.database import Connection
from unwind.storage.stock import UnitMove, move_row

AT_ONCE_CHANNELS = frozenset({"app", "api", "merchant", "bulk", "timeout"})
"""Where the buyer reads our own inbox, so that telling needs nobody outside."""

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_case_id(now: datetime) -> str:
    """`UW` + date + ten random characters that can be read over a telephone."""
    bits = secrets.randbits(50)
    return f"UW{now:%y%m%d}-" + "".join(CROCKFORD[bits >> shift & 31] for shift in range(45, -1, -5))


@dataclass(frozen=True, slots=True, kw_only=True)
class StockMove:
    units: Mapping[LineId, int]
    source: Bucket
    target: Bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    part_no: int
    shares: tuple[RefundShare, ...]


@dataclass(slots=True, kw_only=True)
class Receipt:
    """`document` goes to `create_cases`; `reservations` follow in the same transaction."""

    case_id: str
    state: State
    document: dict[str, list[dict[str, Any]]]
    moves: list[StockMove] = field(default_factory=list)
    reservations: list[Reservation] = field(default_factory=list)
    money_minor: int = 0
    outcome: CaseOutcome | None = None
    respond_due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a case comes from. `reason` is the one that was read; `tags` hold labels and positions, never words."""

    channel: str
    actor: str
    reason: str
    tags: Mapping[str, object]
    policy_version: str
    parent_case_id: str | None = None
    stated: str = ""
    """Where it is not `reason`."""
    fault: str = ""
    is_scam: bool = False
    merchant_reason: str = ""
    note: Mapping[str, object] = field(default_factory=dict)
    overlay: Overlay = NOTHING
    """The promotions it was screened under."""
    consent: str = ""
    """Digest of the plan that the buyer has agreed to; empty: nothing was taken from them, or nobody was asked (an unpaid balance)."""


def write_down(
    order: Order,
    screened: tuple[Screened, ...],
    origin: Origin,
    *,
    case_id: str,
    now: datetime,
    timetable: Timetable | None = None,
) -> Receipt:
    """The case with its parts, legs, history and first messages. It has clocks when it waits for a person."""
    lead = leading(screened)
    verdict = case_verdict(screened)
    kind = kind_of(screened)
    history = History(case_id=case_id, at=now)
    history.add(
        Event.RECEIVED, actor=origin.actor, data={"channel": origin.channel, "reason": origin.reason, **origin.note}
    )
    receipt = Receipt(case_id=case_id, state=State.RECEIVED, document={})
    parts: list[dict[str, Any]] = []
    legs: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    taken: dict[LineId, int] = {}
    parcel_units: list[dict[str, Any]] = []
    holds_lines = kind is not Kind.INQUIRY
    for part_no, one in enumerate(screened, start=1):
        if not holds_lines:
            break
        state = _part_state(one.decision.verdict)
        drafts: tuple[LegDraft, ...] = ()
        if state is PartState.EXECUTING:
            drafts = build_legs(order, one.part, refund_on=one.decision.refund_on)
            moves = moves_of(one.part, drafts[: local_prefix(drafts)])
            receipt.moves += moves
            parcel_units += _parcel_units(order, one.part, moves)
            for line_id, units in one.part.quantities.items():
                taken[line_id] = taken.get(line_id, 0) + units
            if one.part.amounts.shares:
                receipt.reservations.append(Reservation(part_no=part_no, shares=one.part.amounts.shares))
        if state is not PartState.DECLINED:
            receipt.money_minor += one.part.amounts.returned_minor
        done = local_prefix(drafts)
        if drafts and done == len(drafts):
            state = PartState.DONE
        parts.append(_part_row(case_id, part_no, one, state))
        lines += [
            {"case_id": case_id, "part_no": part_no, "order_id": order.order_id, "line_id": line_id, "units": units}
            for line_id, units in one.part.quantities.items()
        ]
        legs += [
            _leg_row(case_id, len(legs) + i + 1, part_no, draft, is_done=i < done) for i, draft in enumerate(drafts)
        ]
    executing = {part["part_no"] for part in parts if part["state"] in {PartState.EXECUTING, PartState.DONE}}
    kept = [(n, one) for n, one in enumerate(screened, start=1) if n in executing and one.takes_from_buyer]
    _screen_event(history, lead, verdict, origin)
    all_done = bool(parts) and all(part["state"] == PartState.DONE for part in parts)
    completes = any(one.part.completes_order for one in screened if one.decision.verdict is Verdict.AUTO)
    is_closed = all_done and origin.channel in AT_ONCE_CHANNELS
    if is_closed:
        history.add(Event.CLOSED_AT_ONCE, actor="system:unwind", data={"units": sum(taken.values()), "legs": len(legs)})
        receipt.outcome = CaseOutcome.CANCELLED if completes else CaseOutcome.PARTLY_CANCELLED
    elif verdict is Verdict.DECLINE:
        receipt.outcome = CaseOutcome.DECLINED
    receipt.state = history.state
    clocks = _clocks(timetable, order, lead, origin, receipt, now=now)
    local_cancel = [leg for leg in legs if leg["state"] == LegState.SUCCEEDED and leg["kind"] == LegKind.CANCEL_ORDER]
    benefit_ids = [
        leg["target"].removeprefix("benefit:")
        for leg in legs
        if leg["state"] == LegState.SUCCEEDED and leg["kind"] == LegKind.RESTORE_BENEFIT
    ]
    receipt.document = {
        "cases": [
            {
                "case_id": case_id,
                "kind": kind.value,
                "order_id": order.order_id,
                "merchant_id": order.merchant.merchant_id,
                "parent_case_id": origin.parent_case_id,
                "channel": origin.channel,
                "state": history.state.value,
                "event_seq": history.seq,
                "head": history.head.hex(),
                "reason": origin.reason,
                "stated_reason": origin.stated or origin.reason,
                "fault": origin.fault,
                "tags": dict(origin.tags),
                "verdict": verdict.value,
                "rule": lead.decision.rule,
                "policy_version": origin.policy_version,
                "overlay": origin.overlay.stored(),
                "facts": [one.facts.as_context() for one in screened],
                "priority": lead.decision.priority,
                "outcome": receipt.outcome,
                "money_minor": receipt.money_minor,
                "opened_at": now,
                "acked_at": now,
                "decided_at": now if verdict is not Verdict.REVIEW else None,
                "closed_at": now if is_closed else None,
                "respond_warn_at": clocks.respond.warn_at if clocks else None,
                "respond_due_at": receipt.respond_due_at,
                "next_check_at": None if is_closed else now,
            }
        ],
        "parts": parts,
        "lines": lines,
        "open_lines": [
            {"order_id": order.order_id, "line_id": line_id, "case_id": case_id}
            for line_id in sorted({line["line_id"] for line in lines})
            if not is_closed and verdict is not Verdict.DECLINE
        ],
        "line_changes": _line_changes(order, taken, receipt.moves),
        "moves": [
            move_row(
                UnitMove(
                    order_id=order.order_id,
                    line_id=line_id,
                    units=units,
                    case_id=case_id,
                    source=m.source,
                    target=m.target,
                ),
                now,
            )
            for m in receipt.moves
            for line_id, units in m.units.items()
        ],
        "parcel_units": parcel_units,
        "legs": legs,
        "events": history.events,
        "messages": _first_messages(order, case_id, origin, receipt, verdict, kind, now=now, is_closed=is_closed),
        "orders": [
            {
                "order_id": order.order_id,
                "is_cancelled": bool(local_cancel),
                "at": now,
                "kept_minor": sum(one.part.keep_minor for _, one in kept),
            }
        ],
        "clocks": [clocks.row] if clocks else [],
        "benefits": [
            {
                "order_id": order.order_id,
                "benefit_id": benefit_id,
                "at": now,
                "reissue_until": reissue_until(order.merchant.money, now),
            }
            for benefit_id in benefit_ids
        ],
        "costs": _costs(order, case_id, origin, kept, now=now),
        "consents": [_consent_row(case_id, part_no, one, origin, now=now) for part_no, one in kept if origin.consent],
    }
    return receipt


def _costs(
    order: Order, case_id: str, origin: Origin, kept: Sequence[tuple[int, Screened]], *, now: datetime
) -> list[dict[str, Any]]:
    """What is kept of the parts, as the cost ledger has it."""
    costs = [(part_no, cost) for part_no, one in kept for cost in one.published.costs]
    return [
        {
            "case_id": case_id,
            "n": n,
            "part_no": part_no,
            "fee": cost.fee.value,
            "amount_minor": cost.amount_minor,
            "currency": order.currency,
            "bearer": cost.bearer.value,
            "reference": "published_terms",
            "noted_by": origin.actor,
            "noted_at": now,
        }
        for n, (part_no, cost) in enumerate(costs, start=1)
    ]


def _consent_row(case_id: str, part_no: int, one: Screened, origin: Origin, *, now: datetime) -> dict[str, Any]:
    """A question that was answered before it was asked: the dry run showed the three amounts, the request agreed to them."""
    amounts = one.part.amounts
    return {
        "question_id": f"{case_id}-q{part_no}",
        "case_id": case_id,
        "n": part_no,
        "subject": {
            "paid_minor": amounts.paid_minor,
            "kept_minor": one.part.keep_minor + amounts.lost_minor,
            "amount_minor": amounts.returned_minor,
            "costs": [[cost.fee, cost.amount_minor, cost.bearer] for cost in one.published.costs],
            "deductions": [[lost.reason, lost.amount_minor] for lost in amounts.deductions],
        },
        "digest": origin.consent,
        "answered_by": origin.actor,
        "at": now,
        "evidence": {"how": "page"},
    }


def _clocks(
    timetable: Timetable | None, order: Order, lead: Screened, origin: Origin, receipt: Receipt, *, now: datetime
) -> WorkedOut | None:
    """Only for what waits for a person; what closes at once has none."""
    if receipt.state is not State.REVIEW:
        return None
    clocks = start_clocks(
        timetable or Timetable(),
        case_id=receipt.case_id,
        merchant_id=order.merchant.merchant_id,
        channel=origin.channel,
        kind=lead.decision.kind,
        is_urgent=lead.decision.is_urgent,
        now=now,
        overlay=origin.overlay,
        latest=order.terms.platform_deadline_at,
    )
    receipt.respond_due_at = clocks.respond.due_at
    return clocks


async def store_receipt(conn: Connection, order: Order, receipt: Receipt) -> None:
    """One case into the tables, locks in their order: payments, benefits, stock last."""
    shares = [share for reservation in receipt.reservations for share in reservation.shares]
    if shares:
        await locks.lock_payments(conn, [share.payment_id for share in shares])
    await cases.create_cases(conn, receipt.document)
    for reservation in receipt.reservations:
        await money.reserve_refunds(
            conn,
            order_id=order.order_id,
            case_id=receipt.case_id,
            part_no=reservation.part_no,
            currency=order.currency,
            shares=reservation.shares,
        )


def join_documents(receipts: Sequence[Receipt]) -> dict[str, list[dict[str, Any]]]:
    """Many cases as one document for one write."""
    document: dict[str, list[dict[str, Any]]] = {}
    for receipt in receipts:
        for section, rows in receipt.document.items():
            document.setdefault(section, []).extend(rows)
    return document


def _line_changes(order: Order, taken: Mapping[LineId, int], moves: list[StockMove]) -> list[dict[str, Any]]:
    """What one write changes of each line: the units spoken for and the buckets they pass through."""
    changes: dict[LineId, dict[str, Any]] = {
        line_id: {
            "order_id": order.order_id,
            "line_id": line_id,
            "taken": units,
            "reserved": 0,
            "held": 0,
            "restocked": 0,
        }
        for line_id, units in sorted(taken.items())
    }
    for move in moves:
        for line_id, units in move.units.items():
            changes[line_id][move.source.value] -= units
            changes[line_id][move.target.value] += units
    return list(changes.values())


def _parcel_units(order: Order, part: PartPlan, moves: list[StockMove]) -> list[dict[str, Any]]:
    """Units spoken for in their parcel, so that no later request counts them again; put back at once, they do not leave in it."""
    if part.shipment is None:
        return []
    is_shelved = any(move.target is Bucket.RESTOCKED for move in moves)
    place = {"order_id": order.order_id, "shipment_id": part.shipment.shipment_id}
    return [
        {**place, "line_id": line_id, "units": units, "landed": units if is_shelved else 0}
        for line_id, units in part.quantities.items()
    ]


def _part_state(verdict: Verdict) -> PartState:
    return {
        Verdict.AUTO: PartState.EXECUTING,
        Verdict.REVIEW: PartState.REVIEW,
        Verdict.DECLINE: PartState.DECLINED,
    }[verdict]


def _screen_event(history: History, lead: Screened, verdict: Verdict, origin: Origin) -> None:
    event = {
        Verdict.AUTO: Event.SCREENED_AUTO,
        Verdict.REVIEW: Event.SCREENED_REVIEW,
        Verdict.DECLINE: Event.SCREENED_DECLINE,
    }[verdict]
    history.add(event, actor="system:unwind", data={"rule": lead.decision.rule, "policy": origin.policy_version})
    if origin.is_scam:
        history.add(Event.SCAM_FLAGGED, actor="system:unwind", data={"kind": "outside_payment"})


def _part_row(case_id: str, part_no: int, one: Screened, state: PartState) -> dict[str, Any]:
    return {
        "case_id": case_id,
        "part_no": part_no,
        "kind": one.part.kind.value,
        "shipment_id": one.part.shipment.shipment_id if one.part.shipment else "",
        "state": state.value,
        "stage": one.part.stage.value,
        "verdict": one.decision.verdict.value,
        "rule": one.decision.rule,
        "refund_on": one.decision.refund_on.value,
        "returned_minor": one.part.amounts.returned_minor,
        "completes_order": one.part.completes_order,
        "kept_minor": one.part.keep_minor,
        "lost_minor": one.part.amounts.lost_minor if state in {PartState.EXECUTING, PartState.DONE} else 0,
        "policy_verdict": one.policy.verdict.value if one.policy else "",
        "policy_rule": one.policy.rule if one.policy else "",
    }


def _leg_row(case_id: str, leg_no: int, part_no: int, draft: LegDraft, *, is_done: bool) -> dict[str, Any]:
    return {
        "case_id": case_id,
        "leg_no": leg_no,
        "part_no": part_no,
        "kind": draft.kind.value,
        "rank": draft.rank,
        "is_local": draft.is_local,
        "state": LegState.SUCCEEDED.value if is_done else LegState.PLANNED.value,
        "target": draft.target,
        "amount_minor": draft.amount_minor,
        "evidence": {},
    }


def moves_of(part: PartPlan, done: tuple[LegDraft, ...]) -> list[StockMove]:
    """The stock moves of local legs: a block holds the units, a release gives them back to the pool."""
    moves: list[StockMove] = []
    is_held = False
    for leg in done:
        if leg.kind is LegKind.HOLD_SHIPMENT:
            moves.append(StockMove(units=part.quantities, source=Bucket.RESERVED, target=Bucket.HELD))
            is_held = True
        elif leg.kind is LegKind.RELEASE_STOCK:
            source = Bucket.HELD if is_held else Bucket.RESERVED
            moves.append(StockMove(units=part.quantities, source=source, target=Bucket.RESTOCKED))
    return moves


def _first_messages(
    order: Order,
    case_id: str,
    origin: Origin,
    receipt: Receipt,
    verdict: Verdict,
    kind: Kind,
    *,
    now: datetime,
    is_closed: bool,
) -> list[dict[str, Any]]:
    """What the buyer is told first. Everything later is told by `notify.py` when it is true."""
    minutes = 0
    if receipt.respond_due_at is not None:
        minutes = (receipt.respond_due_at - now) // timedelta(minutes=1)
    params: dict[str, object] = {"minutes": minutes}
    channel = buyer_channel(origin.channel)
    if origin.merchant_reason:
        zh, en = REASON_WORDS[MerchantReason(origin.merchant_reason)]
        params |= {"reason_zh": zh, "reason_en": en}
        channel = channel if is_closed else "sms"
    facts = _first_facts(order, origin, verdict, kind, is_closed=is_closed)
    return [
        {
            "message_id": f"{case_id}-buyer-{fact}",
            "case_id": case_id,
            "order_id": order.order_id,
            "audience": "buyer",
            "channel": channel,
            "fact": fact,
            "params": params,
            "state": "sent" if is_closed else "due",
            "sent_at": now if is_closed else None,
        }
        for fact in facts
    ]


def _first_facts(order: Order, origin: Origin, verdict: Verdict, kind: Kind, *, is_closed: bool) -> list[str]:
    facts = ["scam_warning"] if origin.is_scam else []
    if origin.merchant_reason and verdict is not Verdict.DECLINE:
        is_asked = verdict is Verdict.REVIEW and needs_agreement(origin.channel, order)
        facts.append("merchant_asks" if is_asked else "merchant_cancels")
    if is_closed:
        facts.append("cancelled_unpaid" if origin.channel != "timeout" else "closed_unpaid")
    elif verdict is Verdict.REVIEW and not origin.merchant_reason:
        facts.append("in_review" if kind is not Kind.INQUIRY else "inquiry_received")
    elif verdict is Verdict.DECLINE:
        facts.append("declined")
    return facts


def buyer_channel(channel: str) -> str:
    """App buyers read their inbox; everybody else gets a text message."""
    return "inbox" if channel in AT_ONCE_CHANNELS else "sms"
