"""Every situation of a replay in files of a few lines, through the real service."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from tests.replay.shop_file import Bench, as_csv, row, zipped
from unwind.doctor import Finding
from unwind.domain.errors import Refusal
from unwind.replay import lanes, loading, playing

KEYS = [
    "lines",
    "orders",
    "cancellation_lines",
    "auto",
    "review",
    "declined",
    "unmatched",
    "units_back",
    "money_back_minor",
    "seconds",
]
MIXED = [
    row("536365", "2010-12-01T08:26:00", units=6),
    row("536365", "2010-12-01T08:26:00", code="POST", units=1, price=18),
    row("536365", "2010-12-01T08:26:00", code="71053", units=4, price="3.39"),
    row("536366", "2010-12-01T10:00:00", units=500, price="20.00", who="17851"),
    row("536367", "2010-12-01T10:01:00", who=""),
    row("536368", "2010-12-01T10:02:00", price=0),
    row("536369", "2010-12-01T10:03:00", units=-3),
    row("536370", "2010-12-01T10:04:00", price="0.001"),
    row("C536371", "2010-12-01T08:26:00", units=-1),
    row("C536372", "2010-12-02T11:00:00", units=-2),
    row("C536373", "2010-12-03T11:00:00", units=-4),
    row("C536374", "2010-12-04T11:00:00", units=-1),
    row("C536375", "2010-12-04T11:00:00", units=-300, price="20.00", who="17851"),
    row("C536376", "2010-12-04T11:02:00", units=-1, price="20.00", who="17851"),
    row("C536377", "2010-12-05T11:00:00", code="D", units=-1, price="9.50"),
    row("C536378", "2010-12-05T11:00:00", units=-1, who=""),
    row("C536379", "2010-12-05T11:00:00", units=-1, price=0),
]


def counts(report: Any) -> list[int]:
    return [report.auto, report.review, report.declined, report.unmatched]


def test_unshipped(bench: Bench, findings: Callable[[], list[Finding]]) -> None:
    path = bench.folder / "report.json"
    report = bench.replay(MIXED, report=path)
    written = json.loads(path.read_text())
    assert list(written) == KEYS
    assert written == asdict(report)
    assert (report.lines, report.orders, report.cancellation_lines) == (17, 2, 9)
    assert counts(report) == [2, 2, 0, 5]
    assert (report.units_back, report.money_back_minor) == (6, 6 * 255)
    assert findings() == []
    printed = bench.printed.getvalue()
    for words in (
        "lines per second",
        "customer missing",
        "not a product: POST (postage)",
        "no fitting purchase",
        "over_limit",
    ):
        assert words in printed


def test_orders_as_they_were(bench: Bench) -> None:
    bench.replay(MIXED[:4])
    orders = bench.sql(
        """
        SELECT o.order_id, o.buyer_ref, o.planned_dispatch_at,
            o.released_stage, p.state, p.captured_minor, extract(epoch FROM o.placed_at)::bigint AS placed,
            (SELECT array_agg(l.line_id || ' ' || l.sku || ' ' || l.quantity || ' ' || l.unit_price_minor ORDER BY l.line_id)
             FROM order_lines l WHERE l.order_id = o.order_id) AS lines
        FROM orders o JOIN order_payments USING (order_id) JOIN payments p USING (payment_id) ORDER BY o.order_id
        """
    )
    assert orders == [
        {
            "order_id": "OR-536365",
            "buyer_ref": "OR-C17850",
            "planned_dispatch_at": None,
            "released_stage": "none",
            "state": "captured",
            "captured_minor": 6 * 255 + 4 * 339,
            "placed": 1291191960,
            "lines": ["L1 85123A 6 255", "L3 71053 4 339"],
        },
        {
            "order_id": "OR-536366",
            "buyer_ref": "OR-C17851",
            "planned_dispatch_at": None,
            "released_stage": "none",
            "state": "captured",
            "captured_minor": 1_000_000,
            "placed": 1291197600,
            "lines": ["L1 85123A 500 2000"],
        },
    ]
    booked = bench.sql("SELECT DISTINCT extract(epoch FROM at)::bigint AS at FROM stock_moves ORDER BY at")
    assert [found["at"] for found in booked] == [1291191960, 1291197600]


def test_a_review_waits_on_its_own_clock_then_in_the_present(
    bench: Bench, findings: Callable[[], list[Finding]]
) -> None:
    bench.replay(MIXED)
    events = bench.sql(
        """
        SELECT e.event, to_char(e.at AT TIME ZONE 'UTC', 'DD HH24:MI') AS at FROM case_events e JOIN cases c USING (case_id)
        WHERE c.state = 'review' AND coalesce(e.data->>'clock', 'respond') = 'respond' ORDER BY e.seq
        """
    )
    told = [(found["event"], found["at"]) for found in events if found["event"] != "message_recorded"]
    assert told == [
        ("received", "04 11:00"),
        ("screened_review", "04 11:00"),
        ("contacted_again", "04 11:02"),
        ("clock_half", "04 11:07"),
        ("clock_warned", "04 11:10"),
        ("clock_again", "04 11:12"),
        ("clock_due", "04 11:15"),
    ]
    waits = bench.sql(
        "SELECT next_check_at - clock_timestamp() > interval '50 min' AS ok FROM cases WHERE state = 'review'"
    )
    assert waits == [{"ok": True}]
    assert findings() == []


MODELLED = [
    row("1", "2011-01-03T10:00:00", units=10, who="1"),
    row("C2", "2011-01-03T16:00:00", units=-2, who="1"),
    row("C3", "2011-01-04T10:00:00", units=-3, who="1"),
    row("C4", "2011-01-04T11:00:00", units=-1, who="1"),
    row("C5", "2011-01-09T11:00:00", units=-1, who="1"),
    row("6", "2011-01-03T10:00:00", units=5, who="2"),
    row("C7", "2011-01-07T09:00:00", units=-5, who="2"),
    row("C8", "2011-01-07T10:00:00", units=-4, who="2"),
    row("9", "2011-01-03T10:00:00", units=5, who="3"),
    row("9", "2011-01-03T10:00:00", code="71053", units=5, who="3"),
    row("10", "2011-01-03T18:00:00", units=5, who="4"),
    row("C11", "2011-01-04T08:59:00", units=-5, who="4"),
    row("C12", "2011-01-04T09:30:00", units=-1, who="4"),
]


def test_modelled(bench: Bench, findings: Callable[[], list[Finding]]) -> None:
    """In the house until nine the next morning, on the road for three days, then delivered; a joined review stays one."""
    report = bench.replay(MODELLED, stages="modelled")
    said = {number: (body["outcome"], body["rule"]) for number, body in bench.answers().items()}
    assert said == {
        3: ("cancelling", "by_stage"),
        4: ("in_review", "shipped"),
        5: ("in_review", "shipped"),
        6: ("in_review", "shipped"),
        8: ("declined", "delivered"),
        9: ("declined", "delivered"),
        13: ("cancelling", "merchant_closed"),
    }
    assert counts(report) == [2, 3, 2, 1]
    assert (report.units_back, report.money_back_minor) == (7, 7 * 255)
    assert findings() == []
    where = bench.sql(
        "SELECT order_id, sum(restocked) AS back, sum(delivered) AS there FROM order_lines GROUP BY 1 ORDER BY 1"
    )
    assert [(w["order_id"], w["back"], w["there"]) for w in where] == [
        ("OR-1", 2, 8),
        ("OR-10", 5, 0),
        ("OR-6", 0, 5),
        ("OR-9", 0, 10),
    ]
    parcels = bench.sql(
        """
        SELECT order_id, reported_stage, to_char(picked_up_at AT TIME ZONE 'UTC', 'DD HH24') AS left,
            to_char(moved_at AT TIME ZONE 'UTC', 'DD HH24') AS there FROM shipments ORDER BY order_id
        """
    )
    assert parcels == [
        {"order_id": order_id, "reported_stage": "delivered", "left": "04 09", "there": "07 09"}
        for order_id in ("OR-1", "OR-6", "OR-9")
    ], "an order taken back whole has no parcel"
    moves = bench.sql(
        """
        SELECT order_id, target, to_char(at AT TIME ZONE 'UTC', 'DD HH24') AS at FROM stock_moves
        WHERE target IN ('shipped', 'delivered') ORDER BY order_id, line_id, at
        """
    )
    assert {(m["target"], m["at"]) for m in moves} == {("shipped", "04 09"), ("delivered", "07 09")}


def test_gzip_is_the_same(bench: Bench) -> None:
    report = bench.replay(zipped(b"\xef\xbb\xbf" + as_csv(MIXED)))
    assert counts(report) == [2, 2, 0, 5]


def test_nothing_in_the_file(bench: Bench, findings: Callable[[], list[Finding]]) -> None:
    report = bench.replay([])
    assert (report.lines, report.orders, *counts(report)) == (0, 0, 0, 0, 0, 0)
    assert findings() == []


@pytest.mark.parametrize("stages", ["unshipped", "modelled"])
def test_lanes_change_nothing(
    bench: Bench, findings: Callable[[], list[Finding]], monkeypatch: pytest.MonkeyPatch, stages: str
) -> None:
    monkeypatch.setattr(lanes, "LINES_PER_LANE_MIN", 3)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    report = bench.replay(MIXED + MODELLED, stages=stages)
    expected = {"unshipped": [8, 2, 0, 7], "modelled": [2, 8, 2, 5]}[stages]
    assert sum(counts(report)) == report.cancellation_lines == 17
    assert counts(report) == expected
    assert findings() == []


def test_a_refused_request_is_declined(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise Refusal("not_today")

    monkeypatch.setattr(playing, "receive", refuse)
    report = bench.replay(MIXED)
    assert counts(report) == [0, 0, 5, 4]
    assert "not_today" in bench.printed.getvalue()
    assert (report.units_back, report.money_back_minor) == (0, 0)


def test_in_shadow_nothing_is_touched_and_what_the_policy_would_have_done_is_on_record(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same history: two cancellations that were automatic are now agreed with on paper only."""
    monkeypatch.setitem(loading.MERCHANT_DOCUMENT, "automation", "shadow")
    report = bench.replay(MIXED)
    assert counts(report) == [0, 5, 0, 4], "nothing is taken back, so one more still finds its purchase"
    assert (report.units_back, report.money_back_minor) == (0, 0)
    parts = bench.sql(
        "SELECT verdict, rule, policy_verdict, policy_rule, count(*) AS n FROM case_parts GROUP BY 1, 2, 3, 4 ORDER BY n, 2"
    )
    assert {(p["policy_verdict"], p["policy_rule"], p["rule"]) for p in parts} >= {
        ("auto", "by_stage", "automation_shadow"),
        ("review", "over_limit", "over_limit"),
    }
    assert {p["verdict"] for p in parts} == {"review"}
    assert bench.sql("SELECT FROM refunds") == []
