"""The order book: the shop's facts in, one consistent reading out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from unwind.domain.legs import HOLDS_UP_NOTHING
from unwind.domain.order import (
    AttemptState,
    Benefit,
    Dependence,
    Discount,
    Funder,
    Line,
    LineId,
    Merchant,
    MerchantId,
    Order,
    OrderId,
    Payment,
    PaymentId,
    Presale,
    Promise,
    ReturnsAs,
    Shipment,
    VirtualState,
)
from unwind.domain.stage import ON_THE_WAY, Stage
from unwind.domain.stock import Bucket
from unwind.domain.terms import OnPartial, Payer, Purpose, money_terms, order_terms
from unwind.storage.database import Connection, to_json

BUCKETS = tuple(bucket.value for bucket in Bucket)

AS_GOOD_AS_DONE = ", ".join(f"'{kind.value}'" for kind in sorted(HOLDS_UP_NOTHING))
READ_ORDER = f"""
SELECT o.*, unwind_now() AS now,
    (SELECT to_jsonb(m) FROM merchants m WHERE m.merchant_id = o.merchant_id) AS merchant,
    (SELECT jsonb_agg(to_jsonb(l) ORDER BY l.line_id) FROM order_lines l WHERE l.order_id = o.order_id) AS lines,
    (SELECT jsonb_agg(to_jsonb(d) ORDER BY d.discount_id) FROM order_discounts d WHERE d.order_id = o.order_id)
        AS discounts,
    (SELECT jsonb_agg(to_jsonb(p) || jsonb_build_object('share_minor', op.share_minor, 'purpose', op.purpose, 'booked_minor', (
                SELECT coalesce(sum(r.amount_minor), 0) FROM refunds r
                WHERE r.order_id = o.order_id AND r.payment_id = p.payment_id
                  AND r.state IN ('reserved', 'sent', 'final')), 'adopted', (
                SELECT coalesce(jsonb_agg(r.adopted_minor), '[]') FROM refunds r
                WHERE r.payment_id = p.payment_id AND r.state = 'adopted'))
            ORDER BY p.payment_id)
        FROM order_payments op JOIN payments p USING (payment_id) WHERE op.order_id = o.order_id) AS payments,
    (SELECT jsonb_agg(to_jsonb(s) || jsonb_build_object('quantities', (
                SELECT coalesce(jsonb_object_agg(sl.line_id, sl.quantity - sl.taken_units), '{{}}')
                FROM shipment_lines sl WHERE sl.order_id = s.order_id AND sl.shipment_id = s.shipment_id))
            ORDER BY s.shipment_id)
        FROM shipments s WHERE s.order_id = o.order_id) AS shipments,
    (SELECT jsonb_agg(to_jsonb(b) || jsonb_build_object('balance', CASE WHEN b.is_earned THEN (
                SELECT a.balance FROM benefit_accounts a WHERE a.account = b.account) END) ORDER BY b.benefit_id)
        FROM benefits b WHERE b.order_id = o.order_id) AS benefits,
    (SELECT jsonb_object_agg(ol.line_id, ol.case_id) FROM open_lines ol WHERE ol.order_id = o.order_id) AS open_lines,
    (SELECT jsonb_agg(DISTINCT cl.line_id) FROM case_lines cl JOIN case_parts cp USING (case_id, part_no)
        WHERE cl.order_id = o.order_id AND cp.state IN ('executing', 'review') AND EXISTS (
            SELECT FROM legs g WHERE g.case_id = cp.case_id AND g.part_no = cp.part_no
              AND g.kind NOT IN ({AS_GOOD_AS_DONE}) AND g.state NOT IN ('succeeded', 'released', 'waived'))) AS provisional,
    (SELECT wrapped_key FROM order_keys k WHERE k.order_id = o.order_id) AS wrapped_key
