"""Cases, their parts, legs and history. A new case is one statement; a change appends events and moves the version."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from unwind.domain.case import Case, CaseOutcome, Kind, Leg, Part, PartKind, PartState, RefundOn, Verdict, Way
from unwind.domain.clocks import Clocks, Rung
from unwind.domain.legs import FINAL, LegKind, LegState
from unwind.domain.order import CaseId, LineId, OrderId
from unwind.domain.plan import LegDraft
from unwind.domain.questions import Promised, Watch
from unwind.domain.transitions import State
from unwind.storage import stock
from unwind.storage.database import Connection, to_json

WRITES: dict[str, str] = {
    "cases": """
        INSERT INTO cases (case_id, kind, order_id, merchant_id, parent_case_id, aftermath_key, channel, state, event_seq, head, reason,
            stated_reason, tags, verdict, rule, policy_version, facts, priority, outcome, money_minor, opened_at, acked_at,
            decided_at, closed_at, respond_warn_at, respond_due_at, next_check_at, fault, overlay)
        SELECT case_id, kind, order_id, merchant_id, parent_case_id, aftermath_key, channel, state, event_seq, decode(head, 'hex'), reason,
            stated_reason, tags, verdict, rule, policy_version, facts, priority, outcome, money_minor, opened_at, acked_at,
            decided_at, closed_at, respond_warn_at, respond_due_at, next_check_at, coalesce(fault, ''),
            coalesce(overlay, '{}')
        FROM doc, jsonb_to_recordset(d->'cases') AS c(case_id text, kind text, order_id text, merchant_id text,
            parent_case_id text, aftermath_key text, channel text, state text, event_seq integer, head text, reason text, stated_reason text,
            tags jsonb, verdict text, rule text, policy_version text, facts jsonb, priority integer, outcome text,
            money_minor bigint, opened_at timestamptz, acked_at timestamptz, decided_at timestamptz, closed_at timestamptz,
            respond_warn_at timestamptz, respond_due_at timestamptz, next_check_at timestamptz, fault text, overlay jsonb)
    """,
    "parts": """
        INSERT INTO case_parts (case_id, part_no, kind, shipment_id, state, stage, verdict, rule, refund_on, returned_minor,
            completes_order, policy_verdict, policy_rule, kept_minor, lost_minor)
        SELECT case_id, part_no, kind, shipment_id, state, stage, verdict, rule, refund_on, returned_minor, completes_order,
            coalesce(policy_verdict, ''), coalesce(policy_rule, ''), coalesce(kept_minor, 0), coalesce(lost_minor, 0)
        FROM doc, jsonb_to_recordset(d->'parts') AS p(case_id text, part_no integer, kind text, shipment_id text, state text,
            stage text, verdict text, rule text, refund_on text, returned_minor bigint, completes_order boolean,
            policy_verdict text, policy_rule text, kept_minor bigint, lost_minor bigint)
    """,
    "costs": """
        INSERT INTO case_costs (case_id, n, part_no, fee, amount_minor, currency, bearer, reference, noted_by, noted_at)
        SELECT case_id, n, part_no, fee, amount_minor, currency, bearer, reference, noted_by, noted_at
        FROM doc, jsonb_to_recordset(d->'costs') AS t(case_id text, n integer, part_no integer, fee text, amount_minor bigint,
            currency text, bearer text, reference text, noted_by text, noted_at timestamptz)
    """,
    "consents": """
        INSERT INTO questions (question_id, case_id, n, kind, audience, subject, digest, asked_by, asked_at, due_at, on_silence,
            state, answered_by, answered_at, evidence)
        SELECT question_id, case_id, n, 'consent', 'buyer', subject, digest, 'system:unwind', at, at + interval '1 second', 'refused',
            'agreed', answered_by, at, evidence
        FROM doc, jsonb_to_recordset(d->'consents') AS q(question_id text, case_id text, n integer, subject jsonb, digest text,
            answered_by text, at timestamptz, evidence jsonb)
    """,
    "lines": """
        INSERT INTO case_lines (case_id, part_no, order_id, line_id, units)
        SELECT case_id, part_no, order_id, line_id, units
        FROM doc, jsonb_to_recordset(d->'lines') AS l(case_id text, part_no integer, order_id text, line_id text, units integer)
    """,
    "open_lines": """
        INSERT INTO open_lines (order_id, line_id, case_id)
        SELECT order_id, line_id, case_id
        FROM doc, jsonb_to_recordset(d->'open_lines') AS l(order_id text, line_id text, case_id text)
    """,
    "line_changes": """
        UPDATE order_lines ol SET taken_units = ol.taken_units + t.taken, reserved = ol.reserved + t.reserved,
            held = ol.held + t.held, restocked = ol.restocked + t.restocked
        FROM doc, jsonb_to_recordset(d->'line_changes') AS t(order_id text, line_id text, taken integer, reserved integer,
            held integer, restocked integer)
        WHERE ol.order_id = t.order_id AND ol.line_id = t.line_id
    """,
    "parcel_units": """
        UPDATE shipment_lines sl SET taken_units = sl.taken_units + t.units, landed_units = sl.landed_units + t.landed
        FROM doc, jsonb_to_recordset(d->'parcel_units')
            AS t(order_id text, shipment_id text, line_id text, units integer, landed integer)
        WHERE (sl.order_id, sl.shipment_id, sl.line_id) = (t.order_id, t.shipment_id, t.line_id)
    """,
    "legs": """
        INSERT INTO legs (case_id, leg_no, part_no, kind, rank, is_local, state, target, amount_minor, evidence)
        SELECT case_id, leg_no, part_no, kind, rank, is_local, state, target, amount_minor, evidence
        FROM doc, jsonb_to_recordset(d->'legs') AS g(case_id text, leg_no integer, part_no integer, kind text, rank integer,
            is_local boolean, state text, target text, amount_minor bigint, evidence jsonb)
    """,
    "events": """
        INSERT INTO case_events (case_id, seq, at, from_state, event, to_state, actor, data, hash)
        SELECT case_id, seq, at, from_state, event, to_state, actor, data, decode(hash, 'hex')
        FROM doc, jsonb_to_recordset(d->'events') AS e(case_id text, seq integer, at timestamptz, from_state text, event text,
            to_state text, actor text, data jsonb, hash text)
    """,
    "messages": """
        INSERT INTO messages (message_id, case_id, order_id, audience, channel, fact, params, state, sent_at)
        SELECT message_id, case_id, order_id, audience, channel, fact, params, state, sent_at
        FROM doc, jsonb_to_recordset(d->'messages') AS m(message_id text, case_id text, order_id text, audience text,
            channel text, fact text, params jsonb, state text, sent_at timestamptz)
    """,
    "clocks": """
        INSERT INTO case_clocks (case_id, is_urgent, respond_from, respond_half_at, respond_again_at, resolve_from, resolve_half_at,
            resolve_again_at, resolve_due_at, timetable_version, strike_at, respond_latest)
        SELECT case_id, is_urgent, respond_from, respond_half_at, respond_again_at, resolve_from, resolve_half_at, resolve_again_at,
            resolve_due_at, timetable_version, strike_at, respond_latest
        FROM doc, jsonb_to_recordset(d->'clocks') AS k(case_id text, is_urgent boolean, respond_from timestamptz,
            respond_half_at timestamptz, respond_again_at timestamptz, resolve_from timestamptz, resolve_half_at timestamptz,
            resolve_again_at timestamptz, resolve_due_at timestamptz, timetable_version integer, strike_at timestamptz,
            respond_latest timestamptz)
    """,
    "contacts": """
        INSERT INTO case_contacts (case_id, ref, at)
        SELECT case_id, ref, at FROM doc, jsonb_to_recordset(d->'contacts') AS t(case_id text, ref text, at timestamptz)
    """,
    "orders": """
        UPDATE orders o SET version = o.version + 1,
            cancelled_at = CASE WHEN c.is_cancelled THEN c.at ELSE o.cancelled_at END,
            kept_minor = o.kept_minor + coalesce(c.kept_minor, 0)
        FROM doc, jsonb_to_recordset(d->'orders') AS c(order_id text, is_cancelled boolean, at timestamptz, kept_minor bigint)
        WHERE o.order_id = c.order_id
    """,
    "answers": """
        INSERT INTO idempotency_keys (principal_id, operation, key, fingerprint, status, body, created_at)
        SELECT principal_id, operation, key, decode(fingerprint, 'hex'), status, body, created_at
        FROM doc, jsonb_to_recordset(d->'answers') AS a(principal_id text, operation text, key text, fingerprint text,
            status integer, body text, created_at timestamptz)
    """,
    "benefits": """
        UPDATE benefits b SET restored_at = r.at, reissued_until = CASE WHEN b.valid_until <= r.at THEN r.reissue_until END,
            returned_as = returned_as(b.valid_until, r.at, r.reissue_until)
        FROM doc, jsonb_to_recordset(d->'benefits') AS r(order_id text, benefit_id text, at timestamptz, reissue_until timestamptz)
        WHERE (b.order_id, b.benefit_id) = (r.order_id, r.benefit_id) AND b.restored_at IS NULL
        RETURNING b.account, b.kind, b.amount, b.returned_as
    """,
}
"""One write per section of the document; a section that is empty costs nothing."""

CREDIT_ACCOUNTS = """
    SELECT credit_account(account, kind, amount) FROM (
        SELECT account, kind, sum(amount)::bigint AS amount FROM write_benefits WHERE returned_as <> 'expired'
        GROUP BY account, kind ORDER BY account) r
