"""Who may do what to which order. One function decides, for every door into the program."""

from dataclasses import dataclass
from enum import StrEnum

from unwind.domain.errors import Refusal


class Role(StrEnum):
    BUYER = "buyer"
    AGENT = "agent"
    LEAD = "lead"
    OPS = "ops"
    FINANCE = "finance"
    WAREHOUSE = "warehouse"
    MERCHANT = "merchant"
    ADMIN = "admin"
    AUDITOR = "auditor"
    INTEGRATOR = "integrator"
    SYSTEM = "system"


class Scope(StrEnum):
    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"
    CASES_READ = "cases:read"
    CASES_REQUEST = "cases:request"
    CASES_CANCEL_OWN = "cases:cancel_own"
    """Cancel as the merchant itself (砍单), with reason and evidence."""
    CASES_DECIDE = "cases:decide"
    CONTACTS_HANDLE = "contacts:handle"
    """Find people's orders, check who asks, take calls, make promises."""
    TASKS_ANSWER = "tasks:answer"
    MONEY_SETTLE = "money:settle"
    """Bill differences, and whatever else books money without a gateway."""
    ADMIN = "admin"


SCOPES_OF: dict[Role, frozenset[Scope]] = {
    Role.BUYER: frozenset({Scope.CASES_READ, Scope.CASES_REQUEST, Scope.ORDERS_READ}),
    Role.AGENT: frozenset(
        {
            Scope.ORDERS_READ,
            Scope.CASES_READ,
            Scope.CASES_REQUEST,
            Scope.CASES_DECIDE,
            Scope.CONTACTS_HANDLE,
            Scope.TASKS_ANSWER,
        }
    ),
    Role.LEAD: frozenset(
        {
            Scope.ORDERS_READ,
            Scope.CASES_READ,
            Scope.CASES_REQUEST,
            Scope.CASES_CANCEL_OWN,
            Scope.CASES_DECIDE,
            Scope.CONTACTS_HANDLE,
            Scope.TASKS_ANSWER,
            Scope.MONEY_SETTLE,
        }
    ),
    Role.FINANCE: frozenset({Scope.ORDERS_READ, Scope.CASES_READ, Scope.TASKS_ANSWER, Scope.MONEY_SETTLE}),
    Role.OPS: frozenset({Scope.ORDERS_READ, Scope.CASES_READ}),
    Role.WAREHOUSE: frozenset({Scope.ORDERS_READ, Scope.TASKS_ANSWER}),
    Role.MERCHANT: frozenset({Scope.ORDERS_READ, Scope.CASES_READ, Scope.CASES_CANCEL_OWN, Scope.TASKS_ANSWER}),
    Role.ADMIN: frozenset(Scope),
    Role.AUDITOR: frozenset({Scope.ORDERS_READ, Scope.CASES_READ}),
    Role.INTEGRATOR: frozenset(
        {Scope.ORDERS_READ, Scope.ORDERS_WRITE, Scope.CASES_READ, Scope.CASES_REQUEST, Scope.CASES_CANCEL_OWN}
    ),
    Role.SYSTEM: frozenset(Scope),
}
"""The most a role may hold; an API key may hold less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreEntry:
    """The counter a buyer came by, with a link that its staff handed out. Ids only."""

    store_id: str
    operator_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    principal_id: str
    role: Role
    scopes: frozenset[Scope]
    merchant_id: str | None
    """None: every merchant."""
    order_id: str | None
    """Set for a buyer: the one order the token speaks for."""
    store: StoreEntry | None = None
    """Set for a buyer whose token comes from a store's link: they speak over that counter only."""

    @property
    def actor(self) -> str:
        """How the history names it: a role and an id, never a person's name."""
        return f"{self.role}:{self.principal_id}"


SYSTEM = Principal(
    principal_id="unwind", role=Role.SYSTEM, scopes=SCOPES_OF[Role.SYSTEM], merchant_id=None, order_id=None
)


def authorise(
    principal: Principal, scope: Scope, *, merchant_id: str | None = None, order_id: str | None = None
) -> None:
    """Refuses with `forbidden` what the role may never do, and with `not_found` what is somebody else's.

    A stranger cannot tell an order that is not theirs from one that does not exist.
    """
    if scope not in principal.scopes or scope not in SCOPES_OF[principal.role]:
        raise Refusal("forbidden", scope=scope)
    if principal.order_id is not None and order_id != principal.order_id:
        raise Refusal("not_found")
    if principal.merchant_id is not None and merchant_id is not None and merchant_id != principal.merchant_id:
        raise Refusal("not_found")
