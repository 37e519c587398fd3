"""Step 3: the policy's word on every plan part, held against the guards and the shop's degree of trust."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from unwind.domain.case import Kind, Verdict
from unwind.domain.guards import guard
from unwind.domain.merchant_cancel import RULE as BUYER_MUST_AGREE
from unwind.domain.merchant_cancel import is_merchants_fault, needs_agreement
from unwind.domain.order import Dependence, LineId, Order
from unwind.domain.plan import PartPlan, partition, reprice
from unwind.domain.promotion import NOTHING, Overlay
from unwind.domain.published import NOTHING_PUBLISHED, Published, published_terms
from unwind.domain.stage import IN_THE_HOUSE
from unwind.policy.engine import Decision, Policy
from unwind.policy.facts import WINDOW_MINUTES, Facts, Words, gather_facts
from unwind.storage.orders import OrderRow

HIGH_URGENCY_BONUS = 20
ANGRY_BONUS = 5
ORDINARY_PRIORITY_MAX = 99
NEEDS_A_PERSON = {Verdict.REVIEW: 0, Verdict.AUTO: 1, Verdict.DECLINE: 2}
"""Most of all first."""

AS_IF_AGREED = "as_if_agreed"
"""For the dry run: whatever it is, the buyer has yet to see it."""

GUARD_TEXTS = {
    "guard_stage_unknown": ("不知道货物在哪,转人工", "Nobody knows how far the goods are: a person decides"),
    "guard_goods_have_left": ("货物已离开仓库,转人工", "The goods have left: a person decides"),
    "guard_over_limit": ("金额超过自动处理上限,转人工", "Above the limit for automatic handling: a person decides"),
    "policy_incomplete": ("依据不完整,转人工", "The facts are incomplete: a person decides"),
    "automation_shadow": ("影子模式:只判断不执行", "Shadow mode: decided and logged, not carried out"),
    "automation_confirm": ("确认模式:人工点确认后执行", "Confirm mode: carried out after a person confirms"),
    "buyer_must_agree": ("商家申请取消,须买家同意", "The merchant asks for it: the buyer has to agree"),
    "cap_reached": (
        "今日自动退款已达上限,转人工",
        "Today's automatic refunds have reached their cap: a person decides",
    ),
    "breaker_open": (
        "自动退款异常增多,已熔断,转人工",
        "The breaker is open after too many automatic refunds: a person decides",
    ),
    "gift_has_left": (
        "赠品已寄出:由人工确认退回或按事先公布的价格扣除",
        "The gift has left: it comes back, or its published price is kept with the buyer's consent",
    ),
    "consent_needed": (
        "按已公布的规则有扣除,须买家确认后退款",
        "Less returns than was paid, as published: only with the buyer's consent",
    ),
    "merchant_halted": ("该商家资金核对异常,暂停自动退款", "Refunds of this merchant are halted after a failed check"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """One part with its verdict. `rule` names what decided: a policy rule or a guard."""

    part: PartPlan
    facts: Facts
    decision: Decision
    policy: Decision | None = None
    """The policy alone, before guards and trust; None where no policy was asked."""
    published: Published = NOTHING_PUBLISHED
    """What the terms say of it; kept only where `part` keeps it."""

    @property
    def takes_from_buyer(self) -> bool:
        return self.taken_minor > 0

    @property
    def taken_minor(self) -> int:
        return self.part.keep_minor + self.part.amounts.lost_minor


def screen(
    row: OrderRow,
    wanted: Mapping[LineId, int],
    *,
    policy: Policy,
    words: Words,
    channel: str,
    overlay: Overlay = NOTHING,
    consent: str = "",
) -> tuple[Screened, ...]:
    """Every part of the wish, in plan order. Automatic parts are priced as if only they were taken back.

    Where less would return than was paid, as published, a part is automatic only if the buyer has agreed to exactly this: `consent` is
    the digest that the dry run (which asks `AS_IF_AGREED`) gave them.
    """
    order, by_merchant = row.order, is_merchants_fault(channel, words.reason)
    screened = [
        _screen_part(row, part, policy=policy, words=words, channel=channel, overlay=overlay)
        for part in partition(order, wanted, by_merchant=by_merchant)
    ]
    screened = _with_gifts_that_left(row, screened)
    priced = _priced(order, screened)
    is_agreed = consent in {AS_IF_AGREED, consent_digest(order, priced)}
    while not is_agreed and any(_takes(one) for one in priced):
        screened = [
            replace(one, decision=to_a_person(one.decision, "consent_needed")) if _takes(as_paid) else one
            for one, as_paid in zip(screened, priced, strict=True)
        ]
        priced = _priced(order, screened)
    return tuple(priced)


def _takes(one: Screened) -> bool:
    return one.decision.verdict is Verdict.AUTO and one.takes_from_buyer


def _priced(order: Order, screened: list[Screened]) -> list[Screened]:
    """Automatic parts as they would be paid, one after the other, without what was published to be kept from them."""
    automatic = [one for one in screened if one.decision.verdict is Verdict.AUTO]
    keeps = any(one.published.kept_minor for one in automatic)
    if len(automatic) == len(screened) and not keeps:
        return screened
    kept = [replace(one.part, keep_minor=one.published.kept_minor) for one in automatic]
    repriced = dict(zip(map(id, automatic), reprice(order, kept), strict=True))
    return [replace(one, part=repriced.get(id(one), one.part)) for one in screened]


def consent_digest(order: Order, screened: Sequence[Screened]) -> str:
    """What a buyer of this order agrees to: units, amounts and deductions of every automatic part. Empty where nothing is taken from them."""
    automatic = [one for one in screened if one.decision.verdict is Verdict.AUTO]
    if not any(_takes(one) for one in automatic):
        return ""
    parts = [
        [
            one.part.kind,
            sorted(one.part.quantities.items()),
            one.part.amounts.paid_minor,
            one.part.amounts.returned_minor,
            [[cost.fee, cost.amount_minor] for cost in one.published.costs],
            [[lost.reason, lost.amount_minor] for lost in one.part.amounts.deductions],
        ]
        for one in automatic
    ]
    return hashlib.sha256(json.dumps([order.order_id, order.currency, parts]).encode()).hexdigest()


def _with_gifts_that_left(row: OrderRow, screened: list[Screened]) -> list[Screened]:
    """What a gift hangs on is not returned by itself once the gift has left: it comes back, or its price is kept with consent."""
    parents = {
        row.order.line(line_id).parent_line_id
        for one in screened
        if one.part.stage not in IN_THE_HOUSE
        for line_id in one.part.quantities
        if row.order.line(line_id).dependence is Dependence.GIFT
    }
    return [
        replace(one, decision=to_a_person(one.decision, "gift_has_left"))
        if one.decision.verdict is Verdict.AUTO and not parents.isdisjoint(one.part.quantities)
        else one
        for one in screened
    ]


def _screen_part(
    row: OrderRow, part: PartPlan, *, policy: Policy, words: Words, channel: str, overlay: Overlay
) -> Screened:
    facts = gather_facts(
        row.order,
        part,
        words=words,
        channel=channel,
        risk=row.risk,
        elsewhere_minor=row.elsewhere_minor,
        now=row.now,
        window_minutes=WINDOW_MINUTES if overlay.window_minutes is None else overlay.window_minutes,
        dispatch_hours=overlay.dispatch_hours,
    )
    decision = told = policy.decide(facts)
    guarded = guard(
        verdict=decision.verdict,
        stage=part.stage,
        payment_state=facts.payment_state,
        returned_minor=part.amounts.returned_minor,
        money_is_consistent=facts.money_is_consistent,
        limit_minor=overlay.automatic_limit_minor,
    )
    rule = guarded.rule or _trust(row, guarded.verdict, returned_minor=part.amounts.returned_minor)
    if not rule and guarded.verdict is Verdict.AUTO and needs_agreement(channel, row.order):
        rule = BUYER_MUST_AGREE
    if rule:
        decision = to_a_person(decision, rule)
    bonus = HIGH_URGENCY_BONUS * (words.urgency == "HIGH") + ANGRY_BONUS * (words.emotion == "ANGRY")
    if decision.priority <= ORDINARY_PRIORITY_MAX:
        decision = replace(decision, priority=min(ORDINARY_PRIORITY_MAX, decision.priority + bonus))
    terms = published_terms(row.order, part)
    return Screened(part=part, facts=facts, decision=decision, policy=told, published=terms)


def to_a_person(decision: Decision, rule: str) -> Decision:
    """Review by a rule of our own instead of what the policy said."""
    zh, en = GUARD_TEXTS[rule]
    return replace(decision, verdict=Verdict.REVIEW, rule=rule, explain_zh=zh, explain_en=en)


def _trust(row: OrderRow, verdict: Verdict, *, returned_minor: int) -> str:
    """Shadow and confirm let a person decide what the policy would have done."""
    merchant = row.order.merchant
    if verdict is not Verdict.AUTO:
        return ""
    if merchant.is_halted and returned_minor > 0:
        return "merchant_halted"
    return "" if merchant.automation == "auto" else f"automation_{merchant.automation}"


def leading(screened: tuple[Screened, ...]) -> Screened:
    """The part that speaks for the case: the one that needs a person most, else the first."""
    return min(screened, key=lambda one: (NEEDS_A_PERSON[one.decision.verdict], -one.decision.priority))


def case_verdict(screened: tuple[Screened, ...]) -> Verdict:
    return leading(screened).decision.verdict


def kind_of(screened: tuple[Screened, ...]) -> Kind:
    return leading(screened).decision.kind
