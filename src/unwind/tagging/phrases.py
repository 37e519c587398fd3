"""Phrases that people have reviewed: what agents' corrections taught, given to the tagger as a value.

A phrase is one more hit, heavier than every pattern, so it wins where both claim the same words; what is denied or called decisive still rules.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from unwind.tagging.folding import fold
from unwind.tagging.labels import Reason
from unwind.tagging.rules import Hit

WEIGHT: Final = 4.0
"""Above the heaviest pattern (`reading.OUTRIGHT`)."""
LETTERS_MIN, LETTERS_MAX = 2, 30
_LATIN: Final = re.compile("[a-z]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    folded: str
    """As `fold_phrase` gives it."""
    label: Reason


def fold_phrase(text: str) -> str:
    """In the form that texts are searched in: simplified, narrow, lower case."""
    return fold(text, masked_names=()).text.strip()


def find_phrases(text: str, phrases: Sequence[Phrase]) -> Iterator[Hit]:
    """In folded text. Of a phrase in letters only whole words count."""
    for phrase in phrases:
        start = text.find(phrase.folded)
        while start >= 0:
            end = start + len(phrase.folded)
            if not _is_inside_word(text, start, end):
                yield Hit(phrase.label.value, WEIGHT, start, end)
            start = text.find(phrase.folded, end)


def _is_inside_word(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    return bool(
        (_LATIN.match(before) and _LATIN.match(text[start])) or (_LATIN.match(after) and _LATIN.match(text[end - 1]))
    )
