"""Questions as people see them: at the desk with everything, behind a link with only what is asked."""

from collections.abc import Mapping
from typing import Any

from unwind.domain.personal import mask_numbers
from unwind.domain.questions import Audience, Question, QuestionState
from unwind.storage import orders, privacy
from unwind.storage.cases import read_case
from unwind.storage.database import Connection
from unwind.storage.privacy import Vault


async def shown_question(conn: Connection, vault: Vault, order_id: str, question: Question) -> dict[str, Any]:
    """For the desk."""

    async def words(field: str) -> str:
        text = await privacy.open_private(conn, vault, order_id, f"{field}:{question.n}", case_id=question.case_id)
        return mask_numbers(text or "")

    return {
        "question_id": question.question_id,
        "n": question.n,
        "kind": question.kind,
        "audience": question.audience,
        "subject": dict(question.subject),
        "digest": question.digest,
        "asked_by": question.asked_by,
        "asked_at": question.asked_at,
        "due_at": question.due_at,
        "on_silence": question.on_silence,
        "state": question.state,
        "answered_by": question.answered_by,
        "answered_at": question.answered_at,
        "evidence": dict(question.evidence),
        "words": await words("question"),
        "answer_words": await words("answer"),
    }


SHOWN_TO_BUYER = ("offer", "promised_at", "amount_minor", "lines", "paid_minor", "kept_minor", "costs")


def shown_to_buyer(question: Question) -> dict[str, Any]:
    """An open question on the buyer's own page."""
    return {
        "n": question.n,
        "kind": question.kind,
        "subject": {name: question.subject[name] for name in SHOWN_TO_BUYER if name in question.subject},
        "due_at": question.due_at,
    }


async def task_behind_link(conn: Connection, task: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be done, for whoever does it: goods and parcels, nothing about the buyer."""
    row = await orders.read_order(conn, task["order_id"])
    if row is None:
        return {}
    return {
        "kind": "task",
        "audience": task["audience"],
        "order_id": task["order_id"],
        "currency": row.order.currency,
        "lines": [
            {"line_id": line.line_id, "title": line.title, "quantity": line.quantity} for line in row.order.lines
        ],
        "parcels": [
            {"carrier": s.carrier, "waybill_no": s.waybill_no, "stage": s.stage}
            for s in row.order.shipments
            if task["target"] in {"", s.shipment_id}
        ],
        "subject": {"leg": task["kind"]},
        "words": "",
        "due_at": task["due_at"],
        "time_zone": row.order.merchant.time_zone,
        "state": task["state"],
        "is_open": task["state"] == "open",
    }


async def question_behind_link(conn: Connection, vault: Vault, question: Question) -> dict[str, Any]:
    """What somebody without an account needs to answer. Nothing about the buyer but what they bought."""
    case = await read_case(conn, question.case_id)
    row = await orders.read_order(conn, case.order_id) if case else None
    if case is None or row is None:
        return {}
    wanted = {line_id for part in case.parts for line_id in part.quantities}
    words = await privacy.open_private(conn, vault, case.order_id, f"question:{question.n}", case_id=question.case_id)
    subject = question.subject
    if question.audience is Audience.BUYER:
        subject = {name: subject[name] for name in SHOWN_TO_BUYER if name in subject}
    return {
        "kind": question.kind,
        "audience": question.audience,
        "order_id": case.order_id,
        "currency": row.order.currency,
        "reason": case.reason,
        "lines": [
            {"line_id": line.line_id, "title": line.title, "quantity": line.quantity}
            for line in row.order.lines
            if not wanted or line.line_id in wanted
        ],
        "parcels": [
            {"carrier": s.carrier, "waybill_no": s.waybill_no, "stage": s.stage}
            for s in row.order.shipments
            if not wanted or wanted & set(s.quantities)
        ],
        "subject": dict(subject),
        "words": words or "",
        "due_at": question.due_at,
        "time_zone": row.order.merchant.time_zone,
        "state": question.state,
        "is_open": question.state is QuestionState.OPEN,
    }
