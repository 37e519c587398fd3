"""Which alternatives may be put to a buyer, by reason and by where the goods are. Data: `offers.json`."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from unwind.domain.questions import Offer, OnSilence


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads((Path(__file__).parent / "offers.json").read_text(encoding="utf-8"))
    return table


def _row(reason: str, place: str) -> dict[str, Any]:
    table = _table()
    row: dict[str, Any] = table["reasons"].get(reason, table["otherwise"]).get(place, {})
    return row


def allowed_offers(reason: str, place: str) -> frozenset[Offer]:
    """`place`: in_house, on_the_way or elsewhere. Nothing is offered where the goods are nobody knows where."""
    return frozenset(Offer(name) for name in _row(reason, place).get("offers", []))


def silence_of(reason: str, place: str) -> OnSilence:
    """What follows when the buyer does not answer."""
    return OnSilence(_row(reason, place).get("on_silence", OnSilence.PERSON))
