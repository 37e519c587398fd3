"""Respond and resolve: who hears when, what stops and pauses them, and what a change of the timetable does to open cases."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.world import World, line
from unwind.flow.strike import follow_timetable, strike_due
from unwind.flow.timetable import Hours
from unwind.worker.loop import run_forever

MINUTES = [timedelta(minutes=n) for n in range(60)]


async def open_case(world: World, **given: Any) -> str:
    case_id: str = (await world.cancel(await world.order(risk="suspected"), **given))["case_id"]
    await world.run()
    return case_id


async def strokes(world: World, case_id: str) -> list[tuple[str, str, str]]:
    rows = await world.sql(
        "SELECT event, data FROM case_events WHERE case_id = %s AND event LIKE 'clock\\_%%' ORDER BY seq", case_id
    )
    return [(row["event"], row["data"]["clock"], row["data"]["to"]) for row in rows]


async def events(world: World, case_id: str) -> list[str]:
    rows = await world.sql("SELECT event FROM case_events WHERE case_id = %s ORDER BY seq", case_id)
    return [row["event"] for row in rows if row["event"] != "message_recorded"]


async def clocks(world: World, case_id: str) -> dict[str, Any]:
    [row] = await world.sql(
        "SELECT k.*, c.respond_warn_at, c.respond_due_at, c.is_warned, c.is_overdue, c.answered_at, c.version FROM case_clocks k"
        " JOIN cases c USING (case_id) WHERE case_id = %s",
        case_id,
    )
    return row


async def test_each_rung_is_struck_once_and_the_lead_comes_last(world: World) -> None:
    case_id = await open_case(world)
    for minutes in (7, 1, 2, 1, 1, 3, 1, 5):
        await world.pass_time(MINUTES[minutes])
        await strike_due(world.services)
        await world.run()
    assert await strokes(world, case_id) == [
        ("clock_half", "respond", "group"),
        ("clock_warned", "respond", "group"),
        ("clock_again", "respond", "group"),
        ("clock_due", "respond", "lead"),
    ]
    assert (await clocks(world, case_id))["is_overdue"]


async def test_of_several_rungs_at_once_only_the_highest(world: World) -> None:
    case_id = await open_case(world)
    await world.pass_time(MINUTES[20])
    await asyncio.gather(*(strike_due(world.services) for _ in range(3)), world.run())
    assert await strokes(world, case_id) == [("clock_due", "respond", "lead")]


async def test_an_urgent_case_has_three_minutes(world: World) -> None:
    order_id = await world.order()
    case_id = (await world.cancel(order_id, reason="PAYMENT_ISSUE"))["case_id"]
    row = await clocks(world, case_id)
    assert row["is_urgent"]
    assert row["respond_due_at"] - row["respond_from"] == MINUTES[3]
    await world.pass_time(MINUTES[3])
    await strike_due(world.services)
    assert await strokes(world, case_id) == [("clock_due", "respond", "lead")]


async def test_only_a_person_stops_the_respond_clock(world: World) -> None:
    """The acknowledgement that is sent by itself does not; the decision does, and the version it was bound to survives the strokes."""
    case_id = await open_case(world)
    told = await world.sql("SELECT state FROM messages WHERE case_id = %s AND audience = 'buyer'", case_id)
    assert told == [{"state": "sent"}]
    seen = await world.dossier(case_id)
    await world.pass_time(MINUTES[11])
    await strike_due(world.services)
    assert len(await strokes(world, case_id)) == 1
    body = {"choice": "decline", "case_version": seen["version"], "order_version": seen["order"]["version"]}
    response = await world.call("POST", f"/api/v1/desk/cases/{case_id}/decisions", role="agent", json=body)
    assert response.status_code == 200, response.text
    await world.pass_time(MINUTES[30])
    await strike_due(world.services)
    await world.run()
    assert len(await strokes(world, case_id)) == 1
    assert (await clocks(world, case_id))["strike_at"] is None


async def test_what_closes_at_once_has_no_clock(world: World) -> None:
    await world.cancel(await world.order(paid=False))
    assert await world.sql("SELECT case_id FROM case_clocks") == []


async def test_asking_the_buyer_answers_and_pauses_and_the_buyer_ends_it_by_any_channel(world: World) -> None:
    order_id = await world.order(risk="suspected")
    case_id = (await world.cancel(order_id))["case_id"]
    before = await clocks(world, case_id)
    body = {"reason_code": "which_address", "minutes": 600}
    shown = await world.ok("POST", f"/api/v1/desk/cases/{case_id}/buyer-question", role="agent", json=body)
    assert (shown["clocks"]["resolve_due_at"], bool(shown["clocks"]["asked_until"])) == (None, True)
    assert shown["first_human_at"] is not None
    again = await world.call("POST", f"/api/v1/desk/cases/{case_id}/buyer-question", role="agent", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "buyer_asked_already")
    await world.pass_time(MINUTES[50])
    await strike_due(world.services)
    await world.run()
    assert await strokes(world, case_id) == [], "respond is answered, resolve is paused"
    await world.cancel(order_id, channel="chat")
    assert (await events(world, case_id))[-2:] == ["buyer_answered", "contacted_again"]
    after = await clocks(world, case_id)
    paused = after["resolve_due_at"] - before["resolve_due_at"]
    assert timedelta(minutes=50) <= paused < timedelta(minutes=51)
    [interval] = await world.sql("SELECT ended_at - began_at AS length FROM case_pauses")
    assert interval["length"] == paused, "the total is that of the rows"
    response = await world.call("POST", f"/api/v1/desk/cases/{case_id}/buyer-answer", role="agent")
    assert (response.status_code, response.json()["code"]) == (409, "nobody_asked")


async def test_a_silent_buyer_does_not_stop_the_clock_for_ever(world: World) -> None:
    case_id = await open_case(world)
    body = {"reason_code": "photo", "minutes": 30}
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/buyer-question", role="agent", json=body)
    await world.pass_time(MINUTES[40])
    await strike_due(world.services)
    assert (await events(world, case_id))[-1] == "buyer_silent"
    [interval] = await world.sql("SELECT ended_at - began_at AS length FROM case_pauses")
    assert interval["length"] == MINUTES[30], "no longer than was promised, although somebody looked later"
    await world.pass_time(timedelta(hours=25))
    await strike_due(world.services)
    assert await strokes(world, case_id) == [("clock_due", "resolve", "lead")]


async def test_a_decision_ends_the_question(world: World) -> None:
    case_id = await open_case(world)
    body = {"reason_code": "photo", "minutes": 30}
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/buyer-question", role="agent", json=body)
    assert (await world.decide(case_id, "decline")).status_code == 200
    assert await world.sql("SELECT n FROM case_pauses WHERE ended_at IS NULL") == []
    await world.run(until="archived", case_id=case_id)


async def test_the_merchants_own_minutes_and_the_queues_own_hours(world: World) -> None:
    await world.ok("PUT", "/api/v1/admin/clock-targets?merchant_id=shop", role="admin", json={"respond_due": 30})
    now = await world.now()
    tomorrow = (now + timedelta(days=1)).weekday()
    week = [[[720, 780]] if day == tomorrow else [] for day in range(7)]
    calendar = {"time_zone": "UTC", "week": week, "observes_holidays": False}
    await world.ok("PUT", "/api/v1/admin/calendars/channel/chat", role="admin", json=calendar)
    await world.put_merchant("other")
    app = await clocks(world, await open_case(world))
    assert app["respond_due_at"] - app["respond_from"] == MINUTES[30]
    chat = await clocks(world, await open_case(world, channel="chat"))
    assert (chat["respond_warn_at"].hour, chat["respond_warn_at"].minute) == (12, 10)
    assert (chat["respond_due_at"].hour, chat["respond_due_at"].minute) == (12, 30)
    assert chat["respond_due_at"].date() > now.date()


async def test_a_change_of_the_minutes_moves_open_cases_and_is_told_in_their_history(world: World) -> None:
    case_id = await open_case(world)
    before = await clocks(world, case_id)
    await world.pass_time(MINUTES[16])
    await strike_due(world.services)
    assert (await clocks(world, case_id))["is_overdue"]
    await world.ok("PUT", "/api/v1/admin/clock-targets", role="admin", json={"respond_due": 40, "respond_warn": 30})
    assert not await follow_timetable(world.services)
    after = await clocks(world, case_id)
    assert after["respond_due_at"] == after["respond_from"] + MINUTES[40]
    assert (after["is_warned"], after["is_overdue"], after["timetable_version"]) == (False, False, 1)
    assert after["version"] == before["version"], "what somebody has seen is still what is decided on"
    [row] = await world.sql("SELECT data, actor FROM case_events WHERE event = 'clocks_reset'")
    assert datetime.fromisoformat(row["data"]["respond_due_was"]) == before["respond_due_at"]
    assert datetime.fromisoformat(row["data"]["respond_due_at"]) == after["respond_due_at"]
    assert row["data"]["timetable"] == 1
    await follow_timetable(world.services)
    assert (await events(world, case_id)).count("clocks_reset") == 1, "once"
    await world.pass_time(MINUTES[25])
    await strike_due(world.services)
    assert [found[0] for found in await strokes(world, case_id)] == ["clock_due", "clock_due"], "due once more"


async def test_a_calendar_set_in_mid_flight_never_loses_paused_time(world: World) -> None:
    case_id = await open_case(world)
    body = {"reason_code": "photo", "minutes": 600}
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/buyer-question", role="agent", json=body)
    await world.pass_time(timedelta(hours=2))
    await world.identify("O1")
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/buyer-answer", role="agent")
    before = await clocks(world, case_id)
    await world.ok("PUT", "/api/v1/admin/clock-targets", role="admin", json={"resolve_due": 2880})
    await follow_timetable(world.services)
    after = await clocks(world, case_id)
    assert after["resolve_due_at"] - before["resolve_due_at"] == timedelta(hours=24)
    assert after["answered_at"] == before["answered_at"]
    assert after["respond_due_at"] == before["respond_due_at"], "answered: that clock is history"


async def test_a_process_with_an_old_memory_is_corrected(world: World) -> None:
    await world.ok("PUT", "/api/v1/admin/clock-targets", role="admin", json={"respond_due": 40})
    fresh = world.services.hours.timetable
    world.services.hours.timetable = Hours().timetable
    order_id = await world.order(risk="suspected")
    case_id = (await world.cancel(order_id))["case_id"]
    world.services.hours.timetable = fresh
    await follow_timetable(world.services)
    row = await clocks(world, case_id)
    assert row["timetable_version"] == 1
    assert row["respond_due_at"] - row["respond_from"] == MINUTES[40]


async def test_a_stroke_does_not_wait_for_whoever_works_on_the_case(world: World) -> None:
    """A slow gateway holds the lease of a case, and its worker's turn, for many seconds."""
    case_id = await open_case(world)
    await world.sql("UPDATE cases SET lease_token = 1, lease_until = unwind_now() + interval '1 hour'")
    await world.pass_time(MINUTES[16])
    await strike_due(world.services)
    assert await strokes(world, case_id) == [("clock_due", "respond", "lead")]


