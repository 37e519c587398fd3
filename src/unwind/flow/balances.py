"""Whether every payment connection holds enough for what has to leave through it.

asked of the gateway, or entered by hand -> minus what has left since -> against what is owed, and what the coming hours are expected to
send -> an alert that closes by itself once it is covered
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from unwind.domain.access import SYSTEM, Principal, Scope, authorise
from unwind.domain.channel_balance import DAYS_LOOKED_BACK, HORIZONS_H, Forecast, look_ahead
from unwind.domain.errors import require
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.flow.chronicle import clock
from unwind.flow.execute import CALL_TIMEOUT_S
from unwind.flow.services import Services
from unwind.ports.payment import TellsBalance
from unwind.storage import alerts, balances, finance_log
from unwind.storage.database import Connection

SHORT = "balance_short"
"""Less is there than has to leave now."""
RUNS_SHORT = "balance_runs_short"
"""It is expected not to last a day."""
ASKED_MAX = 100
"""Connections and currencies in one round."""
Channel = tuple[str, str]
"""Connection and currency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelBalance:
    connection: str
    currency: str
    balance_minor: int | None
    """As it was last said; None: nobody has said it."""
    known_at: datetime | None
    told_by: str
    left_since_minor: int
    available_minor: int | None
    reserved_minor: int
    sent_minor: int
    """Sent, and not taken by the gateway: it still has to be there."""
    accepted_minor: int
    """Taken by the gateway and not final: no longer in the balance."""
    shortfall_minor: int
    """Now."""
    forecasts: tuple[Forecast, ...]

    @property
    def is_short(self) -> bool:
        return self.shortfall_minor > 0

    @property
    def runs_short(self) -> bool:
        return any(one.short_in_h is not None and one.hours <= HORIZONS_H[0] for one in self.forecasts)


async def survey(conn: Connection, connections: frozenset[str]) -> list[ChannelBalance]:
    """Every channel of these connections that holds, owes or has sent anything."""
    known = {_channel(row): row for row in await balances.known_balances(conn)}
    owed = {_channel(row): row for row in await balances.owed(conn)}
    outflow: dict[Channel, dict[int, int]] = {}
    for row in await balances.outflow_by_hour(conn, days=DAYS_LOOKED_BACK):
        outflow.setdefault(_channel(row), {})[row["hours_ago"]] = row["amount_minor"]
    return [
        _weigh(channel, known.get(channel, {}), owed.get(channel, {}), outflow.get(channel, {}))
        for channel in sorted({*known, *owed, *outflow})
        if channel[0] in connections
    ]


def _weigh(
    channel: Channel, known: Mapping[str, Any], owed: Mapping[str, Any], outflow: Mapping[int, int]
) -> ChannelBalance:
    reserved, sent = owed.get("reserved_minor", 0), owed.get("sent_minor", 0)
    left_since = known.get("left_since_minor", 0)
    available = known["balance_minor"] - left_since if known else None
    return ChannelBalance(
        connection=channel[0],
        currency=channel[1],
        balance_minor=known.get("balance_minor"),
        known_at=known.get("known_at"),
        told_by=known.get("told_by", ""),
        left_since_minor=left_since,
        available_minor=available,
        reserved_minor=reserved,
        sent_minor=sent,
        accepted_minor=owed.get("accepted_minor", 0),
        shortfall_minor=0 if available is None else max(0, reserved + sent - available),
        forecasts=tuple(
            look_ahead(outflow, hours=hours, available_minor=available, owed_minor=reserved + sent)
            for hours in HORIZONS_H
        ),
    )


def _channel(row: Mapping[str, Any]) -> Channel:
    return row["connection"], row["currency"]


async def enter_balance(
    services: Services, principal: Principal, connection: str, *, currency: str, balance_minor: int
) -> None:
    """Where no gateway tells: what somebody has read on its pages, now. A gateway that tells will say the next."""
    authorise(principal, Scope.MONEY_SETTLE, is_platform=True)
    require(connection in services.gateways, "unknown_connection")
    async with services.database.transaction() as conn:
        await balances.put_balance(
            conn, connection, currency, balance_minor, at=await clock(conn), told_by=principal.actor
        )
        await finance_log.add_entry(
            conn,
            by=principal.actor,
            action="balance_entered",
            subject=connection,
            merchant_id=None,
            data={"currency": currency, "balance_minor": balance_minor},
        )
    await _tell(services)


async def watch_balances(services: Services) -> bool:
    """Asks every gateway that tells, and says what is short. Never more to do at once."""
    async with services.database.connection() as conn:
        channels = [(one.connection, one.currency) for one in await survey(conn, frozenset(services.gateways))]
    told = [
        (channel, gateway) for channel in channels if isinstance(gateway := _gateway(services, channel), TellsBalance)
    ]
    await asyncio.gather(*(_ask(services, channel, gateway) for channel, gateway in told[:ASKED_MAX]))
    await _tell(services)
    return False


def _gateway(services: Services, channel: Channel) -> object:
    return services.gateways[channel[0]]


async def _ask(services: Services, channel: Channel, gateway: TellsBalance) -> None:
    """What it does not say, or says without proof, leaves what was known, and is held against no connection: the call is optional."""
    connection, currency = channel
    async with services.database.connection() as conn:
        asked_at = await clock(conn)
    if services.health.waits_until(connection, asked_at) is not None:
        return
    try:
        async with asyncio.timeout(CALL_TIMEOUT_S):
            outcome = await gateway.balance(currency)
    except TimeoutError:
        outcome = Outcome(kind=OutcomeKind.UNKNOWN, code="timeout")
    if outcome.kind is OutcomeKind.SUCCEEDED and outcome.amount_minor is not None:
        async with services.database.connection() as conn:
            await balances.put_balance(
                conn, connection, currency, outcome.amount_minor, at=asked_at, told_by=SYSTEM.actor
            )


async def _tell(services: Services) -> None:
    """One alert per channel and kind while it lasts. Of what nobody knows nothing is said."""
    async with services.database.connection() as conn:
        for one in await survey(conn, frozenset(services.gateways)):
            if one.available_minor is None:
                continue
            for kind, is_so in ((SHORT, one.is_short), (RUNS_SHORT, one.runs_short and not one.is_short)):
                if is_so:
                    await alerts.raise_alert(conn, connection=one.connection, kind=kind, code=one.currency)
                else:
                    await alerts.close_alerts_about(conn, one.connection, kind=kind, code=one.currency, by=SYSTEM.actor)


def shown(one: ChannelBalance, now: datetime) -> dict[str, Any]:
    """For people: when it is expected to be short as a moment."""
    return {
        "connection": one.connection,
        "currency": one.currency,
        "balance_minor": one.balance_minor,
        "known_at": one.known_at,
        "told_by": one.told_by,
        "left_since_minor": one.left_since_minor,
        "available_minor": one.available_minor,
        "reserved_minor": one.reserved_minor,
        "sent_minor": one.sent_minor,
        "accepted_minor": one.accepted_minor,
        "shortfall_minor": one.shortfall_minor,
        "forecasts": [
            {
                "hours": ahead.hours,
                "expected_minor": ahead.expected_minor,
                "shortfall_minor": ahead.shortfall_minor,
                "short_at": None if ahead.short_in_h is None else now + timedelta(hours=ahead.short_in_h),
            }
            for ahead in one.forecasts
        ],
    }
