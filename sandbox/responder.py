"""How one request is answered: in the provider's words and signature, or as a fault makes of it."""

from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sandbox.answers import Answer


class Responder(Protocol):
    """`answer.status` other than 200 is a refusal of the world; the provider has a way of its own to say it."""

    def respond(self, answer: Answer) -> Response: ...

    def respond_badly_signed(self, answer: Answer) -> Response:
        """The right body under a signature that does not hold. Where the provider signs no answers: a body that cannot be trusted."""
        ...

    def respond_malformed(self, answer: Answer) -> Response:
        """Rightly signed rubbish."""
        ...

    def respond_of_another(self, answer: Answer) -> Response:
        """A genuine answer about another number."""
        ...

    def rate_limited(self) -> Response:
        """Too often, nothing done. `Retry-After` is added where the dial says so."""
        ...

    def system_error(self) -> Response:
        """The provider's own error with which it admits to know nothing."""
        ...


class BrokenOffResponse(Response):
    """Announces the whole body, sends a share of it, and breaks the connection."""

    def __init__(self, whole: Response, *, sent_share: float) -> None:
        super().__init__(whole.body, status_code=whole.status_code)
        self.raw_headers = whole.raw_headers
        self._sent_bytes = int(len(bytes(whole.body)) * sent_share)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        part = bytes(self.body)[: self._sent_bytes]
        await send({"type": "http.response.body", "body": part, "more_body": True})
        raise ConnectionResetError("broken off as dialled")
