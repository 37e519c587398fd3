"""A carrier: voids a label before pick-up, recalls a parcel after it, and says where the parcel is.

An accepted recall proves nothing; route events, a callback or a status query do.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from unwind.domain.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelCall:
    request_id: str
    waybill_no: str
    order_id: str
    reason_code: str
    is_accepted: bool = False
    """The carrier has taken this very request: without proof yet it is under way, not lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteEvent:
    at: datetime
    stage: str
    """A value of domain.stage.Stage."""
    place: str = ""
    """Facility or city, never a street address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """Route oldest first. `fed_at`: when the carrier last passed anything on, which may be long after the event itself; None where it
    does not say."""

    waybill_no: str
    events: tuple[RouteEvent, ...]
    fed_at: datetime | None
    return_waybill_no: str = ""


class Carrier(Protocol):
    can_void: bool
    """False: a label is voided by hand."""

    async def void_waybill(self, call: ParcelCall) -> Outcome:
        """Before pick-up only; REFUSED after it."""
        ...

    async def recall(self, call: ParcelCall) -> Outcome:
        """PROCESSING when accepted; REFUSED before pick-up or once delivered (`evidence["stage"]`)."""
        ...

    async def query_recall(self, call: ParcelCall) -> Outcome:
        """SUCCEEDED once the parcel is proven on its way back (`evidence["return_waybill_no"]`, `evidence["fee_minor"]`);
        REFUSED with `evidence["stage"]` when it was delivered first or the recall failed; NOT_FOUND if never asked."""
        ...

    async def track(self, waybill_no: str) -> Tracking | Outcome:
        """An Outcome when there is no route: NOT_FOUND where the carrier knows nothing, otherwise what became of the call."""
        ...
