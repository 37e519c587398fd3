"""What the models of several doors are made of. Unknown fields are refused: a misspelt one must not silently mean something else."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from unwind.domain.personal import is_personal, is_telephone


def _no_telephone(reference: str) -> str:
    if is_telephone(reference):
        raise ValueError("a reference is no telephone number")
    return reference


def _not_personal(text: str) -> str:
    if is_personal(text):
        raise ValueError("this is read by others and kept: no telephone, identity or card number, no e-mail address")
    return text


NoTelephone = AfterValidator(_no_telephone)
NotPersonal = AfterValidator(_not_personal)
Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_.:\-]+$")]
MINOR_MAX = 10**12
Minor = Annotated[int, Field(ge=0, le=MINOR_MAX, strict=True, description="integer minor units (fen, pence)")]
Units = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217")]
Ref = Annotated[str, Field(max_length=100, pattern=r"^[0-9A-Za-z_.:\-]*$"), NoTelephone]
Short = Annotated[str, Field(max_length=200)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


ReasonCode = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_]+$"), NoTelephone]
