"""What agents correct makes the next reading better: shown as counts, taught as a phrase by two people, never worse, never personal."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.world import World, line
from unwind import cli
from unwind.tagging import Reason, tag
from unwind.tagging.evaluation import count_right
from unwind.tagging.phrases import Phrase, find_phrases, fold_phrase

TEXT = "装不进我家柜子,退了吧"
TRUE = "WRONG_ITEM_ORDERED"
PERIOD = {"from": "2020-01-01T00:00:00Z", "to": "2040-01-01T00:00:00Z"}


@pytest.fixture
async def ops(world: World) -> str:
    [key] = await world.hire("olga", role="ops")
    return key


async def asked(world: World, text: str = TEXT, **given: Any) -> dict[str, Any]:
    """A case that waits for a person, with what was read of these words."""
    case_id = (await world.cancel(await world.order(risk="suspected", **given), text=text))["case_id"]
    [row] = await world.sql("SELECT case_id, reason, tags FROM cases WHERE case_id = %s", case_id)
    return row


async def correct(world: World, case_id: str, reason: str = TRUE) -> None:
    await world.ok("PUT", f"/api/v1/desk/cases/{case_id}/true-reason", role="agent", json={"reason": reason})


async def propose(world: World, role: str, phrase: str = "装不进", label: str = TRUE, **given: Any) -> Any:
    body = {"phrase": phrase, "label": label, "why": "复盘", **given}
    return await world.call("POST", "/api/v1/admin/phrases", role=role, json=body)


async def agree(world: World, phrase_id: int, role: str = "admin") -> Any:
    return await world.call("POST", f"/api/v1/admin/phrases/{phrase_id}/agree", role=role)


async def report(world: World, role: str = "auditor", **query: Any) -> dict[str, Any]:
    return await world.ok("GET", "/api/v1/insights/corrections", role=role, params={**PERIOD, **query})


@pytest.mark.rule("people.true_reason")
async def test_a_wrong_tag_is_corrected_taught_and_right_the_next_time(world: World, ops: str) -> None:
    wrong = await asked(world)
    assert wrong["reason"] != TRUE
    await correct(world, wrong["case_id"])
    before = count_right()
    made = (await propose(world, ops)).json()
    assert made["evaluation"] == {"before": before, "after": before}, "nothing of ours is read worse"
    assert (await asked(world))["reason"] != TRUE, "a proposal is not in force"
    same = await agree(world, made["phrase_id"], role=ops)
    assert (same.status_code, same.json()["code"]) == (403, "different_person_needed")
    assert (await agree(world, made["phrase_id"])).json()["state"] == "in_force"
    right = await asked(world)
    assert right["reason"] == TRUE
    [span] = [(start, end) for field, _, start, end in right["tags"]["evidence"] if field == "reason"]
    assert TEXT[slice(*span)] == "装不进", "and it points at the phrase"
    assert (await asked(world, "不是装不进,是地址写错了"))["reason"] == "ADDRESS_ERROR", "what is denied stays denied"
    [row] = (await world.ok("GET", "/api/v1/admin/phrases", role="lead"))["phrases"]
    assert (row["state"], row["proposed_by"], row["agreed_by"], row["why"]) == (
        "in_force",
        "ops:olga",
        "admin:test-admin",
        "复盘",
    )
    again = await agree(world, made["phrase_id"])
    assert again.json()["code"] == "nothing_to_change"
    taken = await world.ok(
        "POST", f"/api/v1/admin/phrases/{made['phrase_id']}/retire", role=ops, json={"why": "不再需要"}
    )
    assert (taken["state"], taken["version"]) == ("retired", 2)
    assert (await asked(world))["reason"] == wrong["reason"], "and it ends"


async def test_another_process_reads_by_it_after_a_refresh(world: World, ops: str) -> None:
    from unwind.flow.taught import Taught

    made = (await propose(world, ops)).json()
    await agree(world, made["phrase_id"])
    other = Taught()
    assert other.phrases_of("shop") == ()
    assert await other.refresh(world.services.database) is True
    assert other.phrases_of("shop") == (Phrase(folded="装不进", label=Reason.WRONG_ITEM_ORDERED),)
    assert await other.refresh(world.services.database) is False


async def test_a_shops_own_phrase_is_read_in_that_shop_only(world: World, ops: str) -> None:
    await world.put_merchant("other")
    made = (await propose(world, ops, merchant_id="other")).json()
    await agree(world, made["phrase_id"])
    assert (await asked(world))["reason"] != TRUE
    assert (await asked(world, merchant_id="other"))["reason"] == TRUE
    [theirs] = await world.hire("theirs", role="ops", merchant_id="other")
    assert (await propose(world, theirs, "放不下")).status_code == 403, "not for every shop"
    assert (await propose(world, theirs, "放不下", merchant_id="shop")).status_code == 404
    assert (await propose(world, theirs, "放不下", merchant_id="other")).status_code == 201


@pytest.mark.parametrize(
    ("phrase", "label", "status", "code"),
    [
        ("地址", "CHANGED_MIND", 422, "phrase_makes_worse"),
        ("got one", "DUPLICATE_ORDER", 422, "phrase_makes_worse"),
        ("柜子80公分", TRUE, 422, "phrase_personal"),
        ("打13800001234", TRUE, 422, "phrase_personal"),
        ("一三八零零零零一二三四", TRUE, 422, "phrase_personal"),
        ("测试买家说装不进", TRUE, 422, "phrase_personal"),
        ("古丽·买买提说装不进", TRUE, 422, "phrase_personal"),
        ("王先生装不进", TRUE, 422, "phrase_personal"),
        ("ann lee cannot", TRUE, 422, "phrase_personal"),
        ("装", TRUE, 422, "invalid"),
        ("!!", TRUE, 422, "phrase_unfit"),
        ("装" * 40, TRUE, 422, "phrase_unfit"),
        ("装不进", "OTHER", 422, "phrase_unfit"),
        ("装不进", "NO_SUCH", 422, "invalid"),
    ],
)
async def test_what_makes_worse_or_tells_of_somebody_is_refused(
    world: World, ops: str, phrase: str, label: str, status: int, code: str
) -> None:
    await world.order()
    for name in ("Ann Lee", "古丽·买买提"):
        await world.order(buyer={"name": name})
    refused = await propose(world, ops, phrase, label)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    if code == "phrase_makes_worse":
        new = Phrase(folded=fold_phrase(phrase), label=Reason(label))
        before, after = count_right()["reason"], count_right([new])["reason"]
        facts = refused.json()["facts"]
        assert (facts["reason"], facts["texts_before"], facts["texts_after"]) == (before - after, before, after)
        assert before > after
    assert await world.sql("SELECT * FROM phrases") == []


async def test_a_name_that_came_after_the_proposal_stops_it(world: World, ops: str) -> None:
    made = (await propose(world, ops)).json()
    await world.order(buyer={"name": "装不进"})
    refused = await agree(world, made["phrase_id"])
    assert (refused.status_code, refused.json()["code"]) == (422, "phrase_personal")
    assert (await asked(world))["reason"] != TRUE


async def test_two_who_agree_at_once_put_it_in_force_once(world: World, ops: str) -> None:
    made = (await propose(world, ops)).json()
    [boss] = await world.hire("boss", role="admin")
    answers = await asyncio.gather(*(agree(world, made["phrase_id"], role=who) for who in ("admin", boss, "admin")))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert (await propose(world, ops)).json()["code"] == "phrase_known"
    assert await world.sql("SELECT version FROM phrase_book") == [{"version": 1}]


async def test_the_report_counts_what_was_read_against_what_was_true(world: World) -> None:
    for _ in range(2):
        await correct(world, (await asked(world))["case_id"])
    right = await asked(world, "地址写错了")
    await correct(world, right["case_id"], "ADDRESS_ERROR")
    await asked(world, "太贵了")
    shown = await report(world)
    read = (await asked(world))["reason"]
    assert (shown["cases"], shown["read_right"], shown["is_whole"]) == (3, 1, True)
    [confusion] = shown["confusion"]
    assert (confusion["read"], confusion["true"], confusion["cases"]) == (read, TRUE, 2)
    assert sum(confusion["words"].values()) == 2
    assert all(text in TEXT for text in confusion["words"])
    assert TEXT not in str(shown), "no sentence"
    assert shown["by_label"][TRUE] == {"read": 0, "true": 2, "right": 0, "precision": None, "recall": 0.0}
    assert shown["by_label"]["ADDRESS_ERROR"] == {
        "read": 1,
        "true": 1,
        "right": 1,
        "precision": 1.0,
        "recall": 1.0,
    }
    before = {"from": "2020-01-01T00:00:00Z", "to": "2020-02-01T00:00:00Z"}
    assert (await world.ok("GET", "/api/v1/insights/corrections", role="auditor", params=before))["cases"] == 0
    await world.put_merchant("other")
    [theirs] = await world.hire("theirs", role="lead", merchant_id="other")
    assert (await report(world, role=theirs))["cases"] == 0, "their own shop only"


async def test_words_that_tell_of_somebody_are_hidden_and_of_the_forgotten_nothing_is_opened(world: World) -> None:
    case = await asked(world)
    await correct(world, case["case_id"])
    [confusion] = (await report(world))["confusion"]
    [words] = confusion["words"]
    await world.order(buyer={"name": words[:4]})
    [confusion] = (await report(world))["confusion"]
    assert list(confusion["words"]) == ["…"], "somebody is called like that"
    [row] = await world.sql("SELECT order_id FROM cases WHERE case_id = %s", case["case_id"])
    await world.ok("POST", f"/api/v1/orders/{row['order_id']}/erasure")
    [confusion] = (await report(world))["confusion"]
    assert (confusion["cases"], confusion["words"]) == (1, {})


async def test_a_product_named_like_a_phrase_is_no_reason(world: World, ops: str) -> None:
    made = (await propose(world, ops)).json()
    await agree(world, made["phrase_id"])
    named = await asked(world, "装不进收纳箱的颜色和图片不一样", lines=[{**line(), "title": "装不进收纳箱"}])
    assert named["reason"] == "NOT_AS_DESCRIBED"


def test_in_letters_only_whole_words_count() -> None:
    phrase = [Phrase(folded="too tall", label=Reason.WRONG_ITEM_ORDERED)]
    assert tag("it is too tall for the room", reviewed=phrase).reason is Reason.WRONG_ITEM_ORDERED
    for text in ("it is too taller", "it is toto too tally", "xtoo tall"):
        assert list(find_phrases(text, phrase)) == [], text
    assert len(list(find_phrases("too tall, far too tall", phrase))) == 2


async def test_the_command_shows_the_same_report(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await correct(world, (await asked(world))["case_id"])
    monkeypatch.setenv("UNWIND_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATABASE_URL", world.url)
    monkeypatch.setenv("UNWIND_MASTER_KEY", base64.b64encode(bytes(range(32))).decode())
    result = await asyncio.to_thread(CliRunner().invoke, cli.app, ["tag", "--corrections"])
    assert result.exit_code == 0, result.output
    assert TRUE in result.output
    empty = CliRunner().invoke(cli.app, ["tag"])
    assert empty.exit_code == 2
