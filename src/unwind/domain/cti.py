"""What telephone systems say about a call, whatever they call it: a table of names per vendor, before it those of one installation.

Screen-pop addresses and server events carry the same few things under different names. Nothing here knows who the caller is.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from unwind.domain.errors import Refusal
from unwind.domain.phone import Phone, parse_phone

CALL_ID = re.compile(r"[0-9A-Za-z_.:\-]{1,64}")
NAME = re.compile(r"[0-9A-Za-z_.:@\-]{1,64}")
RECORDING = re.compile(r"[0-9A-Za-z_.:/=?&%\-]{1,300}")
DURATION_DIGITS_MAX = 6
MOBILE_WITHIN = re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)")
AGENTS_MAX = 50


class CallEvent(StrEnum):
    RING = "ring"
    ANSWERED = "answered"
    HUNG_UP = "hung_up"
    RECORD = "record"
    """The record that comes after the call (CDR)."""


EVENT_WORDS = {
    CallEvent.RING: {"newcall", "ring", "ringing", "callin", "alerting", "start", ""},
    CallEvent.ANSWERED: {"answer", "answered", "talking", "connected", "link"},
    CallEvent.HUNG_UP: {"hangup", "hung_up", "release", "disconnected", "end", "unlink"},
    CallEvent.RECORD: {"cdr", "record", "recording"},
}
OUTGOING = frozenset({"out", "outbound", "outgoing", "callout", "1"})
FIELDS = ("event", "caller", "called", "call_id", "agent", "queue", "direction", "duration_s", "recording")

GENERIC: Mapping[str, tuple[str, ...]] = {
    "event": ("event",),
    "caller": ("caller",),
    "called": ("called",),
    "call_id": ("callid", "call_id"),
    "agent": ("agent",),
    "queue": ("queue",),
    "direction": ("dir", "direction"),
    "duration_s": ("duration_s", "duration"),
    "recording": ("recording",),
}
VENDORS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "generic": {},
    "huawei_cec": {
        "caller": ("callerNum",),
        "called": ("calledNum",),
        "call_id": ("callid",),
        "agent": ("workNo",),
        "queue": ("callskill", "callskillid"),
        "direction": ("callType",),
    },
    "asterisk": {
        "caller": ("Callerid",),
        "called": ("Calleeid", "DID"),
        "call_id": ("Uniqueid",),
        "agent": ("Agent", "Exten"),
        "recording": ("RecordFile",),
    },
    "servicenow": {"caller": ("sysparm_caller_phone",), "call_id": ("sysparm_call_id",)},
    "znuny": {"caller": ("CallerID",)},
    "zammad": {
        "caller": ("from",),
        "called": ("to",),
        "call_id": ("callId",),
        "agent": ("user[]", "user", "answeringNumber"),
        "direction": ("direction",),
    },
}
"""As shipped; an administrator writes down what an installation calls things differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallNews:
    event: CallEvent
    call_id: str
    """Empty where the system names none: then there is a card to show and nothing to remember."""
    is_outgoing: bool
    other: Phone | None
    """Whoever is not ours: the caller, or on a call of ours the called. None where the number is hidden."""
    agents: tuple[str, ...]
    """Work numbers the call names."""
    queue: str
    duration_s: int | None
    recording: str


def read_news(given: Mapping[str, Sequence[str]], *, vendor: str, aliases: Mapping[str, Sequence[str]]) -> CallNews:
    """Refuses with `invalid` what cannot be a call; names are compared whatever their case, the first that is there counts."""
    known = {name.casefold(): [text.strip() for text in texts] for name, texts in given.items()}

    def values(field: str) -> list[str]:
        names = (*aliases.get(field, ()), *VENDORS.get(vendor, {}).get(field, ()), *GENERIC[field])
        return next((known[n.casefold()] for n in names if any(known.get(n.casefold(), ()))), [])

    def first(field: str) -> str:
        return next(iter(values(field)), "")

    is_outgoing = first("direction").casefold() in OUTGOING
    call_id, duration, recording = first("call_id"), first("duration_s"), first("recording")
    agents = tuple(text for text in values("agent") if text)
    _require(not call_id or CALL_ID.fullmatch(call_id), "call_id")
    _require(len(agents) <= AGENTS_MAX and all(NAME.fullmatch(text) for text in agents), "agent")
    _require(
        not duration or (duration.isascii() and duration.isdigit() and len(duration) <= DURATION_DIGITS_MAX),
        "duration_s",
    )
    _require(not recording or RECORDING.fullmatch(recording), "recording")
    queue = first("queue")
    return CallNews(
        event=_event(first("event")),
        call_id=call_id,
        is_outgoing=is_outgoing,
        other=parse_phone(first("called" if is_outgoing else "caller")),
        agents=agents,
        queue=queue if NAME.fullmatch(queue) else "",
        duration_s=int(duration) if duration else None,
        recording=recording,
    )


def _event(word: str) -> CallEvent:
    for event, words in EVENT_WORDS.items():
        if word.casefold() in words:
            return event
    raise Refusal("unknown_event")


def _require(holds: object, field: str) -> None:
    if not holds:
        raise Refusal("invalid", field=field)


def tells_number(recording: str, phone: Phone | None) -> bool:
    """Recordings are often named after the caller."""
    digits = "".join(ch for ch in recording if ch.isdigit())
    return MOBILE_WITHIN.search(recording) is not None or (phone is not None and phone.number in digits)
