"""How far a shop is trusted, and by whose word: shadow -> confirm -> auto, with a report as proof; limits; breakers closed by name.

Upwards needs a report of the last day that says so, or a second person. Downwards is done at once.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from secrets import token_hex
from typing import Any

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.errors import require
from unwind.domain.trust import Agreement, Level, Limits, compare, is_up
from unwind.flow.allowance import SOURCE
from unwind.flow.chronicle import clock
from unwind.policy.trust import report_life, thresholds
from unwind.storage import alerts, merchants, trust
from unwind.storage.database import Connection, Database


async def report(
    database: Database, principal: Principal, merchant_id: str, *, since: datetime, until: datetime
) -> dict[str, Any]:
    """What the policy would have done against what people did, rule by rule. Reads only."""
    authorise(principal, Scope.OPERATIONS_READ, merchant_id=merchant_id)
    require(since < until, "invalid")
    async with database.connection() as conn:
        await _known(conn, merchant_id)
        return await _report(conn, merchant_id, since=since, until=until)


async def _report(conn: Connection, merchant_id: str, *, since: datetime, until: datetime) -> dict[str, Any]:
    judged, is_whole = await trust.judged_parts(conn, merchant_id, since=since, until=until)
    limits = thresholds()
    everything, rules = compare(judged, limits)
    return {
        "merchant_id": merchant_id,
        "from": since,
        "to": until,
        "is_whole": is_whole,
        "thresholds": asdict(limits),
        "is_ready": everything.is_ready and is_whole,
        "all": _shown(everything),
        "rules": [_shown(rule) for rule in rules],
    }


def _shown(one: Agreement) -> dict[str, Any]:
    shown = asdict(one)
    share = one.agreed / one.decided if one.decided else None
    return {
        **shown,
        "disagreed": list(one.disagreed),
        "why_not_ready": list(one.why_not_ready),
        "is_ready": one.is_ready,
        "agreement": None if share is None else round(share, 4),
        "lower_bound": round(one.lower_bound, 4),
    }


async def keep_report(
    database: Database, principal: Principal, merchant_id: str, *, since: datetime, until: datetime
) -> dict[str, Any]:
    """The same, kept as the proof that a step upwards names."""
    authorise(principal, Scope.CASES_LEAD, merchant_id=merchant_id)
    require(since < until, "invalid")
    async with database.transaction() as conn:
        await _known(conn, merchant_id)
        body = await _report(conn, merchant_id, since=since, until=until)
        now = await clock(conn)
        report_id = f"AR{now:%y%m%d}-{token_hex(5)}"
        await trust.keep_report(
            conn,
            report_id,
            merchant_id=merchant_id,
            at=now,
            by=principal.actor,
            is_ready=body["is_ready"],
            body=body,
        )
    return {"report_id": report_id, **body}


async def _known(conn: Connection, merchant_id: str) -> dict[str, Any]:
    """Without a lock: who only looks holds up nobody who is being counted, and waits for nobody."""
    merchant = await merchants.read_merchant(conn, merchant_id)
    require(merchant is not None, "unknown_merchant")
    assert merchant is not None  # noqa: S101 - for the type checker; required above
    return merchant


async def _require_merchant(conn: Connection, merchant_id: str) -> dict[str, Any]:
    merchant = await trust.lock_merchant(conn, merchant_id)
    require(merchant is not None, "unknown_merchant")
    assert merchant is not None  # noqa: S101 - for the type checker; required above
    return merchant


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    change_id: int
    level: Level
    """That holds now."""
    waits_for_second: bool = False


async def change(
    database: Database, principal: Principal, merchant_id: str, level: Level, *, why: str, without_proof: bool = False
) -> Changed:
    """To another degree of trust. `without_proof`: upwards without a report that says so; it waits for a second person."""
    authorise(principal, Scope.CASES_LEAD, merchant_id=merchant_id)
    async with database.transaction() as conn:
        merchant = await _require_merchant(conn, merchant_id)
        before = Level(merchant["automation"])
        require(before is not level, "nothing_to_change", level=level)
        row = {
            "merchant_id": merchant_id,
            "kind": "made",
            "from_level": before,
            "to_level": level,
            "at": merchant["now"],
            "by": principal.actor,
            "why": why,
            "report_id": None,
            "proposal_id": None,
        }
        if is_up(before, level):
            proof = await trust.newest_report(conn, merchant_id)
            is_fresh = proof is not None and proof["made_at"] > merchant["now"] - report_life()
            is_proof = proof is not None and is_fresh and proof["is_ready"]
            if not is_proof:
                require(without_proof, "report_needed" if not is_fresh else "report_not_ready")
                change_id = await trust.add_change(conn, {**row, "kind": "proposed"})
                return Changed(change_id=change_id, level=before, waits_for_second=True)
            row["report_id"] = proof["report_id"] if proof else None
        change_id = await trust.add_change(conn, row)
        await trust.set_automation(conn, merchant_id, level)
    return Changed(change_id=change_id, level=level)


async def agree(database: Database, principal: Principal, merchant_id: str, change_id: int, *, why: str) -> Changed:
    """A second, different person agrees to a step that no report proves. It must still be the same step."""
    authorise(principal, Scope.CASES_LEAD, merchant_id=merchant_id)
    async with database.transaction() as conn:
        merchant = await _require_merchant(conn, merchant_id)
        proposal = await trust.read_proposal(conn, change_id)
        require(proposal is not None and proposal["merchant_id"] == merchant_id, "not_found")
        assert proposal is not None  # noqa: S101 - for the type checker; required above
        require(not proposal["is_done"], "question_closed")
        require(proposal["by"].partition(":")[2] != principal.principal_id, "different_person_needed")
        require(
            proposal["from_level"] == merchant["automation"] and proposal["at"] > merchant["now"] - report_life(),
            "stale",
        )
        done = await trust.add_change(
            conn,
            {
                "merchant_id": merchant_id,
                "kind": "made",
                "from_level": proposal["from_level"],
                "to_level": proposal["to_level"],
                "at": merchant["now"],
                "by": principal.actor,
                "why": why,
                "report_id": None,
                "proposal_id": change_id,
            },
        )
        await trust.set_automation(conn, merchant_id, proposal["to_level"])
    return Changed(change_id=done, level=Level(proposal["to_level"]))


async def set_limits(database: Database, principal: Principal, merchant_id: str, limits: Limits, *, why: str) -> None:
    """From the next request on."""
    authorise(principal, Scope.ADMIN, merchant_id=merchant_id)
    async with database.transaction() as conn:
        merchant = await _require_merchant(conn, merchant_id)
        stored = limits.stored()
        await trust.set_limits(conn, merchant_id, stored)
        await trust.note(
            conn,
            "limits_set",
            actor=principal.actor,
            merchant_id=merchant_id,
            why=why,
            data={"limits": stored, "before": merchant["limits"]},
        )


async def close_breaker(database: Database, principal: Principal, breaker_id: int, *, why: str) -> str:
    """Somebody has looked: what comes from now on is automatic again, and counted anew. Returns the merchant."""
    async with database.transaction() as conn:
        merchant_id = await trust.merchant_of_breaker(conn, breaker_id)
        require(merchant_id is not None, "not_found")
        assert merchant_id is not None  # noqa: S101 - for the type checker; required above
        authorise(principal, Scope.CASES_LEAD, merchant_id=merchant_id)
        sku = await trust.close_breaker(conn, breaker_id, merchant_id=merchant_id, by=principal.actor, why=why)
        require(sku is not None, "breaker_closed")
        await trust.note(
            conn,
            "breaker_closed",
            actor=principal.actor,
            merchant_id=merchant_id,
            why=why,
            data={"breaker_id": breaker_id, "sku": sku},
        )
        await alerts.close_alerts_about(
            conn, SOURCE, kind="breaker_open", code=f"{merchant_id}:{sku}" if sku else merchant_id, by=principal.actor
        )
    return merchant_id


async def standing(database: Database, principal: Principal, merchant_id: str) -> dict[str, Any]:
    """How far the shop is trusted, what it has done today, and who changed what."""
    authorise(principal, Scope.OPERATIONS_READ, merchant_id=merchant_id)
    async with database.transaction() as conn:
        merchant = await _known(conn, merchant_id)
        return {
            "merchant_id": merchant_id,
            "level": merchant["automation"],
            "limits": merchant["limits"],
            "today": await trust.counted_today(conn, merchant_id, merchant["time_zone"]),
            "breakers": await trust.breakers_of(conn, merchant_id),
            "changes": await trust.changes_of(conn, merchant_id),
        }
