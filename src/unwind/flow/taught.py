"""The reviewed phrases this process has seen last. Old by a moment at most."""

from unwind.storage import phrases
from unwind.storage.database import Database
from unwind.tagging import Phrase, Reason


class Taught:
    def __init__(self) -> None:
        self.version = 0
        self._of_all: tuple[Phrase, ...] = ()
        self._of: dict[str, tuple[Phrase, ...]] = {}

    def phrases_of(self, merchant_id: str) -> tuple[Phrase, ...]:
        """A shop's own, and everybody's."""
        return self._of.get(merchant_id, self._of_all)

    async def refresh(self, database: Database) -> bool:
        """True when there was something new. The version is read first, so what is read after it is never older than it says."""
        async with database.connection() as conn:
            version = await phrases.current_version(conn)
            if version == self.version:
                return False
            rows = await phrases.phrases_in_force(conn)
        of_all = tuple(as_phrase(row) for row in rows if row["merchant_id"] is None)
        shops = {row["merchant_id"] for row in rows} - {None}
        self._of = {shop: (*(as_phrase(row) for row in rows if row["merchant_id"] == shop), *of_all) for shop in shops}
        self._of_all = of_all
        self.version = version
        return True


def as_phrase(row: dict[str, str]) -> Phrase:
    return Phrase(folded=row["folded"], label=Reason(row["label"]))
