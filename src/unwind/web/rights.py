"""Which scope every operation asks for. One table: the door checks it before anything is read, and docs/access.md is written from it.

An operation that is missing here is refused to everybody. Whose thing it is, the step of the flow asks with the thing in hand
(`domain/access.py:authorise`).
"""

from typing import Final

from unwind.domain.access import Scope

OPEN: Final = None
"""Asks for no credential: it proves its sender otherwise, or tells nothing."""

RIGHTS: dict[tuple[str, str], Scope | None] = {
    ("GET", "/health"): OPEN,
    ("GET", "/ready"): OPEN,
    ("POST", "/callbacks/{connection}"): OPEN,
    ("POST", "/callbacks/{connection}/{tail}"): OPEN,
    ("POST", "/api/v1/session"): OPEN,
    ("GET", "/api/v1/oidc/login"): OPEN,
    ("GET", "/api/v1/oidc/callback"): OPEN,
    # buyers, and whoever speaks for them
    ("POST", "/api/v1/cancellations"): Scope.CASES_REQUEST,
    ("GET", "/api/v1/cancellations/{case_id}"): Scope.CASES_READ,
    ("POST", "/api/v1/cancellations/{case_id}/withdraw"): Scope.CASES_REQUEST,
    ("GET", "/api/v1/orders/{order_id}/cancellability"): Scope.ORDERS_READ,
    ("GET", "/api/v1/cancellations/{case_id}/conversation"): Scope.CASES_READ,
    ("POST", "/api/v1/cancellations/{case_id}/conversation"): Scope.CASES_REQUEST,
    # shops
    ("PUT", "/api/v1/orders/{order_id}"): Scope.ORDERS_WRITE,
    ("GET", "/api/v1/orders/{order_id}"): Scope.ORDERS_READ,
    ("POST", "/api/v1/orders/{order_id}/events"): Scope.ORDERS_WRITE,
    ("POST", "/api/v1/orders/{order_id}/buyer-token"): Scope.ORDERS_WRITE,
    ("PUT", "/api/v1/merchants/{merchant_id}"): Scope.ADMIN,
    ("PUT", "/api/v1/stock"): Scope.ADMIN,
    ("GET", "/api/v1/stock"): Scope.STOCK_READ,
    # the desk
    ("GET", "/api/v1/desk/stream"): Scope.CASES_DECIDE,
    ("GET", "/api/v1/desk/cases"): Scope.DESK_READ,
    ("GET", "/api/v1/desk/cases/{case_id}"): Scope.DESK_READ,
    ("POST", "/api/v1/desk/cases/{case_id}/decisions"): Scope.CASES_DECIDE,
    ("POST", "/api/v1/desk/cases/{case_id}/buyer-question"): Scope.CASES_DECIDE,
    ("POST", "/api/v1/desk/cases/{case_id}/buyer-answer"): Scope.CASES_DECIDE,
    ("POST", "/api/v1/desk/cases/{case_id}/legs/{leg_no}/other-account"): Scope.CASES_DECIDE,
    ("GET", "/api/v1/desk/refund-exceptions"): Scope.DESK_READ,
    ("GET", "/api/v1/desk/bill-differences"): Scope.MONEY_READ,
    ("POST", "/api/v1/desk/bill-differences/{difference_id}/settle"): Scope.MONEY_SETTLE,
    ("GET", "/api/v1/desk/tasks"): Scope.TASKS_READ,
    ("POST", "/api/v1/desk/tasks/{task_id}/result"): Scope.TASKS_ANSWER,
    ("POST", "/api/v1/desk/claims/next"): Scope.CASES_DECIDE,
    ("POST", "/api/v1/desk/cases/{case_id}/claim"): Scope.CASES_DECIDE,
    ("DELETE", "/api/v1/desk/cases/{case_id}/claim"): Scope.CASES_DECIDE,
    ("POST", "/api/v1/desk/cases/{case_id}/transfer"): Scope.CASES_DECIDE,
    ("POST", "/api/v1/desk/cases/{case_id}/escalate"): Scope.CASES_DECIDE,
    ("PUT", "/api/v1/desk/presence"): Scope.CASES_DECIDE,
    ("POST", "/api/v1/desk/heartbeat"): Scope.CASES_DECIDE,
    ("GET", "/api/v1/desk/agents"): Scope.OPERATIONS_READ,
    ("GET", "/api/v1/desk/cases/{case_id}/conversation"): Scope.DESK_READ,
    ("POST", "/api/v1/desk/cases/{case_id}/conversation"): Scope.CASES_DECIDE,
    ("GET", "/api/v1/desk/waiting-buyers"): Scope.DESK_READ,
    ("GET", "/api/v1/desk/cases/{case_id}/scripts"): Scope.CASES_DECIDE,
    ("POST", "/api/v1/desk/cases/{case_id}/scripts/{script_id}/insert"): Scope.CASES_DECIDE,
    ("GET", "/api/v1/desk/scripts"): Scope.DESK_READ,
    # administration
    ("GET", "/api/v1/admin/scripts"): Scope.OPERATIONS_READ,
    ("GET", "/api/v1/admin/scripts/{script_id}"): Scope.OPERATIONS_READ,
    ("PUT", "/api/v1/admin/scripts/{script_id}"): Scope.SCRIPTS_WRITE,
    ("GET", "/api/v1/admin/connections"): Scope.OPERATIONS_READ,
    ("POST", "/api/v1/admin/connections/{connection_id}/test"): Scope.ADMIN,
    ("GET", "/api/v1/admin/alerts"): Scope.OPERATIONS_READ,
    ("POST", "/api/v1/admin/alerts/{alert_id}/close"): Scope.ADMIN,
    ("GET", "/api/v1/admin/timetable"): Scope.OPERATIONS_READ,
    ("PUT", "/api/v1/admin/calendars/{scope}/{scope_id}"): Scope.ADMIN,
    ("DELETE", "/api/v1/admin/calendars/{scope}/{scope_id}"): Scope.ADMIN,
    ("PUT", "/api/v1/admin/holidays/{year}"): Scope.ADMIN,
    ("PUT", "/api/v1/admin/clock-targets"): Scope.ADMIN,
    ("DELETE", "/api/v1/admin/clock-targets"): Scope.ADMIN,
    ("GET", "/api/v1/admin/staff"): Scope.AUDIT_READ,
    ("POST", "/api/v1/admin/staff"): Scope.ADMIN,
    ("PATCH", "/api/v1/admin/staff/{principal_id}"): Scope.ADMIN,
    ("POST", "/api/v1/admin/staff/{principal_id}/reset-password"): Scope.ADMIN,
    ("POST", "/api/v1/admin/staff/{principal_id}/deactivate"): Scope.ADMIN,
    ("POST", "/api/v1/admin/staff/{principal_id}/activate"): Scope.ADMIN,
    ("GET", "/api/v1/admin/staff/{principal_id}/sessions"): Scope.AUDIT_READ,
    ("DELETE", "/api/v1/admin/staff/{principal_id}/sessions"): Scope.ADMIN,
    ("GET", "/api/v1/admin/sign-in-events"): Scope.AUDIT_READ,
    ("GET", "/api/v1/admin/keys"): Scope.AUDIT_READ,
    ("POST", "/api/v1/admin/keys"): Scope.ADMIN,
    ("POST", "/api/v1/admin/keys/{principal_id}/rotate"): Scope.ADMIN,
    ("DELETE", "/api/v1/admin/keys/{principal_id}"): Scope.ADMIN,
    ("DELETE", "/api/v1/admin/keys/{principal_id}/{key_id}"): Scope.ADMIN,
    # one's own account
    ("GET", "/api/v1/session"): Scope.ACCOUNT,
    ("DELETE", "/api/v1/session"): Scope.ACCOUNT,
    ("GET", "/api/v1/account/sessions"): Scope.ACCOUNT,
    ("DELETE", "/api/v1/account/sessions/{session_id}"): Scope.ACCOUNT,
    ("PUT", "/api/v1/account/password"): Scope.ACCOUNT,
    ("POST", "/api/v1/account/second-factor"): Scope.ACCOUNT,
    ("POST", "/api/v1/account/second-factor/confirm"): Scope.ACCOUNT,
}
