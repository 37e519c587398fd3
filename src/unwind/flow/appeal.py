"""The buyer asks that somebody else look again. A sealed case stays sealed: an appeal is a linked case with a clock of its own.

Whoever declined may not decide it. An automatic decline has no such person, but the same right to one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.case import CaseOutcome, PartState, Verdict
from unwind.domain.errors import require
from unwind.domain.order import LineId
from unwind.domain.plan import free_units
from unwind.flow.execute import lock_both
from unwind.flow.identity import require_identity
from unwind.flow.promotions import overlay_for
from unwind.flow.receipt import Origin, new_case_id, store_receipt, write_down
from unwind.flow.screen import Screened, screen
from unwind.flow.services import Services
from unwind.flow.tag import read_words, tags_document
from unwind.storage import cases, privacy
from unwind.storage.orders import OrderRow

RULE = "appeal"
PRIORITY = 85
EXPLAIN = ("买家申诉:由另一位客服复核", "The buyer appeals: another person looks at it")


async def appeal(services: Services, principal: Principal, case_id: str, *, text: str, channel: str) -> str:
    """Opens the appeal against a declined case, or names the one that is open. Returns its case."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, case_id, token=None)
        case, row = locked.case, locked.row
        authorise(principal, Scope.CASES_REQUEST, merchant_id=case.merchant_id, order_id=locked.order.order_id)
        await require_identity(conn, principal, locked.order.order_id)
        declined = [part for part in case.parts if part.state is PartState.DECLINED]
        require(case.outcome is CaseOutcome.DECLINED and bool(declined), "not_declined")
        running = await cases.open_appeal(conn, case_id)
        if running is not None:
            return running
        require(not case.is_appeal, "appeal_decided")
        wanted = _wanted(row, [part.quantities for part in declined])
        require(bool(wanted), "nothing_to_cancel")
        reviewed = services.taught.phrases_of(case.merchant_id)
        read = read_words(locked.order, picked=case.reason, text=text, channel=channel, reviewed=reviewed)
        overlay = overlay_for(services, row)
        screened = screen(row, wanted, policy=services.policy, words=read.words, channel=channel, overlay=overlay)
        appeal_id = new_case_id(row.now)
        note: dict[str, object] = {"appeal_of": case_id}
        if text:
            key = await privacy.keep_private(
                conn,
                services.vault,
                locked.order.order_id,
                {"words": text},
                wrapped_key=row.wrapped_key,
                case_id=appeal_id,
            )
            note["words"] = privacy.commit_to(text, key=key)
        origin = Origin(
            channel=channel,
            actor=principal.actor,
            reason=case.reason,
            tags=tags_document(read.tags, picked=case.reason),
            policy_version=services.policy.version,
            parent_case_id=case_id,
            note=note,
            overlay=overlay,
        )
        receipt = write_down(
            locked.order,
            tuple(_for_a_person(one) for one in screened),
            origin,
            case_id=appeal_id,
            now=row.now,
            timetable=services.hours.timetable,
        )
        await store_receipt(conn, locked.order, receipt)
        await cases.make_appeal(conn, appeal_id, appeal_of=case_id, barred=await cases.deciders_of(conn, case_id))
        return appeal_id


def _wanted(row: OrderRow, declined: Sequence[Mapping[LineId, int]]) -> dict[LineId, int]:
    """The declined units that are still to be had."""
    wanted: dict[LineId, int] = {}
    for quantities in declined:
        for line_id, units in quantities.items():
            if line_id not in row.open_lines:
                left = free_units(row.order.line(line_id)) - wanted.get(line_id, 0)
                wanted[line_id] = wanted.get(line_id, 0) + min(units, left)
    return {line_id: units for line_id, units in wanted.items() if units > 0}


def _for_a_person(one: Screened) -> Screened:
    zh, en = EXPLAIN
    decision = replace(
        one.decision,
        verdict=Verdict.REVIEW,
        rule=RULE,
        explain_zh=zh,
        explain_en=en,
        priority=max(one.decision.priority, PRIORITY),
    )
    return replace(one, decision=decision)
