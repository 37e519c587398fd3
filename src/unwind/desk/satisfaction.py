"""What buyers thought of it, counted."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from unwind.domain.errors import require
from unwind.storage import ratings
from unwind.storage.database import Connection

SCORES = range(1, 6)
BY = ("channel", "decided_by", "rule")


async def read_satisfaction(
    conn: Connection, *, merchant_id: str | None, since: datetime, until: datetime
) -> dict[str, Any]:
    """Whole and by each of `BY`. A share or mean of nothing is null."""
    require(since < until, "invalid")
    rows = await ratings.counts(conn, merchant_id=merchant_id, since=since, until=until)
    return {
        "from": since,
        "to": until,
        **_counted(rows),
        **{
            f"by_{name}": {
                value: _counted(row for row in rows if row[name] == value)
                for value in sorted({row[name] for row in rows})
            }
            for name in BY
        },
    }


def _counted(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    scores = dict.fromkeys(SCORES, 0)
    asked = 0
    for row in rows:
        asked += row["n"]
        if row["score"] is not None:
            scores[row["score"]] += row["n"]
    answered = sum(scores.values())
    return {
        "asked": asked,
        "answered": answered,
        "answered_share": round(answered / asked, 4) if asked else None,
        "mean": round(sum(score * n for score, n in scores.items()) / answered, 2) if answered else None,
        "scores": {str(score): n for score, n in scores.items()},
    }
