"""Step 2: what the buyer wants and why, from the option picked and the words written, each with its evidence."""

from collections.abc import Sequence
from dataclasses import dataclass

from unwind.domain.order import Order
from unwind.policy.facts import Words
from unwind.tagging import Intent, Phrase, Reason, Tags, tag

ROUTED = frozenset({Intent.MODIFY_ORDER, Intent.WHERE_IS_MY_ORDER, Intent.WITHDRAW_CANCEL, Intent.OTHER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    tags: Tags
    words: Words
    stated: str = ""
    """The reason as stated, where it is not the one that was read."""


def read_words(order: Order, *, picked: str | None, text: str, channel: str, reviewed: Sequence[Phrase] = ()) -> Read:
    """Product names of the order are masked first: words in them are no reason.

    An option picked in a reason box is itself the wish to cancel, unless the words next to it clearly say otherwise.
    """
    tags = tag(
        text,
        picked=Reason(picked) if picked else None,
        channel=channel,
        masked_names=[line.title for line in order.lines] if text else (),
        reviewed=reviewed,
    )
    intent = tags.intent
    if intent in ROUTED and picked is not None and not tags.is_sure:
        intent = Intent.CANCEL
    return Read(
        tags=tags,
        words=Words(
            reason=tags.reason.value,
            intent=intent.value,
            urgency=tags.urgency.value,
            emotion=tags.emotion.value,
            not_received=tags.not_received,
        ),
    )


def tags_document(tags: Tags, *, picked: str | None) -> dict[str, object]:
    """Labels and positions, never the words themselves."""
    return {
        "picked": picked,
        "secondary": [reason.value for reason in tags.secondary],
        "intent": tags.intent.value,
        "urgency": tags.urgency.value,
        "emotion": tags.emotion.value,
        "confidence": round(tags.confidence, 3),
        "is_sure": tags.is_sure,
        "evidence": [[e.field, e.label, e.start, e.end] for e in tags.evidence],
    }
