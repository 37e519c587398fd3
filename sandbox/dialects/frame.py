"""What a dialect is, and the one way a call takes through it.

    request -> dialect.read (signature, format) -> Call in the world's words -> fault -> effect on the world -> Answer
            -> dialect.responder: the provider's words and signature, or what the fault makes of them

A dialect never touches the ledger except to read what its answer has to show. It shares no code with the program that it plays against.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from sandbox import carrier, messages, payment, shop, warehouse
from sandbox.answers import Answer, Call, RefusalError
from sandbox.callbacks import Courier, Letter
from sandbox.faults import answer_with_fault, dial_callbacks, is_answered_in_full, subject_of, take_fault
from sandbox.keyring import Keyring
from sandbox.responder import Responder
from sandbox.world import World, order_ns

Effect = Callable[[World, Call], Answer]

OPERATIONS: Mapping[str, Effect] = {
    "payment.refund": payment.refund,
    "payment.refund_query": payment.query_refund,
    "payment.refund_elsewhere": payment.refund_elsewhere,
    "payment.close": payment.close_trade,
    "payment.trade_query": payment.query_trade,
    "payment.balance": payment.tell_balance,
    "warehouse.cancel": warehouse.cancel_outbound,
    "warehouse.query": warehouse.query_outbound,
    "warehouse.show": warehouse.show_outbound,
    "carrier.void": carrier.void_waybill,
    "carrier.recall": carrier.recall_parcel,
    "carrier.recall_query": carrier.query_recall,
    "carrier.track": carrier.track,
    "messages.send": messages.send_message,
    "shop.cancel": shop.cancel_lines,
    "shop.cancel_query": shop.query_cancel,
}
"""What the world can be asked, in its own words: body and answer are those of docs/contracts/generic-http.md."""


class Answered(Exception):
    """The request ends here: a wrong signature, a malformed body, a path that the provider does not have."""

    def __init__(self, response: Response, *, code: str) -> None:
        super().__init__(code)
        self.response = response
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A genuine request, understood."""

    operation: str
    body: Mapping[str, Any]
    """In the world's words."""
    number: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)
    """Whatever the dialect's own responder needs."""


class Dialect(Protocol):
    provider: str
    repeat_after_s: tuple[float, ...]
    """Seconds between repetitions of a callback that was not taken."""

    def read(self, connection: str, request: Request, path: str, raw: bytes) -> Asked:
        """Raises Answered for what is not genuine or not understood. `path` is the provider's own, below the connection."""
        ...

    def responder(self, connection: str, asked: Asked) -> Responder: ...

    def letter(self, connection: str, event: Mapping[str, Any]) -> Letter | None:
        """An event of the world as the provider would call it in; None: this provider does not tell."""
        ...

    def is_taken(self, status: int, body: bytes) -> bool:
        """Whether the receiver's answer counts as a yes."""
        ...

    def settings(self, connection: str, base_url: str) -> dict[str, Any]:
        """What the provider hands to the merchant: the row of `connections.json` without its connection_id."""
        ...


MakeDialect = Callable[[World, Keyring], Dialect]


async def serve(world: World, courier: Courier, dialect: Dialect, request: Request) -> Response:
    connection, path = request.path_params["connection"], "/" + request.path_params.get("path", "")
    raw = await request.body()
    world.run_due()
    try:
        asked = dialect.read(connection, request, path, raw)
    except Answered as answered:
        _note(world, connection, path, number="", status=answered.response.status_code, code=answered.code)
        return answered.response
    call = Call(
        connection=connection,
        operation=asked.operation,
        number=asked.number,
        body=asked.body,
        fault=take_fault(world, connection, asked.operation),
    )
    responder = dialect.responder(connection, asked)
    run = functools.partial(_run_effect, world, call)
    return await answer_with_fault(world, call, responder, run, courier.deliver_now)


def _run_effect(world: World, call: Call) -> Answer:
    """What happens in the outside world, whole or not at all, and the note that it was asked."""
    with world.ledger.transaction():
        dial_callbacks(world, call)
        try:
            answer = OPERATIONS[call.operation](world, call)
        except RefusalError as refusal:
            answer = refusal.answer
        number = subject_of(call.body) or str(call.body.get("trade_no") or call.body.get("message_id") or call.number)
        fault = call.fault.name if call.fault is not None else ""
        code = str(answer.body.get("code", ""))
        _note(world, call.connection, call.operation, number=number, status=answer.status, code=code, fault=fault)
        if is_answered_in_full(call.fault):
            _note_answered(world, call, answer)
    return answer


def _note(
    world: World, connection: str, operation: str, *, number: str, status: int, code: str, fault: str = ""
) -> None:
    world.ledger.run(
        "INSERT INTO calls (connection, operation, number, status, code, fault, at_ns) VALUES (?, ?, ?, ?, ?, ?, ?)",
        *(connection, operation, number, status, code, fault, order_ns()),
    )


def _note_answered(world: World, call: Call, answer: Answer) -> None:
    """When the other side was first told how its hold or recall ended: a refund must not come earlier."""
    result = answer.body.get("result", "")
    if call.operation.startswith("warehouse.") and result in {"CANCELLED", "REJECTED"}:
        table = "holds"
    elif call.operation == "warehouse.show":
        world.ledger.run(
            "UPDATE holds SET answered_at_ns = ? WHERE connection = ? AND outbound_no = ? AND answered_at_ns IS NULL"
            " AND result <> 'PENDING'",
            *(order_ns(), call.connection, call.number),
        )
        return
    elif call.operation == "carrier.track":
        world.ledger.run(
            "UPDATE recalls SET answered_at_ns = ? WHERE connection = ? AND waybill_no = ? AND answered_at_ns IS NULL"
            " AND result <> 'ACCEPTED'",
            *(order_ns(), call.connection, call.number),
        )
        return
    elif call.operation.startswith("carrier.") and result not in {"", "ACCEPTED"}:
        table = "recalls"
    else:
        return
    world.ledger.run(
        f"UPDATE {table} SET answered_at_ns = ? WHERE connection = ? AND request_id = ? AND answered_at_ns IS NULL",  # noqa: S608
        *(order_ns(), call.connection, answer.subject),
    )
