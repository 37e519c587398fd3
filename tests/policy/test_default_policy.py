"""Every rule of the default policy by an example; and that the program never lets a policy do more than it may."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.domain.building import a_line, a_payment, a_shipment, an_order
from unwind.domain.case import Kind, RefundOn, Verdict
from unwind.domain.guards import guard
from unwind.domain.order import PaymentState, Presale, VirtualState
from unwind.domain.plan import partition
from unwind.domain.stage import COMING_BACK, IN_THE_HOUSE, ON_THE_WAY, Stage
from unwind.domain.terms import AfterBalance, Customs
from unwind.policy.engine import DEFAULT_POLICY, Decision, Policy, PolicyInvalid, load_default, rules_of, validate
from unwind.policy.facts import FACT_NAMES, Facts, Words, gather_facts

DOCUMENT = json.loads(DEFAULT_POLICY.read_text(encoding="utf-8"))
POLICY = load_default()
PLAIN = Facts(
    payment_state=PaymentState.CAPTURED,
    stage=Stage.PICKING,
    stage_group="picking",
    window="inside",
    minutes_to_dispatch=300,
    merchant_is_open=True,
    amount_minor=1000,
    money_is_consistent=True,
    is_refunded_elsewhere=False,
    perishable=False,
    is_rider=False,
    made_to_order=False,
    production_started="no",
    virtual=VirtualState.NOT_VIRTUAL,
    presale=Presale.NONE,
    balance="none",
    deposit_after_balance=AfterBalance.REVIEW,
    customs=Customs.NONE,
    by_merchant=False,
    is_whole=True,
    breaks_bundle=False,
    risk="normal",
    channel="app",
    reason="CHANGED_MIND",
    intent="CANCEL",
    urgency="NORMAL",
    emotion="NEUTRAL",
    not_received=False,
)
UNPAID, PROMISED, PARTLY = PaymentState.UNPAID, PaymentState.PROMISED, PaymentState.PARTLY_CAPTURED


def facts(stage: Stage = Stage.PICKING, **given: Any) -> Facts:
    group = "on_the_way" if stage in ON_THE_WAY else "coming_back" if stage in COMING_BACK else stage.value
    return replace(PLAIN, stage=stage, stage_group=group, **given)


def dispatch(window: str) -> dict[str, Any]:
    return {
        "window": window,
        "minutes_to_dispatch": {"inside": 300, "outside": 60, "missed": -5, "unknown": None}[window],
    }


@dataclass(frozen=True, slots=True)
class Example:
    """What a rule decides, and facts that it decides on."""

    verdict: Verdict
    facts: tuple[Facts, ...]
    kind: Kind = Kind.CANCELLATION
    is_urgent: bool = False
    refund_on: RefundOn = RefundOn.RECALL_CONFIRMED


def auto(*given: Facts) -> Example:
    return Example(Verdict.AUTO, given)


def review(*given: Facts, **more: Any) -> Example:
    return Example(Verdict.REVIEW, given, **more)


DUE: dict[str, Any] = {"presale": Presale.DEPOSIT, "balance": "due"}
ROAD, NONE, PACKED, LABEL = Stage.IN_TRANSIT, Stage.NONE, Stage.PACKED, Stage.LABEL_PRINTED
EXAMPLES: dict[str, Example] = {
    "unpaid": auto(facts(NONE, payment_state=UNPAID), facts(NONE, payment_state=PaymentState.AUTHORISED)),
    "signed_not_received": review(facts(Stage.DELIVERED, not_received=True), facts(ROAD, not_received=True)),
    "inquiry_where_is_it": review(facts(ROAD, intent="WHERE_IS_MY_ORDER"), kind=Kind.INQUIRY),
    "inquiry_modify_order": review(facts(intent="MODIFY_ORDER"), kind=Kind.INQUIRY),
    "inquiry_withdraw": review(facts(intent="WITHDRAW_CANCEL"), kind=Kind.INQUIRY),
    "inquiry_other": review(facts(intent="OTHER"), kind=Kind.INQUIRY),
    "inquiry_return": review(facts(ROAD, intent="RETURN_AFTER_RECEIPT"), kind=Kind.INQUIRY),
    "stage_unknown": review(facts(Stage.UNKNOWN), facts(Stage.UNKNOWN, payment_state=UNPAID)),
    "money_inconsistent": review(facts(money_is_consistent=False)),
    "refunded_elsewhere": review(facts(is_refunded_elsewhere=True)),
    "payment_issue": review(
        facts(reason="PAYMENT_ISSUE"), facts(reason="PAYMENT_ISSUE", payment_state=PARTLY), is_urgent=True
    ),
    "abuse_suspected": review(facts(risk="suspected"), facts(risk="suspected", payment_state=PROMISED)),
    "perishable_past_dispatch": review(
        facts(ROAD, perishable=True), facts(perishable=True, **dispatch("missed")), is_urgent=True
    ),
    "rider_on_the_way": review(facts(ROAD, is_rider=True), is_urgent=True),
    "virtual_in_flight": review(facts(virtual=VirtualState.IN_FLIGHT)),
    "virtual_used": review(*(facts(virtual=v) for v in (VirtualState.REVEALED, VirtualState.REDEEMED))),
    "virtual_sent": review(facts(virtual=VirtualState.SENT)),
    "deposit_doubled": review(
        facts(NONE, by_merchant=True, payment_state=PARTLY, **DUE), facts(by_merchant=True, payment_state=PARTLY, **DUE)
    ),
    "deposit_kept": auto(facts(NONE, payment_state=PARTLY, **DUE)),
    "presale_deposit": review(
        facts(presale=Presale.DEPOSIT, balance="paid"),
        facts(presale=Presale.DEPOSIT, payment_state=PARTLY),
        facts(payment_state=PARTLY, **DUE),
        facts(NONE, payment_state=PARTLY, is_whole=False, **DUE),
        facts(ROAD, presale=Presale.DEPOSIT, balance="paid", deposit_after_balance=AfterBalance.RETURN),
    ),
    "made_to_order_started": review(
        facts(made_to_order=True, production_started="yes"),
        facts(made_to_order=True, production_started=None),
        facts(made_to_order=True, production_started="yes", payment_state=PROMISED),
    ),
    "bundle_part": review(facts(breaks_bundle=True), facts(NONE, breaks_bundle=True, payment_state=UNPAID)),
    "delivered": Example(
        Verdict.DECLINE, (facts(Stage.DELIVERED), facts(Stage.DELIVERED, intent="RETURN_AFTER_RECEIPT"))
    ),
    "coming_back": review(*(facts(stage) for stage in COMING_BACK), refund_on=RefundOn.GOODS_BACK),
    "parcel_lost": review(facts(Stage.LOST)),
    "shipped_address_error": review(facts(ROAD, reason="ADDRESS_ERROR"), facts(ROAD, reason="CONTACT_ERROR")),
    "shipped": review(*(facts(stage) for stage in ON_THE_WAY), facts(ROAD, payment_state=PROMISED)),
    "customs_unknown": review(facts(customs=None)),
    "customs_mismatch": review(facts(customs=Customs.MISMATCH)),
    "customs_released": review(facts(customs=Customs.RELEASED), facts(NONE, customs=Customs.RELEASED)),
    "over_limit": review(facts(amount_minor=500_001)),
    "unpaid_in_house": auto(*(facts(stage, payment_state=UNPAID) for stage in IN_THE_HOUSE - {NONE})),
    "promised_in_house": auto(*(facts(stage, payment_state=PROMISED) for stage in IN_THE_HOUSE)),
    "partly_paid": review(facts(payment_state=PARTLY)),
    "merchant_closed": auto(facts(NONE, merchant_is_open=False, **dispatch("outside"))),
    "label_printed": auto(*(facts(LABEL, **dispatch(w)) for w in ("inside", "outside", "missed", "unknown"))),
    "dispatch_missed": auto(facts(**dispatch("missed"))),
    "dispatch_missed_packed": review(facts(PACKED, **dispatch("missed"))),
    "inside_window": auto(
        facts(),
        facts(PACKED),
        facts(amount_minor=500_000),
        facts(customs=Customs.DECLARED),
        facts(presale=Presale.DEPOSIT, balance="paid", deposit_after_balance=AfterBalance.RETURN),
        facts(presale=Presale.PREPAYMENT),
    ),
    "outside_window": review(facts(**dispatch("outside")), facts(NONE, **dispatch("outside"))),
    "by_stage": auto(facts(**dispatch("unknown")), facts(risk=None, **dispatch("unknown"))),
    "by_stage_packed": review(facts(PACKED, **dispatch("unknown"))),
    "nothing_to_return": review(facts(payment_state=PaymentState.REFUNDED)),
    "policy_incomplete": review(facts(payment_state=PaymentState.UNKNOWN)),
}


def test_every_rule_has_an_example() -> None:
    assert list(EXAMPLES) == rules_of(DOCUMENT)


CASES = [(rule, one) for rule, example in EXAMPLES.items() for one in example.facts]


@pytest.mark.parametrize(("rule", "given"), CASES, ids=[f"{rule}-{n}" for n, (rule, _) in enumerate(CASES)])
def test_a_rule_decides_as_written(rule: str, given: Facts) -> None:
    decision, expected = POLICY.decide(given), EXAMPLES[rule]
    assert decision.rule == rule
    assert (decision.verdict, decision.kind, decision.is_urgent, decision.refund_on) == (
        expected.verdict,
        expected.kind,
        expected.is_urgent,
        expected.refund_on,
    )
    assert 0 <= decision.priority <= 100
    assert decision.explain_zh
    assert decision.explain_en


def test_the_same_facts_get_the_same_decision_from_every_copy_of_the_policy() -> None:
    other = load_default()
    assert other.version == POLICY.version
    for _, given in CASES:
        assert POLICY.decide(given) == POLICY.decide(replace(given)) == other.decide(given)


def test_no_combination_of_facts_makes_moved_goods_automatic() -> None:
    """Whatever else is true: what has left the house is never automatic, and never without a rule."""
    outside = [stage for stage in Stage if stage not in IN_THE_HOUSE]
    for stage, payment_state, window, is_open in itertools.product(
        outside, PaymentState, ("inside", "outside", "missed", "unknown"), (True, False)
    ):
        decision = POLICY.decide(
            facts(stage, payment_state=payment_state, merchant_is_open=is_open, **dispatch(window))
        )
        assert decision.verdict is not Verdict.AUTO, (stage, payment_state, window)


# fail closed --------------------------------------------------------------------------------------------------------


def changed(change: Callable[[list[dict[str, Any]], dict[str, Any]], None]) -> Policy:
    """The default policy with its table changed by `change(rules, table)`."""
    return Policy(json.dumps(changed_document(change)))


def changed_document(change: Callable[[list[dict[str, Any]], dict[str, Any]], None]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(DOCUMENT))
    table = next(node["content"] for node in document["nodes"] if node["type"] == "decisionTableNode")
    change(table["rules"], table)
    return document


def only_last(**cells: str) -> Callable[[list[dict[str, Any]], dict[str, Any]], None]:
    """A policy of one rule that matches everything: automatic, with these cells changed."""

    def change(rules: list[dict[str, Any]], table: dict[str, Any]) -> None:
        rules[:-1] = []
        rules[-1].update({"o0": '"auto"', "o1": '"anything"', **cells})

    return change


def assert_incomplete(decision: Decision) -> None:
    assert (decision.verdict, decision.rule) == (Verdict.REVIEW, "policy_incomplete")


def test_a_policy_that_says_yes_to_everything_is_held_by_the_guards() -> None:
    yes = changed(only_last())
    for stage in Stage:
        decision = yes.decide(facts(stage))
        assert (decision.verdict, decision.rule) == (Verdict.AUTO, "anything")
        held = guard(
            verdict=decision.verdict,
            stage=stage,
            payment_state=PaymentState.CAPTURED,
            returned_minor=1000,
            money_is_consistent=True,
        )
        assert held.verdict is (Verdict.AUTO if stage in IN_THE_HOUSE else Verdict.REVIEW)


@pytest.mark.parametrize(
    "cells",
    [
        {"o0": '"maybe"'},
        {"o0": "null"},
        {"o4": '"surprise"'},
        {"o5": '"whenever"'},
        {"o2": '"soon"'},
        {"o2": "null"},
        {"o0": "1 / 'a' + undefined.thing"},
    ],
)
def test_an_answer_that_makes_no_sense_goes_to_a_person(cells: dict[str, str]) -> None:
    assert_incomplete(changed(only_last(**cells)).decide(PLAIN))


class BrokenEngine:
    def __init__(self, answer: object) -> None:
        self.answer = answer

    def evaluate(self, _context: object) -> object:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize("answer", [{}, {"result": {}}, {"result": None}, RuntimeError("engine"), ValueError("engine")])
def test_no_match_or_a_broken_engine_goes_to_a_person(answer: object) -> None:
    policy = load_default()
    policy._decision = BrokenEngine(answer)  # type: ignore[assignment]
    assert_incomplete(policy.decide(PLAIN))


@pytest.mark.parametrize("fact", ["risk", "minutes_to_dispatch", "amount_minor", "production_started"])
def test_a_rule_that_reads_an_unknown_fact_decides_nothing(fact: str) -> None:
    policy = changed(only_last(o6=f'"{fact}"'))
    assert policy.decide(PLAIN).verdict is Verdict.AUTO
    assert_incomplete(policy.decide(replace(PLAIN, **{fact: None})))
    assert fact in policy.decide(replace(PLAIN, **{fact: None})).explain_en


def test_a_rule_that_reads_a_fact_that_does_not_exist_decides_nothing() -> None:
    assert_incomplete(changed(only_last(o6='"weather"')).decide(PLAIN))


def test_a_person_may_be_asked_whatever_is_unknown() -> None:
    decision = changed(only_last(o0='"review"', o6='"risk"')).decide(replace(PLAIN, risk=None))
    assert (decision.verdict, decision.rule) == (Verdict.REVIEW, "anything")


def test_an_unknown_amount_is_never_automatic() -> None:
    """`amount_minor > 500000` does not hold for "unknown", so over_limit is passed by; what comes after must not be auto."""
    assert POLICY.decide(replace(PLAIN, amount_minor=None)).verdict is Verdict.REVIEW


# what a policy may not contain --------------------------------------------------------------------------------------


def with_node(kind: str) -> dict[str, Any]:
    document = changed_document(lambda _rules, _table: None)
    document["nodes"].append({"id": "x", "type": kind, "name": "x", "content": {}})
    return document


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "code": (with_node("functionNode"), "functionNode is not allowed"),
    "another decision": (with_node("decisionNode"), "decisionNode is not allowed"),
    "no type": ({"nodes": [{"name": "x"}]}, "None is not allowed"),
    "collect": (changed_document(lambda _rules, table: table.update(hitPolicy="collect")), "hit policy"),
    "no rules": (changed_document(lambda rules, _table: rules.clear()), "match everything"),
    "no last word": (changed_document(lambda rules, _table: rules.pop()), "match everything"),
    "an empty output": (changed_document(only_last(o0="")), "output is empty"),
    "a missing output": (changed_document(lambda rules, _table: rules[0].pop("o5")), "output is empty"),
    **{
        call: (changed_document(lambda rules, _table, call=call: rules[0].update(i4=f"{call} > 1")), "time or chance")
        for call in ("rand(100)", "now()", "today()", "date('now')", "d ('now')")
    },
}


@pytest.mark.parametrize("what", list(REFUSED))
def test_the_validator_refuses(what: str) -> None:
    document, message = REFUSED[what]
    with pytest.raises(PolicyInvalid, match=message):
        Policy(json.dumps(document))


@pytest.mark.parametrize("call", ["rand(2) == 1", "d('now').isAfter(d('2026-01-01'))"])
def test_the_validator_looks_for_chance_everywhere(call: str) -> None:
    with pytest.raises(PolicyInvalid):
        validate(changed_document(only_last(o0=f"{call} ? 'auto' : 'review'")))
    document = changed_document(lambda _rules, _table: None)
    expressions = [{"id": "e", "key": "luck", "value": call}]
    document["nodes"].append(
        {"id": "x", "type": "expressionNode", "name": "x", "content": {"expressions": expressions}}
    )
    with pytest.raises(PolicyInvalid):
        validate(document)


def test_the_default_is_valid_and_every_row_names_itself() -> None:
    validate(DOCUMENT)
    for node in DOCUMENT["nodes"]:
        for rule in node.get("content", {}).get("rules", ()):
            assert json.loads(rule["o1"]) == rule["_id"]
            assert rule["_description"] == json.loads(rule["o7"])
            assert set(json.loads(rule["o6"]).split()) <= set(FACT_NAMES)


# facts --------------------------------------------------------------------------------------------------------------

WORDS = Words(reason="OTHER", intent="CANCEL", urgency="NORMAL", emotion="NEUTRAL", not_received=False)


def gathered(order: Any, *, risk: str = "unknown", elsewhere_minor: int = 0, at: Any = None) -> Facts:
    [part] = partition(order, {line.line_id: line.quantity for line in order.lines})
    now = at or order.placed_at
    return gather_facts(order, part, words=WORDS, channel="app", risk=risk, elsewhere_minor=elsewhere_minor, now=now)


def test_unknown_is_a_value_and_never_a_missing_key() -> None:
    found = gathered(an_order(lines=(a_line(made_to_order=True),)))
    assert (found.risk, found.minutes_to_dispatch, found.production_started, found.window) == (
        None,
        None,
        None,
        "unknown",
    )
    context = found.as_context()
    assert set(context) == set(FACT_NAMES)
    assert [context[name] for name in ("risk", "minutes_to_dispatch", "production_started")] == ["unknown"] * 3
    assert None not in context.values()


@pytest.mark.parametrize(
    ("minutes", "window"), [(120, "inside"), (119, "outside"), (0, "outside"), (-1, "missed"), (300, "inside")]
)
def test_the_window_is_two_hours_before_dispatch(minutes: int, window: str) -> None:
    from datetime import timedelta

    order = an_order()
    order = replace(order, planned_dispatch_at=order.placed_at + timedelta(minutes=minutes))
    assert gathered(order).window == window


def test_facts_of_a_parcel_and_its_lines() -> None:
    order = an_order(
        lines=(a_line("L1", perishable=True, made_to_order=True, production_started=True, buckets={}),),
        shipments=(replace(a_shipment("S1", {"L1": 1}), carrier="rider"),),
        payments=(a_payment("P1", 1500),),
    )
    found = gathered(order, risk="suspected", elsewhere_minor=1)
    assert (found.stage_group, found.is_rider, found.perishable, found.production_started) == (
        "on_the_way",
        True,
        True,
        "yes",
    )
    assert (found.risk, found.is_refunded_elsewhere, found.money_is_consistent) == ("suspected", True, False)
    assert SimpleNamespace(**found.as_context()).stage is Stage.IN_TRANSIT
