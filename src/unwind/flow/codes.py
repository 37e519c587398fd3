"""One-time codes to the telephone that an order is bound to: the buyer's, never that of whoever receives the goods.

The row with its digest is committed first, then the message leaves, and is never sent again after doubt: whoever waits asks for another.
Codes are asked for at this moment, so they leave at night too.
"""

import asyncio
import hmac
import secrets
from dataclasses import dataclass

from unwind.domain.identity import (
    CODE_ATTEMPTS_MAX,
    CODE_DIGITS,
    CODE_LIFE,
    CODE_SENDS_MAX,
    CODE_SENDS_PER,
)
from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.flow.chronicle import clock
from unwind.flow.notify import notifier_of
from unwind.flow.services import Services
from unwind.flow.wording import code_text
from unwind.ports.notifier import MessageCall
from unwind.storage import identity, locks, merchants, privacy
from unwind.storage.database import Connection

SEND_TIMEOUT_S = 10
BOUND = "phone"
"""The field of the buyer's own telephone."""
CHANNEL = "sms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    code_id: str
    order_id: str
    purpose: str
    digits: str
    merchant_id: str


async def make_code(
    conn: Connection, services: Services, order_id: str, *, purpose: str, principal_id: str = ""
) -> Code | None:
    """None where the telephone has had as many as it may."""
    await locks.lock_order(conn, order_id)
    now = await clock(conn)
    if await identity.codes_since(conn, order_id, now - CODE_SENDS_PER) >= CODE_SENDS_MAX:
        return None
    code = Code(
        code_id=secrets.token_hex(8),
        order_id=order_id,
        purpose=purpose,
        digits=f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}",
        merchant_id=(await merchants.merchant_of_order(conn, order_id))["merchant_id"],
    )
    await identity.add_code(
        conn,
        code_id=code.code_id,
        order_id=order_id,
        purpose=purpose,
        principal_id=principal_id,
        digest=services.vault.code_digest(code.code_id, order_id, code.digits),
        at=now,
        life=CODE_LIFE,
    )
    return code


async def deliver(services: Services, code: Code) -> bool:
    """False where it certainly did not leave."""
    async with services.database.connection() as conn:
        address = await privacy.open_private(conn, services.vault, code.order_id, BOUND) or ""
        language = await privacy.open_private(conn, services.vault, code.order_id, "language") or "zh"
    found = notifier_of(services, CHANNEL, code.merchant_id)
    outcome = Outcome(kind=OutcomeKind.REFUSED, code="no_channel")
    if found is not None and address:
        minutes = int(CODE_LIFE.total_seconds() // 60)
        call = MessageCall(
            message_id=f"code-{code.code_id}",
            audience="buyer",
            channel=CHANNEL,
            address=address,
            template=f"{code.purpose}_code",
            text=code_text(code.purpose, code.digits, minutes=minutes, language=language),
            params={"code": code.digits, "minutes": minutes},
        )
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                outcome = await found[1].send(call)
        except TimeoutError:
            outcome = Outcome(kind=OutcomeKind.UNKNOWN, code="timeout")
    has_left = outcome.kind in {OutcomeKind.SUCCEEDED, OutcomeKind.PROCESSING, OutcomeKind.UNKNOWN}
    async with services.database.transaction() as conn:
        state = "sent" if has_left else "undelivered"
        await identity.set_code_state(conn, code.code_id, state, channel=found[0] if found else "")
    return has_left


async def matches(
    conn: Connection, services: Services, order_id: str, digits: str, *, purpose: str, principal_id: str = ""
) -> bool:
    """Counts the attempt, and uses the code up where it is right. The caller commits either way."""
    row = await identity.try_code(
        conn, order_id=order_id, purpose=purpose, principal_id=principal_id, attempts_max=CODE_ATTEMPTS_MAX
    )
    if row is None:
        return False
    given = services.vault.code_digest(row["code_id"], order_id, digits)
    if not hmac.compare_digest(given, row["digest"]):
        return False
    await identity.set_code_state(conn, row["code_id"], "used")
    return True
