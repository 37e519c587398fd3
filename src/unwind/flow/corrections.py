"""What was read against what agents found to be true: counted by label, with the words of ours that matched, never a buyer's sentence."""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.errors import require
from unwind.flow.phrases import tells_of_somebody
from unwind.flow.services import Services
from unwind.storage import phrases, privacy

CASES_MAX = 5000
WORDS_SHOWN_MAX = 10
HIDDEN = "…"
"""Stands where the words that matched say something of somebody."""


async def read_corrections(
    services: Services, principal: Principal, *, merchant_id: str | None, since: datetime, until: datetime
) -> dict[str, Any]:
    """Of the cases of the period whose true reason is known. Nothing is opened of whoever asked to be forgotten."""
    authorise(principal, Scope.OPERATIONS_READ, merchant_id=merchant_id)
    require(since < until, "invalid")
    shop = principal.merchant_id or merchant_id
    async with services.database.survey() as conn:
        rows = await phrases.corrected_cases(conn, merchant_id=shop, since=since, until=until, cases_max=CASES_MAX)
        matched = {row["case_id"]: _matched(services, row) for row in rows if row["reason"] != row["true_reason"]}
        texts = {text for found in matched.values() for text in found}
        hidden = await tells_of_somebody(conn, services.vault, texts)
    shown = {case_id: [HIDDEN if text in hidden else text for text in found] for case_id, found in matched.items()}
    return {
        "from": since,
        "to": until,
        "cases": len(rows),
        "is_whole": len(rows) < CASES_MAX,
        "read_right": sum(row["reason"] == row["true_reason"] for row in rows),
        "stated_right": sum(row["stated_reason"] == row["true_reason"] for row in rows),
        "confusion": _confusion(rows, shown),
        "by_label": _by_label(rows),
    }


def _matched(services: Services, row: Mapping[str, Any]) -> list[str]:
    """The words behind the reason that was read: what a pattern matched, a few characters each."""
    if row["words"] is None or row["wrapped_key"] is None:
        return []
    with contextlib.suppress(privacy.Unreadable):
        words = privacy.open_sealed(
            services.vault, row["order_id"], "words", sealed=row["words"], wrapped_key=row["wrapped_key"]
        )
        return [
            words[start:end]
            for field, label, start, end in row["evidence"] or ()
            if field == "reason" and label == row["reason"] and 0 <= start < end <= len(words)
        ]
    return []


def _confusion(rows: Sequence[Mapping[str, Any]], shown: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    """The most frequent first."""
    counted: Counter[tuple[str, str, str]] = Counter()
    words: defaultdict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row["reason"] == row["true_reason"]:
            continue
        key = (row["reason"], row["stated_reason"], row["true_reason"])
        counted[key] += 1
        words[key].update(shown[row["case_id"]])
    return [
        {
            "read": read,
            "stated": stated,
            "true": true,
            "cases": n,
            "words": dict(words[read, stated, true].most_common(WORDS_SHOWN_MAX)),
        }
        for (read, stated, true), n in sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    ]


def _by_label(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """`precision`: of those read so, how many were; `recall`: of those that were, how many were read so. Of nothing: null."""
    read = Counter(row["reason"] for row in rows)
    true = Counter(row["true_reason"] for row in rows)
    right = Counter(row["reason"] for row in rows if row["reason"] == row["true_reason"])
    return {
        label: {
            "read": read[label],
            "true": true[label],
            "right": right[label],
            "precision": round(right[label] / read[label], 4) if read[label] else None,
            "recall": round(right[label] / true[label], 4) if true[label] else None,
        }
        for label in sorted(read | true)
    }
