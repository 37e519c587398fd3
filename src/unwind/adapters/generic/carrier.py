"""A carrier that speaks the generic contract."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from unwind.adapters.fields import (
    Malformed,
    read_amount,
    read_answer,
    read_choice,
    read_instant,
    read_place,
    read_same,
    read_stage,
    read_text,
    refuse_if,
)
from unwind.adapters.generic.client import SignedClient
from unwind.adapters.outbound import number_in_path
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.domain.stage import Stage
from unwind.ports.carrier import ParcelCall, RouteEvent, Tracking

VOID_KINDS: Mapping[str, OutcomeKind] = {"VOIDED": OutcomeKind.SUCCEEDED, "REJECTED": OutcomeKind.REFUSED}
RECALL_KINDS: Mapping[str, OutcomeKind] = {"ACCEPTED": OutcomeKind.PROCESSING, "REJECTED": OutcomeKind.REFUSED}
STATE_KINDS: Mapping[str, OutcomeKind] = {
    "ACCEPTED": OutcomeKind.PROCESSING,
    "RETURNING": OutcomeKind.SUCCEEDED,
    "RETURNED": OutcomeKind.SUCCEEDED,
    "FAILED": OutcomeKind.REFUSED,
    "DELIVERED": OutcomeKind.REFUSED,
}
CONTRADICTIONS = frozenset(
    {
        ("RETURNING", Stage.DELIVERED),
        ("RETURNING", Stage.LOST),
        ("RETURNED", Stage.DELIVERED),
        ("RETURNED", Stage.LOST),
        ("DELIVERED", Stage.RETURNING),
        ("DELIVERED", Stage.RETURNED),
        ("VOIDED", Stage.DELIVERED),
    }
)
"""Results that their own stage denies; money follows them, so they are no answer."""
EVENTS_MAX = 1000
PLACE_LENGTH_MAX = 64


class GenericCarrier:
    """Implements ports.carrier.Carrier."""

    can_void = True

    def __init__(self, client: SignedClient) -> None:
        self._client = client

    async def void_waybill(self, call: ParcelCall) -> Outcome:
        answer = await self._client.call(_path(call.waybill_no, "void"), _body(call))
        return read_answer(answer, lambda found: _read(found, VOID_KINDS))

    async def recall(self, call: ParcelCall) -> Outcome:
        answer = await self._client.call(_path(call.waybill_no, "recall"), _body(call))
        return read_answer(answer, lambda found: _read(found, RECALL_KINDS))

    async def query_recall(self, call: ParcelCall) -> Outcome:
        answer = await self._client.call(
            _path(call.waybill_no, "recall/query"), _body(call), not_found=OutcomeKind.NOT_FOUND
        )
        return read_answer(answer, _read_recall)

    async def track(self, waybill_no: str) -> Tracking | Outcome:
        answer = await self._client.call(_path(waybill_no, "track"), {}, not_found=OutcomeKind.NOT_FOUND)
        if isinstance(answer, Outcome):
            return answer
        try:
            return _read_tracking(answer, waybill_no)
        except Malformed as malformed:
            return malformed.outcome


def _path(waybill_no: str, verb: str) -> str:
    return f"/waybills/{number_in_path(waybill_no)}/{verb}"


def _body(call: ParcelCall) -> dict[str, str]:
    return {"request_id": call.request_id, "order_no": call.order_id, "reason": call.reason_code}


def _read(answer: dict[str, Any], kinds: Mapping[str, OutcomeKind]) -> Outcome:
    result, kind = read_choice(answer, "result", kinds)
    stage = read_stage(answer)
    refuse_if((result, stage) in CONTRADICTIONS, "stage")
    told = Stage.DELIVERED if result == "DELIVERED" else stage
    reference = read_text(answer, "recall_ref", required=False)
    return Outcome(kind=kind, code=result, reference=reference, evidence={"stage": told.value})


def _read_recall(answer: dict[str, Any]) -> Outcome:
    outcome = _read(answer, STATE_KINDS)
    return_waybill_no = read_text(answer, "return_waybill_no", required=False)
    fee_minor = 0 if answer.get("fee_minor") is None else read_amount(answer, "fee_minor")
    evidence = {**outcome.evidence, "return_waybill_no": return_waybill_no, "fee_minor": fee_minor}
    return replace(outcome, evidence=evidence)


def _read_tracking(answer: Mapping[str, Any], waybill_no: str) -> Tracking:
    read_same(answer, "waybill_no", waybill_no)
    given = answer.get("events")
    if not isinstance(given, list) or len(given) > EVENTS_MAX:
        raise Malformed("events")
    events = sorted((_read_event(event) for event in given), key=lambda event: event.at)
    return Tracking(
        waybill_no=waybill_no,
        events=tuple(events),
        fed_at=read_instant(answer, "fed_at"),
        return_waybill_no=read_text(answer, "return_waybill_no", required=False),
    )


def _read_event(event: Any) -> RouteEvent:
    if not isinstance(event, dict):
        raise Malformed("events")
    at = read_instant(event, "at")
    if at is None:
        raise Malformed("events")
    place = read_place(event)
    return RouteEvent(at=at, stage=read_stage(event).value, place=place[:PLACE_LENGTH_MAX])
