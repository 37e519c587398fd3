"""The generic signed HTTP contract (docs/contracts/generic-http.md), for any kind of party."""

import json
import re
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from sandbox.answers import Answer, RefusalError
from sandbox.callbacks import Letter
from sandbox.dialects.frame import Answered, Asked
from sandbox.keyring import Keyring
from sandbox.signing import SignatureError, new_nonce, signature_headers, verify
from sandbox.world import World

PATHS = {
    "/payment/refunds": "payment.refund",
    "/payment/refunds/query": "payment.refund_query",
    "/payment/trades/close": "payment.close",
    "/payment/trades/query": "payment.trade_query",
    "/payment/balance": "payment.balance",
    "/outbound/{no}/cancel": "warehouse.cancel",
    "/outbound/{no}/query": "warehouse.query",
    "/waybills/{no}/void": "carrier.void",
    "/waybills/{no}/recall": "carrier.recall",
    "/waybills/{no}/recall/query": "carrier.recall_query",
    "/waybills/{no}/track": "carrier.track",
    "/messages": "messages.send",
    "/orders/{no}/cancel": "shop.cancel",
    "/orders/{no}/cancel/query": "shop.cancel_query",
}
PATTERNS = [
    (re.compile(re.escape(path).replace(re.escape("{no}"), "(?P<no>[^/]+)")), operation)
    for path, operation in PATHS.items()
]
REPEAT_AFTER_S = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
ACCEPTED_STATUS = 204
NUMBER_FIELDS = ("refund_no", "trade_no", "request_id", "message_id", "waybill_no")
UNUSABLE_NONCE = "0" * 16


class GenericDialect:
    repeat_after_s: tuple[float, ...] = REPEAT_AFTER_S

    def __init__(self, world: World, keyring: Keyring, *, provider: str = "generic_payment") -> None:
        self._world = world
        self._keyring = keyring
        self.provider = provider

    def secret(self, connection: str) -> str:
        """As it was given at the start, or one of the keyring's."""
        return self._world.settings.secret_of(connection) or self._keyring.text(connection, "secret")

    def read(self, connection: str, request: Request, path: str, raw: bytes) -> Asked:
        secret = self.secret(connection)
        found = [(match, operation) for pattern, operation in PATTERNS if (match := pattern.fullmatch(path))]
        if not found or request.method != "POST":
            raise Answered(Response(status_code=404), code="NO_SUCH_CALL")
        match, operation = found[0]
        try:
            nonce = verify(secret, request.headers, raw, now=self._world.now())
        except SignatureError:
            raise self._refused(secret, _usable(request.headers.get("x-nonce", "")), 401, "SIGN_ERROR") from None
        if not self._world.take_nonce(connection, nonce):
            raise self._refused(secret, nonce, 401, "NONCE_REUSED")
        body = _parse(raw)
        if body is None:
            raise self._refused(secret, nonce, 400, "PARAM_ERROR")
        return Asked(operation=operation, body=body, number=match.groupdict().get("no", ""), context={"nonce": nonce})

    def _refused(self, secret: str, nonce: str, status: int, code: str) -> Answered:
        answer = RefusalError(status, code).answer
        return Answered(GenericResponder(self._world, secret, nonce).respond(answer), code=code)

    def responder(self, connection: str, asked: Asked) -> "GenericResponder":
        return GenericResponder(self._world, self.secret(connection), asked.context["nonce"])

    def letter(self, connection: str, event: Mapping[str, Any]) -> Letter | None:
        body = json.dumps(event, ensure_ascii=False).encode()
        headers = signature_headers(self.secret(connection), now=self._world.now(), nonce=new_nonce(), body=body)
        return Letter(body=body, headers={**headers, "Content-Type": "application/json"})

    def is_taken(self, status: int, body: bytes) -> bool:
        del body
        return status == ACCEPTED_STATUS

    def settings(self, connection: str, base_url: str) -> dict[str, Any]:
        row = {"provider": self.provider, "base_url": base_url, "secret": self.secret(connection)}
        return {**row, "channel": connection} if self.provider == "generic_messages" else row


class GenericResponder:
    """Signs answers to one request."""

    def __init__(self, world: World, secret: str, nonce: str) -> None:
        self._world, self._secret, self._nonce = world, secret, nonce

    def respond(self, answer: Answer) -> Response:
        return self._signed(answer.status, orjson.dumps(answer.body))

    def respond_badly_signed(self, answer: Answer) -> Response:
        response = self.respond(answer)
        response.headers["X-Signature"] = "0" * 64
        return response

    def respond_malformed(self, answer: Answer) -> Response:
        body = orjson.dumps(answer.body)
        return self._signed(answer.status, body[: len(body) // 2])

    def respond_of_another(self, answer: Answer) -> Response:
        other = {name: f"OTHER{answer.body[name]}" for name in NUMBER_FIELDS if name in answer.body}
        nonce = None if other else new_nonce()  # without a number in the body, only the nonce shows whose it is
        return self._signed(answer.status, orjson.dumps({**answer.body, **other}), nonce=nonce)

    def rate_limited(self) -> Response:
        return self.respond(RefusalError(429, "RATE_LIMITED", "slow down").answer)

    def system_error(self) -> Response:
        return self.respond(RefusalError(500, "SYSTEM_ERROR", "try later").answer)

    def _signed(self, status: int, body: bytes, *, nonce: str | None = None) -> Response:
        headers = signature_headers(self._secret, now=self._world.now(), nonce=nonce or self._nonce, body=body)
        return Response(body, status_code=status, headers=headers, media_type="application/json")


def _usable(nonce: str) -> str:
    return nonce if nonce and nonce.isascii() and nonce.isprintable() else UNUSABLE_NONCE


def _parse(raw: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None
