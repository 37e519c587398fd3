"""Buyers without an account: order number, last digits of their telephone, and a code sent to it, typed by themselves.

Whether the number and the digits belong together is never said: the first answer is the same for everybody and is given before anything
is looked up; the second names no reason.
"""

from datetime import timedelta

import structlog

from unwind.domain.errors import Refusal
from unwind.domain.identity import WRONG_MAX, WRONG_PER, is_same
from unwind.domain.phone import tail_of
from unwind.flow import codes
from unwind.flow.services import Services
from unwind.flow.turns import take_turn
from unwind.logs import place_of
from unwind.storage import attempts, locks, privacy
from unwind.storage.database import Connection

PER_SOURCE, PER_ORDER = 20, 10
PER = timedelta(minutes=10)
WRONG = "guest_wrong"

log = structlog.get_logger()


async def admit(services: Services, kind: str, *, order_id: str, source: str) -> None:
    """Limited for the address it comes from and for the order, the same for orders there are and orders there are not."""
    await take_turn(services, f"{kind}:source", source, most=PER_SOURCE, per=PER)
    await take_turn(services, f"{kind}:order", order_id, most=PER_ORDER, per=PER)


async def send_guest_code(services: Services, order_id: str, phone_tail: str) -> None:
    """After the answer has been given. Nobody hears what came of it."""
    try:
        async with services.database.transaction() as conn:
            code = None
            if await _knows_tail(conn, services, order_id, phone_tail):
                code = await codes.make_code(conn, services, order_id, purpose="guest")
        if code is not None:
            await codes.deliver(services, code)
    except Exception as error:  # noqa: BLE001 - there is nobody left to answer
        log.error("guest_code_failed", error=type(error).__name__, where=place_of(error))  # noqa: TRY400 - no quotes


async def enter_guest_code(services: Services, order_id: str, phone_tail: str, digits: str) -> None:
    """Refuses with `identity_not_shown`, whatever was wrong. Several wrong codes close the order for an hour."""
    async with services.database.transaction() as conn:
        is_right = await _knows_tail(conn, services, order_id, phone_tail) and await codes.matches(
            conn, services, order_id, digits, purpose="guest"
        )
        if not is_right:
            subject = services.vault.blind(f"attempts:{WRONG}", order_id)
            await attempts.count_attempt(conn, WRONG, subject, per=WRONG_PER)
    if not is_right:
        raise Refusal("identity_not_shown")


async def _knows_tail(conn: Connection, services: Services, order_id: str, phone_tail: str) -> bool:
    """Of the buyer's own telephone, as the newest revision of the order has it."""
    subject = services.vault.blind(f"attempts:{WRONG}", order_id)
    if await attempts.attempts_so_far(conn, WRONG, subject, per=WRONG_PER) >= 2 * WRONG_MAX:
        return False
    await locks.lock_order(conn, order_id)
    phone = await privacy.open_private(conn, services.vault, order_id, codes.BOUND) or ""
    return is_same(phone_tail, tail_of(phone))
