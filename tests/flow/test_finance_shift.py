"""A shift of the finance clerk, over the API: fifteen refunds that cannot go on by themselves, differences of bills, claims, and the month's
export, which has to be what the outside world's own ledger and this test's own arithmetic say."""

import csv
import io
import zipfile
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from tests.world import World, line, order_body, payment, shipment
from unwind.doctor import examine
from unwind.storage.embedded import EmbeddedPostgres
from unwind.worker.bills import take_bill

BEIJING = ZoneInfo("Asia/Shanghai")
SPEAKING = {"wxpay": "wechat_pay", "bank": "generic_payment", "purse": "generic_payment"}
CARD = {"bank_type": "CMB_DEBIT", "account_no": "6225 0000 1111 2222", "account_name": "测试 买家"}
CLERK, SECOND = "finance", "lead"


@dataclass(slots=True, kw_only=True)
class Shift:
    world: World
    off_line: dict[str, int] = field(default_factory=dict)
    """Voucher -> what was paid by hand."""
    costs: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(fee, bearer) -> minor units."""

    async def cancelled(self, connection: str, **given: Any) -> tuple[str, str]:
        """(order, case) of an order paid over that connection, as far as it goes by itself."""
        world = self.world
        world.next_order += 1
        order_id = f"F{world.next_order}"
        price, currency = given.pop("price", 1000), given.get("currency", "CNY")
        paid = payment(order_id, price, connection=connection, method=given.pop("method", "wechat"))
        state = given.pop("trade", "PAID")
        await world.order(
            order_id=order_id,
            lines=[line(price=price)],
            payments=[paid],
            trades={paid["payment_id"]: state},
            **{"currency": currency, **given},
        )
        case_id = (await world.cancel(order_id))["case_id"]
        await world.run()
        return order_id, case_id

    async def exceptions(self, **query: str) -> list[dict[str, Any]]:
        path = "/api/v1/desk/refund-exceptions"
        found: list[dict[str, Any]] = (await self.world.ok("GET", path, role=CLERK, params={**query, "limit": "200"}))[
            "refunds"
        ]
        return found

    async def row_of(self, case_id: str) -> dict[str, Any]:
        [row] = [row for row in await self.exceptions() if row["case_id"] == case_id]
        return row

    async def retry(self, connection: str, kind: str) -> Counter[str]:
        path = f"/api/v1/finance/connections/{connection}/retries"
        done = (await self.world.ok("POST", path, role=CLERK, json={"kind": kind}))["cases"]
        return Counter(row["outcome"] for row in done)

    async def second_agrees(self, proposal: Mapping[str, Any]) -> None:
        path = f"/api/v1/finance/payouts/{proposal['proposal_id']}"
        own = await self.world.call("POST", path, role=CLERK, json={"agree": True})
        assert own.json()["code"] == "different_person_needed"
        await self.world.ok("POST", path, role=SECOND, json={"agree": True})

    async def send_elsewhere(self, case_id: str, kind: str) -> None:
        row = await self.row_of(case_id)
        card = CARD if kind == "user_bank_card" else {}
        path = f"/api/v1/desk/cases/{case_id}/legs/{row['leg_no']}/other-account"
        body = {"kind": kind, "case_version": row["case_version"], **card}
        await self.second_agrees(await self.world.ok("POST", path, role=CLERK, json=body))

    async def pay_off_line(self, case_id: str, voucher: str) -> None:
        row = await self.row_of(case_id)
        today = (await self.world.now()).astimezone(BEIJING).date().isoformat()
        body = {
            "case_version": row["case_version"],
            "paid_by": "bank_transfer",
            "reference": voucher,
            "paid_on": today,
            "amount_minor": row["amount_minor"],
        }
        path = f"/api/v1/finance/cases/{case_id}/legs/{row['leg_no']}/off-line"
        await self.second_agrees(await self.world.ok("POST", path, role=CLERK, json=body))
        self.off_line[voucher] = row["amount_minor"]

    async def note_cost(self, case_id: str, fee: str, amount: int, bearer: str) -> None:
        body = {"costs": [{"fee": fee, "amount_minor": amount, "bearer": bearer}], "reference": "call-1"}
        await self.world.ok("POST", f"/api/v1/desk/cases/{case_id}/costs", role="agent", json=body)
        self.costs[fee, bearer] += amount

    async def move_claim(self, claim_id: str, to: str, **given: Any) -> None:
        body = {"to": to, "reference": f"letter-{to}", **given}
        await self.world.ok("POST", f"/api/v1/finance/claims/{claim_id}/moves", role=CLERK, json=body)


@pytest.fixture
async def shift(postgres: EmbeddedPostgres, database_name: str, tmp_path: Path) -> AsyncIterator[Shift]:
    """On the tenth of a month, at noon: nothing that happens in these days is of another month."""
    async with AsyncExitStack() as stack:
        world = await World.open(stack, postgres=postgres, database=database_name, folder=tmp_path, speaking=SPEAKING)
        now = (await world.now()).astimezone(BEIJING)
        tenth = (now.replace(day=1) + timedelta(days=40)).replace(day=10, hour=12, minute=0)
        await world.pass_time(tenth - now)
        yield Shift(world=world)


async def fifteen_exceptions(shift: Shift) -> dict[str, list[str]]:
    """Of every kind, over four connections. Returns kind -> cases."""
    world, ask = shift.world, shift.world.ask_sandbox
    cases: dict[str, list[str]] = defaultdict(list)
    await ask("connections/bank", {"refund_mode": "stuck"})
    for _ in range(2):
        cases["unfinished"].append((await shift.cancelled("bank", price=3100))[1])
    await world.pass_time(timedelta(days=3, minutes=1))
    await world.run()
    await ask("connections/alipay", {"balance_minor": 0})
    for price in (1100, 1200, 1300, 1400, 1500):
        cases["needs_funds"].append((await shift.cancelled("alipay", price=price))[1])
    await ask("connections/wxpay", {"refund_final": "ABNORMAL"})
    for price in (2100, 2200, 2300):
        cases["abnormal"].append((await shift.cancelled("wxpay", price=price))[1])
    await ask("connections/unionpay", {"refund_final": "ABNORMAL"})
    cases["abnormal"].append((await shift.cancelled("unionpay", price=2400))[1])
    await ask("connections/unionpay", {"refund_final": "CLOSED"})
    for price in (4100, 4200):
        cases["needs_new_number"].append((await shift.cancelled("unionpay", price=price))[1])
    for _ in range(8):
        await world.pass_time(timedelta(seconds=5))
        await world.run()
    for price in (5100, 5200):
        cases["refused"].append((await shift.cancelled("purse", price=price, trade="CLOSED"))[1])
    return cases


async def settle_them_all(shift: Shift, cases: dict[str, list[str]]) -> None:
    world, ask = shift.world, shift.world.ask_sandbox
    listed = {row["case_id"]: row for row in await shift.exceptions()}
    assert {kind: sorted(ids) for kind, ids in cases.items()} == {
        kind: sorted(case_id for case_id, row in listed.items() if row["kind"] == kind) for kind in cases
    }
    assert len(listed) == 15
    assert all(row["next_step"]["zh"] and row["age_s"] >= 0 and row["amount_minor"] > 0 for row in listed.values())

    await ask("connections/alipay", {"balance_minor": 6499})
    assert await shift.retry("alipay", "needs_funds") == {"retried": 5}
    await world.run()
    [still] = await shift.exceptions(kind="needs_funds")
    assert still["amount_minor"] > 0, "one fen short for the last"
    await ask("connections/alipay", {"balance_minor": 6500})
    assert await shift.retry("alipay", "needs_funds") == {"retried": 1}

    await ask("connections/wxpay", {"refund_final": "SUCCESS"})
    by_wechat = [case_id for case_id in cases["abnormal"] if listed[case_id]["connection"] == "wxpay"]
    for case_id, kind in zip(by_wechat, ("user_bank_card", "user_bank_card", "merchant_bank_card"), strict=True):
        await shift.send_elsewhere(case_id, kind)
    [by_unionpay] = set(cases["abnormal"]) - set(by_wechat)
    await shift.pay_off_line(by_unionpay, "V-ABNORMAL")
    for number, case_id in enumerate(cases["refused"]):
        await shift.pay_off_line(case_id, f"V-REFUSED-{number}")

    await ask("connections/unionpay", {"refund_final": "SUCCESS"})
    assert await shift.retry("unionpay", "needs_new_number") == {"retried": 2}
    for case_id in cases["unfinished"]:
        number = listed[case_id]["refund_no"]
        await ask(f"refunds/bank/{number}/state", {"state": "SUCCESS"})
    await ask("connections/bank", {"refund_mode": "final"})
    assert await shift.retry("bank", "unfinished") == {"retried": 2}

    for _ in range(20):
        await world.pass_time(timedelta(seconds=10))
        await world.run()
        if not await world.sql("SELECT FROM cases WHERE state <> 'archived'"):
            break
    assert await shift.exceptions() == []
    assert await world.sql("SELECT FROM private_data WHERE field LIKE 'payee%'") == []


async def close_differences(shift: Shift) -> list[dict[str, Any]]:
    """Staff paid back in the provider's pages; a payment is another amount there than here."""
    world = shift.world
    order_id = await world.order(order_id="STAFF", payments=[payment("STAFF", 900)], lines=[line(price=900)])
    staff = {"connection": "wxpay", "trade_no": f"T-{order_id}-wxpay", "refund_no": "STAFF-1", "amount_minor": 250}
    await world.ask_sandbox("refunds", staff)
    trade = {"connection": "wxpay", "trade_no": "T-OTHER", "amount_minor": 1200, "currency": "CNY", "state": "PAID"}
    await world.ask_sandbox("trades", {**trade, "order_no": "OTHER"})
    paid = {**payment("OTHER", 1000), "trade_no": "T-OTHER"}
    await world.ok("PUT", "/api/v1/orders/OTHER", json=order_body("OTHER", now=await world.now(), payments=[paid]))
    day = datetime.now(BEIJING).date()
    bill = await world.control.get("/control/bills/wxpay", params={"day": day.isoformat()})
    await take_bill(world.services, "wxpay", bill.content, day=day)
    path = "/api/v1/desk/bill-differences"
    listed = (await world.ok("GET", path, role=CLERK, params={"connection": "wxpay"}))["differences"]
    assert {row["kind"]: (row["ours_minor"], row["theirs_minor"]) for row in listed} == {
        "refund_not_ours": (None, 250),
        "payment_amount": (1000, 1200),
    }
    for row in listed:
        how = "book_elsewhere" if row["kind"] == "refund_not_ours" else "explained"
        body = {"resolution": how, "reference": f"V-{row['kind']}"}
        await world.ok("POST", f"{path}/{row['difference_id']}/settle", role=CLERK, json=body)
    assert (await world.ok("GET", path, role=CLERK))["differences"] == []
    today = (await world.now()).astimezone(BEIJING).date().isoformat()
    period = {"state": "closed", "from": today, "to": today}
    closed: list[dict[str, Any]] = (await world.ok("GET", path, role=CLERK, params=period))["differences"]
    assert {(row["resolution"], row["reference"], row["closed_by"]) for row in closed} == {
        ("book_elsewhere", "V-refund_not_ours", "finance:test-finance"),
        ("explained", "V-payment_amount", "finance:test-finance"),
    }
    return closed


