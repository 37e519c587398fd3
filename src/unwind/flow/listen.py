"""Callbacks: store, wake, answer. What is true is asked by our own number, later, by the loop.

A payment that the gateway reports for a cancelled order is confirmed by a query before anything is returned.
"""

import structlog

from unwind.domain.outcome import TradeState
from unwind.flow import aftermath
from unwind.flow.services import Services
from unwind.ports.callback import News
from unwind.storage import cases, inbox, locks, money, orders, shipments
from unwind.storage.database import Connection

log = structlog.get_logger()


async def take_news(services: Services, connection: str, news: News) -> bool:
    """Stores a verified callback and wakes what it is about. False for a repeat. No 2xx before this has committed."""
    async with services.database.transaction() as conn:
        is_new = await inbox.keep_callback(
            conn, connection=connection, event_id=news.event_id, kind=news.kind, data=news.data
        )
        if is_new:
            case_id = await _case_of(conn, news)
            if case_id is not None:
                await locks.lock_case(conn, case_id)
                await cases.ask_again_now(conn, case_id)
                await locks.wake_case(conn, case_id)
    if is_new and news.kind == "trade.paid":
        await _check_payment(services, connection, str(news.data.get("trade_no", "")))
    if is_new and news.kind == "refund.reversed":
        await _check_reversal(services, news)
    return is_new


async def _case_of(conn: Connection, news: News) -> str | None:
    if "refund_no" in news.data:
        return await cases.case_of_refund(conn, str(news.data["refund_no"]))
    if "request_id" in news.data:
        return await cases.case_of_request(conn, str(news.data["request_id"]))
    if news.kind == "parcel.moved":
        return await _case_of_parcel(conn, str(news.data.get("waybill_no", "")))
    return None


async def _case_of_parcel(conn: Connection, waybill_no: str) -> str | None:
    parcel = await shipments.shipment_of_waybill(conn, waybill_no)
    if parcel is None:
        return None
    await shipments.look_again(conn, parcel["order_id"], parcel["shipment_id"])
    open_cases = await cases.open_cases_of(conn, parcel["order_id"])
    return open_cases[0] if open_cases else None


async def _check_payment(services: Services, connection: str, trade_no: str) -> None:
    """The late-payment guard. Orders are locked one after the other, in order of their ids."""
    gateway = services.gateways.get(connection)
    if gateway is None:
        return
    trade = await gateway.query_trade(trade_no)
    if trade.state is not TradeState.PAID:
        log.warning("callback_not_confirmed", connection=connection, state=trade.state)
        return
    async with services.database.transaction() as conn:
        payment = await money.payment_of_trade(conn, connection, trade_no)
        if payment is None:
            log.warning("payment_unknown", connection=connection)
            return
        for order_id in payment["order_ids"]:
            await locks.lock_order(conn, order_id)
        await money.set_payment_state(conn, payment["payment_id"], state="captured", captured_minor=trade.paid_minor)
        for order_id in payment["order_ids"]:
            await orders.mark_paid(conn, order_id)
            parent = await cases.latest_closed_case(conn, order_id)
            await aftermath.open_late_payment(conn, services, order_id, parent_case_id=parent)


async def _check_reversal(services: Services, news: News) -> None:
    """A refund that was final and came back: a person owns it."""
    refund_no = str(news.data.get("refund_no", ""))
    async with services.database.transaction() as conn:
        case_id = await cases.case_of_refund(conn, refund_no)
        head = await cases.read_head(conn, case_id) if case_id else None
        if head is None:
            return
        await locks.lock_order(conn, head["order_id"])
        await aftermath.open_incident(
            conn, services, head["order_id"], rule="refund_reversed", detail=refund_no, parent_case_id=case_id
        )
