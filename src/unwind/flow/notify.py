"""Step 7: tell people what is true, once per fact, over the channel they came by.

What the buyer is owed follows from the rows (`next_step.news_of`), so a crash neither loses nor repeats a message. A channel that cannot
remove repeats is not used twice after doubt: the message is marked undelivered with its reason instead.
"""

from datetime import timedelta
from typing import Any

from unwind.domain.case import Case
from unwind.domain.legs import LegKind, LegState
from unwind.domain.next_step import news_of
from unwind.domain.order import Order
from unwind.domain.outcome import OutcomeKind
from unwind.domain.transitions import Event
from unwind.flow.chronicle import clock, record
from unwind.flow.estimates import estimate_for
from unwind.flow.execute import Lease, lock_both
from unwind.flow.receipt import buyer_channel
from unwind.flow.services import Services
from unwind.flow.wording import text_of
from unwind.ports.notifier import MessageCall
from unwind.storage import locks, messages, privacy
from unwind.storage.database import Connection

ATTEMPTS_MAX = 8
ADDRESS_FIELD = {"sms": "phone", "email": "email"}


async def tell(services: Services, lease: Lease) -> None:
    """Writes down what is owed, then sends what is due."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, lease.case_id, token=lease.token)
        for fact in sorted(news_of(locked.case) - locked.case.told):
            await messages.add_message(
                conn,
                case_id=lease.case_id,
                order_id=locked.order.order_id,
                audience="buyer",
                channel=buyer_channel(locked.case.channel),
                fact=fact,
                params=_params(locked.case, locked.order, fact),
            )
    async with services.database.connection() as conn:
        due = await messages.due_messages(conn, lease.case_id)
    for message in due:
        await _send(services, message, lease)


def _params(case: Case, order: Order, fact: str) -> dict[str, object]:
    """Amounts and estimates by the methods that were really used."""
    _, _, part_no = fact.partition(":")
    refunds = [
        leg
        for part in case.parts
        if part_no and part.part_no == int(part_no)
        for leg in part.legs
        if leg.kind is LegKind.REFUND and leg.state is not LegState.RELEASED
    ]
    methods = [p.method for leg in refunds for p in order.payments if p.payment_id == leg.target]
    estimates = [estimate_for(method) for method in dict.fromkeys(methods)]
    return {
        "amount_minor": sum(leg.amount_minor for leg in refunds),
        "currency": order.currency,
        "estimate_zh": ";".join(estimate.zh for estimate in estimates) or estimate_for("").zh,
        "estimate_en": "; ".join(estimate.en for estimate in estimates) or estimate_for("").en,
    }


async def _send(services: Services, message: dict[str, Any], lease: Lease) -> None:
    """Claim, commit, call, record; as for any outside call."""
    notifier = services.notifiers.get(message["channel"])
    async with services.database.transaction() as conn:
        await locks.lock_case(conn, lease.case_id, lease_token=lease.token)
        await locks.renew_lease(conn, lease.case_id, lease.token)
        if notifier is None:
            await _finish(conn, message, lease, state="undelivered", code="no_channel")
            return
        if message["state"] == "claimed" and not notifier.resend_is_safe:
            await _finish(conn, message, lease, state="undelivered", code="doubt")
            return
        address = ""
        field = ADDRESS_FIELD.get(message["channel"])
        if field is not None:
            address = await privacy.open_private(conn, services.vault, message["order_id"], field) or ""
        if field is not None and not address:
            await _finish(conn, message, lease, state="undelivered", code="no_address")
            return
        language = await privacy.open_private(conn, services.vault, message["order_id"], "language") or "zh"
        await messages.set_message(
            conn, message["message_id"], state="claimed", code="", next_try_at=None, sent_at=None
        )
    outcome = await notifier.send(
        MessageCall(
            message_id=message["message_id"],
            audience=message["audience"],
            channel=message["channel"],
            address=address,
            template=message["fact"].split(":", 1)[0],
            text=text_of(message["fact"], message["params"], language=language),
            params=message["params"],
        )
    )
    async with services.database.transaction() as conn:
        await locks.lock_case(conn, lease.case_id, lease_token=lease.token)
        if outcome.kind in {OutcomeKind.SUCCEEDED, OutcomeKind.PROCESSING}:
            await _finish(conn, message, lease, state="sent", code=outcome.code)
        elif outcome.kind is OutcomeKind.REFUSED or message["attempts"] + 1 >= ATTEMPTS_MAX:
            await _finish(conn, message, lease, state="undelivered", code=outcome.code or outcome.kind.value)
        else:
            delay = services.pace.after(message["attempts"])
            next_try_at = await clock(conn) + max(delay, timedelta(seconds=outcome.retry_after_s or 0))
            await messages.set_message(
                conn, message["message_id"], state="claimed", code=outcome.code, next_try_at=next_try_at, sent_at=None
            )


async def _finish(conn: Connection, message: dict[str, Any], lease: Lease, *, state: str, code: str) -> None:
    now = await clock(conn)
    await messages.set_message(
        conn,
        message["message_id"],
        state=state,
        code=code,
        next_try_at=None,
        sent_at=now if state == "sent" else None,
    )
    data = {"fact": message["fact"], "audience": message["audience"], "state": state, "code": code}
    await record(conn, lease.case_id, Event.MESSAGE_RECORDED, at=now, data=data)