async def claim_from_carriers(shift: Shift) -> dict[str, str]:
    """A case with costs of several bearers; what the carrier bears is claimed, paid in part, rejected, written off."""
    world = shift.world
    order_id = await world.order(order_id="COSTS", risk="suspected", shipments=[shipment()])
    case_id = (await world.cancel(order_id))["case_id"]
    await shift.note_cost(case_id, "recall", 500, "merchant")
    await shift.note_cost(case_id, "freight", 1200, "carrier")
    await shift.note_cost(case_id, "goods_loss", 9900, "carrier")
    await shift.note_cost(case_id, "freight", 700, "carrier")
    claims = (await world.ok("GET", "/api/v1/finance/claims", role=CLERK, params={"case_id": case_id}))["claims"]
    late, lost, third = (row["claim_id"] for row in sorted(claims, key=lambda row: row["cost_n"]))
    for step in ("filed", "accepted"):
        await shift.move_claim(lost, step)
    await shift.move_claim(lost, "paid", paid_minor=8000)
    await shift.move_claim(late, "filed")
    await shift.move_claim(late, "rejected")
    await shift.move_claim(late, "written_off")
    await world.ok("POST", f"/api/v1/finance/costs/{case_id}/1/settlement", role=CLERK, json={"reference": "V-RECALL"})
    keep = await world.decide(case_id, "keep", compensation_minor=600)
    assert keep.status_code == 200, keep.text
    await world.run()
    [task] = (await world.ok("GET", "/api/v1/desk/tasks", role=CLERK, params={"audience": "finance"}))["tasks"]
    done = {"outcome": "done", "reference": "V-COMPENSATION"}
    await world.ok("POST", f"/api/v1/desk/tasks/{task['task_id']}/result", role=CLERK, json=done)
    await world.run(until="archived", case_id=case_id)
    return {late: "written_off", lost: "paid", third: "open"}


