"""What the dialects of carriers share.

Where a carrier has no number of the caller's for an intercept, the waybill is the number: asked twice, it answers "already".
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.answers import Answer
from sandbox.callbacks import Letter
from sandbox.keyring import Keyring
from sandbox.world import World

BEIJING = ZoneInfo("Asia/Shanghai")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CLOCK_WINDOW_S = 600.0
HTTP_OK, HTTP_NOT_FOUND = 200, 404
RECALL_OUTCOMES = {"ACCEPTED", "RETURNING", "RETURNED"}


def md5(text: str) -> bytes:
    return hashlib.md5(text.encode()).digest()  # noqa: S324 - the carriers' own


def beijing(text: str | None) -> str:
    """An instant of the ledger as these carriers write it."""
    return "" if not text else datetime.fromisoformat(text).astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def request_body(number: str) -> dict[str, str]:
    return {"request_id": f"intercept-{number}", "order_no": "", "reason": ""}


def is_known(world: World, connection: str, number: str) -> bool:
    query = "SELECT 1 FROM recalls WHERE connection = ? AND request_id = ?"
    return world.ledger.one(query, connection, f"intercept-{number}") is not None


def refusal_text(answer: Answer) -> str:
    """Why a recall is not possible, in the words people read there."""
    if answer.status == HTTP_NOT_FOUND:
        return "运单不存在"
    stage = str(answer.body.get("stage", ""))
    if stage == "delivered":
        return "运单已签收,无法拦截"
    if stage in {"none", "released", "picking", "packed", "label_printed"}:
        return "运单未揽收,无法拦截"
    return "当前状态不支持拦截"


class CarrierDialect:
    """What they share: keys of the ring, and pushes that are not sent unless a subclass writes them."""

    provider = ""
    repeat_after_s: tuple[float, ...] = (60, 300, 1800)

    def __init__(self, world: World, keyring: Keyring) -> None:
        self._world, self._keyring = world, keyring

    def _key(self, connection: str, name: str) -> str:
        return self._keyring.text(connection, name)

    def letter(self, connection: str, event: Mapping[str, Any]) -> Letter | None:
        del connection, event
        return None

    def is_taken(self, status: int, body: bytes) -> bool:
        del body
        return status == HTTP_OK
