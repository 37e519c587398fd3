"""Our own labelled texts: what the tagger is measured by, and what a reviewed phrase may not make worse."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from unwind.tagging.phrases import Phrase
from unwind.tagging.tagger import tag

FIELDS: Final = ("reason", "intent", "urgency", "emotion")


@cache
def own_texts() -> tuple[dict[str, Any], ...]:
    """Each with `text`, `channel` and a label for every field."""
    lines = Path(__file__).with_name("own_texts.jsonl").read_text("utf-8").splitlines()
    return tuple(json.loads(line) for line in lines)


def count_right(reviewed: Sequence[Phrase] = ()) -> dict[str, int]:
    """How many of our texts are read right, by field."""
    right = dict.fromkeys(FIELDS, 0)
    for row in own_texts():
        tags = tag(row["text"], channel=row["channel"], reviewed=reviewed)
        for field in FIELDS:
            right[field] += getattr(tags, field) == row[field]
    return right
