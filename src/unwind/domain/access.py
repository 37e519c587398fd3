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
    """A case in the buyer's words."""
    CASES_REQUEST = "cases:request"
    CASES_CANCEL_OWN = "cases:cancel_own"
    """Cancel as the merchant itself (砍单), with reason and evidence."""
    CASES_DECIDE = "cases:decide"
    CONTACTS_HANDLE = "contacts:handle"
    """Find people's orders, check who asks, take calls, make promises."""
    CASES_LEAD = "cases:lead"
    """Take a case out of somebody's hands, and what was escalated."""
    DESK_READ = "desk:read"
    """The queue and everything about a case."""
    TASKS_READ = "tasks:read"
    TASKS_ANSWER = "tasks:answer"
    MONEY_READ = "money:read"
    MONEY_SETTLE = "money:settle"
    """Bill differences, and whatever else books money without a gateway."""
    STOCK_READ = "stock:read"
    WAREHOUSE_READ = "warehouse:read"
    """What must not ship, what has come back, what was called shipped."""
    WAREHOUSE_WORK = "warehouse:work"
    """Scan, answer holds, take returns in."""
    OPERATIONS_READ = "operations:read"
    """Connections, alerts, working time, who is on duty."""
    SCRIPTS_WRITE = "scripts:write"
    AUDIT_READ = "audit:read"
    """Accounts, keys, sessions, and what happened at the door."""
    ADMIN = "admin"
    ACCOUNT = "account"
    """One's own password, second factor and sessions: people who have signed in only, never a key."""


_READ_ALL = frozenset(
    {
        Scope.ORDERS_READ,
        Scope.CASES_READ,
        Scope.DESK_READ,
        Scope.TASKS_READ,
        Scope.MONEY_READ,
        Scope.STOCK_READ,
        Scope.WAREHOUSE_READ,
        Scope.OPERATIONS_READ,
    }
)
_DESK = frozenset(
    {
        Scope.ORDERS_READ,
        Scope.CASES_READ,
        Scope.CASES_REQUEST,
        Scope.CASES_DECIDE,
        Scope.CONTACTS_HANDLE,
        Scope.DESK_READ,
        Scope.TASKS_READ,
        Scope.TASKS_ANSWER,
        Scope.STOCK_READ,
        Scope.WAREHOUSE_READ,
        Scope.ACCOUNT,
    }
)

SCOPES_OF: dict[Role, frozenset[Scope]] = {
    Role.BUYER: frozenset({Scope.CASES_READ, Scope.CASES_REQUEST, Scope.ORDERS_READ}),
    Role.AGENT: _DESK,
    Role.LEAD: _DESK
    | {Scope.CASES_CANCEL_OWN, Scope.CASES_LEAD, Scope.MONEY_READ, Scope.MONEY_SETTLE, Scope.OPERATIONS_READ},
    Role.FINANCE: frozenset(
        {
            Scope.ORDERS_READ,
            Scope.CASES_READ,
            Scope.DESK_READ,
            Scope.TASKS_READ,
            Scope.TASKS_ANSWER,
            Scope.MONEY_READ,
            Scope.MONEY_SETTLE,
            Scope.ACCOUNT,
        }
    ),
    Role.OPS: _READ_ALL | {Scope.SCRIPTS_WRITE, Scope.ACCOUNT},
    Role.WAREHOUSE: frozenset(
        {
            Scope.ORDERS_READ,
            Scope.TASKS_READ,
            Scope.TASKS_ANSWER,
            Scope.STOCK_READ,
            Scope.WAREHOUSE_READ,
            Scope.WAREHOUSE_WORK,
            Scope.ACCOUNT,
        }
    ),
    Role.MERCHANT: frozenset(
        {
            Scope.ORDERS_READ,
            Scope.CASES_READ,
            Scope.CASES_CANCEL_OWN,
            Scope.DESK_READ,
            Scope.TASKS_READ,
            Scope.TASKS_ANSWER,
            Scope.WAREHOUSE_READ,
            Scope.WAREHOUSE_WORK,
            Scope.ACCOUNT,
        }
    ),
    Role.ADMIN: frozenset(Scope),
    Role.AUDITOR: _READ_ALL | {Scope.AUDIT_READ, Scope.ACCOUNT},
    Role.INTEGRATOR: frozenset(
        {
            Scope.ORDERS_READ,
            Scope.ORDERS_WRITE,
            Scope.CASES_READ,
            Scope.CASES_REQUEST,
            Scope.CASES_CANCEL_OWN,
            Scope.STOCK_READ,
        }
    ),
    Role.SYSTEM: frozenset(Scope),
}
"""The most a role may hold; an API key may hold less."""

