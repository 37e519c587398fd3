"""For those who run the connections: how each fares, a harmless test call, and what somebody should look at."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from unwind.domain.access import Scope, authorise
from unwind.domain.errors import Refusal, require
from unwind.flow.services import Link
from unwind.storage import alerts, connections
from unwind.web.access import Caller, Wired
from unwind.web.responses import ERRORS, json_response

router = APIRouter(prefix="/api/v1/admin", tags=["administration"])
ListSize = Annotated[int, Query(ge=1, le=500)]


@router.get("/connections", responses=ERRORS)
async def list_connections(services: Wired, caller: Caller) -> Response:
    """Every configured connection with the calls of the last 15 minutes; `healthy_percent` is null where there were none."""
    authorise(caller, Scope.OPERATIONS_READ)
    async with services.database.connection() as conn:
        health = await connections.health(conn)
    mine = [link for link in services.links.values() if caller.merchant_id in {None, link.merchant_id}]
    return json_response({"connections": [shown(link, health.get(link.connection_id)) for link in mine]})


@router.post("/connections/{connection_id}/test", responses=ERRORS)
async def test_connection(services: Wired, caller: Caller, connection_id: str) -> Response:
    """Asks the other side about something that does not exist: is it there, does it take our signature, does its own hold?"""
    authorise(caller, Scope.ADMIN)
    link = services.links.get(connection_id)
    if link is None:
        raise Refusal("not_found")
    authorise(caller, Scope.ADMIN, merchant_id=link.merchant_id, is_platform=link.merchant_id is None)
    probe = await link.probe()
    return json_response({"connection_id": connection_id, "result": probe.result.value, "code": probe.code})


@router.get("/alerts", responses=ERRORS)
async def list_alerts(services: Wired, caller: Caller, limit: ListSize = 100) -> Response:
    """Broken signatures, codes nobody knows, wrong settings, connections that are down: one row per kind, newest first."""
    authorise(caller, Scope.OPERATIONS_READ, is_platform=True)
    async with services.database.connection() as conn:
        return json_response({"alerts": await alerts.open_alerts(conn, alerts_max=limit)})


@router.post("/alerts/{alert_id}/close", responses=ERRORS)
async def close_alert(services: Wired, caller: Caller, alert_id: int) -> Response:
    """Somebody has looked. If it happens again, a new alert opens."""
    authorise(caller, Scope.ADMIN, is_platform=True)
    async with services.database.transaction() as conn:
        require(await alerts.close_alert(conn, alert_id, by=caller.actor), "not_found")
    return json_response({"alert_id": alert_id, "state": "closed"})


def shown(link: Link, row: dict[str, Any] | None) -> dict[str, Any]:
    calls, failed = (row["calls"], row["failed"]) if row else (0, 0)
    return {
        "connection_id": link.connection_id,
        "provider": link.provider,
        "kind": link.kind,
        "title": link.title,
        "merchant_id": link.merchant_id,
        "channel": link.channel,
        "calls": calls,
        "failed": failed,
        "healthy_percent": round(100 * (calls - failed) / calls) if calls else None,
        "alerts": row["alerts"] if row else 0,
        "is_down": bool(row and row["is_down"]),
    }
