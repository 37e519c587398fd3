"""Every kind of record ends after its period, in batches; none before the law allows; the seal and the doctor never miss anything."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.world import World, line
from unwind.doctor import examine
from unwind.domain.retention import SPECS, Kind
from unwind.flow import retention as retention_flow
from unwind.flow.archive import anchor_archived
from unwind.flow.retention import forget_due
from unwind.flow.taught import Taught
from unwind.worker.loop import run_forever

SECRET = "s" * 40
YEAR = timedelta(days=366)


async def kinds(world: World, role: str = "admin") -> dict[str, dict[str, Any]]:
    shown = (await world.ok("GET", "/api/v1/admin/retention", role=role))["kinds"]
    return {row["kind"]: row for row in shown}


async def change(world: World, kind: str, n: int, role: str = "admin", why: str = "法务确认") -> Any:
    return await world.call("PUT", f"/api/v1/admin/retention/{kind}", role=role, json={"n": n, "why": why})


async def forget(world: World) -> None:
    while await forget_due(world.services):
        pass


async def something_of_every_kind(world: World) -> tuple[str, str]:
    """A closed case with everything that is kept about it, and a call about nothing."""
    order_id = await world.order(risk="suspected")
    case_id = (await world.cancel(order_id, key="k", text="不想要了"))["case_id"]
    await world.call("POST", f"/api/v1/cancellations/{case_id}/attachments", content=b"%PDF-1.7 %%EOF")
    await world.ok("POST", "/api/v1/desk/lookups", role="agent", json={"q": "13800001234"})
    await world.identify(order_id)
    await world.ok("POST", f"/api/v1/desk/orders/{order_id}/identity/code", role="agent")
    body = {"vendor": "zammad", "agents": {}, "secret": SECRET}
    await world.ok("PUT", "/api/v1/admin/phone-systems/pbx", role="admin", json=body)
    for number, call_id in (("13800001234", "c-1"), ("13900009999", "c-2")):
        said = {"event": "newCall", "from": number, "callId": call_id}
        assert (await world.client.post(f"/callbacks/cti/pbx/{SECRET}", json=said)).is_success
    for call_id in ("c-1", "c-2"):
        about = {"kind": "two_minutes", "call": {"system_id": "pbx", "call_id": call_id}}
        made = await world.ok("POST", "/api/v1/desk/promises", role="agent", json=about)
        await world.ok("POST", f"/api/v1/desk/promises/{made['promise_id']}/kept", role="agent")
    await world.ok("POST", f"/api/v1/desk/cases/{case_id}/claim", role="agent", json={})
    shown = {"case_id": case_id, "fields": ["phone"], "why": "call_buyer"}
    await world.ok("POST", f"/api/v1/desk/orders/{order_id}/reveal", role="agent", json=shown)
    await world.client.post("/api/v1/session", json={"login": "nobody", "password": "x"})
    await world.decide(case_id, "approve")
    await world.run(until="archived", case_id=case_id)
    return order_id, case_id


COUNTED = {
    "private_data": "order_keys",
    "attachments": "attachments",
    "calls": "phone_calls WHERE case_id IS NOT NULL",
    "other_calls": "phone_calls WHERE case_id IS NULL",
    "reveals": "reveals",
    "lookups": "lookups",
    "sign_in_events": "sign_in_events",
    "identity_checks": "identity_checks",
    "identity_codes": "identity_codes",
    "callbacks": "callback_inbox",
    "idempotency_keys": "idempotency_keys",
    "attempts": "attempts",
}


async def counts(world: World) -> dict[str, int]:
    return {kind: (await world.sql(f"SELECT count(*) AS n FROM {rows}"))[0]["n"] for kind, rows in COUNTED.items()}


@pytest.mark.rule("people.masked")
async def test_each_kind_ends_after_its_own_period_and_not_a_day_before(world: World) -> None:
    assert set(COUNTED) == {kind.value for kind in Kind}
    await something_of_every_kind(world)
    await anchor_archived(world.services)
    there = await counts(world)
    assert all(there.values()), there
    days = {row["kind"]: row["n"] * (365 if row["unit"] == "years" else 1) for row in (await kinds(world)).values()}
    passed = 0
    for kind, after in sorted(days.items(), key=lambda item: item[1]):
        if after - 2 > passed:
            await world.pass_time(timedelta(days=after - 2 - passed))
            passed = after - 2
            await forget(world)
            due = {name for name, period in days.items() if period >= after}
            now = await counts(world)
            assert {name: now[name] for name in due} == {name: there[name] for name in due}, f"before {kind}"
    await world.pass_time(timedelta(days=5))
    await forget(world)
    assert set((await counts(world)).values()) == {0}
    assert await world.sql("SELECT * FROM private_data") == await world.sql("SELECT * FROM blind_index") == []
    assert await world.sql("SELECT case_id, call_id FROM promises") == [
        {"case_id": (await world.sql("SELECT case_id FROM cases"))[0]["case_id"], "call_id": None}
    ], "a promise on a case stays with the case"
    async with world.services.database.survey() as conn:
        assert await examine(conn, world.services.vault) == []


async def test_the_standing_names_period_oldest_row_and_what_is_due(world: World) -> None:
    before = await world.now()
    await world.ok("POST", "/api/v1/desk/lookups", role="agent", json={"q": "13800001234"})
    shown = await kinds(world, role="auditor")
    assert {kind: (row["n"], row["unit"], row["least"]) for kind, row in shown.items()} == {
        kind.value: (3 if spec.usual is None else spec.usual, spec.unit.value, spec.least)
        for kind, spec in SPECS.items()
    }
    assert (shown["lookups"]["due"], shown["lookups"]["version"]) == (0, 0)
    assert shown["lookups"]["oldest_at"] >= before.isoformat()[:19]
    assert shown["calls"]["oldest_at"] is None
    await world.pass_time(timedelta(days=366))
    assert (await kinds(world))["lookups"]["due"] == (await counts(world))["lookups"] > 0


async def test_a_change_names_who_and_why_and_goes_no_lower_than_the_law(world: World) -> None:
    for kind, spec in SPECS.items():
        refused = await change(world, kind.value, spec.least - 1) if spec.least > 1 else None
        if refused is not None:
            assert (refused.status_code, refused.json()["code"]) == (422, "period_too_short"), kind
            assert refused.json()["facts"] == {"least": spec.least, "unit": spec.unit.value}
    assert (await change(world, "private_data", 101)).status_code == 422
    assert (await change(world, "histories", 10)).status_code == 422, "no kind of this table"
    assert (await change(world, "lookups", 365)).json()["code"] == "nothing_to_change"
    assert (await change(world, "lookups", 400, why="")).status_code == 422
    for role in ("agent", "lead", "auditor"):
        assert (await change(world, "lookups", 400, role=role)).status_code == 403, role
    assert await world.sql("SELECT * FROM retention_periods") == []
    assert (await change(world, "lookups", 400)).json() == {"kind": "lookups", "n": 400, "unit": "days"}
    assert (await change(world, "lookups", 200, why="再缩短")).is_success
    row = (await kinds(world))["lookups"]
    assert (row["n"], row["version"], row["set_by"], row["why"]) == (200, 2, "admin:test-admin", "再缩短")
    await world.ok("POST", "/api/v1/desk/lookups", role="agent", json={"q": "13800001234"})
    await world.pass_time(timedelta(days=199))
    await forget(world)
    assert (await counts(world))["lookups"] > 0
    await world.pass_time(timedelta(days=2))
    await forget(world)
    assert (await counts(world))["lookups"] == 0, "the shorter period holds"


async def test_no_record_of_who_did_what_goes_early_whoever_asks(world: World) -> None:
    """The database itself refuses, to the owner too."""
    await world.ok("POST", "/api/v1/desk/lookups", role="agent", json={"q": "13800001234"})
    await world.client.post("/api/v1/session", json={"login": "nobody", "password": "x"})
    await world.pass_time(timedelta(days=179))
    for table in ("lookups", "sign_in_events"):
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET at = at - interval '9 years'"):
            with pytest.raises(psycopg.Error, match="append-only"):
                await world.sql(statement)
    with pytest.raises(psycopg.Error, match="append-only"):
        await world.sql("TRUNCATE lookups")


async def test_orders_are_kept_from_the_last_thing_that_happened_and_open_cases_are_waited_for(world: World) -> None:
    two = {"lines": [line("L1"), line("L2")], "risk": "suspected"}
    quiet, later, still_open = [await world.order(**two) for _ in range(3)]
    waits = (await world.cancel(still_open))["case_id"]
    await world.pass_time(2 * YEAR)
    case_id = (await world.cancel(later))["case_id"]
    await world.decide(case_id, "approve")
    await world.run(until="archived", case_id=case_id)
    await world.pass_time(2 * YEAR)
    await forget(world)
    kept = await world.sql("SELECT order_id FROM order_keys ORDER BY order_id")
    assert [row["order_id"] for row in kept] == sorted([later, still_open])
    assert (await world.dossier(waits))["buyer"]["phone"] == "138****1234", "an open case still knows its buyer"
    [gone] = await world.sql("SELECT asked_by, erased_at IS NOT NULL AS is_gone FROM erasures")
    assert gone == {"asked_by": "system:unwind", "is_gone": True}
    assert quiet not in {row["order_id"] for row in await world.sql("SELECT order_id FROM private_data")}
    await world.pass_time(2 * YEAR)
    await forget(world)
    assert [row["order_id"] for row in await world.sql("SELECT order_id FROM order_keys")] == [still_open]
    await world.decide(waits, "approve")
    await world.run(until="archived", case_id=waits)
    await world.pass_time(timedelta(days=31))
    await forget(world)
    assert await world.sql("SELECT order_id FROM order_keys") != [], "its years begin now"
    await world.pass_time(4 * YEAR)
    await forget(world)
    assert await world.sql("SELECT order_id FROM order_keys") == []


async def test_batches_are_bounded_and_come_to_an_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention_flow, "ROWS_MAX", 10)
    await world.sql(
        "INSERT INTO attempts SELECT 'x', int4send(n), unwind_now() - interval '2 days', 1 FROM generate_series(1, 25) AS n"
    )
    left = []
    while await forget_due(world.services):
        left.append((await counts(world))["attempts"])
    assert (left, (await counts(world))["attempts"]) == ([15, 5], 0)


async def test_the_worker_does_it_by_itself_and_learns_of_phrases(world: World, tmp_path: Path) -> None:
    """More than a batch in one round, and what another process has put in force."""
    await world.sql(
        "INSERT INTO attempts SELECT 'x', int4send(n), unwind_now() - interval '2 days', 1 FROM generate_series(1, 2500) AS n"
    )
    await world.sql(
        "INSERT INTO phrases (phrase, folded, label, state, proposed_by, proposed_at, why, evaluation, agreed_by, agreed_at)"
        " VALUES ('x', 'x', 'OTHER', 'in_force', 'a', now(), 'x', '{}', 'b', now())"
    )
    await world.sql("UPDATE phrase_book SET version = version + 1")
    services = replace(world.services, taught=Taught())
    stop = asyncio.Event()
    running = asyncio.create_task(run_forever(services, stop, bills=tmp_path / "bills"))
    try:
        for _ in range(200):
            if (await counts(world))["attempts"] == 0 and services.taught.version == 1:
                break
            await asyncio.sleep(0.05)
    finally:
        stop.set()
        await running
    assert (await counts(world))["attempts"] == 0
    assert len(services.taught.phrases_of("shop")) == 1


async def test_nothing_it_asks_scans_a_table(world: World) -> None:
    """Each age has an index, so a big table is not read to find its oldest rows."""
    from unwind.storage.retention import ROWS

    brin = {Kind.IDEMPOTENCY_KEYS}
    for kind, rows in ROWS.items():
        async with world.services.database.transaction() as conn:
            cursor = await conn.execute(
                f"EXPLAIN SELECT t.ctid FROM {rows.table} t WHERE t.{rows.age} < now() ORDER BY t.{rows.age} LIMIT 10"
            )
            plan = "\n".join(str(row["QUERY PLAN"]) for row in await cursor.fetchall())
        assert "Seq Scan" not in plan, (kind, plan)
        assert "Index Scan" in plan or kind in brin, (kind, plan)
