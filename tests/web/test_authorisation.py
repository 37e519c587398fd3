"""The authorisation matrix: every operation of the OpenAPI document x every kind of caller x an own and somebody else's thing.

What is expected stands in `EXPECTED` below, written by hand and independent of the program's own table (`web/rights.py`). A new operation
fails the first test until it has

1. a row here: who may (`roles`), and whose the thing is (`of`, see `Row`);
2. a value for each name in its path, in `names` (most are there already);
3. where it takes a body: one in `BODIES`. It need not be a sensible one (409 and 422 are answers of somebody who was let in), unless the
   body says whose the thing is;
4. a row in `web/rights.py`.

Denials come first, and after those of each operation nothing may have changed: not a row of any table, not a booking in the sandbox's
ledger. Then whoever is allowed must be let in: nothing of `CODE_OF`.
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest

from tests.world import World, order_body
from unwind.domain.access import SYSTEM, Role, Scope
from unwind.domain.decisions import Choice, Ruling
from unwind.domain.promises import PromiseKind
from unwind.domain.ruling_documents import ruling_document
from unwind.domain.sign_in import SignInRules
from unwind.flow import api_keys, attachments, hotline, promises, sign_in, staff
from unwind.storage.principals import upsert_principal
from unwind.web.access import mint_buyer_token

STAFF = ("agent", "lead", "ops", "finance", "warehouse", "merchant", "admin", "auditor")
DESK = {"agent", "lead", "admin"}
READERS = DESK | {"ops", "finance", "auditor", "merchant"}
TASKS = DESK | {"finance", "warehouse", "merchant"}
ORDERS = {*STAFF, "integrator", "buyer"}
OPERATIONS = {"lead", "ops", "admin", "auditor"}
AUDIT = {"admin", "auditor"}
ADMIN = {"admin"}
SHOP = {"integrator", "admin"}
MONEY = {"lead", "finance", "admin"}
BENCH = {"warehouse", "merchant", "admin"}
SEES_BENCH = BENCH | {"agent", "lead", "ops", "auditor"}
PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Who may, and whose the thing is.

    `shop`: a shop's (an order, a case ...): whoever is bound to another one, or to another order, gets 404. `platform`: nobody's: whoever is
    bound to a shop gets 403. `list`: a list of the caller's own, or about the caller as a worker. `self`: the caller's own account, for
    people who have signed in and no key. `open`: needs no credential.
    """

    roles: frozenset[str] = frozenset()
    of: str = "shop"
    is_narrow: bool = False
    """Also for a key that holds `cases:read` and nothing else."""


def row(roles: set[str], of: str = "shop", *, is_narrow: bool = False) -> Row:
    return Row(roles=frozenset(roles), of=of, is_narrow=is_narrow)


OPEN, SELF = row(set(), "open"), row(set(STAFF), "self")

