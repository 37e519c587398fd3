"""How pressing and how angry: the urgency and emotion rules of the label book.

Promised: a worry about harm is not harm, "不急" is not haste, and a joke at one's own cost is not anger.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from unwind.tagging.labels import Emotion, Urgency
from unwind.tagging.rules import Hit

WORRY_REACH: Final = 12
_CALM: Final = re.compile(
    r"(?:不|没|没有|没那么|不太|不用|不必|不是|别|无需|not|no|isn't|don't)(?:要|着|很|太|用|那么|这么)?\s?$"
)
_BRIEF_SPAN: Final = 6
_SELF: Final = re.compile(
    "我自己|怪我|我的错|我真是|我也是|我这(?:脑子|手|眼|记性)|我脑子|我眼|自己(?:蠢|笨|傻|手)|我(?:太|真|好)?(?:笨|蠢|傻)|我手|"
    r"\b(?:my own|my fault|silly me|stupid me|my bad|on me|i'm (?:so |such )?(?:an? )?(?:idiot|stupid|dumb))\b"
)
_SHOUTS: Final = re.compile(r"[!?]{2,}|[!?][^!?]{0,12}[!?]{2}")


@dataclass(frozen=True, slots=True)
class ToneReading:
    urgency: Urgency
    urgent_hit: Hit | None
    emotion: Emotion
    angry_span: tuple[int, int] | None


def read_tone(text: str, hits: Sequence[Hit], *, is_complaint: bool) -> ToneReading:
    urgent = next((hit for hit in sorted(hits, key=lambda item: item.start) if _is_urgent(text, hit, hits)), None)
    angry = _find_anger(text, hits, is_complaint=is_complaint)
    return ToneReading(
        urgency=Urgency.NORMAL if urgent is None else Urgency.HIGH,
        urgent_hit=urgent,
        emotion=Emotion.NEUTRAL if angry is None else Emotion.ANGRY,
        angry_span=angry,
    )


def _is_urgent(text: str, hit: Hit, hits: Sequence[Hit]) -> bool:
    if hit.label == "HARM":
        return not any(
            worry.label == "WORRY" and 0 <= hit.start - worry.start <= WORRY_REACH and worry.start <= hit.start
            for worry in hits
        )
    if hit.label == "URGENT":
        return _CALM.search(text[max(0, hit.start - _BRIEF_SPAN) : hit.start]) is None
    return hit.label == "THREAT"


def _find_anger(text: str, hits: Sequence[Hit], *, is_complaint: bool) -> tuple[int, int] | None:
    threat = next((hit for hit in hits if hit.label == "THREAT"), None)
    if threat is not None:
        return threat.start, threat.end
    if _SELF.search(text):
        return None
    for hit in hits:
        if hit.label in {"ANGRY", "SARCASM"} and not _CALM.search(text[max(0, hit.start - _BRIEF_SPAN) : hit.start]):
            return hit.start, hit.end
    shout = _SHOUTS.search(text) if is_complaint else None
    return None if shout is None else shout.span()
