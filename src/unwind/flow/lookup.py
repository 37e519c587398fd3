"""Finds the order somebody is talking about, within moments, and says no more than may be said before they are checked.

Every look-up is counted, limited and logged: who, how, how many hits; never what for. A number or name goes through the keyed blind index;
the last four digits only within one merchant's recent orders, because they are everybody's.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.errors import Refusal, require
from unwind.domain.masking import mask_phone
from unwind.domain.phone import TAIL_DIGITS, parse_phone
from unwind.flow.chronicle import clock
from unwind.flow.contact import note_contact
from unwind.flow.services import Services
from unwind.flow.turns import take_turn
from unwind.storage import locks, lookup, privacy
from unwind.storage.database import Connection

HITS_MAX = 20
ORDER_TAIL_LETTERS = 6
OF_ONE_MERCHANT = frozenset({"tail", "order_tail"})
"""What is short belongs to many: it is looked up within one merchant's recent orders."""
PER = timedelta(minutes=10)
CASE_NUMBER = re.compile(r"UW\d{6}-[0-9A-Z]{10}", re.IGNORECASE)
PLAIN_NUMBER = re.compile(r"[0-9A-Za-z_.:\-]{1,64}")

log = structlog.get_logger()


class By(StrEnum):
    ORDER = "order"
    CASE = "case"
    WAYBILL = "waybill"
    PHONE = "phone"
    NAME = "name"
    TAIL = "tail"
    """Last four digits of a telephone."""
    ORDER_TAIL = "order_tail"
    """Last six characters of an order number: what is asked for where a number says nothing."""


