"""Calendars, holidays and target minutes over HTTP: versions, precedence, what is refused, and the warning in December."""

from datetime import date, timedelta
from typing import Any

import pytest

from tests.world import World
from unwind.domain.calendar import ALWAYS
from unwind.domain.timetable import Queue, Scope, Targets
from unwind.flow.timetable import Hours, warn_of_missing_holidays

OFFICE = {"week": [[[540, 720], [810, 1080]]] * 5 + [[], []]}
EXAMPLE_YEAR = {"days": {"2026-10-01": "off", "2026-10-10": "work"}}
"""An example, not the official table."""


async def put(world: World, path: str, body: Any) -> int:
    return int((await world.ok("PUT", f"/api/v1/admin/{path}", role="admin", json=body))["version"])


async def test_the_narrowest_calendar_holds_and_taking_it_back_widens(world: World) -> None:
    zones = {
        "all/-": "Asia/Shanghai",
        "queue/inquiry": "Asia/Tokyo",
        "channel/hotline": "Europe/Berlin",
        "merchant/shop": "Asia/Kathmandu",
    }
    versions = [await put(world, f"calendars/{path}", {**OFFICE, "time_zone": zone}) for path, zone in zones.items()]
    assert versions == [1, 2, 3, 4], "one counter"

    def zone_of(**given: Any) -> str:
        case = {"merchant_id": "other", "channel": "app", "queue": Queue.CANCELLATION, **given}
        return world.services.hours.timetable.calendar_for(**case).time_zone

    assert zone_of() == "Asia/Shanghai"
    assert zone_of(queue=Queue.INQUIRY) == "Asia/Tokyo"
    assert zone_of(queue=Queue.INQUIRY, channel="hotline") == "Europe/Berlin"
    assert zone_of(queue=Queue.INQUIRY, channel="hotline", merchant_id="shop") == "Asia/Kathmandu"
    await world.ok("DELETE", "/api/v1/admin/calendars/merchant/shop", role="admin")
    assert zone_of(queue=Queue.INQUIRY, channel="hotline", merchant_id="shop") == "Europe/Berlin"
    held = await world.sql("SELECT version, rules IS NULL AS gone, set_by FROM calendars WHERE scope = 'merchant'")
    assert held == [
        {"version": 4, "gone": False, "set_by": "admin:test-admin"},
        {"version": 5, "gone": True, "set_by": "admin:test-admin"},
    ]


@pytest.mark.rule("operations.holidays")
async def test_official_days_reach_calendars_that_observe_them_and_own_days_come_first(world: World) -> None:
    await put(world, "holidays/2026", EXAMPLE_YEAR)
    await put(world, "calendars/all/-", {**OFFICE, "days": {"2026-10-01": "work"}})
    await put(world, "calendars/channel/hotline", OFFICE)
    await put(world, "calendars/channel/chat", {**OFFICE, "observes_holidays": False})
    another = Hours()
    assert await another.refresh(world.services.database)
    assert not await another.refresh(world.services.database), "nothing new"
    found = another.timetable.calendars
    national_day, make_up = date(2026, 10, 1), date(2026, 10, 10)
    hotline = found[Scope.CHANNEL, "hotline"]
    assert (hotline.windows_of(national_day), hotline.windows_of(make_up)) == ((), ((540, 720), (810, 1080)))
    assert found[Scope.ALL, ""].windows_of(national_day) == ((540, 720), (810, 1080))
    assert found[Scope.CHANNEL, "chat"].windows_of(make_up) == ()
    shown = await world.ok("GET", "/api/v1/admin/timetable", role="admin")
    assert (shown["version"], shown["holidays"][0]["days"]) == (4, EXAMPLE_YEAR["days"])


