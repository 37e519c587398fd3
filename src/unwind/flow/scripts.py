"""Scripts (话术): what is good to say in a situation, filled from the case. They are suggested, may be edited, and never send themselves.

The program brings a set (version 0, `scripts.json`); administrators lay versions over it. A script fits when every list of it that is not
empty holds the case's value; the more of them it names, the closer it is. For an angry buyer the calming openings come first.
"""

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.errors import Refusal, require
from unwind.domain.money import format_minor
from unwind.domain.order import Order
from unwind.domain.stage import Stage
from unwind.flow.estimates import Route, estimate_for
from unwind.flow.outgoing import outgoing_facts
from unwind.flow.services import Services
from unwind.storage import cases, merchants, money, orders, scripts, shipments
from unwind.storage.database import Connection
from unwind.tagging.labels import Emotion, Reason
from unwind.tagging.outgoing import MISSING, OutgoingFacts, check_outgoing, faults_of

DEFAULTS = Path(__file__).parent / "scripts.json"
SUGGESTIONS_MAX = 8
CHANNELS = frozenset({"app", "hotline", "chat", "store", "merchant", "api", "bulk"})
VARIABLES = {
    "order_id": "订单号",
    "case_id": "工单号",
    "goods": "商品",
    "shop": "商家",
    "amount": "退款金额",
    "estimate": "到账时间",
    "refund_no": "退款单号",
    "waybill": "运单号",
    "carrier": "承运商",
    "place": "最新位置",
    "promised_date": "计划发货日",
    "minutes": "答复分钟数",
}
CARRIERS = {"sf": "顺丰", "zto": "中通", "yto": "圆通", "jdl": "京东物流", "sto": "申通", "jt": "极兔", "yunda": "韵达"}
PLACE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """`version` 0: as the program brings it."""

    script_id: str
    version: int
    title: str
    zh: str
    en: str
    reasons: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    emotions: tuple[str, ...] = ()
    is_active: bool = True

    def fits(self, situation: Mapping[str, str]) -> bool:
        return all(not keys or situation[name] in keys for name, keys in self._keys().items())

    @property
    def closeness(self) -> int:
        return sum(bool(keys) for keys in self._keys().values())

    def _keys(self) -> dict[str, tuple[str, ...]]:
        return {"reason": self.reasons, "stage": self.stages, "channel": self.channels, "emotion": self.emotions}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    script: Script
    zh: str
    en: str
    missing: tuple[str, ...]


@functools.cache
def default_scripts() -> dict[str, Script]:
    rows: list[dict[str, Any]] = json.loads(DEFAULTS.read_text(encoding="utf-8"))
    return {row["id"]: _script({**row, "script_id": row["id"], "version": 0, "is_active": True}) for row in rows}


def _script(row: Mapping[str, Any]) -> Script:
    return Script(
        script_id=row["script_id"],
        version=row["version"],
        title=row["title"],
        zh=row["zh"],
        en=row["en"],
        reasons=tuple(row.get("reasons", ())),
        stages=tuple(row.get("stages", ())),
        channels=tuple(row.get("channels", ())),
        emotions=tuple(row.get("emotions", ())),
        is_active=row["is_active"],
    )


async def all_scripts(conn: Connection) -> dict[str, Script]:
    """The newest version of each, those that were taken out of use too."""
    stored = {row["script_id"]: _script(row) for row in await scripts.newest_scripts(conn)}
    return {**default_scripts(), **stored}


def require_sound(script: Script) -> None:
    """Known variables, known keys, and nothing that could not go out once the refund is final."""
    for text in (script.zh, script.en):
        for name in PLACE.findall(text):
            require(name in VARIABLES, "unknown_variable", variable=name[:40])
        rest = PLACE.sub("", text)
        require("{" not in rest and "}" not in rest, "unknown_variable", variable="{}")
        check_outgoing(rest, OutgoingFacts(is_refund_final=True))
    known = {
        "reasons": frozenset(Reason),
        "stages": frozenset(Stage),
        "channels": CHANNELS,
        "emotions": frozenset(Emotion),
    }
    for name, values in known.items():
        require(set(getattr(script, name)) <= set(values), "invalid", field=name)


