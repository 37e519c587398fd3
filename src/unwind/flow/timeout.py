"""Orders past their time limit of payment are closed in batches: one transaction for many orders, each with its own case and history.

A pre-sale whose balance was not paid closes the same way: its deposit (定金) is kept as published, what was paid in advance returns. Where its
goods have moved, or its merchant's money may not return by itself, a person decides.
"""

from collections.abc import Sequence
from dataclasses import replace

from unwind.domain.access import SYSTEM
from unwind.domain.case import Kind, RefundOn, Verdict
from unwind.domain.order import Order
from unwind.domain.plan import PartPlan, complete_wish, partition, reprice
from unwind.domain.published import balance_of, published_terms
from unwind.domain.stage import IN_THE_HOUSE
from unwind.flow.receipt import Origin, Receipt, join_documents, new_case_id, store_receipt, write_down
from unwind.flow.screen import Screened
from unwind.flow.services import Services
from unwind.policy.engine import Decision
from unwind.policy.facts import Words, gather_facts
from unwind.storage import cases, orders
from unwind.storage.orders import OrderRow

ORDERS_MAX = 64

DECISION = Decision(
    verdict=Verdict.AUTO,
    rule="unpaid_time_limit",
    priority=10,
    is_urgent=False,
    kind=Kind.CANCELLATION,
    refund_on=RefundOn.RECALL_CONFIRMED,
    explain_zh="超过付款时限,自动关闭",
    explain_en="Not paid within the time limit: closed",
)
WORDS = Words(reason="OTHER", intent="CANCEL", urgency="NORMAL", emotion="NEUTRAL", not_received=False)


BALANCE = replace(
    DECISION,
    rule="balance_time_limit",
    explain_zh="超过尾款支付时限,自动关闭:定金按已公布的规则处理",
    explain_en="The balance was not paid within its time: closed, the deposit goes as published",
)


async def close_unpaid(services: Services, *, orders_max: int = ORDERS_MAX) -> int:
    """Closes one batch. Returns how many orders were closed; orders somebody is working on wait for the next."""
    async with services.database.transaction() as conn:
        order_ids = await orders.due_unpaid_orders(conn, orders_max=orders_max)
        if not order_ids:
            return 0
        rows = await orders.read_orders(conn, order_ids)
        receipts = [(row.order, _receipt(services, row)) for row in rows]
        plain = [receipt for order, receipt in receipts if balance_of(order) == "none"]
        await cases.create_cases(conn, join_documents(plain))
        for order, receipt in receipts:
            if balance_of(order) != "none":
                await store_receipt(conn, order, receipt)
        return len(rows)


def _receipt(services: Services, row: OrderRow) -> Receipt:
    order = row.order
    parts = partition(order, complete_wish(order, None))
    screened = tuple(_screened(row, part, parts) for part in parts)
    origin = Origin(
        channel="timeout", actor=SYSTEM.actor, reason="OTHER", tags={}, policy_version=services.policy.version
    )
    return write_down(
        order, screened, origin, case_id=new_case_id(row.now), now=row.now, timetable=services.hours.timetable
    )


def _screened(row: OrderRow, part: PartPlan, parts: Sequence[PartPlan]) -> Screened:
    facts = gather_facts(row.order, part, words=WORDS, channel="timeout", risk=row.risk, elsewhere_minor=0, now=row.now)
    if balance_of(row.order) == "none":
        return Screened(part=part, facts=facts, decision=DECISION)
    terms = published_terms(row.order, part)
    [kept] = reprice(row.order, [replace(part, keep_minor=terms.kept_minor)])
    if _needs_person(row.order, kept, parts):
        return Screened(part=part, facts=facts, decision=replace(BALANCE, verdict=Verdict.REVIEW), published=terms)
    return Screened(part=kept, facts=facts, decision=BALANCE, published=terms)


def _needs_person(order: Order, part: PartPlan, parts: Sequence[PartPlan]) -> bool:
    """Goods that have left or lie in several places, and money that may not return by itself."""
    is_trusted = order.merchant.automation == "auto" and not order.merchant.is_halted
    return len(parts) > 1 or part.stage not in IN_THE_HOUSE or (part.amounts.returned_minor > 0 and not is_trusted)
