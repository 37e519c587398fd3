"""The one way out: a bounded HTTP exchange, and what it means when there is none.

Only what certainly did not reach the other side may be sent again without asking (`RETRY_SAME_NUMBER`); a call that broke off on the way is
UNKNOWN. What the other side answered is for the adapter to verify and read.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import httpx
import structlog

from unwind.domain.outcome import Outcome, OutcomeKind

log = structlog.get_logger(__name__)

TIMEOUT_S = 9.0
"""Less than the flow's own limit of 10 s, so that it is the call that says how it ended."""
CONNECT_TIMEOUT_S = 5.0
CONNECTIONS_MAX = 20
ANSWER_BYTES_MAX = 1_000_000
RETRY_AFTER_MAX_S = 3600
"""The header is not signed: it may slow us down, not stop us."""
PACE_WAIT_MAX_S = 1.0

_RETRY_AFTER_PATTERN = re.compile(r"[0-9]{1,9}")
_CODE_PATTERN = re.compile(r"[0-9A-Za-z_.:-]{1,64}")
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back, unread. `body` is the raw bytes: signatures are checked on them."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def retry_after_s(self) -> float | None:
        given = self.headers.get("retry-after", "")
        return float(min(int(given), RETRY_AFTER_MAX_S)) if _RETRY_AFTER_PATTERN.fullmatch(given) else None


class Pacer:
    """At most `rate_per_s` calls a second from this process, evenly spaced; no limit without a rate."""

    def __init__(self, rate_per_s: float | None) -> None:
        self._gap_s = 1 / rate_per_s if rate_per_s else 0.0
        self._free_at_s = 0.0

    async def wait(self) -> float:
        """Waits for a place. Seconds to come back after, where the wait would be too long; 0 when the call may go."""
        if not self._gap_s:
            return 0.0
        now_s = asyncio.get_running_loop().time()
        wait_s = max(0.0, self._free_at_s - now_s)
        if wait_s > PACE_WAIT_MAX_S:
            return wait_s
        self._free_at_s = max(self._free_at_s, now_s) + self._gap_s
        await asyncio.sleep(wait_s)
        return 0.0


class Outbound:
    """Speaks HTTP to one connection. `timeout_s` bounds a whole call, from connecting to the last byte.

    Safe for concurrent use; close it with `aclose`. Redirects are not followed, proxies of the environment are not used.
    """

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout_s: float = TIMEOUT_S,
        rate_per_s: float | None = None,
    ) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._pacer = Pacer(rate_per_s)
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

    async def exchange(
        self, method: str, path: str, *, content: bytes = b"", headers: Mapping[str, str] | None = None, what: str = ""
    ) -> Reply | Outcome:
        """One request below the connection's base address. `path` begins with a slash and may carry a query, as it is sent.

        `what` names the call in the log, where the path would quote a number.
        """
        what = what or path
        wait_s = await self._pacer.wait()
        if wait_s:
            return self.trouble(what, OutcomeKind.RETRY_SAME_NUMBER, "paced", retry_after_s=wait_s)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._send(method, path, content, headers or {}, what)
        except NEVER_SENT as error:
            return self.trouble(what, OutcomeKind.RETRY_SAME_NUMBER, f"never_sent:{type(error).__name__}")
        except TimeoutError:
            return self.trouble(what, OutcomeKind.UNKNOWN, "timeout")
        except (httpx.HTTPError, OSError) as error:
            return self.trouble(what, OutcomeKind.UNKNOWN, f"broken_off:{type(error).__name__}")

    async def _send(
        self, method: str, path: str, content: bytes, headers: Mapping[str, str], what: str
    ) -> Reply | Outcome:
        sent = {**headers, "Accept-Encoding": "identity"}
        async with self._http.stream(method, f"{self._base_url}{path}", content=content, headers=sent) as response:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > ANSWER_BYTES_MAX:
                    return self.trouble(what, OutcomeKind.UNKNOWN, "too_large", http_status=response.status_code)
            lowered = {name.lower(): value for name, value in response.headers.items()}
            return Reply(status=response.status_code, headers=lowered, body=bytes(body))

    def trouble(
        self,
        what: str,
        kind: OutcomeKind,
        code: str,
        *,
        retry_after_s: float | None = None,
        alert: str = "",
        **evidence: int | str,
    ) -> Outcome:
        """An outcome that is no success, logged by codes and numbers only: neither bodies nor addresses."""
        log.warning(
            "call_failed", connection=self.name, call=what, outcome=kind.value, code=code, alert=alert, **evidence
        )
        return Outcome(kind=kind, code=code, retry_after_s=retry_after_s, alert=alert, evidence=evidence)

    def unverified(self, what: str, reason: str, *, http_status: int) -> Outcome:
        """An answer whose signature does not hold is no answer, and somebody should look why; unless a proxy in between has failed."""
        alert = "" if http_status >= httpx.codes.INTERNAL_SERVER_ERROR else "answer_unverified"
        return self.trouble(what, OutcomeKind.UNKNOWN, f"unverified:{reason}", alert=alert, http_status=http_status)

    def malformed(self, what: str, *, http_status: int) -> Outcome:
        """An answer that cannot be read says nothing of what was done."""
        return self.trouble(what, OutcomeKind.UNKNOWN, "malformed", http_status=http_status)

    def unknown_code(self, what: str, code: str, *, http_status: int) -> Outcome:
        """A code that no table of ours knows: in doubt, and somebody should look."""
        return self.trouble(what, OutcomeKind.UNKNOWN, code, alert="unknown_code", http_status=http_status)


def number_in_path(number: str) -> str:
    """A number as one path segment, whatever characters it has."""
    return quote(number, safe="") if number.strip(".") else number.replace(".", "%2E")


def code_of(given: object) -> str:
    """A provider's code as we store and log it; anything that does not look like one is not repeated."""
    return given if isinstance(given, str) and _CODE_PATTERN.fullmatch(given) else "malformed_code"


Clock = Callable[[], float]
"""Unix seconds."""