FROM orders o WHERE o.order_id = ANY(%s)
"""  # noqa: S608 - names from code


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """An order with what surrounds it at the moment of reading."""

    order: Order
    now: datetime
    open_lines: Mapping[LineId, str]
    """Line id -> the open case that holds it (I7)."""
    wrapped_key: bytes | None
    risk: str
    elsewhere_minor: int
    """Money returned without us and not by an adopted refund that is still waiting for its case."""


async def read_order(conn: Connection, order_id: str) -> OrderRow | None:
    rows = await read_orders(conn, [order_id])
    return rows[0] if rows else None


async def read_orders(conn: Connection, order_ids: Sequence[str]) -> list[OrderRow]:
    cursor = await conn.execute(READ_ORDER, (list(order_ids),), prepare=True)
    return [to_order_row(row) for row in await cursor.fetchall()]


def to_order_row(row: Mapping[str, Any]) -> OrderRow:
    provisional = frozenset(row["provisional"] or ())
    payments = tuple(_payment(p) for p in row["payments"] or ())
    order = Order(
        order_id=OrderId(row["order_id"]),
        merchant=_merchant(row["merchant"]),
        buyer_ref=row["buyer_ref"],
        currency=row["currency"],
        placed_at=row["placed_at"],
        pay_by=row["pay_by"],
        planned_dispatch_at=row["planned_dispatch_at"],
        released_stage=Stage(row["released_stage"]),
        promise=Promise(row["promise"]),
        shipping_minor=row["shipping_minor"],
        revision=row["revision"],
        version=row["version"],
        is_cancelled=row["cancelled_at"] is not None,
        lines=tuple(_line(ln, provisional) for ln in row["lines"] or ()),
        discounts=tuple(_discount(d) for d in row["discounts"] or ()),
        payments=payments,
        shipments=tuple(_shipment(s) for s in row["shipments"] or ()),
        benefits=tuple(_benefit(b, is_ours=row["merchant"]["authority"] == "local") for b in row["benefits"] or ()),
        kept_minor=row["kept_minor"],
        store_id=row["store_id"],
        terms=order_terms(row["terms"]),
    )
    return OrderRow(
        order=order,
        now=row["now"],
        open_lines=row["open_lines"] or {},
        wrapped_key=row["wrapped_key"],
        risk=row["risk"],
        elsewhere_minor=sum(p.elsewhere_minor - sum(p.adopted) for p in payments),
    )


def _merchant(row: Mapping[str, Any]) -> Merchant:
    return Merchant(
        merchant_id=MerchantId(row["merchant_id"]),
        is_local=row["authority"] == "local",
        has_settlement=row["has_settlement"],
        warehouse=row["warehouse"],
        shop=row["shop"],
        time_zone=row["time_zone"],
        hours=tuple((opens, closes) for opens, closes in row["hours"]),
        automation=row["automation"],
        is_halted=row["halted_at"] is not None,
        hold_timeout_s=row["hold_timeout_s"],
        may_only_tell=row["may_only_tell"],
        limits=row["limits"],
        has_breaker=row["breaker_at"] is not None,
        money=money_terms(row["money_terms"]),
    )


def _line(row: Mapping[str, Any], provisional: frozenset[str]) -> Line:
    traits = row["traits"]
    return Line(
        line_id=LineId(row["line_id"]),
        sku=row["sku"],
        location=row["location"],
        pool=row["pool"],
        title=row["title"],
        quantity=row["quantity"],
        unit_price_minor=row["unit_price_minor"],
        perishable=traits.get("perishable", False),
        made_to_order=traits.get("made_to_order", False),
        production_started=traits.get("production_started"),
        presale=Presale(traits.get("presale", "none")),
        virtual=VirtualState(traits.get("virtual", "not_virtual")),
        dependence=Dependence(traits.get("dependence", "none")),
        parent_line_id=row["parent_line_id"],
        taken_units=row["taken_units"],
        buckets={Bucket(name): row[name] for name in BUCKETS},
        is_provisional=row["line_id"] in provisional,
        tax_minor=row["tax_minor"],
        kept_price_minor=traits.get("kept_price_minor", 0),
    )


def _discount(row: Mapping[str, Any]) -> Discount:
    return Discount(
        discount_id=row["discount_id"],
        amount_minor=row["amount_minor"],
        funder=Funder(row["funder"]),
        returns_as=ReturnsAs(row["returns_as"]),
        by_line=row["by_line"],
        threshold_minor=row["threshold_minor"],
        on_partial=None if row["on_partial"] is None else OnPartial(row["on_partial"]),
    )


def _payment(row: Mapping[str, Any]) -> Payment:
    return Payment(
        payment_id=PaymentId(row["payment_id"]),
        connection=row["connection"],
        trade_no=row["trade_no"],
        method=row["method"],
        state=AttemptState(row["state"]),
        funder=Funder(row["funder"]),
        returns_as=ReturnsAs(row["returns_as"]),
        share_minor=row["share_minor"],
        captured_minor=row["captured_minor"],
        booked_minor=row["booked_minor"],
        elsewhere_minor=row["elsewhere_minor"],
        adopted=tuple(row["adopted"]),
        purpose=Purpose(row["purpose"]),
        payer=Payer(row["payer"]),
    )


def _shipment(row: Mapping[str, Any]) -> Shipment:
    return Shipment(
        shipment_id=row["shipment_id"],
        carrier=row["carrier"],
        waybill_no=row["waybill_no"],
        reported=Stage(row["reported_stage"]),
        is_picked_up=row["picked_up_at"] is not None,
        quantities=row["quantities"],
        moved_at=_instant(row["moved_at"]),
        fed_at=_instant(row["fed_at"]),
    )


def _benefit(row: Mapping[str, Any], *, is_ours: bool) -> Benefit:
    return Benefit(
        benefit_id=row["benefit_id"],
        kind=row["kind"],
        account=row["account"],
        amount=row["amount"],
        is_restored=row["restored_at"] is not None,
        line_id=row["line_id"],
        is_earned=row["is_earned"],
        valid_until=_instant(row["valid_until"]),
        balance=row["balance"] if is_ours else None,
    )


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


async def insert_orders(conn: Connection, documents: Sequence[Mapping[str, Any]]) -> None:
    """New orders with all their facts. Units are taken out of stock where the built-in shop keeps any.

    `documents` are validated order documents (docs/contracts: `PUT /api/v1/orders/{id}`) with `order_id` and `is_paid` added.
    """
    for statement in _INSERTS:
        await conn.execute(statement, (to_json(documents),), prepare=True)


_INSERTS = (
    """
    INSERT INTO orders (order_id, merchant_id, buyer_ref, currency, placed_at, pay_by, planned_dispatch_at, released_stage,
        promise, shipping_minor, risk, revision, is_paid, store_id, wave, pick_label, terms)
    SELECT order_id, merchant_id, buyer_ref, currency, placed_at, pay_by, planned_dispatch_at, released_stage,
        promise, shipping_minor, risk, revision, is_paid, coalesce(store_id, ''), coalesce(wave, ''), coalesce(pick_label, ''),
        coalesce(terms, '{}')
    FROM jsonb_to_recordset(%s) AS o(order_id text, merchant_id text, buyer_ref text, currency text, placed_at timestamptz,
        pay_by timestamptz, planned_dispatch_at timestamptz, released_stage text, promise text, shipping_minor bigint,
        risk text, revision bigint, is_paid boolean, store_id text, wave text, pick_label text, terms jsonb)
    """,
    """
    INSERT INTO order_lines (order_id, line_id, sku, location, pool, title, quantity, unit_price_minor, traits,
        parent_line_id, reserved, tax_minor)
    SELECT o.order_id, l.line_id, l.sku, l.location, l.pool, l.title, l.quantity, l.unit_price_minor, l.traits,
        l.parent_line_id, l.quantity, coalesce(l.tax_minor, 0)
    FROM jsonb_to_recordset(%s) AS o(order_id text, lines jsonb),
        jsonb_to_recordset(o.lines) AS l(line_id text, sku text, location text, pool text, title text, quantity integer,
            unit_price_minor bigint, traits jsonb, parent_line_id text, tax_minor bigint)
    """,
    """
    INSERT INTO order_discounts (order_id, discount_id, amount_minor, funder, returns_as, by_line, threshold_minor, on_partial)
    SELECT o.order_id, d.discount_id, d.amount_minor, d.funder, d.returns_as, d.by_line, coalesce(d.threshold_minor, 0),
        d.on_partial
    FROM jsonb_to_recordset(%s) AS o(order_id text, discounts jsonb),
        jsonb_to_recordset(o.discounts) AS d(discount_id text, amount_minor bigint, funder text, returns_as text,
            by_line jsonb, threshold_minor bigint, on_partial text)
    """,
    """
    INSERT INTO payments (payment_id, connection, trade_no, method, currency, state, funder, returns_as, captured_minor, payer)
    SELECT p.payment_id, p.connection, p.trade_no, p.method, o.currency, p.state, p.funder, p.returns_as, p.captured_minor,
        coalesce(p.payer, 'buyer')
    FROM jsonb_to_recordset(%s) AS o(currency text, payments jsonb),
        jsonb_to_recordset(o.payments) AS p(payment_id text, connection text, trade_no text, method text, state text,
            funder text, returns_as text, captured_minor bigint, payer text)
    ON CONFLICT (payment_id) DO NOTHING
    """,
    """
    INSERT INTO order_payments (order_id, payment_id, share_minor, purpose)
    SELECT o.order_id, p.payment_id, p.share_minor, coalesce(p.purpose, 'full')
    FROM jsonb_to_recordset(%s) AS o(order_id text, payments jsonb),
        jsonb_to_recordset(o.payments) AS p(payment_id text, share_minor bigint, purpose text)
    """,
    """
    INSERT INTO benefit_accounts (account, kind, balance)
    SELECT DISTINCT b.account, b.kind, 0
    FROM jsonb_to_recordset(%s) AS o(benefits jsonb),
        jsonb_to_recordset(o.benefits) AS b(account text, kind text)
    ON CONFLICT (account) DO NOTHING
    """,
    """
    INSERT INTO benefits (order_id, benefit_id, kind, account, amount, line_id, is_earned, valid_until)
    SELECT o.order_id, b.benefit_id, b.kind, b.account, b.amount, b.line_id, coalesce(b.is_earned, false), b.valid_until
    FROM jsonb_to_recordset(%s) AS o(order_id text, benefits jsonb),
        jsonb_to_recordset(o.benefits) AS b(benefit_id text, kind text, account text, amount bigint, line_id text,
            is_earned boolean, valid_until timestamptz)
    """,
)


async def update_shop_facts(conn: Connection, document: Mapping[str, Any]) -> None:
    """A newer revision of the shop's facts. Our own columns, cancellations among them, are never touched."""
    await conn.execute(
        """
        UPDATE orders SET revision = %(revision)s, planned_dispatch_at = %(planned_dispatch_at)s, pay_by = %(pay_by)s,
            released_stage = %(released_stage)s, promise = %(promise)s, risk = %(risk)s, is_paid = %(is_paid)s,
            wave = %(wave)s, pick_label = %(pick_label)s, terms = %(terms)s::jsonb, version = version + 1
        WHERE order_id = %(order_id)s
        """,
        {"wave": "", "pick_label": "", **document, "terms": to_json(document.get("terms", {}))},
    )
    await conn.execute(
        """
        UPDATE order_lines l SET traits = n.traits, title = n.title
        FROM jsonb_to_recordset(%s) AS n(line_id text, traits jsonb, title text)
        WHERE l.order_id = %s AND l.line_id = n.line_id AND (l.traits, l.title) IS DISTINCT FROM (n.traits, n.title)
        """,
        (to_json(document["lines"]), document["order_id"]),
    )


