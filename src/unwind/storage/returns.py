"""Parcels that came back: awaited ones, once each, and those nobody awaits."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from unwind.storage.database import Connection, to_json

FIND = """
WITH found AS (
    SELECT order_id, shipment_id FROM shipments WHERE waybill_no = %(code)s
    UNION SELECT order_id, shipment_id FROM shipments WHERE return_waybill_no = %(code)s AND return_waybill_no <> ''
    UNION SELECT order_id, shipment_id FROM shipments WHERE shipment_id = %(code)s
    UNION SELECT order_id, '' FROM orders WHERE order_id = %(code)s
    LIMIT 50
)
SELECT f.order_id, f.shipment_id, o.merchant_id,
    (SELECT jsonb_agg(jsonb_build_object('case_id', c.case_id, 'leg_no', g.leg_no, 'part_no', g.part_no, 'shipment_id', g.target))
        FROM cases c JOIN legs g USING (case_id)
        WHERE c.order_id = f.order_id AND c.state <> 'archived' AND g.kind = 'receive_return'
          AND g.state NOT IN ('succeeded', 'released', 'waived') AND (f.shipment_id = '' OR g.target = f.shipment_id)) AS awaited,
    (SELECT jsonb_agg(r.return_id ORDER BY r.received_at DESC) FROM returns r
        WHERE r.order_id = f.order_id AND r.case_id IS NOT NULL AND (f.shipment_id = '' OR r.shipment_id = f.shipment_id)) AS known,
    (SELECT min(c.case_id) FROM cases c WHERE c.order_id = f.order_id AND c.state <> 'archived') AS open_case
FROM found f JOIN orders o USING (order_id) ORDER BY f.order_id, f.shipment_id
"""


async def find(conn: Connection, code: str) -> list[dict[str, Any]]:
    """What a code may mean to whoever takes returns in: per parcel, the legs that wait for it and the arrivals that are known."""
    cursor = await conn.execute(FIND, {"code": code}, prepare=True)
    return await cursor.fetchall()


async def read_return(conn: Connection, return_id: str) -> dict[str, Any] | None:
    cursor = await conn.execute("SELECT * FROM returns WHERE return_id = %s", (return_id,))
    return await cursor.fetchone()


async def add_awaited(conn: Connection, row: Mapping[str, Any]) -> bool:
    """False when it has arrived before; it is counted as seen once more."""
    cursor = await conn.execute(
        """
        INSERT INTO returns AS r (return_id, merchant_id, code, order_id, shipment_id, case_id, leg_no, part_no, state, scanned_at,
            scanned_by, received_at)
        VALUES (%(return_id)s, %(merchant_id)s, %(code)s, %(order_id)s, %(shipment_id)s, %(case_id)s, %(leg_no)s, %(part_no)s,
            'scanned', %(scanned_at)s, %(by)s, %(now)s)
        ON CONFLICT (return_id) DO UPDATE SET times = r.times + 1 RETURNING times = 1 AS is_first
        """,
        row,
    )
    got = await cursor.fetchone()
    return bool(got and got["is_first"])


async def see_again(conn: Connection, return_id: str) -> None:
    await conn.execute("UPDATE returns SET times = times + 1 WHERE return_id = %s", (return_id,))


async def add_unexpected(conn: Connection, row: Mapping[str, Any]) -> str:
    """One open row per code and merchant. Returns its id."""
    cursor = await conn.execute(
        """
        INSERT INTO returns AS r (return_id, merchant_id, code, order_id, shipment_id, state, scanned_at, scanned_by, received_at)
        VALUES (%(return_id)s, %(merchant_id)s, %(code)s, %(order_id)s, %(shipment_id)s, 'unexpected', %(scanned_at)s, %(by)s, %(now)s)
        ON CONFLICT (code, coalesce(merchant_id, '')) WHERE state = 'unexpected' DO UPDATE SET times = r.times + 1
        RETURNING return_id
        """,
        row,
    )
    got = await cursor.fetchone()
    assert got is not None  # noqa: S101 - the upsert returns its row
    return str(got["return_id"])


async def close_unexpected(
    conn: Connection, *, closed_as: str, return_id: str | None = None, code: str = "", merchant_id: str | None = None
) -> bool:
    """By its id; or, once a case awaits it after all, by its code."""
    cursor = await conn.execute(
        """
        UPDATE returns SET state = 'closed', closed_as = %(as)s
        WHERE state = 'unexpected' AND CASE WHEN %(id)s::text IS NOT NULL THEN return_id = %(id)s
            ELSE code = %(code)s AND coalesce(merchant_id, %(merchant)s) IS NOT DISTINCT FROM %(merchant)s END
        """,
        {"as": closed_as, "id": return_id, "code": code, "merchant": merchant_id},
    )
    return cursor.rowcount > 0


async def finish(conn: Connection, case_id: str, leg_no: int, *, at: datetime, by: str) -> bool:
    """The leg that waited for it is done. False when nobody had scanned it in: its units are still on the road in our books."""
    cursor = await conn.execute(
        """
        UPDATE returns SET state = 'inspected', inspected_at = %s, inspected_by = %s
        WHERE case_id = %s AND leg_no = %s AND state = 'scanned'
        """,
        (at, by, case_id, leg_no),
    )
    return cursor.rowcount == 1


async def keep_result(
    conn: Connection, return_id: str, *, result: Mapping[str, Mapping[str, int]], photos: Sequence[str]
) -> None:
    await conn.execute(
        "UPDATE returns SET result = %s::jsonb, photos = %s WHERE return_id = %s",
        (to_json(result), sorted(photos), return_id),
    )


async def open_returns(conn: Connection, *, merchant_id: str | None, returns_max: int) -> list[dict[str, Any]]:
    """Arrived and not inspected, or awaited by nobody: the longest waiting first."""
    cursor = await conn.execute(
        """
        SELECT return_id, merchant_id, state, code, order_id, shipment_id, case_id, scanned_at, times,
            (SELECT jsonb_agg(jsonb_build_object('line_id', l.line_id, 'sku', l.sku, 'title', l.title, 'units', cl.units)
                    ORDER BY l.line_id)
                FROM case_lines cl JOIN order_lines l USING (order_id, line_id)
                WHERE cl.case_id = r.case_id AND cl.part_no = r.part_no) AS awaited
        FROM returns r WHERE state IN ('scanned', 'unexpected') AND (%(m)s::text IS NULL OR merchant_id = %(m)s)
        ORDER BY received_at LIMIT %(n)s
        """,
        {"m": merchant_id, "n": returns_max},
    )
    return await cursor.fetchall()
