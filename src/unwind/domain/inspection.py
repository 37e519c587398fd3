"""What the inspection of a returned parcel may find. It accounts for every unit that was awaited, no more and no less."""

from collections.abc import Mapping
from dataclasses import dataclass

from unwind.domain.errors import require

SECOND_POOL = "second"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Units of one line."""

    good: int = 0
    second: int = 0
    """Sold again, but not as new."""
    scrap: int = 0
    short: int = 0
    """Not in the parcel: the carrier's loss."""

    @property
    def units(self) -> int:
        return self.good + self.second + self.scrap + self.short

    @property
    def needs_photo(self) -> bool:
        return self.second + self.scrap + self.short > 0


def require_adds_up(awaited: Mapping[str, int], found: Mapping[str, Found]) -> None:
    """Raises `inspection_does_not_add_up` with the first line that is missing, strange, or has another number of units."""
    for line_id in sorted({*awaited, *found}):
        units = found[line_id].units if line_id in found else 0
        expected = awaited.get(line_id, 0)
        require(units == expected, "inspection_does_not_add_up", line=line_id, awaited=expected, found=units)


def evidence_of(found: Mapping[str, Found]) -> dict[str, str | int]:
    """As the leg keeps it; `flow/goods.py` puts the units back by it."""
    said: dict[str, str | int] = {}
    for line_id, one in found.items():
        for name, units in (("second", one.second), ("scrap", one.scrap), ("short", one.short)):
            if units:
                said[f"{name}:{line_id}"] = units
    return said
