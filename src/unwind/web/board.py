"""The plain page of the demo: what is going on, live. Demo only: it needs no sign-in and shows nothing personal."""

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

from unwind.desk.dossier import read_dossier
from unwind.domain.errors import Refusal
from unwind.storage import alerts, connections, desk, queue
from unwind.web.access import Wired
from unwind.web.admin import shown
from unwind.web.responses import json_response

router = APIRouter(include_in_schema=False)
PAGE = Path(__file__).parent / "board.html"
CASES_MAX = 60
ALERTS_MAX = 5


@router.get("/")
async def page() -> Response:
    return Response(PAGE.read_bytes(), media_type="text/html; charset=utf-8")


@router.get("/demo/board")
async def board(services: Wired) -> Response:
    async with services.database.survey() as conn:
        figures = await desk.counts(conn)
        waiting = await queue.cases_in_review(conn, merchant_id=None, cases_max=CASES_MAX)
        recent = await desk.recent_cases(conn, merchant_id=None, cases_max=CASES_MAX)
        health = await connections.health(conn)
        alerting = await alerts.open_alerts(conn, alerts_max=ALERTS_MAX)
    links = [shown(link, health.get(name)) for name, link in sorted(services.links.items())]
    return json_response(
        {"figures": figures, "waiting": waiting, "recent": recent, "connections": links, "alerts": alerting}
    )


@router.get("/demo/cases/{case_id}")
async def one(services: Wired, case_id: str) -> Response:
    async with services.database.connection() as conn:
        dossier = await read_dossier(conn, services.vault, case_id)
    if dossier is None:
        raise Refusal("not_found")
    return json_response({**dossier, "words": "", "buyer": {}, "conversation": []})
