"""Units: the buckets of a line and the free units of a pool, each move with its ledger row. Pools are locked last, by SKU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from unwind.domain.errors import ensure
from unwind.domain.order import LineId
from unwind.domain.stock import ALLOWED_MOVES, Bucket
from unwind.storage.database import Connection, to_json


async def book_orders(conn: Connection, order_ids: Sequence[str], now: datetime, *, from_pools: bool) -> None:
    """The first ledger row of each line: its units are reserved, out of a pool of ours or out of the shop's own stock."""
    await conn.execute(
        """
        INSERT INTO stock_moves (order_id, line_id, source, target, units, sku, location, pool, at)
        SELECT l.order_id, l.line_id, CASE WHEN %s AND s.sku IS NOT NULL THEN 'free' ELSE 'shop' END, 'reserved', l.quantity,
            l.sku, l.location, l.pool, %s
        FROM order_lines l LEFT JOIN stock s USING (sku, location, pool) WHERE l.order_id = ANY(%s)
        """,
        (from_pools, now, list(order_ids)),
    )


async def take_out(conn: Connection, order_ids: Sequence[str]) -> list[str]:
    """Takes new orders' units out of the built-in shop's pools. Returns the SKUs that were short."""
    cursor = await conn.execute(
        """
        WITH want AS (
            SELECT sku, location, pool, sum(quantity) AS units FROM order_lines WHERE order_id = ANY(%(orders)s)
            GROUP BY sku, location, pool
        ), locked AS (
            SELECT s.sku, s.location, s.pool, s.available, w.units FROM stock s JOIN want w USING (sku, location, pool)
            ORDER BY s.sku, s.location, s.pool FOR NO KEY UPDATE OF s
        ), taken AS (
            UPDATE stock s SET available = s.available - l.units FROM locked l
            WHERE (s.sku, s.location, s.pool) = (l.sku, l.location, l.pool) AND l.available >= l.units
        )
        SELECT sku FROM locked WHERE available < units
        """,
        {"orders": list(order_ids)},
    )
    return [row["sku"] for row in await cursor.fetchall()]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitMove:
    order_id: str
    line_id: str
    units: int
    case_id: str | None = None
    source: Bucket = Bucket.RESERVED
    target: Bucket = Bucket.RESTOCKED
    to_pool: str = ""
    """Where it is put on another shelf than it came from; that one takes it whether open or not."""


async def move(conn: Connection, moves: Sequence[UnitMove], *, source: Bucket, target: Bucket, now: datetime) -> None:
    """Moves units of lines between two buckets, and books it."""
    ensure((source, target) in ALLOWED_MOVES, f"stock does not move from {source} to {target}")
    rows = [move_row(replace(one, source=source, target=target), now) for one in moves if one.units > 0]
    if rows:
        await conn.execute(MOVE_LINES.format(source=source.value, target=target.value), (to_json(rows),), prepare=True)
        document = to_json({"moves": rows})
        await conn.execute(f"WITH doc AS (SELECT %(doc)s::jsonb AS d), {BOOK_MOVES}", {"doc": document}, prepare=True)


def move_row(one: UnitMove, at: datetime) -> dict[str, Any]:
    """A move as the statements take it."""
    return {
        "order_id": one.order_id,
        "line_id": one.line_id,
        "units": one.units,
        "case_id": one.case_id,
        "source": one.source,
        "target": one.target,
        "at": at,
        **({"to_pool": one.to_pool} if one.to_pool else {}),
    }


MOVE_LINES = """
UPDATE order_lines l SET {source} = l.{source} - m.units, {target} = l.{target} + m.units
FROM jsonb_to_recordset(%s) AS m(order_id text, line_id text, units integer)
WHERE l.order_id = m.order_id AND l.line_id = m.line_id
"""

