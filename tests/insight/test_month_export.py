"""A month's export over HTTP: each shop's own month, one moment, money once, and whose it is."""

import asyncio
import base64
import csv
import io
import zipfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.world import World, payment
from unwind.cli import app
from unwind.insight.month import Month
from unwind.storage import month_export

MARCH, APRIL = "2026-03", "2026-04"


async def refunded(world: World, *, at: str, **given: Any) -> tuple[str, str]:
    """(order, case) of a refund that our books took for final at that moment."""
    order_id = await world.order(**given)
    case_id = (await world.cancel(order_id))["case_id"]
    await world.run(until="archived", case_id=case_id)
    await world.sql("UPDATE refunds SET final_at = %s WHERE case_id = %s", at, case_id)
    return order_id, case_id


async def sheet_of(world: World, month: str, sheet: str = "refunds", *, role: str = "finance", **query: str) -> Any:
    query = {"format": "csv", "sheet": sheet, **query}
    response = await world.call("GET", f"/api/v1/finance/exports/{month}", role=role, params=query)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"), newline="")))


async def orders_in(world: World, month: str, **query: Any) -> list[str]:
    return sorted(row["订单 order"] for row in await sheet_of(world, month, **query))


async def test_a_month_is_that_of_each_shop(world: World) -> None:
    """Midnight in Shanghai is noon of the day before in New York."""
    await world.put_merchant("york", time_zone="America/New_York")
    await refunded(world, order_id="last", at="2026-03-31T15:59:59Z")
    await refunded(world, order_id="first", at="2026-03-31T16:00:00Z")
    await refunded(world, order_id="york-last", at="2026-04-01T03:59:59Z", merchant_id="york")
    await refunded(world, order_id="york-first", at="2026-04-01T04:00:00Z", merchant_id="york")
    assert await orders_in(world, MARCH) == ["last", "york-last"]
    assert await orders_in(world, APRIL) == ["first", "york-first"]
    assert await orders_in(world, APRIL, merchant_id="york") == ["york-first"]
    [row] = await sheet_of(world, APRIL, merchant_id="york")
    assert row["到账时间 final at"] == "2026-04-01 00:00:00"


async def test_whose_it_is_and_what_is_no_month(world: World) -> None:
    await world.put_merchant("other")
    await refunded(world, order_id="own", at="2026-03-10T00:00:00Z")
    await refunded(world, order_id="theirs", at="2026-03-10T00:00:00Z", merchant_id="other")
    [bound] = await world.hire("clerk", role="finance", merchant_id="other")
    assert await orders_in(world, MARCH, role=bound) == ["theirs"]
    path = f"/api/v1/finance/exports/{MARCH}"
    others = await world.call("GET", path, role=bound, params={"merchant_id": "shop"})
    assert others.status_code == 404
    for role in ("agent", "warehouse", "integrator"):
        assert (await world.call("GET", path, role=role)).status_code == 403
    in_two_months = (await world.now() + timedelta(days=62)).strftime("%Y-%m")
    for month, query, code in (
        ("2026-13", {}, "invalid"),
        ("1999-01", {}, "invalid"),
        (in_two_months, {}, "month_not_begun"),
        (MARCH, {"merchant_id": "nobody"}, "unknown_merchant"),
        (MARCH, {"format": "csv", "sheet": "secrets"}, "no_such_sheet"),
        (MARCH, {"format": "xlsx", "sheet": "refunds"}, "no_such_sheet"),
        (MARCH, {"format": "pdf"}, "invalid"),
    ):
        refused = await world.call("GET", f"/api/v1/finance/exports/{month}", role="finance", params=query)
        assert refused.json()["code"] == code, (month, query)
    entries = (await world.ok("GET", "/api/v1/finance/log", role="finance"))["entries"]
    assert [(row["subject"], row["merchant_id"], row["by"]) for row in entries] == [
        (MARCH, "other", "finance:clerk")
    ], "what was refused was not taken"


async def test_an_adopted_refund_is_the_same_money_when_a_case_asks_for_it(world: World) -> None:
    """Found in March, asked for in April: March's, once."""
    order_id, case_id = await refunded(world, at="2026-03-10T00:00:00Z")
    await world.sql("UPDATE refunds SET state = 'assigned', how = 'adopted', adopted_minor = amount_minor")
    await world.sql(
        "INSERT INTO refunds (payment_id, order_id, case_id, part_no, amount_minor, currency, state, how, final_at)"
        " SELECT payment_id, order_id, case_id, part_no, amount_minor, currency, 'final', 'adopted', '2026-04-10T00:00:00Z'"
        " FROM refunds"
    )
    [row] = await sheet_of(world, MARCH)
    assert (row["订单 order"], row["工单 case"], row["金额 amount"], row["方式 how"]) == (
        order_id,
        case_id,
        "10.00",
        "渠道已有 adopted",
    )
    assert await sheet_of(world, APRIL) == []


