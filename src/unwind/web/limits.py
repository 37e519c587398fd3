"""Refuses large bodies before anything reads them."""

import contextlib

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unwind.web.problems import problem

BODY_BYTES_MAX = 1024 * 1024
FILE_BYTES_MAX = 5 * 1024 * 1024
"""Of one attachment (`domain/media.py`)."""


FILES = "/attachments"
OPEN_BODY_BYTES_MAX = 4 * 1024
OPEN_DOORS = ("/api/v1/guest/", "/api/v1/ratings/", "/callbacks/cti/")
"""Whoever comes here has shown nothing yet."""


def body_limit(path: str) -> int:
    if path.endswith(FILES):
        return FILE_BYTES_MAX
    return OPEN_BODY_BYTES_MAX if path.startswith(OPEN_DOORS) else BODY_BYTES_MAX


class TooLargeError(Exception):
    """More than the limit came in; `BodyLimit` answers."""


class BodyLimit:
    """By the declared length at once, by the counted length while it comes in."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        bytes_max = body_limit(scope["path"])
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not declared.isdigit() or int(declared) > bytes_max:
            await problem(Request(scope), "body_too_large")(scope, receive, send)
            return
        seen = 0
        is_too_large = False

        async def counted() -> Message:
            nonlocal seen, is_too_large
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > bytes_max:
                is_too_large = True
                raise TooLargeError
            return message

        async def answer(message: Message) -> None:
            if not is_too_large:
                await send(message)

        with contextlib.suppress(TooLargeError):
            await self._app(scope, counted, answer)
        if is_too_large:
            await problem(Request(scope), "body_too_large")(scope, receive, send)
