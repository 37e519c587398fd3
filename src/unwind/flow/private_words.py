"""Words of people about a case: encrypted with the key of its order, and a commitment to them for the history."""

from unwind.flow.execute import Locked
from unwind.flow.services import Services
from unwind.storage import privacy
from unwind.storage.database import Connection


async def keep_words(
    conn: Connection, services: Services, locked: Locked, field: str, text: str, *, is_of_case: bool = True
) -> str:
    """Returns the commitment. `is_of_case` False: it is about the order, whatever case it came with (a new address)."""
    key = await privacy.keep_private(
        conn,
        services.vault,
        locked.order.order_id,
        {field: text},
        wrapped_key=locked.row.wrapped_key,
        case_id=locked.case.case_id if is_of_case else None,
    )
    return privacy.commit_to(text, key=key)
