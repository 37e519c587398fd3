"""For merchants, warehouses, carriers and buyers without an account: one question or task, behind a link that is its own credential."""

import time
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from unwind.desk.asked import question_behind_link, task_behind_link
from unwind.domain.errors import Refusal
from unwind.domain.questions import Question
from unwind.flow.answers import answer
from unwind.flow.hand_work import answer_task_by_link
from unwind.flow.links import TASK, read_link
from unwind.flow.services import Services
from unwind.storage.questions import read_question
from unwind.storage.tasks import read_task
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
async def read_behind_link(services: Wired, token: str) -> Response:
    """What is asked or to be done, until when, and whether it is still open."""
    found = await _behind(services, token)
    async with services.database.connection() as conn:
        shown = (
            await question_behind_link(conn, services.vault, found)
            if isinstance(found, Question)
            else await task_behind_link(conn, found)
        )
    return json_response(shown, headers=HEADERS)


@router.post("/api/v1/links/{token}", responses=ERRORS)
async def answer_link(services: Wired, token: str, body: AnswerIn) -> Response:
    """The first answer counts; a second is refused with `question_closed` or `task_answered`. Of a task, yes means done."""
    found = await _behind(services, token)
    reference = {"reference": body.reference} if body.reference else {}
    if isinstance(found, Question):
        await answer(
            services,
            found.question_id,
            is_agreed=body.agree,
            by=f"{found.audience}:link-{found.n}",
            evidence={"how": "link", **reference},
            note=body.note,
            address=body.address,
        )
    else:
        await answer_task_by_link(services, found, is_done=body.agree, evidence={"how": "link", **reference})
    return await read_behind_link(services, token)


async def _behind(services: Services, token: str) -> Question | dict[str, Any]:
    """The question, or the row of the task."""
    subject = read_link(services.vault.token_key, token, now=time.time())
    async with services.database.connection() as conn:
        found: Question | dict[str, Any] | None = (
            await read_task(conn, subject.removeprefix(TASK))
            if subject.startswith(TASK)
            else await read_question(conn, subject)
        )
    if found is None:
        raise Refusal("not_found")
    return found