"""


@lru_cache(maxsize=64)
def _statement(sections: tuple[str, ...]) -> str:
    """One statement for these sections. All writes see the same snapshot and need nothing from each other."""
    writes = [f"write_{name} AS ({WRITES[name]})" for name in sections if name in WRITES]
    parts = ["doc AS (SELECT %(doc)s::jsonb AS d)", *writes]
    if "moves" in sections and "benefits" not in sections:
        return f"WITH {', '.join(parts)}, {stock.BOOK_MOVES}"
    return f"WITH {', '.join(parts)} {CREDIT_ACCOUNTS if 'benefits' in sections else 'SELECT 1 AS done'}"


async def create_cases(conn: Connection, document: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Writes new cases with everything that hangs on them, stock moves included, in one statement.

    The order rows are locked already. Where benefits come back too, stock follows in a statement of its own: it is locked last.
    """
    text = to_json(document)
    sections = tuple(name for name in (*WRITES, "moves") if document.get(name))
    if not sections:
        return
    await conn.execute(_statement(sections), {"doc": text}, prepare=True)
    if {"benefits", "moves"} <= set(sections):
        await conn.execute(_statement(("moves",)), {"doc": text}, prepare=True)


READ_CASE = """
SELECT c.*,
    (SELECT count(*) FROM messages m WHERE m.case_id = c.case_id AND m.state IN ('due', 'claimed')) AS unsent_messages,
    (SELECT min(next_try_at) FROM messages m WHERE m.case_id = c.case_id AND m.state IN ('due', 'claimed'))
        AS next_message_at,
    (SELECT array_agg(m.fact) FROM messages m WHERE m.case_id = c.case_id AND m.audience = 'buyer') AS told,
    (SELECT m.halted_at IS NOT NULL FROM merchants m WHERE m.merchant_id = c.merchant_id) AS is_halted,
    (SELECT jsonb_agg(jsonb_build_array(w.kind, w.connection)) FROM leg_switches w
        WHERE w.on_at IS NULL AND w.merchant_id IN ('', c.merchant_id)) AS switched_off,
    unwind_now() AS now,
    (SELECT to_jsonb(k) || jsonb_build_object('asked_until', (
            SELECT until_at FROM case_pauses w WHERE w.case_id = k.case_id AND w.ended_at IS NULL))
        FROM case_clocks k WHERE k.case_id = c.case_id) AS clocks,
    (SELECT jsonb_agg(to_jsonb(p) || jsonb_build_object('quantities', (
                SELECT jsonb_object_agg(l.line_id, l.units) FROM case_lines l
                WHERE l.case_id = p.case_id AND l.part_no = p.part_no)) ORDER BY p.part_no)
        FROM case_parts p WHERE p.case_id = c.case_id) AS parts,
    (SELECT jsonb_agg(to_jsonb(g) ORDER BY g.rank, g.leg_no) FROM legs g WHERE g.case_id = c.case_id) AS legs
FROM cases c WHERE c.case_id = %s
"""