async def upsert_payment(conn: Connection, order_id: str, currency: str, payment: Mapping[str, Any]) -> bool:
    """Writes a payment attempt forward: created, authorised, captured; or closed while unpaid. True if it is newly captured."""
    cursor = await conn.execute(
        """
        WITH old AS (SELECT state, captured_minor FROM payments WHERE payment_id = %(payment_id)s FOR NO KEY UPDATE)
        INSERT INTO payments AS p (payment_id, connection, trade_no, method, currency, state, funder, returns_as, captured_minor,
            payer)
        VALUES (%(payment_id)s, %(connection)s, %(trade_no)s, %(method)s, %(currency)s, %(state)s, %(funder)s,
            %(returns_as)s, %(captured_minor)s, %(payer)s)
        ON CONFLICT (payment_id) DO UPDATE SET
            state = CASE WHEN p.state = 'captured' THEN 'captured' ELSE excluded.state END,
            captured_minor = greatest(p.captured_minor, excluded.captured_minor)
        RETURNING p.state = 'captured' AND coalesce((SELECT state FROM old), '') <> 'captured' AS is_newly_captured
        """,
        {"payer": Payer.BUYER, **payment, "currency": currency},
    )
    row = await cursor.fetchone()
    await conn.execute(
        "INSERT INTO order_payments (order_id, payment_id, share_minor, purpose) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (order_id, payment["payment_id"], payment["share_minor"], payment.get("purpose", Purpose.FULL)),
    )
    return bool(row and row["is_newly_captured"])


