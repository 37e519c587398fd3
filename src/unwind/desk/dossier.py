"""One case as a person sees it: what was asked, what is decided, what is on its way, where the parcel is and how old that news is."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from unwind.desk.asked import shown_question
from unwind.desk.people import masked_people
from unwind.domain.buyer_record import effects_of
from unwind.domain.case import Case, Part, PartState
from unwind.domain.legs import LegState
from unwind.domain.order import Order
from unwind.domain.personal import mask_numbers
from unwind.domain.plan import partition
from unwind.domain.published import NOTHING_PUBLISHED, published_terms
from unwind.domain.tracking import judge
from unwind.storage import (
    attachments,
    buyers,
    cases,
    conversation,
    costs,
    desk,
    erasures,
    messages,
    money,
    orders,
    phone_calls,
    privacy,
    promises,
    questions,
    ratings,
    shipments,
)
from unwind.storage.database import Connection
from unwind.storage.privacy import Vault


async def read_dossier(conn: Connection, vault: Vault, case_id: str) -> dict[str, Any] | None:
    """Everything about a case in one document. People are masked, and the numbers in what they wrote; their words are shown to staff only."""
    row = await cases.read_case_row(conn, case_id)
    if row is None:
        return None
    case = cases.to_case(row)
    order_row = await orders.read_order(conn, case.order_id)
    record = await buyers.read_record(conn, case.order_id)
    words = await privacy.open_private(conn, vault, case.order_id, "words", case_id=case_id) or ""
    return {
        **_head(row),
        "buyer": {
            **await masked_people(conn, vault, case.order_id),
            "is_restricted": await erasures.read_erasure(conn, case.order_id) is not None,
            "record": asdict(record) if record else {},
            "effects": effects_of(record) if record else (),
        },
        "words": mask_numbers(words),
        "order": _order(order_row) if order_row else {},
        "parts": _parts(row, case, order_row.order if order_row else None),
        "refunds": await money.refunds_of_case(conn, case_id),
        "parcels": [_parcel(parcel, row["now"]) for parcel in await shipments.parcels_of(conn, case.order_id)],
        "questions": [
            await shown_question(conn, vault, case.order_id, question)
            for question in await questions.questions_of(conn, case_id)
        ],
        "costs": await costs.costs_of(conn, case_id),
        "attachments": await attachments.attachments_of(conn, case_id),
        "appeals": await cases.appeals_of(conn, case_id),
        "tasks": await desk.tasks_of_case(conn, case_id),
        "clocks": _clocks(row),
        "calls": await phone_calls.calls_of_case(conn, case_id),
        "promises": await promises.promises_of_case(conn, case_id),
        "messages": await messages.messages_of(conn, case_id),
        "rating": await _rating(conn, vault, row),
        "conversation": await _conversation(conn, vault, case),
        "timeline": [{**event, "hash": event["hash"].hex()} for event in await cases.events_of(conn, case_id)],
        "server_now": row["now"],
    }


async def _conversation(conn: Connection, vault: Vault, case: Case) -> list[dict[str, Any]]:
    """In order: who, when, over which channel, whether the buyer was told, and who read it. Looking at it here is not reading it."""
    rows = await conversation.messages_of(conn, case.case_id)
    words = await privacy.open_numbered(conn, vault, case.order_id, "talk", case_id=case.case_id) if rows else {}
    return [{**row, "text": mask_numbers(words.get(row["n"], ""))} for row in rows]


async def _rating(conn: Connection, vault: Vault, case: Mapping[str, Any]) -> dict[str, Any] | None:
    """How the buyer found it; of a follow-up, the rating it is about. None where nobody was asked."""
    row = await ratings.read_rating(conn, case["parent_case_id"] or case["case_id"])
    if row is None:
        return None
    text = await privacy.open_private(conn, vault, row["order_id"], "rating", case_id=row["case_id"]) or ""
    shown = ("case_id", "asked_at", "score", "answered_at", "changed_at", "followed_up_by")
    return {**{name: row[name] for name in shown}, "comment": mask_numbers(text)}


async def read_order_view(conn: Connection, vault: Vault, order_id: str) -> dict[str, Any] | None:
    """An order for whoever speaks with its buyer: goods, amounts, parcels, cases. Its people are masked."""
    row = await orders.read_order(conn, order_id)
    if row is None:
        return None
    return {
        **_order(row),
        "merchant_id": row.order.merchant.merchant_id,
        "buyer": await masked_people(conn, vault, order_id),
        "parcels": [_parcel(parcel, row.now) for parcel in await shipments.parcels_of(conn, order_id)],
        "open_cases": await cases.open_cases_of(conn, order_id),
        "server_now": row.now,
    }


def _head(row: Mapping[str, Any]) -> dict[str, Any]:
    names = (
        "case_id kind order_id merchant_id parent_case_id channel state version reason stated_reason true_reason fault tags verdict rule "
        "policy_version facts priority outcome contacts money_minor opened_at acked_at first_human_at decided_at closed_at "
        "respond_warn_at respond_due_at is_warned is_overdue claimed_by claimed_until escalated_at barred appeal_of watch_for watch_since watch_until"
    )
    return {name: row[name] for name in names.split()}


def _clocks(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The coming strokes of both clocks; `asked_until` while the buyer is asked."""
    if row["clocks"] is None:
        return None
    names = (
        "is_urgent respond_from respond_half_at respond_again_at respond_rung resolve_from resolve_half_at resolve_again_at "
        "resolve_due_at resolve_rung asked_until"
    )
    return {name: row["clocks"][name] for name in names.split()}