EXPECTED: dict[str, Row] = {
    "GET /health": OPEN,
    "GET /ready": OPEN,
    "POST /callbacks/{connection}": OPEN,
    "POST /callbacks/{connection}/{tail}": OPEN,
    "POST /api/v1/guest/codes": OPEN,
    "POST /api/v1/guest/tokens": OPEN,
    "POST /api/v1/guest/store-tokens": OPEN,
    "GET /callbacks/cti/{system_id}/{secret}": OPEN,
    "POST /callbacks/cti/{system_id}/{secret}": OPEN,
    "GET /api/v1/links/{token}": OPEN,
    "POST /api/v1/links/{token}": OPEN,
    "GET /api/v1/ratings/{token}": OPEN,
    "POST /api/v1/ratings/{token}": OPEN,
    "POST /api/v1/ratings/{token}/comment": OPEN,
    "POST /api/v1/session": OPEN,
    "GET /api/v1/oidc/login": OPEN,
    "GET /api/v1/oidc/callback": OPEN,
    "POST /api/v1/cancellations": row(DESK | {"integrator", "buyer"}),
    "GET /api/v1/cancellations/{case_id}": row(READERS | {"integrator", "buyer"}, is_narrow=True),
    "POST /api/v1/cancellations/{case_id}/withdraw": row(DESK | {"integrator", "buyer"}),
    "POST /api/v1/cancellations/{case_id}/agreement": row(DESK | {"integrator", "buyer"}),
    "POST /api/v1/cancellations/{case_id}/appeal": row(DESK | {"integrator", "buyer"}),
    "POST /api/v1/cancellations/{case_id}/questions/{n}": row(DESK | {"integrator", "buyer"}),
    "POST /api/v1/cancellations/{case_id}/attachments": row(DESK | {"integrator", "buyer"}),
    "GET /api/v1/cancellations/{case_id}/attachments/{attachment_id}": row(
        READERS | {"integrator", "buyer"}, is_narrow=True
    ),
    "POST /api/v1/orders/{order_id}/erasure": row(DESK | {"integrator", "buyer"}),
    "GET /api/v1/cancellations/{case_id}/conversation": row(READERS | {"integrator", "buyer"}, is_narrow=True),
    "POST /api/v1/cancellations/{case_id}/conversation": row(DESK | {"integrator", "buyer"}),
    "GET /api/v1/orders/{order_id}/cancellability": row(ORDERS),
    "PUT /api/v1/orders/{order_id}": row(SHOP),
    "GET /api/v1/orders/{order_id}": row(ORDERS),
    "POST /api/v1/orders/{order_id}/events": row(SHOP),
    "POST /api/v1/orders/{order_id}/buyer-token": row(SHOP),
    "POST /api/v1/orders/{order_id}/store-link": row(SHOP),
    "PUT /api/v1/merchants/{merchant_id}": row(ADMIN),
    "PUT /api/v1/stock": row(ADMIN, "platform"),
    "PUT /api/v1/benefit-accounts": row(ADMIN, "platform"),
    "GET /api/v1/stock": row(DESK | {"ops", "warehouse", "auditor", "integrator"}, "platform"),
    "GET /api/v1/desk/stream": row(DESK, "list"),
    "GET /api/v1/desk/cases": row(READERS, "list"),
    "GET /api/v1/desk/cases/{case_id}": row(READERS),
    "POST /api/v1/desk/cases/{case_id}/decisions": row(DESK),
    "POST /api/v1/desk/cases/{case_id}/decisions/preview": row(DESK),
    "POST /api/v1/desk/cases/{case_id}/consents": row(DESK),
    "GET /api/v1/desk/cases/{case_id}/offers": row(DESK),
    "POST /api/v1/desk/cases/{case_id}/offers": row(DESK),
    "POST /api/v1/desk/cases/{case_id}/questions": row(DESK),
    "POST /api/v1/desk/cases/{case_id}/questions/{n}/answer": row(DESK),
    "POST /api/v1/desk/cases/{case_id}/costs": row(DESK),
    "POST /api/v1/desk/cases/{case_id}/legs/{leg_no}/outcome": row(DESK),
    "POST /api/v1/desk/cases/{case_id}/legs/{leg_no}/waive": row({"lead", "finance", "admin"}),
    "GET /api/v1/desk/approvals": row({"lead", "admin"}, "list"),
    "POST /api/v1/desk/approvals/{question_id}": row({"lead", "admin"}),
    "GET /api/v1/desk/recalls": row(READERS, "list"),
    "POST /api/v1/desk/cases/{case_id}/buyer-question": row(DESK),
    "POST /api/v1/desk/cases/{case_id}/buyer-answer": row(DESK),
    "POST /api/v1/desk/cases/{case_id}/legs/{leg_no}/other-account": row(DESK | {"finance"}),
    "POST /api/v1/finance/cases/{case_id}/legs/{leg_no}/off-line": row(DESK | {"finance"}),
    "GET /api/v1/finance/payouts": row(MONEY | {"ops", "auditor"}, "list"),
    "POST /api/v1/finance/payouts/{proposal_id}": row(MONEY),
    "DELETE /api/v1/finance/payouts/{proposal_id}": row(DESK | {"finance"}),
    "POST /api/v1/finance/connections/{connection}/retries": row(MONEY),
    "GET /api/v1/finance/balances": row(MONEY | {"ops", "auditor"}, "platform"),
    "PUT /api/v1/finance/balances/{connection}": row(MONEY, "platform"),
    "GET /api/v1/finance/exports/{month}": row(MONEY | {"ops", "auditor"}),
    "GET /api/v1/finance/log": row(MONEY | {"ops", "auditor"}, "platform"),
    "GET /api/v1/finance/costs": row(MONEY | {"ops", "auditor"}),
    "POST /api/v1/finance/costs/{case_id}/{n}/settlement": row(MONEY),
    "GET /api/v1/finance/claims": row(MONEY | {"ops", "auditor"}),
    "POST /api/v1/finance/claims": row(MONEY),
    "GET /api/v1/finance/claims/{claim_id}": row(MONEY | {"ops", "auditor"}),
    "POST /api/v1/finance/claims/{claim_id}/moves": row(MONEY),
    "GET /api/v1/desk/refund-exceptions": row(READERS, "list"),
    "GET /api/v1/desk/bill-differences": row({"lead", "ops", "finance", "admin", "auditor"}, "platform"),
    "POST /api/v1/desk/bill-differences/{difference_id}/settle": row({"lead", "finance", "admin"}, "platform"),
    "GET /api/v1/desk/tasks": row(TASKS | {"ops", "auditor"}, "list"),
    "POST /api/v1/desk/tasks/{task_id}/link": row(DESK),
    "POST /api/v1/desk/tasks/{task_id}/result": row(TASKS),
    "GET /api/v1/warehouse/stops": row(SEES_BENCH, "list"),
    "POST /api/v1/warehouse/scans": row(BENCH),
    "POST /api/v1/warehouse/holds/{case_id}/{leg_no}": row(BENCH),
    "GET /api/v1/warehouse/returns": row(SEES_BENCH, "list"),
    "POST /api/v1/warehouse/returns/scan": row(BENCH, "list"),
    "POST /api/v1/warehouse/returns/{return_id}/inspection": row(BENCH),
    "POST /api/v1/warehouse/returns/{return_id}/attachments": row(BENCH),
    "POST /api/v1/warehouse/returns/{return_id}/close": row(BENCH),
    "GET /api/v1/warehouse/false-dispatches": row(SEES_BENCH, "list"),
    "POST /api/v1/desk/claims/next": row(DESK, "list"),
    "POST /api/v1/desk/cases/{case_id}/claim": row(DESK),
    "DELETE /api/v1/desk/cases/{case_id}/claim": row(DESK),
    "POST /api/v1/desk/cases/{case_id}/transfer": row(DESK),
    "POST /api/v1/desk/cases/{case_id}/escalate": row(DESK),
    "PUT /api/v1/desk/presence": row(DESK, "list"),
    "POST /api/v1/desk/heartbeat": row(DESK, "list"),
    "GET /api/v1/desk/agents": row(OPERATIONS, "platform"),
    "GET /api/v1/desk/cases/{case_id}/conversation": row(READERS),
    "POST /api/v1/desk/cases/{case_id}/conversation": row(DESK),
    "GET /api/v1/desk/waiting-buyers": row(READERS, "list"),
    "GET /api/v1/desk/cases/{case_id}/scripts": row(DESK),
    "POST /api/v1/desk/cases/{case_id}/scripts/{script_id}/insert": row(DESK),
    "GET /api/v1/desk/scripts": row(READERS, "list"),
    "GET /api/v1/admin/scripts": row(OPERATIONS, "list"),
    "GET /api/v1/admin/scripts/{script_id}": row(OPERATIONS, "list"),
    "PUT /api/v1/admin/scripts/{script_id}": row({"ops", "admin"}, "platform"),
    "POST /api/v1/desk/lookups": row(DESK, "list"),
    "GET /api/v1/desk/orders/{order_id}": row(DESK),
    "POST /api/v1/desk/orders/{order_id}/reveal": row(DESK),
    "POST /api/v1/desk/orders/{order_id}/identity": row(DESK),
    "POST /api/v1/desk/orders/{order_id}/identity/code": row(DESK),
    "PUT /api/v1/desk/orders/{order_id}/identity/code": row(DESK),
    "GET /api/v1/desk/cti/{system_id}": row(DESK),
    "POST /api/v1/desk/cti/{system_id}": row(DESK),
    "GET /api/v1/desk/calls": row(DESK, "list"),
    "GET /api/v1/desk/calls/{system_id}/{call_id}": row(DESK),
    "POST /api/v1/desk/calls/{system_id}/{call_id}/outcome": row(DESK),
    "POST /api/v1/desk/promises": row(DESK),
    "POST /api/v1/desk/promises/{promise_id}/kept": row(DESK),
    "PUT /api/v1/desk/cases/{case_id}/true-reason": row(DESK),
    "GET /api/v1/desk/handover": row(DESK, "list"),
    "POST /api/v1/desk/handover": row(DESK, "list"),
    "POST /api/v1/desk/cases/{case_id}/handover-taken": row(DESK),
    "GET /api/v1/admin/phone-systems": row(OPERATIONS, "list"),
    "PUT /api/v1/admin/phone-systems/{system_id}": row(ADMIN),
    "GET /api/v1/admin/phrases": row(OPERATIONS, "list"),
    "POST /api/v1/admin/phrases": row({"ops", "admin"}),
    "POST /api/v1/admin/phrases/{phrase_id}/agree": row({"ops", "admin"}),
    "POST /api/v1/admin/phrases/{phrase_id}/retire": row({"ops", "admin"}),
    "GET /api/v1/admin/connections": row(OPERATIONS, "list"),
    "POST /api/v1/admin/connections/{connection_id}/test": row(ADMIN, "platform"),
    "GET /api/v1/admin/alerts": row(OPERATIONS, "platform"),
    "POST /api/v1/admin/alerts/{alert_id}/close": row(ADMIN, "platform"),
    "GET /api/v1/admin/automation/{merchant_id}": row(OPERATIONS),
    "GET /api/v1/admin/automation/{merchant_id}/report": row(OPERATIONS),
    "POST /api/v1/admin/automation/{merchant_id}/reports": row({"lead", "admin"}),
    "POST /api/v1/admin/automation/{merchant_id}": row({"lead", "admin"}),
    "POST /api/v1/admin/automation/{merchant_id}/changes/{change_id}/agree": row({"lead", "admin"}),
    "PUT /api/v1/admin/automation/{merchant_id}/limits": row(ADMIN),
    "GET /api/v1/admin/breakers": row(OPERATIONS, "list"),
    "POST /api/v1/admin/breakers/{breaker_id}/close": row({"lead", "admin"}),
    "GET /api/v1/admin/breakers/{breaker_id}/runs": row(OPERATIONS),
    "POST /api/v1/admin/breakers/{breaker_id}/continue": row({"lead", "admin"}),
    "POST /api/v1/admin/breakers/{breaker_id}/runs/{run_id}/agree": row({"lead", "admin"}),
    "GET /api/v1/admin/leg-switches": row(OPERATIONS, "list"),
    "POST /api/v1/admin/leg-switches": row(ADMIN),
    "POST /api/v1/admin/leg-switches/{switch_id}/lift": row(ADMIN),
    "GET /api/v1/admin/promotions": row(OPERATIONS, "list"),
    "PUT /api/v1/admin/promotions/{promotion_id}": row(ADMIN),
    "POST /api/v1/admin/promotions/{promotion_id}/preview": row(ADMIN),
    "DELETE /api/v1/admin/promotions/{promotion_id}": row(ADMIN),
    "GET /api/v1/admin/timetable": row(OPERATIONS, "list"),
    "PUT /api/v1/admin/calendars/{scope}/{scope_id}": row(ADMIN),
    "DELETE /api/v1/admin/calendars/{scope}/{scope_id}": row(ADMIN),
    "PUT /api/v1/admin/holidays/{year}": row(ADMIN, "platform"),
    "PUT /api/v1/admin/clock-targets": row(ADMIN),
    "DELETE /api/v1/admin/clock-targets": row(ADMIN),
    "GET /api/v1/admin/staff": row(AUDIT, "list"),
    "POST /api/v1/admin/staff": row(ADMIN),
    "PATCH /api/v1/admin/staff/{principal_id}": row(ADMIN),
    "POST /api/v1/admin/staff/{principal_id}/reset-password": row(ADMIN),
    "POST /api/v1/admin/staff/{principal_id}/deactivate": row(ADMIN),
    "POST /api/v1/admin/staff/{principal_id}/activate": row(ADMIN),
    "GET /api/v1/admin/staff/{principal_id}/sessions": row(AUDIT),
    "DELETE /api/v1/admin/staff/{principal_id}/sessions": row(ADMIN),
    "GET /api/v1/admin/sign-in-events": row(AUDIT, "platform"),
    "GET /api/v1/admin/reveals": row(AUDIT | {"lead"}, "list"),
    "PUT /api/v1/admin/reveals/threshold": row(ADMIN, "platform"),
    "GET /api/v1/admin/retention": row(OPERATIONS, "platform"),
    "PUT /api/v1/admin/retention/{kind}": row(ADMIN, "platform"),
    "GET /api/v1/admin/keys": row(AUDIT, "list"),
    "POST /api/v1/admin/keys": row(ADMIN),
    "POST /api/v1/admin/keys/{principal_id}/rotate": row(ADMIN),
    "DELETE /api/v1/admin/keys/{principal_id}": row(ADMIN),
    "DELETE /api/v1/admin/keys/{principal_id}/{key_id}": row(ADMIN),
    "GET /api/v1/insights/satisfaction": row(OPERATIONS),
    "GET /api/v1/insights/corrections": row(OPERATIONS),
    "GET /api/v1/session": SELF,
    "DELETE /api/v1/session": SELF,
    "GET /api/v1/account/sessions": SELF,
    "DELETE /api/v1/account/sessions/{session_id}": SELF,
    "PUT /api/v1/account/password": SELF,
    "POST /api/v1/account/second-factor": SELF,
    "POST /api/v1/account/second-factor/confirm": SELF,
}

