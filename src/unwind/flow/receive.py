"""Step 1: a request comes in, over any channel, by one contract.

    request -> (claim key, lock and read the order) -> words -> wish -> parts -> screened -> receipt -> one write -> answer

Two round trips to the database: the reading, and the writing with its commit. Nobody outside is called. A request for lines that are
already being taken back becomes an event on the case that holds them; a request for what is already done gets that case's answer.
Over HTTP, requests come through `intake.py`, which lets those that arrive together share the two round trips.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from unwind.domain import merchant_cancel
from unwind.domain.access import Principal, Role, Scope, authorise
from unwind.domain.case import Kind
from unwind.domain.errors import Refusal, require
from unwind.domain.identity import Level, needs_check
from unwind.domain.merchant_cancel import FAULT, MerchantReason, is_merchants_fault
from unwind.domain.order import LineId, Order
from unwind.domain.plan import complete_wish, free_units
from unwind.domain.promotion import NOTHING, Overlay
from unwind.domain.warnings import offers_outside_payment, was_told_to_say
from unwind.flow import answer
from unwind.flow.allowance import tell, within_limits
from unwind.flow.contact import contact_again, warn_staff
from unwind.flow.identity import require_identity
from unwind.flow.promotions import overlay_for
from unwind.flow.receipt import Origin, Receipt, new_case_id, store_receipt, write_down
from unwind.flow.screen import Screened, kind_of, screen
from unwind.flow.services import Services
from unwind.flow.tag import Read, read_words, tags_document
from unwind.storage import cases, idempotency, money, privacy
from unwind.storage.database import Connection
from unwind.storage.orders import OrderRow
from unwind.storage.receipts import read_for_request
from unwind.tagging import Reason

OPERATION = "cancellations"
CONVERSATIONS = frozenset({"hotline", "chat"})
ORIGIN_FIELDS = ("external_ref", "store_id", "operator_id", "merchant_reason", "evidence_ref")
"""What the first event of a case says about where it came from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What every channel hands in. `wish` None means everything that can still be taken back."""

    order_id: str
    channel: str
    wish: Mapping[LineId, int] | None = None
    picked: str | None = None
    text: str = ""
    external_ref: str = ""
    idempotency_key: str | None = None
    store_id: str = ""
    operator_id: str = ""
    """The counter and who stands behind it; ids only."""
    merchant_reason: str = ""
    evidence_ref: str = ""
    """Why the merchant itself cancels, and where that is shown."""
    consent: str = ""
    """What the dry run showed to be kept, by its digest: the buyer agrees to exactly that."""

    @property
    def fingerprint(self) -> bytes:
        body = [
            self.order_id,
            self.channel,
            sorted((self.wish or {}).items()),
            self.wish is None,
            self.picked,
            self.text,
        ]
        origin = [self.store_id, self.operator_id, self.merchant_reason, self.evidence_ref]
        if any(origin):
            body.append(origin)
        if self.consent:
            body.append(self.consent)
        return hashlib.sha256(orjson.dumps(body)).digest()


def contact_ref(request: Request) -> str:
    """The call or conversation a request came in by: one contact, however often it is heard of."""
    return request.external_ref if request.channel in CONVERSATIONS else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    """201 for a new case, 200 for an existing one."""
    body: Mapping[str, Any]
    is_replay: bool = field(default=False)


async def receive(services: Services, principal: Principal, request: Request) -> Answer:
    """Makes the request true, exactly once, and answers. Raises Refusal for what cannot be; nothing is written then."""
    async with services.database.pipelined() as conn:
        return await receive_within(conn, services, principal, request)


async def receive_within(conn: Connection, services: Services, principal: Principal, request: Request) -> Answer:
    """The same inside the caller's transaction."""
    key = key_of(services, principal, request)
    reading = await read_for_request(conn, key, request.order_id)
    if not reading.is_first:
        return await _replay(conn, key)
    if reading.row is None:
        raise Refusal("not_found")
    return await answer_reading(conn, services, principal, request, reading.row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Considered:
    """What a request means for the order as it was read; nothing has been written yet."""

    row: OrderRow
    read: Read
    held_by: Mapping[LineId, str]
    """Lines of the wish that an open case already holds."""
    screened: tuple[Screened, ...]
    """The parts of the wish that are free; none where nothing is."""
    overlay: Overlay = NOTHING


def consider(services: Services, principal: Principal, request: Request, row: OrderRow) -> Considered:
    """Decides in memory. Raises Refusal for what cannot be."""
    order = row.order
    right = Scope.CASES_CANCEL_OWN if request.channel == "merchant" else Scope.CASES_REQUEST
    authorise(principal, right, merchant_id=order.merchant.merchant_id, order_id=order.order_id)
    _require_origin(request)
    read = _read(services, order, request)
    wanted, held_by = _divide(row, request)
    overlay = overlay_for(services, row)
    screened = (
        screen(
            row,
            wanted,
            policy=services.policy,
            words=read.words,
            channel=request.channel,
            overlay=overlay,
            consent=own_consent(principal, request),
        )
        if wanted
        else ()
    )
    return Considered(row=row, read=read, held_by=held_by, screened=screened, overlay=overlay)


def _read(services: Services, order: Order, request: Request) -> Read:
    """What the words say; and the true reason where the merchant asks, or has put another into the buyer's mouth."""
    reviewed = services.taught.phrases_of(order.merchant.merchant_id)
    read = read_words(order, picked=request.picked, text=request.text, channel=request.channel, reviewed=reviewed)
    stated = request.picked or read.words.reason
    if request.channel == merchant_cancel.CHANNEL:
        is_short = request.merchant_reason == MerchantReason.OUT_OF_STOCK
        words = replace(read.words, reason=(Reason.OUT_OF_STOCK if is_short else Reason.MERCHANT_ASKED).value)
    elif request.text and was_told_to_say(request.text):
        words = replace(read.words, reason=Reason.MERCHANT_ASKED.value)
    else:
        return read
    return replace(read, words=words, stated=stated)


def _require_origin(request: Request) -> None:
    if request.channel == "store":
        require(bool(request.store_id and request.operator_id), "store_missing")
    if request.channel == "merchant":
        require(bool(request.merchant_reason and request.evidence_ref), "merchant_reason_needed")


def spoken_by(principal: Principal, request: Request) -> Request:
    """A buyer who came by a store's link speaks over that counter, whatever the request says."""
    if principal.store is None:
        return request
    counter = principal.store
    return replace(request, channel="store", store_id=counter.store_id, operator_id=counter.operator_id)


async def answer_reading(
    conn: Connection, services: Services, principal: Principal, request: Request, row: OrderRow
) -> Answer:
    """From the reading on: the key is ours and unused, the order is locked."""
    key = key_of(services, principal, request)
    seen = consider(services, principal, request, row)
    if speaks_for_somebody(principal, request):
        await require_identity(conn, principal, row.order.order_id)
    if not seen.screened and not seen.held_by:
        return await _existing(conn, key, row)
    joined = await _case_to_join(conn, seen)
    if joined is not None:
        await contact_again(
            conn,
            services,
            joined,
            actor=principal.actor,
            words=seen.read.words,
            channel=request.channel,
            text=request.text,
            wrapped_key=row.wrapped_key,
            ref=contact_ref(request),
        )
        return await _existing(conn, key, row, case_id=joined)
    case_id = new_case_id(row.now)
    note = await _keep_words(conn, services, request, row, case_id=case_id)
    allowed = await within_limits(conn, row, seen.screened, case_id=case_id, more=seen.overlay.limits)
    seen = replace(seen, screened=allowed.screened)
    receipt, body = lay_out(services, principal, request, seen, case_id=case_id, note=note)
    await store_receipt(conn, row.order, receipt)
    if request.text and offers_outside_payment(request.text):
        await warn_staff(conn, row.order.merchant.merchant_id, case_id)
    await tell(conn, allowed, case_id)
    return Answer(status=201, body=body)


def speaks_for_somebody(principal: Principal, request: Request) -> bool:
    """An agent asks for a buyer they only hear; a merchant asks for itself, and an administrator's bulk run for nobody."""
    asks_for_itself = request.channel == "merchant" or (request.channel == "bulk" and principal.role is Role.ADMIN)
    return not asks_for_itself and needs_check(principal, Level.BASIC)


def own_consent(principal: Principal, request: Request) -> str:
    """Only the buyer's own: whoever speaks for one they hear notes it with its proof, in the case."""
    return "" if speaks_for_somebody(principal, request) else request.consent


async def _case_to_join(conn: Connection, seen: Considered) -> str | None:
    """The open case that a request only adds to: one that holds all of its lines, or an inquiry that waits already."""
    if not seen.screened:
        return min(seen.held_by.values())
    if kind_of(seen.screened) is Kind.INQUIRY:
        return await cases.open_inquiry(conn, seen.row.order.order_id)
    return None


def key_of(services: Services, principal: Principal, request: Request) -> idempotency.Key:
    """Without a key of the caller's own, the order's lock and its open case make a repeat harmless.

    Kept as keyed digests: a caller may make a key of anything, a telephone number too, and the fingerprint covers the buyer's words.
    """
    vault = services.vault
    return idempotency.Key(
        principal_id=principal.principal_id,
        operation=OPERATION,
        key=vault.derive("idempotency", request.idempotency_key).hex() if request.idempotency_key else "",
        fingerprint=vault.derive("fingerprint", request.fingerprint.hex()) if request.idempotency_key else b"",
    )


def _remembered(key: idempotency.Key, status: int, body: Mapping[str, Any], row: OrderRow) -> list[dict[str, Any]]:
    return [idempotency.answer_row(key, status=status, body=body, at=row.now)] if key.key else []


async def _replay(conn: Connection, key: idempotency.Key) -> Answer:
    stored = await idempotency.stored_answer(conn, key)
    if stored is None or stored.fingerprint != key.fingerprint:
        raise Refusal("idempotency_mismatch")
    return Answer(status=stored.status, body=stored.body, is_replay=True)


def _divide(row: OrderRow, request: Request) -> tuple[dict[LineId, int], dict[LineId, str]]:
    """The part of the wish that is free, and the lines of it that an open case already holds."""
    order = row.order
    open_lines = row.open_lines
    if request.wish is None:
        wanted = {
            line.line_id: free_units(line)
            for line in order.lines
            if line.line_id not in open_lines and free_units(line) > 0
        }
        held = {line.line_id: open_lines[line.line_id] for line in order.lines if line.line_id in open_lines}
        return (wanted, held) if not order.is_cancelled else ({}, held)
    held = {line_id: open_lines[line_id] for line_id in request.wish if line_id in open_lines}
    rest = {line_id: units for line_id, units in request.wish.items() if line_id not in open_lines}
    if rest and all(_is_gone(order, line_id) for line_id in rest):
        return {}, held
    complete = complete_wish(order, rest) if rest else {}
    return {line_id: units for line_id, units in complete.items() if line_id not in open_lines}, held


def _is_gone(order: Order, line_id: LineId) -> bool:
    return any(line.line_id == line_id and free_units(line) == 0 for line in order.lines)


async def _existing(conn: Connection, key: idempotency.Key, row: OrderRow, *, case_id: str | None = None) -> Answer:
    """The existing case and its answer, never a second one."""
    found = case_id or await cases.latest_case(conn, row.order.order_id)
    if found is None:
        raise Refusal("nothing_to_cancel")
    case_row = await cases.read_case_row(conn, found)
    body = answer.for_existing(row.order, case_row or {}, await money.refunds_of_case(conn, found))
    await cases.create_cases(conn, {"answers": _remembered(key, 200, body, row)})
    return Answer(status=200, body=body)


async def _keep_words(
    conn: Connection, services: Services, request: Request, row: OrderRow, *, case_id: str
) -> dict[str, object]:
    """Stores the private words first, so that the history can commit to them. Returns the commitment."""
    if not request.text:
        return {}
    key = await privacy.keep_private(
        conn,
        services.vault,
        row.order.order_id,
        {"words": request.text},
        wrapped_key=row.wrapped_key,
        case_id=case_id,
    )
    return {"words": privacy.commit_to(request.text, key=key)}


def lay_out(
    services: Services,
    principal: Principal,
    request: Request,
    seen: Considered,
    *,
    case_id: str,
    note: Mapping[str, object],
) -> tuple[Receipt, dict[str, Any]]:
    """The new case, ready to be written with its remembered answer; and that answer."""
    told = {name: getattr(request, name) for name in ORIGIN_FIELDS}
    reference: dict[str, object] = {name: value for name, value in told.items() if value}
    origin = Origin(
        channel=request.channel,
        actor=principal.actor,
        reason=seen.read.words.reason,
        stated=seen.read.stated,
        fault=FAULT if is_merchants_fault(request.channel, seen.read.words.reason) else "",
        is_scam=bool(request.text) and offers_outside_payment(request.text),
        merchant_reason=request.merchant_reason,
        tags=tags_document(seen.read.tags, picked=request.picked),
        policy_version=services.policy.version,
        note={**reference, **note},
        overlay=seen.overlay,
        consent=own_consent(principal, request),
    )
    row = seen.row
    receipt = write_down(
        row.order, seen.screened, origin, case_id=case_id, now=row.now, timetable=services.hours.timetable
    )
    body = answer.for_receipt(row.order, receipt, seen.screened, also_open=seen.held_by, arrival=seen.overlay.arrival)
    receipt.document["answers"] = _remembered(key_of(services, principal, request), 201, body, row)
    if contact_ref(request):
        receipt.document["contacts"] = [{"case_id": case_id, "ref": contact_ref(request), "at": row.now}]
    return receipt, body
