"""What a warehouse asks many times a minute: whose is this code and may it leave, and everything that may not. Every statement by an index."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from unwind.domain.legs import LegKind, LegState
from unwind.domain.scans import LEFT_THE_HOUSE, Parcel, ScannedOrder, StopLeg, Verdict
from unwind.domain.stage import Stage, effective_stage
from unwind.storage.database import Connection, to_json

RESOLVE = """
WITH found AS (
    SELECT order_id, shipment_id FROM shipments WHERE waybill_no = %(code)s
    UNION SELECT order_id, shipment_id FROM shipments WHERE shipment_id = %(code)s
    UNION SELECT order_id, shipment_id FROM shipments WHERE return_waybill_no = %(code)s AND return_waybill_no <> ''
    UNION SELECT order_id, '' FROM orders WHERE order_id = %(code)s
    UNION SELECT order_id, '' FROM orders WHERE pick_label = %(code)s AND pick_label <> ''
    LIMIT 50
), by_order AS (
    SELECT order_id, jsonb_agg(shipment_id) AS scanned FROM found GROUP BY order_id
)
SELECT o.order_id, o.merchant_id, m.warehouse, o.cancelled_at IS NOT NULL AS is_cancelled, b.scanned,
    (SELECT jsonb_build_object('left', sum(l.quantity - l.taken_units), 'in_house', sum(l.reserved + l.held))
        FROM order_lines l WHERE l.order_id = o.order_id) AS units,
    (SELECT jsonb_agg(jsonb_build_object('shipment_id', s.shipment_id, 'reported', s.reported_stage,
            'is_picked_up', s.picked_up_at IS NOT NULL, 'handed_over_at', s.handed_over_at, 'lines', (
                SELECT jsonb_agg(jsonb_build_array(sl.line_id, sl.quantity,
                    least(sl.quantity - sl.taken_units, l.quantity - l.taken_units)))
                FROM shipment_lines sl JOIN order_lines l USING (order_id, line_id)
                WHERE sl.order_id = s.order_id AND sl.shipment_id = s.shipment_id)) ORDER BY s.shipment_id)
        FROM shipments s WHERE s.order_id = o.order_id) AS parcels,
    (SELECT jsonb_agg(jsonb_build_object('case_id', c.case_id, 'leg_no', g.leg_no, 'kind', g.kind, 'state', g.state,
            'shipment_id', g.target, 'opened_at', c.opened_at, 'lines', (
                SELECT jsonb_agg(cl.line_id) FROM case_lines cl WHERE cl.case_id = c.case_id AND cl.part_no = g.part_no))
            ORDER BY c.case_id, g.leg_no)
        FROM cases c JOIN legs g USING (case_id)
        WHERE c.order_id = o.order_id AND c.state <> 'archived' AND g.kind IN ('hold_shipment', 'void_waybill')
          AND g.state NOT IN ('succeeded', 'released', 'waived')) AS legs
FROM by_order b JOIN orders o USING (order_id) JOIN merchants m ON m.merchant_id = o.merchant_id
ORDER BY o.order_id
"""
READ_SCAN = """
SELECT unwind_now() AS now, s.fingerprint, s.answer
FROM (SELECT %(principal)s AS p, %(event)s AS e) AS asked LEFT JOIN scans s ON s.principal_id = asked.p AND s.event_id = asked.e
"""
STOPS = """
WITH open_legs AS (
    SELECT g.case_id, g.leg_no FROM legs g
    WHERE g.kind IN ('hold_shipment', 'recall_parcel') AND g.state IN ('planned', 'claimed', 'unknown', 'accepted', 'task', 'blocked')
), in_house AS (
    SELECT DISTINCT g.case_id, g.leg_no
    FROM (SELECT order_id FROM order_lines WHERE held > 0) AS h JOIN cases c USING (order_id) JOIN legs g USING (case_id)
    WHERE c.state <> 'archived' AND g.kind = 'hold_shipment' AND g.state = 'succeeded'
), wanted AS (SELECT case_id, leg_no FROM open_legs UNION SELECT case_id, leg_no FROM in_house)
SELECT c.case_id, g.leg_no, g.kind, g.state, c.order_id, c.merchant_id, g.target AS shipment_id, g.due_at,
    o.wave, o.planned_dispatch_at, coalesce(s.waybill_no, '') AS waybill_no, coalesce(s.carrier, '') AS carrier, o.pick_label,
    coalesce(s.reported_stage, o.released_stage) AS reported_stage, s.picked_up_at IS NOT NULL AS is_picked_up,
    s.handed_over_at IS NOT NULL AS is_handed_over, x.location, x.lines
FROM wanted w JOIN legs g USING (case_id, leg_no) JOIN cases c USING (case_id) JOIN orders o USING (order_id)
LEFT JOIN shipments s ON s.order_id = c.order_id AND s.shipment_id = g.target
CROSS JOIN LATERAL (
    SELECT min(l.location) AS location, jsonb_agg(jsonb_build_array(l.sku, cl.units) ORDER BY l.line_id) AS lines
    FROM case_lines cl JOIN order_lines l USING (order_id, line_id)
    WHERE cl.case_id = g.case_id AND cl.part_no = g.part_no) AS x
