"""What the models of several doors are made of. Unknown fields are refused: a misspelt one must not silently mean something else."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_.:\-]+$")]
MINOR_MAX = 10**12
Minor = Annotated[int, Field(ge=0, le=MINOR_MAX, strict=True, description="integer minor units (fen, pence)")]
Units = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217")]
Ref = Annotated[str, Field(max_length=100, pattern=r"^[0-9A-Za-z_.:\-]*$")]
Short = Annotated[str, Field(max_length=200)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


ReasonCode = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_]+$")]
