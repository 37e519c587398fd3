"""Writes events of a case: the next link of its chain and the case row it leads to, together."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from unwind.domain.access import SYSTEM
from unwind.domain.errors import ensure
from unwind.domain.history import History
from unwind.domain.transitions import BESIDE_THE_POINT, Event, State
from unwind.storage import cases, clocks, questions
from unwind.storage.database import Connection


async def record(
    conn: Connection,
    case_id: str,
    event: Event,
    *,
    at: datetime,
    data: Mapping[str, object],
    actor: str = SYSTEM.actor,
    **change: Any,
) -> State:
    """Appends one event to a locked case; a case that leaves the review waits for nobody's answer any more. `change` names further columns of `cases.CaseChange`."""
    head = await cases.read_head(conn, case_id)
    ensure(head is not None, f"case {case_id} exists")
    assert head is not None  # noqa: S101 - for the type checker; ensured above
    history = History(case_id=case_id, at=at, state=State(head["state"]), seq=head["event_seq"], head=head["head"])
    history.add(event, actor=actor, data=data)
    await cases.append_events(
        conn,
        case_id,
        history.events,
        cases.CaseChange(
            state=history.state,
            event_seq=history.seq,
            head=history.head,
            is_beside_the_point=event in BESIDE_THE_POINT,
            **change,
        ),
    )
    if head["state"] == State.REVIEW and history.state is not State.REVIEW:
        await clocks.end_pause(conn, case_id, at)
        await questions.withdraw_questions(conn, case_id, at)
    return history.state


async def clock(conn: Connection) -> datetime:
    """The one clock, read inside the transaction it is used in."""
    cursor = await conn.execute("SELECT unwind_now() AS now", prepare=True)
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    now: datetime = row["now"]
    return now
