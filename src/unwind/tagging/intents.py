"""What the buyer wants done, which is read before why: the same "还没发货" is a question in a chat and a reason in the reason box.

Promised: an order is never read as a cancellation only because the word 取消 occurs; "别取消", "再不发就取消" and "取消要扣钱吗"
are told apart from "取消".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from unwind.tagging.labels import Intent, Reason
from unwind.tagging.rules import Hit

OUTRIGHT: Final = 3.0
SPOKEN_CHANNELS: Final = frozenset({"chat", "hotline"})

_ASKS: Final = re.compile(
    r"\?|[吗嘛呢么]|什么时候|哪|多久|几[点天号]|催|查|为什么|怎么还|尽快|快点|赶紧发|\b(?:where|when|why|how|any)\b"
)
_QUESTION_END: Final = re.compile(r"(?:\?|[吗么呢])[\s!.。~]{0,4}$")
_WORDS: Final = re.compile(r"[\u4e00-\u9fff]|[a-z]{2,}")
_GIBBERISH: Final = re.compile(r"[asdfghjklqwertyuiopzxcvbnm]{1,20}\d{0,9}[\s.!?]{0,4}")
_VOWEL_WORD: Final = re.compile(r"[bcdfghjklmnpqrstvwxyz]{0,3}[aeiouy]")
_DECLINED_CHANGE: Final = re.compile("不用|不必|无需|别|不要|不|don't|do not")


@dataclass(frozen=True, slots=True)
class IntentReading:
    intent: Intent
    hit: Hit | None
    not_received: bool


def read_intent(
    text: str, hits: Sequence[Hit], *, channel: str, reason: Reason, is_reason_outright: bool
) -> IntentReading:
    """The first group that applies decides; `_read_request` holds those that yield to an outright "取消"."""
    groups = _group(hits)
    not_received = groups.get("NOT_RECEIVED")
    cancel, withdraw, received = (groups.get(label) for label in ("CANCEL", "WITHDRAW_CANCEL", "RECEIVED"))
    is_cancel_outright = cancel is not None and cancel.weight >= OUTRIGHT
    intent, hit = Intent.CANCEL, cancel
    if not_received is not None and not is_cancel_outright:
        intent, hit = Intent.WHERE_IS_MY_ORDER, not_received
    elif withdraw is not None:
        intent, hit = _read_withdrawal(text, hits, withdraw)
    elif received is not None and not_received is None:
        intent, hit = Intent.RETURN_AFTER_RECEIPT, received
    elif not is_cancel_outright:
        is_spoken = channel.lower() in SPOKEN_CHANNELS
        is_late = reason is Reason.SHIPPING_TOO_SLOW and is_reason_outright
        intent, hit = _read_request(text, groups, is_spoken=is_spoken, is_late=is_late)
        if (
            intent is Intent.CANCEL
            and cancel is None
            and reason is Reason.OTHER
            and _is_idle(text, is_spoken=is_spoken)
        ):
            intent = Intent.OTHER
    return IntentReading(intent, hit, not_received is not None)


def _read_withdrawal(text: str, hits: Sequence[Hit], withdraw: Hit) -> tuple[Intent, Hit]:
    """Who says "别取消,换成黑色" keeps the order in order to change it."""
    changes = [hit for hit in hits if hit.label == "MODIFY_ORDER" and not _overlaps(hit, withdraw)]
    if changes and _DECLINED_CHANGE.match(text, withdraw.start):
        return Intent.MODIFY_ORDER, max(changes, key=lambda hit: (hit.weight, -hit.start))
    return Intent.WITHDRAW_CANCEL, withdraw


def _read_request(text: str, groups: Mapping[str, Hit], *, is_spoken: bool, is_late: bool) -> tuple[Intent, Hit | None]:
    cancel, modify, where, other = (
        groups.get(label) for label in ("CANCEL", "MODIFY_ORDER", "WHERE_IS_MY_ORDER", "OTHER")
    )
    if modify is not None:
        return Intent.MODIFY_ORDER, modify
    is_where_first = (
        where is not None and other is not None and where.weight >= other.weight and where.start <= other.start
    )
    if other is not None and not is_where_first:
        return Intent.OTHER, other
    if cancel is None and where is not None and (is_spoken or _ASKS.search(text)):
        return Intent.WHERE_IS_MY_ORDER, where
    if cancel is None and is_spoken and is_late:
        return Intent.WHERE_IS_MY_ORDER, None
    return Intent.CANCEL, cancel


def _is_idle(text: str, *, is_spoken: bool) -> bool:
    """Nothing was asked that this service could do: a question about something else, or no words at all."""
    if not _WORDS.search(text):
        return True
    compact = text.strip()
    if _GIBBERISH.fullmatch(compact) and not _VOWEL_WORD.match(compact):
        return True
    return is_spoken and _QUESTION_END.search(text) is not None


def _group(hits: Sequence[Hit]) -> dict[str, Hit]:
    """The heaviest, then first hit of each label, after the overlaps are settled."""
    groups: dict[str, Hit] = {}
    for hit in sorted(hits, key=lambda item: (-item.weight, item.start, -item.end)):
        if not any(_silences(other, hit) for other in hits):
            groups.setdefault(hit.label, hit)
    return groups


def _silences(other: Hit, hit: Hit) -> bool:
    if other.label == hit.label or not _overlaps(other, hit):
        return False
    if {other.label, hit.label} == {"NOT_RECEIPT", "NOT_RECEIVED"} or hit.label == "NOT_RECEIVED":
        return False
    if hit.label == "WHERE_IS_MY_ORDER" and other.label in {"NOT_RECEIPT", "NOT_RECEIVED"}:
        return False
    if other.weight != hit.weight:
        return other.weight > hit.weight
    return hit.label == "CANCEL" and other.label != "CANCEL" and _contains(other, hit)


def _overlaps(one: Hit, two: Hit) -> bool:
    return one.start < two.end and two.start < one.end


def _contains(outer: Hit, inner: Hit) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end
