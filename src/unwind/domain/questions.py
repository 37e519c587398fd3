"""What is put to somebody who is not at the desk, with a clock of its own and an answer by link.

opinion   merchant, warehouse, carrier: may we, can you, what do you know
offer     the buyer: one honest alternative to cancelling
consent   the buyer: a plan that returns less than was paid
approval  a second person: a decision outside of what one may decide
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    OPINION = "opinion"
    OFFER = "offer"
    CONSENT = "consent"
    APPROVAL = "approval"


class Audience(StrEnum):
    BUYER = "buyer"
    MERCHANT = "merchant"
    WAREHOUSE = "warehouse"
    CARRIER = "carrier"
    LEAD = "lead"


class QuestionState(StrEnum):
    OPEN = "open"
    AGREED = "agreed"
    REFUSED = "refused"
    SILENT = "silent"
    WITHDRAWN = "withdrawn"
    """The case was decided without it."""


class OnSilence(StrEnum):
    """What silence is taken for; a person still decides, but knows it."""

    AGREED = "agreed"
    REFUSED = "refused"
    APPROVE = "approve"
    """The cancellation is carried out: of offers to buyers whose goods have not left."""
    PERSON = "person"


DEFAULT_SILENCE = {
    Audience.MERCHANT: OnSilence.AGREED,
    Audience.WAREHOUSE: OnSilence.REFUSED,
    Audience.CARRIER: OnSilence.REFUSED,
    Audience.BUYER: OnSilence.PERSON,
    Audience.LEAD: OnSilence.PERSON,
}
"""A merchant who does not answer has nothing against it; a warehouse or a carrier that does not answer has stopped nothing."""

REMIND_PERCENT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    question_id: str
    case_id: str
    n: int
    kind: Kind
    audience: Audience
    subject: Mapping[str, Any]
    """Codes, amounts and moments; never words."""
    digest: str
    """Of the plan that is agreed to or approved; empty for others."""
    asked_by: str
    asked_at: datetime
    remind_at: datetime | None
    due_at: datetime
    on_silence: OnSilence
    state: QuestionState
    answered_by: str
    answered_at: datetime | None
    evidence: Mapping[str, Any]


def remind_at(asked_at: datetime, due_at: datetime) -> datetime:
    return asked_at + (due_at - asked_at) * REMIND_PERCENT / 100


MINUTES_TO_ANSWER = {
    Audience.MERCHANT: 30,
    Audience.WAREHOUSE: 10,
    Audience.CARRIER: 30,
    Audience.BUYER: 24 * 60,
    Audience.LEAD: 30,
}
LINK_LIFE_AFTER_DUE = timedelta(days=7)
"""A late answer is still worth hearing; after this the link is dead."""


class Offer(StrEnum):
    WAIT = "wait"
    FASTER_DISPATCH = "faster_dispatch"
    ADDRESS_CHANGE = "address_change"
    PARTIAL_CANCEL = "partial_cancel"
    PRICE_PROTECTION = "price_protection"


class Promised(StrEnum):
    """What an accepted wait is watched for."""

    DELIVERED = "delivered"
    DISPATCHED = "dispatched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """The buyer waits: for what, since when, until when."""

    promised: Promised
    since: datetime
    until: datetime
