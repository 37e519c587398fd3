"""Settings -> adapters -> flow. The only place that knows which adapter stands behind which connection."""

import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
from pydantic import ValidationError

from unwind.adapters.identity import OidcProvider, OidcSettings
from unwind.adapters.inbox import InboxNotifier
from unwind.adapters.provider import Connected, PartyKind, Provider, Surroundings
from unwind.adapters.registry import PROVIDERS
from unwind.domain.sign_in import SignInRules
from unwind.flow.services import Link, Pace, Services
from unwind.policy.engine import load_default
from unwind.settings import ConnectionSettings, Settings, SettingsInvalid
from unwind.storage.database import Database
from unwind.storage.privacy import Vault


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
    async with AsyncExitStack() as open_connections:
        connected: dict[str, tuple[Provider, ConnectionSettings, Connected]] = {}
        for one in settings.connections:
            provider = _provider_of(one)
            made = provider.connect(_checked(provider, one), _surroundings(settings, one, transport))
            open_connections.push_async_callback(made.close)
            connected[one.connection_id] = (provider, one, made)
        identity = _identity_of(settings, transport)
        if identity is not None:
            open_connections.push_async_callback(identity.close)
        yield _services(settings, database, connected, identity)


LOOPBACK = ("http://127.0.0.1", "http://localhost", "http://[::1]")


def sign_in_rules(settings: Settings) -> SignInRules:
    """Cookies travel without TLS in the demo and on this machine only."""
    return SignInRules(
        is_demo=settings.is_demo,
        needs_second_factor=settings.needs_second_factor,
        is_cookie_secure=not (settings.is_demo or settings.public_url.startswith(LOOPBACK)),
    )


def _identity_of(settings: Settings, transport: httpx.AsyncBaseTransport | None) -> OidcProvider | None:
    if settings.oidc is None:
        return None
    if not settings.public_url:
        raise SettingsInvalid("oidc.json: set UNWIND_PUBLIC_URL; the identity provider sends people back there")
    try:
        checked = OidcSettings.model_validate(dict(settings.oidc))
    except ValidationError as error:
        raise SettingsInvalid(f"oidc.json: {_in_words(error.errors())}") from None
    if not (settings.is_demo or checked.issuer.startswith(("https://", *LOOPBACK))):
        raise SettingsInvalid("oidc.json: issuer must be https://; its answers let people in")
    redirect_uri = f"{settings.public_url}/api/v1/oidc/callback"
    return OidcProvider(checked, redirect_uri=redirect_uri, transport=transport)


def _services(
    settings: Settings,
    database: Database,
    connected: Mapping[str, tuple[Provider, ConnectionSettings, Connected]],
    identity: OidcProvider | None,
) -> Services:
    def parties(kind: PartyKind) -> dict[str, Any]:
        return {name: made.party for name, (provider, _, made) in connected.items() if provider.kind is kind}

    return Services(
        database=database,
        policy=load_default(),
        vault=Vault(settings.master_key),
        public_url=settings.public_url,
        records_kept_years=settings.records_kept_years,
        gateways=parties(PartyKind.PAYMENT),
        warehouses=parties(PartyKind.WAREHOUSE),
        carriers=parties(PartyKind.CARRIER),
        shops=parties(PartyKind.SHOP),
        notifiers={"inbox": InboxNotifier(), **parties(PartyKind.MESSAGES)},
        verifiers={name: made.verifier for name, (_, _, made) in connected.items() if made.verifier is not None},
        links={
            name: Link(
                connection_id=name,
                provider=provider.name,
                kind=provider.kind.value,
                title=provider.title,
                merchant_id=one.merchant_id,
                channel=made.channel,
                probe=made.probe,
                read_bill=provider.read_bill,
            )
            for name, (provider, one, made) in connected.items()
        },
        pace=pace_of(settings),
        sign_in=sign_in_rules(settings),
        identity=identity,
        tail_days=settings.tail_days,
    )


def _provider_of(one: ConnectionSettings) -> Provider:
    provider = PROVIDERS.get(one.provider)
    if provider is None:
        raise SettingsInvalid(
            f"connections.json: {one.connection_id}: no provider {one.provider}; there are {', '.join(sorted(PROVIDERS))}"
        )
    return provider


def _checked(provider: Provider, one: ConnectionSettings) -> Any:
    """The provider's own settings. The error names fields and what is wrong with them, never a value."""
    try:
        return provider.settings.model_validate(dict(one.values))
    except ValidationError as error:
        raise SettingsInvalid(f"connections.json: {one.connection_id}: {_in_words(error.errors())}") from None


def _in_words(errors: Sequence[Any]) -> str:
    return "; ".join(f"{'.'.join(str(part) for part in e['loc']) or 'settings'}: {e['msg']}" for e in errors)


def _surroundings(
    settings: Settings, one: ConnectionSettings, transport: httpx.AsyncBaseTransport | None
) -> Surroundings:
    return Surroundings(
        connection_id=one.connection_id,
        clock=time.time,
        nonces=lambda: secrets.token_hex(16),
        callback_url=f"{settings.public_url}/callbacks/{one.connection_id}" if settings.public_url else "",
        transport=transport,
    )
