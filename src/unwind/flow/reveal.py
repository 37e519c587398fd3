"""Somebody needs a buyer's number or address in full: for one case they work on, for one of few reasons, written down before they see it.

Everything else that staff read is masked (`desk/people.py`).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.case import Case, holder_of
from unwind.domain.errors import Refusal, require
from unwind.domain.reveal import NEEDS_IDENTITY, OF_CASE, USUAL_ORDERS_PER_DAY, Field, Why, is_unusual, require_reason
from unwind.domain.transitions import State
from unwind.flow.chronicle import clock
from unwind.flow.execute import lock_both
from unwind.flow.identity import require_identity
from unwind.flow.services import Services
from unwind.flow.turns import take_turn
from unwind.storage import alerts, cases, erasures, privacy, reveals
from unwind.storage.database import Connection

TURNS_MAX, PER = 60, timedelta(hours=1)
"""For one person, whatever the orders."""
ALERT_CONNECTION, ALERT_KIND = "reveals", "unusually_many"


async def reveal(
    services: Services, principal: Principal, order_id: str, case_id: str, fields: Sequence[Field], why: Why
) -> dict[str, str]:
    """The values by field; empty where there is none. Refuses with `not_your_case`, `case_closed`, `order_restricted`, `identity_required`."""
    authorise(principal, Scope.CASES_DECIDE)
    wanted = frozenset(fields)
    require_reason(principal, why, wanted)
    await take_turn(services, "reveal", principal.principal_id, most=TURNS_MAX, per=PER)
    async with services.database.transaction() as conn:
        if await cases.read_head(conn, case_id) is None:
            raise Refusal("not_found")
        locked = await lock_both(conn, case_id, token=None)
        authorise(principal, Scope.CASES_DECIDE, merchant_id=locked.case.merchant_id, order_id=locked.order.order_id)
        require(locked.order.order_id == order_id, "not_found")
        if why is not Why.AUTHORITY:
            require(locked.case.state is not State.ARCHIVED, "case_closed")
            require(await _works_on(conn, locked.case, principal, locked.now), "not_your_case")
        require(await erasures.read_erasure(conn, order_id) is None, "order_restricted")
        if why in NEEDS_IDENTITY:
            await require_identity(conn, principal, order_id)
        values = await _open(conn, services, order_id, case_id, wanted)
        await reveals.add_reveal(
            conn,
            at=locked.now,
            principal_id=principal.principal_id,
            actor=principal.actor,
            merchant_id=locked.case.merchant_id,
            order_id=order_id,
            case_id=case_id,
            fields=sorted(wanted),
            why=why.value,
        )
        await _watch(conn, principal.principal_id, case_id, at=locked.now)
    return values


async def _works_on(conn: Connection, case: Case, principal: Principal, now: datetime) -> bool:
    """Holds it, or has done something with it while nobody else holds it. Looking is not working."""
    holder = holder_of(case, now)
    return holder == principal.principal_id if holder else await cases.has_acted(conn, case.case_id, principal.actor)


async def _open(
    conn: Connection, services: Services, order_id: str, case_id: str, fields: frozenset[Field]
) -> dict[str, str]:
    opened = {}
    for field in sorted(fields):
        if field is Field.CONVERSATION:
            said = await privacy.open_numbered(conn, services.vault, order_id, "talk", case_id=case_id)
            opened[field.value] = "\n".join(f"{n}: {said[n]}" for n in sorted(said))
            continue
        of_case = case_id if field in OF_CASE else None
        text = await privacy.open_private(conn, services.vault, order_id, field.value, case_id=of_case)
        opened[field.value] = text or ""
    return opened


async def _watch(conn: Connection, principal_id: str, case_id: str, *, at: datetime) -> None:
    """One open alert per person, however many more there are. Last in its transaction."""
    threshold = await reveals.read_threshold(conn)
    allowed = threshold["orders_per_day"] if threshold else USUAL_ORDERS_PER_DAY
    if is_unusual(await reveals.orders_lately(conn, principal_id, at=at), allowed=allowed):
        await alerts.raise_alert(conn, connection=ALERT_CONNECTION, kind=ALERT_KIND, code=principal_id, case_id=case_id)


async def set_threshold(services: Services, principal: Principal, orders_per_day: int, *, why: str) -> None:
    """From the next reveal on."""
    authorise(principal, Scope.ADMIN, is_platform=True)
    async with services.database.transaction() as conn:
        await reveals.set_threshold(conn, orders_per_day, by=principal.actor, at=await clock(conn), why=why)