async def read_case(conn: Connection, case_id: str) -> Case | None:
    row = await read_case_row(conn, case_id)
    return None if row is None else to_case(row)


async def read_case_row(conn: Connection, case_id: str) -> dict[str, Any] | None:
    cursor = await conn.execute(READ_CASE, (case_id,), prepare=True)
    return await cursor.fetchone()


def to_case(row: Mapping[str, Any]) -> Case:
    legs = [to_leg(leg) for leg in row["legs"] or ()]
    return Case(
        case_id=CaseId(row["case_id"]),
        kind=Kind(row["kind"]),
        order_id=OrderId(row["order_id"]),
        merchant_id=row["merchant_id"],
        channel=row["channel"],
        state=State(row["state"]),
        version=row["version"],
        event_seq=row["event_seq"],
        head=row["head"],
        reason=row["reason"],
        rule=row["rule"],
        outcome=None if row["outcome"] is None else CaseOutcome(row["outcome"]),
        opened_at=row["opened_at"],
        respond_warn_at=row["respond_warn_at"],
        respond_due_at=row["respond_due_at"],
        answered_at=row["answered_at"],
        is_warned=row["is_warned"],
        is_overdue=row["is_overdue"],
        unsent_messages=row["unsent_messages"],
        is_halted=row["is_halted"],
        next_message_at=row["next_message_at"],
        told=frozenset(row["told"] or ()),
        claimed_by=row["claimed_by"],
        claimed_until=row["claimed_until"],
        is_escalated=row["escalated_at"] is not None,
        has_buyer_agreed=row["buyer_agreed_at"] is not None,
        clocks=None if row["clocks"] is None else _to_clocks(row["clocks"]),
        barred=frozenset(row["barred"]),
        is_appeal=row["appeal_of"] is not None,
        watch=_to_watch(row),
        fault=row["fault"],
        true_reason=row["true_reason"] or "",
        switched_off=frozenset((kind, connection) for kind, connection in row["switched_off"] or ()),
        parts=tuple(
            Part(
                part_no=part["part_no"],
                kind=PartKind(part["kind"]),
                shipment_id=part["shipment_id"],
                state=PartState(part["state"]),
                quantities={LineId(k): v for k, v in (part["quantities"] or {}).items()},
                rule=part["rule"],
                refund_on=RefundOn(part["refund_on"]),
                is_decided=part["is_decided"],
                legs=tuple(leg for leg in legs if leg.part_no == part["part_no"]),
                way=Way(part["way"]),
                kept_minor=part["kept_minor"],
                stage=part["stage"],
                verdict=Verdict(part["verdict"]),
                policy_rule=part["policy_rule"],
                returned_minor=part["returned_minor"],
                lost_minor=part["lost_minor"],
            )
            for part in row["parts"] or ()
        ),
    )