async def upsert_shipment(conn: Connection, order_id: str, shipment: Mapping[str, Any]) -> None:
    await conn.execute(
        """
        INSERT INTO shipments AS s (order_id, shipment_id, carrier, waybill_no, reported_stage, picked_up_at, moved_at, fed_at,
            pickup_due_at)
        VALUES (%(order_id)s, %(shipment_id)s, %(carrier)s, %(waybill_no)s, %(stage)s, %(picked_up_at)s, %(moved_at)s,
            %(fed_at)s, CASE WHEN %(stage)s = ANY(%(on_the_way)s) AND %(picked_up_at)s::timestamptz IS NULL THEN (
                SELECT unwind_now() + m.false_dispatch_h * interval '1 hour' FROM merchants m JOIN orders o USING (merchant_id)
                WHERE o.order_id = %(order_id)s) END)
        ON CONFLICT (order_id, shipment_id) DO UPDATE SET reported_stage = excluded.reported_stage,
            waybill_no = excluded.waybill_no, picked_up_at = coalesce(s.picked_up_at, excluded.picked_up_at),
            moved_at = coalesce(excluded.moved_at, s.moved_at), fed_at = coalesce(excluded.fed_at, s.fed_at),
            pickup_due_at = CASE WHEN s.reported_stage = ANY(%(on_the_way)s) THEN s.pickup_due_at ELSE excluded.pickup_due_at END
        """,
        {
            "moved_at": None,
            "fed_at": None,
            **shipment,
            "order_id": order_id,
            "on_the_way": [stage.value for stage in ON_THE_WAY],
        },
    )
    await conn.execute(
        """
        INSERT INTO shipment_lines (order_id, shipment_id, line_id, quantity)
        SELECT %s, %s, key, value::integer FROM jsonb_each_text(%s) ON CONFLICT DO NOTHING
        """,
        (order_id, shipment["shipment_id"], to_json(shipment["quantities"])),
    )


