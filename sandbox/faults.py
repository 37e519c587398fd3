"""The fault dials: what goes wrong with the next calls, or with a share of all calls.

| name | what the caller sees | what happened |
|---|---|---|
| timeout_after_effect, timeout_before_effect | nothing for `seconds` (30), then a closed connection | done; not done |
| reset_mid_answer | the answer breaks off half way | done |
| slow | the right answer after `seconds` (15) | done |
| error_{500,502,503}_{after,before}_effect | that status; 500 signed, the others as a proxy answers | done; not done |
| rate_limit, rate_limit_bare | 429 with `Retry-After: retry_after_s` (2); without | not done |
| malformed_body, bad_signature | signed rubbish; the right body under a wrong signature | done |
| wrong_order_answer | the answer that belongs to another number | done |
| stays_processing | accepted; final after `seconds`, or never | accepted |
| reversed_later | success, taken back after `seconds` (3600) | done, undone |
| callback_before_answer, callback_twice, callback_50, callbacks_out_of_order, callback_never | the name says it | done |
| callback_signtest | first under a signature that is meant to be refused, where the provider does such a thing (WeChat Pay) | done |

Seconds are scaled by the sandbox's time scale.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.responses import Response

from sandbox.answers import Answer, Call, Fault
from sandbox.responder import BrokenOffResponse, Responder
from sandbox.world import CALLBACK_FAULTS, World

TIMEOUT_S = 30.0
SLOW_S = 15.0
RETRY_AFTER_S = 2
ERRORS = {f"error_{status}_{when}_effect": (status, when) for status in (500, 502, 503) for when in ("after", "before")}
WITHOUT_EFFECT = frozenset(
    {"timeout_before_effect", "rate_limit", "rate_limit_bare"}
    | {name for name, (_, when) in ERRORS.items() if when == "before"}
)
HAVING_CALLBACKS = frozenset({"payment.refund", "warehouse.cancel", "carrier.recall"})
ONLY_FOR = {
    "reversed_later": frozenset({"payment.refund"}),
    "stays_processing": HAVING_CALLBACKS | {"shop.cancel"},
    **dict.fromkeys(CALLBACK_FAULTS | {"callback_before_answer"}, HAVING_CALLBACKS),
}
NAMES = (
    *(
        "timeout_after_effect",
        "timeout_before_effect",
        "reset_mid_answer",
        "slow",
        *ERRORS,
        "rate_limit",
        "rate_limit_bare",
    ),
    *("malformed_body", "bad_signature", "wrong_order_answer", "stays_processing", "reversed_later"),
    *("callback_before_answer", "callback_twice", "callback_50", "callbacks_out_of_order", "callback_never"),
)
OF_ONE_PROVIDER = ("callback_signtest",)
"""Dials that mean something to one dialect only; the random mode does not draw them."""


def take_fault(world: World, connection: str, operation: str) -> Fault | None:
    """The fault of this call: the oldest dial that fits, otherwise a draw of the random mode."""
    with world.ledger.transaction():
        row = world.ledger.one(
            "SELECT * FROM faults WHERE connection IN (?, '*') AND operation IN (?, '*') AND times_left > 0"
            " ORDER BY id LIMIT 1",
            *(connection, operation),
        )
        if row is not None:
            world.ledger.run("UPDATE faults SET times_left = times_left - 1 WHERE id = ?", row["id"])
            return Fault(row["fault"], row["seconds"], row["retry_after_s"])
        return _draw(world, connection, operation)


def _draw(world: World, connection: str, operation: str) -> Fault | None:
    """Repeatable: the n-th call of a connection draws the same, whatever ran before."""
    row = world.ledger.one(
        "SELECT * FROM random_faults WHERE connection IN (?, '*') ORDER BY connection DESC LIMIT 1", connection
    )
    if row is None:
        return None
    world.ledger.run("UPDATE random_faults SET drawn = drawn + 1 WHERE connection = ?", row["connection"])
    dice = random.Random(f"{row['seed']}:{row['drawn']}")  # noqa: S311  must repeat
    if dice.random() >= row["rate"]:
        return None
    fitting = [name for name in json.loads(row["names"]) if operation in ONLY_FOR.get(name, {operation})]
    return Fault(dice.choice(fitting)) if fitting else None


def subject_of(body: Mapping[str, Any]) -> str:
    """Whose callbacks a call causes."""
    subject = body.get("refund_no") or body.get("request_id")
    return subject if isinstance(subject, str) else ""


def dial_callbacks(world: World, call: Call) -> None:
    if call.fault is not None and call.fault.name in CALLBACK_FAULTS:
        world.ledger.run(
            "INSERT INTO callback_faults (connection, subject, fault) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            *(call.connection, subject_of(call.body), call.fault.name),
        )


def is_answered_in_full(fault: Fault | None) -> bool:
    return fault is None or fault.name in CALLBACK_FAULTS | {"slow", *ONLY_FOR}


async def answer_with_fault(
    world: World,
    call: Call,
    responder: Responder,
    run_effect: Callable[[], Answer],
    deliver_now: Callable[[str, str], Awaitable[None]],
) -> Response:
    """Runs the effect unless the fault says otherwise, and answers as the fault says."""
    fault = call.fault or Fault("")
    answer = None if fault.name in WITHOUT_EFFECT else run_effect()
    match fault.name:
        case "timeout_after_effect" | "timeout_before_effect":
            await _pause(world, fault, TIMEOUT_S)
            return BrokenOffResponse(responder.system_error(), sent_share=0.0)
        case "rate_limit" | "rate_limit_bare":
            response = responder.rate_limited()
            if fault.name == "rate_limit":
                seconds = RETRY_AFTER_S if fault.retry_after_s is None else fault.retry_after_s
                response.headers["Retry-After"] = str(seconds)
            return response
        case name if name in ERRORS:
            return _answer_error(responder, ERRORS[name][0])
        case "slow":
            await _pause(world, fault, SLOW_S)
        case "callback_before_answer":
            subject = subject_of(call.body)
            world.run_due_of(call.connection, subject)
            await deliver_now(call.connection, subject)
        case _:
            pass
    if answer is None:
        raise AssertionError(fault.name)
    return _disguise(responder, fault, answer)


def _disguise(responder: Responder, fault: Fault, answer: Answer) -> Response:
    match fault.name:
        case "malformed_body":
            return responder.respond_malformed(answer)
        case "bad_signature":
            return responder.respond_badly_signed(answer)
        case "wrong_order_answer":
            return responder.respond_of_another(answer)
        case "reset_mid_answer":
            return BrokenOffResponse(responder.respond(answer), sent_share=0.5)
        case _:
            return responder.respond(answer)


def _answer_error(responder: Responder, status: int) -> Response:
    """500 in the provider's own words; the others as a proxy in between answers."""
    if status == 500:  # noqa: PLR2004
        return responder.system_error()
    return Response("<html><body>upstream</body></html>", status_code=status, media_type="text/html")


async def _pause(world: World, fault: Fault, default_s: float) -> None:
    await asyncio.sleep(world.scaled(default_s if fault.seconds is None else fault.seconds))