def _to_watch(row: Mapping[str, Any]) -> Watch | None:
    if row["watch_for"] is None:
        return None
    return Watch(promised=Promised(row["watch_for"]), since=row["watch_since"], until=row["watch_until"])


def _to_clocks(row: Mapping[str, Any]) -> Clocks:
    respond_from, resolve_from = _instant(row["respond_from"]), _instant(row["resolve_from"])
    assert respond_from is not None and resolve_from is not None  # noqa: S101, PT018 - the columns are NOT NULL
    return Clocks(
        is_urgent=row["is_urgent"],
        respond_from=respond_from,
        respond_half_at=_instant(row["respond_half_at"]),
        respond_again_at=_instant(row["respond_again_at"]),
        respond_rung=Rung(row["respond_rung"]),
        respond_latest=_instant(row["respond_latest"]),
        resolve_from=resolve_from,
        resolve_half_at=_instant(row["resolve_half_at"]),
        resolve_again_at=_instant(row["resolve_again_at"]),
        resolve_due_at=_instant(row["resolve_due_at"]),
        resolve_rung=Rung(row["resolve_rung"]),
        timetable_version=row["timetable_version"],
        asked_until=_instant(row["asked_until"]),
    )


def to_leg(row: Mapping[str, Any]) -> Leg:
    return Leg(
        leg_no=row["leg_no"],
        part_no=row["part_no"],
        kind=LegKind(row["kind"]),
        rank=row["rank"],
        is_local=row["is_local"],
        state=LegState(row["state"]),
        target=row["target"],
        number=row["number"],
        amount_minor=row["amount_minor"],
        attempts=row["attempts"],
        next_try_at=_instant(row["next_try_at"]),
        due_at=_instant(row["due_at"]),
        code=row["code"],
        evidence=row["evidence"],
    )


def _instant(value: str | datetime | None) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseChange:
    """The columns of a case row after a change; None leaves a column as it is."""

    state: State
    event_seq: int
    head: bytes
    closed_at: datetime | None = None
    outcome: str | None = None
    rule: str | None = None
    priority: int | None = None
    kind: str | None = None
    acked_at: datetime | None = None
    first_human_at: datetime | None = None
    decided_at: datetime | None = None
    respond_warn_at: datetime | None = None
    respond_due_at: datetime | None = None
    is_warned: bool | None = None
    is_overdue: bool | None = None
    answered_at: datetime | None = None
    is_new_round: bool = False
    """A new round of review: its clock starts afresh."""
    more_contacts: int = 0
    is_beside_the_point: bool = False
    """The version that a decision is bound to stays."""
    is_due_now: bool = False


