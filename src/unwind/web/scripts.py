"""Scripts: suggested for a case, searched, edited by those who look after them."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from unwind.domain.access import Scope, authorise
from unwind.domain.errors import require
from unwind.flow import scripts
from unwind.flow.scripts import VARIABLES, Script
from unwind.storage import scripts as stored
from unwind.web.access import Caller, Wired
from unwind.web.responses import ERRORS, json_response
from unwind.web.schemas.conversation import ScriptIn
from unwind.web.schemas.fields import Id

router = APIRouter(prefix="/api/v1", tags=["scripts"])
Sought = Annotated[
    str, Query(max_length=60, description="words of it, or the initials of their pinyin: cwl for 查物流")
]
FOUND_MAX = 50


@router.get("/desk/cases/{case_id}/scripts", responses=ERRORS)
async def suggest_scripts(services: Wired, caller: Caller, case_id: str) -> Response:
    """The closest for this case, filled; `missing` names what the case does not know. For an angry buyer a calming opening comes first."""
    return json_response({"scripts": await scripts.suggest(services, caller, case_id)})


@router.post("/desk/cases/{case_id}/scripts/{script_id}/insert", responses=ERRORS)
async def insert_script(services: Wired, caller: Caller, case_id: str, script_id: str) -> Response:
    """The script filled for this case, to be read and edited. Nothing is sent."""
    return json_response(await scripts.insert(services, caller, case_id, script_id))


@router.get("/desk/scripts", responses=ERRORS)
async def search_scripts(services: Wired, caller: Caller, q: Sought = "") -> Response:
    """Those in use, with their variables as they stand."""
    authorise(caller, Scope.DESK_READ)
    async with services.database.connection() as conn:
        found = [script for script in (await scripts.all_scripts(conn)).values() if script.is_active]
    return json_response({"scripts": [_plain(one) for one in scripts.search(found, q)[:FOUND_MAX]]})


@router.get("/admin/scripts", responses=ERRORS)
async def list_scripts(services: Wired, caller: Caller) -> Response:
    """All of them, how often each was shown, inserted, sent as it was and sent edited; and the variables a script may name."""
    authorise(caller, Scope.OPERATIONS_READ)
    async with services.database.connection() as conn:
        found = await scripts.all_scripts(conn)
        used = await stored.usage(conn)
    nothing = dict.fromkeys(stored.COUNTED, 0)
    rows = [{**_plain(one), "used": used.get(name, nothing)} for name, one in sorted(found.items())]
    return json_response({"scripts": rows, "variables": VARIABLES})


@router.get("/admin/scripts/{script_id}", responses=ERRORS)
async def versions_of_script(services: Wired, caller: Caller, script_id: Id) -> Response:
    """Every version, the newest first; version 0 is the program's own."""
    authorise(caller, Scope.OPERATIONS_READ)
    async with services.database.connection() as conn:
        rows = await stored.versions_of(conn, script_id)
    own = scripts.default_scripts().get(script_id)
    require(bool(rows) or own is not None, "not_found")
    return json_response({"versions": [*rows, *([_plain(own)] if own is not None else [])]})


@router.put("/admin/scripts/{script_id}", responses=ERRORS)
async def put_script(services: Wired, caller: Caller, script_id: Id, body: ScriptIn) -> Response:
    """A new version. 422 `unknown_variable`, or `text_not_allowed` for what may never go out."""
    version = await scripts.save(services, caller, body.script(script_id))
    return json_response({"script_id": script_id, "version": version})


def _plain(script: Script) -> dict[str, Any]:
    names = ("script_id", "version", "title", "zh", "en", "reasons", "stages", "channels", "emotions", "is_active")
    return {name: getattr(script, name) for name in names}
