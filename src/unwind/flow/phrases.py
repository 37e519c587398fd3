"""What agents found out makes the next reading better: a phrase, proposed by one person and agreed to by another.

proposed -> no number, nobody's name, no text of ours read worse -> agreed by a second person, tried again -> in force within a second
"""

import asyncio
import itertools
import re
from collections.abc import Iterable
from typing import Any

from unwind.domain.access import Principal, Scope, authorise
from unwind.domain.errors import Refusal, require
from unwind.domain.personal import is_personal
from unwind.flow.chronicle import clock
from unwind.flow.services import Services
from unwind.flow.taught import as_phrase
from unwind.storage import merchants, phrases
from unwind.storage.database import Connection
from unwind.storage.privacy import Vault
from unwind.tagging import Phrase, Reason
from unwind.tagging.evaluation import count_right
from unwind.tagging.phrases import LETTERS_MAX, LETTERS_MIN, fold_phrase

IN_FORCE_MAX = 1000
NAME_LETTERS = range(2, 13)
"""With those of two parts joined by a dot."""
_HAN_RUN = re.compile("[\u3400-\u9fff·•]+")
_WORDS = re.compile(r"[^\W\d_]+")
_DIGIT = re.compile(r"\d")
_SAYS_NAME = re.compile(
    "我叫|名叫|叫做|姓名|[\u3400-\u9fff](?:先生|女士|小姐|太太|师傅)|my name|\\b(?:mr|mrs|ms)\\b", re.IGNORECASE
)


async def propose(
    services: Services, principal: Principal, *, phrase: str, label: Reason, merchant_id: str | None, why: str
) -> dict[str, Any]:
    """Refuses with `phrase_unfit`, `phrase_personal`, `phrase_makes_worse` (with the counts) and `phrase_known`."""
    authorise(principal, Scope.SCRIPTS_WRITE, merchant_id=merchant_id, is_platform=merchant_id is None)
    folded = fold_phrase(phrase)
    require(LETTERS_MIN <= len(folded) <= LETTERS_MAX and _WORDS.search(folded) is not None, "phrase_unfit")
    require(label is not Reason.OTHER, "phrase_unfit")
    async with services.database.transaction() as conn:
        if merchant_id is not None:
            require(await merchants.read_merchant(conn, merchant_id) is not None, "unknown_merchant")
        require(not await tells_of_somebody(conn, services.vault, [phrase, folded]), "phrase_personal")
        new = Phrase(folded=folded, label=label)
        evaluation = await _tried(conn, new, merchant_id)
        phrase_id = await phrases.propose(
            conn,
            {
                "merchant_id": merchant_id,
                "phrase": phrase,
                "folded": folded,
                "label": label.value,
                "by": principal.actor,
                "at": await clock(conn),
                "why": why,
                "evaluation": evaluation,
            },
        )
        require(phrase_id is not None, "phrase_known")
    return {"phrase_id": phrase_id, "state": "proposed", "evaluation": evaluation}


async def agree(services: Services, principal: Principal, phrase_id: int) -> dict[str, Any]:
    """By somebody else than who proposed it, and tried once more beside everything that is in force by now."""
    async with services.database.transaction() as conn:
        version = await phrases.next_version(conn)
        row = await _visible(conn, principal, phrase_id)
        require(row["state"] == "proposed", "nothing_to_change")
        require(row["proposed_by"] != principal.actor, "different_person_needed")
        require(len(await phrases.phrases_in_force(conn)) < IN_FORCE_MAX, "too_many_phrases")
        require(not await tells_of_somebody(conn, services.vault, [row["phrase"], row["folded"]]), "phrase_personal")
        evaluation = await _tried(conn, as_phrase(row), row["merchant_id"])
        await phrases.put_in_force(
            conn, phrase_id, by=principal.actor, at=await clock(conn), version=version, evaluation=evaluation
        )
    await services.taught.refresh(services.database)
    return {"phrase_id": phrase_id, "state": "in_force", "version": version, "evaluation": evaluation}


async def retire(services: Services, principal: Principal, phrase_id: int, *, why: str) -> dict[str, Any]:
    """A proposal is taken back, or what is in force ends. Texts that were read by it stay as they were read."""
    async with services.database.transaction() as conn:
        version = await phrases.next_version(conn)
        row = await _visible(conn, principal, phrase_id)
        require(row["state"] != "retired", "nothing_to_change")
        await phrases.retire(conn, phrase_id, by=principal.actor, at=await clock(conn), why=why)
    await services.taught.refresh(services.database)
    return {"phrase_id": phrase_id, "state": "retired", "version": version}


async def _visible(conn: Connection, principal: Principal, phrase_id: int) -> dict[str, Any]:
    row = await phrases.read_phrase(conn, phrase_id)
    if row is None:
        raise Refusal("not_found")
    authorise(principal, Scope.SCRIPTS_WRITE, merchant_id=row["merchant_id"], is_platform=row["merchant_id"] is None)
    return row


async def _tried(conn: Connection, new: Phrase, merchant_id: str | None) -> dict[str, dict[str, int]]:
    """Our own texts, without it and with it; away from the loop, for it takes a second."""
    beside = [
        as_phrase(row) for row in await phrases.phrases_in_force(conn) if row["merchant_id"] in {None, merchant_id}
    ]
    before = await asyncio.to_thread(count_right, beside)
    after = await asyncio.to_thread(count_right, [new, *beside])
    worse = {field: before[field] - after[field] for field in before if after[field] < before[field]}
    require(not worse, "phrase_makes_worse", **worse, texts_before=before["reason"], texts_after=after["reason"])
    return {"before": before, "after": after}


async def tells_of_somebody(conn: Connection, vault: Vault, texts: Iterable[str]) -> set[str]:
    """Those of the texts that hold a digit, an address of mail, a form of address, or the name of somebody who has ordered."""
    given = set(texts)
    found = {text for text in given if _DIGIT.search(text) or is_personal(text) or _SAYS_NAME.search(text) is not None}
    digests = {vault.blind("name", name): text for text in given - found for name in _possible_names(text)}
    known = set(await phrases.is_name_known(conn, list(digests))) if digests else set()
    names = {name for text in given - found for name in _possible_names(text) if vault.blind("name", name) in known}
    return found | {text for text in given if any(name in text for name in names)}


def _possible_names(text: str) -> set[str]:
    """Every run of so many Chinese characters, every word and every two words in a row."""
    names = {
        run[0][start : start + length]
        for run in _HAN_RUN.finditer(text)
        for length in NAME_LETTERS
        for start in range(len(run[0]) - length + 1)
    }
    words = [word[0] for word in _WORDS.finditer(text) if word[0].isascii()]
    return names | set(words) | {" ".join(pair) for pair in itertools.pairwise(words)}