async def append_events(
    conn: Connection, case_id: str, events: Sequence[Mapping[str, Any]], change: CaseChange
) -> None:
    """Appends history and writes the case row it leads to. The case row is locked by the caller."""
    await conn.execute(
        """
        INSERT INTO case_events (case_id, seq, at, from_state, event, to_state, actor, data, hash)
        SELECT %s, seq, at, from_state, event, to_state, actor, data, decode(hash, 'hex')
        FROM jsonb_to_recordset(%s) AS e(seq integer, at timestamptz, from_state text, event text, to_state text, actor text,
            data jsonb, hash text)
        """,
        (case_id, to_json(list(events))),
        prepare=True,
    )
    await conn.execute(
        """
        UPDATE cases SET version = version + CASE WHEN %(is_beside_the_point)s THEN 0 ELSE 1 END, state = %(state)s, event_seq = %(event_seq)s, head = %(head)s,
            closed_at = coalesce(%(closed_at)s, closed_at), outcome = coalesce(%(outcome)s, outcome),
            rule = coalesce(%(rule)s, rule), priority = greatest(coalesce(%(priority)s, priority), priority),
            kind = coalesce(%(kind)s, kind),
            acked_at = coalesce(acked_at, %(acked_at)s), first_human_at = coalesce(first_human_at, %(first_human_at)s),
            decided_at = coalesce(%(decided_at)s, decided_at),
            respond_warn_at = coalesce(%(respond_warn_at)s, respond_warn_at),
            respond_due_at = coalesce(%(respond_due_at)s, respond_due_at),
            is_warned = coalesce(%(is_warned)s, is_warned AND NOT %(is_new_round)s),
            is_overdue = coalesce(%(is_overdue)s, is_overdue AND NOT %(is_new_round)s),
            answered_at = CASE WHEN %(is_new_round)s THEN NULL ELSE coalesce(answered_at, %(answered_at)s) END,
            contacts = contacts + %(more_contacts)s,
            was_woken = was_woken OR (%(is_due_now)s AND lease_token IS NOT NULL),
            claimed_by = CASE WHEN %(state)s = 'review' THEN claimed_by END,
            claimed_until = CASE WHEN %(state)s = 'review' THEN claimed_until END,
            escalated_at = CASE WHEN %(state)s = 'review' THEN escalated_at END,
            next_check_at = CASE WHEN %(state)s = 'archived' THEN NULL
                WHEN %(is_due_now)s THEN unwind_now() ELSE next_check_at END
        WHERE case_id = %(case_id)s
        """,
        {**asdict(change), "case_id": case_id},
        prepare=True,
    )


async def set_true_reason(conn: Connection, case_id: str, reason: str) -> None:
    await conn.execute("UPDATE cases SET true_reason = %s WHERE case_id = %s", (reason, case_id))


async def set_agreed(conn: Connection, case_id: str, at: datetime) -> None:
    await conn.execute(
        "UPDATE cases SET buyer_agreed_at = coalesce(buyer_agreed_at, %s) WHERE case_id = %s", (at, case_id)
    )


async def set_part(
    conn: Connection, case_id: str, part_no: int, *, state: PartState, rule: str | None = None, is_decided: bool = False
) -> None:
    await conn.execute(
        """
        UPDATE case_parts SET state = %s, rule = coalesce(%s, rule), is_decided = is_decided OR %s
        WHERE case_id = %s AND part_no = %s
        """,
        (state.value, rule, is_decided, case_id, part_no),
    )


async def plan_part(
    conn: Connection,
    case_id: str,
    part_no: int,
    *,
    kind: str,
    shipment_id: str,
    stage: str,
    refund_on: str,
    returned_minor: int,
    completes_order: bool,
    way: str = Way.STOP,
    kept_minor: int = 0,
    lost_minor: int = 0,
) -> None:
    """A part as a person let it start: planned from the order as it was at that moment. What is kept stands on the order too."""
    await conn.execute(
        """
        UPDATE case_parts SET kind = %(kind)s, shipment_id = %(shipment_id)s, stage = %(stage)s, refund_on = %(refund_on)s,
            returned_minor = %(returned_minor)s, completes_order = %(completes_order)s, way = %(way)s,
            kept_minor = %(kept_minor)s, lost_minor = %(lost_minor)s, state = 'executing', is_decided = true
        WHERE case_id = %(case_id)s AND part_no = %(part_no)s
        """,
        {
            "kind": kind,
            "shipment_id": shipment_id,
            "stage": stage,
            "refund_on": refund_on,
            "returned_minor": returned_minor,
            "completes_order": completes_order,
            "way": way,
            "kept_minor": kept_minor,
            "lost_minor": lost_minor,
            "case_id": case_id,
            "part_no": part_no,
        },
    )
    if kept_minor:
        await conn.execute(
            "UPDATE orders SET kept_minor = kept_minor + %s WHERE order_id = (SELECT order_id FROM cases WHERE case_id = %s)",
            (kept_minor, case_id),
        )
    await conn.execute(
        """
        UPDATE cases SET money_minor = (
            SELECT coalesce(sum(returned_minor), 0) FROM case_parts WHERE case_id = %(c)s AND state IN ('executing', 'done'))
        WHERE case_id = %(c)s
        """,
        {"c": case_id},
    )