async def reverse_invoices(shift: Shift) -> str:
    """Two orders with an invoice: one red letter is made, the other still waits. Returns the case that is sealed."""
    world, made = shift.world, []
    for price in (3300, 4400):
        order_id = await world.order(
            lines=[line(price=price)], terms={"invoice": "issued", "invoice_no": f"FP-{price}"}
        )
        made.append((await world.cancel(order_id))["case_id"])
    await world.run()
    tasks = (await world.ok("GET", "/api/v1/desk/tasks", role=CLERK, params={"audience": "finance"}))["tasks"]
    [task] = [task for task in tasks if task["case_id"] == made[0]]
    done = {"outcome": "done", "reference": "RED-1"}
    await world.ok("POST", f"/api/v1/desk/tasks/{task['task_id']}/result", role=CLERK, json=done)
    await world.run(until="archived", case_id=made[0])
    return str(made[0])


Sheets = dict[str, list[dict[str, str]]]


async def export(shift: Shift, form: str) -> Sheets:
    """Both forms, parsed back into the same words."""
    month = (await shift.world.now()).astimezone(BEIJING).strftime("%Y-%m")
    response = await shift.world.call("GET", f"/api/v1/finance/exports/{month}", role=CLERK, params={"format": form})
    assert response.status_code == 200, response.text
    return read_workbook(response.content) if form == "xlsx" else read_zip(response.content)


