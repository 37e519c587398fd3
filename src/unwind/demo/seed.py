"""Fills an empty demo: merchants, stock, 320 orders over all stages, some more of every kind of money, and the same in the outside world."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx

from unwind.demo.catalog import CITIES, DEMO_KEYS, MERCHANTS, METHODS, DemoMerchant, Product
from unwind.demo.money import PLATFORM, money_orders

ORDERS = 320
STAGES = (
    ("unpaid", 0.28),
    ("none", 0.2),
    ("released", 0.1),
    ("picking", 0.08),
    ("packed", 0.05),
    ("label_printed", 0.05),
    ("in_transit", 0.14),
    ("out_for_delivery", 0.03),
    ("delivered", 0.07),
)
CARRIERS = ("sf", "sf", "zto", "yto")
STORY_ORDERS = ("STORY-BACKPACK", "STORY-TABLEWARE", "STORY-PHONE", "STORY-CAKE")


class Seeder:
    """Puts orders through the public interface, and tells the sandbox about the same trades, goods and parcels."""

    def __init__(self, unwind: httpx.Client, sandbox: httpx.Client, now: datetime) -> None:
        self._unwind = unwind
        self._sandbox = sandbox
        self._now = now
        self._random = random.Random(20261123)  # noqa: S311 - the demo is the same every time

    def seed(self, progress: Callable[[int], None]) -> None:
        for merchant in MERCHANTS:
            self._merchant(merchant)
        for n in range(ORDERS):
            merchant = self._random.choice(MERCHANTS)
            product = self._random.choice(merchant.products)
            stage = self._random.choices([s for s, _ in STAGES], [w for _, w in STAGES])[0]
            self._put(f"D{n + 1:04d}", merchant, product, stage)
            progress(1)
        self._stories()
        progress(len(STORY_ORDERS))
        for body in money_orders(self._now):
            order_id = body.pop("order_id")
            self._outside(order_id, {**body, "shipments": []}, "none", feed_late=False)
            self._ok(self._unwind.put(f"/api/v1/orders/{order_id}", json=body, headers=_as("integrator")))

    def _merchant(self, merchant: DemoMerchant) -> None:
        body = {
            "name": merchant.name,
            "hours": merchant.hours,
            "warehouse": merchant.warehouse,
            "asks_rating": True,
        }
        self._ok(self._unwind.put(f"/api/v1/merchants/{merchant.merchant_id}", json=body, headers=_as("admin")))
        rows = [
            {"sku": p.sku, "pool": p.pool, "available": 30 if p.pool == "limited" else 500} for p in merchant.products
        ]
        self._ok(self._unwind.put("/api/v1/stock", json=rows, headers=_as("admin")))

    def _stories(self) -> None:
        """The four orders of the handbook's stories."""
        home, tableware, phone, cake = MERCHANTS[:4]
        self._put(STORY_ORDERS[0], home, home.products[0], "unpaid")
        self._put(STORY_ORDERS[1], tableware, tableware.products[0], "none", closed_now=True)
        self._put(STORY_ORDERS[2], phone, phone.products[0], "in_transit", days=5, feed_late=True)
        self._put(STORY_ORDERS[3], cake, cake.products[0], "out_for_delivery")

    def _put(
        self,
        order_id: str,
        merchant: DemoMerchant,
        product: Product,
        stage: str,
        *,
        days: float | None = None,
        feed_late: bool = False,
        closed_now: bool = False,
    ) -> None:
        age = timedelta(days=days if days is not None else self._random.uniform(0.05, 2.5))
        placed = self._now - age
        if closed_now:
            self._close(merchant)
        quantity = self._random.choice((1, 1, 1, 2, 3)) if not order_id.startswith("STORY") else 1
        connection, method = self._random.choice(METHODS)
        amount = product.price_minor * quantity
        is_paid = stage != "unpaid"
        on_road = stage in {"in_transit", "out_for_delivery", "delivered"}
        shipments = []
        if on_road or stage == "label_printed":
            shipments = [self._shipment(order_id, quantity, stage, placed, on_road=on_road)]
        dispatch = self._random.choice((None, self._now + timedelta(hours=self._random.uniform(0.5, 20))))
        body: dict[str, Any] = {
            "revision": 1,
            "merchant_id": merchant.merchant_id,
            "buyer_ref": f"buyer-{self._random.randrange(200)}",
            "currency": "CNY",
            "placed_at": placed.isoformat(),
            "pay_by": (self._now + timedelta(hours=self._random.uniform(1, 48))).isoformat(),
            "planned_dispatch_at": dispatch.isoformat() if dispatch and not on_road else None,
            "released_stage": "packed"
            if on_road or stage == "label_printed"
            else ("none" if stage == "unpaid" else stage),
            "lines": [
                {
                    "line_id": "L1",
                    "sku": product.sku,
                    "pool": product.pool,
                    "title": product.title,
                    "quantity": quantity,
                    "unit_price_minor": product.price_minor,
                    "traits": product.traits,
                }
            ],
            "payments": [_payment(order_id, connection, method, amount, placed)] if is_paid else [],
            "shipments": shipments,
            "buyer": self._buyer(),
        }
        self._outside(order_id, body, stage, feed_late=feed_late)
        self._ok(self._unwind.put(f"/api/v1/orders/{order_id}", json=body, headers=_as("integrator")))

    def _buyer(self) -> dict[str, str]:
        """Half of them follow the shop's mini program."""
        buyer = {"name": "演示买家", "phone": f"1000000{self._random.randrange(10000):04d}", "language": "zh"}
        return {**buyer, "openid": f"o-demo-{self._random.randrange(10**6)}"} if self._random.random() < 0.5 else buyer  # noqa: PLR2004

    def _close(self, merchant: DemoMerchant) -> None:
        """Hours such that the merchant is closed now and opens later, as at 20:00 for 09:00."""
        local = self._now + timedelta(hours=8)
        opens = (local.hour * 60 + 13 * 60) % 1440
        hours = [[opens, min(opens + 540, 1440)]]
        body = {"name": merchant.name, "hours": hours, "warehouse": merchant.warehouse, "asks_rating": True}
        self._ok(self._unwind.put(f"/api/v1/merchants/{merchant.merchant_id}", json=body, headers=_as("admin")))

    def _shipment(self, order_id: str, quantity: int, stage: str, placed: datetime, *, on_road: bool) -> dict[str, Any]:
        carrier = "sf" if order_id in STORY_ORDERS else self._random.choice(CARRIERS)
        return {
            "shipment_id": f"{order_id}-S1",
            "carrier": carrier,
            "waybill_no": f"{carrier.upper()}{order_id}",
            "stage": stage if on_road else "handed_over",
            "picked_up_at": (placed + (self._now - placed) / 4).isoformat() if on_road else None,
            "quantities": {"L1": quantity},
        }

    def _outside(self, order_id: str, body: dict[str, Any], stage: str, *, feed_late: bool) -> None:
        """The same order as the gateway, the warehouse and the carrier know it."""
        for payment in (one for one in body["payments"] if one["connection"] != PLATFORM):
            trade = {key: payment[key] for key in ("connection", "trade_no")}
            self._control(
                "trades", {**trade, "amount_minor": payment["share_minor"], "state": "PAID", "order_no": order_id}
            )
        if stage in {"released", "picking", "packed"}:
            outbound_stage = {"released": "NEW", "picking": "PICKING", "packed": "PACKED"}[stage]
            behaviour = self._random.choices(("cancel", "reject", "pending_then_cancel"), (8, 1, 1))[0]
            self._control(
                "outbound",
                {
                    "connection": "wms",
                    "no": order_id,
                    "order_no": order_id,
                    "stage": outbound_stage,
                    "behaviour": behaviour,
                    "delay_s": 5,
                },
            )
        for shipment in body["shipments"]:
            on_road = shipment["picked_up_at"] is not None
            if not on_road:
                self._control(
                    "outbound",
                    {
                        "connection": "wms",
                        "no": shipment["shipment_id"],
                        "order_no": order_id,
                        "stage": "LABEL_PRINTED",
                    },
                )
            self._control("waybills", self._waybill(order_id, shipment, stage, feed_late=feed_late))

    def _waybill(self, order_id: str, shipment: dict[str, Any], stage: str, *, feed_late: bool) -> dict[str, Any]:
        events = []
        if shipment["picked_up_at"] is not None:
            picked = datetime.fromisoformat(shipment["picked_up_at"])
            middle = picked + (self._now - picked) / 4
            city = self._random.choice(CITIES)
            events = [
                {"stage": "handed_over", "place": "揽收网点", "at": picked.isoformat()},
                {"stage": "in_transit", "place": city, "at": middle.isoformat()},
            ]
            if stage != "in_transit":
                events.append({"stage": stage, "place": "派送网点", "at": (self._now - timedelta(hours=1)).isoformat()})
        fed_at = self._now - timedelta(minutes=20)
        behaviour = self._random.choices(("recall_ok", "recall_fails", "delivered_first"), (8, 1, 1))[0]
        return {
            "connection": shipment["carrier"],
            "no": shipment["waybill_no"],
            "order_no": order_id,
            "stage": "label_printed" if not events else stage,
            "behaviour": "recall_ok" if feed_late else behaviour,
            "delay_s": 20,
            "return_after_s": 40,
            "fed_at": fed_at.isoformat() if events else None,
            "events": events,
        }

    def _control(self, path: str, body: dict[str, Any]) -> None:
        self._ok(self._sandbox.post(f"/control/{path}", json=body))

    def _ok(self, response: httpx.Response) -> None:
        if not response.is_success:
            raise RuntimeError(
                f"the demo could not be filled: {response.request.url.path} {response.status_code} {response.text}"
            )


def _payment(order_id: str, connection: str, method: str, amount: int, placed: datetime) -> dict[str, Any]:
    """UnionPay knows a payment by its number and its time, in Beijing."""
    number = f"T-{order_id}"
    if connection == "unionpay":
        number = f"UP{order_id.replace('-', ''):0>12}:{placed + timedelta(hours=8):%Y%m%d%H%M%S}"
    return {
        "payment_id": f"P-{order_id}",
        "connection": connection,
        "trade_no": number,
        "method": method,
        "state": "captured",
        "share_minor": amount,
        "captured_minor": amount,
    }


def _as(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {DEMO_KEYS[role]}"}
