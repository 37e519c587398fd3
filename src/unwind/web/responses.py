"""JSON out, by one encoder."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from unwind.storage.database import to_json
from unwind.web.schemas.problem import Problem

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "content": {"application/problem+json": {}}} for status in (401, 403, 404, 409, 413, 422)
}


def json_response(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(to_json(body), status_code=status, headers=headers, media_type="application/json")