LET_IN_ALL_THE_SAME = {
    "GET /api/v1/oidc/login": 404,
    "GET /api/v1/oidc/callback": 404,
    "POST /callbacks/{connection}": 401,
    "POST /callbacks/{connection}/{tail}": 401,
    "POST /api/v1/session": 401,
    "POST /api/v1/guest/codes": 202,
    "POST /api/v1/guest/tokens": 403,
    "POST /api/v1/guest/store-tokens": 401,
    "GET /callbacks/cti/{system_id}/{secret}": 404,
    "POST /callbacks/cti/{system_id}/{secret}": 404,
    "GET /api/v1/links/{token}": 404,
    "POST /api/v1/links/{token}": 404,
    "GET /api/v1/ratings/{token}": 404,
    "POST /api/v1/ratings/{token}": 404,
    "POST /api/v1/ratings/{token}/comment": 404,
}
"""Open ones whose own answer to a stranger looks like a denial: no provider, no signature, no such login, no link of ours."""

REFUSED_ALIKE = {
    "POST /api/v1/desk/orders/{order_id}/identity": (403, "identity_not_shown"),
    "PUT /api/v1/desk/orders/{order_id}/identity/code": (403, "identity_not_shown"),
}
"""Whose order it is, is told no more than whether the answer was right."""
COUNTERS = ("attempts",)
"""How often somebody tried: a denial that asked in earnest counts too."""
OPEN_TO_LINKS = {"POST /api/v1/guest/store-tokens"}
"""Its own credential is in the body."""

