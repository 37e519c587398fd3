"""One signed call of the contract, and everything that can become of it.

Only what the other side said, signed, about this very call counts as an answer. All else is UNKNOWN with a code, and a query by our own
number decides.
"""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx
import orjson

from unwind.adapters.fields import parse_object
from unwind.adapters.generic.signing import SignatureInvalid, sign_headers, verify_headers
from unwind.adapters.outbound import TIMEOUT_S, Outbound, Reply, code_of
from unwind.domain.outcome import Outcome, OutcomeKind

ERROR_KINDS: Mapping[tuple[int, str], OutcomeKind] = {
    (400, "PARAM_ERROR"): OutcomeKind.UNKNOWN,
    (401, "SIGN_ERROR"): OutcomeKind.UNKNOWN,
    (401, "NONCE_REUSED"): OutcomeKind.UNKNOWN,
    (403, "NOT_ENOUGH"): OutcomeKind.NEEDS_FUNDS,
    (403, "OVER_REFUND"): OutcomeKind.REFUSED,
    (403, "NOT_PAID"): OutcomeKind.REFUSED,
    (403, "TRADE_CLOSED"): OutcomeKind.REFUSED,
    (409, "CONFLICT"): OutcomeKind.UNKNOWN,
    (409, "NUMBER_REUSED"): OutcomeKind.UNKNOWN,
    (429, "RATE_LIMITED"): OutcomeKind.RETRY_SAME_NUMBER,
    (500, "SYSTEM_ERROR"): OutcomeKind.UNKNOWN,
}
"""What signed refusals mean. Those that an earlier try of the same number may explain are UNKNOWN; what is not here is UNKNOWN with an alert."""
ALERTING = frozenset({"PARAM_ERROR", "SIGN_ERROR"})
"""Never in order: our settings or our program are wrong."""


class SignedClient:
    """Calls one connection of the contract. `clock` gives Unix seconds, `nonces` a fresh nonce per call."""

    def __init__(
        self,
        *,
        name: str = "generic",
        base_url: str,
        secret: str,
        previous_secret: str | None = None,
        clock: Callable[[], float],
        nonces: Callable[[], str],
        transport: httpx.AsyncBaseTransport | None = None,
        timeout_s: float = TIMEOUT_S,
        rate_per_s: float | None = None,
    ) -> None:
        self.secrets = (secret,) if previous_secret is None else (secret, previous_secret)
        self._clock = clock
        self._nonces = nonces
        self._outbound = Outbound(
            name=name, base_url=base_url, transport=transport, timeout_s=timeout_s, rate_per_s=rate_per_s
        )

    async def aclose(self) -> None:
        await self._outbound.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def call(
        self, path: str, body: Mapping[str, Any], *, not_found: OutcomeKind = OutcomeKind.UNKNOWN
    ) -> dict[str, Any] | Outcome:
        """The object of a genuine 200, or what else became of the call. `not_found` is what a genuine 404 means here."""
        raw = orjson.dumps(body)
        nonce = self._nonces()
        headers = sign_headers(self.secrets[0], now=self._clock(), nonce=nonce, body=raw)
        reply = await self._outbound.exchange(
            "POST", path, content=raw, headers={**headers, "Content-Type": "application/json"}
        )
        return reply if isinstance(reply, Outcome) else self._judge(path, reply, nonce, not_found)

    def _judge(self, path: str, reply: Reply, nonce: str, not_found: OutcomeKind) -> dict[str, Any] | Outcome:
        try:
            answered_nonce = verify_headers(self.secrets, reply.headers, reply.body, now=self._clock())
        except SignatureInvalid as invalid:
            return self._outbound.unverified(path, invalid.reason, http_status=reply.status)
        if answered_nonce != nonce:
            return self._outbound.trouble(
                path, OutcomeKind.UNKNOWN, "answer_to_another_call", alert="answer_unverified", http_status=reply.status
            )
        body = parse_object(reply.body)
        if body is None:
            return self._outbound.malformed(path, http_status=reply.status)
        if reply.status == httpx.codes.OK:
            return body
        return self._refusal(path, reply, body, not_found)

    def _refusal(self, path: str, reply: Reply, body: Mapping[str, Any], not_found: OutcomeKind) -> Outcome:
        code = code_of(body.get("code"))
        if (reply.status, code) == (httpx.codes.NOT_FOUND, "NOT_FOUND"):
            return Outcome(kind=not_found, code=code)
        kind = ERROR_KINDS.get((reply.status, code))
        if kind is None:
            return self._outbound.unknown_code(path, code, http_status=reply.status)
        return self._outbound.trouble(
            path,
            kind,
            code,
            retry_after_s=reply.retry_after_s if kind is OutcomeKind.RETRY_SAME_NUMBER else None,
            alert="refused_by_contract" if code in ALERTING else "",
            http_status=reply.status,
        )
