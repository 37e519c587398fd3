"""Any receiver of our own messages, signed as the Standard Webhooks specification says (standardwebhooks.com, version 1).

`webhook-id` stays the same in every repetition, so that the receiver can drop them.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

import orjson
from pydantic import Field, SecretStr

from unwind.adapters.provider import Connected, PartyKind, Provider, ProviderSettings, Surroundings, outbound_of
from unwind.adapters.shared_secrets import accepted_secrets
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.ports.notifier import MessageCall

SECRET_PREFIX = "whsec_"  # noqa: S105 - how such secrets begin
ERROR_KINDS: Mapping[str, OutcomeKind] = {
    "http_410": OutcomeKind.REFUSED,
    "http_413": OutcomeKind.REFUSED,
    "http_422": OutcomeKind.REFUSED,
    "http_429": OutcomeKind.RETRY_SAME_NUMBER,
}
NOT_OURS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
"""The address or the secret is wrong."""


class WebhookSettings(ProviderSettings):
    secret: SecretStr
    """`whsec_` and Base64, as the receiver knows it."""
    previous_secret: SecretStr | None = None
    """Signed with too, while the receiver changes over."""
    channel: Annotated[str, Field(min_length=1)] = "webhook"


class Webhook:
    """Implements ports.notifier.Notifier."""

    resend_is_safe = True

    def __init__(self, settings: WebhookSettings, around: Surroundings) -> None:
        self._keys = [key_of(secret) for secret in accepted_secrets(settings.secret, settings.previous_secret)]
        self._clock = around.clock
        self.outbound = outbound_of(settings, around)

    async def send(self, call: MessageCall) -> Outcome:
        body = orjson.dumps(
            {
                "type": f"message.{call.template}",
                "data": {
                    "message_id": call.message_id,
                    "audience": call.audience,
                    "address": call.address,
                    "text": call.text,
                    "params": dict(call.params),
                },
            }
        )
        timestamp = int(self._clock())
        headers = {
            "webhook-id": call.message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": " ".join(
                sign(key, message_id=call.message_id, timestamp=timestamp, body=body) for key in self._keys
            ),
            "Content-Type": "application/json",
        }
        reply = await self.outbound.exchange("POST", "", content=body, headers=headers, what="webhook")
        if isinstance(reply, Outcome):
            return reply
        if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
            return Outcome(kind=OutcomeKind.SUCCEEDED, code=f"http_{reply.status}")
        code = f"http_{reply.status}"
        kind = ERROR_KINDS.get(code, OutcomeKind.UNKNOWN)
        retry_after_s = reply.retry_after_s if kind is OutcomeKind.RETRY_SAME_NUMBER else None
        alert = "configuration" if reply.status in NOT_OURS else ""
        if not alert and code not in ERROR_KINDS and reply.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return self.outbound.unknown_code("webhook", code, http_status=reply.status)
        return self.outbound.trouble("webhook", kind, code, retry_after_s=retry_after_s, alert=alert)


def key_of(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX))


def sign(key: bytes, *, message_id: str, timestamp: int, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def connect(settings: WebhookSettings, around: Surroundings) -> Connected:
    party = Webhook(settings, around)
    return Connected(party=party, close=party.outbound.aclose, channel=settings.channel)


PROVIDER = Provider(
    name="webhook",
    kind=PartyKind.MESSAGES,
    title="Webhook",
    settings=WebhookSettings,
    connect=connect,
    error_kinds=ERROR_KINDS,
)
