"""A buyer says with one tap how it went: asked once per case, answered by a link that is its own credential.

    settled -> asked, with the last message -> tap (POST; opening the page answers nothing) -> [comment] -> bad: a person looks into it

The case is sealed by then, so an answer is a row of its own and no event of the case.
"""

from typing import Any

from unwind.domain.case import CaseOutcome
from unwind.domain.errors import Refusal, require
from unwind.domain.rating import ASKED_FOR, LINK_LIFE, closes_at, is_asked, is_bad
from unwind.flow import aftermath
from unwind.flow.chronicle import clock
from unwind.flow.execute import Locked
from unwind.flow.links import RATING, read_link
from unwind.flow.notify import RATE
from unwind.flow.receipt import buyer_channel
from unwind.flow.services import Services
from unwind.storage import erasures, locks, merchants, messages, orders, privacy, ratings
from unwind.storage.database import Connection

COMMENT = "rating"
"""The field of the private data."""
FOLLOW_UP = "bad_rating"
REACHED_BY = ("phone", "openid", "email")


async def ask_if_due(conn: Connection, services: Services, locked: Locked, outcome: CaseOutcome | None) -> None:
    """The case is about to tell its last news. Nobody is asked whom nothing reaches, or who has asked to be forgotten."""
    case, order_id = locked.case, locked.order.order_id
    if not is_asked(case, outcome) or not services.public_url:
        return
    merchant = await merchants.merchant_of_order(conn, order_id)
    if not merchant["asks_rating"] or await erasures.read_erasure(conn, order_id) is not None:
        return
    channel = buyer_channel(case.channel)
    if channel != "inbox" and not await privacy.has_any(conn, order_id, REACHED_BY):
        return
    until = locked.now + ASKED_FOR
    await ratings.ask(
        conn,
        {
            "case_id": case.case_id,
            "order_id": order_id,
            "merchant_id": case.merchant_id,
            "channel": case.channel,
            "decided_by": "person" if any(part.is_decided for part in case.parts) else "policy",
            "rule": case.rule,
            "asked_at": locked.now,
            "until": until,
        },
    )
    await messages.add_message(
        conn,
        case_id=case.case_id,
        order_id=order_id,
        audience="buyer",
        channel=channel,
        fact=RATE,
        params={"rating": case.case_id, "rate_until": (locked.now + LINK_LIFE).isoformat()},
    )


async def look(services: Services, token: str) -> dict[str, Any]:
    """What the page shows. Changes nothing: mail and chat programs open links by themselves."""
    async with services.database.connection() as conn:
        row = await _behind(conn, services, token)
        return await _shown(conn, row)


async def rate(services: Services, token: str, score: int) -> dict[str, Any]:
    """One tap. The same again is the same; another one within seven days replaces it. Refuses with `rating_closed`."""
    async with services.database.transaction() as conn:
        row = await _locked(conn, services, token)
        now = await clock(conn)
        require(now <= closes_at(until=row["until"], answered_at=row["answered_at"]), "rating_closed")
        await ratings.set_score(conn, row["case_id"], score, at=now)
        if is_bad(score) and row["followed_up_by"] is None:
            await _follow_up(conn, services, row)
        return await _shown(conn, await ratings.read_rating(conn, row["case_id"]) or row)


async def comment(services: Services, token: str, text: str) -> dict[str, Any]:
    """One line, after the tap; encrypted with the key of the order. The newest counts."""
    async with services.database.transaction() as conn:
        row = await _locked(conn, services, token)
        require(row["answered_at"] is not None, "rate_first")
        now = await clock(conn)
        require(now <= closes_at(until=row["until"], answered_at=row["answered_at"]), "rating_closed")
        order = await orders.read_order(conn, row["order_id"])
        await privacy.keep_private(
            conn,
            services.vault,
            row["order_id"],
            {COMMENT: text},
            wrapped_key=order.wrapped_key if order else None,
            case_id=row["case_id"],
        )
        await ratings.note_comment(conn, row["case_id"])
        return await _shown(conn, await ratings.read_rating(conn, row["case_id"]) or row)


async def _behind(conn: Connection, services: Services, token: str) -> dict[str, Any]:
    subject = read_link(services.vault.token_key, token, now=(await clock(conn)).timestamp())
    row = await ratings.read_rating(conn, subject.removeprefix(RATING)) if subject.startswith(RATING) else None
    if row is None or await erasures.read_erasure(conn, row["order_id"]) is not None:
        raise Refusal("not_found")
    return row


async def _locked(conn: Connection, services: Services, token: str) -> dict[str, Any]:
    """Under the order's lock: two devices answer one after the other, and a request to be forgotten comes before or after."""
    row = await _behind(conn, services, token)
    await locks.lock_order(conn, row["order_id"])
    return await _behind(conn, services, token)


async def _follow_up(conn: Connection, services: Services, row: dict[str, Any]) -> None:
    """Once per rated case, whatever the score does afterwards."""
    opened = await aftermath.open_incident(
        conn, services, row["order_id"], rule=FOLLOW_UP, detail=row["case_id"], parent_case_id=row["case_id"]
    )
    if opened is not None:
        await ratings.note_follow_up(conn, row["case_id"], opened)


async def _shown(conn: Connection, row: dict[str, Any]) -> dict[str, Any]:
    merchant = await merchants.merchant_of_order(conn, row["order_id"])
    closes = closes_at(until=row["until"], answered_at=row["answered_at"])
    return {
        "order_id": row["order_id"],
        "merchant": merchant["name"],
        "score": row["score"],
        "has_comment": row["has_comment"],
        "is_open": await clock(conn) <= closes,
        "closes_at": closes,
        "time_zone": merchant["time_zone"],
    }
