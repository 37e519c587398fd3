"""One signed call, and everything that can become of it.

The rule behind the mapping: only what certainly did not reach the other side may be sent again without asking
(`RETRY_SAME_NUMBER`), and only what the other side said, signed, about this very call counts as an answer. All else is
UNKNOWN with a code, and a query by our own number decides.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
import orjson
import structlog

from unwind.adapters.generic.signing import SignatureInvalid, sign_headers, verify_headers
from unwind.domain.outcome import Outcome, OutcomeKind

log = structlog.get_logger(__name__)

TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
CONNECTIONS_MAX = 20
ANSWER_BYTES_MAX = 1_000_000
RETRY_AFTER_MAX_S = 3600
"""The header is not signed: it may slow us down, not stop us."""

ERROR_KINDS: Mapping[tuple[int, str], OutcomeKind] = {
    (403, "NOT_ENOUGH"): OutcomeKind.NEEDS_FUNDS,
    (403, "OVER_REFUND"): OutcomeKind.REFUSED,
    (403, "NOT_PAID"): OutcomeKind.REFUSED,
    (403, "TRADE_CLOSED"): OutcomeKind.REFUSED,
    (429, "RATE_LIMITED"): OutcomeKind.RETRY_SAME_NUMBER,
}
"""Signed refusals that settle the matter. What is not here (400, 401, 409, new codes) is UNKNOWN: an earlier try of the
same number may have been executed."""

_CODE_PATTERN = re.compile(r"[0-9A-Za-z_.:-]{1,64}")
_RETRY_AFTER_PATTERN = re.compile(r"[0-9]{1,9}")
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class SignedClient:
    """Calls one connection of the contract. `clock` gives Unix seconds, `nonces` a fresh nonce per call.

    `timeout_s` bounds the whole call, from connecting to the last byte. Safe for concurrent use; close it with `aclose`.
    """

    def __init__(
        self,
        *,
        base_url: str,
        secret: str,
        clock: Callable[[], float],
        nonces: Callable[[], str],
        transport: httpx.AsyncBaseTransport | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._secret = secret
        self._clock = clock
        self._nonces = nonces
        self._timeout_s = timeout_s
        connect_timeout_s = min(CONNECT_TIMEOUT_S, timeout_s / 2)
        self._http = httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(timeout_s, connect=connect_timeout_s, pool=connect_timeout_s),
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
            follow_redirects=False,
            trust_env=False,
        )

    async def aclose(self) -> None:
        await self._http.aclose()

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
        headers = sign_headers(self._secret, now=self._clock(), nonce=nonce, body=raw)
        try:
            async with asyncio.timeout(self._timeout_s):
                response, answer = await self._post(path, raw, headers)
        except NEVER_SENT as error:
            return self._trouble(path, OutcomeKind.RETRY_SAME_NUMBER, f"never_sent:{type(error).__name__}")
        except TimeoutError:
            return self._trouble(path, OutcomeKind.UNKNOWN, "timeout")
        except (httpx.HTTPError, OSError) as error:
            return self._trouble(path, OutcomeKind.UNKNOWN, f"broken_off:{type(error).__name__}")
        return self._judge(path, response, answer, nonce, not_found)

    async def _post(self, path: str, raw: bytes, headers: Mapping[str, str]) -> tuple[httpx.Response, bytes | None]:
        """Status and headers, and the body; None when it is larger than any answer of the contract."""
        sent = {**headers, "Content-Type": "application/json", "Accept-Encoding": "identity"}
        async with self._http.stream("POST", f"{self._base_url}{path}", content=raw, headers=sent) as response:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > ANSWER_BYTES_MAX:
                    return response, None
            return response, bytes(body)

    def _judge(
        self, path: str, response: httpx.Response, raw: bytes | None, nonce: str, not_found: OutcomeKind
    ) -> dict[str, Any] | Outcome:
        status = response.status_code
        if raw is None:
            return self._trouble(path, OutcomeKind.UNKNOWN, "too_large", http_status=status)
        try:
            answered_nonce = verify_headers(self._secret, response.headers, raw, now=self._clock())
        except SignatureInvalid as invalid:
            return self._trouble(path, OutcomeKind.UNKNOWN, f"unverified:{invalid.reason}", http_status=status)
        if answered_nonce != nonce:
            return self._trouble(path, OutcomeKind.UNKNOWN, "answer_to_another_call", http_status=status)
        body = _parse(raw)
        if body is None:
            return self._trouble(path, OutcomeKind.UNKNOWN, "malformed", http_status=status)
        if status == httpx.codes.OK:
            return body
        return self._refusal(path, response, body, not_found)

    def _refusal(self, path: str, response: httpx.Response, body: Mapping[str, Any], not_found: OutcomeKind) -> Outcome:
        given = body.get("code")
        code = given if isinstance(given, str) and _CODE_PATTERN.fullmatch(given) else "malformed_code"
        status = response.status_code
        if (status, code) == (httpx.codes.NOT_FOUND, "NOT_FOUND"):
            return Outcome(kind=not_found, code=code)
        kind = ERROR_KINDS.get((status, code), OutcomeKind.UNKNOWN)
        retry_after_s = _read_retry_after(response) if kind is OutcomeKind.RETRY_SAME_NUMBER else None
        return self._trouble(path, kind, code, retry_after_s=retry_after_s, http_status=status)

    def _trouble(
        self, path: str, kind: OutcomeKind, code: str, *, retry_after_s: float | None = None, **evidence: int
    ) -> Outcome:
        """Codes and numbers only: neither bodies nor addresses are ever logged."""
        log.warning("generic.call_failed", path=path, outcome=kind.value, code=code, **evidence)
        return Outcome(kind=kind, code=code, retry_after_s=retry_after_s, evidence=evidence)


def number_in_path(number: str) -> str:
    """A number as one path segment, whatever characters it has."""
    return quote(number, safe="") if number.strip(".") else number.replace(".", "%2E")


def _parse(raw: bytes) -> dict[str, Any] | None:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _read_retry_after(response: httpx.Response) -> float | None:
    given = response.headers.get("Retry-After", "")
    return float(min(int(given), RETRY_AFTER_MAX_S)) if _RETRY_AFTER_PATTERN.fullmatch(given) else None
