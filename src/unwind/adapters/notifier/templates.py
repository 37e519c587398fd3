"""Messages that a provider fills from a template it has approved: which template for which fact, and with which of our values."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from unwind.domain.outcome import Outcome, OutcomeKind
from unwind.ports.notifier import MessageCall

NO_TEMPLATE = Outcome(kind=OutcomeKind.REFUSED, code="no_template")
"""This fact has no approved template here; the next channel of the ladder may tell it."""


class Template(BaseModel):
    """`params`: the provider's name of a place -> ours (`amount`, `estimate`, `minutes` ...)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Annotated[str, Field(min_length=1, max_length=64)]
    params: dict[str, str] = {}


def fill(template: Template, call: MessageCall, *, length_max: int | None = None) -> dict[str, str]:
    """The template's places with the call's values. A value that is missing or empty is a dash: providers refuse empty ones."""
    values: Mapping[str, str | int] = call.params
    filled = {place: str(values.get(name, "")) or "-" for place, name in template.params.items()}
    return filled if length_max is None else {place: text[:length_max] for place, text in filled.items()}
