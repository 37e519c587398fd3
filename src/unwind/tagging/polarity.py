"""What the buyer denies and what he calls decisive.

"不是不想要,是地址写错了" names two reasons and means one. Promised: a hit that begins before the denial, and so contains it
("没有货", "不是正品"), is never denied by it.
"""

import re
from collections.abc import Sequence
from typing import Final

from unwind.tagging.rules import Hit

DENY_REACH_MAX: Final = 24
_CLAUSE_END: Final = re.compile(r"[,。!?;\n]|\.(?!\d)|但|不过|可是|而是|\bbut\b|\bjust\b")
_SPACE_BETWEEN_CJK: Final = re.compile(r"(?<=[\u3400-\u9fff]) (?=[\u3400-\u9fff])")
_DENIED_INSIDE: Final = re.compile(
    r"没(?:有)?(?:什么|任何|啥)?(?:写|填|选|搞|弄|拍|点|买|下|留|输|发|寄)?(?:错|问题|毛病|意见)(?!了?(?:地|颜))|"
    r"\b(?:isn't|not|no|nothing) (?:wrong|incorrect|an issue|a problem)\b"
)


def find_clauses(text: str) -> list[tuple[int, int]]:
    """Spans without the marks between them, in order; never empty."""
    cuts = sorted({match.span() for pattern in (_CLAUSE_END, _SPACE_BETWEEN_CJK) for match in pattern.finditer(text)})
    clauses: list[tuple[int, int]] = []
    begin = 0
    for start, end in cuts:
        if start > begin:
            clauses.append((begin, start))
        begin = max(begin, end)
    if begin < len(text) or not clauses:
        clauses.append((begin, len(text)))
    return clauses


def drop_denied(text: str, hits: Sequence[Hit], marks: Sequence[Hit], clauses: Sequence[tuple[int, int]]) -> list[Hit]:
    denials = [mark for mark in marks if mark.label.startswith("DENY")]
    turns = sorted(mark.start for mark in marks if mark.label == "BUT")
    spans = [_reach(mark, turns, clauses) for mark in denials]
    return [
        hit
        for hit in hits
        if not _DENIED_INSIDE.search(text, hit.start, hit.end + 1)
        and not any(_is_denied(hit, mark, span) for mark, span in zip(denials, spans, strict=True))
    ]


def find_decisive(hits: Sequence[Hit], marks: Sequence[Hit], clauses: Sequence[tuple[int, int]]) -> list[Hit]:
    """The hits in the clause a decisive marker opens, or in the next one when that clause has none."""
    for mark in marks:
        if mark.label != "DECISIVE":
            continue
        following = [clause for clause in clauses if clause[1] > mark.end][:2]
        for _, end in following:
            inside = [hit for hit in hits if mark.start <= hit.start < end and hit.end > mark.end]
            if inside:
                return inside
    return []


def _reach(mark: Hit, turns: Sequence[int], clauses: Sequence[tuple[int, int]]) -> tuple[int, int]:
    begin, end = next(((start, stop) for start, stop in clauses if start <= mark.start < stop), (mark.start, mark.end))
    if mark.label == "DENYBACK":
        return begin, mark.start
    if mark.label == "DENYNEXT":
        return mark.end, mark.end + 2
    stops = [turn for turn in turns if turn > mark.end]
    return mark.start + 1, min([max(end, mark.end), mark.end + DENY_REACH_MAX, *stops])


def _is_denied(hit: Hit, mark: Hit, span: tuple[int, int]) -> bool:
    if mark.label == "DENYBACK":
        return span[0] <= hit.start and hit.end <= span[1]
    return mark.start < hit.start and span[0] <= hit.start < span[1]
