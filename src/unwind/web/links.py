"""For merchants, warehouses, carriers and buyers without an account: one question, behind a link that is its own credential."""

import time
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

from unwind.desk.asked import question_behind_link
from unwind.domain.errors import Refusal
from unwind.domain.questions import Question
from unwind.flow.answers import answer
from unwind.flow.links import read_link
from unwind.flow.services import Services
from unwind.storage.questions import read_question
from unwind.web.access import Wired
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.desk import AnswerIn

router = APIRouter(tags=["links"])
PAGE = Path(__file__).parent / "link.html"
HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


@router.get("/a/{token}", include_in_schema=False)
async def page(token: str) -> Response:  # noqa: ARG001 - the page reads it from its own address
    return Response(PAGE.read_bytes(), media_type="text/html; charset=utf-8", headers=HEADERS)


@router.get("/api/v1/links/{token}", responses=ERRORS)
async def read_question_of_link(services: Wired, token: str) -> Response:
    """What is asked, until when, and whether it is still open."""
    question = await _question(services, token)
    async with services.database.connection() as conn:
        shown = await question_behind_link(conn, services.vault, question)
    return json_response(shown, headers=HEADERS)


@router.post("/api/v1/links/{token}", responses=ERRORS)
async def answer_link(services: Wired, token: str, body: AnswerIn) -> Response:
    """The first answer counts; a second is refused with `question_closed`."""
    question = await _question(services, token)
    await answer(
        services,
        question.question_id,
        is_agreed=body.agree,
        actor=f"{question.audience}:link-{question.n}",
        evidence={"how": "link", **({"reference": body.reference} if body.reference else {})},
        note=body.note,
        address=body.address,
    )
    return await read_question_of_link(services, token)


async def _question(services: Services, token: str) -> Question:
    question_id = read_link(services.vault.token_key, token, now=time.time())
    async with services.database.connection() as conn:
        question = await read_question(conn, question_id)
    if question is None:
        raise Refusal("not_found")
    return question
