"""Unpaid orders past their time limit are closed in batches: one transaction for many orders, each with its own case and history."""

from unwind.domain.access import SYSTEM
from unwind.domain.case import Kind, RefundOn, Verdict
from unwind.domain.plan import complete_wish, partition
from unwind.flow.receipt import Origin, Receipt, join_documents, new_case_id, write_down
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


async def close_unpaid(services: Services, *, orders_max: int = ORDERS_MAX) -> int:
    """Closes one batch. Returns how many orders were closed; orders somebody is working on wait for the next."""
    async with services.database.transaction() as conn:
        order_ids = await orders.due_unpaid_orders(conn, orders_max=orders_max)
        if not order_ids:
            return 0
        rows = await orders.read_orders(conn, order_ids)
        await cases.create_cases(conn, join_documents([_receipt(services, row) for row in rows]))
        return len(rows)


def _receipt(services: Services, row: OrderRow) -> Receipt:
    order = row.order
    screened = tuple(
        Screened(
            part=part,
            facts=gather_facts(
                order, part, words=WORDS, channel="timeout", risk=row.risk, elsewhere_minor=0, now=row.now
            ),
            decision=DECISION,
        )
        for part in partition(order, complete_wish(order, None))
    )
    origin = Origin(
        channel="timeout", actor=SYSTEM.actor, reason="OTHER", tags={}, policy_version=services.policy.version
    )
    return write_down(order, screened, origin, case_id=new_case_id(row.now), now=row.now)
