"""Where the units of an order line are. They always add up to what was ordered (I4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from unwind.domain.errors import ensure


class Bucket(StrEnum):
    RESERVED = "reserved"
    HELD = "held"
    SHIPPED = "shipped"
    RECALLED = "recalled"
    QUARANTINE = "quarantine"
    RESTOCKED = "restocked"
    LOST = "lost"
    DELIVERED = "delivered"


ALLOWED_MOVES: frozenset[tuple[Bucket, Bucket]] = frozenset(
    {
        (Bucket.RESERVED, Bucket.HELD),
        (Bucket.HELD, Bucket.RESERVED),
        (Bucket.RESERVED, Bucket.RESTOCKED),
        (Bucket.HELD, Bucket.RESTOCKED),
        (Bucket.RESERVED, Bucket.SHIPPED),
        (Bucket.HELD, Bucket.SHIPPED),
        (Bucket.SHIPPED, Bucket.RECALLED),
        (Bucket.SHIPPED, Bucket.DELIVERED),
        (Bucket.SHIPPED, Bucket.LOST),
        (Bucket.RECALLED, Bucket.DELIVERED),
        (Bucket.RECALLED, Bucket.LOST),
        (Bucket.RECALLED, Bucket.QUARANTINE),
        (Bucket.QUARANTINE, Bucket.RESTOCKED),
        (Bucket.QUARANTINE, Bucket.LOST),
        (Bucket.DELIVERED, Bucket.QUARANTINE),
    }
)
"""Nothing comes back from restocked or lost: that is a new story, told by an aftermath case. What was delivered comes back only as a return
that a person decided on, and into quarantine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelUnits:
    """Units of one line in one parcel: which of the line's units are its own, so that no other parcel's are moved for them."""

    quantity: int
    taken: int
    """Spoken for by a cancellation."""
    left: int
    """Seen leaving the house: none, or all of them."""
    landed: int
    """No longer on its journey: delivered, lost, taken in again, or put back before it left."""

    @property
    def in_house(self) -> int:
        return 0 if self.left else self.quantity - self.landed

    @property
    def to_ship(self) -> int:
        """In the house, and nobody has taken them back."""
        return 0 if self.left else self.quantity - self.taken

    @property
    def on_road(self) -> int:
        return self.quantity - self.landed if self.left else 0


def move_units(buckets: Mapping[Bucket, int], source: Bucket, target: Bucket, units: int) -> dict[Bucket, int]:
    """The buckets after the move; the sum is the same."""
    ensure((source, target) in ALLOWED_MOVES, f"stock does not move from {source} to {target}")
    ensure(0 < units <= buckets.get(source, 0), f"{source} does not hold {units} units")
    moved = dict(buckets)
    moved[source] -= units
    moved[target] = moved.get(target, 0) + units
    return moved
