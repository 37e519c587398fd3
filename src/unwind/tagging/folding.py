"""One spelling for the lexicon, with the way back to the buyer's own text.

Folds width, case, traditional characters, homophones, dialect and pinyin. Promised: every folded character knows the span of the
original it came from, and texts beyond `CHARACTERS_MAX` are read only up to there, so the work is bounded.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from unwind.tagging.traditional import TO_SIMPLIFIED
from unwind.tagging.variants import DIALECT, HOMOPHONES, PINYIN_SYLLABLES, PINYIN_WORDS

CHARACTERS_MAX: Final = 2_000
MASK: Final = "\ue000"
"""Stands where a product or shop name stood; no pattern contains it."""
NAME_LENGTH_MIN: Final = 2

_CJK: Final = "\u3400-\u9fff"
_SPACED_OUT: Final = re.compile(rf"(?:(?<![{_CJK}])|^)(?:[{_CJK}] ){{2,40}}[{_CJK}](?![{_CJK}])")
_BETWEEN_CJK: Final = re.compile(rf"(?<=[{_CJK}]) (?=[{_CJK}])")
_QUOTED_NAME: Final = re.compile(
    r"《[^》]{1,40}》|【[^】]{1,40}】|[「“\"'‘][^」”\"'’]{1,20}[」”\"'’](?=牌|这款|款|的?店|旗舰店)"
)
_QUOTES: Final = str.maketrans(
    {"’": "'", "‘": "'", "`": "'", "´": "'", "、": ",", "…": ".", "〜": "~", "\u3000": " ", "\t": " "}
)
_LETTER: Final = re.compile("[a-z]")
_INVISIBLE: Final = frozenset({"Cf", "Cc", "Mn", "Cs", "Co"})


@dataclass(frozen=True, slots=True)
class Folded:
    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def locate(self, start: int, end: int) -> tuple[int, int]:
        """The original span behind the folded span `[start, end)`."""
        return self.starts[start], self.ends[end - 1]


def fold(text: str, *, masked_names: Sequence[str]) -> Folded:
    folded = _mask_names(_fold_characters(text[:CHARACTERS_MAX]), masked_names)
    folded = _replace_words(folded, _VARIANT_WORDS, _VARIANTS)
    if _LETTER.search(folded.text) and _PINYIN_WORDS.search(folded.text):
        folded = _replace_words(folded, _PINYIN_WORDS, _PINYIN)
        folded = _replace_words(folded, _PINYIN_SYLLABLES, PINYIN_SYLLABLES)
        folded = _drop_spaces(folded, _BETWEEN_CJK)
        folded = _replace_words(folded, _VARIANT_WORDS, _VARIANTS)
    return folded


def _fold_characters(text: str) -> Folded:
    pieces: list[str] = []
    starts: list[int] = []
    for index, character in enumerate(text):
        piece = character if character.isascii() else _fold_character(character)
        for part in piece.lower():
            if part in "\r\v\f" or (part < " " and part not in "\n\t"):
                continue
            pieces.append(" " if part == "\t" else part)
            starts.append(index)
    folded = Folded("".join(pieces), starts, [start + 1 for start in starts])
    return _drop_spaces_inside(folded)


def _fold_character(character: str) -> str:
    plain = TO_SIMPLIFIED.get(character)
    if plain is not None:
        return plain
    if "\u4e00" <= character <= "\u9fff":
        return character
    piece = unicodedata.normalize("NFKC", character.translate(_QUOTES)).lower()
    return "".join(part for part in piece if unicodedata.category(part) not in _INVISIBLE)


def _drop_spaces_inside(folded: Folded) -> Folded:
    if " " not in folded.text:
        return folded
    dropped = {
        index
        for match in _SPACED_OUT.finditer(folded.text)
        for index in range(match.start(), match.end())
        if folded.text[index] == " "
    }
    return _without(folded, dropped)


def _drop_spaces(folded: Folded, pattern: re.Pattern[str]) -> Folded:
    return _without(folded, {match.start() for match in pattern.finditer(folded.text)})


def _without(folded: Folded, dropped: set[int]) -> Folded:
    if not dropped:
        return folded
    kept = [index for index in range(len(folded.text)) if index not in dropped]
    return Folded(
        "".join(folded.text[index] for index in kept),
        [folded.starts[index] for index in kept],
        [folded.ends[index] for index in kept],
    )


def _mask_names(folded: Folded, names: Sequence[str]) -> Folded:
    text = _QUOTED_NAME.sub(lambda found: MASK * len(found[0]), folded.text)
    for name in sorted(names, key=len, reverse=True):
        plain = _fold_characters(name[:CHARACTERS_MAX]).text.strip()
        if len(plain) >= NAME_LENGTH_MIN:
            text = text.replace(plain, MASK * len(plain))
    return Folded(text, folded.starts, folded.ends)


def _replace_words(folded: Folded, pattern: re.Pattern[str], meanings: Mapping[str, str]) -> Folded:
    matches = list(pattern.finditer(folded.text))
    if not matches:
        return folded
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    done = 0
    for match in matches:
        start, end = match.span()
        meant = meanings[re.sub(" ", "_", match[0])]
        pieces += [folded.text[done:start], meant]
        starts += [*folded.starts[done:start], *[folded.starts[start]] * len(meant)]
        ends += [*folded.ends[done:start], *[folded.ends[end - 1]] * len(meant)]
        done = end
    pieces.append(folded.text[done:])
    return Folded("".join(pieces), starts + list(folded.starts[done:]), ends + list(folded.ends[done:]))


def _compile_words(words: Mapping[str, str], *, is_latin: bool) -> re.Pattern[str]:
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    body = "|".join(re.escape(word).replace("_", " ") for word in longest_first)
    return re.compile(rf"(?<![a-z])(?:{body})(?![a-z])" if is_latin else body)


_VARIANTS: Final = {written.lower(): meant for written, meant in (DIALECT | HOMOPHONES).items()}
_PINYIN: Final = dict(PINYIN_WORDS)
_VARIANT_WORDS: Final = _compile_words(_VARIANTS, is_latin=False)
_PINYIN_WORDS: Final = _compile_words(_PINYIN, is_latin=True)
_PINYIN_SYLLABLES: Final = _compile_words(PINYIN_SYLLABLES, is_latin=True)
