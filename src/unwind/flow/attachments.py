"""Photos and documents of a case: checked by their bytes, without the place they were taken at, encrypted with the order's key."""

import secrets

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.errors import Refusal, require
from unwind.domain.media import media_type_of, without_place
from unwind.domain.transitions import Event, State
from unwind.flow.chronicle import record
from unwind.flow.execute import lock_both
from unwind.flow.services import Services
from unwind.storage import attachments, privacy

PER_CASE_MAX = 10


async def attach(
    services: Services, principal: Principal, case_id: str, content: bytes, *, scope: Scope = Scope.CASES_REQUEST
) -> dict[str, str | int]:
    """By the buyer, or by whoever speaks for them; by the warehouse of what came back. Raises `attachment_type`, `attachment_too_large`, `too_many_attachments`, `case_closed`."""
    async with services.database.transaction() as conn:
        locked = await lock_both(conn, case_id, token=None)
        authorise(principal, scope, merchant_id=locked.case.merchant_id, order_id=locked.order.order_id)
        require(locked.case.state is not State.ARCHIVED, "case_closed")
        media_type = media_type_of(content)
        require(await attachments.count_of(conn, case_id) < PER_CASE_MAX, "too_many_attachments")
        attachment_id = f"{case_id}-a{secrets.token_hex(6)}"
        clean = without_place(content, media_type)
        sealed = await privacy.seal_file(
            conn, services.vault, locked.order.order_id, attachment_id, clean, wrapped_key=locked.row.wrapped_key
        )
        await attachments.add_attachment(
            conn,
            attachment_id=attachment_id,
            case_id=case_id,
            order_id=locked.order.order_id,
            media_type=media_type,
            size_bytes=len(clean),
            ciphertext=sealed,
            by=principal.actor,
            at=locked.now,
        )
        data = {"attachment": attachment_id, "type": media_type, "bytes": len(clean)}
        await record(conn, case_id, Event.ATTACHED, at=locked.now, actor=principal.actor, data=data)
        return {"attachment_id": attachment_id, "media_type": media_type, "size_bytes": len(clean)}


async def open_attachment(
    services: Services, principal: Principal, case_id: str, attachment_id: str
) -> tuple[str, bytes]:
    """(media type, content). Of a destroyed key nothing can be opened: `not_found`."""
    async with services.database.connection() as conn:
        row = await attachments.read_attachment(conn, attachment_id)
        if row is None or row["case_id"] != case_id:
            raise Refusal("not_found")
        authorise(principal, Scope.CASES_READ, merchant_id=row["merchant_id"], order_id=row["order_id"])
        content = await privacy.open_file(
            conn, services.vault, row["order_id"], attachment_id, bytes(row["ciphertext"])
        )
    if content is None:
        raise Refusal("not_found")
    return row["media_type"], content
