"""Money is an integer number of minor units of one currency; shares are cut so that nothing is lost or made."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from unwind.domain.errors import ensure


def allocate(total_minor: int, weights: Sequence[int]) -> list[int]:
    """Cuts `total_minor` in proportion to `weights` by largest remainder; ties go to the earlier one.

    The parts always add up to the total. All-zero weights are allowed only for a zero total.
    """
    ensure(total_minor >= 0 and all(w >= 0 for w in weights), "money is allocated from nothing negative")
    whole = sum(weights)
    if whole == 0:
        ensure(total_minor == 0, "a positive amount needs somebody to bear it")
        return [0] * len(weights)
    floors = [total_minor * w // whole for w in weights]
    missing = total_minor - sum(floors)
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total_minor * weights[i] % whole), i))
    for i in by_remainder[:missing]:
        floors[i] += 1
    return floors


_WITHOUT_MINOR: Final = frozenset(
    {
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    }
)
_OF_THOUSAND: Final = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})


def digits_of(currency: str) -> int:
    """Digits behind the point (ISO 4217): yen and won have none, dinars three."""
    return 0 if currency in _WITHOUT_MINOR else 3 if currency in _OF_THOUSAND else 2


def exact(amount_minor: int, currency: str) -> Decimal:
    """In whole units, with nothing rounded."""
    return Decimal(amount_minor).scaleb(-digits_of(currency))


def format_minor(amount_minor: int, currency: str) -> str:
    """`12.34 CNY`; with as many digits as the currency has."""
    return f"{exact(amount_minor, currency):f} {currency}"
