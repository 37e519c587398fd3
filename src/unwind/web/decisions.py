"""For agents and leads: what a decision would do, whom to ask first, what the buyer is offered, who else must agree."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from unwind.desk.asked import shown_question
from unwind.domain.access import Scope, authorise
from unwind.domain.decisions import default_bearer
from unwind.domain.errors import Refusal, require
from unwind.domain.order import LineId
from unwind.domain.questions import Audience, Kind, OnSilence, Question
from unwind.domain.ruling_documents import plan_document, told_facts
from unwind.flow import answers, consent, hand_work, note_costs, offers, review
from unwind.flow.answer import refund_estimate
from unwind.flow.estimates import route_of
from unwind.flow.questions import ask, link_of
from unwind.flow.queue import require_hold
from unwind.flow.services import Services
from unwind.policy.offers import allowed_offers
from unwind.storage import cases, desk, questions
from unwind.web.access import Caller, Wired
from unwind.web.desk import one_case
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.desk import (
    AnswerIn,
    ConsentIn,
    CostsIn,
    LegOutcomeIn,
    OfferIn,
    OpinionIn,
    RulingIn,
    SecondIn,
    WaiveIn,
)

router = APIRouter(prefix="/api/v1/desk", tags=["decisions"])
PageSize = Annotated[int, Query(ge=1, le=200)]


@router.post("/cases/{case_id}/decisions/preview", responses=ERRORS)
async def preview_decision(services: Wired, caller: Caller, case_id: str, body: RulingIn) -> Response:
    """What the decision would do: money per payment, coupons, stock, parcel, messages. Worked out by doing it and giving it up again."""
    locked, seen = await review.rehearse(services, caller, case_id, body.ruling())
    payments = {str(p.payment_id): p for p in locked.order.payments}
    parts = plan_document(seen.carried.parts)
    for part in parts:
        shares = [
            (route_of(payments[leg["target"]]), leg["amount_minor"])
            for leg in part["legs"]
            if leg["target"] in payments and leg["kind"] in {"refund", "restore_benefit"}
        ]
        part["refund"] = refund_estimate(shares, locked.order.currency)
    return json_response(
        {
            "case_version": locked.case.version,
            "order_version": locked.order.version,
            "plan": seen.digest,
            "parts": parts,
            "currency": locked.order.currency,
            "costs": [one.model_dump() for one in body.costs],
            "default_bearer": default_bearer(locked.case.reason, locked.case.rule),
            "needs_consent": seen.needs_consent,
            "needs_second": list(seen.second),
            "tells": told_facts(seen.carried.parts, body.choice),
        }
    )


@router.post("/cases/{case_id}/consents", status_code=201, responses=ERRORS)
async def ask_for_consent(services: Wired, caller: Caller, case_id: str, body: ConsentIn) -> Response:
    """The buyer's yes to exactly this plan: asked for by link, or noted with the chat or recorded call that proves it."""
    question = await consent.ask_consent(
        services,
        caller,
        case_id,
        body.ruling(),
        how=body.how,
        reference=body.reference,
        minutes=body.minutes,
    )
    return await _asked(services, question)


@router.post("/cases/{case_id}/offers", status_code=201, responses=ERRORS)
async def make_offer(services: Wired, caller: Caller, case_id: str, body: OfferIn) -> Response:
    """One honest alternative, once per case. The buyer answers by link, on their page, or through the agent."""
    question = await offers.make_offer(
        services,
        caller,
        case_id,
        body.offer,
        promised_at=body.promised_at,
        amount_minor=body.amount_minor,
        lines={LineId(line_id): units for line_id, units in body.lines.items()},
        minutes=body.minutes,
        words=body.words,
    )
    return await _asked(services, question)


@router.get("/cases/{case_id}/offers", responses=ERRORS)
async def list_offers(services: Wired, caller: Caller, case_id: str) -> Response:
    """What may be offered for this reason where the goods are now; nothing once an offer was made."""
    async with services.database.transaction() as conn:
        locked = await review.lock_for(conn, caller, case_id)
        asked = await questions.questions_of(conn, case_id)
    is_made = any(question.kind is Kind.OFFER for question in asked)
    allowed = [] if is_made else sorted(allowed_offers(locked.case.reason, offers.place_of(locked)))
    return json_response({"offers": allowed, "is_made": is_made})


