"""What a scan at the packing bench or the dock is answered with, from what is true of the order at that moment.

A handheld may have been offline: what it scanned counts from the moment on its own clock, and only for what was known to it then. Where
an event of the order says something later, the later truth wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from unwind.domain.errors import require
from unwind.domain.legs import LegKind, LegState
from unwind.domain.stage import COMING_BACK, ON_THE_WAY, Stage, effective_stage

CLOCK_SKEW = timedelta(minutes=5)
"""A device may be ahead of us by so much; it is then taken for now."""
OFFLINE_MAX = timedelta(days=7)
LIVE = timedelta(minutes=1)
"""Older than this, the device was offline and its holder has not waited for the answer."""
LEFT_THE_HOUSE = ON_THE_WAY | COMING_BACK | {Stage.DELIVERED, Stage.LOST}
ANSWERABLE = frozenset(
    {LegState.TASK, LegState.CLAIMED, LegState.UNKNOWN, LegState.ACCEPTED, LegState.BLOCKED, LegState.PLANNED}
)
"""A hold in one of these waits for somebody's word."""


class ScanKind(StrEnum):
    STOP = "stop"
    """Is this to be stopped? Whoever asks has it in their hands."""
    PACK = "pack"
    DISPATCH = "dispatch"
    """It is being handed to the carrier."""
    RETURN = "return"


class Verdict(StrEnum):
    SHIP_IT = "ship_it"
    STOP = "stop"
    TOO_LATE = "too_late"
    UNKNOWN = "unknown"
    TAKE_IN = "take_in"
    """A return that is awaited."""
    UNEXPECTED = "unexpected"
    """A return that nobody awaits."""


SEVERITY = (Verdict.SHIP_IT, Verdict.TOO_LATE, Verdict.STOP)
"""Of several orders in one parcel the worst decides: one that must not ship stops them all."""
TEXTS: dict[Verdict, tuple[str, str]] = {
    Verdict.SHIP_IT: ("可发货", "Ship it"),
    Verdict.STOP: ("已取消 勿发", "Cancelled: do not ship"),
    Verdict.TOO_LATE: ("已交承运商 转人工拦截", "Already with the carrier: a person recalls it"),
    Verdict.UNKNOWN: ("未找到 请人工核对", "Not found: check by hand"),
    Verdict.TAKE_IN: ("退货 入隔离区待验", "A return: into quarantine, to be inspected"),
    Verdict.UNEXPECTED: ("无待收退货 已登记待处理", "Nobody awaits this: noted for a person"),
}


class Effect(StrEnum):
    """What the scan has changed."""

    NONE = "none"
    HOLD_ACCEPTED = "hold_accepted"
    HOLD_REFUSED = "hold_refused"
    LABEL_VOIDED = "label_voided"
    DISPATCHED = "dispatched"
    ALERTED = "alerted"
    TAKEN_IN = "taken_in"
    NOTED = "noted"


class RefusedBecause(StrEnum):
    """Why the warehouse does not stop it."""

    ALREADY_PACKED_ELSEWHERE = "already_packed_elsewhere"
    HANDED_OVER = "handed_over"
    NOT_FOUND = "not_found"
    DAMAGED = "damaged"
    NOT_OURS = "not_ours"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopLeg:
    """A hold, or the voiding of a label, of an open case."""

    case_id: str
    leg_no: int
    kind: LegKind
    state: LegState
    shipment_id: str
    """Empty: units in no parcel."""
    line_ids: frozenset[str]
    opened_at: datetime
    """Of its case: nobody could know of it before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    shipment_id: str
    reported: Stage
    is_picked_up: bool
    handed_over_at: datetime | None
    units: int
    left: int
    """Units in it that nobody has taken back."""
    line_ids: frozenset[str]

    def has_left(self, at: datetime) -> bool:
        """The carrier has it; or the dock has scanned it out after the moment that is asked about."""
        stage = effective_stage(reported=self.reported, is_picked_up=self.is_picked_up)
        return stage in LEFT_THE_HOUSE or (self.handed_over_at is not None and self.handed_over_at > at)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedOrder:
    """One order behind a scanned code, with everything that may forbid it to leave."""

    order_id: str
    merchant_id: str
    warehouse: str
    is_cancelled: bool
    in_house: int
    """Units of it, reserved or held."""
    left: int
    scanned: frozenset[str]
    """Parcels the code names; an empty string: the order itself."""
    parcels: tuple[Parcel, ...]
    legs: tuple[StopLeg, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    verdict: Verdict
    holds: tuple[StopLeg, ...] = ()
    """Waiting for somebody's word; what the verdict is about."""
    labels: tuple[StopLeg, ...] = ()
    """To be made void by hand."""


def place_in_time(scanned_at: datetime | None, now: datetime) -> datetime:
    """When the scan counts from. Refuses what no honest clock says."""
    if scanned_at is None:
        return now
    require(scanned_at <= now + CLOCK_SKEW, "scan_from_the_future")
    require(scanned_at >= now - OFFLINE_MAX, "scan_too_old")
    return min(scanned_at, now)


def judge(order: ScannedOrder, at: datetime) -> Judged:
    """Open holds first: what one of them covers does not ship, or has left too early. Else what is left of it ships."""
    parcels = scanned_parcels(order)
    legs = [leg for leg in order.legs if _covers(leg, order, parcels)]
    holds = tuple(leg for leg in legs if leg.kind is LegKind.HOLD_SHIPMENT and leg.state in ANSWERABLE)
    labels = tuple(leg for leg in legs if leg.kind is LegKind.VOID_WAYBILL and leg.state in ANSWERABLE)
    has_left = any(parcel.has_left(at) for parcel in parcels)
    is_gone = has_left or (bool(holds) and not parcels and order.in_house == 0)
    left = sum(parcel.left for parcel in parcels) if parcels else order.left
    if not holds and left > 0 and not order.is_cancelled:
        return Judged(verdict=Verdict.SHIP_IT, labels=labels)
    verdict = Verdict.TOO_LATE if is_gone else Verdict.STOP
    return Judged(verdict=verdict, holds=holds, labels=labels)


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    return max(verdicts, key=SEVERITY.index)


def scanned_parcels(order: ScannedOrder) -> list[Parcel]:
    """The parcels that are meant. The number of an order whose goods are all in one parcel means that parcel."""
    named = [parcel for parcel in order.parcels if parcel.shipment_id in order.scanned]
    if named or "" not in order.scanned:
        return named
    has_loose = order.in_house > sum(p.units for p in order.parcels if not _is_out(p))
    return list(order.parcels) if len(order.parcels) == 1 and not has_loose else []


def _is_out(parcel: Parcel) -> bool:
    return effective_stage(reported=parcel.reported, is_picked_up=parcel.is_picked_up) in LEFT_THE_HOUSE


def _covers(leg: StopLeg, order: ScannedOrder, parcels: list[Parcel]) -> bool:
    """A hold of loose units also covers a parcel they may meanwhile have been packed into."""
    if leg.shipment_id:
        return not parcels or any(parcel.shipment_id == leg.shipment_id for parcel in parcels)
    return not parcels or "" in order.scanned or any(leg.line_ids & parcel.line_ids for parcel in parcels)
