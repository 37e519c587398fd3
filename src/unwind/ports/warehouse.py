"""A warehouse: it can be asked to stop an order that has not left."""

from dataclasses import dataclass
from typing import Protocol

from unwind.domain.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldCall:
    request_id: str
    outbound_no: str
    order_id: str
    warehouse_code: str
    reason_code: str


class Warehouse(Protocol):
    async def hold(self, call: HoldCall) -> Outcome:
        """SUCCEEDED: stopped. REFUSED: the goods have left (`evidence["stage"]`). PROCESSING: the answer comes later."""
        ...

    async def query_hold(self, call: HoldCall) -> Outcome:
        """The state of the same request; NOT_FOUND when it never arrived."""
        ...
