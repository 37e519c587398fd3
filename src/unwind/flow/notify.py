"""Step 7: tell people what is true, once per fact, over the channel they came by.

What the buyer is owed follows from the rows (`next_step.news_of`), so a crash neither loses nor repeats a message. A channel that cannot
remove repeats is not used twice after doubt: the message is marked undelivered with its reason instead. A channel that refuses a message
(the buyer has switched it off) hands it to the next one of its ladder; telephones are left alone at night.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from unwind.domain.case import Case, Leg
from unwind.domain.decisions import ways_on
from unwind.domain.legs import LegKind, LegState
from unwind.domain.next_step import CASH_AT_COUNTER, news_of, returns_tender, waits_at_counter
from unwind.domain.order import Order
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.domain.questions import LINK_LIFE_AFTER_DUE
from unwind.domain.quiet_hours import RINGING, quiet_until
from unwind.domain.transitions import Event
from unwind.flow.chronicle import clock, record
from unwind.flow.estimates import BY_HOW, GATEWAY, ORIGINAL_ROUTE, estimate_for, route_of
from unwind.flow.execute import Lease, lock_both
from unwind.flow.links import RATING, mint_link
from unwind.flow.promotions import overlay_of
from unwind.flow.receipt import buyer_channel
from unwind.flow.services import Services
from unwind.flow.wording import text_of, words_of
from unwind.ports.notifier import MessageCall, Notifier
from unwind.storage import alerts, locks, merchants, messages, money, privacy, queue
from unwind.storage.database import Connection

ATTEMPTS_MAX = 8
ADDRESS_FIELD = {"wechat": "openid", "sms": "phone", "email": "email"}
INBOX, STAFF = "inbox", "staff"
BUYER_LADDER = ("wechat", "sms", "email")
FREE_TEXT = frozenset({"email"})
"""Channels that may carry what an agent wrote; every other one says only that an answer is there."""
ANSWER = "answer_waiting"
IN_REVIEW = "in_review"
RATE = "satisfaction"
"""Sorts behind every news of a refund, so that it leaves after it."""
LADDERS = {**dict.fromkeys(BUYER_LADDER, BUYER_LADDER), STAFF: ("dingtalk", "wecom", "feishu")}
"""Channel of a message -> channels that may carry it, best first."""


async def tell(services: Services, lease: Lease) -> None:
    """Writes down what is owed, then sends what is due."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, lease.case_id, token=lease.token)
        arrival = overlay_of(services, locked.case.merchant_id, locked.now).arrival
        news = sorted(news_of(locked.case) - locked.case.told)
        refunds = await money.refunds_of_case(conn, lease.case_id) if news else []
        hows = {(row["part_no"], row["payment_id"]): row["how"] for row in refunds}
        for fact in news:
            await messages.add_message(
                conn,
                case_id=lease.case_id,
                order_id=locked.order.order_id,
                audience="buyer",
                channel=buyer_channel(locked.case.channel),
                fact=fact,
                params=_params(locked.case, locked.order, fact, hows=hows, arrival=arrival),
            )
    async with services.database.connection() as conn:
        due = await messages.due_messages(conn, lease.case_id)
    for message in due:
        await _send(services, message, lease)


def _params(
    case: Case,
    order: Order,
    fact: str,
    *,
    hows: Mapping[tuple[int, str], str],
    arrival: tuple[str, str] | None = None,
) -> dict[str, object]:
    """Amounts and estimates by the methods and ways that were really used; a promotion may name other times (`arrival`)."""
    name, _, part_no = fact.partition(":")
    refunds = [leg for leg in returned_by(case, part_no) if leg.kind is LegKind.REFUND and _is_told_by(name, leg)]
    restored = [leg for leg in returned_by(case, part_no) if leg.kind is LegKind.RESTORE_BENEFIT]
    payments = {str(p.payment_id): p for p in order.payments}
    routes = {
        leg.leg_no: route_of(payments[leg.target], hows.get((leg.part_no, leg.target), GATEWAY))
        for leg in (*refunds, *restored)
    }
    used = dict.fromkeys(routes[leg.leg_no] for leg in refunds)
    if any(route.how in BY_HOW for route in used):
        arrival = None  # a promotion speaks of gateways
    estimates = [estimate_for(route) for route in used]
    return {
        "amount_minor": sum(leg.amount_minor for leg in refunds),
        "tenders": [
            {
                **routes[leg.leg_no]._asdict(),
                "amount_minor": leg.amount_minor,
                "reference": str(leg.evidence.get("reference", "")) or leg.number,
            }
            for leg in (
                *refunds,
                *(leg for leg in restored if name in WITH_RESTORED and leg.state is LegState.SUCCEEDED),
            )
        ],
        "currency": order.currency,
        **_three_amounts(case, part_no),
        **({"arrival_zh": arrival[0], "arrival_en": arrival[1]} if arrival else {}),
        "ways": " ".join(ways_on([part.stage for part in case.parts])),
        "estimate_zh": arrival[0] if arrival else ";".join(estimate.zh for estimate in estimates) or ORIGINAL_ROUTE.zh,
        "estimate_en": arrival[1] if arrival else "; ".join(estimate.en for estimate in estimates) or ORIGINAL_ROUTE.en,
    }


