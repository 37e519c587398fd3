"""For buyers and everybody who speaks for them: ask, look, withdraw; and what would happen if."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from unwind.desk.asked import shown_to_buyer
from unwind.domain.access import Scope, authorise
from unwind.domain.errors import Refusal, require
from unwind.domain.order import LineId
from unwind.domain.questions import Audience, QuestionState
from unwind.flow import agreement, answer, answers, appeal, attachments, erasure, preview, review
from unwind.flow.intake import Intake
from unwind.flow.promotions import overlay_for
from unwind.flow.receive import Request, spoken_by
from unwind.flow.wording import place_text
from unwind.storage import cases, messages, money, orders, questions, queue
from unwind.tagging import Reason
from unwind.web.access import Caller, Wired, who
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.cancellations import AgreementIn, AppealIn, CancellationIn, CancellationOut
from unwind.web.schemas.desk import AnswerIn

router = APIRouter(prefix="/api/v1", tags=["cancellations"])
KEY_LENGTH_MAX = 200
WishedLine = Annotated[str, Field(pattern=r"^[^\s]{1,64}:[1-9][0-9]{0,5}$")]
FILE_HEADERS = {
    "Content-Disposition": "attachment",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "no-store",
}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH_MAX},
    "description": "kept 7 days, scoped to the caller",
}


@router.post(
    "/cancellations",
    status_code=201,
    responses={200: {"model": CancellationOut}, 201: {"model": CancellationOut}, **ERRORS},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": CancellationIn.model_json_schema()}},
        },
        "parameters": [IDEMPOTENCY_KEY],
    },
)
async def ask_to_cancel(request: HttpRequest) -> Response:
    """The one intake of every channel. 201: a case was opened; 200: the existing case and its answer.

    The body is validated straight from its bytes: this is the one path where the framework's own way is measurably too long.
    """
    caller = await who(request)
    intake: Intake = request.app.state.intake
    try:
        body = CancellationIn.model_validate_json(await request.body())
    except ValidationError as error:
        raise RequestValidationError([{**e, "loc": ("body", *e["loc"])} for e in error.errors()]) from None
    key = request.headers.get("idempotency-key")
    require(key is None or 0 < len(key) <= KEY_LENGTH_MAX, "invalid")
    require(body.lines is None or bool(body.lines), "invalid")
    asked = Request(
        order_id=body.order_id,
        channel=body.channel,
        wish=None if body.lines is None else {LineId(k): v for k, v in body.lines.items()},
        picked=body.reason.value if body.reason else None,
        text=body.text.strip(),
        external_ref=body.external_ref,
        idempotency_key=key,
        store_id=body.store_id,
        operator_id=body.operator_id,
        merchant_reason=body.merchant_reason or "",
        evidence_ref=body.evidence_ref,
        consent=body.consent,
    )
    given = await intake.receive(caller, spoken_by(caller, asked))
    headers = {"Idempotent-Replayed": "true"} if given.is_replay else {}
    return json_response(given.body, status=given.status, headers=headers)


@router.get("/cancellations/{case_id}", responses={200: {"model": CancellationOut}, **ERRORS})
async def look_at_case(services: Wired, caller: Caller, case_id: str) -> Response:
    """Where the case stands, in the buyer's words, with what has been told so far."""
    async with services.database.connection() as conn:
        row = await cases.read_case_row(conn, case_id)
        order = await orders.read_order(conn, row["order_id"]) if row else None
        if row is None or order is None:
            raise Refusal("not_found")
        authorise(caller, Scope.CASES_READ, merchant_id=row["merchant_id"], order_id=row["order_id"])
        refunds = await money.refunds_of_case(conn, case_id)
        told = await messages.messages_of(conn, case_id)
        asked = await questions.questions_of(conn, case_id)
        place = await queue.place_of(conn, case_id)
    body: dict[str, Any] = answer.for_existing(
        order.order, row, refunds, arrival=services.hours.overlay_at(row["merchant_id"], order.now).arrival
    )
    if place is not None:
        body["queue"] = {
            "place": place,
            "note": dict(zip(("zh", "en"), map(str.strip, place_text(place)), strict=True)),
        }
    body["refunds"] = [
        {
            "method": r["method"],
            "amount_minor": r["amount_minor"],
            "refund_no": r["refund_no"],
            "is_final": r["state"] == "final",
        }
        for r in refunds
    ]
    body["questions"] = [
        shown_to_buyer(q) for q in asked if q.audience is Audience.BUYER and q.state is QuestionState.OPEN
    ]
    body["messages"] = [
        {"fact": m["fact"], "state": m["state"], "sent_at": m["sent_at"]} for m in told if m["audience"] == "buyer"
    ]
    return json_response(body)