WHERE c.state <> 'archived' AND (%(merchant)s::text IS NULL OR c.merchant_id = %(merchant)s)
  AND (%(wave)s::text IS NULL OR o.wave = %(wave)s) AND (%(location)s::text IS NULL OR x.location = %(location)s)
ORDER BY o.wave, x.location, o.planned_dispatch_at NULLS LAST, c.order_id, c.case_id, g.leg_no
LIMIT %(max)s
"""


async def resolve(conn: Connection, code: str) -> list[ScannedOrder]:
    """Every order a scanned code may name, whosever it is; the caller keeps its own."""
    cursor = await conn.execute(RESOLVE, {"code": code}, prepare=True)
    return [_order(row) for row in await cursor.fetchall()]


def _order(row: Mapping[str, Any]) -> ScannedOrder:
    return ScannedOrder(
        order_id=row["order_id"],
        merchant_id=row["merchant_id"],
        warehouse=row["warehouse"],
        is_cancelled=row["is_cancelled"],
        in_house=int(row["units"]["in_house"]),
        left=int(row["units"]["left"]),
        scanned=frozenset(row["scanned"]),
        parcels=tuple(_parcel(parcel) for parcel in row["parcels"] or ()),
        legs=tuple(_leg(leg) for leg in row["legs"] or ()),
    )


def _parcel(row: Mapping[str, Any]) -> Parcel:
    lines = row["lines"] or ()
    at = row["handed_over_at"]
    return Parcel(
        shipment_id=row["shipment_id"],
        reported=Stage(row["reported"]),
        is_picked_up=row["is_picked_up"],
        handed_over_at=None if at is None else datetime.fromisoformat(at),
        units=sum(units for _, units, _ in lines),
        left=sum(left for _, _, left in lines),
        line_ids=frozenset(line_id for line_id, _, _ in lines),
    )


def _leg(row: Mapping[str, Any]) -> StopLeg:
    return StopLeg(
        case_id=row["case_id"],
        leg_no=row["leg_no"],
        kind=LegKind(row["kind"]),
        state=LegState(row["state"]),
        shipment_id=row["shipment_id"],
        line_ids=frozenset(row["lines"] or ()),
        opened_at=datetime.fromisoformat(row["opened_at"]),
    )


async def read_scan(conn: Connection, principal_id: str, event_id: str) -> dict[str, Any]:
    """The present moment, and what this very scan was answered before, if it was."""
    cursor = await conn.execute(READ_SCAN, {"principal": principal_id, "event": event_id}, prepare=True)
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - the outer side of the join has one row
    return row


async def add_scan(conn: Connection, scan: Mapping[str, Any]) -> bool:
    """False when a twin of the same event was faster."""
    cursor = await conn.execute(
        """
        INSERT INTO scans (principal_id, event_id, fingerprint, merchant_id, order_id, shipment_id, kind, verdict, effect, scanned_at,
            received_at, answer)
        VALUES (%(principal_id)s, %(event_id)s, %(fingerprint)s, %(merchant_id)s, %(order_id)s, %(shipment_id)s, %(kind)s, %(verdict)s,
            %(effect)s, %(scanned_at)s, %(received_at)s, %(answer)s::jsonb)
        ON CONFLICT (principal_id, event_id) DO NOTHING
        """,
        {**scan, "answer": to_json(scan["answer"])},
        prepare=True,
    )
    return cursor.rowcount == 1


async def stops(
    conn: Connection, *, merchant_id: str | None, wave: str | None, location: str | None, stops_max: int
) -> list[dict[str, Any]]:
    """Everything that must not ship: by wave, place and planned dispatch."""
    given = {"merchant": merchant_id, "wave": wave, "location": location, "max": stops_max}
    cursor = await conn.execute(STOPS, given, prepare=True)
    return await cursor.fetchall()


def shown_stop(row: Mapping[str, Any]) -> dict[str, Any]:
    """As short as a device can work with. `too_late`: the carrier has it, a person recalls it."""
    stage = effective_stage(reported=Stage(row["reported_stage"]), is_picked_up=row["is_picked_up"])
    is_parcel_out = bool(row["shipment_id"]) and stage in LEFT_THE_HOUSE
    return {
        "case_id": row["case_id"],
        "leg_no": row["leg_no"],
        "order_id": row["order_id"],
        "merchant_id": row["merchant_id"],
        "codes": [
            code for code in (row["waybill_no"], row["shipment_id"] or row["order_id"], row["pick_label"]) if code
        ],
        "wave": row["wave"],
        "location": row["location"],
        "planned_dispatch_at": row["planned_dispatch_at"],
        "verdict": Verdict.TOO_LATE if is_parcel_out or row["kind"] == LegKind.RECALL_PARCEL else Verdict.STOP,
        "is_stopped": row["state"] == LegState.SUCCEEDED,
        "is_handed_over": row["is_handed_over"],
        "due_at": row["due_at"],
        "lines": row["lines"] or [],
    }


async def hand_over(conn: Connection, order_id: str, shipment_id: str, at: datetime) -> None:
    """Scanned out at the dock."""
    await conn.execute(
        "UPDATE shipments SET handed_over_at = coalesce(handed_over_at, %s) WHERE order_id = %s AND shipment_id = %s",
        (at, order_id, shipment_id),
        prepare=True,
    )
