"""What proves that a shop may be trusted further. Data: `trust.json`."""

import json
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from unwind.domain.trust import Thresholds


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads((Path(__file__).parent / "trust.json").read_text(encoding="utf-8"))
    return table


def thresholds() -> Thresholds:
    table = _table()
    return Thresholds(
        decided_at_least=table["decided_at_least"],
        agreement_at_least=table["agreement_at_least"],
        lower_bound_at_least=table["lower_bound_at_least"],
    )


def report_life() -> timedelta:
    """So long a report is proof."""
    return timedelta(hours=_table()["report_hours"])
