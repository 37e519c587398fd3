"""A second contact about something already open: an event on that case, and more urgency; never a second case."""

from unwind.domain.seal import commit_to
from unwind.domain.transitions import Event, State
from unwind.flow.ask_buyer import end_question
from unwind.flow.chronicle import clock, record
from unwind.flow.services import Services
from unwind.flow.watch import stop_waiting
from unwind.policy.facts import Words
from unwind.storage import cases, locks, privacy
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
) -> None:
    """Raises the case and makes it due. The order row is locked already; the case is locked here."""
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
    contact = head["contacts"] + 1
    data: dict[str, object] = {"channel": channel, "reason": words.reason, "intent": words.intent, "contact": contact}
    if text:
        key = await privacy.keep_private(
            conn, services.vault, head["order_id"], {"words": text}, wrapped_key=wrapped_key, case_id=case_id
        )
        data["words"] = commit_to(text, key=key)
    raised = head["priority"] + RAISED_PRIORITY
    ceiling = PRIORITY_MAX if head["priority"] >= PRIORITY_MAX else PRIORITY_MAX - 1
    await record(
        conn,
        case_id,
        Event.CONTACTED_AGAIN,
        at=now,
        actor=actor,
        data=data,
        priority=min(ceiling, max(raised, THIRD_CALL_PRIORITY) if contact >= THIRD_CALL else raised),
        more_contacts=1,
        is_due_now=True,
    )
