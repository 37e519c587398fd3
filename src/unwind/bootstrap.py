"""Settings -> adapters -> flow. The only place that knows which adapter stands behind which connection."""

import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import httpx

from unwind.adapters import generic
from unwind.adapters.inbox import InboxNotifier
from unwind.flow.services import Pace, Services
from unwind.policy.engine import load_default
from unwind.ports.callback import CallbackUnverified, News
from unwind.ports.notifier import Notifier
from unwind.settings import ConnectionSettings, Settings
from unwind.storage.database import Database
from unwind.storage.privacy import Vault


class SignedCallbacks:
    """The generic contract's callbacks as the port wants them."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def verify(self, headers: Mapping[str, str], raw_body: bytes) -> News:
        try:
            event = generic.verify_callback(self._secret, headers, raw_body, time.time())
        except generic.CallbackRefused as error:
            raise CallbackUnverified(type(error).__name__) from None
        return News(event_id=event.event_id, kind=event.type, data=event.data)


def pace_of(settings: Settings) -> Pace:
    """The production pace, faster by `pace_scale` for the demo and the tests; patience with people is not scaled."""
    plain = Pace()
    return Pace(
        first_retry=plain.first_retry * settings.pace_scale,
        longest_retry=max(plain.longest_retry * settings.pace_scale, timedelta(seconds=1)),
    )


@asynccontextmanager
async def wired(
    settings: Settings, database: Database, *, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[Services]:
    """Services with every configured connection; `transport` replaces the network (replay, tests)."""
    async with AsyncExitStack() as open_clients:
        by_kind: dict[str, list[tuple[ConnectionSettings, generic.SignedClient]]] = {}
        for connection in settings.connections:
            client = _client(connection, transport)
            open_clients.push_async_callback(client.aclose)
            by_kind.setdefault(connection.kind, []).append((connection, client))
        yield _services(settings, database, by_kind)


def _services(
    settings: Settings,
    database: Database,
    by_kind: Mapping[str, list[tuple[ConnectionSettings, generic.SignedClient]]],
) -> Services:
    notifiers: dict[str, Notifier] = {"inbox": InboxNotifier()}
    notifiers |= {c.channel: generic.GenericNotifier(client) for c, client in by_kind.get("messages", ())}
    return Services(
        database=database,
        policy=load_default(),
        vault=Vault(settings.master_key),
        gateways={c.connection_id: generic.GenericPaymentGateway(g) for c, g in by_kind.get("payment", ())},
        warehouses={c.connection_id: generic.GenericWarehouse(g) for c, g in by_kind.get("warehouse", ())},
        carriers={c.connection_id: generic.GenericCarrier(g) for c, g in by_kind.get("carrier", ())},
        shops={c.connection_id: generic.GenericShop(g) for c, g in by_kind.get("shop", ())},
        notifiers=notifiers,
        verifiers={c.connection_id: SignedCallbacks(c.secret) for c in settings.connections},
        pace=pace_of(settings),
    )


def _client(connection: ConnectionSettings, transport: httpx.AsyncBaseTransport | None) -> generic.SignedClient:
    return generic.SignedClient(
        base_url=connection.base_url,
        secret=connection.secret,
        clock=time.time,
        nonces=lambda: secrets.token_hex(16),
        transport=transport,
    )
