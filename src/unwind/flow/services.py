"""What the steps of the story work with: the database, the policy, and the outside parties by connection id."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from unwind.domain.sign_in import SignInRules
from unwind.flow.health import Health
from unwind.flow.taught import Taught
from unwind.flow.timetable import Hours
from unwind.policy.engine import Policy
from unwind.ports.bill import BillReader
from unwind.ports.callback import CallbackVerifier
from unwind.ports.carrier import Carrier
from unwind.ports.identity import IdentityProvider
from unwind.ports.notifier import Notifier
from unwind.ports.payment import PaymentGateway
from unwind.ports.probe import Probe
from unwind.ports.shop import Shop
from unwind.ports.warehouse import Warehouse
from unwind.storage.database import Database
from unwind.storage.privacy import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long to wait between questions, and for how long. Data, so that the demo and the tests need not wait days."""

    first_retry: timedelta = timedelta(seconds=2)
    longest_retry: timedelta = timedelta(minutes=5)
    doubt: timedelta = timedelta(minutes=10)
    """An unknown outcome that no query clears goes to a person after this."""
    gateway: timedelta = timedelta(days=3)
    """An accepted refund that is not final goes to a person after this."""
    carrier: timedelta = timedelta(days=7)
    parked: timedelta = timedelta(hours=2)
    """So long money and the shop wait for a connection that is down before it is tried all the same, and a person hears of it."""
    task: timedelta = timedelta(hours=24)
    """A task for a warehouse or merchant without a connector."""
    hand_back: timedelta = timedelta(minutes=10)
    """Goods that a store has picked are back on its shelf by then, or a person looks."""
    at_hand: timedelta = timedelta(minutes=10)
    """A rider is called, a pick-up point told to keep a parcel back, by then; or a person looks."""
    invoice: timedelta = timedelta(days=7)
    """A red letter takes so long before a person asks about it."""
    counter: timedelta = timedelta(days=7)
    """Cash waits so long at a counter before a person asks about it."""

    def after(self, attempts: int) -> timedelta:
        """Doubles from `first_retry`, up to `longest_retry`."""
        return min(self.longest_retry, self.first_retry * (1 << min(attempts, 20)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A configured connection, as people see it."""

    connection_id: str
    provider: str
    kind: str
    title: str
    merchant_id: str | None
    channel: str
    probe: Callable[[], Awaitable[Probe]]
    read_bill: BillReader | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    database: Database
    policy: Policy
    vault: Vault
    gateways: Mapping[str, PaymentGateway] = field(default_factory=dict)
    warehouses: Mapping[str, Warehouse] = field(default_factory=dict)
    carriers: Mapping[str, Carrier] = field(default_factory=dict)
    shops: Mapping[str, Shop] = field(default_factory=dict)
    notifiers: Mapping[str, Notifier] = field(default_factory=dict)
    """By connection; `inbox` is our own. Which one carries a channel for a merchant: `notify.notifier_of`."""
    verifiers: Mapping[str, CallbackVerifier] = field(default_factory=dict)
    """Of callbacks, by connection."""
    links: Mapping[str, Link] = field(default_factory=dict)
    """Every connection of `connections.json`, by its id."""
    health: Health = field(default_factory=Health)
    pace: Pace = field(default_factory=Pace)
    hours: Hours = field(default_factory=Hours)
    taught: Taught = field(default_factory=Taught)
    records_kept_years: int = 3
    """Of a transaction, after the last thing that happened to it (RULES: records; a setting, because it is law)."""
    public_url: str = ""
    """How people outside reach us; in links that are sent to them."""
    sign_in: SignInRules = field(default_factory=SignInRules)
    identity: IdentityProvider | None = None
    """None: there are local accounts only."""
    tail_days: int = 90
    """Orders are found by the last digits of a telephone for so long after they were placed."""
