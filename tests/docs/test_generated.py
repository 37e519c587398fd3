"""Documents say what the program says: generated ones are fresh, written ones leave nothing out."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from unwind.desk.story import EVENTS
from unwind.domain.case import Kind
from unwind.domain.legs import LegKind, LegState
from unwind.domain.stage import Stage
from unwind.domain.transitions import Event, State
from unwind.flow.aftermath import EXPLAIN
from unwind.flow.screen import GUARD_TEXTS
from unwind.flow.wording import TEXTS
from unwind.policy.engine import DEFAULT_POLICY, rules_of
from unwind.tagging import Reason
from unwind.tagging.labels import Intent

ROOT = Path(__file__).parent.parent.parent
QUICK_START = re.compile(r"<!-- quick-start -->(.*?)<!-- /quick-start -->", re.DOTALL)
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "scripts" / "generate_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "src" / "unwind" / "web" / "board.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["flow.md", "policy.md", "access.md", "rules.md", "openapi.json"])
def test_generated_document_is_fresh(generator: ModuleType, name: str) -> None:
    stored = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert stored == generator.DOCUMENTS[name](), f"docs/{name} is stale: run scripts/generate_docs.py"


def test_stale_documents_fail_the_check(
    generator: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for source in ("glossary.md", "rules.toml"):
        (tmp_path / source).write_text((ROOT / "docs" / source).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(generator, "DOCS", tmp_path)
    assert generator.main(["--check"]) == 1
    assert "docs/flow.md is stale" in capsys.readouterr().err
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0
    (tmp_path / "flow.md").write_text("older", encoding="utf-8")
    assert generator.main(["--check"]) == 1


def test_a_word_the_glossary_lacks_fails_the_check(
    generator: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("glossary.md", "flow.md"):
        (tmp_path / name).write_text("", encoding="utf-8")
    monkeypatch.setattr(generator, "DOCS", tmp_path)
    assert generator.main(["--check"]) == 1
    assert "has no row for the state `new`" in capsys.readouterr().err


def test_glossary_has_every_word_of_the_program_and_no_other(generator: ModuleType) -> None:
    words = {
        "state": State,
        "leg": LegKind,
        "leg state": LegState,
        "stage": Stage,
        "reason": Reason,
        "intent": Intent,
        "case kind": Kind,
    }
    expected = {(kind, str(member)) for kind, members in words.items() for member in members}
    rows = generator.glossary()
    assert {key for key in rows if key[0] != "word"} == expected
    assert all(zh and en for zh, en, _ in rows.values())


def test_openapi_has_no_door_of_the_demo() -> None:
    paths = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))["paths"]
    assert "/api/v1/cancellations" in paths
    assert [path for path in paths if path == "/" or path.startswith("/demo")] == []


def test_every_setting_has_a_row() -> None:
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "src" / "unwind").rglob("*.py"))
    read = {name for source in sources for name in re.findall(r'"((?:UNWIND|DATABASE)_[A-Z_]+)"', source)}
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert read == set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE))


def commands_of(readme: str) -> list[str]:
    found = QUICK_START.search((ROOT / readme).read_text(encoding="utf-8"))
    assert found is not None
    return SHELL.findall(found[1])


def test_quick_start_is_the_same_in_both_languages() -> None:
    assert len(commands_of("README.md")) == 3
    assert commands_of("README.md") == commands_of("README.zh-CN.md")


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_make_targets_of_the_readme_exist(readme: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"^\| `make ([a-z-]+)`", (ROOT / readme).read_text(encoding="utf-8"), re.MULTILINE))
    assert named
    assert named <= targets


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_commands_of_the_readme_are_all_there_are(readme: str) -> None:
    from unwind.cli import app

    named = set(re.findall(r"^\| `unwind ([a-z-]+)", (ROOT / readme).read_text(encoding="utf-8"), re.MULTILINE))
    real = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    groups = {group.name for group in app.registered_groups}
    assert named == (real | groups) - {"version"}


def labels_of(page: str, name: str) -> dict[str, list[str]]:
    """A table of labels in the page's script: code -> [zh, en, ...]."""
    found = re.search(rf"^const {name} = (\{{.*?\}});$", page, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return {code: re.findall(r'"([^"]*)"', cells) for code, cells in re.findall(r"(\w+): \[([^\]]*)\]", found[1])}


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("STATES", set(State) - {State.NEW}),
        ("LEGS", set(LegKind)),
        ("LEG_STATES", set(LegState)),
        ("STAGES", set(Stage)),
        ("REASONS", set(Reason)),
        ("FACTS", set(TEXTS)),
        ("EVENTS", set(Event)),
        ("RULES", {*rules_of(json.loads(DEFAULT_POLICY.read_text(encoding="utf-8"))), *GUARD_TEXTS, *EXPLAIN}),
    ],
)
def test_page_has_a_label_for_every_code(page: str, name: str, codes: set[str]) -> None:
    labels = labels_of(page, name)
    assert {str(code) for code in codes} - set(labels) == set()
    assert all(len(pair) >= 2 for pair in labels.values())


def test_page_names_events_as_the_command_line_does(page: str) -> None:
    assert {code: " ".join(pair[:2]) for code, pair in labels_of(page, "EVENTS").items()} == EVENTS


def test_page_asks_nobody_outside_and_writes_no_markup(page: str) -> None:
    addresses = set(re.findall(r"(?:https?:)?//[\w.]+", re.sub(r"http://www\.w3\.org/\S+", "", page)))
    assert addresses == set()
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", page) == []
    assert "default-src 'none'" in page
