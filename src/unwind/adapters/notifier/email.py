"""E-mail over SMTP (aiosmtplib). The Message-ID is that of the message, so a mailbox shows a repeat as one."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

import aiosmtplib
import structlog
from pydantic import Field, SecretStr

from unwind.adapters.outbound import Pacer
from unwind.adapters.provider import Connected, PartyKind, Provider, ProviderSettings, Surroundings
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.ports.notifier import MessageCall
from unwind.ports.probe import Probe, ProbeResult

log = structlog.get_logger(__name__)

TIMEOUT_S = 9.0
PERMANENT_FROM = 500
ERROR_KINDS: Mapping[str, OutcomeKind] = {"smtp_4xx": OutcomeKind.RETRY_SAME_NUMBER, "smtp_5xx": OutcomeKind.REFUSED}
"""SMTP reply classes (RFC 5321, 4.2.1): 4yz may be tried again, 5yz will not."""
SUBJECTS = {"buyer": "订单取消进度 / Your cancellation", "agent": "Unwind"}


class EmailSettings(ProviderSettings):
    base_url: str
    """`smtp://host:587` (STARTTLS as `tls` says) or `smtps://host:465`."""
    sender: Annotated[str, Field(min_length=3)]
    user: str = ""
    password: SecretStr | None = None
    tls: Literal["required", "off"] = "required"
    """`off` only for a mail server on this very machine."""
    channel: str = "email"


class Email:
    """Implements ports.notifier.Notifier."""

    resend_is_safe = True

    def __init__(self, settings: EmailSettings, around: Surroundings) -> None:
        self._settings = settings
        self._connection = around.connection_id
        self._clock = around.clock
        self._pacer = Pacer(settings.rate_per_s)
        address = urlsplit(settings.base_url)
        self._is_smtps = address.scheme == "smtps"
        self._host, self._port = address.hostname or "", address.port or (465 if self._is_smtps else 587)

    async def send(self, call: MessageCall) -> Outcome:
        wait_s = await self._pacer.wait()
        if wait_s:
            return Outcome(kind=OutcomeKind.RETRY_SAME_NUMBER, code="paced", retry_after_s=wait_s)
        try:
            async with asyncio.timeout(TIMEOUT_S), self._client() as client:
                await client.send_message(self._letter(call))
        except aiosmtplib.SMTPResponseException as error:
            kind = OutcomeKind.REFUSED if error.code >= PERMANENT_FROM else OutcomeKind.RETRY_SAME_NUMBER
            return self._trouble(kind, f"smtp_{error.code}")
        except aiosmtplib.SMTPRecipientsRefused as error:
            is_final = all(one.code >= PERMANENT_FROM for one in error.recipients)
            return self._trouble(
                OutcomeKind.REFUSED if is_final else OutcomeKind.RETRY_SAME_NUMBER, "recipient_refused"
            )
        except aiosmtplib.SMTPConnectError as error:
            return self._trouble(OutcomeKind.RETRY_SAME_NUMBER, f"never_sent:{type(error).__name__}")
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            return self._trouble(OutcomeKind.UNKNOWN, f"broken_off:{type(error).__name__}")
        return Outcome(kind=OutcomeKind.SUCCEEDED, code="smtp_250")

    async def probe(self) -> Probe:
        try:
            async with asyncio.timeout(TIMEOUT_S), self._client() as client:
                await client.noop()
        except aiosmtplib.SMTPResponseException as error:
            return Probe(result=ProbeResult.REFUSED, code=f"smtp_{error.code}")
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            return Probe(result=ProbeResult.UNREACHABLE, code=type(error).__name__)
        return Probe(result=ProbeResult.OK)

    def _client(self) -> aiosmtplib.SMTP:
        settings = self._settings
        return aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            use_tls=self._is_smtps,
            start_tls=settings.tls == "required" and not self._is_smtps,
            username=settings.user or None,
            password=settings.password.get_secret_value() if settings.password else None,
            timeout=TIMEOUT_S,
        )

    def _letter(self, call: MessageCall) -> EmailMessage:
        letter = EmailMessage()
        letter["From"] = self._settings.sender
        letter["To"] = call.address
        letter["Subject"] = SUBJECTS.get(call.audience, SUBJECTS["agent"])
        letter["Message-ID"] = f"<{call.message_id.replace(':', '.')}@unwind>"
        letter["Date"] = format_datetime(datetime.fromtimestamp(self._clock(), UTC))
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(call.text)
        return letter

    def _trouble(self, kind: OutcomeKind, code: str) -> Outcome:
        log.warning("call_failed", connection=self._connection, call="smtp", outcome=kind.value, code=code)
        alert = "configuration" if code == "smtp_535" else ""
        return Outcome(kind=kind, code=code, alert=alert)


async def _nothing_to_close() -> None:
    """A connection is opened for each letter."""


def connect(settings: EmailSettings, around: Surroundings) -> Connected:
    party = Email(settings, around)
    return Connected(party=party, close=_nothing_to_close, probe=party.probe, channel=settings.channel)


PROVIDER = Provider(
    name="email",
    kind=PartyKind.MESSAGES,
    title="电子邮件",
    settings=EmailSettings,
    connect=connect,
    error_kinds=ERROR_KINDS,
)
