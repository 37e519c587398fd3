"""Numbers in a text that belong to a person: telephone, identity card, bank card. However they are spaced, and in Chinese digits too.

Names and addresses have no shape to be known by; whatever takes a text that others read says so, and is read by people.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

_DIGITS: Final = str.maketrans("〇零一二三四五六七八九壹贰叁肆伍陆柒捌玖幺", "001234567891234567891")
_RUN: Final = re.compile(r"[0-9](?:[\s\-‐-―·.()]{0,2}[0-9x]){6,30}")
_PIECE: Final = re.compile("[0-9x]+")
_PHONE: Final = re.compile("1[3-9][0-9]{9}")
_PHONE_ABROAD: Final = re.compile("(?:00)?86(1[3-9][0-9]{9})")
_IDENTITY: Final = re.compile("[1-9][0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9x]")
_CARD_MAX: Final = 19
_CARD: Final = re.compile("[0-9]{16,19}")
_MAIL: Final = re.compile(r"[\w.+\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63})+")
_PHONE_ALONE: Final = re.compile(r"(?<![0-9A-Za-z])(?:\+?86)?1[3-9][0-9]{9}(?![0-9A-Za-z])")
_SHOWN_BEFORE, _SHOWN_AFTER = 3, 4


def personal_spans(text: str, *, known: Iterable[str] = ()) -> list[tuple[int, int]]:
    """Code points of the text as it was given, in order. `known`: numbers that may be written out, such as those of an order."""
    narrow = "".join(_one(character) for character in text)
    for number in sorted(known, key=len, reverse=True):
        if number:
            narrow = narrow.replace(number.casefold(), "\ue000" * len(number))
    spans: list[tuple[int, int]] = []
    for run in _RUN.finditer(narrow):
        if _is_personal("".join(ch for ch in run[0] if ch.isalnum())):
            spans.append(run.span())
        else:
            spans += _within([*_PIECE.finditer(narrow, *run.span())])
    return spans


def _within(pieces: Sequence[re.Match[str]]) -> Iterator[tuple[int, int]]:
    """Numbers among others: a piece by itself, or a card as it is printed: "6225 8812 3456 7890 100元"."""
    ends = 0
    for first, piece in enumerate(pieces):
        if piece.start() < ends:
            continue
        digits = ""
        for last in pieces[first:]:
            digits += last[0]
            if len(digits) > _CARD_MAX:
                break
            if (last is piece and _is_personal(digits)) or _is_card(digits):
                ends = last.end()
                yield piece.start(), ends
                break


def is_personal(text: str) -> bool:
    """Holds a number that belongs to a person, or an e-mail address."""
    return bool(personal_spans(text)) or _MAIL.search(unicodedata.normalize("NFKC", text)) is not None


def is_telephone(reference: str) -> bool:
    """An id, such as that of a call, that is or holds a mobile number. Longer numbers are left alone: trade and waybill numbers have many shapes."""
    return _PHONE_ALONE.search(reference) is not None


def mask_numbers(text: str) -> str:
    """The same words, as long as before; of every such number the first three and the last four characters are left: `138****1234`."""
    shown, done = "", 0
    for start, end in personal_spans(text):
        hidden = "*" * (end - start - _SHOWN_BEFORE - _SHOWN_AFTER)
        shown += f"{text[done : start + _SHOWN_BEFORE]}{hidden}{text[end - _SHOWN_AFTER : end]}"
        done = end
    return shown + text[done:]


def _one(character: str) -> str:
    """One character for one, so that places stay where they are. Chinese digits count: "一三八…" is a telephone too."""
    plain = unicodedata.normalize("NFKC", character).casefold().translate(_DIGITS)
    if len(plain) == 1:
        return plain
    return " " if not plain.isalnum() else "\ue000"


def _is_personal(digits: str) -> bool:
    if _PHONE.fullmatch(digits) or _PHONE_ABROAD.fullmatch(digits) or _IDENTITY.fullmatch(digits):
        return True
    return _is_card(digits)


def _is_card(digits: str) -> bool:
    return _CARD.fullmatch(digits) is not None and _is_luhn(digits)


def _is_luhn(digits: str) -> bool:
    total = 0
    for place, character in enumerate(reversed(digits)):
        value = int(character) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value  # noqa: PLR2004 - the sum of its digits
    return total % 10 == 0
