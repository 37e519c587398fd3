"""What `tag` promises for any text: valid, explained, repeatable, bounded, and right often enough."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unwind.tagging import Evidence, Intent, Reason, Tags, Urgency, tag
from unwind.tagging import rules as rules_module
from unwind.tagging import tagger as tagger_module
from unwind.tagging.evaluation import own_texts
from unwind.tagging.folding import CHARACTERS_MAX, fold
from unwind.tagging.prefixes import find_prefixes, split_alternatives

OWN_TEXTS = own_texts()
ALPHABET = "不是没有取消退款地址写错了太贵发货慢两次扣我要的，。！？ abcdehilnortuw0123456789"


def _words(text: str, tags: Tags, field: str) -> list[str]:
    return [text[item.start : item.end] for item in tags.evidence if item.field == field]


def test_no_text_and_no_pick_says_nothing() -> None:
    tags = tag("")
    assert (tags.reason, tags.intent, tags.urgency, tags.is_sure) == (
        Reason.OTHER,
        Intent.CANCEL,
        Urgency.NORMAL,
        False,
    )
    assert tag("  \n ") == tags


def test_a_pick_without_text_is_sure() -> None:
    tags = tag("", picked=Reason.PRICE_DROP)
    assert (tags.reason, tags.is_sure, tags.evidence) == (Reason.PRICE_DROP, True, ())


def test_a_pick_stays_primary_and_the_text_becomes_secondary() -> None:
    tags = tag("地址写错了", picked=Reason.CHANGED_MIND)
    assert (tags.reason, tags.secondary) == (Reason.CHANGED_MIND, (Reason.ADDRESS_ERROR,))
    assert tags.confidence < tag("", picked=Reason.CHANGED_MIND).confidence


def test_a_decisive_text_overrules_the_pick() -> None:
    tags = tag("其实是地址写错了", picked=Reason.CHANGED_MIND)
    assert (tags.reason, tags.secondary) == (Reason.ADDRESS_ERROR, (Reason.CHANGED_MIND,))


def test_a_denied_reason_does_not_join_the_pick() -> None:
    assert tag("不是地址写错了", picked=Reason.CHANGED_MIND).secondary == ()


def test_a_picked_other_yields_to_the_text() -> None:
    assert tag("太贵了", picked=Reason.OTHER).reason is Reason.PRICE_DROP


def test_evidence_points_at_the_words_of_the_original() -> None:
    text = "  ＯＫ，地址写错了😡赶紧取消，再不退就投诉"
    tags = tag(text)
    assert any("址写错" in words for words in _words(text, tags, "reason"))
    assert _words(text, tags, "urgency") == ["赶紧"]
    assert _words(text, tags, "emotion") == ["投诉"]
    assert _words(text, tags, "intent") == ["取消"]


def test_evidence_covers_what_was_written_not_what_was_meant() -> None:
    text = "喂，di zhi xie cuo le，退kuan"
    tags = tag(text)
    assert "di zhi xie cuo" in _words(text, tags, "reason")[0]
    assert "退kuan" in _words(text, tags, "intent")


def test_evidence_keeps_no_words() -> None:
    assert set(Evidence.__slots__) == {"field", "label", "start", "end"}


def test_the_tagger_abstains_on_a_topic_word_alone() -> None:
    assert not tag("颜色").is_sure
    assert tag("颜色拍错了").is_sure


def test_the_same_text_gives_the_same_tags() -> None:
    for row in OWN_TEXTS:
        assert tag(row["text"], channel=row["channel"]) == tag(row["text"], channel=row["channel"])


@settings(max_examples=300, deadline=None)
@given(
    text=st.one_of(st.text(max_size=120), st.text(alphabet=ALPHABET, max_size=80)),
    picked=st.one_of(st.none(), st.sampled_from(Reason)),
    channel=st.sampled_from(["app", "chat", "hotline", "store", "api"]),
    names=st.lists(st.text(max_size=6), max_size=3),
)
def test_any_text_gives_valid_tags(text: str, picked: Reason | None, channel: str, names: list[str]) -> None:
    tags = tag(text, picked=picked, channel=channel, masked_names=names)
    assert 0.0 <= tags.confidence <= 1.0
    assert tags.reason not in tags.secondary
    assert Reason.OTHER not in tags.secondary
    assert len(set(tags.secondary)) == len(tags.secondary)
    assert all(0 <= item.start < item.end <= len(text) for item in tags.evidence)
    assert {item.field for item in tags.evidence} <= {"reason", "secondary", "intent", "urgency", "emotion"}


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=200))
def test_folding_keeps_the_way_back(text: str) -> None:
    folded = fold(text, masked_names=())
    assert len(folded.text) == len(folded.starts) == len(folded.ends)
    assert list(folded.starts) == sorted(folded.starts)
    assert all(0 <= start < end <= len(text) for start, end in zip(folded.starts, folded.ends, strict=True))


@pytest.mark.parametrize(
    "unit",
    ["不是", "没有", "取消", "让我", "再不", "一", "1", "我", "wrong ", "a ", "not ", "说是", "!?", "满1", "嗯", " "],
)
def test_work_grows_with_the_text_and_no_faster(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = Counter[str]()

    class CountingTable(dict[str, tuple[object, ...]]):
        def get(self, key: str, *_: object) -> tuple[object, ...]:  # type: ignore[override]
            found = super().get(key, ())
            tried["patterns"] += len(found)
            return found

    for name in ("_ZH", "_EN"):
        table = getattr(tagger_module, name)
        counted = rules_module.RuleTable(
            by_prefix=CountingTable(table.by_prefix),
            prefix_lengths=table.prefix_lengths,
            only_at_word_starts=table.only_at_word_starts,
        )
        monkeypatch.setattr(tagger_module, name, counted)
    found_max = tagger_module.HITS_PER_KIND_MAX
    text = (unit * CHARACTERS_MAX)[: 3 * CHARACTERS_MAX]
    tags = tag(text)
    assert tried["patterns"] <= 300 * CHARACTERS_MAX
    assert all(len(hits) <= found_max for hits in tagger_module._scan(text[:CHARACTERS_MAX]).values())
    assert all(item.end <= CHARACTERS_MAX for item in tags.evidence)


def test_no_pattern_repeats_without_a_bound() -> None:
    for name in ("_ZH", "_EN"):
        for rules in getattr(tagger_module, name).by_prefix.values():
            for _, _, pattern in rules:
                bare = pattern.pattern.replace("\\+", "").replace("\\*", "")
                assert "*" not in bare, pattern.pattern
                assert "+" not in bare, pattern.pattern
                assert ",}" not in bare, pattern.pattern


@pytest.mark.parametrize(
    ("pattern", "prefixes"),
    [
        ("地址错", {"地址"}),
        ("(?:地|住)?址错", {"地址", "住址", "址错"}),
        ("[一二]单", {"一单", "二单"}),
        ("错.{0,3}了", {"错", "错了"}),
        ("退(?!货)钱", {"退钱"}),
        ("a|b", {"a", "b"}),
    ],
)
def test_prefixes_name_every_beginning(pattern: str, prefixes: set[str]) -> None:
    assert find_prefixes(pattern, length_max=2) == prefixes


@pytest.mark.parametrize("pattern", [".错", "错?", "(?:错"])
def test_a_pattern_without_a_plain_beginning_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"plain beginning|unclosed"):
        find_prefixes(pattern, length_max=2)


def test_alternatives_are_cut_outside_brackets_only() -> None:
    assert split_alternatives(r"a(?:b|c)|[|]d|\|e") == ["a(?:b|c)", "[|]d", r"\|e"]


def _share_right(field: str, rows: list[dict[str, object]]) -> float:
    right = sum(getattr(tag(str(row["text"]), channel=str(row["channel"])), field) == row[field] for row in rows)
    return right / len(rows)


@pytest.mark.parametrize(
    ("field", "is_hard", "floor"),
    [
        ("reason", False, 0.95),
        ("reason", True, 0.90),
        ("intent", False, 0.95),
        ("intent", True, 0.90),
        ("urgency", False, 0.97),
        ("urgency", True, 0.97),
        ("emotion", False, 0.97),
        ("emotion", True, 0.95),
    ],
)
def test_accuracy_on_our_own_texts_has_a_floor(field: str, is_hard: bool, floor: float) -> None:
    rows = [row for row in OWN_TEXTS if row["hard"] is is_hard]
    assert _share_right(field, rows) >= floor


def test_our_own_texts_cover_every_label_in_both_languages() -> None:
    assert len(OWN_TEXTS) >= 160
    assert {row["reason"] for row in OWN_TEXTS} == set(Reason)
    assert {row["intent"] for row in OWN_TEXTS} == set(Intent)
    for lang in ("zh", "en"):
        assert {row["hard"] for row in OWN_TEXTS if row["lang"] == lang} == {True, False}
        assert {row["reason"] for row in OWN_TEXTS if row["lang"] == lang} == set(Reason)
