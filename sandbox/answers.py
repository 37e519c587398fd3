"""What a call carries in and what goes back, before signatures and faults."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One planned misbehaviour. `seconds` and `retry_after_s` mean what faults.py says for its name."""

    name: str
    seconds: float | None = None
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    connection: str
    operation: str
    number: str
    """The number in the path, empty where the path has none."""
    body: Mapping[str, Any]
    fault: Fault | None = None

    def is_fault(self, name: str) -> bool:
        return self.fault is not None and self.fault.name == name


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: Mapping[str, Any]
    subject: str = ""
    """Whose callbacks belong to this call: a refund number or a request id."""


class RefusalError(Exception):
    """An answer other than 200, in the contract's words."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.answer = Answer(status=status, body={"code": code, "message": message or code})


NUMBER_LENGTH_MAX = 128
AMOUNT_MAX = 10**15


def read_text(body: Mapping[str, Any], name: str, *, required: bool = True) -> str:
    value = body.get(name, "")
    if not isinstance(value, str) or (required and not value) or len(value) > NUMBER_LENGTH_MAX:
        raise RefusalError(400, "PARAM_ERROR", f"{name}: text of 1 to {NUMBER_LENGTH_MAX} characters")
    return value


def read_amount(body: Mapping[str, Any], name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < AMOUNT_MAX:
        raise RefusalError(400, "PARAM_ERROR", f"{name}: positive integer in minor units")
    return value