def _three_amounts(case: Case, part_no: str) -> dict[str, int]:
    """Where less returns than was paid, the buyer reads what was paid and what was taken off."""
    for part in case.parts:
        taken = part.kept_minor + part.lost_minor
        if part_no and part.part_no == int(part_no) and taken:
            return {"paid_minor": part.returned_minor + taken, "kept_minor": taken}
    return {}


WITH_RESTORED = frozenset({"refund_done", "restored"})
"""Facts that tell of entitlements too, where they are back by then."""


def returned_by(case: Case, part_no: str) -> list[Leg]:
    """What goes back by payment, in the order of the plan; nothing without a part."""
    return [
        leg
        for part in case.parts
        if part_no and part.part_no == int(part_no)
        for leg in part.legs
        if returns_tender(leg) and leg.state is not LegState.RELEASED
    ]


def _is_told_by(name: str, leg: Leg) -> bool:
    """Cash at the counter and money on its way are told apart; what is done is told together."""
    if name == CASH_AT_COUNTER:
        return waits_at_counter(leg)
    return name == "refund_done" or not waits_at_counter(leg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How one message leaves."""

    channel: str
    connection: str
    notifier: Notifier
    address: str
    language: str


def _link_params(services: Services, params: Mapping[str, Any]) -> dict[str, Any]:
    """The link by which a question is answered, or a case rated, is made when it is sent, and stored nowhere."""
    if "rating" in params:
        expires_at = int(datetime.fromisoformat(params["rate_until"]).timestamp())
        token = mint_link(services.vault.token_key, subject=f"{RATING}{params['rating']}", expires_at=expires_at)
        return {"link": f"{services.public_url}/r/{token}"}
    if "question" not in params or "until" not in params or not services.public_url:
        return {}
    expires_at = int((datetime.fromisoformat(params["until"]) + LINK_LIFE_AFTER_DUE).timestamp())
    token = mint_link(services.vault.token_key, subject=params["question"], expires_at=expires_at)
    return {"link": f"{services.public_url}/a/{token}"}


async def _queue_params(services: Services, message: dict[str, Any]) -> dict[str, Any]:
    """The place in the queue is that of the moment it is told."""
    if message["fact"] != IN_REVIEW:
        return {}
    async with services.database.connection() as conn:
        place = await queue.place_of(conn, message["case_id"])
    return {} if place is None else {"place": place}


async def _send(services: Services, message: dict[str, Any], lease: Lease) -> None:
    """Claim, commit, call, record; as for any outside call."""
    async with services.database.transaction() as conn:
        await locks.lock_case(conn, lease.case_id, lease_token=lease.token)
        await locks.renew_lease(conn, lease.case_id, lease.token)
        way = await _choose_way(conn, services, message, lease)
        if way is None:
            return
        await messages.set_message(
            conn,
            message["message_id"],
            state="claimed",
            code="",
            next_try_at=None,
            sent_at=None,
            channel=way.channel,
        )
    params = {
        **message["params"],
        **_link_params(services, message["params"]),
        **await _queue_params(services, message),
    }
    text = text_of(message["fact"], params, language=way.language)
    name, _, number = message["fact"].partition(":")
    if name == ANSWER and way.channel in FREE_TEXT:
        text = f"{await _words(services, message, int(number))}\n\n{text}"
    outcome = await way.notifier.send(
        MessageCall(
            message_id=message["message_id"],
            audience=message["audience"],
            channel=way.channel,
            address=way.address,
            template=message["fact"].split(":", 1)[0],
            text=text,
            params=words_of(params, language=way.language),
        )
    )
    await _record(services, message, way, outcome, lease)


async def _words(services: Services, message: dict[str, Any], n: int) -> str:
    """What the agent wrote, opened for this sending only."""
    async with services.database.connection() as conn:
        words = await privacy.open_numbered(
            conn, services.vault, message["order_id"], "talk", case_id=message["case_id"]
        )
    return words.get(n, "")


async def _choose_way(conn: Connection, services: Services, message: dict[str, Any], lease: Lease) -> Way | None:
    """The first channel of the ladder that is there and has an address. None: the message waits, or has nowhere to go."""
    order_id = message["order_id"]
    merchant = await merchants.merchant_of_order(conn, order_id)
    if message["state"] == "claimed":
        notifier = notifier_of(services, message["channel"], merchant["merchant_id"])
        if notifier is not None and not notifier[1].resend_is_safe:
            await _finish(conn, message, lease, state="undelivered", code="doubt")
            return None
    reason = "no_channel"
    for channel in LADDERS.get(message["channel"], (message["channel"],)):
        found = notifier_of(services, channel, merchant["merchant_id"])
        if found is None or channel in message["tried"]:
            continue
        address = ""
        if channel in ADDRESS_FIELD:
            address = (
                await privacy.open_private(
                    conn, services.vault, order_id, ADDRESS_FIELD[channel], is_restricted_too=True
                )
                or ""
            )
            if not address:
                reason = "no_address"
                continue
        until = await _quiet_until(conn, message, merchant, channel, lease)
        if until is not None:
            await messages.hold_until(conn, message["message_id"], until, code="quiet_hours")
            return None
        language = (
            await privacy.open_private(conn, services.vault, order_id, "language", is_restricted_too=True) or "zh"
        )
        return Way(channel=channel, connection=found[0], notifier=found[1], address=address, language=language)
    await _finish(conn, message, lease, state="undelivered", code=message["code"] or reason)
    return None


async def _quiet_until(
    conn: Connection, message: dict[str, Any], merchant: dict[str, Any], channel: str, lease: Lease
) -> datetime | None:
    if channel not in RINGING or message["audience"] != "buyer":
        return None
    return quiet_until(
        await clock(conn),
        time_zone=merchant["time_zone"],
        quiet_from=merchant["quiet_from"],
        quiet_to=merchant["quiet_to"],
        last_contact_at=await messages.last_contact_at(conn, lease.case_id),
    )


async def _record(services: Services, message: dict[str, Any], way: Way, outcome: Outcome, lease: Lease) -> None:
    async with services.database.transaction() as conn:
        await locks.lock_case(conn, lease.case_id, lease_token=lease.token)
        now = await clock(conn)
        if outcome.kind in {OutcomeKind.SUCCEEDED, OutcomeKind.PROCESSING}:
            await _finish(conn, message, lease, state="sent", code=outcome.code, channel=way.channel)
        elif outcome.kind is OutcomeKind.REFUSED or message["attempts"] + 1 >= ATTEMPTS_MAX:
            code = outcome.code or outcome.kind.value
            await messages.try_next_channel(conn, message["message_id"], refused_by=way.channel, code=code)
        else:
            delay = services.pace.after(message["attempts"])
            next_try_at = now + max(delay, timedelta(seconds=outcome.retry_after_s or 0))
            await messages.set_message(
                conn, message["message_id"], state="claimed", code=outcome.code, next_try_at=next_try_at, sent_at=None
            )
        if outcome.alert:
            await alerts.raise_alert(
                conn, connection=way.connection, kind=outcome.alert, code=outcome.code, case_id=lease.case_id
            )
    await services.health.note(services.database, way.connection, outcome, subject=lease.case_id, now=now)


async def _finish(
    conn: Connection, message: dict[str, Any], lease: Lease, *, state: str, code: str, channel: str = ""
) -> None:
    now = await clock(conn)
    await messages.set_message(
        conn,
        message["message_id"],
        state=state,
        code=code,
        next_try_at=None,
        sent_at=now if state == "sent" else None,
    )
    data = {
        "fact": message["fact"],
        "audience": message["audience"],
        "channel": channel or message["channel"],
        "state": state,
        "code": code,
    }
    await record(conn, lease.case_id, Event.MESSAGE_RECORDED, at=now, data=data)


def notifier_of(services: Services, channel: str, merchant_id: str | None) -> tuple[str, Notifier] | None:
    """(connection, notifier) of a channel: the merchant's own before one that serves everybody."""
    if channel == INBOX:
        return INBOX, services.notifiers[INBOX]
    carrying = [
        link for link in services.links.values() if link.channel == channel and link.merchant_id in {merchant_id, None}
    ]
    chosen = min(carrying, key=lambda link: (link.merchant_id is None, link.connection_id), default=None)
    return None if chosen is None else (chosen.connection_id, services.notifiers[chosen.connection_id])


def staff_channel(services: Services, merchant_id: str | None) -> str | None:
    """The group chat that staff reads, where there is one."""
    return next((name for name in LADDERS[STAFF] if notifier_of(services, name, merchant_id) is not None), None)


def has_own_chat(services: Services, merchant_id: str) -> bool:
    """Whether the merchant's own people read a group chat that is connected."""
    return any(link.channel in LADDERS[STAFF] and link.merchant_id == merchant_id for link in services.links.values())


async def tell_alerts(services: Services) -> bool:
    """Alerts nobody has heard of go to the staff's group chat. A chat that cannot be reached is tried again with the next round."""
    channel = staff_channel(services, None)
    found = None if channel is None else notifier_of(services, channel, None)
    if channel is None or found is None:
        return False
    async with services.database.connection() as conn:
        untold = await alerts.untold_alerts(conn)
    for alert in untold:
        params = {name: alert[name] for name in ("connection", "kind", "code")}
        call = MessageCall(
            message_id=f"alert-{alert['alert_id']}",
            audience="agent",
            channel=channel,
            address="",
            template="staff_alert",
            text=text_of("staff_alert", params, language="zh"),
            params=words_of(params, language="zh"),
        )
        outcome = await found[1].send(call)
        if outcome.kind is not OutcomeKind.RETRY_SAME_NUMBER:
            async with services.database.connection() as conn:
                await alerts.mark_told(conn, alert["alert_id"])
    return False