def read_workbook(content: bytes) -> Sheets:
    book = openpyxl.load_workbook(io.BytesIO(content))
    sheets: Sheets = {}
    for page in book.worksheets:
        head, *rows = page.iter_rows()
        names = [str(cell.value) for cell in head]
        for cell in (cell for row in rows for cell in row):
            assert cell.data_type != "f", "no formula"
        sheets[page.title.split()[-1]] = [
            {name: shown(cell) for name, cell in zip(names, row, strict=True)} for row in rows
        ]
    return sheets


def shown(cell: Any) -> str:
    """As the CSV has it: what the number format shows of the number that is stored."""
    if cell.value is None:
        return ""
    if cell.number_format.startswith("#,##0"):
        digits = len(cell.number_format.partition(".")[2])
        value = Decimal(repr(cell.value)) if isinstance(cell.value, float) else Decimal(cell.value)
        assert value == round(value, digits), "nothing behind what is shown"
        return f"{value:.{digits}f}"
    if isinstance(cell.value, datetime):
        return f"{cell.value:%Y-%m-%d}" if cell.number_format == "yyyy-mm-dd" else f"{cell.value:%Y-%m-%d %H:%M:%S}"
    return str(cell.value)


def read_zip(content: bytes) -> Sheets:
    sheets: Sheets = {}
    with zipfile.ZipFile(io.BytesIO(content)) as made:
        for name in made.namelist():
            text = made.read(name).decode("utf-8-sig")
            sheets[name.removesuffix(".csv")] = list(csv.DictReader(io.StringIO(text, newline="")))
    return sheets


def code(value: str) -> str:
    return value.rsplit(maxsplit=1)[-1]


