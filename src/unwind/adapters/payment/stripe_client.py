"""The official SDK of Stripe over our own way out: its requests, our time-outs, size limit, pace and transport.

Never its retries (they would hide an outcome), never the proxies of the environment, and nothing of the machine in the headers.

Source: `stripe` 16.1.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import stripe

from unwind.adapters.outbound import Outbound, code_of
from unwind.adapters.refusals import CONFIGURATION, ErrorTable
from unwind.domain.outcome import Outcome, OutcomeKind

logging.getLogger("stripe").setLevel(logging.WARNING)  # at DEBUG it writes whole bodies

TELLTALE_HEADERS = frozenset({"x-stripe-client-user-agent", "x-stripe-client-telemetry", "user-agent"})

ERRORS = ErrorTable(
    kinds={
        "api_error": OutcomeKind.UNKNOWN,
        "card_error": OutcomeKind.UNKNOWN,
        "idempotency_key_in_use": OutcomeKind.UNKNOWN,
        "idempotency_error": OutcomeKind.UNKNOWN,
        "rate_limit": OutcomeKind.RETRY_SAME_NUMBER,
        "rate_limit_error": OutcomeKind.RETRY_SAME_NUMBER,
        "authentication_error": OutcomeKind.UNKNOWN,
        "permission_error": OutcomeKind.UNKNOWN,
        "invalid_request_error": OutcomeKind.UNKNOWN,
        "charge_already_refunded": OutcomeKind.REFUSED,
        # (unverified) from here on: codes and the field that an error names
        "invalid_request_error:amount": OutcomeKind.REFUSED,
        "resource_missing": OutcomeKind.REFUSED,
        "payment_intent_unexpected_state": OutcomeKind.REFUSED,
        "balance_insufficient": OutcomeKind.NEEDS_FUNDS,
    },
    alerts=dict.fromkeys(("authentication_error", "permission_error", "invalid_request_error"), CONFIGURATION),
)
"""By code, where Stripe gives one, otherwise by the type of the error."""

_TYPES: tuple[tuple[type[stripe.StripeError], str], ...] = (
    (stripe.AuthenticationError, "authentication_error"),
    (stripe.PermissionError, "permission_error"),
    (stripe.IdempotencyError, "idempotency_error"),
    (stripe.RateLimitError, "rate_limit_error"),
)


class CallEnded(Exception):
    """The exchange itself ended otherwise than with an answer."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.code)
        self.outcome = outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What Stripe said. `code` is empty for a yes."""

    status: int
    code: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    retry_after_s: float | None = None


class OutboundHttp(stripe.HTTPClient):
    """The hook of the SDK for an HTTP client of one's own."""

    name = "unwind"

    def __init__(self, outbound: Outbound, base_url: str) -> None:
        super().__init__()
        self._outbound = outbound
        self._base_url = base_url.rstrip("/")

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        path = url.removeprefix(self._base_url)
        sent = {name: value for name, value in headers.items() if name.lower() not in TELLTALE_HEADERS}
        content = post_data.encode() if isinstance(post_data, str) else b""
        reply = await self._outbound.exchange(
            method.upper(), path, content=content, headers={**sent, "User-Agent": "unwind"}, what=_without_numbers(path)
        )
        if isinstance(reply, Outcome):
            raise CallEnded(reply)
        return reply.body, reply.status, dict(reply.headers)

    async def close_async(self) -> None:
        await self._outbound.aclose()


class StripeCalls:
    """One call, and what became of it."""

    def __init__(self, *, secret_key: str, base_url: str, outbound: Outbound) -> None:
        self.outbound = outbound
        self._sdk = stripe.StripeClient(
            secret_key,
            base_addresses={"api": base_url.rstrip("/")},
            max_network_retries=0,
            http_client=OutboundHttp(outbound, base_url),
        )

    async def call(
        self, method: str, path: str, params: Mapping[str, Any] | None = None, *, idempotency_key: str = ""
    ) -> Said | Outcome:
        options = {"idempotency_key": idempotency_key} if idempotency_key else {}
        what = _without_numbers(path)
        try:
            response = await self._sdk.raw_request_async(
                method, path, max_network_retries=0, **options, **dict(params or {})
            )
        except CallEnded as ended:
            return ended.outcome
        except stripe.StripeError as error:
            return self._said_no(what, error)
        except (
            AttributeError,
            KeyError,
            TypeError,
            ValueError,
            RecursionError,
        ):  # the SDK trusts the shape of what it gets
            return self.outbound.trouble(what, OutcomeKind.UNKNOWN, "malformed")
        body = response.data
        if not isinstance(body, dict):
            return self.outbound.malformed(what, http_status=response.code)
        return Said(status=response.code, body=body)

    def refused(self, what: str, said: Said) -> Outcome:
        return ERRORS.outcome(self.outbound, what, said.code, http_status=said.status, retry_after_s=said.retry_after_s)

    def _said_no(self, what: str, error: stripe.StripeError) -> Said | Outcome:
        """The SDK's messages quote bodies: only its code, type and status are kept."""
        status = error.http_status or 0
        details = error.json_body.get("error") if isinstance(error.json_body, dict) else None
        if not isinstance(details, dict):
            code = f"http_{status}" if status else "malformed"
            return self.outbound.trouble(what, OutcomeKind.UNKNOWN, code, http_status=status)
        headers = {str(name).lower(): str(value) for name, value in (error.headers or {}).items()}
        given = headers.get("retry-after", "")
        retry_after_s = float(min(int(given), 3600)) if given.isdigit() and given.isascii() else None
        return Said(status=status, code=_code_of(error, details), retry_after_s=retry_after_s)


def _code_of(error: stripe.StripeError, details: Mapping[str, Any]) -> str:
    code = details.get("code")
    if code:
        return code_of(code)
    for kind, name in _TYPES:
        if isinstance(error, kind):
            return name
    kind_name = code_of(details.get("type"))
    return f"{kind_name}:amount" if details.get("param") == "amount" else kind_name


def _without_numbers(path: str) -> str:
    """For the log: the call without the numbers in it."""
    parts = path.partition("?")[0].split("/")
    return "/".join("-" if "_" in part and any(c.isdigit() for c in part) else part for part in parts)
