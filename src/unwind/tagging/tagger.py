"""Reads a buyer's words: fold, find, settle, decide, and point at the words that prove it.

Pure and deterministic; all tables are compiled when this module is imported. Promised: any text gives valid tags, every evidence
span lies inside the text, and the work grows with the length of the text and no faster.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from unwind.tagging import lexicon_en, lexicon_zh
from unwind.tagging.folding import Folded, fold
from unwind.tagging.intents import IntentReading, read_intent
from unwind.tagging.labels import Emotion, Evidence, Intent, Reason, Tags, Urgency
from unwind.tagging.phrases import Phrase, find_phrases
from unwind.tagging.polarity import drop_denied, find_clauses, find_decisive
from unwind.tagging.reading import ENOUGH_ALONE, NOTHING, OUTRIGHT, Reading, read_reason, settle_overlaps
from unwind.tagging.rules import Hit, RuleRows, RuleTable, build_table
from unwind.tagging.tone import ToneReading, read_tone

SURE_MIN: Final = 0.6
"""Below this confidence the tagger abstains."""
PICKED_CONFIDENCE: Final = 0.95
PICKED_DISPUTED_CONFIDENCE: Final = 0.65
PLAIN_REQUEST_CONFIDENCE: Final = 0.7
RIVAL_SHARE: Final = 0.4
DOUBT: Final = 0.8
PLAIN_REQUEST_LENGTH_MAX: Final = 16
EVIDENCE_PER_REASON_MAX: Final = 3
HITS_PER_KIND_MAX: Final = 120
"""Hits are compared in pairs; the bound keeps a text of one word repeated a thousand times cheap."""

_CHINESE: Final = re.compile("[\u3400-\u9fff]")
_LATIN: Final = re.compile("[a-z]{2}")


def _rows(kind: str, rows: RuleRows) -> RuleRows:
    return [(f"{kind}/{label}", weight, block) for label, weight, block in rows]


def _build(reasons: RuleRows, intents: RuleRows, tones: RuleRows, marks: RuleRows) -> list[tuple[str, float, str]]:
    return [*_rows("reason", reasons), *_rows("intent", intents), *_rows("tone", tones), *_rows("mark", marks)]


_ZH: Final[RuleTable] = build_table(
    _build(lexicon_zh.REASONS, lexicon_zh.INTENTS, lexicon_zh.TONES, lexicon_zh.MARKS),
    lexicon_zh.MACROS,
    prefix_length_max=2,
    is_spaced=False,
)
_EN: Final[RuleTable] = build_table(
    _build(lexicon_en.REASONS, lexicon_en.INTENTS, lexicon_en.TONES, lexicon_en.MARKS),
    lexicon_en.MACROS,
    prefix_length_max=5,
    is_spaced=True,
)


def tag(
    text: str,
    *,
    picked: Reason | None = None,
    channel: str = "app",
    masked_names: Sequence[str] = (),
    reviewed: Sequence[Phrase] = (),
) -> Tags:
    """`picked` is the option of the reason box: it stays primary unless the text marks another reason as decisive, except that a
    picked OTHER says nothing and yields to the text. `masked_names` are the order's product and shop names, never read as a reason.
    `reviewed`: phrases that people have added.
    """
    folded = fold(text, masked_names=masked_names)
    if not folded.text.strip():
        return _tag_without_words(picked)
    found = _scan(folded.text)
    if reviewed:
        taught = [*find_phrases(folded.text, reviewed), *found["reason"]]
        found["reason"] = taught[:HITS_PER_KIND_MAX]
    clauses = find_clauses(folded.text)
    marks = found["mark"]
    kept = drop_denied(folded.text, settle_overlaps(found["reason"]), marks, clauses)
    links = [mark for mark in marks if mark.label == "LINK"]
    reading = read_reason(folded.text, kept, find_decisive(kept, marks, clauses), links)
    stated = reading.primary if reading.score or picked is None else picked
    intent = read_intent(
        folded.text,
        found["intent"],
        channel=channel,
        reason=stated,
        is_reason_outright=reading.score >= ENOUGH_ALONE,
    )
    reading = _fit_to_intent(reading, intent)
    is_complaint = stated is not Reason.OTHER or intent.intent not in {Intent.OTHER, Intent.CANCEL}
    tone = read_tone(folded.text, found["tone"], is_complaint=is_complaint)
    return _assemble(folded, picked, reading, intent, tone)


def _tag_without_words(picked: Reason | None) -> Tags:
    return Tags(
        reason=picked or Reason.OTHER,
        secondary=(),
        intent=Intent.CANCEL,
        urgency=Urgency.NORMAL,
        emotion=Emotion.NEUTRAL,
        confidence=0.0 if picked is None else 1.0,
        is_sure=picked is not None,
        not_received=False,
        evidence=(),
    )


def _scan(text: str) -> dict[str, list[Hit]]:
    found: dict[str, list[Hit]] = {"reason": [], "intent": [], "tone": [], "mark": []}
    hits = _ZH.scan(text) if _CHINESE.search(text) else []
    if _LATIN.search(text):
        hits = hits + _EN.scan(text)
    for hit in hits:
        kind, _, label = hit.label.partition("/")
        if len(found[kind]) < HITS_PER_KIND_MAX:
            found[kind].append(Hit(label, hit.weight, hit.start, hit.end))
    return found


def _fit_to_intent(reading: Reading, intent: IntentReading) -> Reading:
    """Label rule 8: behind a request that is no cancellation, a topic word alone is not a reason."""
    is_clear = reading.score >= ENOUGH_ALONE
    if intent.not_received and not is_clear:
        return replace(NOTHING, primary=Reason.SHIPPING_TOO_SLOW, score=OUTRIGHT)
    if intent.intent is Intent.WHERE_IS_MY_ORDER and reading.primary is Reason.SHIPPING_TOO_SLOW and not is_clear:
        return NOTHING
    if intent.intent is Intent.WITHDRAW_CANCEL and (not is_clear or reading.primary is Reason.WRONG_ITEM_ORDERED):
        return NOTHING
    if intent.intent is Intent.OTHER and not is_clear:
        return NOTHING
    return reading


def _assemble(
    folded: Folded, picked: Reason | None, reading: Reading, intent: IntentReading, tone: ToneReading
) -> Tags:
    reason, secondary = _merge_picked(picked, reading)
    confidence = _rate(folded.text, picked, reading, intent)
    return Tags(
        reason=reason,
        secondary=secondary,
        intent=intent.intent,
        urgency=tone.urgency,
        emotion=tone.emotion,
        confidence=confidence,
        is_sure=confidence >= SURE_MIN,
        not_received=intent.not_received,
        evidence=tuple(_collect_evidence(folded, reason, secondary, reading, intent, tone)),
    )


def _merge_picked(picked: Reason | None, reading: Reading) -> tuple[Reason, tuple[Reason, ...]]:
    if picked in {None, Reason.OTHER, reading.primary} or picked is None:
        return reading.primary, reading.secondary
    is_clear = reading.score >= ENOUGH_ALONE and reading.primary is not Reason.OTHER
    if reading.is_decisive and is_clear:
        return reading.primary, tuple(dict.fromkeys([picked, *reading.secondary]))
    named = [reading.primary, *reading.secondary] if is_clear else []
    return picked, tuple(reason for reason in dict.fromkeys(named) if reason is not picked)


def _rate(text: str, picked: Reason | None, reading: Reading, intent: IntentReading) -> float:
    is_clear = reading.score >= ENOUGH_ALONE
    if picked is not None and picked is not Reason.OTHER:
        agrees = not is_clear or reading.primary is picked or picked in reading.secondary
        return PICKED_CONFIDENCE if agrees else PICKED_DISPUTED_CONFIDENCE
    if reading.score == 0.0:
        is_plain = intent.hit is not None and len(text) <= PLAIN_REQUEST_LENGTH_MAX
        return PLAIN_REQUEST_CONFIDENCE if is_plain else 0.3
    margin = reading.score / (reading.score + RIVAL_SHARE * reading.rival_score + DOUBT)
    return round(margin if is_clear else margin / 2, 3)


def _collect_evidence(
    folded: Folded,
    reason: Reason,
    secondary: Sequence[Reason],
    reading: Reading,
    intent: IntentReading,
    tone: ToneReading,
) -> list[Evidence]:
    found: list[Evidence] = []

    def point(field: str, label: str, span: tuple[int, int] | None) -> None:
        if span is not None:
            start, end = folded.locate(*span)
            found.append(Evidence(field=field, label=label, start=start, end=end))

    for field, wanted in [("reason", reason), *(("secondary", item) for item in secondary)]:
        hits = sorted((hit for hit in reading.hits if hit.label == wanted), key=lambda hit: (-hit.weight, hit.start))
        for hit in hits[:EVIDENCE_PER_REASON_MAX]:
            point(field, wanted, (hit.start, hit.end))
    point("intent", intent.intent, None if intent.hit is None else (intent.hit.start, intent.hit.end))
    point("urgency", tone.urgency, None if tone.urgent_hit is None else (tone.urgent_hit.start, tone.urgent_hit.end))
    point("emotion", tone.emotion, tone.angry_span)
    return found
