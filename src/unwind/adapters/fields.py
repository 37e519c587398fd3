"""Fields of an answer, read with distrust: a wrong type makes the whole answer worthless. Shared by every adapter."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import orjson
import structlog

from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.domain.personal import is_personal
from unwind.domain.stage import Stage

log = structlog.get_logger(__name__)

Meaning = TypeVar("Meaning")

TEXT_LENGTH_MAX = 128
AMOUNT_MAX = 2**53
_CURRENCY_PATTERN = re.compile(r"[A-Z]{3}")
_INSTANT_PATTERN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.]{8,20}([Zz]|[+-][0-9]{2}:[0-9]{2})")


class Malformed(Exception):
    """The named field is not what the contract says. Carries the name, never the value."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    @property
    def outcome(self) -> Outcome:
        """What a call came to whose answer has such a field."""
        return Outcome(kind=OutcomeKind.UNKNOWN, code=f"malformed:{self.name}")


def parse_object(raw: bytes | str) -> dict[str, Any] | None:
    """A JSON object; None for anything else."""
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def read_answer(answer: dict[str, Any] | Outcome, reader: Callable[[dict[str, Any]], Outcome]) -> Outcome:
    """What a call came to: its trouble, or what `reader` makes of the answer; UNKNOWN where it is malformed."""
    if isinstance(answer, Outcome):
        return answer
    try:
        return reader(answer)
    except Malformed as malformed:
        log.warning("malformed_answer", field=malformed.name)
        return malformed.outcome


def refuse_if(condition: bool, name: str) -> None:  # noqa: FBT001  reads as a sentence
    """For what no single field can tell: the named field contradicts another or the call."""
    if condition:
        raise Malformed(name)


def read_choice(body: Mapping[str, Any], name: str, meanings: Mapping[str, Meaning]) -> tuple[str, Meaning]:
    """The word and what it means to us; a word that the contract does not have makes the answer worthless."""
    word = read_text(body, name)
    if word not in meanings:
        raise Malformed(name)
    return word, meanings[word]


def read_text(body: Mapping[str, Any], name: str, *, required: bool = True) -> str:
    value = body.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or len(value) > TEXT_LENGTH_MAX or (required and not value):
        raise Malformed(name)
    if not value.isprintable():  # control characters are in no number, and no database takes a NUL
        raise Malformed(name)
    return value


def read_place(body: Mapping[str, Any]) -> str:
    """Of a parcel's route. Carriers write whatever they like there: what names a courier's telephone is left out."""
    place = read_text(body, "place", required=False)
    return "" if is_personal(place) else place


def read_object(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object within the object."""
    value = body.get(name)
    if not isinstance(value, dict):
        raise Malformed(name)
    return value


def read_same(body: Mapping[str, Any], name: str, expected: str) -> None:
    """An answer about another number is not an answer to us."""
    if read_text(body, name) != expected:
        raise Malformed(name)


def read_amount(body: Mapping[str, Any], name: str, *, least_minor: int = 0) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least_minor <= value <= AMOUNT_MAX:
        raise Malformed(name)
    return value


def read_currency(body: Mapping[str, Any], name: str = "currency") -> str:
    value = read_text(body, name)
    if not _CURRENCY_PATTERN.fullmatch(value):
        raise Malformed(name)
    return value


def read_instant(body: Mapping[str, Any], name: str) -> datetime | None:
    """RFC 3339 with offset; None for null or absent."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not _INSTANT_PATTERN.fullmatch(value):
        raise Malformed(name)
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:
        raise Malformed(name) from None


def read_stage(body: Mapping[str, Any], name: str = "stage") -> Stage:
    try:
        return Stage(read_text(body, name))
    except ValueError:
        raise Malformed(name) from None
