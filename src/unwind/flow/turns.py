"""How often something may be tried. Counted before it is tried and committed at once, so that a refusal counts too."""

from datetime import timedelta

from unwind.domain.errors import require
from unwind.flow.services import Services
from unwind.storage.attempts import count_attempt


async def take_turn(services: Services, kind: str, subject: str, *, most: int, per: timedelta) -> None:
    """Refuses with `too_many_requests`. `subject` is kept as a keyed digest: it may be an address or a number that somebody typed."""
    async with services.database.connection() as conn:
        n = await count_attempt(conn, kind, services.vault.blind(f"attempts:{kind}", subject), per=per)
    require(n <= most, "too_many_requests", retry_after_s=int(per.total_seconds()))