@router.post("/cases/{case_id}/questions", status_code=201, responses=ERRORS)
async def ask_others(services: Wired, caller: Caller, case_id: str, body: OpinionIn) -> Response:
    """Merchant, warehouse or carrier are asked by link; the buyer's clocks run on. `link` is what they open."""
    async with services.database.transaction() as conn:
        locked = await review.lock_for(conn, caller, case_id)
        require(locked.case.state == "review", "not_in_review", state=locked.case.state)
        require_hold(locked.case, caller, locked.now)
        question = await ask(
            conn,
            services,
            locked,
            kind=Kind.OPINION,
            audience=Audience(body.audience),
            subject={"topic": body.topic},
            by=caller,
            minutes=body.minutes,
            on_silence=OnSilence(body.on_silence) if body.on_silence else None,
            words=body.words,
        )
    return await _asked(services, question)


@router.post("/cases/{case_id}/questions/{n}/answer", responses=ERRORS)
async def note_answer(services: Wired, caller: Caller, case_id: str, n: int, body: AnswerIn) -> Response:
    """The agent has heard the answer by telephone or chat; `reference` names the call or message that proves it."""
    require(bool(body.reference), "reference_needed")
    async with services.database.transaction() as conn:
        locked = await review.lock_for(conn, caller, case_id)
        require_hold(locked.case, caller, locked.now)
        asked = {question.n: question for question in await questions.questions_of(conn, case_id)}
        if n not in asked:
            raise Refusal("not_found")
    await answers.answer(
        services,
        asked[n].question_id,
        is_agreed=body.agree,
        by=caller,
        evidence={"how": "agent", "reference": body.reference},
        note=body.note,
        address=body.address,
    )
    return await one_case(services, caller, case_id)


@router.get("/approvals", responses=ERRORS)
async def list_approvals(services: Wired, caller: Caller, limit: PageSize = 50) -> Response:
    """Decisions that wait for a second person, with the plan and why."""
    authorise(caller, Scope.CASES_LEAD)
    async with services.database.connection() as conn:
        rows = await questions.open_approvals(conn, merchant_id=caller.merchant_id, questions_max=limit)
    return json_response({"approvals": rows})


@router.post("/approvals/{question_id}", responses=ERRORS)
async def be_second(services: Wired, caller: Caller, question_id: str, body: SecondIn) -> Response:
    """The second person agrees, and what was proposed is carried out if it is still the same plan; or refuses."""
    case_id = await review.second(services, caller, question_id, is_agreed=body.agree, note=body.note)
    return await one_case(services, caller, case_id)


@router.post("/cases/{case_id}/costs", responses=ERRORS)
async def add_costs(services: Wired, caller: Caller, case_id: str, body: CostsIn) -> Response:
    """What it has cost after all, and who bears it. Nothing is taken from anybody by this; what a carrier bears is claimed."""
    await note_costs.note_costs(
        services,
        caller,
        case_id,
        [one.cost() for one in body.costs],
        part_no=body.part_no,
        reference=body.reference,
        proof=body.proof,
        claim_reason=body.claim_reason,
    )
    return await one_case(services, caller, case_id)


@router.get("/recalls", responses=ERRORS)
async def list_recalls(services: Wired, caller: Caller, limit: PageSize = 50) -> Response:
    """Parcels that are being stopped, turned or awaited: the carrier's number, state, when it is asked next; the longest waiting first."""
    authorise(caller, Scope.DESK_READ)
    async with services.database.connection() as conn:
        return json_response({"recalls": await desk.recalls(conn, merchant_id=caller.merchant_id, recalls_max=limit)})


@router.post("/cases/{case_id}/legs/{leg_no}/outcome", responses=ERRORS)
async def note_outcome(services: Wired, caller: Caller, case_id: str, leg_no: int, body: LegOutcomeIn) -> Response:
    """What carrier or warehouse said when somebody reached them, with what proves it."""
    evidence: dict[str, str | int] = {"reference": body.reference}
    evidence |= {f"scrap:{line_id}": units for line_id, units in body.scrap.items()}
    await hand_work.note_outcome(services, caller, case_id, leg_no, is_done=body.outcome == "done", evidence=evidence)
    return await one_case(services, caller, case_id)


@router.post("/cases/{case_id}/legs/{leg_no}/waive", responses=ERRORS)
async def waive_leg(services: Wired, caller: Caller, case_id: str, leg_no: int, body: WaiveIn) -> Response:
    """A red letter or a claw-back is given up by name, with why; the case may then be sealed without it."""
    await hand_work.waive(services, caller, case_id, leg_no, why=body.why)
    return await one_case(services, caller, case_id)


async def _asked(services: Services, question: Question) -> Response:
    async with services.database.connection() as conn:
        fresh = await questions.read_question(conn, question.question_id) or question
        head = await cases.read_head(conn, question.case_id)
        shown: dict[str, Any] = await shown_question(conn, services.vault, head["order_id"] if head else "", fresh)
    token = link_of(services, question)
    return json_response({**shown, "link": f"{services.public_url}/a/{token}"}, status=201)
