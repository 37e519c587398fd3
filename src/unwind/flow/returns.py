"""Parcels that come back: scanned into quarantine, inspected line by line, and put back only then and only as what they are.

    scan -> awaited: recall proven, units in quarantine -> inspection adds up, with photo -> the leg is done -> units go where they belong
         -> awaited by nobody: noted for a person, no unit moves

The restock itself is the part's own leg (`goods.put_back`), in its turn: behind the money where the money does not wait for the goods.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.carrier_claims import ClaimReason
from unwind.domain.case import Leg, Part
from unwind.domain.errors import Refusal, require
from unwind.domain.inspection import Found, evidence_of, require_adds_up
from unwind.domain.legs import FINAL, HAS_LEFT, LegKind, LegState
from unwind.domain.order import LineId
from unwind.domain.scans import Effect, Verdict
from unwind.domain.transitions import Event
from unwind.flow import goods
from unwind.flow.chronicle import record
from unwind.flow.execute import Locked, lock_both, note
from unwind.flow.hand_work import record_by_hand
from unwind.flow.note_costs import note_goods_lost
from unwind.flow.scan import Moment, Scan, ScanOutcome, answer_once
from unwind.flow.services import Services
from unwind.storage import attachments, returns, tasks
from unwind.storage.database import Connection


def return_of(case_id: str, leg_no: int) -> str:
    return f"{case_id}-R{leg_no}"


async def take_return(services: Services, principal: Principal, given: Scan) -> dict[str, Any]:
    """A parcel has come in. Raises `name_the_parcel` where a code may mean several that are awaited, and what `answer_once` raises."""
    return await answer_once(services, principal, given, _receive)


async def _receive(
    conn: Connection, services: Services, principal: Principal, given: Scan, moment: Moment
) -> ScanOutcome:
    """A parcel in somebody's hands that is not their merchant's is one that nobody they know of awaits."""
    found = await returns.find(conn, given.code)
    own = [one for one in found if principal.merchant_id in {None, one["merchant_id"]}]
    awaited = {(leg["case_id"], leg["leg_no"]): (one, leg) for one in own for leg in one["awaited"] or ()}
    require(len(awaited) <= 1, "name_the_parcel", parcels=len(awaited))
    if awaited:
        [(one, leg)] = awaited.values()
        return await _take_in(conn, services, principal, given, moment, one, leg)
    for one in own:
        for return_id in one["known"] or ():
            await returns.see_again(conn, return_id)
            return await _outcome(conn, return_id, Verdict.TAKE_IN, Effect.NONE)
    return await _note_unexpected(conn, principal, given, moment, own[0] if own else None)


async def _take_in(
    conn: Connection,
    services: Services,
    principal: Principal,
    given: Scan,
    moment: Moment,
    one: Mapping[str, Any],
    waiting: Mapping[str, Any],
) -> ScanOutcome:
    case_id, return_id = waiting["case_id"], return_of(waiting["case_id"], waiting["leg_no"])
    locked = await lock_both(conn, case_id, token=None)
    part = _part(locked, waiting["part_no"])
    awaiting = next(leg for leg in part.legs if leg.leg_no == waiting["leg_no"])
    if awaiting.state in FINAL:  # closed by hand meanwhile
        return await _note_unexpected(conn, principal, given, moment, one)
    is_first = await returns.add_awaited(
        conn,
        {
            "return_id": return_id,
            "merchant_id": one["merchant_id"],
            "code": given.code,
            "order_id": one["order_id"],
            "shipment_id": waiting["shipment_id"],
            "case_id": case_id,
            "leg_no": waiting["leg_no"],
            "part_no": waiting["part_no"],
            "scanned_at": moment.at,
            "by": principal.actor,
            "now": moment.now,
        },
    )
    if not is_first:
        return await _outcome(conn, return_id, Verdict.TAKE_IN, Effect.NONE)
    for leg in part.legs:
        if leg.kind is LegKind.RECALL_PARCEL and leg.state in HAS_LEFT | {LegState.PLANNED}:
            await _prove_recall(conn, services, locked, leg, principal, moment)
            locked = await lock_both(conn, case_id, token=None)
    await goods.take_in(conn, locked.order, case_id, part, locked.now)
    await returns.close_unexpected(
        conn, closed_as="awaited_after_all", code=given.code, merchant_id=str(one["merchant_id"])
    )
    data = {"return": return_id, "parcel": waiting["shipment_id"], "by": principal.actor}
    await record(conn, case_id, Event.RETURN_SCANNED, at=locked.now, actor=principal.actor, data=data, is_due_now=True)
    return await _outcome(conn, return_id, Verdict.TAKE_IN, Effect.TAKEN_IN)


async def _prove_recall(
    conn: Connection, services: Services, locked: Locked, leg: Leg, principal: Principal, moment: Moment
) -> None:
    """The parcel is here, whatever the carrier has not yet said."""
    said: dict[str, str | int] = {"scan": moment.at.isoformat(), "by": principal.actor}
    task_id = tasks.task_of(locked.case.case_id, leg.leg_no)
    await tasks.answer_task(conn, task_id, state="done", by=principal.actor, at=locked.now, evidence=said)
    await record_by_hand(conn, services, locked, leg, is_done=True, evidence=said, code="arrived")


async def _note_unexpected(
    conn: Connection, principal: Principal, given: Scan, moment: Moment, one: Mapping[str, Any] | None
) -> ScanOutcome:
    return_id = await returns.add_unexpected(
        conn,
        {
            "return_id": f"X-{secrets.token_hex(8)}",
            "merchant_id": one["merchant_id"] if one else principal.merchant_id,
            "code": given.code,
            "order_id": one["order_id"] if one else "",
            "shipment_id": one["shipment_id"] if one else "",
            "scanned_at": moment.at,
            "by": principal.actor,
            "now": moment.now,
        },
    )
    if one is not None and one["open_case"]:
        locked = await lock_both(conn, one["open_case"], token=None)
        await note(conn, locked, Event.RETURN_SCANNED, {"return": return_id, "code": "unexpected"})
    return await _outcome(conn, return_id, Verdict.UNEXPECTED, Effect.NOTED)


async def _outcome(conn: Connection, return_id: str, verdict: Verdict, effect: Effect) -> ScanOutcome:
    row = await _shown(conn, return_id)
    return ScanOutcome(
        verdict=verdict,
        effect=effect,
        merchant_id=row["merchant_id"],
        order_id=row["order_id"],
        shipment_id=row["shipment_id"],
        shown={"return": row},
    )


async def _shown(conn: Connection, return_id: str) -> dict[str, Any]:
    row = await returns.read_return(conn, return_id)
    assert row is not None  # noqa: S101 - written a moment ago
    names = ("return_id", "merchant_id", "state", "order_id", "shipment_id", "case_id", "times", "result", "photos")
    return {name: row[name] for name in names}


def _part(locked: Locked, part_no: int) -> Part:
    return next(part for part in locked.case.parts if part.part_no == part_no)


async def inspect(
    services: Services,
    principal: Principal,
    return_id: str,
    found: Mapping[str, Found],
    *,
    photos: Sequence[str],
) -> dict[str, Any]:
    """What the parcel held. The same result again is the same answer; another one is refused with `return_inspected`."""
    async with services.database.transaction() as conn:
        row = await _own(conn, principal, return_id)
        require(row["case_id"] is not None, "return_unexpected")
        locked = await lock_both(conn, row["case_id"], token=None)
        row = await returns.read_return(conn, return_id) or row
        result = {line_id: asdict(one) for line_id, one in found.items()}
        if row["state"] == "inspected":
            require(row["result"] == result, "return_inspected")
            return await _shown(conn, return_id)
        part = _part(locked, row["part_no"])
        require_adds_up({str(line_id): units for line_id, units in part.quantities.items()}, found)
        if any(one.needs_photo for one in found.values()):
            await _require_photos(conn, row, photos)
        await returns.keep_result(conn, return_id, result=result, photos=photos)
        said = {**evidence_of(found), "return": return_id, "by": principal.actor}
        task_id = tasks.task_of(row["case_id"], row["leg_no"])
        await tasks.answer_task(conn, task_id, state="done", by=principal.actor, at=locked.now, evidence=said)
        leg = next(one for one in part.legs if one.leg_no == row["leg_no"])
        await record_by_hand(conn, services, locked, leg, is_done=True, evidence=said, code="inspected")
        await note_goods_lost(
            conn,
            locked,
            part,
            {LineId(line_id): one.short for line_id, one in found.items()},
            reference=return_id,
            by=principal.actor,
            reason=ClaimReason.SHORT,
        )
        totals = {name: sum(one[name] for one in result.values()) for name in ("good", "second", "scrap", "short")}
        await record(
            conn,
            row["case_id"],
            Event.RETURN_INSPECTED,
            at=locked.now,
            actor=principal.actor,
            data={"return": return_id, **totals, "photos": len(photos)},
            is_due_now=True,
        )
        return await _shown(conn, return_id)


async def _require_photos(conn: Connection, row: Mapping[str, Any], photos: Sequence[str]) -> None:
    """Of this case, and taken after the parcel came in: a picture that the buyer sent before shows something else."""
    taken = {
        one["attachment_id"]
        for one in await attachments.attachments_of(conn, row["case_id"])
        if one["added_at"] >= row["received_at"] and one["media_type"].startswith("image/")
    }
    require(bool(photos) and set(photos) <= taken, "photo_needed")


async def case_behind(services: Services, principal: Principal, return_id: str) -> str:
    """The case whose photos they are."""
    async with services.database.connection() as conn:
        row = await _own(conn, principal, return_id)
    require(row["case_id"] is not None, "return_unexpected")
    return str(row["case_id"])


async def close_unexpected(services: Services, principal: Principal, return_id: str, *, closed_as: str) -> None:
    """A person has found out what it was."""
    async with services.database.transaction() as conn:
        await _own(conn, principal, return_id)
        require(await returns.close_unexpected(conn, closed_as=closed_as, return_id=return_id), "return_closed")


async def _own(conn: Connection, principal: Principal, return_id: str) -> dict[str, Any]:
    row = await returns.read_return(conn, return_id)
    if row is None:
        raise Refusal("not_found")
    authorise(principal, Scope.WAREHOUSE_WORK, merchant_id=row["merchant_id"], is_platform=row["merchant_id"] is None)
    return row
