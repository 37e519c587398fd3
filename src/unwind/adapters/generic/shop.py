"""A remote shop that speaks the generic contract."""

from collections.abc import Mapping
from typing import Any

from unwind.adapters.fields import read_answer, read_choice, read_same
from unwind.adapters.generic.client import SignedClient
from unwind.adapters.outbound import number_in_path
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.ports.shop import ShopCall

RESULT_KINDS: Mapping[str, OutcomeKind] = {
    "DONE": OutcomeKind.SUCCEEDED,
    "REJECTED": OutcomeKind.REFUSED,
    "PENDING": OutcomeKind.PROCESSING,
}


class GenericShop:
    """Implements ports.shop.Shop."""

    def __init__(self, client: SignedClient) -> None:
        self._client = client

    async def cancel_lines(self, call: ShopCall) -> Outcome:
        answer = await self._client.call(_path(call, "cancel"), _body(call))
        return read_answer(answer, lambda found: _read(found, call))

    async def query_cancel(self, call: ShopCall) -> Outcome:
        answer = await self._client.call(_path(call, "cancel/query"), _body(call), not_found=OutcomeKind.NOT_FOUND)
        return read_answer(answer, lambda found: _read(found, call))


def _path(call: ShopCall, verb: str) -> str:
    return f"/orders/{number_in_path(call.order_id)}/{verb}"


def _body(call: ShopCall) -> dict[str, Any]:
    return {"request_id": call.request_id, "quantities": dict(call.quantities), "reason": call.reason_code}


def _read(answer: dict[str, Any], call: ShopCall) -> Outcome:
    read_same(answer, "request_id", call.request_id)
    result, kind = read_choice(answer, "result", RESULT_KINDS)
    return Outcome(kind=kind, code=result)
