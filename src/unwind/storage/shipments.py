"""Parcels of an order."""

from collections.abc import Mapping
from typing import Any

from unwind.domain.order import LineId
from unwind.domain.stock import ParcelUnits
from unwind.storage.database import Connection, to_json


async def take_units(conn: Connection, order_id: str, shipment_id: str, units_by_line: Mapping[Any, int]) -> None:
    await conn.execute(
        """
        UPDATE shipment_lines s SET taken_units = s.taken_units + value::integer
        FROM jsonb_each_text(%s) WHERE s.order_id = %s AND s.shipment_id = %s AND s.line_id = key
        """,
        (to_json(dict(units_by_line)), order_id, shipment_id),
    )


async def give_back_units(conn: Connection, order_id: str, shipment_id: str, units_by_line: Mapping[Any, int]) -> None:
    await take_units(conn, order_id, shipment_id, {line_id: -units for line_id, units in units_by_line.items()})


async def units_of(conn: Connection, order_id: str) -> dict[str, dict[LineId, ParcelUnits]]:
    """By parcel and line: what is in each, and how far that is."""
    cursor = await conn.execute(
        """
        SELECT shipment_id, line_id, quantity, taken_units, left_units, landed_units FROM shipment_lines
        WHERE order_id = %s ORDER BY shipment_id, line_id
        """,
        (order_id,),
    )
    parcels: dict[str, dict[LineId, ParcelUnits]] = {}
    for row in await cursor.fetchall():
        parcels.setdefault(row["shipment_id"], {})[LineId(row["line_id"])] = ParcelUnits(
            quantity=row["quantity"], taken=row["taken_units"], left=row["left_units"], landed=row["landed_units"]
        )
    return parcels


async def note_left(conn: Connection, order_id: str, shipment_id: str, moved: Mapping[LineId, int]) -> None:
    """The lines left the house, with so many units on the road; once only."""
    await conn.execute(
        """
        UPDATE shipment_lines s SET left_units = s.quantity, landed_units = s.quantity - value::integer
        FROM jsonb_each_text(%s) WHERE s.order_id = %s AND s.shipment_id = %s AND s.line_id = key AND s.left_units = 0
        """,
        (to_json(dict(moved)), order_id, shipment_id),
    )


async def note_landed(conn: Connection, order_id: str, shipment_id: str, units_by_line: Mapping[LineId, int]) -> None:
    await conn.execute(
        """
        UPDATE shipment_lines s SET landed_units = s.landed_units + value::integer
        FROM jsonb_each_text(%s) WHERE s.order_id = %s AND s.shipment_id = %s AND s.line_id = key
        """,
        (to_json(dict(units_by_line)), order_id, shipment_id),
    )


async def shipment_of_waybill(conn: Connection, waybill_no: str) -> dict[str, Any] | None:
    cursor = await conn.execute(
        "SELECT order_id, shipment_id FROM shipments WHERE waybill_no = %s ORDER BY order_id LIMIT 1", (waybill_no,)
    )
    return await cursor.fetchone()


async def look_again(conn: Connection, order_id: str, shipment_id: str) -> None:
    """The carrier has news: the stored route is no longer fresh."""
    await conn.execute(
        "UPDATE shipments SET tracked_at = NULL WHERE order_id = %s AND shipment_id = %s", (order_id, shipment_id)
    )


async def parcels_of(conn: Connection, order_id: str) -> list[dict[str, Any]]:
    """With their routes, for a person to look at."""
    cursor = await conn.execute(
        """
        SELECT shipment_id, carrier, waybill_no, reported_stage, picked_up_at, moved_at, fed_at, tracked_at, route,
            return_waybill_no
        FROM shipments WHERE order_id = %s ORDER BY shipment_id
        """,
        (order_id,),
    )
    return await cursor.fetchall()