async def unkeep(conn: Connection, case_id: str, part_no: int) -> None:
    """The part is laid back: what it would have kept is the buyer's again."""
    await conn.execute(
        """
        WITH given AS (
            UPDATE case_parts new SET kept_minor = 0, lost_minor = 0 FROM case_parts old
            WHERE (new.case_id, new.part_no) = (%(c)s, %(p)s) AND (old.case_id, old.part_no) = (new.case_id, new.part_no)
              AND old.kept_minor + old.lost_minor > 0
            RETURNING old.kept_minor)
        UPDATE orders SET kept_minor = orders.kept_minor - given.kept_minor
        FROM given WHERE order_id = (SELECT order_id FROM cases WHERE case_id = %(c)s)
        """,
        {"c": case_id, "p": part_no},
    )


async def open_appeal(conn: Connection, case_id: str) -> str | None:
    cursor = await conn.execute("SELECT case_id FROM cases WHERE appeal_of = %s AND state <> 'archived'", (case_id,))
    row = await cursor.fetchone()
    return row["case_id"] if row else None


async def appeals_of(conn: Connection, case_id: str) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        "SELECT case_id, state, outcome, opened_at, closed_at FROM cases WHERE appeal_of = %s ORDER BY opened_at, case_id",
        (case_id,),
    )
    return await cursor.fetchall()


async def set_watch(conn: Connection, case_id: str, watch: Watch | None) -> None:
    """The case row is locked by the caller."""
    await conn.execute(
        "UPDATE cases SET watch_for = %s, watch_since = %s, watch_until = %s WHERE case_id = %s",
        (watch.promised.value, watch.since, watch.until, case_id) if watch else (None, None, None, case_id),
    )


async def make_appeal(conn: Connection, case_id: str, *, appeal_of: str, barred: Sequence[str]) -> None:
    """The case is an appeal against another; whoever decided that one may not decide this one."""
    await conn.execute(
        "UPDATE cases SET appeal_of = %s, barred = %s WHERE case_id = %s", (appeal_of, sorted(barred), case_id)
    )


async def deciders_of(conn: Connection, case_id: str) -> list[str]:
    """Who declined or otherwise decided it, by principal; the system is nobody."""
    cursor = await conn.execute(
        """
        SELECT DISTINCT actor FROM case_events
        WHERE case_id = %s AND event IN ('declined', 'part_decided', 'rest_continues', 'handed_on', 'approved', 'answered')
          AND actor NOT LIKE 'system:%%'
        """,
        (case_id,),
    )
    return [row["actor"].partition(":")[2] for row in await cursor.fetchall()]


async def add_closing_part(conn: Connection, case_id: str, part_no: int, *, returned_minor: int) -> None:
    """A part without goods of its own, for what comes back with the whole order."""
    await conn.execute(
        """
        INSERT INTO case_parts (case_id, part_no, kind, state, stage, verdict, rule, refund_on, returned_minor, completes_order)
        VALUES (%s, %s, 'unshipped', 'executing', 'none', 'auto', 'order_complete', 'recall_confirmed', %s, true)
        """,
        (case_id, part_no, returned_minor),
    )
    await conn.execute("UPDATE cases SET money_minor = money_minor + %s WHERE case_id = %s", (returned_minor, case_id))