async def test_targets_of_a_merchant_before_those_of_all(world: World) -> None:
    await put(world, "clock-targets", {"respond_due": 30})
    await put(world, "clock-targets?merchant_id=shop", {"respond_due": 20})
    held = world.services.hours.timetable
    assert (held.targets_for("shop").respond_due, held.targets_for("other").respond_due) == (20, 30)
    await world.ok("DELETE", "/api/v1/admin/clock-targets?merchant_id=shop", role="admin")
    await world.ok("DELETE", "/api/v1/admin/clock-targets", role="admin")
    assert world.services.hours.timetable.targets_for("shop") == Targets()


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("calendars/all/-", {"week": [[]] * 7}, 422, "calendar_unsound"),
        ("calendars/all/-", {"week": [[[0, 1440]]] * 6}, 422, "invalid"),
        ("calendars/all/-", {**OFFICE, "time_zone": "Mars/Olympus"}, 422, "calendar_unsound"),
        ("calendars/all/-", {"week": [[[600, 500]]] * 7}, 422, "calendar_unsound"),
        ("calendars/all/-", {"week": [[[0, 600], [500, 700]]] * 7}, 422, "calendar_unsound"),
        ("calendars/all/-", {**OFFICE, "days": {"2026-02-30": "off"}}, 422, "invalid"),
        ("calendars/queue/nowhere", OFFICE, 404, "not_found"),
        ("calendars/channel/pigeon", OFFICE, 404, "not_found"),
        ("calendars/merchant/nobody", OFFICE, 404, "unknown_merchant"),
        ("calendars/planet/earth", OFFICE, 422, "invalid"),
        ("holidays/2026", {"days": {"2027-01-01": "off"}}, 422, "invalid"),
        ("holidays/99", {"days": {}}, 422, "invalid"),
        ("clock-targets", {"respond_warn": 15, "respond_due": 15}, 422, "targets_unsound"),
        ("clock-targets", {"resolve_due": 10**9}, 422, "targets_unsound"),
        ("clock-targets?merchant_id=nobody", {}, 404, "unknown_merchant"),
    ],
)
async def test_nonsense_changes_nothing(world: World, path: str, body: Any, status: int, code: str) -> None:
    response = await world.call("PUT", f"/api/v1/admin/{path}", role="admin", json=body)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert await world.sql("SELECT version FROM timetable") == [{"version": 0}]
    assert world.services.hours.timetable.calendar_for(merchant_id="shop", channel="app", queue=Queue.URGENT) is ALWAYS


@pytest.mark.parametrize("role", ["agent", "lead", "finance", "warehouse", "auditor", "integrator"])
async def test_only_administrators_set_working_time(world: World, role: str) -> None:
    for method, path in (
        ("PUT", "calendars/all/-"),
        ("DELETE", "calendars/all/-"),
        ("PUT", "holidays/2026"),
        ("PUT", "clock-targets"),
        ("DELETE", "clock-targets"),
    ):
        body = {"PUT": {"calendars/all/-": OFFICE, "holidays/2026": EXAMPLE_YEAR}.get(path, {})}.get(method)
        response = await world.call(method, f"/api/v1/admin/{path}", role=role, json=body)
        assert response.status_code == 403, path
    assert await world.sql("SELECT version FROM timetable") == [{"version": 0}]


@pytest.mark.rule("operations.holidays")
async def test_from_december_on_a_missing_year_is_an_alert(world: World) -> None:
    async def alerts() -> list[Any]:
        await warn_of_missing_holidays(world.services.database)
        rows = await world.sql("SELECT code FROM alerts WHERE kind = 'holidays_missing' AND closed_at IS NULL")
        return [row["code"] for row in rows]

    now = await world.now()
    await world.pass_time(date(now.year + 1, 11, 28) - now.date())
    assert await alerts() == [], "nobody's calendar goes by the table"
    year = now.year + 1
    await put(world, "calendars/all/-", OFFICE)
    await put(world, f"holidays/{year}", {"days": {}})
    assert await alerts() == [], "November"
    await world.pass_time(timedelta(days=4))
    assert await alerts() == [str(year + 1)]
    await put(world, f"holidays/{year + 1}", {"days": {f"{year + 1}-10-01": "off"}})
    assert await alerts() == []
