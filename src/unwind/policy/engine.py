"""Asks the merchant's policy (JDM data, evaluated by ZEN) and fails closed.

No match, an unknown output, an engine error or an unknown fact that the deciding rule reads all end as a review by a person.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import zen

from unwind.domain.case import Kind, RefundOn, Verdict
from unwind.policy.facts import Facts

DEFAULT_POLICY = Path(__file__).parent / "default.json"
REMEMBERED_MAX = 10_000
"""Decisions kept in memory. A valid policy has no clock and no chance in it, so they never grow old."""
ALLOWED_NODES = frozenset({"inputNode", "outputNode", "decisionTableNode", "expressionNode", "switchNode"})
FORBIDDEN_CALLS = re.compile(r"\b(rand|now|today|date|d)\s*\(")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    verdict: Verdict
    rule: str
    priority: int
    """0 to 100, higher is sooner."""
    is_urgent: bool
    """The 3-minute clock instead of 15."""
    kind: Kind
    refund_on: RefundOn
    explain_zh: str
    explain_en: str


class PolicyInvalid(ValueError):
    """The policy document may not be used; the message says which part."""


def incomplete(detail_zh: str, detail_en: str) -> Decision:
    return Decision(
        verdict=Verdict.REVIEW,
        rule="policy_incomplete",
        priority=60,
        is_urgent=False,
        kind=Kind.CANCELLATION,
        refund_on=RefundOn.GOODS_BACK,
        explain_zh=f"规则缺少依据,转人工处理({detail_zh})",
        explain_en=f"The policy lacks a basis here, a person decides ({detail_en})",
    )


class Policy:
    """One version of one policy, validated and compiled. `version` is the digest of the document."""

    def __init__(self, document: str) -> None:
        validate(json.loads(document))
        self.version = sha256(document.encode()).hexdigest()[:12]
        self._decision = zen.ZenEngine().create_decision(document)
        self._remembered = lru_cache(maxsize=REMEMBERED_MAX)(self._evaluate)

    def decide(self, facts: Facts) -> Decision:
        """The same facts always get the same decision, so the engine is asked once for each combination."""
        return self._remembered(facts)

    def _evaluate(self, facts: Facts) -> Decision:
        context = facts.as_context()
        try:
            result: Mapping[str, Any] = self._decision.evaluate(context)["result"]
            decision = Decision(
                verdict=Verdict(result["verdict"]),
                rule=str(result["rule"]),
                priority=int(result["priority"]),
                is_urgent=bool(result["urgent"]),
                kind=Kind(result["kind"]),
                refund_on=RefundOn(result["refund_on"]),
                explain_zh=str(result["explain_zh"]),
                explain_en=str(result["explain_en"]),
            )
            reads = str(result["reads"]).split()
        except (KeyError, ValueError, TypeError, RuntimeError):
            return incomplete("规则没有给出完整结论", "no complete answer")
        unknown = [fact for fact in reads if context.get(fact, "unknown") == "unknown"]
        if unknown and decision.verdict is not Verdict.REVIEW:
            return incomplete("未知:" + " ".join(unknown), "unknown: " + " ".join(unknown))
        return decision


def validate(document: Mapping[str, Any]) -> None:
    """Refuses what a policy may not contain: code, randomness, its own clock, tables without a last word."""
    for node in document.get("nodes", ()):
        if node.get("type") not in ALLOWED_NODES:
            raise PolicyInvalid(f"node {node.get('name')}: type {node.get('type')} is not allowed")
        if FORBIDDEN_CALLS.search(json.dumps(_expressions(node))):
            raise PolicyInvalid(f"node {node.get('name')}: functions of time or chance are not allowed")
        if node["type"] == "decisionTableNode":
            _validate_table(node["name"], node["content"])


def _expressions(node: Mapping[str, Any]) -> Any:
    """Everything of a node that is evaluated, with the texts in quotes taken out: words are no calls."""
    text = json.dumps(node.get("content"), ensure_ascii=False)
    return re.sub(r'\\"(?:[^"\\]|\\\\.)*?\\"', "", text)


def _validate_table(name: str, table: Mapping[str, Any]) -> None:
    if table.get("hitPolicy") != "first":
        raise PolicyInvalid(f"table {name}: hit policy must be first")
    inputs = [column["id"] for column in table["inputs"]]
    outputs = [column["id"] for column in table["outputs"]]
    rules = table["rules"]
    for rule in rules:
        if not all(str(rule.get(column, "")) for column in outputs):
            raise PolicyInvalid(f"table {name}, rule {rule['_id']}: an output is empty")
    if not rules or any(str(rules[-1].get(column, "")) for column in inputs):
        raise PolicyInvalid(f"table {name}: the last rule must match everything")


def load_default() -> Policy:
    return Policy(DEFAULT_POLICY.read_text(encoding="utf-8"))


def rules_of(document: Mapping[str, Any]) -> list[str]:
    """Rule ids in order, for documentation and tests."""
    return [
        rule["_id"]
        for node in document["nodes"]
        if node["type"] == "decisionTableNode"
        for rule in node["content"]["rules"]
    ]
