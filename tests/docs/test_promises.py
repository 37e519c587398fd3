"""A promise that names a test, a file or a check that does not exist fails the build."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from unwind.storage.checks import CHECKS

ROOT = Path(__file__).parent.parent.parent
PROMISES = sorted(path for path in (ROOT / "docs" / "promises").glob("*.md") if path.name != "README.md")
CLAIMING = [*PROMISES, ROOT / "docs" / "reliability.md"]
SECTIONS = ["Claim", "Enforced", "Shown by", "Not proven"]
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
SOURCE = re.compile(r"`(src/unwind/[\w/.]+)`(?:, `(\w+)`)?")
OUTSIDE_THE_TABLES = {"I9"}
"""Checked by `doctor.py` itself: histories and anchors."""
PROMISED_BESIDES = {"consent", "parcels", "payouts"}
"""Checks that belong to no numbered invariant: promises of their own, and the book of the parcels."""


def name_of(path: Path) -> str:
    return path.stem


@cache
def names_in(path: Path) -> frozenset[str]:
    """Functions, classes and constants of a Python file, methods and attributes included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                found.add(name)
    return frozenset(found)


def test_there_are_promises() -> None:
    assert len(PROMISES) >= 6


@pytest.mark.parametrize("promise", PROMISES, ids=name_of)
def test_promise_has_every_section(promise: Path) -> None:
    text = promise.read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    shown_by = text.partition("## Shown by")[2].partition("## Not proven")[0]
    assert TEST.search(shown_by), "nothing shows it"
    assert text.partition("## Not proven")[2].strip().startswith("- "), "nothing is said to be unproven"


@pytest.mark.parametrize("document", CLAIMING, ids=name_of)
def test_tests_that_are_named_exist(document: Path) -> None:
    for file, function in TEST.findall(document.read_text(encoding="utf-8")):
        assert (ROOT / file).is_file(), f"{document.name} names {file}"
        assert not function or function in names_in(ROOT / file), f"{document.name} names {file}::{function}"


@pytest.mark.parametrize("document", CLAIMING, ids=name_of)
def test_sources_that_are_named_exist(document: Path) -> None:
    for file, name in SOURCE.findall(document.read_text(encoding="utf-8")):
        assert (ROOT / file).exists(), f"{document.name} names {file}"
        if name and file.endswith(".py"):
            assert name in names_in(ROOT / file), f"{document.name} names {name} in {file}"


def test_every_check_of_the_doctor_has_its_row_and_no_other() -> None:
    rows = re.findall(
        r"^\| (I\d+) \|(.+)$", (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [number for number, _ in rows] == [f"I{n}" for n in range(1, 17)]
    named = {cells.split("|")[2].strip() for _, cells in rows} - {""}
    assert named == (set(CHECKS) | OUTSIDE_THE_TABLES) - PROMISED_BESIDES


def test_every_promise_is_listed() -> None:
    listed = (ROOT / "docs" / "promises" / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in PROMISES if f"({path.name})" not in listed] == []