CODE_OF = {401: {"unauthorised", "token_expired"}, 403: {"forbidden"}, 404: {"not_found"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """`status`: what this one gets everywhere but at open doors, whatever it asks for."""

    name: str
    role: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    shop: str | None = None
    order: str | None = None
    has_session: bool = False
    is_narrow: bool = False
    needs_password: bool = False
    status: int | None = None


@dataclass(slots=True, kw_only=True)
class Target:
    """A shop, and one of everything that belongs to it."""

    shop: str
    order_id: str
    case_id: str
    question_id: str
    promise_id: str
    attachment_id: str
    task_id: str
    return_id: str
    staff_id: str
    key_owner: str
    key_id: str
    change_id: str
    breaker_id: str
    switch_id: str
    proposal_id: str
    claim_id: str
    phrase_id: str
    run_id: str


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


@dataclass(slots=True, kw_only=True)
class Stage:
    """The world with everybody and everything in it. `strangers_case`: in the own shop, of an order no buyer here speaks for."""

    world: World
    made: int = 0

    async def target(self, shop: str) -> Target:
        world = self.world
        order_id, case_id = await self.case(shop)
        manual = await world.order(merchant_id=shop, released_stage="released", planned_dispatch_at=None)
        await world.sql("UPDATE merchants SET warehouse = 'manual' WHERE merchant_id = %s", shop)
        await world.cancel(manual)
        await world.run()
        [task] = await world.sql("SELECT task_id FROM tasks JOIN cases USING (case_id) WHERE order_id = %s", manual)
        key_owner, key_id = await self.key(shop)
        attached = await attachments.attach(world.services, SYSTEM, case_id, b"%PDF-1.7 %%EOF")
        return Target(
            shop=shop,
            order_id=order_id,
            case_id=case_id,
            question_id=await self.questions(case_id),
            promise_id=await self.call_and_promise(shop, case_id),
            attachment_id=str(attached["attachment_id"]),
            task_id=task["task_id"],
            return_id=await self.unexpected_return(shop),
            staff_id=await self.colleague(shop),
            key_owner=key_owner,
            key_id=key_id,
            proposal_id=await self.proposal(order_id, case_id, shop),
            claim_id=await self.claim(case_id, shop),
            **await self.trust(shop),
        )

    async def unexpected_return(self, shop: str) -> str:
        self.made += 1
        return_id = f"X-{self.made}"
        await self.world.sql(
            "INSERT INTO returns (return_id, merchant_id, code, state, scanned_at, scanned_by, received_at)"
            " VALUES (%s, %s, %s, 'unexpected', unwind_now(), 'x', unwind_now())",
            return_id,
            shop,
            return_id,
        )
        return return_id

    async def proposal(self, order_id: str, case_id: str, shop: str) -> str:
        """A refund of the case that was paid off-line, says a colleague."""
        await self.world.sql(
            "INSERT INTO legs (case_id, leg_no, part_no, kind, rank, is_local, state, target, amount_minor)"
            " VALUES (%s, 99, 1, 'refund', 30, false, 'released', '', 1) ON CONFLICT DO NOTHING",
            case_id,
        )
        await self.world.sql(
            "INSERT INTO payout_proposals (proposal_id, case_id, leg_no, order_id, merchant_id, way, case_version, amount_minor,"
            " currency, paid_on, proposed_by, proposed_at, expires_at)"
            " VALUES (%s, %s, 99, %s, %s, 'off_line', 9999, 1, 'CNY', '2026-01-01', 'x', unwind_now(), unwind_now() + interval '1 d')",
            f"{case_id}-P1",
            case_id,
            order_id,
            shop,
        )
        return f"{case_id}-P1"

    async def claim(self, case_id: str, shop: str) -> str:
        """A cost of the case, and what a carrier owes for another."""
        await self.world.sql(
            "INSERT INTO case_costs (case_id, n, fee, amount_minor, currency, bearer, noted_by, noted_at)"
            " VALUES (%s, 1, 'other', 1, 'CNY', 'merchant', 'x', unwind_now())",
            case_id,
        )
        await self.world.sql(
            "INSERT INTO carrier_claims (claim_id, merchant_id, carrier, case_id, reason, amount_minor, currency, due_at, opened_at,"
            " opened_by) VALUES (%s, %s, 'sf', %s, 'late', 1, 'CNY', unwind_now(), unwind_now(), 'x')",
            f"{case_id}-K99",
            shop,
            case_id,
        )
        return f"{case_id}-K99"

    async def trust(self, shop: str) -> dict[str, str]:
        """A proposal and an open breaker of the shop."""
        [change] = await self.world.sql(
            "INSERT INTO automation_changes (merchant_id, kind, from_level, to_level, at, by, why)"
            " VALUES (%s, 'proposed', 'shadow', 'auto', unwind_now(), 'lead:x', 'x') RETURNING change_id::text",
            shop,
        )
        [breaker] = await self.world.sql(
            "INSERT INTO breakers (merchant_id, sku, cause, counted, allowed, case_id, opened_at)"
            " VALUES (%s, '', 'velocity', 2, 1, 'x', unwind_now()) RETURNING breaker_id::text",
            shop,
        )
        [switch] = await self.world.sql(
            "INSERT INTO leg_switches (kind, merchant_id, off_at, off_by, why)"
            " VALUES ('void_waybill', %s, unwind_now(), 'admin:x', 'x') RETURNING switch_id::text",
            shop,
        )
        await self.world.sql(
            "INSERT INTO promotions (promotion_id, level, scope_id, from_at, to_at, changes, set_by, set_at)"
            " VALUES (%s, 'merchant', %s, '2035-11-11', '2035-11-12', '{}', 'admin:x', unwind_now())",
            f"sale-{shop}",
            shop,
        )
        [phrase] = await self.world.sql(
            "INSERT INTO phrases (merchant_id, phrase, folded, label, state, proposed_by, proposed_at, why, evaluation)"
            " VALUES (%s, 'x', 'x', 'OTHER', 'proposed', 'ops:x', unwind_now(), 'x', '{}') RETURNING phrase_id::text",
            shop,
        )
        [run] = await self.world.sql(
            "INSERT INTO breaker_runs (breaker_id, merchant_id, cases, minor, started_by, started_at, why, needs_second)"
            " VALUES (%s, %s, '[]', 1, 'lead:x', unwind_now(), 'x', true) RETURNING run_id::text",
            breaker["breaker_id"],
            shop,
        )
        return {**change, **breaker, **switch, **phrase, **run}

    async def fresh(self, target: Target, operation: str) -> Target:
        """What one caller does to it must not stand in another's way."""
        if "/staff" in operation:
            return replace(target, staff_id=await self.colleague(target.shop))
        if "/keys" in operation:
            key_owner, key_id = await self.key(target.shop)
            return replace(target, key_owner=key_owner, key_id=key_id)
        if operation.endswith(("/withdraw", "/escalate")):
            order_id, case_id = await self.case(target.shop)
            return replace(target, order_id=order_id, case_id=case_id)
        return target

    async def case(self, shop: str) -> tuple[str, str]:
        order_id = await self.world.order(merchant_id=shop, risk="suspected")
        return order_id, (await self.world.cancel(order_id))["case_id"]

    async def questions(self, case_id: str) -> str:
        """The buyer is asked to consent, a second person to approve. Returns the latter."""
        ruling = ruling_document(Ruling(choice=Choice.DECLINE, case_version=0, order_version=0))
        for n, (kind, audience) in enumerate((("consent", "buyer"), ("approval", "lead")), start=1):
            await self.world.sql(
                "INSERT INTO questions (question_id, case_id, n, kind, audience, subject, asked_by, asked_at, due_at, on_silence)"
                " VALUES (%s, %s, %s, %s, %s, %s, 'agent:x', unwind_now(), unwind_now() + interval '1 day', 'person')",
                f"{case_id}-q{n}",
                case_id,
                n,
                kind,
                audience,
                json.dumps({"ruling": ruling, "kept_minor": 1}),
            )
        return f"{case_id}-q2"

    async def call_and_promise(self, shop: str, case_id: str) -> str:
        """A telephone system of the shop with one call, and a promise on the case. Returns the promise."""
        services = self.world.services
        system = {"system_id": f"pbx-{shop}", "merchant_id": shop, "vendor": "znuny", "aliases": {}, "agents": {}}
        await hotline.put_system(services, SYSTEM, system, secret=None)
        await hotline.pop(services, SYSTEM, f"pbx-{shop}", {"CallerID": ["13800001234"], "call_id": ["c-1"]})
        made = await promises.promise_on_case(services, SYSTEM, case_id, PromiseKind.TWO_MINUTES, due_at=None)
        await self.world.sql("UPDATE phone_calls SET agent_ids = '{}'")
        return str(made["promise_id"])

    async def colleague(self, shop: str) -> str:
        self.made += 1
        name = {"login": f"colleague-{self.made}", "display_name": "x", "password": PASSWORD}
        return (await staff.add(self.world.services, SYSTEM, role=Role.AGENT, merchant_id=shop, **name)).principal_id

    async def key(self, shop: str) -> tuple[str, str]:
        self.made += 1
        made = await api_keys.create(
            self.world.services,
            SYSTEM,
            principal_id=f"key-{self.made}",
            role=Role.AGENT,
            scopes=None,
            merchant_id=shop,
            display_name="x",
            expires_at=None,
        )
        return made.principal_id, made.key_id

    def names(self, operation: str, target: Target, caller: Caller) -> dict[str, str]:
        """What stands for each name in a path."""
        is_key = "/keys/" in operation
        return {
            "connection": "wxpay",
            "tail": "secret",
            "case_id": target.case_id,
            "order_id": target.order_id,
            "merchant_id": target.shop,
            "leg_no": "1",
            "n": "1",
            "question_id": target.question_id,
            "attachment_id": target.attachment_id,
            "promise_id": target.promise_id,
            "system_id": f"pbx-{target.shop}",
            "call_id": "c-1",
            "secret": "x" * 40,
            "token": "ul_nothing",
            "difference_id": "1",
            "task_id": target.task_id,
            "return_id": target.return_id,
            "connection_id": "wxpay",
            "alert_id": "1",
            "change_id": target.change_id,
            "breaker_id": target.breaker_id,
            "switch_id": target.switch_id,
            "proposal_id": target.proposal_id,
            "claim_id": target.claim_id,
            "phrase_id": target.phrase_id,
            "run_id": target.run_id,
            "promotion_id": f"sale-{target.shop}",
            "scope": "merchant",
            "scope_id": target.shop,
            "year": "2030",
            "month": "2026-01",
            "script_id": "fraud_warning",
            "kind": "lookups",
            "principal_id": target.key_owner if is_key else target.staff_id,
            "key_id": target.key_id,
            "session_id": caller.headers.get("X-Session", "s-0"),
        }

    async def ask(self, operation: str, target: Target, caller: Caller) -> tuple[int, str]:
        method, template = operation.split(" ")
        names = self.names(operation, target, caller)
        path = re.sub(r"\{(\w+)\}", lambda found: names[found[1]], template)
        query = QUERIES[operation](target) if operation in QUERIES else {}
        body = BODIES[operation](target) if operation in BODIES else {}
        given: dict[str, Any] = {} if method in {"GET", "DELETE"} else {"json": body}
        try:
            async with asyncio.timeout(5):
                response = await self.world.client.request(method, path, params=query, headers=caller.headers, **given)
        except TimeoutError:  # a stream that was opened does not end
            return 200, ""
        is_problem = response.headers.get("content-type", "").startswith("application/problem")
        return response.status_code, response.json()["code"] if is_problem else ""

    async def everything(self) -> dict[str, Any]:
        """A digest of every row of every table, and of the sandbox's ledger. A session's `seen_at` is left out: it moves when one looks."""
        tables = await self.world.sql(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname"
        )
        parts = " UNION ALL ".join(
            f"SELECT '{t['relname']}' AS name, md5(coalesce(string_agg((to_jsonb(t) - 'seen_at')::text, ',' ORDER BY (to_jsonb(t) - 'seen_at')::text), ''))"
            f' AS digest FROM "{t["relname"]}" t'
            for t in tables
            if t["relname"] not in COUNTERS
        )
        rows = await self.world.sql(parts)
        ledger = {k: v for k, v in (await self.world.ledger()).items() if k != "now"}
        return {row["name"]: row["digest"] for row in rows} | {"the ledger": json.dumps(ledger, sort_keys=True)}


QUERIES: dict[str, Callable[[Target], dict[str, str]]] = {
    "GET /api/v1/stock": lambda _: {"sku": "SKU-L1"},
    "GET /api/v1/finance/costs": lambda t: {"case_id": t.case_id, "merchant_id": t.shop},
    "GET /api/v1/finance/claims": lambda t: {"merchant_id": t.shop},
    "GET /api/v1/finance/exports/{month}": lambda t: {"merchant_id": t.shop, "format": "csv", "sheet": "summary"},
    "GET /api/v1/desk/cti/{system_id}": lambda _: {"CallerID": "13800001234"},
    "PUT /api/v1/admin/clock-targets": lambda t: {"merchant_id": t.shop},
    "GET /api/v1/insights/satisfaction": lambda t: {**PERIOD, "merchant_id": t.shop},
    "GET /api/v1/insights/corrections": lambda t: {**PERIOD, "merchant_id": t.shop},
    "GET /api/v1/admin/automation/{merchant_id}/report": lambda _: PERIOD,
    "POST /api/v1/admin/automation/{merchant_id}/reports": lambda _: PERIOD,
    "DELETE /api/v1/admin/clock-targets": lambda t: {"merchant_id": t.shop},
}


def promotion_of(shop: str) -> dict[str, Any]:
    when = {"from": "2035-11-11T00:00:00Z", "to": "2035-11-12T00:00:00Z"}
    return {"level": "merchant", "scope_id": shop, "changes": {"window_minutes": 60}, **when}


PERIOD = {"from": "2026-01-01T00:00:00Z", "to": "2036-01-01T00:00:00Z"}

BODIES: dict[str, Callable[[Target], Any]] = {
    "POST /api/v1/admin/automation/{merchant_id}": lambda _: {"level": "auto", "why": "x"},
    "POST /api/v1/admin/automation/{merchant_id}/changes/{change_id}/agree": lambda _: {"why": "x"},
    "PUT /api/v1/admin/automation/{merchant_id}/limits": lambda _: {"why": "x"},
    "POST /api/v1/admin/breakers/{breaker_id}/close": lambda _: {"why": "x"},
    "POST /api/v1/admin/breakers/{breaker_id}/continue": lambda _: {"why": "x"},
    "POST /api/v1/admin/breakers/{breaker_id}/runs/{run_id}/agree": lambda _: {"why": "x"},
    "PUT /api/v1/admin/promotions/{promotion_id}": lambda t: promotion_of(t.shop),
    "POST /api/v1/admin/promotions/{promotion_id}/preview": lambda t: promotion_of(t.shop),
    "POST /api/v1/admin/leg-switches": lambda t: {"kind": "redirect_parcel", "merchant_id": t.shop, "why": "x"},
    "POST /api/v1/admin/leg-switches/{switch_id}/lift": lambda _: {"why": "x"},
    "POST /api/v1/session": lambda _: {"login": "nobody", "password": "x"},
    "POST /api/v1/cancellations": lambda t: {"order_id": t.order_id},
    "PUT /api/v1/orders/{order_id}": lambda t: ORDER_BODIES[t.shop],
    "POST /api/v1/orders/{order_id}/events": lambda _: {
        "event_id": "e1",
        "kind": "stage_changed",
        "at": "2026-01-01T00:00:00Z",
        "stage": "none",
    },
    "PUT /api/v1/merchants/{merchant_id}": lambda t: {"name": t.shop, "warehouse": "manual"},
    "PUT /api/v1/stock": lambda _: [],
    "PUT /api/v1/benefit-accounts": lambda _: [],
    "POST /api/v1/desk/cases/{case_id}/decisions": lambda _: {
        "choice": "decline",
        "case_version": 9999,
        "order_version": 9999,
    },
    "POST /api/v1/guest/codes": lambda t: {"order_id": t.order_id, "phone_tail": "0000"},
    "POST /api/v1/guest/tokens": lambda t: {"order_id": t.order_id, "phone_tail": "0000", "code": "000000"},
    "POST /api/v1/guest/store-tokens": lambda _: {"link_token": "us_nothing"},
    "POST /api/v1/orders/{order_id}/store-link": lambda _: {"store_id": "s", "operator_id": "o"},
    "POST /api/v1/desk/orders/{order_id}/reveal": lambda t: {
        "case_id": t.case_id,
        "fields": ["phone"],
        "why": "call_buyer",
    },
    "POST /api/v1/admin/phrases": lambda t: {"phrase": "xy", "label": "OTHER", "merchant_id": t.shop, "why": "x"},
    "POST /api/v1/admin/phrases/{phrase_id}/retire": lambda _: {"why": "x"},
    "PUT /api/v1/admin/reveals/threshold": lambda _: {"orders_per_day": 9, "why": "x"},
    "PUT /api/v1/admin/retention/{kind}": lambda _: {"n": 400, "why": "x"},
    "POST /api/v1/desk/lookups": lambda t: {"q": t.order_id},
    "POST /api/v1/desk/orders/{order_id}/identity": lambda _: {"phone_tail": "0000", "item": "x"},
    "PUT /api/v1/desk/orders/{order_id}/identity/code": lambda _: {"code": "000000"},
    "POST /api/v1/desk/cti/{system_id}": lambda _: {"CallerID": "13800001234"},
    "POST /api/v1/desk/calls/{system_id}/{call_id}/outcome": lambda _: {"outcome": "not_reached"},
    "POST /api/v1/desk/promises": lambda t: {"kind": "two_minutes", "case_id": t.case_id},
    "PUT /api/v1/desk/cases/{case_id}/true-reason": lambda _: {"reason": "CHANGED_MIND"},
    "POST /api/v1/desk/handover": lambda t: {"to": "nobody", "cases": [{"case_id": t.case_id}]},
    "PUT /api/v1/admin/phone-systems/{system_id}": lambda t: {"merchant_id": t.shop, "vendor": "znuny"},
    "POST /api/v1/cancellations/{case_id}/agreement": lambda _: {"agrees": True},
    "POST /api/v1/cancellations/{case_id}/appeal": lambda _: {"text": "x"},
    "POST /api/v1/cancellations/{case_id}/questions/{n}": lambda _: {"agree": False},
    "POST /api/v1/links/{token}": lambda _: {"agree": False},
    "POST /api/v1/ratings/{token}": lambda _: {"score": 5},
    "POST /api/v1/ratings/{token}/comment": lambda _: {"text": "x"},
    "POST /api/v1/desk/cases/{case_id}/decisions/preview": lambda _: {"choice": "decline"},
    "POST /api/v1/desk/cases/{case_id}/consents": lambda _: {"choice": "decline", "how": "link"},
    "POST /api/v1/desk/cases/{case_id}/offers": lambda _: {"offer": "price_protection"},
    "POST /api/v1/desk/cases/{case_id}/questions": lambda _: {"audience": "carrier", "topic": "can_stop"},
    "POST /api/v1/desk/cases/{case_id}/questions/{n}/answer": lambda _: {"agree": False, "reference": "c-1"},
    "POST /api/v1/desk/cases/{case_id}/costs": lambda _: {
        "costs": [{"fee": "other", "amount_minor": 1, "bearer": "merchant"}],
        "reference": "r-1",
    },
    "POST /api/v1/desk/cases/{case_id}/legs/{leg_no}/outcome": lambda _: {"outcome": "done", "reference": "r-1"},
    "POST /api/v1/desk/cases/{case_id}/legs/{leg_no}/waive": lambda _: {"why": "goodwill"},
    "POST /api/v1/desk/approvals/{question_id}": lambda _: {"agree": True},
    "POST /api/v1/desk/cases/{case_id}/buyer-question": lambda _: {"reason_code": "photo"},
    "POST /api/v1/desk/cases/{case_id}/legs/{leg_no}/other-account": lambda _: {
        "kind": "merchant_bank_card",
        "case_version": 9999,
    },
    "POST /api/v1/desk/bill-differences/{difference_id}/settle": lambda _: {
        "resolution": "explained",
        "reference": "V-1",
    },
    "POST /api/v1/finance/cases/{case_id}/legs/{leg_no}/off-line": lambda _: {
        "case_version": 9999,
        "paid_by": "cash",
        "reference": "V-1",
        "paid_on": "2026-01-01",
        "amount_minor": 1,
    },
    "POST /api/v1/finance/costs/{case_id}/{n}/settlement": lambda _: {"reference": "V-1"},
    "PUT /api/v1/finance/balances/{connection}": lambda _: {"currency": "CNY", "balance_minor": 1},
    "POST /api/v1/finance/claims": lambda t: {"case_id": t.case_id, "reason": "late", "amount_minor": 1},
    "POST /api/v1/finance/claims/{claim_id}/moves": lambda _: {"to": "filed", "reference": "V-1"},
    "POST /api/v1/finance/payouts/{proposal_id}": lambda _: {"agree": False},
    "POST /api/v1/finance/connections/{connection}/retries": lambda t: {"merchant_id": t.shop},
    "POST /api/v1/desk/tasks/{task_id}/result": lambda _: {"outcome": "done"},
    "POST /api/v1/warehouse/scans": lambda t: {"code": t.order_id, "kind": "pack", "event_id": t.order_id},
    "POST /api/v1/warehouse/holds/{case_id}/{leg_no}": lambda _: {"outcome": "accept"},
    "POST /api/v1/warehouse/returns/scan": lambda t: {"code": t.order_id, "event_id": t.order_id},
    "POST /api/v1/warehouse/returns/{return_id}/inspection": lambda _: {"lines": [{"line_id": "L1", "good": 1}]},
    "POST /api/v1/warehouse/returns/{return_id}/close": lambda _: {"closed_as": "kept"},
    "POST /api/v1/desk/cases/{case_id}/transfer": lambda _: {"to": "nobody"},
    "POST /api/v1/desk/cases/{case_id}/escalate": lambda _: {"reason_code": "x"},
    "POST /api/v1/cancellations/{case_id}/conversation": lambda _: {"text": "到哪了"},
    "POST /api/v1/desk/cases/{case_id}/conversation": lambda _: {"text": "我帮您查一下"},
    "PUT /api/v1/admin/scripts/{script_id}": lambda _: {"title": "x", "zh": "您好", "en": "Hello"},
    "PUT /api/v1/desk/presence": lambda _: {"state": "on", "cases_max": 100},
    "PUT /api/v1/admin/calendars/{scope}/{scope_id}": lambda _: {"week": [[[540, 1080]]] * 7},
    "PUT /api/v1/admin/holidays/{year}": lambda _: {"days": {}},
    "POST /api/v1/admin/staff": lambda t: {"login": f"new-{t.staff_id}", "role": "agent", "merchant_id": t.shop},
    "PATCH /api/v1/admin/staff/{principal_id}": lambda t: {"role": "agent", "merchant_id": t.shop},
    "POST /api/v1/admin/keys": lambda t: {"principal_id": f"new-{t.key_owner}", "role": "agent", "merchant_id": t.shop},
    "PUT /api/v1/account/password": lambda _: {"current": PASSWORD, "new": "short"},
    "POST /api/v1/account/second-factor": lambda _: {"password": PASSWORD},
    "POST /api/v1/account/second-factor/confirm": lambda _: {"code": "000000"},
}
ORDER_BODIES: dict[str, Any] = {}


async def people(world: World, own: Target, stranger: str) -> list[Caller]:
    """Everybody who may knock."""
    services = world.services
    callers = [
        Caller(name="guest", status=401),
        Caller(name="made-up key", headers=bearer("uk_nobody"), status=401),
        Caller(name="made-up session", headers=bearer("us_nobody"), status=401),
        Caller(name="password instead of a key", headers={"Authorization": "Basic eDp4"}, status=401),
    ]
    for role in STAFF:
        shop = own.shop if role == "merchant" else None
        callers.append(await signed_in(world, f"{role} signed in", role, shop))
    for role in (*STAFF, "integrator"):
        shop = own.shop if role == "merchant" else None
        callers.append(await with_key(world, f"{role} by key", role, shop))
    callers += [
        await with_key(world, f"{role} of one shop", role, own.shop)
        for role in ("agent", "lead", "admin", "integrator")
    ]
    callers.append(await signed_in(world, "admin of one shop, signed in", "admin", own.shop))
    callers.append(
        await with_key(world, "agent with fewer scopes", "agent", None, scopes=[Scope.CASES_READ], is_narrow=True)
    )
    new = await staff.add(
        services, SYSTEM, login="newcomer", role=Role.ADMIN, merchant_id=None, display_name="x", password=PASSWORD
    )
    opened = await sign_in.sign_in(services, login="newcomer", password=PASSWORD, code=None, source="t")
    callers.append(
        Caller(
            name="admin who has to change the password",
            role="admin",
            headers={**bearer(opened.token), "X-Session": opened.session_id},
            has_session=True,
            needs_password=True,
        )
    )
    assert new.principal_id
    ended = await signed_in(world, "expired session", "admin", None, status=401)
    await world.sql("UPDATE sessions SET expires_at = unwind_now() WHERE session_id = %s", ended.headers["X-Session"])
    idle = await signed_in(world, "idle session", "admin", None, status=401)
    await world.sql(
        "UPDATE sessions SET seen_at = seen_at - interval '3 hours' WHERE session_id = %s", idle.headers["X-Session"]
    )
    gone = await signed_in(world, "deactivated person", "admin", None, status=401)
    await world.sql("UPDATE principals SET revoked_at = unwind_now() WHERE display_name = 'deactivated person'")
    revoked = await with_key(world, "revoked key", "admin", None, status=401)
    await api_keys.revoke(services, SYSTEM, "revoked-key")
    over = await with_key(world, "expired key", "admin", None, status=401)
    await world.sql("UPDATE api_keys SET expires_at = unwind_now() WHERE principal_id = 'expired-key'")
    key = services.vault.token_key
    in_an_hour = int((await world.now() + timedelta(hours=1)).timestamp())
    for name, order_id, until, status in (
        ("buyer of the order", own.order_id, in_an_hour, None),
        ("buyer of another order", stranger, in_an_hour, None),
        ("buyer whose token is over", own.order_id, 1, 401),
    ):
        token = mint_buyer_token(key, order_id=order_id, expires_at=until)
        callers.append(Caller(name=name, role="buyer", headers=bearer(token), order=order_id, status=status))
    token = mint_buyer_token(bytes(32), order_id=own.order_id, expires_at=in_an_hour)
    callers.append(Caller(name="forged buyer", headers=bearer(token), status=401))
    return [*callers, ended, idle, gone, revoked, over]


async def signed_in(world: World, name: str, role: str, shop: str | None, *, status: int | None = None) -> Caller:
    login = name.replace(" ", "-").replace(",", "")
    await staff.add(
        world.services,
        SYSTEM,
        login=login,
        role=Role(role),
        merchant_id=shop,
        display_name=name,
        password=PASSWORD,
        is_final=True,
    )
    opened = await sign_in.sign_in(world.services, login=login, password=PASSWORD, code=None, source=login)
    headers = {**bearer(opened.token), "X-Session": opened.session_id}
    return Caller(name=name, role=role, shop=shop, headers=headers, has_session=True, status=status)


async def with_key(
    world: World,
    name: str,
    role: str,
    shop: str | None,
    *,
    scopes: list[Scope] | None = None,
    is_narrow: bool = False,
    status: int | None = None,
) -> Caller:
    made = await api_keys.create(
        world.services,
        SYSTEM,
        principal_id=name.replace(" ", "-"),
        role=Role(role),
        scopes=scopes,
        merchant_id=shop,
        display_name=name,
        expires_at=None,
    )
    return Caller(name=name, role=role, shop=shop, headers=bearer(made.key), is_narrow=is_narrow, status=status)


def expected_denial(expected: Row, caller: Caller, target: Target) -> int | None:
    """The status that refuses this cell; None: let in."""
    if expected.of == "open":
        return None
    if caller.status is not None:
        return caller.status
    if expected.of == "self":
        return None if caller.has_session else 403
    if caller.role not in expected.roles or caller.needs_password or (caller.is_narrow and not expected.is_narrow):
        return 403
    if expected.of == "platform":
        return 403 if caller.shop else None
    if expected.of == "shop":
        is_others = caller.shop not in {None, target.shop} or caller.order not in {None, target.order_id}
        return 404 if is_others else None
    return None


def cells(callers: list[Caller], targets: list[Target], expected: Row) -> Iterator[tuple[Caller, Target]]:
    for caller in callers:
        for target in targets if expected.of == "shop" else targets[:1]:
            yield caller, target


def operations_of(world: World) -> set[str]:
    paths = world.inwards.app.openapi()["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


async def test_every_operation_has_a_row_and_every_row_an_operation(world: World) -> None:
    assert operations_of(world) == set(EXPECTED)


@pytest.fixture
async def stage(world: World) -> Stage:
    world.services = replace(world.services, sign_in=SignInRules(is_demo=True, needs_second_factor=False))
    world.inwards.app.state.services = world.services
    await world.put_merchant("other")
    now = await world.now()
    for shop in ("shop", "other"):
        ORDER_BODIES[shop] = order_body("x", now=now, merchant_id=shop, revision=0)
    await world.sql(
        "INSERT INTO alerts (connection, kind, code, first_at, last_at) VALUES ('wxpay', 'is_down', '', unwind_now(), unwind_now())"
    )
    await world.sql(
        "INSERT INTO bill_differences (connection, day, kind, trade_no, refund_no, opened_at)"
        " VALUES ('wxpay', '2026-01-01', 'missing_there', 'T', 'R', unwind_now())"
    )
    return Stage(world=world)


async def test_every_cell_and_denials_change_nothing(stage: Stage) -> None:
    world = stage.world
    own, other = await stage.target("shop"), await stage.target("other")
    callers = await people(world, own, await world.order())
    faults: list[str] = []
    denied = 0
    before = await stage.everything()
    for operation, expected in EXPECTED.items():
        for caller, target in cells(callers, [own, other], expected):
            status = expected_denial(expected, caller, target)
            if status is None:
                continue
            denied += 1
            given, code = await stage.ask(operation, target, caller)
            if operation in REFUSED_ALIKE and status == HTTPStatus.NOT_FOUND:
                is_denied = (given, code) == REFUSED_ALIKE[operation]
            else:
                is_denied = given == status and code in CODE_OF[status]
            if not is_denied:
                faults.append(f"{operation}: {caller.name}, {target.shop}: {status} expected, {given} {code} given")
        after = await stage.everything()
        if after != before:
            faults.append(f"{operation}: a denial changed something")
            before = after
    assert not faults, "\n".join(faults)
    assert denied > 1500, "the matrix is there"


async def test_whoever_may_is_let_in(stage: Stage) -> None:
    world = stage.world
    own, other = await stage.target("shop"), await stage.target("other")
    callers = await people(world, own, await world.order())
    faults: list[str] = []
    allowed = 0
    for operation, expected in sorted(EXPECTED.items(), key=lambda item: (item[1].of == "self", "DELETE" in item[0])):
        for caller, seen in cells(callers, [own, other], expected):
            if expected.of == "open" or expected_denial(expected, caller, seen) is not None:
                continue
            if operation == "GET /api/v1/desk/stream" or operation in ENDS_ITS_CALLER:
                continue
            target = seen if caller.order else await stage.fresh(seen, operation)
            allowed += 1
            await world.sql("UPDATE alerts SET closed_at = NULL; UPDATE bill_differences SET closed_at = NULL")
            given, code = await stage.ask(operation, target, caller)
            if code in CODE_OF.get(given, ()):
                faults.append(f"{operation}: {caller.name}, {seen.shop}: {given} {code}")
            assert given < 500, (operation, caller.name)
    assert not faults, "\n".join(faults)
    assert allowed > 300
    for operation in ENDS_ITS_CALLER:
        caller = await signed_in(world, f"out by {operation.split('/')[-1].strip('{}')}", "agent", None)
        assert (await stage.ask(operation, own, caller))[0] == 200
        assert (await stage.ask("GET /api/v1/session", own, caller))[0] == 401


ENDS_ITS_CALLER = ("DELETE /api/v1/session", "DELETE /api/v1/account/sessions/{session_id}")


async def test_open_doors_ask_for_nothing(stage: Stage) -> None:
    target = await stage.target("shop")
    for operation, expected in EXPECTED.items():
        if expected.of == "open":
            given, code = await stage.ask(operation, target, Caller(name="guest"))
            assert given == LET_IN_ALL_THE_SAME.get(operation, 200), (operation, given, code)
            assert operation in OPEN_TO_LINKS or code not in {"unauthorised", "forbidden"}


async def test_an_operation_without_a_scope_is_refused_to_everybody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unwind.web import access

    path = "/api/v1/desk/cases"
    assert (await world.call("GET", path, role="admin")).status_code == 200
    monkeypatch.setattr(access, "RIGHTS", {key: scope for key, scope in access.RIGHTS.items() if key != ("GET", path)})
    assert (await world.call("GET", path, role="admin")).status_code == 403


async def test_a_merchant_without_a_shop_may_do_nothing(world: World) -> None:
    await world.sql("ALTER TABLE principals DROP CONSTRAINT a_merchant_has_a_shop")
    async with world.services.database.connection() as conn:
        lost = {
            "principal_id": "lost",
            "role": "merchant",
            "scopes": list(Scope),
            "merchant_id": None,
            "display_name": "x",
        }
        await upsert_principal(conn, lost, "uk_lost")
    order_id = await world.order()
    for path in ("/api/v1/desk/cases", f"/api/v1/orders/{order_id}", "/api/v1/desk/tasks"):
        assert (await world.call("GET", path, role="uk_lost")).status_code == 403