async def save(services: Services, principal: Principal, script: Script) -> int:
    """A new version; earlier ones stay on record."""
    authorise(principal, Scope.SCRIPTS_WRITE, is_platform=True)
    require_sound(script)
    async with services.database.transaction() as conn:
        names = ("script_id", "title", "zh", "en", "is_active")
        row: dict[str, Any] = {name: getattr(script, name) for name in names}
        row |= {name: list(getattr(script, name)) for name in ("reasons", "stages", "channels", "emotions")}
        return await scripts.add_version(conn, {**row, "set_by": principal.actor})


async def suggest(services: Services, principal: Principal, case_id: str) -> list[dict[str, Any]]:
    """The closest for this case, filled. What may not be said now ("refunded" before it is) is not suggested. Counts as shown."""
    async with services.database.transaction() as conn:
        row = await _visible(conn, principal, case_id)
        values = await _values(conn, row)
        facts = await outgoing_facts(conn, case_id=case_id, order_id=row["order_id"])
        found = await orders.read_order(conn, row["order_id"])
        situation = _situation(row, None if found is None else found.order)
        used = await scripts.usage(conn)
        fitting = [s for s in (await all_scripts(conn)).values() if s.is_active and s.fits(situation)]
        filled = [fill(script, values) for script in sorted(fitting, key=lambda s: rank(s, situation, used))]
        chosen = [one for one in filled if _may_be_said(one, facts)][:SUGGESTIONS_MAX]
        if chosen:
            await scripts.count_use(conn, [one.script.script_id for one in chosen], "shown")
    return [shown(one) for one in chosen]


def rank(script: Script, situation: Mapping[str, str], used: Mapping[str, Mapping[str, int]]) -> tuple[Any, ...]:
    """Calming openings for the angry, then the closest, then what colleagues use most."""
    is_opening = situation["emotion"] == Emotion.ANGRY and Emotion.ANGRY in script.emotions
    count = used.get(script.script_id, {})
    return not is_opening, -script.closeness, -(count.get("sent", 0) + count.get("sent_edited", 0)), script.script_id


def _may_be_said(one: Filled, facts: OutgoingFacts) -> bool:
    """A value that is missing is shown; everything else must be allowed."""
    texts = (one.zh.replace(MISSING, ""), one.en.replace(MISSING, ""))
    return not any(True for text in texts for _ in faults_of(text, facts))


async def insert(services: Services, principal: Principal, case_id: str, script_id: str) -> dict[str, Any]:
    """The script filled for this case, to be read and edited. Counts as inserted."""
    async with services.database.transaction() as conn:
        row = await _visible(conn, principal, case_id)
        one = await _filled(conn, row, script_id)
        await scripts.count_use(conn, [script_id], "inserted")
    return shown(one)


async def filled_now(services: Services, principal: Principal, case_id: str, script_id: str) -> Filled:
    """What the script says for the case at this moment, to see whether an agent has edited it."""
    async with services.database.connection() as conn:
        return await _filled(conn, await _visible(conn, principal, case_id), script_id)


async def _filled(conn: Connection, row: Mapping[str, Any], script_id: str) -> Filled:
    script = (await all_scripts(conn)).get(script_id)
    if script is None or not script.is_active:
        raise Refusal("not_found")
    return fill(script, await _values(conn, row))


async def _visible(conn: Connection, principal: Principal, case_id: str) -> dict[str, Any]:
    row = await cases.read_case_row(conn, case_id)
    if row is None:
        raise Refusal("not_found")
    authorise(principal, Scope.CASES_DECIDE, merchant_id=row["merchant_id"], order_id=row["order_id"])
    return row


def fill(script: Script, values: Mapping[str, str]) -> Filled:
    missing = tuple(dict.fromkeys(name for name in PLACE.findall(script.zh + script.en) if not values.get(name)))

    def put(found: re.Match[str]) -> str:
        name = found[1]
        return values.get(name) or f"{MISSING}:{VARIABLES.get(name, name)}】"

    return Filled(script=script, zh=PLACE.sub(put, script.zh), en=PLACE.sub(put, script.en), missing=missing)


