"""The contract's calls under /c/{connection}: signature, nonce, JSON, then the party's own rules, then the fault."""

import functools
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import carrier, messages, payment, shop, warehouse
from sandbox.answers import Answer, Call, RefusalError
from sandbox.callbacks import Courier
from sandbox.faults import Responder, answer_with_fault, dial_callbacks, is_answered_in_full, subject_of, take_fault
from sandbox.signing import SignatureError, verify
from sandbox.world import World, order_ns

Effect = Callable[[World, Call], Answer]

OPERATIONS: dict[str, tuple[str, Effect]] = {
    "/payment/refunds": ("payment.refund", payment.refund),
    "/payment/refunds/query": ("payment.refund_query", payment.query_refund),
    "/payment/trades/close": ("payment.close", payment.close_trade),
    "/payment/trades/query": ("payment.trade_query", payment.query_trade),
    "/outbound/{no}/cancel": ("warehouse.cancel", warehouse.cancel_outbound),
    "/outbound/{no}/query": ("warehouse.query", warehouse.query_outbound),
    "/waybills/{no}/void": ("carrier.void", carrier.void_waybill),
    "/waybills/{no}/recall": ("carrier.recall", carrier.recall_parcel),
    "/waybills/{no}/recall/query": ("carrier.recall_query", carrier.query_recall),
    "/waybills/{no}/track": ("carrier.track", carrier.track),
    "/messages": ("messages.send", messages.send_message),
    "/orders/{no}/cancel": ("shop.cancel", shop.cancel_lines),
    "/orders/{no}/cancel/query": ("shop.cancel_query", shop.query_cancel),
}
OPERATION_NAMES = tuple(name for name, _ in OPERATIONS.values())
UNUSABLE_NONCE = "0" * 16


def routes(world: World, courier: Courier) -> list[Route]:
    for party in (payment, warehouse, carrier, shop):
        party.register(world)

    def endpoint(name: str, effect: Effect) -> Callable[[Request], Awaitable[Response]]:
        async def serve_operation(request: Request) -> Response:
            return await serve(world, courier, request, name, effect)

        return serve_operation

    return [
        Route(f"/c/{{connection}}{path}", endpoint(name, effect), methods=["POST"])
        for path, (name, effect) in OPERATIONS.items()
    ]


async def serve(world: World, courier: Courier, request: Request, operation: str, effect: Effect) -> Response:
    connection = request.path_params["connection"]
    raw = await request.body()
    secret = world.settings.secret_of(connection)
    if secret is None:
        return Response(status_code=404)
    world.run_due()
    try:
        nonce = verify(secret, request.headers, raw, now=world.now())
    except SignatureError:
        return _refuse_unsigned(world, secret, request, connection, operation)
    responder = Responder(world, secret, nonce)
    if not world.take_nonce(connection, nonce):
        return responder.respond(RefusalError(401, "NONCE_REUSED").answer)
    body = _parse(raw)
    if body is None:
        return responder.respond(RefusalError(400, "PARAM_ERROR", "a JSON object").answer)
    call = Call(
        connection=connection,
        operation=operation,
        number=request.path_params.get("no", ""),
        body=body,
        fault=take_fault(world, connection, operation),
    )
    run = functools.partial(run_effect, world, call, effect)
    return await answer_with_fault(world, call, responder, run, courier.deliver_now)


def run_effect(world: World, call: Call, effect: Effect) -> Answer:
    """What happens in the outside world, whole or not at all, and the note that it was asked."""
    with world.ledger.transaction():
        dial_callbacks(world, call)
        try:
            answer = effect(world, call)
        except RefusalError as refusal:
            answer = refusal.answer
        _note_call(world, call, answer)
        if is_answered_in_full(call.fault):
            _note_answered(world, call, answer)
    return answer


def _note_call(world: World, call: Call, answer: Answer) -> None:
    number = subject_of(call.body) or str(call.body.get("trade_no") or call.body.get("message_id") or call.number)
    world.ledger.run(
        "INSERT INTO calls (connection, operation, number, status, code, fault, at_ns) VALUES (?, ?, ?, ?, ?, ?, ?)",
        *(call.connection, call.operation, number, answer.status, str(answer.body.get("code", ""))),
        *(call.fault.name if call.fault is not None else "", order_ns()),
    )


def _note_answered(world: World, call: Call, answer: Answer) -> None:
    """When the other side was first told how its hold or recall ended: a refund must not come earlier."""
    result = answer.body.get("result", "")
    if call.operation.startswith("warehouse.") and result in {"CANCELLED", "REJECTED"}:
        table = "holds"
    elif call.operation.startswith("carrier.") and result not in {"", "ACCEPTED"}:
        table = "recalls"
    else:
        return
    world.ledger.run(
        f"UPDATE {table} SET answered_at_ns = ? WHERE connection = ? AND request_id = ? AND answered_at_ns IS NULL",  # noqa: S608
        *(order_ns(), call.connection, answer.subject),
    )


def _refuse_unsigned(world: World, secret: str, request: Request, connection: str, operation: str) -> Response:
    world.ledger.run(
        "INSERT INTO calls (connection, operation, number, status, code, fault, at_ns)"
        " VALUES (?, ?, '', 401, 'SIGN_ERROR', '', ?)",
        *(connection, operation, order_ns()),
    )
    nonce = request.headers.get("x-nonce", "")
    usable = nonce if nonce.isascii() and nonce.isprintable() and nonce else UNUSABLE_NONCE
    return Responder(world, secret, usable).respond(RefusalError(401, "SIGN_ERROR").answer)


def _parse(raw: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None
