"""Requests that arrive while others are being written are written together, in the next batch of this process.

    waiting requests -> batch -> (what is free of their keys and orders, locked and read) -> considered in memory, each
        -> the plain ones: one document, one commit -> their answers
        -> everything else: alone, as if there had been no batch

There is no timer: an idle process sends a single request at once, a busy one sends what has come in meanwhile. A batch waits for nobody
who holds a key or an order, so one request that must wait keeps no other from its answer. A request alone in its batch is answered whole
in that transaction; in company only plain new cases are, because they ask nothing more of the database than to be written.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from unwind.domain.access import Principal
from unwind.domain.case import Kind
from unwind.domain.errors import Refusal
from unwind.flow.receipt import Receipt, join_documents, new_case_id
from unwind.flow.receive import (
    Answer,
    Request,
    answer_reading,
    consider,
    key_of,
    lay_out,
    receive,
    speaks_for_somebody,
)
from unwind.flow.screen import kind_of
from unwind.flow.services import Services
from unwind.logs import place_of
from unwind.storage import cases
from unwind.storage.idempotency import Key
from unwind.storage.orders import OrderRow
from unwind.storage.receipts import read_what_is_free

log = structlog.get_logger()

TOGETHER_MAX = 16
"""Requests of one batch: beyond this the commit is shared well enough, and every one of them waits for all."""
TURNS = 4
"""Of the event loop between two batches: answers go out, what has arrived is read, and its handlers come to the intake. No timer: a turn
in which nothing has arrived is over at once."""
WAITING_MAX = 256
"""Requests that wait for the next batches; what comes on top goes alone and is held back by the pool of connections."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Waiting:
    """A request on its way. Its `outcome` is None when it must go alone, and cancelled when its client has gone away."""

    principal: Principal
    request: Request
    key: Key
    outcome: asyncio.Future[Answer | None]


class Intake:
    """One per process. `receive` keeps every promise of `flow/receive.py`: in company nothing is answered that differs from alone."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._waiting: deque[Waiting] = deque()
        self._carrier: asyncio.Task[None] | None = None

    async def receive(self, principal: Principal, request: Request) -> Answer:
        """Makes the request true, exactly once, and answers after the commit. Raises Refusal for what cannot be."""
        if len(self._waiting) < WAITING_MAX:
            answered = await self._join(principal, request)
            if answered is not None:
                return answered
        return await receive(self._services, principal, request)

    async def _join(self, principal: Principal, request: Request) -> Answer | None:
        """In a task of its own the batch outlives a client that goes away."""
        outcome: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(
            Waiting(
                principal=principal, request=request, key=key_of(self._services, principal, request), outcome=outcome
            )
        )
        if self._carrier is None:
            self._carrier = asyncio.create_task(self._carry_all())
        return await outcome

    async def _carry_all(self) -> None:
        """Batch after batch until nobody waits. Should it be stopped, everybody goes alone."""
        try:
            while self._waiting:
                await self._carry([self._waiting.popleft() for _ in range(min(len(self._waiting), TOGETHER_MAX))])
                for _ in range(TURNS):
                    await asyncio.sleep(0)
        finally:
            self._carrier = None
            while self._waiting:
                _settle(self._waiting.popleft(), None)

    async def _carry(self, batch: Sequence[Waiting]) -> None:
        """Settles every outcome of the batch, whatever happens to it."""
        company = _without_twins([one for one in batch if not one.outcome.done()])
        answers: Mapping[Waiting, Answer | Refusal] = {}
        try:
            if len(company) == 1:
                answers = await _answer_one(self._services, company[0])
            elif company:
                answers = await _answer_together(self._services, company)
        except Exception as error:  # noqa: BLE001 - each goes alone then, and meets its own error there
            log.warning("batch_given_up", error=type(error).__name__, where=place_of(error), requests=len(company))
        finally:
            for one in batch:
                _settle(one, answers.get(one))


def _settle(one: Waiting, answer: Answer | Refusal | None) -> None:
    if one.outcome.done():
        return
    if isinstance(answer, Refusal):
        one.outcome.set_exception(answer)
    else:
        one.outcome.set_result(answer)


def _without_twins(batch: Sequence[Waiting]) -> list[Waiting]:
    """The first of each key and of each order: the others depend on what becomes of it."""
    seen: set[object] = set()
    company = []
    for one in batch:
        marks: set[object] = {("order", one.request.order_id)}
        if one.key.key:
            marks.add((one.key.principal_id, one.key.key))
        if not marks & seen:
            company.append(one)
        seen |= marks
    return company


async def _answer_one(services: Services, one: Waiting) -> Mapping[Waiting, Answer | Refusal]:
    """Whatever kind of request it is, in the transaction that read its order."""
    try:
        async with services.database.pipelined() as conn:
            rows = await read_what_is_free(conn, [(one.key, one.request.order_id)])
            row = rows.get(one.request.order_id)
            if row is None:
                return {}
            answer = await answer_reading(conn, services, one.principal, one.request, row)
    except Refusal as refusal:
        return {one: refusal}
    return {one: answer}


async def _answer_together(services: Services, company: Sequence[Waiting]) -> Mapping[Waiting, Answer | Refusal]:
    """The plain new cases among them, written and committed; the others are left out."""
    answers: dict[Waiting, Answer | Refusal] = {}
    receipts: list[Receipt] = []
    async with services.database.pipelined() as conn:
        rows = await read_what_is_free(conn, [(one.key, one.request.order_id) for one in company])
        for one in company:
            laid_out = _lay_out_plain(services, one, rows.get(one.request.order_id))
            if laid_out is not None:
                receipt, body = laid_out
                receipts.append(receipt)
                answers[one] = Answer(status=201, body=body)
        await cases.create_cases(conn, join_documents(receipts))
    return answers


def _lay_out_plain(services: Services, one: Waiting, row: OrderRow | None) -> tuple[Receipt, Mapping[str, Any]] | None:
    """A new case that is complete once it is written; None for everything that needs the path of its own."""
    if row is None or one.request.text or speaks_for_somebody(one.principal, one.request):
        return None
    try:
        seen = consider(services, one.principal, one.request, row)
        if not seen.screened or kind_of(seen.screened) is Kind.INQUIRY:
            return None
        receipt, body = lay_out(services, one.principal, one.request, seen, case_id=new_case_id(row.now), note={})
    except Exception:  # noqa: BLE001 - a refusal or a fault of this one; raised again where it can be answered
        return None
    return None if receipt.reservations else (receipt, body)
