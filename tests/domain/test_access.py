"""One function decides who may do what to which order; every role and every scope, own things and other people's."""

from itertools import product

import pytest

from unwind.domain.access import (
    KEY_ROLES,
    SCOPES_OF,
    STAFF_ROLES,
    SYSTEM,
    Principal,
    Role,
    Scope,
    authorise,
    key_scopes,
    leads,
    with_following,
)
from unwind.domain.errors import Refusal


def principal(role: Role, *, scopes: frozenset[Scope] | None = None, **given: str | None) -> Principal:
    bounds: dict[str, str | None] = {"merchant_id": None, "order_id": None, **given}
    return Principal(
        principal_id="p1",
        role=role,
        scopes=SCOPES_OF[role] if scopes is None else scopes,
        merchant_id=bounds["merchant_id"],
        order_id=bounds["order_id"],
        session_id="s-1",
    )


def code(
    who: Principal,
    scope: Scope,
    *,
    merchant_id: str | None = None,
    order_id: str | None = None,
    is_platform: bool = False,
) -> str:
    try:
        authorise(who, scope, merchant_id=merchant_id, order_id=order_id, is_platform=is_platform)
    except Refusal as refusal:
        return refusal.code
    return ""


@pytest.mark.parametrize(("role", "scope"), list(product(Role, Scope)))
def test_every_role_and_every_scope(role: Role, scope: Scope) -> None:
    expected = "" if scope in SCOPES_OF[role] else "forbidden"
    whole = "forbidden" if role is Role.MERCHANT else expected
    assert code(principal(role), scope, merchant_id="shop", order_id="O1") == (
        whole if scope is not Scope.ACCOUNT else expected
    )
    everywhere = principal(role, scopes=frozenset(Scope), merchant_id="shop")
    assert code(everywhere, scope) == expected, "a key cannot hold more than its role"
    assert code(principal(role, scopes=frozenset()), scope) == "forbidden", "a key may hold less"
    own = principal(role, merchant_id="shop")
    assert code(own, scope, merchant_id="shop") == expected
    assert code(own, scope, merchant_id="other") == (expected or "not_found")
    assert code(own, scope, is_platform=True) == "forbidden", "what is nobody's is not a shop's"
    guest = principal(role, order_id="O1", merchant_id="shop")
    assert code(guest, scope, order_id="O1") == expected
    assert code(guest, scope, order_id="O2") == (expected or "not_found")
    assert code(guest, scope) == (expected or "not_found"), "a token for one order opens no list"


def test_where_no_merchant_is_named_the_question_is_a_list_of_the_callers_own() -> None:
    assert code(principal(Role.MERCHANT, merchant_id="shop"), Scope.CASES_READ, merchant_id=None) == ""


def test_who_may_decide_and_who_may_change_things() -> None:
    """Written out, so that a wider right is a visible change."""
    holders = {scope: {role for role in Role if scope in SCOPES_OF[role]} for scope in Scope}
    desk = {Role.AGENT, Role.LEAD, Role.ADMIN, Role.SYSTEM}
    readers = desk | {Role.OPS, Role.FINANCE, Role.AUDITOR, Role.MERCHANT}
    assert holders[Scope.CASES_DECIDE] == desk
    assert holders[Scope.CASES_LEAD] == {Role.LEAD, Role.ADMIN, Role.SYSTEM}
    assert holders[Scope.DESK_READ] == readers
    assert holders[Scope.SCRIPTS_WRITE] == {Role.OPS, Role.ADMIN, Role.SYSTEM}
    assert holders[Scope.ADMIN] == {Role.ADMIN, Role.SYSTEM}
    assert holders[Scope.AUDIT_READ] == {Role.ADMIN, Role.SYSTEM, Role.AUDITOR}
    assert holders[Scope.OPERATIONS_READ] == {Role.LEAD, Role.OPS, Role.ADMIN, Role.SYSTEM, Role.AUDITOR}
    assert holders[Scope.ORDERS_WRITE] == {Role.ADMIN, Role.SYSTEM, Role.INTEGRATOR}
    assert holders[Scope.TASKS_ANSWER] == desk | {Role.WAREHOUSE, Role.MERCHANT, Role.FINANCE}
    assert holders[Scope.TASKS_READ] == holders[Scope.TASKS_ANSWER] | {Role.OPS, Role.AUDITOR}
    assert holders[Scope.WAREHOUSE_WORK] == {Role.WAREHOUSE, Role.MERCHANT, Role.ADMIN, Role.SYSTEM}
    assert holders[Scope.WAREHOUSE_READ] == holders[Scope.WAREHOUSE_WORK] | {
        Role.AGENT,
        Role.LEAD,
        Role.OPS,
        Role.AUDITOR,
    }
    assert holders[Scope.MONEY_SETTLE] == {Role.LEAD, Role.FINANCE, Role.ADMIN, Role.SYSTEM}
    assert holders[Scope.MONEY_READ] == holders[Scope.MONEY_SETTLE] | {Role.OPS, Role.AUDITOR}
    assert holders[Scope.CASES_REQUEST] == desk | {Role.BUYER, Role.INTEGRATOR}
    assert holders[Scope.CASES_READ] == set(Role) - {Role.WAREHOUSE}
    assert holders[Scope.ORDERS_READ] == set(Role)
    assert holders[Scope.ACCOUNT] == set(Role) - {Role.BUYER, Role.INTEGRATOR}
    changing = {
        Scope.ORDERS_WRITE,
        Scope.CASES_REQUEST,
        Scope.CASES_DECIDE,
        Scope.TASKS_ANSWER,
        Scope.WAREHOUSE_WORK,
        Scope.MONEY_SETTLE,
        Scope.ADMIN,
    }
    assert SCOPES_OF[Role.AUDITOR] & changing == SCOPES_OF[Role.OPS] & changing == set(), "they look"


def test_a_key_is_nobodys_account() -> None:
    assert all(Scope.ACCOUNT not in key_scopes(role) for role in Role)
    assert code(Principal(**{**FIELDS, "session_id": None}), Scope.ACCOUNT) == "forbidden"
    assert code(Principal(**FIELDS), Scope.ACCOUNT) == ""


FIELDS = {
    "principal_id": "p1",
    "role": Role.ADMIN,
    "scopes": frozenset(Scope),
    "merchant_id": None,
    "order_id": None,
    "session_id": "s-1",
}


def test_whoever_may_act_may_look_and_no_more_than_the_role() -> None:
    assert with_following(Role.AGENT, frozenset({Scope.CASES_DECIDE})) == {Scope.CASES_DECIDE, Scope.DESK_READ}
    assert with_following(Role.AGENT, frozenset({Scope.ADMIN, Scope.ACCOUNT})) == set()
    assert with_following(Role.AGENT, frozenset({Scope.CASES_READ})) == {Scope.CASES_READ}


def test_nobody_signs_in_as_a_buyer_or_as_the_system() -> None:
    assert frozenset(Role) - STAFF_ROLES == {Role.BUYER, Role.SYSTEM, Role.INTEGRATOR}
    assert frozenset(Role) - KEY_ROLES == {Role.BUYER, Role.SYSTEM}
    assert {role for role in Role if leads(role)} == {Role.LEAD, Role.ADMIN, Role.SYSTEM}


def test_the_history_names_a_role_and_an_id() -> None:
    assert principal(Role.AGENT).actor == "agent:p1"
    assert SYSTEM.actor == "system:unwind"
    assert code(SYSTEM, Scope.ADMIN, merchant_id="any", order_id="any") == ""