BOOK_MOVES = """
moved AS (
    SELECT m.*, l.sku, l.location,
        CASE WHEN m.to_pool <> '' THEN m.to_pool WHEN m.target = 'restocked' AND s.is_pool_open IS FALSE THEN 'normal' ELSE l.pool END AS pool
    FROM doc, jsonb_to_recordset(d->'moves') AS m(order_id text, line_id text, units integer, case_id text, source text,
        target text, at timestamptz, to_pool text)
    JOIN order_lines l USING (order_id, line_id)
    LEFT JOIN stock s ON (s.sku, s.location, s.pool) = (l.sku, l.location, l.pool)
), noted AS (
    INSERT INTO stock_moves (order_id, line_id, case_id, source, target, units, sku, location, pool, at)
    SELECT order_id, line_id, case_id, source, target, units, sku, location, pool, at FROM moved
), locked AS (
    SELECT s.sku, s.location, s.pool FROM stock s
    JOIN (SELECT DISTINCT sku, location, pool FROM moved WHERE target = 'restocked') m USING (sku, location, pool)
    ORDER BY s.sku, s.location, s.pool FOR NO KEY UPDATE OF s
)
UPDATE stock s SET available = s.available + back.units
FROM (SELECT m.sku, m.location, m.pool, sum(m.units) AS units FROM moved m JOIN locked USING (sku, location, pool)
      WHERE m.target = 'restocked' GROUP BY m.sku, m.location, m.pool) back
WHERE (s.sku, s.location, s.pool) = (back.sku, back.location, back.pool)
"""
"""The end of a statement whose `doc` holds `moves`: their ledger rows, and the units they give back to pools.

A limited pool that has closed meanwhile does not take units back; they go to the normal pool of the same SKU and location.
"""


async def never_left(conn: Connection, order_id: str) -> dict[LineId, int]:
    """By line: units put back on the shelf from inside the house."""
    cursor = await conn.execute(
        """
        SELECT line_id, sum(units)::integer AS units FROM stock_moves
        WHERE order_id = %s AND source IN ('reserved', 'held') AND target = 'restocked' GROUP BY line_id
        """,
        (order_id,),
    )
    return {LineId(row["line_id"]): row["units"] for row in await cursor.fetchall()}


async def open_pool(conn: Connection, order_id: str, line_ids: Sequence[str], pool: str) -> None:
    """The pool exists beside those the built-in shop keeps of the same SKU and place."""
    await conn.execute(
        """
        INSERT INTO stock (sku, location, pool, available)
        SELECT DISTINCT l.sku, l.location, %(pool)s, 0 FROM order_lines l
        WHERE l.order_id = %(order)s AND l.line_id = ANY(%(lines)s)
          AND EXISTS (SELECT FROM stock s WHERE (s.sku, s.location) = (l.sku, l.location))
        ON CONFLICT DO NOTHING
        """,
        {"order": order_id, "lines": list(line_ids), "pool": pool},
    )


async def set_stock(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Sets the free units of pools of the built-in shop; the opening balance is a ledger row like any other.

    What was there is counted first, which makes it be read before it is overwritten: else the whole new count would be booked.
    """
    await conn.execute(
        """
        WITH n AS (
            SELECT * FROM jsonb_to_recordset(%(rows)s) AS r(sku text, location text, pool text, available integer,
                is_pool_open boolean)
        ), old AS (
            SELECT s.* FROM stock s JOIN n USING (sku, location, pool) ORDER BY s.sku, s.location, s.pool FOR NO KEY UPDATE OF s
        ), counted AS (
            INSERT INTO stock_moves (order_id, line_id, source, target, units, sku, location, pool, at)
            SELECT '', '', CASE WHEN n.available > coalesce(old.available, 0) THEN 'counted' ELSE 'free' END,
                CASE WHEN n.available > coalesce(old.available, 0) THEN 'free' ELSE 'counted' END,
                abs(n.available - coalesce(old.available, 0)), sku, location, pool, unwind_now()
            FROM n LEFT JOIN old USING (sku, location, pool) WHERE n.available <> coalesce(old.available, 0)
        )
        INSERT INTO stock AS s (sku, location, pool, available, is_pool_open)
        SELECT sku, location, pool, available, is_pool_open FROM n WHERE (SELECT count(*) FROM old) >= 0
        ON CONFLICT (sku, location, pool) DO UPDATE SET available = excluded.available, is_pool_open = excluded.is_pool_open
        """,
        {"rows": to_json(list(rows))},
    )


async def read_stock(conn: Connection, sku: str) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        "SELECT sku, location, pool, available, is_pool_open FROM stock WHERE sku = %s ORDER BY location, pool", (sku,)
    )
    return await cursor.fetchall()
