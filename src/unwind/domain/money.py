"""Money is an integer number of minor units of one currency; shares are cut so that nothing is lost or made."""

from collections.abc import Sequence

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


def format_minor(amount_minor: int, currency: str) -> str:
    """`12.34 CNY`; yen and won have no minor unit."""
    if currency in {"JPY", "KRW"}:
        return f"{amount_minor} {currency}"
    return f"{amount_minor // 100}.{amount_minor % 100:02d} {currency}"