async def split_part(
    conn: Connection, case_id: str, part_no: int, *, keep: Mapping[LineId, int], rest: Mapping[LineId, int]
) -> None:
    """Leaves `keep` in the part and puts `rest` into a new, declined one."""
    await conn.execute(
        """
        WITH more AS (
            INSERT INTO case_parts (case_id, part_no, kind, shipment_id, state, stage, verdict, rule, refund_on, returned_minor,
                completes_order)
            SELECT case_id, (SELECT max(part_no) + 1 FROM case_parts WHERE case_id = %(c)s), kind, shipment_id, 'declined', stage,
                verdict, rule, refund_on, 0, false
            FROM case_parts WHERE case_id = %(c)s AND part_no = %(p)s RETURNING part_no)
        INSERT INTO case_lines (case_id, part_no, order_id, line_id, units)
        SELECT %(c)s, more.part_no, (SELECT order_id FROM cases WHERE case_id = %(c)s), key, value::integer
        FROM more, jsonb_each_text(%(rest)s)
        """,
        {"c": case_id, "p": part_no, "rest": to_json(dict(rest))},
    )
    await conn.execute(
        "DELETE FROM case_lines WHERE case_id = %s AND part_no = %s AND NOT line_id = ANY(%s)",
        (case_id, part_no, list(keep)),
    )
    await conn.execute(
        """
        UPDATE case_lines l SET units = value::integer FROM jsonb_each_text(%s)
        WHERE l.case_id = %s AND l.part_no = %s AND l.line_id = key
        """,
        (to_json(dict(keep)), case_id, part_no),
    )


async def take_units(conn: Connection, order_id: str, units_by_line: Mapping[LineId, int]) -> None:
    await conn.execute(
        """
        UPDATE order_lines ol SET taken_units = ol.taken_units + value::integer
        FROM jsonb_each_text(%s) WHERE ol.order_id = %s AND ol.line_id = key
        """,
        (to_json(dict(units_by_line)), order_id),
    )


async def close_lines(conn: Connection, case_id: str, *, part_no: int | None = None) -> None:
    """The lines of the case (or of one part) are free for another request (I7)."""
    await conn.execute(
        """
        DELETE FROM open_lines o WHERE o.case_id = %(case)s AND (%(part)s::integer IS NULL OR o.line_id IN (
                SELECT line_id FROM case_lines WHERE case_id = %(case)s AND part_no = %(part)s)
            AND NOT EXISTS (
                SELECT FROM case_lines l JOIN case_parts p USING (case_id, part_no)
                WHERE l.case_id = %(case)s AND l.line_id = o.line_id AND l.part_no <> %(part)s
                  AND p.state IN ('executing', 'review')))
        """,
        {"case": case_id, "part": part_no},
    )


async def give_back_units(conn: Connection, order_id: str, units_by_line: Mapping[LineId, int]) -> None:
    """Units a part no longer takes back are free to be asked for again."""
    await take_units(conn, order_id, {line_id: -units for line_id, units in units_by_line.items()})


async def set_leg(conn: Connection, case_id: str, leg_no: int, **columns: Any) -> None:
    """Writes the named columns of one leg, and when it ended."""
    values = {k: to_json(v) if k == "evidence" else v for k, v in columns.items()}
    assignments = ", ".join(f"{name} = %({name})s" + ("::jsonb" if name == "evidence" else "") for name in values)
    if columns.get("state") in FINAL:
        assignments += ", ended_at = unwind_now()"
    await conn.execute(
        f"UPDATE legs SET {assignments} WHERE case_id = %(case_id)s AND leg_no = %(leg_no)s",  # noqa: S608 - names from code
        {**values, "case_id": case_id, "leg_no": leg_no},
    )


async def add_legs(conn: Connection, case_id: str, part_no: int, drafts: Sequence[LegDraft]) -> None:
    """More legs for a part, numbered after those it has."""
    cursor = await conn.execute("SELECT coalesce(max(leg_no), 0) AS last FROM legs WHERE case_id = %s", (case_id,))
    row = await cursor.fetchone()
    first = (row["last"] if row else 0) + 1
    async with conn.cursor() as many:
        await many.executemany(
            """
            INSERT INTO legs (case_id, leg_no, part_no, kind, rank, is_local, state, target, amount_minor)
            VALUES (%s, %s, %s, %s, %s, %s, 'planned', %s, %s)
            """,
            [
                (
                    case_id,
                    first + i,
                    part_no,
                    draft.kind.value,
                    draft.rank,
                    draft.is_local,
                    draft.target,
                    draft.amount_minor,
                )
                for i, draft in enumerate(drafts)
            ],
        )


async def open_cases_of(conn: Connection, order_id: str) -> list[str]:
    cursor = await conn.execute(
        "SELECT case_id FROM cases WHERE order_id = %s AND state <> 'archived' ORDER BY case_id", (order_id,)
    )
    return [row["case_id"] for row in await cursor.fetchall()]


