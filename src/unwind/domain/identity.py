"""Who asks by telephone, in a chat or in a store shows that the order is theirs before anything is told or done.

    questions: order number + last digits of the buyer's telephone + (an item or the amount)
    code:      six digits, sent to the telephone that the order is bound to

A check counts for one order and for the one who made it. Who signed in at the shop has been checked there.
"""

import hmac
import unicodedata
from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum

from unwind.domain.access import Principal, Role

CHECK_LIFE = timedelta(minutes=30)
CODE_DIGITS = 6
CODE_LIFE = timedelta(minutes=5)
CODE_ATTEMPTS_MAX = 5
CODE_SENDS_MAX, CODE_SENDS_PER = 3, timedelta(hours=1)
WRONG_MAX, WRONG_PER = 5, timedelta(hours=1)
"""Wrong answers about one order; after that nobody is checked by questions for the rest of the hour."""
ITEM_LETTERS_MIN = 2
LATIN_LETTERS_MIN = 4

IS_CHECKED_ELSEWHERE = frozenset({Role.BUYER, Role.INTEGRATOR, Role.SYSTEM})
"""The shop has signed the buyer in, or nobody outside asks. Everybody else speaks for somebody they only hear."""


class Level(StrEnum):
    BASIC = "basic"
    """Telling about the order, cancelling, withdrawing, answering for the buyer."""
    STRONG = "strong"
    """Where goods or money could go to somebody else: a changed address. Questions and a code, both."""


class Method(StrEnum):
    QUESTIONS = "questions"
    CODE = "code"


def needs_check(principal: Principal, level: Level) -> bool:
    """A receipt proves who holds the paper: enough for a cancellation, not for another address."""
    if principal.role is Role.BUYER and principal.store is not None:
        return level is Level.STRONG
    return principal.role not in IS_CHECKED_ELSEWHERE


def satisfies(level: Level, methods: Iterable[str]) -> bool:
    shown = set(methods)
    return shown >= {Method.QUESTIONS, Method.CODE} if level is Level.STRONG else bool(shown)


def is_same(given: str, known: str) -> bool:
    """In constant time for texts of one length; nothing is like nothing."""
    return bool(known) and hmac.compare_digest(given.encode(), known.encode())


def names_item(given: str, *, titles: Iterable[str], skus: Iterable[str]) -> bool:
    """An article number, or words of a title long enough not to be guessed."""
    said = _folded(given)
    if any(is_same(said, _folded(sku)) for sku in skus):
        return True
    least = LATIN_LETTERS_MIN if said.isascii() else ITEM_LETTERS_MIN
    return len(said) >= least and any(said in _folded(title) for title in titles)


def _folded(text: str) -> str:
    return "".join(ch for ch in unicodedata.normalize("NFKC", text).casefold() if ch.isalnum())
