"""What every provider's module offers (ADR 13): typed settings, and `connect`, which turns them into something that implements a port."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, ConfigDict, Field

from unwind.adapters.outbound import Outbound
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.ports.bill import BillReader
from unwind.ports.callback import CallbackVerifier
from unwind.ports.carrier import Carrier
from unwind.ports.notifier import Notifier
from unwind.ports.payment import PaymentGateway
from unwind.ports.probe import Probe, ProbeResult
from unwind.ports.shop import Shop
from unwind.ports.warehouse import Warehouse

Party = PaymentGateway | Warehouse | Carrier | Shop | Notifier


class PartyKind(StrEnum):
    PAYMENT = "payment"
    WAREHOUSE = "warehouse"
    CARRIER = "carrier"
    SHOP = "shop"
    MESSAGES = "messages"


class ProviderSettings(BaseModel):
    """Fields that every connection has. A provider's own settings extend this; a field that it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    base_url: str
    rate_per_s: Annotated[float | None, Field(gt=0)] = None
    """Most calls a second from one process; none: no limit of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a connection gets from the program that runs it."""

    connection_id: str
    clock: Callable[[], float]
    """Unix seconds."""
    nonces: Callable[[], str]
    """A fresh text of 32 hexadecimal characters per call."""
    callback_url: str
    """Where this connection's callbacks arrive, or empty: then the provider is not told of any address."""
    transport: httpx.AsyncBaseTransport | None = None
    """Replaces the network (tests, replay)."""


def outbound_of(settings: ProviderSettings, around: Surroundings) -> Outbound:
    """The way out of a connection whose calls all begin at its `base_url`."""
    return Outbound(
        name=around.connection_id,
        base_url=settings.base_url,
        transport=around.transport,
        rate_per_s=settings.rate_per_s,
    )


async def nothing_to_probe() -> Probe:
    return Probe(result=ProbeResult.NOT_PROBED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    party: Party
    close: Callable[[], Awaitable[None]]
    probe: Callable[[], Awaitable[Probe]] = nothing_to_probe
    verifier: CallbackVerifier | None = None
    channel: str = ""
    """For messages: the channel it carries (sms, email, wechat, webhook, dingtalk, wecom, feishu)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    name: str
    """As `connections.json` says it."""
    kind: PartyKind
    title: str
    """As people call it, Chinese first."""
    settings: type[ProviderSettings]
    connect: Callable[[Any, Surroundings], Connected]
    error_kinds: Mapping[str, OutcomeKind]
    """The provider's error table: code -> what it means. A code that is not here is UNKNOWN with an alert."""
    read_bill: BillReader | None = None
    """Where it has bills that we can read."""


def probe_of(answer: object) -> Probe:
    """What the answer to a question about something that does not exist says of the connection; one that could be read is a yes."""
    if not isinstance(answer, Outcome):
        return Probe(result=ProbeResult.OK)
    match answer:
        case Outcome(kind=OutcomeKind.SUCCEEDED | OutcomeKind.NOT_FOUND | OutcomeKind.REFUSED | OutcomeKind.PROCESSING):
            return Probe(result=ProbeResult.OK, code=answer.code)
        case Outcome(alert="answer_unverified"):
            return Probe(result=ProbeResult.UNVERIFIED, code=answer.code)
        case Outcome(code=code) if code == "timeout" or code.startswith(("never_sent", "broken_off")):
            return Probe(result=ProbeResult.UNREACHABLE, code=code)
        case _:
            return Probe(result=ProbeResult.REFUSED, code=answer.code)
