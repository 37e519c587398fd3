"""One function decides who may do what to which order; every role and every scope, own things and other people's."""

from itertools import product

import pytest

from unwind.domain.access import SCOPES_OF, SYSTEM, Principal, Role, Scope, authorise
from unwind.domain.errors import Refusal


def principal(role: Role, *, scopes: frozenset[Scope] | None = None, **given: str | None) -> Principal:
    bounds: dict[str, str | None] = {"merchant_id": None, "order_id": None, **given}
    return Principal(
        principal_id="p1",
        role=role,
        scopes=SCOPES_OF[role] if scopes is None else scopes,
        merchant_id=bounds["merchant_id"],
        order_id=bounds["order_id"],
    )


def code(who: Principal, scope: Scope, *, merchant_id: str | None = None, order_id: str | None = None) -> str:
    try:
        authorise(who, scope, merchant_id=merchant_id, order_id=order_id)
    except Refusal as refusal:
        return refusal.code
    return ""


@pytest.mark.parametrize(("role", "scope"), list(product(Role, Scope)))
def test_every_role_and_every_scope(role: Role, scope: Scope) -> None:
    expected = "" if scope in SCOPES_OF[role] else "forbidden"
    assert code(principal(role), scope, merchant_id="shop", order_id="O1") == expected
    assert code(principal(role, scopes=frozenset(Scope)), scope) == expected, "a key cannot hold more than its role"
    assert code(principal(role, scopes=frozenset()), scope) == "forbidden", "a key may hold less"
    own = principal(role, merchant_id="shop")
    assert code(own, scope, merchant_id="shop") == expected
    assert code(own, scope, merchant_id="other") == (expected or "not_found")
    guest = principal(role, order_id="O1")
    assert code(guest, scope, order_id="O1") == expected
    assert code(guest, scope, order_id="O2") == (expected or "not_found")
    assert code(guest, scope) == (expected or "not_found"), "a token for one order opens no list"


def test_where_no_merchant_is_named_the_question_is_a_list_of_the_callers_own() -> None:
    assert code(principal(Role.MERCHANT, merchant_id="shop"), Scope.CASES_READ, merchant_id=None) == ""


def test_who_may_decide_and_who_may_change_things() -> None:
    """Written out, so that a wider right is a visible change."""
    holders = {scope: {role for role in Role if scope in SCOPES_OF[role]} for scope in Scope}
    staff = {Role.AGENT, Role.LEAD, Role.ADMIN, Role.SYSTEM}
    assert holders[Scope.CASES_DECIDE] == staff
    assert holders[Scope.ADMIN] == {Role.ADMIN, Role.SYSTEM}
    assert holders[Scope.ORDERS_WRITE] == {Role.ADMIN, Role.SYSTEM, Role.INTEGRATOR}
    assert holders[Scope.TASKS_ANSWER] == staff | {Role.WAREHOUSE, Role.MERCHANT, Role.FINANCE}
    assert holders[Scope.MONEY_SETTLE] == {Role.LEAD, Role.FINANCE, Role.ADMIN, Role.SYSTEM}
    assert holders[Scope.CASES_REQUEST] == staff | {Role.BUYER, Role.INTEGRATOR}
    assert holders[Scope.CASES_READ] == set(Role) - {Role.WAREHOUSE}
    assert holders[Scope.ORDERS_READ] == set(Role)


def test_the_history_names_a_role_and_an_id() -> None:
    assert principal(Role.AGENT).actor == "agent:p1"
    assert SYSTEM.actor == "system:unwind"
    assert code(SYSTEM, Scope.ADMIN, merchant_id="any", order_id="any") == ""
