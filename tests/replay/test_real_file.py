"""The real file, both ways, against a recount that shares no line of code with the program: plain dicts and Decimal."""

import csv
import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.conftest import SHARED
from tests.replay.shop_file import Bench
from unwind.doctor import Finding

FILE = SHARED / "online-retail" / "transactions.csv.gz"
LONDON = ZoneInfo("Europe/London")
LIMIT = Decimal(5000)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=LONDON)


def next_morning(at: datetime) -> datetime:
    nine = datetime(at.year, at.month, at.day, 9, tzinfo=LONDON)
    return nine if at < nine else nine + timedelta(days=1)


def recount(*, is_modelled: bool) -> dict[str, Any]:
    """Line by line what has to come out, worked out from the file alone."""
    with gzip.open(FILE, "rt", newline="", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    sold: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    placed: dict[str, datetime] = {}
    kept: dict[tuple[str, str], tuple[str, int, Decimal]] = {}
    place: Counter[str] = Counter()
    asked = []
    for number, row in enumerate(rows, start=2):
        is_product = re.match(r"^\d{5}[A-Za-z0-9]*$", row["StockCode"]) is not None
        is_sound = is_product and Decimal(row["UnitPrice"]) > 0 and row["CustomerID"] != ""
        key = (row["CustomerID"], row["StockCode"], row["UnitPrice"])
        units, at = int(row["Quantity"]), local(row["InvoiceDate"])
        if row["InvoiceNo"].startswith("C"):
            asked.append((at, number, key, -units, is_sound))
            continue
        place[row["InvoiceNo"]] += 1
        if is_sound and units > 0:
            order, line = "OR-" + row["InvoiceNo"], f"L{place[row['InvoiceNo']]}"
            kept[order, line] = (row["StockCode"], units, Decimal(row["UnitPrice"]))
            placed[order] = min(at, placed.get(order, at))
            sold[key].append({"at": at, "row": number, "order": order, "line": line, "left": units, "waits": False})
    said: dict[int, tuple[str, str, str, int]] = {}
    back: Counter[tuple[str, str]] = Counter()
    money: dict[str, Decimal] = defaultdict(Decimal)
    for at, number, key, units, is_sound in sorted(asked):
        fits = [p for p in sold[key] if p["at"] < at and p["left"] >= units] if is_sound else []
        if not fits:
            continue
        best = max(fits, key=lambda p: (p["at"], p["row"]))
        worth = Decimal(key[2]) * units
        leaves = next_morning(placed[best["order"]])
        if best["waits"]:
            verdict = "in_review"
        elif is_modelled and at >= leaves + timedelta(days=3):
            verdict = "declined"
        elif (is_modelled and at >= leaves) or worth > LIMIT:
            verdict = "in_review"
            best["waits"] = True
        else:
            verdict = "cancelling"
            best["left"] -= units
            back[best["order"], best["line"]] += units
            money[best["order"]] += worth
        said[number] = (verdict, best["order"], best["line"], units)
    return {
        "lines": len(rows),
        "cancellation_lines": len(asked),
        "placed": placed,
        "kept": kept,
        "said": said,
        "back": dict(back),
        "money": dict(money),
        "verdicts": Counter(verdict for verdict, *_ in said.values()),
    }


@pytest.mark.shared_data
@pytest.mark.timeout(900)
@pytest.mark.parametrize("stages", ["unshipped", "modelled"])
def test_the_real_file(bench: Bench, findings: Callable[[], list[Finding]], stages: str) -> None:
    expected = recount(is_modelled=stages == "modelled")
    path = bench.folder / "report.json"
    bench.replay(FILE, stages=stages, report=path)
    report = json.loads(path.read_text())
    verdicts = expected["verdicts"]
    seconds = report.pop("seconds")
    assert report == {
        "lines": 142_083,
        "orders": len(expected["placed"]),
        "cancellation_lines": 2_603,
        "auto": verdicts["cancelling"],
        "review": verdicts["in_review"],
        "declined": verdicts["declined"],
        "unmatched": 2_603 - len(expected["said"]),
        "units_back": sum(expected["back"].values()),
        "money_back_minor": int(sum(expected["money"].values()) * 100),
    }
    assert (expected["lines"], expected["cancellation_lines"]) == (142_083, 2_603)
    _compare_orders(bench, expected)
    _compare_answers(bench, expected)
    _compare_money_and_units(bench, expected, stages)
    assert findings() == []
    assert "lines per second" in bench.printed.getvalue()
    assert seconds > 0


def _compare_orders(bench: Bench, expected: dict[str, Any]) -> None:
    orders = bench.sql("SELECT order_id, placed_at FROM orders")
    assert {o["order_id"]: o["placed_at"] for o in orders} == expected["placed"]
    lines = bench.sql("SELECT order_id, line_id, sku, quantity, unit_price_minor FROM order_lines")
    found = {
        (ln["order_id"], ln["line_id"]): (ln["sku"], ln["quantity"], Decimal(ln["unit_price_minor"]) / 100)
        for ln in lines
    }
    assert found == expected["kept"]


def _compare_answers(bench: Bench, expected: dict[str, Any]) -> None:
    """Each line by itself: what was said, about which purchase, and when."""
    answers = bench.answers()
    assert {number: (body["outcome"], body["order_id"]) for number, body in answers.items()} == {
        number: (verdict, order) for number, (verdict, order, _, _) in expected["said"].items()
    }
    for number, (_, _, line, units) in expected["said"].items():
        part = answers[number]["parts"][0]["lines"]
        assert set(part) == {line}, number
        assert part[line] == units or answers[number]["outcome"] == "in_review", number


def _compare_money_and_units(bench: Bench, expected: dict[str, Any], stages: str) -> None:
    refunds = bench.sql(
        "SELECT order_id, sum(amount_minor) AS minor FROM refunds WHERE state = 'final' GROUP BY order_id"
    )
    assert {r["order_id"]: Decimal(r["minor"]) / 100 for r in refunds} == expected["money"]
    assert bench.sql("SELECT count(*) AS n FROM refunds WHERE state <> 'final'") == [{"n": 0}]
    back = bench.sql("SELECT order_id, line_id, restocked FROM order_lines WHERE restocked > 0")
    assert {(b["order_id"], b["line_id"]): b["restocked"] for b in back} == expected["back"]
    bucket = "delivered" if stages == "modelled" else "reserved"
    astray = bench.sql(f"SELECT count(*) AS n FROM order_lines WHERE quantity <> restocked + {bucket}")
    assert astray == [{"n": 0}], "everything not taken back is where its order is"
    states = {s["state"] for s in bench.sql("SELECT DISTINCT state FROM cases")}
    assert states == {"archived", "review"}
