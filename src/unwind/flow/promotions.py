"""Promotions: set beforehand, looked at before they are set, begun and ended by the clock, and on record with every case they touched."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.calendar import require_sound
from unwind.domain.errors import require
from unwind.domain.guards import AUTOMATIC_LIMIT_MINOR
from unwind.domain.promotion import FIELDS, LONGEST, Level, Overlay, Promotion, overlay_at
from unwind.domain.timetable import require_sensible
from unwind.flow.chronicle import clock
from unwind.flow.services import Services
from unwind.policy.facts import WINDOW_MINUTES
from unwind.storage import promotions, timetables, trust
from unwind.storage.database import Connection, Database
from unwind.storage.orders import OrderRow

MERCHANTS_SHOWN = 50


def overlay_of(services: Services, merchant_id: str, at: datetime) -> Overlay:
    return services.hours.overlay_at(merchant_id, at)


def overlay_for(services: Services, row: OrderRow) -> Overlay:
    """What holds now; the promised dispatch is that of the moment the order was placed."""
    if not services.hours.promotions:
        return services.hours.overlay_at("", row.now)
    merchant_id = row.order.merchant.merchant_id
    now, then = (services.hours.overlay_at(merchant_id, at) for at in (row.now, row.order.placed_at))
    if now.dispatch_hours == then.dispatch_hours:
        return now
    names = now.promotions + tuple(name for name in then.promotions if name not in now.promotions)
    return replace(now, promotions=names, dispatch_hours=then.dispatch_hours)


def _require_right(principal: Principal, level: Level, scope_id: str) -> None:
    is_own = level is Level.MERCHANT
    authorise(principal, Scope.ADMIN, merchant_id=scope_id if is_own else None, is_platform=not is_own)


def _require_sound(document: Mapping[str, Any], now: datetime) -> Promotion:
    """What no schema can say. `document`: as for `put_promotion`."""
    require(document["from_at"] < document["to_at"], "promotion_unsound", field="to")
    require(document["to_at"] > now, "promotion_unsound", field="to")
    require(document["to_at"] - document["from_at"] <= LONGEST, "promotion_unsound", field="to")
    require(
        (document["level"] == Level.PLATFORM) == (document["scope_id"] == ""), "promotion_unsound", field="scope_id"
    )
    require(bool(document["changes"]), "promotion_unsound", field="changes")
    made = promotions.to_promotion({**document, "merchants": None}, {})
    if made.changes.targets is not None:
        require_sensible(made.changes.targets)
    if made.changes.calendar is not None:
        require_sound(made.changes.calendar)
    return made


async def put_promotion(services: Services, principal: Principal, document: Mapping[str, Any]) -> list[str]:
    """Sets one, or changes one that has not begun. Returns those that overlap with it."""
    level = Level(document["level"])
    _require_right(principal, level, document["scope_id"])
    async with services.database.transaction() as conn:
        now = await clock(conn)
        made = _require_sound(document, now)
        before = await promotions.read_promotion(conn, document["promotion_id"])
        if before is not None:
            _require_right(principal, Level(before["level"]), before["scope_id"])
            require(before["from_at"] > now and not before["has_begun"], "promotion_begun")
        concerned = await promotions.concerned(conn, level, document["scope_id"], merchants_max=1)
        require(bool(concerned), "unknown_merchant")
        await promotions.put_promotion(conn, {**document, "by": principal.actor})
        await timetables.next_version(conn)
        data = {"promotion_id": made.promotion_id, "changes": document["changes"]}
        await trust.note(conn, "promotion_set", actor=principal.actor, merchant_id=_of(level, document), data=data)
    overlapping = _overlapping(services.hours.promotions, made)
    await services.hours.refresh(services.database)
    return overlapping


def _of(level: Level, document: Mapping[str, Any]) -> str:
    return str(document["scope_id"]) if level is Level.MERCHANT else ""


def _overlapping(held: tuple[Promotion, ...], made: Promotion) -> list[str]:
    return [
        one.promotion_id
        for one in held
        if one.promotion_id != made.promotion_id and one.from_at < made.to_at and made.from_at < one.to_at
    ]


async def take_back(services: Services, principal: Principal, promotion_id: str) -> None:
    """One that holds ends now; one that has not begun never does. Either stays on record."""
    async with services.database.transaction() as conn:
        row = await promotions.read_promotion(conn, promotion_id)
        require(row is not None, "not_found")
        assert row is not None  # noqa: S101 - for the type checker; required above
        _require_right(principal, Level(row["level"]), row["scope_id"])
        require(not row["has_ended"], "nothing_to_change")
        await promotions.end_promotion(conn, promotion_id)
        await timetables.next_version(conn)
        data = {"promotion_id": promotion_id}
        await trust.note(
            conn, "promotion_taken_back", actor=principal.actor, merchant_id=_of(Level(row["level"]), row), data=data
        )
    await services.hours.refresh(services.database)


async def preview(services: Services, principal: Principal, document: Mapping[str, Any]) -> dict[str, Any]:
    """What would hold at its beginning, merchant by merchant, without it and with it. Writes nothing."""
    level = Level(document["level"])
    _require_right(principal, level, document["scope_id"])
    async with services.database.connection() as conn:
        made = _require_sound(document, await clock(conn))
        concerned = await promotions.concerned(conn, level, document["scope_id"], merchants_max=MERCHANTS_SHOWN + 1)
        others = tuple(one for one in await promotions.read_promotions(conn) if one.promotion_id != made.promotion_id)
        hours = await timetables.read_timetable(conn)
    shown = []
    for merchant in concerned[:MERCHANTS_SHOWN]:
        merchant_id = merchant["merchant_id"]
        usual = {
            "window_minutes": WINDOW_MINUTES,
            "automatic_limit_minor": AUTOMATIC_LIMIT_MINOR,
            "targets": hours.targets_for(merchant_id),
        }
        before, after = (
            _as_it_would_be(overlay_at(held, merchant_id=merchant_id, at=made.from_at), usual, merchant["limits"])
            for held in (others, (*others, made))
        )
        changed = {
            name: {"before": before[name], "after": after[name]} for name in after if before[name] != after[name]
        }
        shown.append({"merchant_id": merchant_id, "waiting": merchant["waiting"], "changes": changed})
    return {
        "merchants": shown,
        "is_whole": len(concerned) <= MERCHANTS_SHOWN,
        "overlaps": _overlapping(others, made),
    }


def _as_it_would_be(overlay: Overlay, usual: Mapping[str, Any], limits: Mapping[str, int]) -> dict[str, Any]:
    told = {name: getattr(overlay, name) for name in FIELDS}
    named = {name: usual.get(name) if value is None else value for name, value in told.items()}
    return {
        **named,
        "calendar": None if overlay.calendar is None else "of the promotion",
        "limits": {**limits, **overlay.limits},
    }


async def turn_promotions(database: Database) -> None:
    """What has begun or ended by the clock counts the timetable on, so the clocks of open cases follow."""
    async with database.transaction() as conn:
        turned = await promotions.turn(conn)
        if turned:
            await timetables.next_version(conn)
            await _note_turns(conn, turned)


async def _note_turns(conn: Connection, turned: list[dict[str, Any]]) -> None:
    for one in turned:
        what = "promotion_ended" if one["has_ended"] else "promotion_begun"
        await trust.note(conn, what, actor="system:unwind", data={"promotion_id": one["promotion_id"]})
