"""Every rule of the trade that docs/rules.md promises names tests that exist."""

import re

from tests.docs.test_promises import ROOT, TEST, names_in

ROWS = re.compile(r"^\| (?!rule|---)(.+?) \| (.+) \|$", re.MULTILINE)
PEOPLE_AND_RIGHTS = 16
"""As many as the trade has under this heading; one that is taken out is missed here."""


def test_every_rule_is_shown_by_tests_that_exist() -> None:
    rows = ROWS.findall((ROOT / "docs" / "rules.md").read_text(encoding="utf-8"))
    assert len(rows) == PEOPLE_AND_RIGHTS
    for rule, cell in rows:
        named = TEST.findall(cell)
        assert named, f"nothing shows: {rule}"
        for file, function in named:
            assert function in names_in(ROOT / file), f"{file}::{function} does not exist"