async def events_of(conn: Connection, case_id: str) -> list[dict[str, Any]]:
    cursor = await conn.execute(
        "SELECT seq, at, from_state, event, to_state, actor, data, hash FROM case_events WHERE case_id = %s ORDER BY seq",
        (case_id,),
    )
    return await cursor.fetchall()


async def case_of_refund(conn: Connection, refund_no: str) -> str | None:
    cursor = await conn.execute("SELECT case_id FROM refunds WHERE refund_no = %s", (refund_no,))
    row = await cursor.fetchone()
    return row["case_id"] if row else None


async def case_of_request(conn: Connection, number: str) -> str | None:
    """The case of any numbered outside call that is not a refund."""
    cursor = await conn.execute("SELECT case_id FROM legs WHERE number = %s", (number,))
    row = await cursor.fetchone()
    return row["case_id"] if row else None


async def case_of_outbound(conn: Connection, outbound_no: str) -> str | None:
    """The open case that has asked a warehouse about this outbound order; unshipped goods go under the order's own number."""
    cursor = await conn.execute(
        """
        SELECT c.case_id FROM cases c JOIN legs g USING (case_id)
        WHERE c.state <> 'archived' AND g.kind = 'hold_shipment'
          AND c.order_id IN (SELECT order_id FROM orders WHERE order_id = %(no)s
              UNION SELECT order_id FROM shipments WHERE shipment_id = %(no)s)
          AND coalesce(nullif(g.target, ''), c.order_id) = %(no)s
        ORDER BY c.case_id LIMIT 1
        """,
        {"no": outbound_no},
    )
    row = await cursor.fetchone()
    return row["case_id"] if row else None


async def has_acted(conn: Connection, case_id: str, actor: str) -> bool:
    """Whether anything in the case's history is this one's doing."""
    cursor = await conn.execute("SELECT FROM case_events WHERE case_id = %s AND actor = %s LIMIT 1", (case_id, actor))
    return await cursor.fetchone() is not None


async def has_aftermath(conn: Connection, key: str) -> bool:
    cursor = await conn.execute("SELECT FROM cases WHERE aftermath_key = %s", (key,))
    return await cursor.fetchone() is not None


async def latest_closed_case(conn: Connection, order_id: str) -> str | None:
    cursor = await conn.execute(
        """
        SELECT case_id FROM cases WHERE order_id = %s AND kind = 'cancellation'
        ORDER BY (state = 'archived') DESC, opened_at DESC LIMIT 1
        """,
        (order_id,),
    )
    row = await cursor.fetchone()
    return row["case_id"] if row else None


async def read_head(conn: Connection, case_id: str) -> dict[str, Any] | None:
    """Where the history of a case stands."""
    cursor = await conn.execute(
        "SELECT state, event_seq, head, priority, contacts, order_id FROM cases WHERE case_id = %s",
        (case_id,),
        prepare=True,
    )
    return await cursor.fetchone()


async def ask_again_now(conn: Connection, case_id: str) -> None:
    """Legs that wait for an answer are asked about now instead of at their next turn."""
    await conn.execute(
        "UPDATE legs SET next_try_at = unwind_now() WHERE case_id = %s AND state IN ('claimed', 'unknown', 'accepted')",
        (case_id,),
    )


async def lose_patience(conn: Connection, case_id: str, kind: LegKind) -> None:
    """Word has come that nothing will come of legs of this kind: they are asked about once more, and then a person looks.

    Their time runs from that question (`flow/execute.py`, `_patience`), however long nobody can ask it. The mark stays with the leg: the
    word may come before the answer to the call that it is about.
    """
    await conn.execute(
        """
        UPDATE legs SET due_at = NULL, evidence = evidence || jsonb_build_object('told_failed_at', unwind_now())
        WHERE case_id = %s AND kind = %s AND state IN ('claimed', 'unknown', 'accepted')
        """,
        (case_id, kind.value),
    )


async def latest_case(conn: Connection, order_id: str) -> str | None:
    """The newest cancellation of an order, open or not."""
    cursor = await conn.execute(
        "SELECT case_id FROM cases WHERE order_id = %s AND kind = 'cancellation' ORDER BY opened_at DESC, case_id DESC LIMIT 1",
        (order_id,),
    )
    row = await cursor.fetchone()
    return row["case_id"] if row else None


async def open_inquiry(conn: Connection, order_id: str) -> str | None:
    cursor = await conn.execute(
        "SELECT case_id FROM cases WHERE order_id = %s AND kind = 'inquiry' AND state <> 'archived' ORDER BY case_id LIMIT 1",
        (order_id,),
    )
    row = await cursor.fetchone()
    return row["case_id"] if row else None
