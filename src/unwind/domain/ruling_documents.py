"""Rulings and plans as they are stored with a question and shown to people: codes, amounts, units; never words."""

from collections.abc import Mapping, Sequence
from typing import Any

from unwind.domain.case import CaseOutcome, RefundOn, Way
from unwind.domain.decisions import Bearer, Choice, Cost, Fee, PlannedPart, Ruling
from unwind.domain.legs import LegKind
from unwind.domain.next_step import ASKED_OF_THE_BUYER
from unwind.domain.order import LineId

ENDS_AS = {
    Choice.DECLINE: CaseOutcome.DECLINED,
    Choice.HAND_ON: CaseOutcome.HANDED_ON,
    Choice.KEEP: CaseOutcome.RETAINED,
}
"""Choices after which nothing has to be carried out."""


def is_carried_out_at_once(choice: Choice, parts: Sequence[PlannedPart]) -> bool:
    return choice in ENDS_AS and not any(part.legs for part in parts)


def told_facts(parts: Sequence[PlannedPart], choice: Choice) -> list[str]:
    """The facts the buyer will be told if it goes as planned (`wording.TEXTS`)."""
    if is_carried_out_at_once(choice, parts):
        return [ENDS_AS[choice].value]
    facts: list[str] = []
    for part in parts:
        if part.way in ASKED_OF_THE_BUYER:
            facts.append(ASKED_OF_THE_BUYER[Way(part.way)])
        if part.way == Way.KEEP:
            facts.append(CaseOutcome.RETAINED.value)
        elif any(kind == LegKind.REFUND for kind, _, _ in part.legs):
            facts += ["refund_on_its_way", "refund_done"]
        else:
            facts.append("cancelled")
    return list(dict.fromkeys(facts))


def plan_document(parts: Sequence[PlannedPart]) -> list[dict[str, Any]]:
    """The plan as people and links are shown it: codes, amounts, units."""
    return [
        {
            "part_no": part.part_no,
            "way": str(part.way),
            "stage": str(part.stage),
            "refund_on": str(part.refund_on),
            "lines": dict(part.lines),
            "paid_minor": part.paid_minor,
            "kept_minor": part.kept_minor,
            "lost_minor": part.lost_minor,
            "returned_minor": part.returned_minor,
            "legs": [{"kind": kind, "target": target, "amount_minor": amount} for kind, target, amount in part.legs],
        }
        for part in parts
    ]


def ruling_document(ruling: Ruling) -> dict[str, Any]:
    """Without the note, which is private, and without versions: the plan's digest stands for them."""
    return {
        "choice": ruling.choice.value,
        "part_no": ruling.part_no,
        "lines": dict(ruling.lines),
        "refund_on": ruling.refund_on.value if ruling.refund_on else None,
        "costs": [[cost.fee.value, cost.amount_minor, cost.bearer.value] for cost in ruling.costs],
        "compensation_minor": ruling.compensation_minor,
        "reason_code": ruling.reason_code,
    }


def read_ruling(document: Mapping[str, Any]) -> Ruling:
    return Ruling(
        choice=Choice(document["choice"]),
        case_version=0,
        order_version=0,
        part_no=document["part_no"],
        lines={LineId(line_id): units for line_id, units in document["lines"].items()},
        refund_on=RefundOn(document["refund_on"]) if document["refund_on"] else None,
        costs=tuple(Cost(fee=Fee(f), amount_minor=a, bearer=Bearer(b)) for f, a, b in document["costs"]),
        compensation_minor=document["compensation_minor"],
        reason_code=document["reason_code"],
    )
