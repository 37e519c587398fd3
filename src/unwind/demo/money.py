"""Orders of the demo that show the rules of money (docs/money.md): a threshold, a deposit, points, an invoice, a marketplace, the customs."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

MERCHANT = "demo-dress"
PLATFORM = "taobao"
"""No connection of this name exists: the platform moves the money."""


def money_orders(now: datetime) -> list[dict[str, Any]]:
    """Documents of `PUT /api/v1/orders/{id}`, each with its `order_id`."""
    reprice = {"threshold_minor": 60_000, "on_partial": "reprice", "funder": "merchant", "returns_as": "void"}
    points = {"kind": "points", "account": "points:buyer-7", "amount": 459, "is_earned": True, "benefit_id": "E1"}
    deadline = (now + timedelta(hours=6)).isoformat()
    return [
        _order(
            "MONEY-THRESHOLD",
            now,
            lines=[_line("L1", "DRESS", "真丝连衣裙", 45_900), _line("L2", "SCARF", "羊绒围巾", 19_900)],
            discounts=[{"discount_id": "OFF40-FROM600", "amount_minor": 4_000, **reprice}],
            terms={"free_postage_from_minor": 9_900, "postage_minor": 1_000},
        ),
        _order(
            "MONEY-DEPOSIT",
            now,
            lines=[{**_line("L1", "COAT", "羊毛大衣(预售)", 128_000), "traits": {"presale": "deposit"}}],
            paid_minor=20_000,
            purpose="deposit",
            pay_by=(now + timedelta(days=2)).isoformat(),
        ),
        _order("MONEY-POINTS", now, lines=[_line("L1", "DRESS", "真丝连衣裙", 45_900)], benefits=[points]),
        _order(
            "MONEY-INVOICE",
            now,
            lines=[_line("L1", "COAT", "羊毛大衣", 128_000)],
            terms={"invoice": "booked", "invoice_no": "FP-2026-0001"},
        ),
        _order(
            "MONEY-PLATFORM",
            now,
            lines=[_line("L1", "SCARF", "羊绒围巾", 19_900)],
            connection=PLATFORM,
            terms={"settled_by": "platform", "platform": PLATFORM, "platform_deadline_at": deadline},
        ),
        _order(
            "MONEY-CUSTOMS",
            now,
            lines=[{**_line("L1", "SCARF", "羊绒围巾(跨境)", 19_900), "tax_minor": 1_811}],
            terms={"customs": "declared"},
        ),
    ]


def _line(line_id: str, sku: str, title: str, price_minor: int) -> dict[str, Any]:
    return {"line_id": line_id, "sku": sku, "title": title, "quantity": 1, "unit_price_minor": price_minor}


def _order(
    order_id: str,
    now: datetime,
    *,
    lines: list[dict[str, Any]],
    discounts: Sequence[Mapping[str, Any]] = (),
    paid_minor: int | None = None,
    purpose: str = "full",
    connection: str = "wxpay",
    **given: Any,
) -> dict[str, Any]:
    """Paid whole unless told otherwise."""
    total = sum(line["unit_price_minor"] + line.get("tax_minor", 0) for line in lines)
    paid = paid_minor if paid_minor is not None else total - sum(d["amount_minor"] for d in discounts)
    payment = {
        "payment_id": f"P-{order_id}",
        "connection": connection,
        "trade_no": f"T-{order_id}",
        "method": "wechat" if connection == "wxpay" else connection,
        "state": "captured",
        "share_minor": paid,
        "captured_minor": paid,
        "purpose": purpose,
    }
    return {
        "order_id": order_id,
        "revision": 1,
        "merchant_id": MERCHANT,
        "buyer_ref": "buyer-7",
        "currency": "CNY",
        "placed_at": (now - timedelta(minutes=30)).isoformat(),
        "lines": lines,
        "discounts": list(discounts),
        "payments": [payment],
        "buyer": {"name": "演示买家", "phone": "10000000007", "language": "zh"},
        **given,
    }