def shown(one: Filled) -> dict[str, Any]:
    return {
        "script_id": one.script.script_id,
        "version": one.script.version,
        "title": one.script.title,
        "zh": one.zh,
        "en": one.en,
        "missing": list(one.missing),
    }


def _situation(row: Mapping[str, Any], order: Order | None) -> dict[str, str]:
    """The stage of the part that is furthest; a question has no parts, there it is the order's."""
    stages = [Stage(part["stage"]) for part in row["parts"] or ()]
    if not stages and order is not None:
        stages = [shipment.stage for shipment in order.shipments] or [order.released_stage]
    furthest = max(stages, key=list(Stage).index, default=Stage.NONE)
    return {
        "reason": row["reason"],
        "stage": furthest.value,
        "channel": row["channel"],
        "emotion": (row["tags"] or {}).get("emotion", Emotion.NEUTRAL),
    }


async def _values(conn: Connection, row: Mapping[str, Any]) -> dict[str, str]:
    """Empty where the case does not know it."""
    found = await orders.read_order(conn, row["order_id"])
    merchant = await merchants.read_merchant(conn, row["merchant_id"])
    assert found is not None  # noqa: S101 - a case has an order
    assert merchant is not None  # noqa: S101 - and an order a merchant
    order = found.order
    refunds = await money.refunds_of_case(conn, row["case_id"])
    parcels = await shipments.parcels_of(conn, row["order_id"])
    parcel = parcels[-1] if parcels else None
    route = parcel["route"] if parcel else []
    planned = order.planned_dispatch_at
    left = row["respond_due_at"] and (row["respond_due_at"] - row["now"]).total_seconds() / 60
    return {
        "order_id": row["order_id"],
        "case_id": row["case_id"],
        "goods": "、".join(dict.fromkeys(line.title for line in order.lines)),
        "shop": merchant["name"],
        "amount": format_minor(row["money_minor"], order.currency) if row["money_minor"] else "",
        "estimate": ";".join(dict.fromkeys(estimate_for(Route(r["method"], r["payer"], r["how"])).zh for r in refunds)),
        "refund_no": "、".join(refund["refund_no"] for refund in refunds if refund["refund_no"]),
        "waybill": parcel["waybill_no"] if parcel else "",
        "carrier": CARRIERS.get(parcel["carrier"], parcel["carrier"]) if parcel else "",
        "place": route[-1]["place"] if route else "",
        "promised_date": planned.astimezone(ZoneInfo(merchant["time_zone"])).strftime("%Y-%m-%d") if planned else "",
        "minutes": str(max(1, round(left))) if left and left > 0 else "",
    }


@functools.lru_cache(maxsize=4096)
def initials(text: str) -> str:
    """First letters of the pinyin: 查物流 is cwl. Letters and digits stand for themselves."""
    from pypinyin import Style, lazy_pinyin  # its dictionary takes a third of a second: not at every start

    letters = lazy_pinyin(
        text, style=Style.FIRST_LETTER, errors=lambda rest: "".join(ch for ch in rest if ch.isalnum())
    )
    return "".join(letters).casefold()


def search(found: Sequence[Script], query: str) -> list[Script]:
    """By words of title or text, or by the initials of the title's or the text's pinyin; titles first."""
    wanted = "".join(query.casefold().split())

    def place(script: Script) -> int | None:
        title, text = script.title.casefold(), (script.zh + script.en).casefold()
        if wanted in title:
            return 0
        if wanted.isascii() and wanted.isalnum():
            if wanted in initials(script.title):
                return 1
            if wanted in initials(script.zh):
                return 3
        return 2 if wanted in "".join(text.split()) else None

    placed = [(at, script) for script in found if (at := place(script)) is not None]
    return [script for _, script in sorted(placed, key=lambda pair: (pair[0], pair[1].script_id))]
