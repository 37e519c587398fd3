"""Callbacks: store, wake, answer. What is true is asked by our own number, later, by the loop.

A payment that the gateway reports for a cancelled order is confirmed by a query before anything is returned.
"""

from collections.abc import Mapping
from typing import Any

import structlog

from unwind.domain.errors import Refusal
from unwind.domain.legs import LegKind
from unwind.domain.outcome import TradeState
from unwind.flow import aftermath
from unwind.flow.services import Services
from unwind.ports.callback import News
from unwind.storage import alerts, cases, inbox, locks, money, orders, shipments
from unwind.storage.database import Connection

log = structlog.get_logger()


async def take_news(services: Services, connection: str, news: News) -> bool:
    """Stores a verified callback and wakes what it is about. False for a repeat. No 2xx before this has committed.

    Raises `unavailable` when the gateway cannot confirm a payment now: unanswered, the sender tells us again.
    """
    if news.kind == "nothing":
        return False
    paid_minor = await _confirm_payment(services, connection, news) if news.kind == "trade.paid" else None
    async with services.database.transaction() as conn:
        payment = None
        if paid_minor is not None:
            payment = await money.payment_of_trade(conn, connection, str(news.data.get("trade_no", "")))
            for order_id in payment["order_ids"] if payment else ():
                await locks.lock_order(conn, order_id)
        case_id = await _case_of(conn, news)
        head = await cases.read_head(conn, case_id) if case_id else None
        if head is not None:
            await locks.lock_order(conn, head["order_id"])
        is_new = await inbox.keep_callback(
            conn, connection=connection, event_id=news.event_id, kind=news.kind, data=news.data
        )
        if not is_new:
            return False
        if case_id is not None:
            await locks.lock_case(conn, case_id)
            await cases.ask_again_now(conn, case_id)
            if news.kind == "recall.failed":
                await cases.lose_patience(conn, case_id, LegKind.RECALL_PARCEL)
            await locks.wake_case(conn, case_id)
        if payment is not None:
            await _book_payment(conn, services, payment, paid_minor)
        if news.kind == "refund.reversed" and head is not None:
            await aftermath.open_incident(
                conn,
                services,
                head["order_id"],
                rule="refund_reversed",
                detail=str(news.data.get("refund_no", "")),
                parent_case_id=case_id,
            )
    return True


async def refuse_news(services: Services, connection: str, *, reason: str) -> None:
    """A callback that does not verify changes nothing; that it came is worth a look."""
    log.warning("callback_refused", connection=connection, reason=reason)
    if not services.health.may_tell_refusal(connection, reason):
        return
    async with services.database.connection() as conn:
        await alerts.raise_alert(conn, connection=connection, kind="callback_unverified", code=reason)


async def _case_of(conn: Connection, news: News) -> str | None:
    if "refund_no" in news.data:
        return await cases.case_of_refund(conn, str(news.data["refund_no"]))
    if "request_id" in news.data:
        return await cases.case_of_request(conn, str(news.data["request_id"]))
    if "outbound_no" in news.data:
        return await cases.case_of_outbound(conn, str(news.data["outbound_no"]))
    if "waybill_no" in news.data:
        return await _case_of_parcel(conn, str(news.data.get("waybill_no", "")))
    return None


async def _case_of_parcel(conn: Connection, waybill_no: str) -> str | None:
    parcel = await shipments.shipment_of_waybill(conn, waybill_no)
    if parcel is None:
        return None
    await shipments.look_again(conn, parcel["order_id"], parcel["shipment_id"])
    open_cases = await cases.open_cases_of(conn, parcel["order_id"])
    return open_cases[0] if open_cases else None


async def _confirm_payment(services: Services, connection: str, news: News) -> int | None:
    """What the gateway itself says was paid; None when it says that nothing was."""
    gateway = services.gateways.get(connection)
    if gateway is None:
        return None
    trade = await gateway.query_trade(str(news.data.get("trade_no", "")))
    if trade.state is TradeState.UNKNOWN:
        raise Refusal("unavailable")
    if trade.state is not TradeState.PAID:
        log.warning("callback_not_confirmed", connection=connection, state=trade.state)
        return None
    return trade.paid_minor


async def _book_payment(
    conn: Connection, services: Services, payment: Mapping[str, Any], paid_minor: int | None
) -> None:
    """The late-payment guard, for every order of the payment. The order rows are locked."""
    await money.set_payment_state(conn, payment["payment_id"], state="captured", captured_minor=paid_minor)
    for order_id in payment["order_ids"]:
        await orders.mark_paid(conn, order_id)
        parent = await cases.latest_closed_case(conn, order_id)
        await aftermath.open_late_payment(conn, services, order_id, parent_case_id=parent)
