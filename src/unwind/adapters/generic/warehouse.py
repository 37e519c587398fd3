"""A warehouse that speaks the generic contract."""

from collections.abc import Mapping
from typing import Any

from unwind.adapters.fields import read_answer, read_choice, read_text, refuse_if
from unwind.adapters.generic.client import SignedClient
from unwind.adapters.outbound import number_in_path
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.domain.stage import Stage
from unwind.ports.warehouse import HoldCall

RESULT_KINDS: Mapping[str, OutcomeKind] = {
    "CANCELLED": OutcomeKind.SUCCEEDED,
    "REJECTED": OutcomeKind.REFUSED,
    "PENDING": OutcomeKind.PROCESSING,
}
STAGES: Mapping[str, Stage] = {
    "NEW": Stage.RELEASED,
    "PICKING": Stage.PICKING,
    "PACKED": Stage.PACKED,
    "LABEL_PRINTED": Stage.LABEL_PRINTED,
    "HANDED_OVER": Stage.HANDED_OVER,
}


class GenericWarehouse:
    """Implements ports.warehouse.Warehouse. `evidence["stage"]` is in our words."""

    def __init__(self, client: SignedClient) -> None:
        self._client = client

    async def hold(self, call: HoldCall) -> Outcome:
        """An outbound number that the warehouse does not know is UNKNOWN: it proves neither "stopped" nor "left"."""
        return read_answer(await self._client.call(_path(call, "cancel"), _body(call)), _read)

    async def query_hold(self, call: HoldCall) -> Outcome:
        answer = await self._client.call(_path(call, "query"), _body(call), not_found=OutcomeKind.NOT_FOUND)
        return read_answer(answer, _read)


def _path(call: HoldCall, verb: str) -> str:
    return f"/outbound/{number_in_path(call.outbound_no)}/{verb}"


def _body(call: HoldCall) -> dict[str, str]:
    return {
        "request_id": call.request_id,
        "order_no": call.order_id,
        "warehouse_code": call.warehouse_code,
        "reason": call.reason_code,
    }


def _read(answer: dict[str, Any]) -> Outcome:
    """`message` is for people and may hold anything: it is not read. Stopped but handed over is a contradiction."""
    result, kind = read_choice(answer, "result", RESULT_KINDS)
    _, stage = read_choice(answer, "stage", STAGES)
    refuse_if(result == "CANCELLED" and stage is Stage.HANDED_OVER, "stage")
    reference = read_text(answer, "wms_ref", required=False)
    return Outcome(kind=kind, code=result, reference=reference, evidence={"stage": stage.value})