async def test_a_new_round_starts_the_respond_clock_and_not_the_other(world: World) -> None:
    order_id = await world.order(
        lines=[line(price=600_000)], released_stage="picking", wms={"behaviour": "reject", "stage": "HANDED_OVER"}
    )
    case_id = (await world.cancel(order_id))["case_id"]
    before = await clocks(world, case_id)
    await world.pass_time(MINUTES[8])
    await world.run()
    assert (await world.decide(case_id, "approve")).status_code == 202, "above what one person may decide"
    assert (await world.agree_as_second(case_id)).status_code == 200
    await world.run()
    after = await clocks(world, case_id)
    assert (await events(world, case_id))[-1] == "needs_person"
    assert after["respond_from"] > before["respond_from"]
    assert (after["resolve_from"], after["resolve_due_at"]) == (before["resolve_from"], before["resolve_due_at"])
    assert (after["respond_rung"], after["answered_at"]) == (0, None)


@pytest.mark.parametrize("is_worked_on", [False, True])
async def test_the_worker_strikes_within_five_seconds(world: World, tmp_path: Path, *, is_worked_on: bool) -> None:
    """Also while somebody holds the lease of the case: a slow gateway, a worker that has died."""
    case_id = await open_case(world)
    if is_worked_on:
        await world.sql("UPDATE cases SET lease_token = 1, lease_until = unwind_now() + interval '1 hour'")
    await world.pass_time(timedelta(minutes=14, seconds=58))
    stop = asyncio.Event()
    running = asyncio.create_task(run_forever(world.services, stop, bills=tmp_path / "bills"))
    try:
        for _ in range(400):
            if ("clock_due", "respond", "lead") in await strokes(world, case_id):
                break
            await asyncio.sleep(0.05)
    finally:
        stop.set()
        await running
    [row] = await world.sql(
        "SELECT at - respond_due_at AS late FROM case_events JOIN cases USING (case_id) WHERE event = 'clock_due'"
    )
    assert timedelta(0) <= row["late"] < timedelta(seconds=5)
