"""Promotions: what holds differently for a while; by itself, for whom it is meant, and on record with the cases it touched."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.world import World, line
from unwind.domain.promotion import Changes, Level, Promotion, overlay_at
from unwind.domain.timetable import Targets
from unwind.flow.strike import follow_timetable

ADMIN = "/api/v1/admin/promotions"
HOUR = timedelta(hours=1)


async def put(
    world: World,
    promotion_id: str = "1111",
    *,
    begins: timedelta = HOUR,
    lasts: timedelta = 2 * HOUR,
    level: str = "merchant",
    scope_id: str | None = "shop",
    **changes: Any,
) -> httpx.Response:
    now = await world.now()
    body = {
        "level": level,
        "scope_id": scope_id,
        "from": (now + begins).isoformat(),
        "to": (now + begins + lasts).isoformat(),
        "changes": changes,
    }
    return await world.call("PUT", f"{ADMIN}/{promotion_id}", role="admin", json=body)


async def ask(
    world: World, *, dispatch: timedelta = timedelta(hours=5), price: int = 1000, **given: Any
) -> Mapping[str, Any]:
    planned = (await world.now() + dispatch).isoformat()
    order_id = await world.order(lines=[line(price=price)], planned_dispatch_at=planned, **given)
    return await world.cancel(order_id)


@pytest.mark.rule("operations.promotions")
async def test_it_begins_and_ends_by_itself_and_the_case_says_so(world: World) -> None:
    assert (await put(world, window_minutes=600, automatic_limit_minor=5000)).is_success
    assert (await ask(world))["rule"] == "inside_window"
    await world.pass_time(HOUR)
    during = await ask(world)
    assert during["rule"] == "outside_window", "five hours are less than the ten of the promotion"
    dear = await ask(world, dispatch=timedelta(hours=20), price=5001)
    assert dear["rule"] == "guard_over_limit"
    [row] = await world.sql("SELECT overlay, facts FROM cases WHERE case_id = %s", during["case_id"])
    assert row["overlay"] == {"promotions": ["1111"], "window_minutes": 600, "automatic_limit_minor": 5000}
    assert row["facts"][0]["window"] == "outside"
    await world.pass_time(2 * HOUR)
    after = await ask(world)
    assert after["rule"] == "inside_window"
    assert await world.sql("SELECT overlay FROM cases WHERE case_id = %s", after["case_id"]) == [{"overlay": {}}]


@pytest.mark.rule("operations.promotions")
async def test_clocks_of_open_cases_follow_its_beginning_and_its_end(world: World) -> None:
    case_id = (await ask(world, price=600_000))["case_id"]
    usual = (await world.dossier(case_id))["respond_due_at"]
    targets = {"respond_warn": 100, "respond_due": 120}
    assert (await put(world, begins=timedelta(minutes=5), lasts=timedelta(minutes=5), targets=targets)).is_success
    await follow_timetable(world.services)
    assert (await world.dossier(case_id))["respond_due_at"] == usual
    await world.pass_time(timedelta(minutes=6))
    await follow_timetable(world.services)
    during = (await world.dossier(case_id))["respond_due_at"]
    assert datetime.fromisoformat(during) - datetime.fromisoformat(usual) == timedelta(minutes=105)
    fresh = await ask(world, price=600_000)
    due = datetime.fromisoformat(fresh["respond_due_at"]) - await world.now()
    assert timedelta(minutes=119) < due <= timedelta(minutes=120)
    await world.pass_time(timedelta(minutes=5))
    await follow_timetable(world.services)
    assert (await world.dossier(case_id))["respond_due_at"] == usual
    turned = await world.sql("SELECT what FROM trust_events ORDER BY event_id")
    assert [t["what"] for t in turned] == ["promotion_set", "promotion_begun", "promotion_ended"]
    assert sum("clocks_reset" in told for told in await world.timeline(case_id)) == 2


async def test_caps_and_arrival_of_a_promotion(world: World) -> None:
    arrival = {"zh": "大促期间退款预计3-7个工作日到账", "en": "3 to 7 working days during the sale"}
    assert (await put(world, limits={"refunds_per_day": 2}, arrival=arrival)).is_success
    await world.pass_time(HOUR)
    buyer = {"phone": "13800002222"}
    first = await ask(world, buyer=buyer)
    assert first["refund"]["payments"][0]["estimate"] == arrival
    assert [(await ask(world))["rule"] for _ in range(2)] == ["inside_window", "cap_reached"]
    await world.run(until="archived", case_id=first["case_id"])
    told = await world.sql("SELECT params FROM messages WHERE case_id = %s AND fact LIKE 'refund%%'", first["case_id"])
    assert {t["params"]["estimate_zh"] for t in told} == {arrival["zh"]}
    await world.pass_time(2 * HOUR)
    assert (await ask(world))["rule"] == "inside_window"


@pytest.mark.rule("operations.promotions")
async def test_what_it_promised_to_an_order_is_kept_after_its_end(world: World) -> None:
    """The shop names no dispatch. Placed during the promotion: promised within 3 hours; missed is the merchant's fault."""
    assert (await put(world, begins=timedelta(seconds=1), lasts=HOUR, dispatch_hours=3)).is_success
    await world.pass_time(timedelta(minutes=1))
    placed = (await world.now()).isoformat()
    order_id = await world.order(planned_dispatch_at=None, placed_at=placed)
    await world.pass_time(4 * HOUR)
    assert (await world.cancel(order_id))["rule"] == "dispatch_missed"
    later = await world.order(planned_dispatch_at=None, placed_at=(await world.now()).isoformat())
    assert (await world.cancel(later))["rule"] == "by_stage"


