"""Checks every invariant against any database, reading only. `unwind doctor` prints a row per finding.

In production it runs every five minutes; a finding that touches money, numbers, stock, wake-ups or history stops new automatic refunds of
that merchant (safe halt), never the intake.
"""

from dataclasses import dataclass
from datetime import datetime

import structlog

from unwind.domain.history import first_break
from unwind.domain.seal import GENESIS, anchor_signature
from unwind.flow.services import Services
from unwind.storage import anchors, checks
from unwind.storage.database import Connection
from unwind.storage.privacy import Vault

HALTING = frozenset({"I1", "I2", "I4", "I6", "I9"})

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    invariant: str
    promise: str
    subject: str
    merchant_id: str | None


async def examine(conn: Connection, vault: Vault) -> list[Finding]:
    """All findings; an empty list means that every invariant holds."""
    findings: list[Finding] = []
    for name, (promise, _) in checks.CHECKS.items():
        findings += [
            Finding(invariant=name, promise=promise, subject=row["subject"], merchant_id=row["merchant_id"])
            for row in await checks.run_check(conn, name)
        ]
    findings += await _broken_histories(conn)
    findings += await _broken_anchors(conn, vault)
    return findings


async def _broken_histories(conn: Connection) -> list[Finding]:
    found = []
    names = ("seq", "at", "from_state", "event", "to_state", "actor", "data", "hash")
    async for row in checks.histories(conn):
        events = [dict(zip(names, event, strict=True)) for event in row["events"] or ()]
        for event in events:
            event["at"] = datetime.fromisoformat(event["at"])
            event["hash"] = bytes.fromhex(event["hash"])
        at = first_break(row["case_id"], events)
        if at is not None or not events or events[-1]["hash"] != row["head"]:
            found.append(
                Finding(
                    invariant="I9",
                    promise="the history of a case is unbroken",
                    subject=f"{row['case_id']} event {at or 'head'}",
                    merchant_id=row["merchant_id"],
                )
            )
    return found


async def _broken_anchors(conn: Connection, vault: Vault) -> list[Finding]:
    previous = GENESIS
    for batch in await anchors.batches(conn):
        expected = anchor_signature(previous, b"".join(batch["heads"] or ()), key=vault.anchor_key)
        if expected != batch["signature"]:
            return [
                Finding(
                    invariant="I9",
                    promise="archived heads are those that were signed",
                    subject=f"anchor batch {batch['batch_no']}",
                    merchant_id=None,
                )
            ]
        previous = batch["signature"]
    return []


async def halt_broken_merchants(services: Services) -> bool:
    """The five-minute check-up of a running system. Returns False: there is never more of it to do at once."""
    async with services.database.survey() as conn:
        findings = await examine(conn, services.vault)
    async with services.database.connection() as conn:
        for finding in findings:
            log.error("invariant_broken", invariant=finding.invariant, subject=finding.subject)
        for merchant_id in sorted({f.merchant_id for f in findings if f.invariant in HALTING and f.merchant_id}):
            await checks.halt_merchant(conn, merchant_id)
    return False
