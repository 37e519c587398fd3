"""Amounts that are written in yuan on the wire. Integers of fen inside; Decimal at the edge; never a float."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from unwind.adapters.fields import AMOUNT_MAX, Malformed, read_text

_YUAN_PATTERN = re.compile(r"[0-9]{1,15}(\.[0-9]{1,2})?")


def to_yuan(amount_minor: int) -> str:
    return f"{Decimal(amount_minor) / 100:.2f}"


def read_yuan(body: Mapping[str, Any], name: str, *, least_minor: int = 0) -> int:
    """Fen. A number in JSON instead of a text, a sign or a third decimal make the answer worthless."""
    text = read_text(body, name)
    if not _YUAN_PATTERN.fullmatch(text):
        raise Malformed(name)
    amount_minor = int(Decimal(text) * 100)
    if not least_minor <= amount_minor <= AMOUNT_MAX:
        raise Malformed(name)
    return amount_minor
