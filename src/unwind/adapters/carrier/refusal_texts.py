"""Why a carrier refuses an intercept, told by its text where its codes do not say. Texts are searched and not kept: they may name a person."""

import re
from collections.abc import Mapping
from typing import Any

from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.domain.stage import Stage

Reasons = tuple[tuple[re.Pattern[str], Stage], ...]
"""What a text that refuses an intercept tells of the parcel; the first that fits counts."""


def text_in(answer: Mapping[str, Any], name: str) -> str:
    """A text for people; empty where there is none."""
    text = answer.get(name)
    return text if isinstance(text, str) else ""


def refused_intercept(text: str, code: str, already: re.Pattern[str], reasons: Reasons) -> Outcome | None:
    """An intercept that was asked for before is a yes, a known reason a no with the parcel's stage; None: the text says neither."""
    if already.search(text):
        return Outcome(kind=OutcomeKind.PROCESSING, code="already_intercepted")
    stage = next((stage for pattern, stage in reasons if pattern.search(text)), None)
    return None if stage is None else Outcome(kind=OutcomeKind.REFUSED, code=code, evidence={"stage": stage.value})
