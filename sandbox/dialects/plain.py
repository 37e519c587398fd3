"""Providers that do not sign their answers: JSON out, and faults as broken JSON."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from starlette.responses import Response

from sandbox.answers import Answer


class PlainResponder:
    """`words`: an answer of the world -> (status, body) of the provider."""

    def __init__(
        self,
        words: Callable[[Answer], tuple[int, Mapping[str, Any]]],
        *,
        busy: tuple[int, Mapping[str, Any]],
        broken: tuple[int, Mapping[str, Any]],
    ) -> None:
        self._words, self._busy, self._broken = words, busy, broken

    def respond(self, answer: Answer) -> Response:
        return reply(*self._words(answer))

    def respond_badly_signed(self, answer: Answer) -> Response:
        return self.respond_malformed(answer)

    def respond_malformed(self, answer: Answer) -> Response:
        status, body = self._words(answer)
        whole = orjson.dumps(body)
        return Response(whole[: len(whole) // 2], status_code=status, media_type="application/json")

    def respond_of_another(self, answer: Answer) -> Response:
        return self.respond_malformed(answer)

    def rate_limited(self) -> Response:
        return reply(*self._busy)

    def system_error(self) -> Response:
        return reply(*self._broken)


def reply(status: int, body: Mapping[str, Any]) -> Response:
    return Response(orjson.dumps(body), status_code=status, media_type="application/json")


def read_json(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
