"""Builds the next events of a case: each a legal move, each chained to the one before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from unwind.domain.seal import GENESIS, event_hash
from unwind.domain.transitions import Event, State, next_state


@dataclass(slots=True, kw_only=True)
class History:
    """Starts where a case stands; `events` holds what was added, ready to be stored."""

    case_id: str
    at: datetime
    state: State = State.NEW
    seq: int = 0
    head: bytes = GENESIS
    events: list[dict[str, object]] = field(default_factory=list)

    def add(self, event: Event, *, actor: str, data: Mapping[str, object] | None = None) -> None:
        """Refuses a move that the table does not have."""
        target = next_state(self.state, event)
        self.seq += 1
        self.head = event_hash(
            self.head,
            case_id=self.case_id,
            seq=self.seq,
            at=self.at,
            move=(self.state.value, event.value, target.value),
            actor=actor,
            data=data or {},
        )
        self.events.append(
            {
                "case_id": self.case_id,
                "seq": self.seq,
                "at": self.at,
                "from_state": self.state.value,
                "event": event.value,
                "to_state": target.value,
                "actor": actor,
                "data": data or {},
                "hash": self.head.hex(),
            }
        )
        self.state = target


def first_break(case_id: str, events: Sequence[Mapping[str, object]]) -> int | None:
    """The sequence number at which a stored history stops being the one that was sealed; None when unbroken."""
    head = GENESIS
    for expected, event in enumerate(events, start=1):
        at = event["at"]
        stored = event["hash"]
        data = event["data"]
        assert isinstance(at, datetime) and isinstance(data, Mapping)  # noqa: S101, PT018 - narrows the row's types
        head = event_hash(
            head,
            case_id=case_id,
            seq=expected,
            at=at,
            move=(str(event["from_state"]), str(event["event"]), str(event["to_state"])),
            actor=str(event["actor"]),
            data=data,
        )
        if event["seq"] != expected or stored != head:
            return expected
    return None