async def test_it_can_be_looked_at_before_and_taken_back(world: World) -> None:
    now = await world.now()
    body = {
        "level": "platform",
        "from": (now + HOUR).isoformat(),
        "to": (now + 2 * HOUR).isoformat(),
        "changes": {"window_minutes": 30, "limits": {"refunds_per_day": 9}},
    }
    assert (await put(world, "own", begins=HOUR / 2, window_minutes=60)).is_success
    seen = await world.ok("POST", f"{ADMIN}/1212/preview", role="admin", json=body)
    assert seen["overlaps"] == ["own"]
    assert seen["merchants"] == [
        {
            "merchant_id": "shop",
            "waiting": 0,
            "changes": {
                "window_minutes": {"before": 60, "after": 30},
                "limits": {"before": {}, "after": {"refunds_per_day": 9}},
            },
        }
    ]
    assert len(await world.sql("SELECT FROM promotions")) == 1
    await world.ok("DELETE", f"{ADMIN}/own", role="admin")
    assert world.services.hours.promotions == ()
    assert (await world.call("DELETE", f"{ADMIN}/own", role="admin")).json()["code"] == "nothing_to_change"
    assert (await put(world, "soon", begins=timedelta(seconds=2), window_minutes=600)).is_success
    await world.pass_time(timedelta(seconds=3))
    assert (await put(world, "soon", window_minutes=30)).json()["code"] == "promotion_begun"
    assert (await ask(world))["rule"] == "outside_window"
    await world.ok("DELETE", f"{ADMIN}/soon", role="admin")
    assert (await ask(world))["rule"] == "inside_window"
    assert len(await world.sql("SELECT FROM promotions")) == 2, "it stays on record"


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ({"lasts": timedelta(0), "window_minutes": 1}, 422, "promotion_unsound"),
        ({"lasts": timedelta(days=63), "window_minutes": 1}, 422, "promotion_unsound"),
        ({"begins": timedelta(hours=-3), "window_minutes": 1}, 422, "promotion_unsound"),
        ({"level": "platform", "window_minutes": 1}, 422, "promotion_unsound"),
        ({"scope_id": None, "window_minutes": 1}, 422, "promotion_unsound"),
        ({}, 422, "promotion_unsound"),
        ({"scope_id": "nobody", "window_minutes": 1}, 404, "unknown_merchant"),
        ({"automatic_limit_minor": 500_001}, 422, "invalid"),
        ({"targets": {"respond_warn": 20, "respond_due": 10}}, 422, "targets_unsound"),
        ({"calendar": {"week": [[]] * 7}}, 422, "calendar_unsound"),
        ({"surprise": 1}, 422, "invalid"),
    ],
)
async def test_nonsense_is_no_promotion(world: World, given: Any, status: int, code: str) -> None:
    response = await put(world, **given)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert await world.sql("SELECT FROM promotions") == []


AT = datetime(2026, 11, 11, tzinfo=UTC)


def a_promotion(
    name: str, level: Level, *, hours: int = 1, merchants: frozenset[str] | None = None, **given: Any
) -> Promotion:
    return Promotion(
        promotion_id=name,
        level=level,
        from_at=AT - timedelta(hours=hours),
        to_at=AT + HOUR,
        changes=Changes(**given),
        merchants=merchants,
    )


def test_the_platforms_word_comes_before_a_shops_and_that_before_a_merchants() -> None:
    held = [
        a_promotion(
            "mine",
            Level.MERCHANT,
            window_minutes=1,
            dispatch_hours=1,
            targets=Targets(),
            limits={"refunds_per_day": 1, "minor_per_day": 1},
        ),
        a_promotion("shops", Level.SHOP, window_minutes=2, dispatch_hours=2, limits={"refunds_per_day": 2}),
        a_promotion("all", Level.PLATFORM, window_minutes=0),
        a_promotion("theirs", Level.MERCHANT, merchants=frozenset({"other"}), automatic_limit_minor=1),
    ]
    seen = overlay_at(held, merchant_id="shop", at=AT)
    assert (seen.window_minutes, seen.dispatch_hours, seen.targets) == (0, 2, Targets())
    assert (seen.limits, seen.automatic_limit_minor) == ({"refunds_per_day": 2, "minor_per_day": 1}, None)
    assert seen.promotions == ("all", "shops", "mine")
    assert overlay_at(held, merchant_id="shop", at=AT + HOUR).stored() == {}


def test_of_one_level_the_one_that_began_later_holds() -> None:
    held = [
        a_promotion("a", Level.PLATFORM, hours=2, window_minutes=1),
        a_promotion("b", Level.PLATFORM, hours=1, window_minutes=2),
    ]
    assert overlay_at(held, merchant_id="x", at=AT).window_minutes == 2
    assert overlay_at(reversed(held), merchant_id="x", at=AT).window_minutes == 2
