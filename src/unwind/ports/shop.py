"""A remote shop system that keeps its own orders and stock (authority `remote`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from unwind.domain.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopCall:
    request_id: str
    order_id: str
    quantities: Mapping[str, int]
    """Units taken back, by line id."""
    reason_code: str


class Shop(Protocol):
    async def cancel_lines(self, call: ShopCall) -> Outcome:
        """Marks the units cancelled in the shop and returns its stock. Safe to repeat with the same `request_id`."""
        ...

    async def query_cancel(self, call: ShopCall) -> Outcome: ...
