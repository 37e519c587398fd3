"""From hits to one primary reason and its secondaries: the label rules, in the order they apply.

Promised: what the text marks as decisive wins, then the outright statement, then the one named first. A denied hit has been dropped
before this module sees it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from unwind.tagging.labels import Reason
from unwind.tagging.rules import Hit

OUTRIGHT: Final = 3.0
ENOUGH_ALONE: Final = 2.0
REPEAT_BONUS: Final = 0.3
REPEATS_MAX: Final = 4
LINK_REACH: Final = 6

_GENERIC_WISH: Final = re.compile(
    r"不(?:太)?(?:想|打算|准备|考虑)?(?:再)?(?:要|买|需要|用)|不(?:再)?需要|算了|罢了|拉倒|不(?:买|订|定)了|不想|"
    r"(?:don't|do not|dont|no longer|not|didn't)\b.{0,8}\b(?:want|need|wanted|needed)\b.{0,8}|never ?mind|want"
)
_ONE_ORDER: Final = re.compile(
    r"(?:就|只|才|明明|同)?(?:一|1)(?:个|笔|张)?(?:订单|单(?!独)|单子)|\b(?:one|single|1|same) order\b"
)
_CHARGE: Final = re.compile("扣|刷|收|划|账单|流水|charge|debit|bill|statement")
_TELL_TOGETHER: Final = {Reason.OUT_OF_STOCK, Reason.MERCHANT_ASKED}
_MERCHANT_PUSHES: Final = re.compile(
    "让|叫|要求|请|通知|喊|劝|建议|催|求|拜托|协商|商量|told|ask|request|advis|suggest|want|instruct|agreed"
)


@dataclass(frozen=True, slots=True)
class Reading:
    primary: Reason
    secondary: tuple[Reason, ...]
    score: float
    rival_score: float
    is_decisive: bool
    hits: tuple[Hit, ...]
    """Those behind the primary and the secondaries, in text order."""


NOTHING: Final = Reading(primary=Reason.OTHER, secondary=(), score=0.0, rival_score=0.0, is_decisive=False, hits=())


def settle_overlaps(hits: Sequence[Hit]) -> list[Hit]:
    """Where two labels claim the same words, the heavier pattern has them, then the longer one that contains the other."""
    return [hit for hit in hits if not any(_outranks(other, hit) for other in hits)]


def read_reason(text: str, hits: Sequence[Hit], decisive: Sequence[Hit], links: Sequence[Hit]) -> Reading:
    if not hits:
        return NOTHING
    by_reason: dict[Reason, list[Hit]] = {}
    for hit in sorted(hits, key=lambda item: (item.start, -item.weight)):
        by_reason.setdefault(Reason(hit.label), []).append(hit)
    strong = {reason: found for reason, found in by_reason.items() if _heaviest(found) >= ENOUGH_ALONE}
    ranked = _rank(strong or by_reason, text)
    primary = ranked[0]
    is_decisive = False
    chosen = _choose_decisive(decisive, strong)
    if chosen is not None:
        primary, is_decisive = chosen, True
    primary = primary if is_decisive else _apply_context(text, primary, strong)
    secondary = tuple(
        reason for reason in ranked if reason is not primary and _is_secondary(text, primary, reason, strong, links)
    )
    rivals = [_score(found) for reason, found in by_reason.items() if reason is not primary]
    named = {primary, *secondary}
    return Reading(
        primary=primary,
        secondary=secondary,
        score=_score(by_reason[primary]),
        rival_score=max(rivals, default=0.0),
        is_decisive=is_decisive,
        hits=tuple(hit for reason, found in by_reason.items() if reason in named for hit in found),
    )


def _outranks(other: Hit, hit: Hit) -> bool:
    if {other.label, hit.label} == _TELL_TOGETHER:
        return False
    if other.label == hit.label or other.end <= hit.start or hit.end <= other.start:
        return False
    if other.weight != hit.weight:
        return other.weight > hit.weight
    if other.end == hit.end and Reason.WRONG_ITEM_ORDERED in {other.label, hit.label}:
        return hit.label == Reason.WRONG_ITEM_ORDERED
    contains = other.start <= hit.start and hit.end <= other.end
    return contains and (other.end - other.start) > (hit.end - hit.start)


def _heaviest(hits: Sequence[Hit]) -> float:
    return max(hit.weight for hit in hits)


def _score(hits: Sequence[Hit]) -> float:
    """The heaviest hit counts in full; every further place in the text that agrees adds a little."""
    places = 0
    reached = -1
    for hit in sorted(hits, key=lambda item: item.start):
        if hit.start >= reached:
            places += 1
            reached = hit.end
    return _heaviest(hits) + REPEAT_BONUS * (min(places, REPEATS_MAX) - 1)


def _rank(found: dict[Reason, list[Hit]], text: str) -> list[Reason]:
    def order(reason: Reason) -> tuple[bool, float, float, int]:
        hits = found[reason]
        weight = _heaviest(hits)
        first = min(hit.start for hit in hits if hit.weight == weight)
        agreement = -_score(hits) if weight < ENOUGH_ALONE else 0.0
        return _is_generic(reason, hits, text), -weight, agreement, first

    return sorted(found, key=order)


def _is_generic(reason: Reason, hits: Sequence[Hit], text: str) -> bool:
    """Beside a named cause, "不想要了" is how the request is put, not a cause of its own."""
    return reason is Reason.CHANGED_MIND and all(_GENERIC_WISH.match(text[hit.start : hit.end]) for hit in hits)


def _choose_decisive(decisive: Sequence[Hit], strong: dict[Reason, list[Hit]]) -> Reason | None:
    heavy = [hit for hit in decisive if hit.weight >= ENOUGH_ALONE and Reason(hit.label) in strong]
    if not heavy and strong:
        return None
    candidates = heavy or list(decisive)
    if not candidates:
        return None
    return Reason(max(candidates, key=lambda hit: (hit.weight, -hit.start)).label)


def _apply_context(text: str, primary: Reason, strong: dict[Reason, list[Hit]]) -> Reason:
    stock, asked = Reason.OUT_OF_STOCK, Reason.MERCHANT_ASKED
    if primary is asked and stock in strong:
        return stock
    twice, charged = Reason.DUPLICATE_ORDER, Reason.PAYMENT_ISSUE
    if {twice, charged} <= strong.keys() and primary in {twice, charged}:
        is_one_order = bool(_ONE_ORDER.search(text)) and bool(_CHARGE.search(text))
        return charged if is_one_order else twice
    return primary


def _is_secondary(
    text: str, primary: Reason, reason: Reason, strong: dict[Reason, list[Hit]], links: Sequence[Hit]
) -> bool:
    hits = strong.get(reason)
    if hits is None or reason is Reason.OTHER or primary is Reason.OTHER:
        return False
    is_linked = any(0 <= hit.start - link.end <= LINK_REACH for hit in hits for link in links)
    if primary is Reason.OUT_OF_STOCK and reason is Reason.MERCHANT_ASKED:
        return any(_MERCHANT_PUSHES.search(text, hit.start, hit.end) for hit in hits)
    if _is_generic(reason, hits, text):
        return is_linked
    return _heaviest(hits) >= OUTRIGHT or is_linked
