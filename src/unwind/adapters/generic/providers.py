"""The generic contract as five providers, one per kind of party."""

from collections.abc import Callable
from typing import Annotated

from pydantic import Field, SecretStr

from unwind.adapters.generic.callbacks import SignedCallbacks
from unwind.adapters.generic.carrier import GenericCarrier
from unwind.adapters.generic.client import ERROR_KINDS, SignedClient
from unwind.adapters.generic.notifier import GenericNotifier
from unwind.adapters.generic.payment import GenericPaymentGateway
from unwind.adapters.generic.shop import GenericShop
from unwind.adapters.generic.warehouse import GenericWarehouse
from unwind.adapters.provider import (
    Connected,
    Party,
    PartyKind,
    Provider,
    ProviderSettings,
    Surroundings,
    nothing_to_probe,
    probe_of,
)
from unwind.domain.outcome import OutcomeKind
from unwind.ports.probe import Probe

PROBE_NUMBER = "UNWIND-PROBE"


class GenericSettings(ProviderSettings):
    secret: Annotated[SecretStr, Field(min_length=8)]
    previous_secret: SecretStr | None = None
    """Still accepted from the other side while it changes over; we sign with `secret`."""


class GenericMessagesSettings(GenericSettings):
    channel: Annotated[str, Field(min_length=1, max_length=32)]


def _provider(
    name: str, kind: PartyKind, title: str, build: Callable[[SignedClient], Party], probe_path: str = ""
) -> Provider:
    def connect(settings: GenericSettings, around: Surroundings) -> Connected:
        client = SignedClient(
            name=around.connection_id,
            base_url=settings.base_url,
            secret=settings.secret.get_secret_value(),
            previous_secret=settings.previous_secret.get_secret_value() if settings.previous_secret else None,
            clock=around.clock,
            nonces=around.nonces,
            transport=around.transport,
            rate_per_s=settings.rate_per_s,
        )

        async def probe() -> Probe:
            """A question about a number that does not exist; a signed 404 is as good as any answer."""
            if not probe_path:
                return await nothing_to_probe()
            return probe_of(await client.call(probe_path, _PROBE_BODY, not_found=OutcomeKind.NOT_FOUND))

        return Connected(
            party=build(client),
            close=client.aclose,
            probe=probe,
            verifier=SignedCallbacks(client.secrets, around.clock),
            channel=settings.channel if isinstance(settings, GenericMessagesSettings) else "",
        )

    settings = GenericMessagesSettings if kind is PartyKind.MESSAGES else GenericSettings
    error_kinds = {code: found for (_, code), found in ERROR_KINDS.items()}
    return Provider(name=name, kind=kind, title=title, settings=settings, connect=connect, error_kinds=error_kinds)


_PROBE_BODY = {"trade_no": PROBE_NUMBER, "request_id": PROBE_NUMBER}

PAYMENT = _provider(
    "generic_payment", PartyKind.PAYMENT, "通用支付接口", GenericPaymentGateway, "/payment/trades/query"
)
WAREHOUSE = _provider(
    "generic_warehouse", PartyKind.WAREHOUSE, "通用仓库接口", GenericWarehouse, f"/outbound/{PROBE_NUMBER}/query"
)
CARRIER = _provider(
    "generic_carrier", PartyKind.CARRIER, "通用快递接口", GenericCarrier, f"/waybills/{PROBE_NUMBER}/recall/query"
)
SHOP = _provider("generic_shop", PartyKind.SHOP, "通用店铺接口", GenericShop, f"/orders/{PROBE_NUMBER}/cancel/query")
MESSAGES = _provider("generic_messages", PartyKind.MESSAGES, "通用消息接口", GenericNotifier)
