"""A buyer asks that what is known of them be erased (RULES: records).

Records of a transaction are kept for years by law, so nothing is erased on the spot: at once nothing personal is shown or found any more, and on
the day the records need not be kept the key of the order is destroyed. The sealed history stays verifiable: it holds commitments, not words.
"""

from typing import Any

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.errors import Refusal
from unwind.flow.identity import require_identity
from unwind.flow.retention import kept_years
from unwind.flow.services import Services
from unwind.storage import erasures, locks, orders

ORDERS_MAX = 100
ANSWER = (
    "您的个人信息已停止展示和检索;依法须保留的交易记录将于{day}销毁密钥,届时无法再读取。",
    "Your personal data is no longer shown or searched. The record that the law makes us keep becomes unreadable for ever on {day}.",
)


async def ask_erasure(services: Services, principal: Principal, order_id: str) -> dict[str, Any]:
    """Restricted from now on. What an open case still has to tell the buyer is told."""
    async with services.database.transaction() as conn:
        await locks.lock_order(conn, order_id)
        row = await orders.read_order(conn, order_id)
        if row is None:
            raise Refusal("not_found")
        authorise(principal, Scope.CASES_REQUEST, merchant_id=row.order.merchant.merchant_id, order_id=order_id)
        await require_identity(conn, principal, order_id)
        years = await kept_years(conn, services)
        found = await erasures.ask_erasure(conn, order_id, by=principal.actor, at=row.now, years=years)
    day = found["erase_at"].date().isoformat()
    return {
        **found,
        "is_restricted": True,
        "answer": {"zh": ANSWER[0].format(day=day), "en": ANSWER[1].format(day=day)},
    }


async def erase_due(services: Services) -> bool:
    """True when there may be more."""
    async with services.database.transaction() as conn:
        years = await kept_years(conn, services)
        return await erasures.erase_due(conn, orders_max=ORDERS_MAX, years=years) == ORDERS_MAX
