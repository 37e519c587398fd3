"""What an error looks like."""

from pydantic import BaseModel

from unwind.web.schemas.cancellations import Text


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    code: str
    detail: Text
