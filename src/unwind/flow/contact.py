"""A second contact about something already open: an event on that case, and more urgency; never a second case."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from unwind.domain.seal import commit_to
from unwind.domain.transitions import Event, State
from unwind.domain.warnings import offers_outside_payment
from unwind.flow.ask_buyer import end_question
from unwind.flow.chronicle import clock, record
from unwind.flow.receipt import buyer_channel
from unwind.flow.services import Services
from unwind.flow.watch import stop_waiting
from unwind.policy.facts import Words
from unwind.storage import alerts, cases, contacts, locks, messages, privacy
from unwind.storage.database import Connection
from unwind.tagging import Intent

GOES_ON_WAITING = frozenset({Intent.WHERE_IS_MY_ORDER, Intent.OTHER})
"""Whoever has agreed to wait and only asks where it is, waits on."""
RAISED_PRIORITY = 10
PRIORITY_MAX = 100
THIRD_CALL, THIRD_CALL_PRIORITY = 3, 90
"""Whoever has to ask a third time is dealt with among the most urgent."""


async def contact_again(
    conn: Connection,
    services: Services,
    case_id: str,
    *,
    actor: str,
    words: Words,
    channel: str,
    text: str,
    wrapped_key: bytes | None,
    ref: str = "",
) -> None:
    """Raises the case and makes it due. The order row is locked already; the case is locked here.

    `ref`: the call or conversation; what a case has heard of it already is not counted again, though new words are kept.
    """
    await locks.lock_case(conn, case_id)
    head = await cases.read_head(conn, case_id)
    if head is None or head["state"] == State.ARCHIVED:
        return
    now = await clock(conn)
    if head["state"] == State.REVIEW:
        await end_question(conn, services, case_id, actor=actor, at=now)
    if head["state"] == State.WATCHING and words.intent not in GOES_ON_WAITING:
        await stop_waiting(conn, services, case_id, actor=actor)
        head = await cases.read_head(conn, case_id) or head
    is_new = not ref or await contacts.add_contact(conn, case_id, ref, at=now)
    if not is_new and not text:
        return
    data: dict[str, object] = {"channel": channel, "reason": words.reason, "intent": words.intent}
    if text:
        key = await privacy.keep_private(
            conn, services.vault, head["order_id"], {"words": text}, wrapped_key=wrapped_key, case_id=case_id
        )
        data["words"] = commit_to(text, key=key)
    await _raise_case(conn, services, case_id, head, at=now, actor=actor, data=data, ref=ref, is_new=is_new)
    if text and offers_outside_payment(text):
        await _flag_scam(conn, case_id, head["order_id"], channel=channel, at=now)


async def _flag_scam(conn: Connection, case_id: str, order_id: str, *, channel: str, at: datetime) -> None:
    await record(conn, case_id, Event.SCAM_FLAGGED, at=at, data={"kind": "outside_payment"}, is_due_now=True)
    await messages.add_message(
        conn,
        case_id=case_id,
        order_id=order_id,
        audience="buyer",
        channel=buyer_channel(channel),
        fact="scam_warning",
        params={},
    )
    row = await cases.read_case_row(conn, case_id)
    await warn_staff(conn, row["merchant_id"] if row else "", case_id)


async def warn_staff(conn: Connection, merchant_id: str, case_id: str) -> None:
    """Somebody of this merchant's offers to be paid outside the platform, or pretends to be. Last in its transaction."""
    await alerts.raise_alert(conn, connection="scam", kind="outside_payment", code=merchant_id, case_id=case_id)


async def note_contact(
    conn: Connection, services: Services, case_id: str, *, actor: str, channel: str, ref: str
) -> bool:
    """Somebody has called or written about a case, and nothing more is known of it. Once per `ref`; False when it was known."""
    head = await cases.read_head(conn, case_id)
    if head is None:
        return False
    await locks.lock_order(conn, head["order_id"])
    await locks.lock_case(conn, case_id)
    head = await cases.read_head(conn, case_id)
    now = await clock(conn)
    if head is None or head["state"] == State.ARCHIVED or not await contacts.add_contact(conn, case_id, ref, at=now):
        return False
    await _raise_case(conn, services, case_id, head, at=now, actor=actor, data={"channel": channel}, ref=ref)
    return True


async def _raise_case(
    conn: Connection,
    services: Services,
    case_id: str,
    head: Mapping[str, Any],
    *,
    at: datetime,
    actor: str,
    data: Mapping[str, object],
    ref: str,
    is_new: bool = True,
) -> None:
    if head["state"] == State.REVIEW:
        await end_question(conn, services, case_id, actor=actor, at=at)
    contact = head["contacts"] + is_new
    raised = head["priority"] + RAISED_PRIORITY if is_new else head["priority"]
    ceiling = PRIORITY_MAX if head["priority"] >= PRIORITY_MAX else PRIORITY_MAX - 1
    await record(
        conn,
        case_id,
        Event.CONTACTED_AGAIN,
        at=at,
        actor=actor,
        data={**data, "contact": contact, **({"ref": ref} if ref else {})},
        priority=min(ceiling, max(raised, THIRD_CALL_PRIORITY) if contact >= THIRD_CALL else raised),
        more_contacts=int(is_new),
        is_due_now=True,
    )