TURNS_MAX = {By.ORDER: 300, By.CASE: 300, By.WAYBILL: 300, By.PHONE: 120, By.NAME: 60, By.TAIL: 30, By.ORDER_TAIL: 60}
"""In ten minutes, for one principal: busy hands on a telephone, and nobody who reads the book from end to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    by: By
    """How it was found; the last way that was tried where nothing was."""
    orders: tuple[dict[str, Any], ...]
    landed_on: str | None
    """The open case that this contact was counted on."""


def ways_of(value: str) -> tuple[By, ...]:
    """What a text can be, the likeliest first."""
    if CASE_NUMBER.fullmatch(value):
        return (By.CASE,)
    if value.isdigit() and len(value) == TAIL_DIGITS:
        return (By.TAIL,)
    ways: list[By] = []
    if parse_phone(value) is not None:
        ways.append(By.PHONE)
    if PLAIN_NUMBER.fullmatch(value):
        ways += [By.ORDER, By.WAYBILL]
        ways += [By.ORDER_TAIL] if len(value) == ORDER_TAIL_LETTERS else []
    elif not ways:
        ways.append(By.NAME)
    return tuple(ways)


async def look_up(
    services: Services,
    principal: Principal,
    value: str,
    *,
    by: By | None = None,
    merchant_id: str | None = None,
    channel: str = "hotline",
    contact_ref: str = "",
) -> Found:
    """`contact_ref`: the call or conversation this is for. Where it leads to one open case, that is one more contact, once per reference."""
    authorise(principal, Scope.CONTACTS_HANDLE, merchant_id=merchant_id)
    require(principal.order_id is None, "forbidden")
    wanted = value.strip()
    require(bool(wanted), "invalid")
    merchant = principal.merchant_id or merchant_id
    ways = (by,) if by is not None else ways_of(wanted)
    if by is None and merchant is None:
        ways = tuple(way for way in ways if way is not By.ORDER_TAIL)
    found: Found | None = None
    for way in ways:
        require(way not in OF_ONE_MERCHANT or merchant is not None, "merchant_needed")
        await take_turn(services, f"lookup:{way}", principal.principal_id, most=TURNS_MAX[way], per=PER)
        async with services.database.transaction() as conn:
            found = await _search(conn, services, principal, wanted, way, merchant=merchant)
        if found.orders:
            break
    if found is None:
        raise Refusal("invalid")
    return await _land(services, principal, found, channel=channel, ref=contact_ref)


async def _search(
    conn: Connection, services: Services, principal: Principal, value: str, way: By, *, merchant: str | None
) -> Found:
    now = await clock(conn)
    ids = await _ids(conn, services, value, way, merchant=merchant, now=now)
    hits = await lookup.read_hits(conn, ids, merchant_id=merchant, now=now) if ids else []
    await lookup.log_lookup(
        conn, at=now, principal_id=principal.principal_id, kind=way.value, merchant_id=merchant, hits=len(hits)
    )
    return Found(by=way, orders=tuple(shown(services, hit) for hit in hits), landed_on=None)


async def _ids(
    conn: Connection, services: Services, value: str, way: By, *, merchant: str | None, now: datetime
) -> list[str]:
    plain = {By.ORDER: lookup.BY_ORDER, By.CASE: lookup.BY_CASE, By.WAYBILL: lookup.BY_WAYBILL}
    if way in plain:
        number = value.upper() if way is By.CASE else value
        return await lookup.find_ids(conn, plain[way], value=number, limit=HITS_MAX)
    since = now - timedelta(days=services.tail_days)
    if way is By.ORDER_TAIL:
        require(len(value) == ORDER_TAIL_LETTERS, "invalid")
        return await lookup.find_ids(
            conn, lookup.BY_ORDER_TAIL, merchant=merchant, value=value, since=since, limit=HITS_MAX
        )
    if way is By.TAIL:
        require(value.isdigit() and len(value) == TAIL_DIGITS and merchant is not None, "invalid")
        kind = privacy.tail_kind(merchant or "")
        return await lookup.find_ids(
            conn, lookup.BY_TAIL, kind=kind, digest=services.vault.blind(kind, value), since=since, limit=HITS_MAX
        )
    require(way is By.NAME or parse_phone(value) is not None, "invalid")
    digest = services.vault.blind(way.value, value)
    if merchant is None:
        return await lookup.find_ids(conn, lookup.BY_PERSON, kind=way.value, digest=digest, limit=HITS_MAX)
    return await lookup.find_ids(
        conn, lookup.BY_PERSON_OF_MERCHANT, kind=way.value, digest=digest, merchant=merchant, limit=HITS_MAX
    )


def shown(services: Services, hit: Mapping[str, Any]) -> dict[str, Any]:
    """Before the check: what there is and how far it is; no goods, no money, no name, no address."""
    phone = ""
    if hit["phone"] is not None and hit["wrapped_key"] is not None:
        with contextlib.suppress(privacy.Unreadable):
            phone = privacy.open_sealed(
                services.vault, hit["order_id"], "phone", sealed=hit["phone"], wrapped_key=hit["wrapped_key"]
            )
    told = {name: hit[name] for name in hit if name not in {"phone", "wrapped_key"}}
    return {
        **told,
        "open_cases": hit["open_cases"] or [],
        "parcels": hit["parcels"] or [],
        "can_be_cancelled": hit["free_units"] > 0 and not hit["is_cancelled"],
        "phone": mask_phone(phone),
    }


async def _land(services: Services, principal: Principal, found: Found, *, channel: str, ref: str) -> Found:
    open_cases = [case["case_id"] for order in found.orders for case in order["open_cases"]]
    if not ref or len(open_cases) != 1:
        return found
    case_id: str = open_cases[0]
    async with services.database.transaction() as conn:
        await note_contact(conn, services, case_id, actor=principal.actor, channel=channel, ref=ref)
    return Found(by=found.by, orders=found.orders, landed_on=case_id)


async def index_people(services: Services, *, orders_max: int = 64) -> bool:
    """Orders that came before there were tails are indexed anew, a few at a time. True when there may be more."""
    async with services.database.connection() as conn:
        behind = await lookup.orders_behind(conn, orders_max=orders_max)
    for order in behind:
        await _index_order(services, order["order_id"], order["merchant_id"])
    return bool(behind)


async def _index_order(services: Services, order_id: str, merchant_id: str) -> None:
    """What cannot be opened any more cannot be looked up either; it must not keep the others waiting.

    Locked: neither a number that changes meanwhile nor a buyer who asks to be forgotten is indexed as it was before.
    """
    async with services.database.transaction() as conn:
        await locks.lock_order(conn, order_id)
        fields: dict[str, str] = {}
        try:
            for field in ("phone", "name"):
                text = await privacy.open_private(conn, services.vault, order_id, field)
                if text:
                    fields[field] = text
        except privacy.Unreadable:
            log.warning("person_unreadable", order_id=order_id)
        await privacy.index_person(conn, services.vault, order_id, fields, merchant_id=merchant_id)
        await privacy.drop_stale_index(conn, order_id)
