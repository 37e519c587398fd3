"""A day's bill against the ledger of a running shop, through the commands and the desk."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from sandbox.bills import write_bill
from tests.world import World, order_body, payment
from unwind.adapters.payment.bills import read_wechat
from unwind.domain.bill import DifferenceKind
from unwind.reconcile import BillReport
from unwind.storage.embedded import EmbeddedPostgres
from unwind.worker.bills import take_bill, take_waiting_bills

BEIJING = ZoneInfo("Asia/Shanghai")


@pytest.fixture
async def shop(postgres: EmbeddedPostgres, database_name: str, tmp_path: Path) -> AsyncIterator[World]:
    """The usual world; its WeChat connection has bills. Which format the calls have does not matter here."""
    async with AsyncExitStack() as stack:
        world = await World.open(stack, postgres=postgres, database=database_name, folder=tmp_path)
        links = dict(world.services.links)
        links["wxpay"] = replace(links["wxpay"], read_bill=read_wechat)
        object.__setattr__(world.services, "links", links)
        yield world


async def today(world: World) -> date:
    return (await world.now()).astimezone(BEIJING).date()


def bill_of(world: World, folder: Path, day: date) -> bytes:
    """Written by the sandbox from its own ledger."""
    from sandbox.ledger import Ledger

    ledger = Ledger(folder / "ledger.sqlite")
    try:
        raw = write_bill(SimpleNamespace(ledger=ledger), "wxpay", "wechat_pay", day)  # type: ignore[arg-type]
    finally:
        ledger.close()
    assert raw is not None
    return raw


async def load(world: World, folder: Path) -> BillReport:
    day = await today(world)
    return await take_bill(world.services, "wxpay", bill_of(world, folder, day), day=day)


async def differences(world: World) -> list[tuple[str, str]]:
    found = await world.ok("GET", "/api/v1/desk/bill-differences", role="finance")
    return [(one["kind"], one["refund_no"] or one["trade_no"]) for one in found["differences"]]


async def cancelled(world: World, **given: object) -> tuple[str, str]:
    order_id = await world.order(**given)
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run(until="archived", case_id=case_id)
    return order_id, case_id


async def test_a_day_that_agrees(shop: World, tmp_path: Path) -> None:
    for _ in range(3):
        await cancelled(shop)
    report = await load(shop, tmp_path)
    assert (report.refunds, report.refunds_minor, report.payments) == (3, 3000, 3)
    assert report.differences == ()
    assert report.agreed == 6
    assert await differences(shop) == []


@pytest.mark.rule("money.exceptions")
async def test_a_refund_by_the_shops_own_staff_counts_against_the_payment(shop: World, tmp_path: Path) -> None:
    order_id = await shop.order()
    trade = f"T-{order_id}-wxpay"
    await shop.ask_sandbox(
        "refunds", {"connection": "wxpay", "trade_no": trade, "refund_no": "STAFF-1", "amount_minor": 300}
    )
    await load(shop, tmp_path)
    assert await differences(shop) == [("refund_not_ours", "STAFF-1")]
    listed = (await shop.ok("GET", "/api/v1/desk/bill-differences", role="finance"))["differences"][0]
    assert (listed["order_id"], listed["theirs_minor"]) == (order_id, 300)
    path = f"/api/v1/desk/bill-differences/{listed['difference_id']}/settle"
    for role in ("agent", "integrator", "warehouse"):
        assert (
            await shop.call("POST", path, role=role, json={"resolution": "book_elsewhere", "reference": "V-1"})
        ).status_code == 403
    await shop.ok("POST", path, role="finance", json={"resolution": "book_elsewhere", "reference": "V-1"})
    assert await shop.sql("SELECT elsewhere_minor FROM payments") == [{"elsewhere_minor": 300}]
    assert (
        await shop.call("POST", path, role="finance", json={"resolution": "explained", "reference": "V-1"})
    ).status_code == 404
    await load(shop, tmp_path)
    assert await differences(shop) == [], "settled is settled, however often the bill comes"


async def test_more_than_the_payment_holds_is_not_booked(shop: World, tmp_path: Path) -> None:
    order_id = await shop.order()
    trade = f"T-{order_id}-wxpay"
    await shop.ask_sandbox(
        "refunds", {"connection": "wxpay", "trade_no": trade, "refund_no": "S1", "amount_minor": 1000}
    )
    await load(shop, tmp_path)
    await shop.sql("UPDATE payments SET elsewhere_minor = 500")
    listed = (await shop.ok("GET", "/api/v1/desk/bill-differences", role="finance"))["differences"][0]
    path = f"/api/v1/desk/bill-differences/{listed['difference_id']}/settle"
    refused = await shop.call("POST", path, role="finance", json={"resolution": "book_elsewhere", "reference": "V-1"})
    assert (refused.status_code, refused.json()["code"]) == (409, "more_than_left")
    assert await differences(shop) != []


async def test_a_refund_on_the_bill_wakes_the_case_that_waits_for_it(shop: World, tmp_path: Path) -> None:
    await shop.ask_sandbox("connections/wxpay", {"refund_mode": "stuck"})
    order_id = await shop.order()
    case_id = (await shop.cancel(order_id))["case_id"]
    await shop.run()
    (refund,) = await shop.refunds(order_id)
    await shop.ask_sandbox("faults", {"connection": "wxpay", "operation": "*", "fault": "callback_never", "times": 1})
    await shop.sql("UPDATE legs SET next_try_at = unwind_now() + interval '1 day' WHERE state = 'accepted'")
    await shop.sql("UPDATE cases SET next_check_at = unwind_now() + interval '1 day' WHERE state <> 'archived'")
    from sandbox.ledger import Ledger

    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.run("UPDATE refunds SET status = 'SUCCESS', final_at = ?", (await shop.now()).isoformat())
    ledger.close()
    report = await load(shop, tmp_path)
    assert [d.kind for d in report.differences] == [DifferenceKind.REFUND_NOT_FINAL]
    await shop.run(until="archived", case_id=case_id)
    await load(shop, tmp_path)
    assert await differences(shop) == [], "explained by itself"
    assert refund["refund_no"]


async def test_a_payment_nobody_told_us_of_is_returned_by_the_late_payment_guard(shop: World, tmp_path: Path) -> None:
    body = order_body("LATE", now=await shop.now(), payments=[payment("LATE", 1000, state="created")])
    order_id = await shop.order(order_id="LATE", payments=body["payments"])
    await shop.ask_sandbox("connections/wxpay", {"refund_mode": "final"})
    await cancelled_unpaid(shop, order_id)
    from sandbox.ledger import Ledger

    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.run("UPDATE trades SET state = 'PAID' WHERE trade_no = 'T-LATE-wxpay'")  # and no callback is ever sent
    ledger.close()
    report = await load(shop, tmp_path)
    assert report.unbooked_trades == ("T-LATE-wxpay",)
    await shop.run()
    assert [(r["amount_minor"], r["money_moved_times"]) for r in await shop.refunds(order_id)] == [(1000, 1)]
    await load(shop, tmp_path)
    assert await differences(shop) == []


async def cancelled_unpaid(world: World, order_id: str) -> None:
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run(until="archived", case_id=case_id)


async def test_what_is_final_here_and_on_no_bill_is_missing_a_day_later(shop: World, tmp_path: Path) -> None:
    await cancelled(shop)
    day = await today(shop)
    empty = bill_of(shop, tmp_path, day - timedelta(days=40)).replace(b"T-O1-wxpay", b"T-ELSE")
    await take_bill(shop.services, "wxpay", empty, day=day)
    assert await differences(shop) == [], "near midnight it may stand on the next one"
    await take_bill(shop.services, "wxpay", empty, day=day + timedelta(days=1))
    assert [kind for kind, _ in await differences(shop)] == ["refund_missing"]


async def test_bills_laid_into_the_folder_are_taken(shop: World, tmp_path: Path) -> None:
    await cancelled(shop)
    folder = tmp_path / "bills" / "wxpay"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_bytes(bill_of(shop, tmp_path, await today(shop)))
    (folder / "b.csv").write_bytes(b"no bill")
    await take_waiting_bills(shop.services, tmp_path / "bills")
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.csv")) == ["done/a.csv", "refused/b.csv"]
    assert len(await shop.sql("SELECT day FROM bills")) == 1
    assert await shop.sql("SELECT kind FROM alerts WHERE connection = 'wxpay'") == [{"kind": "bill_unreadable"}]


async def test_the_day_is_that_of_the_provider(shop: World, tmp_path: Path) -> None:
    await cancelled(shop)
    day = await today(shop)
    report = await take_bill(shop.services, "wxpay", bill_of(shop, tmp_path, day))
    assert report.day == day
    assert datetime.now(BEIJING).date() - report.day <= timedelta(days=1)
