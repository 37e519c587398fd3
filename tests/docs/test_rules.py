"""Every rule of the trade is named by a test that shows it, and none of the trade is forgotten."""

import re
import tomllib
from types import ModuleType

import pytest

from tests.conftest import SHARED
from tests.docs.test_generated import generator
from tests.docs.test_promises import ROOT

__all__ = ["generator"]
KNOWN = tomllib.loads((ROOT / "docs" / "rules.toml").read_text(encoding="utf-8"))["rule"]


def test_a_rule_that_no_test_names_fails_the_build(generator: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = generator.tests_by_rule()
    for rule in KNOWN:
        rest = {rule_id: tests for rule_id, tests in shown.items() if rule_id != rule["id"]}
        monkeypatch.setattr(generator, "tests_by_rule", lambda rest=rest: rest)
        with pytest.raises(generator.DocumentBroken, match=re.escape(rule["id"])):
            generator.rules()


def test_a_test_that_names_no_rule_fails_the_build(generator: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {**generator.tests_by_rule(), "money.alchemy": ["tests/x.py::test_gold"]}
    monkeypatch.setattr(generator, "tests_by_rule", lambda: shown)
    with pytest.raises(generator.DocumentBroken, match=r"money\.alchemy"):
        generator.rules()


def test_a_rule_has_one_id_and_its_words() -> None:
    assert len({rule["id"] for rule in KNOWN}) == len(KNOWN)
    assert all(rule["says"] and rule["seen"] and rule["trade"] for rule in KNOWN)


@pytest.mark.shared_data
def test_no_rule_of_the_trade_is_forgotten() -> None:
    """Whatever the trade's own list marks for the first version has at least one rule here."""
    text = (SHARED.parent / "RULES.md").read_text(encoding="utf-8")
    marked = {
        bold[1].partition(" [")[0]
        for bold in re.finditer(r"\*\*(.+?)\*\*", text)
        if " [1" in bold[1] or " [1]" in text[bold.end() : bold.end() + 20]
    }
    assert len(marked) >= 32
    assert marked - {rule["trade"] for rule in KNOWN} == set()
