"""One tap, and one line if they like."""

from typing import Annotated

from pydantic import Field

from unwind.web.schemas.fields import Strict


class RateIn(Strict):
    score: Annotated[int, Field(ge=1, le=5, strict=True, description="1 very unhappy ... 5 very happy")]


class CommentIn(Strict):
    text: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\r\n]*\S[^\r\n]*$", description="one line")]
