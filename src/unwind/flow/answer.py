"""What the asker is told: case, outcome, rule, explanation, what happens next, what comes back and when."""

from collections.abc import Iterable, Mapping
from typing import Any

from unwind.domain.case import CaseOutcome, Kind, Verdict
from unwind.domain.order import LineId, Order
from unwind.domain.transitions import State
from unwind.flow.estimates import Route, estimate_for, route_of
from unwind.flow.receipt import Receipt
from unwind.flow.screen import Screened, kind_of, leading

NEXT = {
    "cancelled": ("订单已取消", "The order is cancelled"),
    "cancelling": (
        "正在为您取消:先拦下商品,再原路退款",
        "Being cancelled: the goods are stopped first, then the money returns",
    ),
    "in_review": ("需人工确认,客服会尽快答复", "A person confirms; you will be answered soon"),
    "declined": (
        "不能按取消处理,可申请退货或要求人工客服",
        "Not possible as a cancellation; ask for a return or a person",
    ),
    "inquiry": ("已转客服,会尽快答复", "Passed to an agent, who will answer soon"),
    "partly_cancelled": ("部分商品已取消", "Part of the order is cancelled"),
    "answered": ("您的问题已处理", "Your question has been dealt with"),
    "waiting": ("按约定为您保留订单并跟进", "The order is kept and watched as agreed"),
    "retained": ("订单已按约定保留", "The order is kept as agreed"),
    "handed_on": ("已转售后处理", "Passed to after-sales"),
    "withdrawn": ("取消申请已撤回,订单继续", "The request is withdrawn; the order goes on"),
}


def outcome_of(*, kind: str, state: str, verdict: str, outcome: str | None) -> str:
    """One word for the asker; a key of NEXT."""
    if outcome is not None:
        return str(CaseOutcome(outcome))
    if kind == Kind.INQUIRY:
        return "inquiry"
    if state == State.REVIEW:
        return "in_review"
    if state == State.WATCHING:
        return "waiting"
    return "declined" if verdict == Verdict.DECLINE else "cancelling"


def for_receipt(
    order: Order,
    receipt: Receipt,
    screened: tuple[Screened, ...],
    *,
    also_open: Mapping[LineId, str],
    arrival: tuple[str, str] | None = None,
) -> dict[str, Any]:
    """The answer to a request that opened a case."""
    lead = leading(screened)
    case = receipt.document["cases"][0]
    word = outcome_of(
        kind=kind_of(screened).value,
        state=receipt.state.value,
        verdict=lead.decision.verdict.value,
        outcome=receipt.outcome,
    )
    is_cancelled_here = bool(receipt.document["orders"][0]["is_cancelled"])
    if word == "cancelling" and is_cancelled_here and not receipt.reservations:
        word = "cancelled"
    payments = {p.payment_id: p for p in order.payments}
    refunds = [
        (route_of(payments[share.payment_id]), share.amount_minor)
        for reservation in receipt.reservations
        for share in reservation.shares
    ]
    return {
        "case_id": receipt.case_id,
        "order_id": order.order_id,
        "outcome": word,
        "state": receipt.state.value,
        "rule": lead.decision.rule,
        "explanation": {"zh": lead.decision.explain_zh, "en": lead.decision.explain_en},
        "next": dict(zip(("zh", "en"), NEXT[word], strict=True)),
        "reason": case["reason"],
        "respond_due_at": receipt.respond_due_at,
        "refund": refund_estimate(refunds, order.currency, arrival=arrival),
        "parts": [
            {
                "part_no": part_no,
                "kind": one.part.kind.value,
                "stage": one.part.stage.value,
                "verdict": one.decision.verdict.value,
                "rule": one.decision.rule,
                "lines": dict(one.part.quantities),
            }
            for part_no, one in enumerate(screened, start=1)
        ],
        "already_open": dict(also_open),
    }


def for_existing(
    order: Order,
    case: Mapping[str, Any],
    refunds: Iterable[Mapping[str, Any]],
    *,
    arrival: tuple[str, str] | None = None,
) -> dict[str, Any]:
    """The answer to a request for something that a case already holds or has done."""
    word = outcome_of(kind=case["kind"], state=case["state"], verdict=case["verdict"], outcome=case["outcome"])
    return {
        "case_id": case["case_id"],
        "order_id": order.order_id,
        "outcome": word,
        "state": case["state"],
        "rule": case["rule"],
        "explanation": dict(zip(("zh", "en"), NEXT[word], strict=True)),
        "next": dict(zip(("zh", "en"), NEXT[word], strict=True)),
        "reason": case["reason"],
        "respond_due_at": case["respond_due_at"],
        "refund": refund_estimate(
            [(Route(r["method"], r["payer"], r["how"]), r["amount_minor"]) for r in refunds],
            order.currency,
            arrival=arrival,
        ),
        "parts": [
            {
                "part_no": part["part_no"],
                "kind": part["kind"],
                "stage": part["stage"],
                "verdict": part["verdict"],
                "rule": part["rule"],
                "lines": part["quantities"],
            }
            for part in case["parts"] or ()
        ],
        "already_open": {},
    }


def refund_estimate(
    refunds: Iterable[tuple[Route, int]], currency: str, *, arrival: tuple[str, str] | None = None
) -> dict[str, Any]:
    """Per refund (route, amount in minor units), with the estimate of that route. `arrival`: what a promotion says instead."""
    rows = []
    for route, amount in refunds:
        by = estimate_for(route)
        said = arrival or (by.zh, by.en)
        estimate = dict(zip(("zh", "en"), said, strict=True))
        rows.append({"method": route.method, "amount_minor": amount, "estimate": estimate})
    return {"amount_minor": sum(row["amount_minor"] for row in rows), "currency": currency, "payments": rows}