def _order(row: orders.OrderRow) -> dict[str, Any]:
    order = row.order
    return {
        "order_id": order.order_id,
        "version": order.version,
        "currency": order.currency,
        "payment_state": order.payment_state.value,
        "payable_minor": order.payable_minor,
        "planned_dispatch_at": order.planned_dispatch_at,
        "released_stage": order.released_stage.value,
        "is_cancelled": order.is_cancelled,
        "lines": [
            {
                "line_id": line.line_id,
                "sku": line.sku,
                "title": line.title,
                "quantity": line.quantity,
                "unit_price_minor": line.unit_price_minor,
                "taken_units": line.taken_units,
                "units": {bucket.value: units for bucket, units in line.buckets.items() if units},
            }
            for line in order.lines
        ],
        "payments": [
            {
                "payment_id": p.payment_id,
                "method": p.method,
                "state": p.state.value,
                "share_minor": p.share_minor,
                "booked_minor": p.booked_minor,
            }
            for p in order.payments
        ],
    }


def _published(order: Order | None, case: Case, part: Part) -> dict[str, Any] | None:
    """What the published terms say of a part that waits and has no plan yet: to be kept with the buyer's consent, or owed to them. None where that is nothing."""
    is_planned = any(leg.state is not LegState.RELEASED for leg in part.legs)
    if order is None or part.state is not PartState.REVIEW or is_planned or not part.quantities:
        return None
    plans = partition(order, part.quantities, parcel_first=part.shipment_id, by_merchant=case.by_merchant)
    terms = published_terms(order, plans[0]) if len(plans) == 1 else NOTHING_PUBLISHED
    return asdict(terms) if terms != NOTHING_PUBLISHED else None


def _parts(row: Mapping[str, Any], case: Case, order: Order | None) -> list[dict[str, Any]]:
    stored = {part["part_no"]: part for part in row["parts"] or ()}
    return [
        {
            "part_no": part.part_no,
            "kind": part.kind.value,
            "state": part.state.value,
            "stage": stored[part.part_no]["stage"],
            "rule": part.rule,
            "way": part.way.value,
            "paid_minor": part.returned_minor + part.kept_minor + part.lost_minor,
            "kept_minor": part.kept_minor,
            "lost_minor": part.lost_minor,
            "published": _published(order, case, part),
            "returned_minor": part.returned_minor,
            "refund_on": part.refund_on.value,
            "lines": dict(part.quantities),
            "legs": [
                {
                    "leg_no": leg.leg_no,
                    "kind": leg.kind.value,
                    "state": leg.state.value,
                    "target": leg.target,
                    "number": leg.number,
                    "amount_minor": leg.amount_minor,
                    "attempts": leg.attempts,
                    "next_try_at": leg.next_try_at,
                    "due_at": leg.due_at,
                    "code": leg.code,
                    "evidence": dict(leg.evidence),
                }
                for leg in part.legs
            ],
        }
        for part in case.parts
    ]


def _parcel(parcel: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """With the verdict on its route and the age of the carrier's news."""
    route = [(datetime.fromisoformat(event["at"]), event["stage"]) for event in parcel["route"]]
    verdict = judge(route, fed_at=parcel["fed_at"], now=now)
    last = parcel["route"][-1] if parcel["route"] else None
    return {
        **{k: v for k, v in parcel.items() if k != "reported_stage"},
        "stage": parcel["reported_stage"],
        "verdict": verdict.value,
        "last_place": last["place"] if last else "",
        "last_stage": last["stage"] if last else "",
        "feed_age_s": int((now - parcel["fed_at"]).total_seconds()) if parcel["fed_at"] else None,
    }