@pytest.mark.rule("money.month_end")
async def test_everything_in_it_is_of_one_moment(world: World) -> None:
    """What is written while the export runs is in none of its sheets."""
    await refunded(world, order_id="before", at="2026-03-10T00:00:00Z")
    month = Month.read(MARCH)
    given: dict[str, Any] = {"first": month.first, "following": month.following, "merchant_id": None}
    async with world.services.database.snapshot() as conn:
        assert await month_export.has_begun(conn, month.first, None)
        _, case_id = await refunded(world, order_id="meanwhile", at="2026-03-11T00:00:00Z")
        await world.sql(
            "INSERT INTO case_costs (case_id, n, fee, amount_minor, currency, bearer, noted_by, noted_at)"
            " VALUES (%s, 1, 'other', 1, 'CNY', 'merchant', 'x', '2026-03-11T00:00:00Z')",
            case_id,
        )
        seen = [row["order_id"] async for batch in month_export.rows_of(conn, "refunds", **given) for row in batch]
        costs = [row async for batch in month_export.rows_of(conn, "costs", **given) for row in batch]
    assert (seen, costs) == (["before"], [])
    assert await orders_in(world, MARCH) == ["before", "meanwhile"]


async def test_rows_come_in_batches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(month_export, "BATCH_ROWS", 2)
    for _ in range(5):
        await refunded(world, at="2026-03-10T00:00:00Z")
    month = Month.read(MARCH)
    async with world.services.database.snapshot() as conn:
        sizes = [
            len(batch)
            async for batch in month_export.rows_of(
                conn, "refunds", first=month.first, following=month.following, merchant_id=None
            )
        ]
    assert sizes == [2, 2, 1]
    [total] = [row for row in await sheet_of(world, MARCH, "summary") if row["方式 how"] == "合计 total"][-1:]
    assert (total["支付连接 connection"], total["笔数 refunds"], total["金额 amount"]) == ("全部 all", "5", "50.00")


async def test_a_red_letter_task_stands_in_every_month_until_it_is_done(world: World) -> None:
    order_id = await world.order(payments=[payment("O1", 1000)], order_id="O1", risk="suspected")
    case_id = (await world.cancel(order_id))["case_id"]
    await world.sql("UPDATE cases SET opened_at = '2026-03-30T00:00:00Z' WHERE case_id = %s", case_id)
    await world.sql(
        "INSERT INTO legs (case_id, leg_no, part_no, kind, rank, is_local, state, target, amount_minor)"
        " VALUES (%s, 99, 1, 'reverse_invoice', 55, false, 'task', '', 1000)",
        case_id,
    )
    assert [row["状态 state"] for row in await sheet_of(world, MARCH, "red_letters")] == ["待人工办理 task"]
    assert len(await sheet_of(world, APRIL, "red_letters")) == 1
    assert await sheet_of(world, "2026-02", "red_letters") == []
    await world.sql("UPDATE legs SET state = 'succeeded', ended_at = '2026-04-02T00:00:00Z' WHERE leg_no = 99")
    assert len(await sheet_of(world, MARCH, "red_letters")) == 1, "it was open when March ended"
    assert await sheet_of(world, "2026-05", "red_letters") == []
    [done] = await sheet_of(world, APRIL, "red_letters")
    assert (done["状态 state"], done["完成时间 ended at"]) == ("已完成 succeeded", "2026-04-02 08:00:00")


def test_months_are_read_strictly() -> None:
    from unwind.domain.errors import Refusal

    assert Month.read("2026-12") == Month(first=date(2026, 12, 1), following=date(2027, 1, 1))
    assert str(Month.read("2026-02")) == "2026-02"
    for wrong in ("2026-2", "2026-00", "26-01", "2026-01-01", ""):
        with pytest.raises(Refusal):
            Month.read(wrong)


async def test_the_command_writes_the_same(world: World, tmp_path: Path) -> None:
    await refunded(world, order_id="own", at="2026-03-10T00:00:00Z")
    path = tmp_path / "march.zip"
    environment = {
        "DATABASE_URL": world.url,
        "UNWIND_HOME": str(tmp_path / "none"),
        "UNWIND_MASTER_KEY": base64.b64encode(bytes(range(32))).decode(),
        "COLUMNS": "300",
    }

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["export-month", *arguments], env=environment)

    done = await asyncio.to_thread(run, MARCH, "--form", "csv", "--out", str(path))
    assert (done.exit_code, str(path) in done.output) == (0, True), done.output
    over_http = await world.call("GET", f"/api/v1/finance/exports/{MARCH}", role="finance", params={"format": "csv"})
    assert contents(path.read_bytes()) == contents(over_http.content)
    assert (await world.sql("SELECT by FROM finance_log ORDER BY entry_id"))[0] == {"by": "system:unwind"}
    wrong = await asyncio.to_thread(run, "2026-13")
    assert wrong.exit_code == 2


def contents(raw: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(raw)) as made:
        return {name: made.read(name) for name in made.namelist()}