async def record_tracking(conn: Connection, order_id: str, shipment_id: str, tracking: Mapping[str, Any]) -> None:
    """What the carrier said about a parcel: route, last movement, when it last sent anything."""
    await conn.execute(
        """
        UPDATE shipments SET route = %(route)s::jsonb, moved_at = %(moved_at)s, fed_at = %(fed_at)s, tracked_at = %(tracked_at)s,
            return_waybill_no = coalesce(nullif(%(return_waybill_no)s, ''), return_waybill_no),
            reported_stage = coalesce(%(stage)s, reported_stage),
            picked_up_at = coalesce(picked_up_at, %(picked_up_at)s)
        WHERE order_id = %(order_id)s AND shipment_id = %(shipment_id)s
        """,
        {**tracking, "order_id": order_id, "shipment_id": shipment_id},
    )


async def mark_cancelled(conn: Connection, order_id: str, now: datetime) -> None:
    await conn.execute(
        "UPDATE orders SET cancelled_at = coalesce(cancelled_at, %s), version = version + 1 WHERE order_id = %s",
        (now, order_id),
    )


async def touch_order(conn: Connection, order_id: str) -> None:
    await conn.execute("UPDATE orders SET version = version + 1 WHERE order_id = %s", (order_id,))


async def add_order_event(conn: Connection, order_id: str, event: Mapping[str, Any]) -> bool:
    """False when this event was already known."""
    cursor = await conn.execute(
        """
        INSERT INTO order_events (order_id, event_id, kind, at, data) VALUES (%s, %s, %s, %s, %s::jsonb)
        ON CONFLICT DO NOTHING
        """,
        (order_id, event["event_id"], event["kind"], event["at"], to_json(event["data"])),
    )
    return cursor.rowcount == 1


async def due_unpaid_orders(conn: Connection, *, orders_max: int) -> list[str]:
    """Locks a batch of orders past their payment time limit, oldest first, skipping those somebody works on."""
    cursor = await conn.execute(
        """
        SELECT order_id FROM orders
        WHERE pay_by <= unwind_now() AND cancelled_at IS NULL AND NOT is_paid AND pay_by IS NOT NULL
          AND NOT EXISTS (SELECT FROM open_lines ol WHERE ol.order_id = orders.order_id)
        ORDER BY pay_by, order_id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
        """,
        (orders_max,),
    )
    return [row["order_id"] for row in await cursor.fetchall()]


async def now(conn: Connection) -> datetime:
    cursor = await conn.execute("SELECT unwind_now() AS now")
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    at: datetime = row["now"]
    return at


async def platform_deadline(conn: Connection, order_id: str) -> datetime | None:
    """When the platform that settles this order decides by itself."""
    cursor = await conn.execute(
        "SELECT (terms->>'platform_deadline_at')::timestamptz AS at FROM orders WHERE order_id = %s", (order_id,)
    )
    row = await cursor.fetchone()
    return row["at"] if row else None


async def mark_paid(conn: Connection, order_id: str) -> None:
    await conn.execute("UPDATE orders SET is_paid = true, version = version + 1 WHERE order_id = %s", (order_id,))


async def set_released_stage(conn: Connection, order_id: str, stage: str) -> None:
    await conn.execute(
        "UPDATE orders SET released_stage = %s, version = version + 1 WHERE order_id = %s", (stage, order_id)
    )