@router.post("/cancellations/{case_id}/appeal", status_code=201, responses=ERRORS)
async def appeal_against(services: Wired, caller: Caller, case_id: str, body: AppealIn) -> Response:
    """A declined buyer asks that another person look again; also the way to a person after an automatic decline."""
    appeal_id = await appeal.appeal(services, caller, case_id, text=body.text.strip(), channel=body.channel)
    shown = await look_at_case(services, caller, appeal_id)
    shown.status_code = 201
    return shown


@router.post("/cancellations/{case_id}/questions/{n}", responses=ERRORS)
async def answer_question(services: Wired, caller: Caller, case_id: str, n: int, body: AnswerIn) -> Response:
    """The buyer answers an offer, or consents to a plan. The open questions stand in the case."""
    async with services.database.connection() as conn:
        row = await cases.read_case_row(conn, case_id)
        asked = {q.n: q for q in await questions.questions_of(conn, case_id)}
    if row is None:
        raise Refusal("not_found")
    authorise(caller, Scope.CASES_REQUEST, merchant_id=row["merchant_id"], order_id=row["order_id"])
    if n not in asked or asked[n].audience is not Audience.BUYER:
        raise Refusal("not_found")
    await answers.answer(
        services,
        asked[n].question_id,
        is_agreed=body.agree,
        by=caller,
        evidence={"how": "page", **({"reference": body.reference} if body.reference else {})},
        note=body.note,
        address=body.address,
    )
    return await look_at_case(services, caller, case_id)


@router.post(
    "/cancellations/{case_id}/attachments",
    status_code=201,
    responses=ERRORS,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                name: {"schema": {"type": "string", "format": "binary"}}
                for name in ("image/jpeg", "image/png", "image/webp", "application/pdf")
            },
        }
    },
)
async def attach_file(services: Wired, caller: Caller, case_id: str, request: HttpRequest) -> Response:
    """A photo or a document, up to 5 MB; what it is is read from its bytes, and where it was taken is not kept."""
    stored = await attachments.attach(services, caller, case_id, await request.body())
    return json_response(stored, status=201)


@router.get("/cancellations/{case_id}/attachments/{attachment_id}", responses=ERRORS)
async def read_file(services: Wired, caller: Caller, case_id: str, attachment_id: str) -> Response:
    """The file, never to be run or shown as a page of ours."""
    media_type, content = await attachments.open_attachment(services, caller, case_id, attachment_id)
    return Response(content, media_type=media_type, headers=FILE_HEADERS)


@router.post("/cancellations/{case_id}/withdraw", responses=ERRORS)
async def withdraw_case(services: Wired, caller: Caller, case_id: str) -> Response:
    """Possible until something irreversible has begun."""
    await review.withdraw(services, caller, case_id)
    return await look_at_case(services, caller, case_id)


@router.post("/orders/{order_id}/erasure", responses=ERRORS)
async def be_forgotten(services: Wired, caller: Caller, order_id: str) -> Response:
    """Restricted at once; unreadable for ever on `erase_at`. A repeated request gets the same answer."""
    return json_response(await erasure.ask_erasure(services, caller, order_id))


@router.post("/cancellations/{case_id}/agreement", responses=ERRORS)
async def answer_merchant(services: Wired, caller: Caller, case_id: str, body: AgreementIn) -> Response:
    """The buyer's word on a cancellation that the merchant asked for: it is carried out, or the order goes on."""
    await agreement.answer_merchant(services, caller, case_id, agrees=body.agrees)
    return await look_at_case(services, caller, case_id)


@router.get("/orders/{order_id}/cancellability", responses=ERRORS)
async def cancellability(
    services: Wired,
    caller: Caller,
    order_id: str,
    line: Annotated[list[WishedLine], Query(max_length=500, description="line_id:units; none named: everything")] = [],  # noqa: B006 - as FastAPI reads it
    reason: Reason = Reason.CHANGED_MIND,
) -> Response:
    """A dry run: what would happen now, what comes back, who can still stop the goods and until when. Changes nothing.

    Where less would return than was paid, as published, `consent` says how much; its digest goes with the request, or a person asks for it.
    """
    async with services.database.connection() as conn:
        row = await orders.read_order(conn, order_id)
    if row is None:
        raise Refusal("not_found")
    authorise(caller, Scope.ORDERS_READ, merchant_id=row.order.merchant.merchant_id, order_id=order_id)
    named = [one.rpartition(":") for one in line]
    wish = {LineId(line_id): int(units) for line_id, _, units in named} or None
    overlay = overlay_for(services, row)
    return json_response(preview.preview(row, policy=services.policy, overlay=overlay, wish=wish, reason=reason))