STAFF_ROLES = frozenset(role for role in Role if Scope.ACCOUNT in SCOPES_OF[role]) - {Role.SYSTEM}
KEY_ROLES = frozenset(Role) - {Role.BUYER, Role.SYSTEM}


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
    session_id: str | None = None
    """Set for people who have signed in."""
    store: StoreEntry | None = None
    """Set for a buyer whose token comes from a store's link: they speak over that counter only."""

    @property
    def actor(self) -> str:
        """How the history names it: a role and an id, never a person's name."""
        return f"{self.role}:{self.principal_id}"


SYSTEM = Principal(
    principal_id="unwind", role=Role.SYSTEM, scopes=SCOPES_OF[Role.SYSTEM], merchant_id=None, order_id=None
)


FOLLOWS_FROM: dict[Scope, frozenset[Scope]] = {
    Scope.CASES_DECIDE: frozenset({Scope.DESK_READ}),
    Scope.TASKS_ANSWER: frozenset({Scope.TASKS_READ, Scope.WAREHOUSE_READ, Scope.WAREHOUSE_WORK}),
    Scope.WAREHOUSE_WORK: frozenset({Scope.WAREHOUSE_READ}),
    Scope.MONEY_SETTLE: frozenset({Scope.MONEY_READ}),
    Scope.ORDERS_READ: frozenset({Scope.STOCK_READ}),
    Scope.ADMIN: frozenset({Scope.CASES_LEAD, Scope.OPERATIONS_READ, Scope.SCRIPTS_WRITE, Scope.AUDIT_READ}),
}
"""Whoever may act may look. Keys of earlier versions name only the scopes on the left."""


def with_following(role: Role, scopes: frozenset[Scope]) -> frozenset[Scope]:
    """What a key with these scopes may do, never more than its role."""
    following = frozenset[Scope]().union(*(FOLLOWS_FROM.get(scope, frozenset()) for scope in scopes))
    return (scopes | following) & key_scopes(role)


def key_scopes(role: Role) -> frozenset[Scope]:
    """The most an API key of this role may hold."""
    return SCOPES_OF[role] - {Scope.ACCOUNT}


def leads(role: Role) -> bool:
    """Whether people of this role may be handed what was escalated."""
    return Scope.CASES_LEAD in SCOPES_OF[role]


def may(principal: Principal, scope: Scope) -> bool:
    """Whether this kind of thing is allowed at all; whose thing it is, `authorise` asks."""
    if scope not in principal.scopes or scope not in SCOPES_OF[principal.role]:
        return False
    if scope is Scope.ACCOUNT:
        return principal.session_id is not None
    return principal.role is not Role.MERCHANT or principal.merchant_id is not None


def authorise(
    principal: Principal,
    scope: Scope,
    *,
    merchant_id: str | None = None,
    order_id: str | None = None,
    is_platform: bool = False,
) -> None:
    """Refuses with `forbidden` what the role may never do, and with `not_found` what is somebody else's.

    A stranger cannot tell an order that is not theirs from one that does not exist. `is_platform`: the thing belongs to no merchant, so
    whoever is bound to one may not touch it.
    """
    if not may(principal, scope):
        raise Refusal("forbidden", scope=scope)
    if principal.order_id is not None and order_id != principal.order_id:
        raise Refusal("not_found")
    if is_platform and principal.merchant_id is not None:
        raise Refusal("forbidden", scope=scope)
    if principal.merchant_id is not None and merchant_id is not None and merchant_id != principal.merchant_id:
        raise Refusal("not_found")