def yuan(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


@pytest.mark.rule("money.month_end")
async def test_a_shift_of_the_finance_clerk(shift: Shift) -> None:
    world = shift.world
    cases = await fifteen_exceptions(shift)
    await settle_them_all(shift, cases)
    for price in (100, 101, 99_999):
        await shift.cancelled("alipay", price=price)
    await world.ask_sandbox("connections/alipay", {"balance_minor": None})
    await shift.retry("alipay", "needs_funds")
    await shift.cancelled("purse", price=12_345, currency="JPY")
    await world.ask_sandbox("connections/bank", {"refund_mode": "stuck"})
    _, waiting = await shift.cancelled("bank", price=7700)
    await world.run()
    closed = await close_differences(shift)
    claims = await claim_from_carriers(shift)
    reversed_case = await reverse_invoices(shift)

    book, files = await export(shift, "xlsx"), await export(shift, "csv")
    assert book == files, "the two forms say the same"
    await assert_refunds_are_those_of_the_outside_world(shift, book, waiting)
    assert_summary_adds_up(book)
    got: Counter[tuple[str, str]] = Counter()
    for row in book["costs"]:
        got[code(row["费用类型 fee"]), code(row["承担方 bearer"])] += int(Decimal(row["金额 amount"]) * 100)
    assert got == shift.costs
    assert {row["索赔 claim"]: code(row["状态 state"]) for row in book["claims"]} == claims
    assert [row["赔付金额 paid"] for row in book["claims"] if row["赔付金额 paid"]] == ["80.00"]
    assert {row["凭证号 voucher"] for row in book["differences"]} == {row["reference"] for row in closed}
    assert [(row["金额 amount"], row["凭证号 voucher"]) for row in book["compensations"]] == [
        ("6.00", "V-COMPENSATION")
    ]
    letters = {
        row["金额 amount"]: (row["工单 case"], code(row["状态 state"]), row["凭证号 voucher"])
        for row in book["red_letters"]
    }
    assert letters["33.00"] == (reversed_case, "succeeded", "RED-1")
    assert letters.keys() == {"33.00", "44.00"}
    assert letters["44.00"][1:] == ("task", ""), "still to be made"
    taken = (await world.ok("GET", "/api/v1/finance/log", role="auditor"))["entries"]
    assert [(row["action"], row["by"], row["data"]["form"]) for row in taken] == [
        ("export_taken", "finance:test-finance", "csv"),
        ("export_taken", "finance:test-finance", "xlsx"),
    ]
    assert (await world.violations())["violations"] == []
    async with world.services.database.survey() as conn:
        assert await examine(conn, world.services.vault) == []


async def assert_refunds_are_those_of_the_outside_world(shift: Shift, book: Sheets, waiting: str) -> None:
    """Every movement of money that the gateways know is one row, and every other row is one that people have paid."""
    outside = {
        (trade["connection"], refund["refund_no"]): refund
        for trade in (await shift.world.ledger())["trades"]
        for refund in trade["refunds"]
    }
    moved = {key: refund["amount_minor"] for key, refund in outside.items() if refund["money_moved_times"] == 1}
    rows = book["refunds"]
    ours = {
        (row["支付连接 connection"], row["退款单号 refund no"]): row["金额 amount"]
        for row in rows
        if code(row["方式 how"]) in {"gateway", "other_account", "merchant_account", "elsewhere"}
    }
    assert ours == {key: str(m) if outside[key]["currency"] == "JPY" else yuan(m) for key, m in moved.items()}
    by_way = Counter(code(row["方式 how"]) for row in rows)
    assert by_way == {
        "gateway": 15,
        "other_account": 2,
        "merchant_account": 1,
        "off_line": 3,
        "elsewhere": 1,
        "pending": 1,
    }
    assert {row["凭证号 voucher"]: row["金额 amount"] for row in rows if code(row["方式 how"]) == "off_line"} == {
        voucher: yuan(minor) for voucher, minor in shift.off_line.items()
    }
    [pending] = [row for row in rows if code(row["方式 how"]) == "pending"]
    assert (pending["工单 case"], pending["金额 amount"], pending["到账时间 final at"]) == (waiting, "77.00", "")


def assert_summary_adds_up(book: Sheets) -> None:
    """The totals, from the rows of the file itself and by another way than the program's."""
    counted: Counter[tuple[str, str, str]] = Counter()
    amounts: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for row in book["refunds"]:
        way = code(row["方式 how"])
        for connection in (row["支付连接 connection"], "全部 all"):
            for name in {way, "pending" if way == "pending" else "total"}:
                counted[connection, row["币种 currency"], name] += 1
                amounts[connection, row["币种 currency"], name] += Decimal(row["金额 amount"])
    shown_rows = {
        (row["支付连接 connection"], row["币种 currency"], code(row["方式 how"])): (
            int(row["笔数 refunds"]),
            Decimal(row["金额 amount"]),
        )
        for row in book["summary"]
    }
    assert len(shown_rows) == len(book["summary"])
    assert shown_rows == {key: (counted[key], amounts[key]) for key in counted}
