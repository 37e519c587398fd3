"""Blocked refunds of one connection, asked for again by their own numbers: after a top-up, or once a doubt is cleared.

Each case by itself and in the way a single retry goes: bound to the versions that were seen, to who holds the case, and to the limit above
which a second person is asked. What cannot be retried is left and named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from unwind.domain.access import Principal, Scope
from unwind.domain.case import PartState
from unwind.domain.decisions import Choice, Ruling
from unwind.domain.errors import Refusal, require
from unwind.domain.legs import LegKind, LegState
from unwind.flow import review
from unwind.flow.execute import Locked
from unwind.flow.queue import require_hold
from unwind.flow.services import Services
from unwind.storage.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    case_id: str
    outcome: str
    """retried, waits_for_second, or left."""
    code: str = ""
    facts: Mapping[str, str | int] | None = None
    """Why it was left."""


async def retry_refunds(services: Services, principal: Principal, seen: Sequence[Mapping[str, Any]]) -> list[Retried]:
    """`seen`: rows of `storage.desk.refund_exceptions`, which the caller was allowed to see. One transaction per case."""
    done = []
    by_case = itemgetter("case_id")
    for case_id, rows in groupby(sorted(seen, key=lambda row: (row["case_id"], row["leg_no"])), key=by_case):
        done.append(await _retry_case(services, principal, case_id, list(rows)))
    return done


async def _retry_case(
    services: Services, principal: Principal, case_id: str, rows: Sequence[Mapping[str, Any]]
) -> Retried:
    try:
        async with services.database.transaction() as conn:
            locked = await review.lock_for(conn, principal, case_id, scope=Scope.MONEY_SETTLE)
            require_hold(locked.case, principal, locked.now)
            seen = (rows[0]["case_version"], rows[0]["order_version"])
            require((locked.case.version, locked.order.version) == seen, "stale", case_version=locked.case.version)
            waits = [
                await _retry_part(conn, services, principal, case_id, part_no)
                for part_no in sorted({row["part_no"] for row in rows})
            ]
    except Refusal as refusal:
        return Retried(case_id=case_id, outcome="left", code=refusal.code, facts=refusal.facts)
    return Retried(case_id=case_id, outcome="waits_for_second" if any(waits) else "retried")


async def _retry_part(conn: Connection, services: Services, principal: Principal, case_id: str, part_no: int) -> bool:
    """True when it waits for a second person."""
    locked = await review.lock_for(conn, principal, case_id, scope=Scope.MONEY_SETTLE)
    require(_is_stuck(locked, part_no), "nothing_to_retry", part=part_no)
    ruling = Ruling(
        choice=Choice.RETRY,
        case_version=locked.case.version,
        order_version=locked.order.version,
        part_no=part_no,
        reason_code="retried_together",
    )
    return await review.decide_within(conn, services, locked, principal, ruling, data={}) is not None


def _is_stuck(locked: Locked, part_no: int) -> bool:
    """Only money: a retry of a part asks for every blocked step of it, and goods are not finance's to ask for."""
    part = next((part for part in locked.case.parts if part.part_no == part_no), None)
    blocked = [] if part is None else [leg for leg in part.legs if leg.state is LegState.BLOCKED]
    is_money = all(leg.kind is LegKind.REFUND for leg in blocked)
    return part is not None and part.state is PartState.REVIEW and bool(blocked) and is_money
