"""Who asks is checked before anything is told or done; `require_identity` is the one question every other step asks.

A check counts for one order, for the agent who made it, for half an hour. Wrong answers are counted for the order and for the agent, and
no answer says which part of it was wrong, or whether there is such an order.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.errors import Refusal, require
from unwind.domain.identity import (
    CHECK_LIFE,
    WRONG_MAX,
    WRONG_PER,
    Level,
    Method,
    is_same,
    names_item,
    needs_check,
    satisfies,
)
from unwind.domain.phone import tail_of
from unwind.domain.transitions import Event
from unwind.flow import codes
from unwind.flow.chronicle import clock, record
from unwind.flow.services import Services
from unwind.flow.turns import take_turn
from unwind.storage import attempts, cases, identity, locks, orders, privacy
from unwind.storage.database import Connection
from unwind.storage.orders import OrderRow

CHECKS_MAX, CHECKS_PER = 60, timedelta(hours=1)
SENDS_MAX, SENDS_PER = 30, timedelta(hours=1)
"""For one agent, whatever the orders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the caller said."""

    phone_tail: str
    item: str = ""
    amount_minor: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    order_id: str
    method: Method
    until: datetime


async def require_identity(conn: Connection, principal: Principal, order_id: str, level: Level = Level.BASIC) -> None:
    """Refuses with `identity_required` unless whoever speaks through this principal has been checked for this order."""
    if not needs_check(principal, level):
        return
    shown = await identity.valid_methods(conn, order_id, principal.principal_id)
    require(satisfies(level, shown), "identity_required", level=level.value)


async def answer_questions(services: Services, principal: Principal, order_id: str, answers: Answers) -> Checked:
    """Check (a): order number, last digits of the buyer's telephone, and an item or the amount.

    Wrong answers are counted for orders there are not, too, and apart for those of other shops: nobody locks somebody else's.
    """
    authorise(principal, Scope.CONTACTS_HANDLE)
    await take_turn(services, "identity", principal.principal_id, most=CHECKS_MAX, per=CHECKS_PER)
    async with services.database.transaction() as conn:
        row = await _visible(conn, principal, order_id)
        asked = order_id if row is not None else f"{order_id} of {principal.merchant_id}"
        wrong = services.vault.blind("attempts:identity_wrong", asked)
        require(
            await attempts.attempts_so_far(conn, "identity_wrong", wrong, per=WRONG_PER) < WRONG_MAX, "identity_locked"
        )
        phone = await privacy.open_private(conn, services.vault, order_id, codes.BOUND) or ""
        if row is not None and _knows(row, phone, answers):
            return await _pass(conn, principal, order_id, Method.QUESTIONS)
        await attempts.count_attempt(conn, "identity_wrong", wrong, per=WRONG_PER)
    raise Refusal("identity_not_shown")


async def send_code(services: Services, principal: Principal, order_id: str) -> None:
    """Check (b) begins: a code to the bound telephone, which the buyer then reads to the agent who asked for it."""
    authorise(principal, Scope.CONTACTS_HANDLE)
    await take_turn(services, "code_sends", principal.principal_id, most=SENDS_MAX, per=SENDS_PER)
    async with services.database.transaction() as conn:
        if await _visible(conn, principal, order_id) is None:
            raise Refusal("not_found")
        code = await codes.make_code(conn, services, order_id, purpose="agent", principal_id=principal.principal_id)
    if code is None:
        raise Refusal("too_many_requests")
    require(await codes.deliver(services, code), "code_not_sent")


async def enter_code(services: Services, principal: Principal, order_id: str, digits: str) -> Checked:
    """Check (b) ends."""
    authorise(principal, Scope.CONTACTS_HANDLE)
    await take_turn(services, "identity", principal.principal_id, most=CHECKS_MAX, per=CHECKS_PER)
    async with services.database.transaction() as conn:
        row = await _visible(conn, principal, order_id)
        if row is not None and await codes.matches(
            conn, services, order_id, digits, purpose="agent", principal_id=principal.principal_id
        ):
            return await _pass(conn, principal, order_id, Method.CODE)
    raise Refusal("identity_not_shown")


async def _visible(conn: Connection, principal: Principal, order_id: str) -> OrderRow | None:
    """Locked, so that a check and what is known of the order belong together."""
    await locks.lock_order(conn, order_id)
    row = await orders.read_order(conn, order_id)
    if row is None or principal.merchant_id not in {None, row.order.merchant.merchant_id}:
        return None
    return row


def _knows(row: OrderRow, phone: str, answers: Answers) -> bool:
    """Every part is looked at, whatever the others say."""
    lines = row.order.lines
    knows_tail = is_same(answers.phone_tail, tail_of(phone))
    knows_item = bool(answers.item) and names_item(
        answers.item, titles=[line.title for line in lines], skus=[line.sku for line in lines]
    )
    knows_amount = answers.amount_minor is not None and answers.amount_minor == row.order.payable_minor
    return knows_tail and (knows_item or knows_amount)


async def _pass(conn: Connection, principal: Principal, order_id: str, method: Method) -> Checked:
    """Kept for the order, and written into the history of every case of it that is open."""
    now = await clock(conn)
    until = now + CHECK_LIFE
    await identity.add_check(
        conn, order_id=order_id, principal_id=principal.principal_id, method=method.value, at=now, until=until
    )
    for case_id in await cases.open_cases_of(conn, order_id):
        await locks.lock_case(conn, case_id)
        await record(
            conn,
            case_id,
            Event.IDENTITY_CHECKED,
            at=now,
            actor=principal.actor,
            data={"method": method.value, "until": until.isoformat()},
        )
    return Checked(order_id=order_id, method=method, until=until)
