"""How much may be returned automatically: the last question before an automatic refund is written down, asked under the merchant's count.

What is over a cap, or meets an open breaker, goes to a person with the rule that says so. Nothing that returns no money is counted, and
nothing is asked where nothing is limited, so the unpaid cancellation pays nothing for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from unwind.domain.case import Verdict
from unwind.domain.trust import merged
from unwind.flow.screen import Screened, to_a_person
from unwind.storage import alerts, breaker_runs, trust
from unwind.storage.database import Connection
from unwind.storage.orders import OrderRow

SOURCE = "automation"
BREAKER_OPEN = "breaker_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """The parts as they may go on; and what somebody should be told of, once everything else is written."""

    screened: tuple[Screened, ...]
    alert: str = ""
    code: str = ""


async def within_limits(
    conn: Connection,
    row: OrderRow,
    screened: tuple[Screened, ...],
    *,
    case_id: str,
    more: Mapping[str, int],
) -> Allowed:
    """`more`: of the promotions that hold now."""
    merchant = row.order.merchant
    caps = merged(merchant.limits, more)
    counted = [one for one in screened if _is_counted(one)]
    if not counted or not (caps or merchant.has_breaker):
        return Allowed(screened=screened)
    refused = await trust.take_allowance(
        conn,
        merchant_id=merchant.merchant_id,
        case_id=case_id,
        minor=sum(one.part.amounts.returned_minor for one in counted),
        skus=sorted({row.order.line(line_id).sku for one in counted for line_id in one.part.quantities}),
        caps=caps,
        time_zone=merchant.time_zone,
    )
    if refused is None:
        return Allowed(screened=screened)
    if refused["rule"] == BREAKER_OPEN:
        await breaker_runs.note_stopped(conn, case_id, merchant_id=merchant.merchant_id, sku=refused["subject"])
    kept = tuple(
        replace(one, decision=to_a_person(one.decision, refused["rule"])) if _is_counted(one) else one
        for one in screened
    )
    subject = ":".join(part for part in (merchant.merchant_id, refused["subject"], refused["cause"]) if part)
    return Allowed(screened=kept, alert=refused["rule"], code=subject)


def _is_counted(one: Screened) -> bool:
    return one.decision.verdict is Verdict.AUTO and one.part.amounts.returned_minor > 0


async def tell(conn: Connection, allowed: Allowed, case_id: str) -> None:
    """Last in its transaction."""
    if allowed.alert:
        await alerts.raise_alert(conn, connection=SOURCE, kind=allowed.alert, code=allowed.code, case_id=case_id)
