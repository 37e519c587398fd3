"""What happens after a case was sealed opens a linked case of its own; a sealed one is never reopened.

Late payment: refunded in full by itself. Goods that moved after the money left, a reversed refund, a bad rating: a person owns it (I5).
"""

from unwind.domain.access import SYSTEM
from unwind.domain.case import Kind, PartKind, PartState, RefundOn, Verdict
from unwind.domain.history import History
from unwind.domain.legs import SPECS, LegKind, LegState
from unwind.domain.order import AttemptState, Order, Payment, ReturnsAs
from unwind.domain.refund_split import RefundShare
from unwind.domain.terms import Purpose
from unwind.domain.transitions import Event
from unwind.flow.clocks import start_clocks
from unwind.flow.receipt import new_case_id
from unwind.flow.services import Services
from unwind.storage import cases, locks, money, orders
from unwind.storage.database import Connection

PRIORITY = 90
PRIORITIES = {"bad_rating": 50}
"""Nothing is lost yet where a buyer is only unhappy: behind what is late, before what is quiet."""
EXPLAIN = {
    "late_payment": ("订单取消后才到账:自动原路退回", "Paid after the order was cancelled: returned automatically"),
    "shipped_after_refund": (
        "已退款的商品发出了:人工处理",
        "Goods left after their money was returned: a person owns it",
    ),
    "delivered_after_refund": (
        "已退款的商品送达了:人工处理",
        "Goods arrived after their money was returned: a person owns it",
    ),
    "bad_rating": ("买家评价不满意:人工回访", "The buyer was not satisfied: a person looks into it"),
    "refund_reversed": ("退款被退回:人工处理", "A final refund was reversed: a person owns it"),
}


async def open_late_payment(
    conn: Connection, services: Services, order_id: str, *, parent_case_id: str | None
) -> str | None:
    """Returns what was captured for a cancelled order and is not on its way back. The order row is locked."""
    row = await orders.read_order(conn, order_id)
    if row is None:
        return None
    shares = _stray_money(row.order)
    if not shares:
        return None
    await locks.lock_payments(conn, [share.payment_id for share in shares])
    key = "late_payment:" + ":".join(sorted(share.payment_id for share in shares))
    return await _open(
        conn, services, row, rule="late_payment", key=f"{order_id}:{key}", parent_case_id=parent_case_id, shares=shares
    )


async def open_incident(
    conn: Connection, services: Services, order_id: str, *, rule: str, detail: str, parent_case_id: str | None
) -> str | None:
    """A person owns what happened. None when this very thing already has its case."""
    row = await orders.read_order(conn, order_id)
    if row is None:
        return None
    return await _open(
        conn, services, row, rule=rule, key=f"{order_id}:{rule}:{detail}", parent_case_id=parent_case_id, shares=()
    )


def _stray_money(order: Order) -> tuple[RefundShare, ...]:
    if not order.is_cancelled:
        return ()
    kept, shares = order.kept_minor, []
    for payment in sorted(order.payments, key=_is_new):
        if payment.state is not AttemptState.CAPTURED or payment.returns_as is not ReturnsAs.CASH:
            continue
        stray = min(payment.share_minor, payment.captured_minor) - payment.booked_minor
        held = min(kept, max(0, stray))
        kept -= held
        if stray > held:
            shares.append(RefundShare(payment_id=payment.payment_id, amount_minor=stray - held))
    return tuple(sorted(shares, key=lambda share: share.payment_id))


def _is_new(payment: Payment) -> bool:
    """Nothing of it was part of what was kept with consent, or as published."""
    return payment.booked_minor == 0 and payment.purpose is not Purpose.DEPOSIT


async def _open(
    conn: Connection,
    services: Services,
    row: orders.OrderRow,
    *,
    rule: str,
    key: str,
    parent_case_id: str | None,
    shares: tuple[RefundShare, ...],
) -> str | None:
    if await cases.has_aftermath(conn, key):
        return None
    order, now = row.order, row.now
    is_auto = bool(shares) and not order.merchant.is_halted
    case_id = new_case_id(now)
    history = History(case_id=case_id, at=now)
    history.add(
        Event.RECEIVED,
        actor=SYSTEM.actor,
        data={"channel": "timeout", "reason": "OTHER", "after": parent_case_id or ""},
    )
    event = Event.SCREENED_AUTO if is_auto else Event.SCREENED_REVIEW
    history.add(event, actor=SYSTEM.actor, data={"rule": rule, "policy": services.policy.version})
    clocks = None
    if not is_auto:
        clocks = start_clocks(
            services.hours.timetable,
            case_id=case_id,
            merchant_id=order.merchant.merchant_id,
            channel="timeout",
            kind=Kind.AFTERMATH,
            is_urgent=False,
            now=now,
            overlay=services.hours.overlay_at(order.merchant.merchant_id, now),
        )
    verdict = Verdict.AUTO if is_auto else Verdict.REVIEW
    document: dict[str, list[dict[str, object]]] = {
        "cases": [
            {
                "case_id": case_id,
                "kind": Kind.AFTERMATH,
                "order_id": order.order_id,
                "merchant_id": order.merchant.merchant_id,
                "parent_case_id": parent_case_id,
                "aftermath_key": key,
                "channel": "timeout",
                "state": history.state,
                "event_seq": history.seq,
                "head": history.head.hex(),
                "reason": "OTHER",
                "stated_reason": "OTHER",
                "tags": {},
                "verdict": verdict,
                "rule": rule,
                "policy_version": services.policy.version,
                "facts": [],
                "priority": PRIORITIES.get(rule, PRIORITY),
                "outcome": None,
                "money_minor": sum(share.amount_minor for share in shares),
                "opened_at": now,
                "acked_at": now,
                "respond_warn_at": clocks.respond.warn_at if clocks else None,
                "respond_due_at": clocks.respond.due_at if clocks else None,
                "next_check_at": now,
            }
        ],
        "parts": _parts(case_id, verdict, rule, shares),
        "legs": [
            {
                "case_id": case_id,
                "leg_no": leg_no,
                "part_no": 1,
                "kind": LegKind.REFUND,
                "rank": SPECS[LegKind.REFUND].rank,
                "is_local": False,
                "state": LegState.PLANNED,
                "target": share.payment_id,
                "amount_minor": share.amount_minor,
                "evidence": {},
            }
            for leg_no, share in enumerate(shares, start=1)
        ],
        "events": history.events,
        "clocks": [clocks.row] if clocks else [],
    }
    await cases.create_cases(conn, document)
    await money.reserve_refunds(
        conn, order_id=order.order_id, case_id=case_id, part_no=1, currency=order.currency, shares=shares
    )
    return case_id


def _parts(case_id: str, verdict: Verdict, rule: str, shares: tuple[RefundShare, ...]) -> list[dict[str, object]]:
    if not shares:
        return []
    return [
        {
            "case_id": case_id,
            "part_no": 1,
            "kind": PartKind.UNSHIPPED,
            "shipment_id": "",
            "state": PartState.EXECUTING if verdict is Verdict.AUTO else PartState.REVIEW,
            "stage": "none",
            "verdict": verdict,
            "rule": rule,
            "refund_on": RefundOn.RECALL_CONFIRMED,
            "returned_minor": sum(share.amount_minor for share in shares),
            "completes_order": False,
        }
    ]
