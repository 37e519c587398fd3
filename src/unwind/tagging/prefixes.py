"""Which first characters a pattern can start with.

A table of many hundred patterns is only fast when most of them are never tried: the scanner looks a position up by its first
characters and tries the patterns filed there. Promised: every text a pattern matches starts with one of its prefixes. The syntax
is the small part of regular expressions the lexicons use; anything else raises `ValueError` at import.
"""

import re
from typing import Final

PREFIXES_MAX: Final = 4_000
_QUANTIFIER: Final = re.compile(r"[?*+]|\{(\d+)(?:,\d*)?\}")
_RANGE: Final = re.compile(r"([0-9a-z])-([0-9a-z])")
_ANY: Final = "\0"
_DIGITS: Final = frozenset("0123456789")


def find_prefixes(pattern: str, *, length_max: int) -> frozenset[str]:
    reader = _PatternReader(pattern, length_max)
    found = frozenset(prefix.removesuffix(_ANY) for prefix in reader.read_alternatives())
    if reader.position != len(pattern) or "" in found:
        raise ValueError(f"pattern needs a plain beginning: {pattern}")
    return found


def split_alternatives(pattern: str) -> list[str]:
    """Cut at the bars outside every bracket: many small patterns are filed more sharply than one large one."""
    parts = [""]
    depth = 0
    is_escaped = False
    for character in pattern:
        if not is_escaped:
            depth += (character in "([") - (character in ")]")
        if character == "|" and depth == 0 and not is_escaped:
            parts.append("")
        else:
            parts[-1] += character
        is_escaped = character == "\\" and not is_escaped
    return parts


class _PatternReader:
    """Reads one pattern from left to right; a prefix that ends in `_ANY` cannot grow any further."""

    def __init__(self, pattern: str, length_max: int) -> None:
        self.pattern = pattern
        self.position = 0
        self.length_max = length_max

    def read_alternatives(self) -> set[str]:
        found = self._read_sequence()
        while self.pattern.startswith("|", self.position):
            self.position += 1
            found |= self._read_sequence()
        return found

    def _read_sequence(self) -> set[str]:
        found = {""}
        while self.position < len(self.pattern) and self.pattern[self.position] not in "|)":
            found = self._extend(found, self._read_quantified())
        return found

    def _read_quantified(self) -> set[str]:
        piece = self._read_piece()
        quantifier = _QUANTIFIER.match(self.pattern, self.position)
        if quantifier is None:
            return piece
        self.position = quantifier.end()
        is_optional = quantifier[0] in "?*" or quantifier[1] == "0"
        if quantifier[0] != "?":
            piece = {item if item.endswith(_ANY) else item + _ANY for item in piece}
        return piece | {""} if is_optional else piece

    def _read_piece(self) -> set[str]:
        rest = self.pattern[self.position :]
        if rest.startswith(("(?!", "(?=", "(?<")):
            self.position += 3
            self._close(self.read_alternatives())
            return {""}
        if rest.startswith("("):
            self.position += 3 if rest.startswith("(?:") else 1
            return self._close(self.read_alternatives())
        if rest.startswith("["):
            return self._read_class()
        if rest.startswith("\\"):
            self.position += 2
            known = {"b": {""}, "B": {""}, "d": set(_DIGITS), "w": {_ANY}, "s": {_ANY}, "S": {_ANY}}
            return known.get(rest[1], {rest[1]})
        self.position += 1
        return {".": {_ANY}, "^": {""}, "$": {""}}.get(rest[0], {rest[0]})

    def _read_class(self) -> set[str]:
        end = self.pattern.index("]", self.position + 1)
        body = self.pattern[self.position + 1 : end]
        self.position = end + 1
        if body.startswith("^") or "\\" in body:
            return {_ANY}
        ranges = _RANGE.findall(body)
        spelled = {chr(code) for first, last in ranges for code in range(ord(first), ord(last) + 1)}
        return spelled | set(_RANGE.sub("", body))

    def _close(self, found: set[str]) -> set[str]:
        if not self.pattern.startswith(")", self.position):
            raise ValueError(f"unclosed group: {self.pattern}")
        self.position += 1
        return found

    def _extend(self, heads: set[str], tails: set[str]) -> set[str]:
        if all(head.endswith(_ANY) or len(head) >= self.length_max for head in heads):
            return heads
        grown: set[str] = set()
        for head in heads:
            if head.endswith(_ANY) or len(head) >= self.length_max:
                grown.add(head)
            else:
                grown.update(self._clip(head + tail) for tail in tails)
        if len(grown) > PREFIXES_MAX:
            return {head if head.endswith(_ANY) else head + _ANY for head in heads}
        return grown

    def _clip(self, prefix: str) -> str:
        return prefix if prefix.endswith(_ANY) and len(prefix) <= self.length_max else prefix[: self.length_max]
