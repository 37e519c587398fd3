"""Patterns with a label and a weight, filed by their first characters, and the scan that finds them all.

Every pattern is tried at every place it could start, so a weak hit never hides a strong one; who wins an overlap is decided later
and in the open. Promised: patterns are compiled once; gaps are bounded, so the work per character is bounded.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from unwind.tagging.prefixes import find_prefixes, split_alternatives

GAP: Final = r"[^,.。!?;\n]"
_MACRO: Final = re.compile(r"<([A-Z]+)>")
_GAP_MARK: Final = re.compile(r"~(\d+)")
_WORD_EDGE: Final = r"(?:(?<![a-z])|(?![a-z]))"
_WORD_START: Final = re.compile(r"(?<![a-z0-9'])[a-z0-9$£€]")

RuleRows = Iterable[tuple[str, float, str]]


class Hit(NamedTuple):
    label: str
    weight: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RuleTable:
    """`by_prefix` files each compiled pattern under every beginning it can have."""

    by_prefix: Mapping[str, tuple[tuple[str, float, re.Pattern[str]], ...]]
    prefix_lengths: tuple[int, ...]
    only_at_word_starts: bool

    def scan(self, text: str) -> list[Hit]:
        hits: list[Hit] = []
        by_prefix = self.by_prefix
        starts = (
            (match.start() for match in _WORD_START.finditer(text)) if self.only_at_word_starts else range(len(text))
        )
        for start in starts:
            for length in self.prefix_lengths:
                for label, weight, pattern in by_prefix.get(text[start : start + length], ()):
                    match = pattern.match(text, start)
                    if match is not None and match.end() > start:
                        hits.append(Hit(label, weight, start, match.end()))
        return list(dict.fromkeys(hits))


def expand(pattern: str, macros: Mapping[str, str], *, is_spaced: bool) -> str:
    """`<NAME>` stands for a macro, `~n` for up to n characters inside a clause; in a spaced language it ends between words."""
    while _MACRO.search(pattern):
        pattern = _MACRO.sub(lambda found: f"(?:{macros[found[1]]})", pattern)
    edge = _WORD_EDGE if is_spaced else ""
    return _GAP_MARK.sub(lambda found: f"{GAP}{{0,{found[1]}}}{edge}", pattern)


def build_table(rows: RuleRows, macros: Mapping[str, str], *, prefix_length_max: int, is_spaced: bool) -> RuleTable:
    """Rows are (label, weight, patterns): one per line in a spaced language, else separated by white space."""
    filed: dict[str, list[tuple[str, float, re.Pattern[str]]]] = {}
    for label, weight, block in rows:
        sources = [line.strip() for line in block.splitlines()] if is_spaced else block.split()
        for source in filter(None, sources):
            for pattern in split_alternatives(expand(source, macros, is_spaced=is_spaced)):
                compiled = re.compile(f"(?:{pattern})(?![a-z0-9])" if is_spaced else pattern)
                for prefix in find_prefixes(pattern, length_max=prefix_length_max):
                    filed.setdefault(prefix, []).append((label, weight, compiled))
    return RuleTable(
        by_prefix={prefix: tuple(rules) for prefix, rules in filed.items()},
        prefix_lengths=tuple(sorted({len(prefix) for prefix in filed})),
        only_at_word_starts=is_spaced,
    )
